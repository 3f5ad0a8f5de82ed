/* reprise serve: a gdb server over a recording. */
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/debug_session.h"
#include "tools/interrupt.h"
#include "tools/message.h"

struct serve_options {
	struct debug_options debug; /* the first: debug_option_table */
	const char *listen;
	bool anywhere, once;
};

#define FIELD(member) offsetof(struct serve_options, member)

static const struct option options[] = {
	{.name = "listen",
	 .kind = OPTION_STRING,
	 .offset = FIELD(listen),
	 .argument = "ADDR",
	 .help = "Path of a Unix socket, or 127.0.0.1:PORT"},
	{.name = "anywhere",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(anywhere),
	 .help = "Listen on addresses that other machines can reach"},
	{.name = "once",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(once),
	 .help = "End with the first connection"},
};

static const struct option_table option_table = {
	.title = "Server",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

/* The next connection, or -1 when the user wants to end. */
static int wait_for_connection(int listener)
{
	struct pollfd poll_fd = {.fd = listener, .events = POLLIN};

	while (!*interrupt_flag()) {
		if (poll(&poll_fd, 1, 200) <= 0)
			continue;
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

static void serve(struct gdbstub *stub, int listener, bool once)
{
	enum gdbstub_end end;

	do {
		int fd = wait_for_connection(listener);
		if (fd < 0)
			return;
		end = gdbstub_serve(stub, fd);
	} while (end != GDBSTUB_KILLED && !once);
}

/* Port 0 stands for any that is free: told is the one it became. */
static void tell_address(int listener, const char *asked)
{
	struct sockaddr_in bound = {0};
	socklen_t bytes = sizeof(bound);
	const char *colon = strrchr(asked, ':');

	if (colon && !strcmp(colon, ":0") &&
	    !getsockname(listener, (struct sockaddr *)&bound, &bytes) &&
	    bound.sin_family == AF_INET)
		printf("listening at %.*s:%u\n", (int)(colon - asked), asked,
		       ntohs(bound.sin_port));
	else
		printf("listening at %s\n", asked);
	fflush(stdout);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct serve_options values = {0};
	struct operands operands;
	struct gdbstub *stub = NULL;

	enum options_result parsed = options_parse(command, argc, argv, &values, &operands);
	if (parsed != OPTIONS_OK)
		return parsed == OPTIONS_DONE ? STATUS_OK : STATUS_USAGE;
	if (!values.listen) {
		message("serve: --listen ADDR is missing");
		return STATUS_USAGE;
	}
	interrupt_install();
	int status = debug_session_open(command->name, operands.item[0], &values.debug, &stub);
	if (status) {
		gdbstub_destroy(stub);
		return status;
	}
	int listener = debug_session_listen(values.listen, values.anywhere);
	if (listener >= 0) {
		tell_address(listener, values.listen);
		serve(stub, listener, values.once);
		close(listener);
	}
	gdbstub_destroy(stub);
	return listener < 0 ? STATUS_FAILED : STATUS_OK;
}

const struct command command_serve = {
	.name = "serve",
	.operands = "FILE",
	.summary = "A gdb server over a recording, for gdb and IDEs",
	.details = "Prints a line when it can be connected to. In gdb: target remote ADDR; then\n"
		   "reverse-stepi, reverse-continue and monitor help.",
	.tables = {&option_table, &debug_option_table},
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
