#include "tools/reprise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/command.h"
#include "tools/file_limit.h"
#include "tools/message.h"

static const struct command *const commands[] = {
	&command_run,   &command_hunt,    &command_record, &command_replay, &command_gdb,
	&command_serve, &command_symbols, &command_info,   &command_dump,   &command_check,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
	puts("Usage: reprise COMMAND [options] …\n"
	     "Records a whole x86-64 Linux guest while it runs and replays it, instruction for "
	     "instruction.\n\nCommands:");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %-8s %s\n", commands[i]->name, commands[i]->summary);
	puts("\nOther:\n"
	     "  -h, --help     Show this help; reprise COMMAND --help for a command's\n"
	     "      --version  Show the version\n\n"
	     "Exit status: the guest command's for run and for replay of a run; of hunt 1 when\n"
	     "it found a failure; otherwise 0, 2 usage, 3 diverged, 4 bad or damaged file,\n"
	     "125 reprise itself failed.");
}

/* Makes sure that no file opened later becomes stdin, stdout or stderr. Where there is no /dev, a
 * file without a name does as well. */
static int hold_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0 &&
		    memfd_create("null", 0) < 0)
			return -errno;
	return 0;
}

static int run_command(int argc, char **argv)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(commands[i]->name, argv[1]))
			return commands[i]->run(commands[i], argc - 1, argv + 1);
	}
	message("'%s' is not a command (see reprise --help)", argv[1]);
	return STATUS_USAGE;
}

static int dispatch(int argc, char **argv)
{
	if (argc < 2) {
		message("a command is missing (see reprise --help)");
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_help();
		return STATUS_OK;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("reprise " REPRISE_VERSION);
		return STATUS_OK;
	}
	if (argv[1][0] == '-') {
		message("unknown option %s (see reprise --help)", argv[1]);
		return STATUS_USAGE;
	}
	return run_command(argc, argv);
}

int reprise_main(int argc, char **argv)
{
	int err = hold_standard_fds();

	if (err)
		return STATUS_FAILED;
	/* Where the parent ignores it, programs that are started here could not be waited for. */
	signal(SIGCHLD, SIG_DFL);
	file_limit_survive();
	int status = dispatch(argc, argv);
	if (fflush(stdout) || ferror(stdout)) {
		message("standard output: cannot be written");
		return status ? status : STATUS_FAILED;
	}
	return status;
}
