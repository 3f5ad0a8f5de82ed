/* reprise gdb: server and gdb together. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/debug_session.h"
#include "tools/interrupt.h"
#include "tools/kernel_elf.h"
#include "tools/message.h"

#define GDB_MAX_ARGUMENTS 256
#define PATH_BYTES        64
#define END_MS            2000 /* in which gdb may end by itself */

struct gdb_options {
	struct debug_options debug; /* the first: debug_option_table */
	const char *gdb, *vmlinux;
	bool kernel_symbols;
};

#define FIELD(member) offsetof(struct gdb_options, member)

static const struct option options[] = {
	{.name = "gdb",
	 .kind = OPTION_STRING,
	 .offset = FIELD(gdb),
	 .argument = "PROGRAM",
	 .help = "The gdb to start (default: gdb)"},
	{.name = "kernel-symbols",
	 .kind = OPTION_FLAG,
	 .negatable = true,
	 .offset = FIELD(kernel_symbols),
	 .help = "Symbols and types of the guest's kernel from its memory (default)"},
	{.name = "vmlinux",
	 .kind = OPTION_STRING,
	 .offset = FIELD(vmlinux),
	 .argument = "FILE",
	 .help = "Symbols of the guest's kernel from this file instead"},
};

static const struct option_table option_table = {
	.title = "gdb",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

/* A folder with the socket, gdb's commands, and the kernel's symbols. */
struct meeting {
	char folder[PATH_BYTES], socket[PATH_BYTES + 8], script[PATH_BYTES + 8];
	char symbols[PATH_BYTES + 8];
	int listener;
};

/* Registers and memory are as of where the server is: gdb has to be told when that moves. What
 * would change the past gdb refuses itself, in words of its own. */
static const char gdb_commands[] =
	"set $_reprise_confirm = $_gdb_setting(\"confirm\")\n"
	"set confirm off\n" /* what is defined already is defined anew without a question */
	"define seek\n"
	"monitor seek $arg0\n"
	"maintenance flush register-cache\n"
	"maintenance flush dcache\n"
	"frame\n"
	"end\n"
	"document seek\n"
	"Go to an instruction count of the recording, to its start or its end.\n"
	"end\n"
	"set may-write-memory off\n"
	"set may-call-functions off\n";

/* gdb does not say whose a step back is (gdb 13, remote.c): it is that of the thread whose life it
 * has asked about last. After "thread apply" that is another than the selected one. */
static const char hook[] = "define hook-%s\n"
			   "if $_thread\n"
			   "eval \"thread apply %%d -q echo\", $_thread\n"
			   "end\n"
			   "end\n";

static const char *const hooked[] = {"stepi", "nexti", "step", "next", "until", "finish"};

/* gdb's own recording would lie over this one, write to it, and leave its thread "running". */
static const char no_record[] = "define record\n"
				"echo This is a recording: going back needs no record.\\n\n"
				"end\n"
				"define record full\n"
				"record\n"
				"end\n"
				"define target record-full\n"
				"record\n"
				"end\n";

/* As the user has it. */
static const char confirm_again[] = "if $_reprise_confirm\n"
				    "set confirm on\n"
				    "end\n";

static int write_script(const struct meeting *meeting)
{
	FILE *out = fopen(meeting->script, "we");

	if (!out)
		return -errno;
	fputs(gdb_commands, out);
	for (size_t i = 0; i < sizeof(hooked) / sizeof(hooked[0]); i++)
		fprintf(out, hook, hooked[i]);
	fputs(no_record, out);
	fputs(confirm_again, out);
	return fclose(out) ? -errno : 0;
}

/* How a path is written in a command of gdb's. */
static void print_quoted(FILE *out, const char *path)
{
	fputc('"', out);
	for (; *path; path++) {
		if (*path == '"' || *path == '\\')
			fputc('\\', out);
		fputc(*path, out);
	}
	fputc('"', out);
}

/* Appends the commands that load a symbol file. As the executable too: without one gdb complains
 * that there is none. */
static int load_symbols(const struct meeting *meeting, const char *path, uint64_t offset)
{
	FILE *out = fopen(meeting->script, "ae");

	if (!out) {
		message("%s: %s", meeting->script, strerror(errno));
		return STATUS_FAILED;
	}
	fputs("exec-file ", out);
	print_quoted(out, path);
	fputs("\nsymbol-file ", out);
	if (offset)
		fprintf(out, "-o 0x%" PRIx64 " ", offset);
	print_quoted(out, path);
	fputc('\n', out);
	return fclose(out) ? STATUS_FAILED : STATUS_OK;
}

/* Symbols of the guest's kernel: the user's, or those that are made here. */
static int add_symbols(struct gdbstub *stub, const struct meeting *meeting,
		       const struct gdb_options *values)
{
	uint64_t offset;

	if (values->debug.process)
		return STATUS_OK;
	if (values->vmlinux) {
		int status = kernel_elf_offset(stub, values->vmlinux, &offset);
		return status ? status : load_symbols(meeting, values->vmlinux, offset);
	}
	if (!values->kernel_symbols)
		return STATUS_OK;
	const struct kernel *kernel = gdbstub_kernel_ahead(stub);
	if (!kernel) {
		message("no symbols: there is no Linux kernel in the guest's memory here");
		return STATUS_OK;
	}
	int status = kernel_elf_write(stub, kernel, meeting->symbols);
	return status ? status : load_symbols(meeting, meeting->symbols, 0);
}

static int open_meeting(struct meeting *meeting)
{
	const char *temporary = getenv("TMPDIR");

	*meeting = (struct meeting){.listener = -1};
	snprintf(meeting->folder, sizeof(meeting->folder), "%s/reprise-gdb-XXXXXX",
		 temporary && strlen(temporary) < 32 ? temporary : "/tmp");
	if (!mkdtemp(meeting->folder)) {
		message("%s: %s", meeting->folder, strerror(errno));
		meeting->folder[0] = '\0';
		return STATUS_FAILED;
	}
	snprintf(meeting->socket, sizeof(meeting->socket), "%s/socket", meeting->folder);
	snprintf(meeting->script, sizeof(meeting->script), "%s/gdb", meeting->folder);
	snprintf(meeting->symbols, sizeof(meeting->symbols), "%s/kernel", meeting->folder);
	int error = write_script(meeting);
	if (error) {
		message("%s: %s", meeting->script, strerror(-error));
		return STATUS_FAILED;
	}
	meeting->listener = debug_session_listen(meeting->socket, false);
	return meeting->listener < 0 ? STATUS_FAILED : STATUS_OK;
}

static void close_meeting(const struct meeting *meeting)
{
	if (!meeting->folder[0])
		return;
	if (meeting->listener >= 0)
		close(meeting->listener);
	unlink(meeting->socket);
	unlink(meeting->script);
	unlink(meeting->symbols);
	rmdir(meeting->folder);
}

/*
 * Nothing that lies around on this machine or in the network is loaded because of what a recording
 * says: it may come from anyone.
 */
static void exec_gdb(const char *program, const struct meeting *meeting,
		     const struct operands *user)
{
	const char *arguments[GDB_MAX_ARGUMENTS + 16];
	char connect[PATH_BYTES + 32];
	unsigned n = 0;

	snprintf(connect, sizeof(connect), "target remote %s", meeting->socket);
	arguments[n++] = program;
	arguments[n++] = "-iex";
	arguments[n++] = "set auto-load off";
	arguments[n++] = "-iex";
	arguments[n++] = "set debuginfod enabled off";
	arguments[n++] = "-ix";
	arguments[n++] = meeting->script;
	arguments[n++] = "-ex";
	arguments[n++] = connect;
	for (int i = 1; i < user->n && n < GDB_MAX_ARGUMENTS; i++)
		arguments[n++] = user->item[i];
	arguments[n] = NULL;
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	execvp(program, (char *const *)arguments);
	message("%s: cannot be started: %s", program, strerror(errno));
	_exit(STATUS_FAILED);
}

/* It has a moment to set the terminal back. Where the kernel has no descriptors of processes, all
 * of it passes. */
static void end_gdb(pid_t gdb)
{
	struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, gdb, 0), .events = POLLIN};

	kill(gdb, SIGTERM);
	poll(&ended, 1, END_MS);
	if (ended.fd >= 0)
		close(ended.fd);
	kill(gdb, SIGKILL);
	waitpid(gdb, NULL, 0);
}

/* Serves gdb until it ends, or a signal ends both. Returns its exit status. */
static int serve_until_exit(struct gdbstub *stub, int listener, pid_t gdb)
{
	struct pollfd poll_fd = {.fd = listener, .events = POLLIN};
	int status;

	for (;;) {
		pid_t ended = waitpid(gdb, &status, WNOHANG);
		if (ended < 0)
			return STATUS_FAILED;
		if (ended == gdb)
			break;
		if (*interrupt_flag()) {
			end_gdb(gdb);
			return STATUS_SIGNAL_BASE + *interrupt_flag();
		}
		if (poll(&poll_fd, 1, 50) <= 0)
			continue;
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			gdbstub_serve(stub, fd);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_SIGNAL_BASE + WTERMSIG(status);
}

/* The terminal's ^C is gdb's: it sends it on. */
static int run_gdb(struct gdbstub *stub, const struct gdb_options *values,
		   const struct operands *user)
{
	struct meeting meeting;
	int status = open_meeting(&meeting);

	if (!status)
		status = add_symbols(stub, &meeting, values);
	if (!status && *interrupt_flag())
		status = STATUS_SIGNAL_BASE + *interrupt_flag();
	if (!status) {
		signal(SIGINT, SIG_IGN);
		signal(SIGQUIT, SIG_IGN);
		pid_t gdb = fork();
		if (!gdb)
			exec_gdb(values->gdb, &meeting, user);
		status = gdb < 0 ? STATUS_FAILED : serve_until_exit(stub, meeting.listener, gdb);
	}
	close_meeting(&meeting);
	return status;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct gdb_options values = {.gdb = "gdb", .kernel_symbols = true};
	struct operands operands;
	struct gdbstub *stub = NULL;

	enum options_result parsed = options_parse(command, argc, argv, &values, &operands);
	if (parsed != OPTIONS_OK)
		return parsed == OPTIONS_DONE ? STATUS_OK : STATUS_USAGE;
	interrupt_install();
	int status = debug_session_open(command->name, operands.item[0], &values.debug, &stub);
	if (!status)
		status = run_gdb(stub, &values, &operands);
	gdbstub_destroy(stub);
	return status;
}

const struct command command_gdb = {
	.name = "gdb",
	.operands = "FILE [-- GDB-ARGUMENT…]",
	.summary = "Replay a recording under gdb, forwards and backwards",
	.details = "gdb starts at the end of the recording; reverse-stepi, reverse-continue and\n"
		   "watchpoints lead back. In gdb: seek N, monitor help. Symbols and types of the\n"
		   "guest's kernel come from its memory.",
	.tables = {&option_table, &debug_option_table},
	.min_operands = 1,
	.max_operands = GDB_MAX_ARGUMENTS,
	.run = run,
};
