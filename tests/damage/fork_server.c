/*
 * Runs the reprise command again and again, each time in a child that is forked when all is loaded:
 * with sanitizers a process spends most of its time on being started.
 *
 * Each line of stdin is a command: the files that its stdout and stderr go to and its arguments,
 * apart by tabs. The answer is two lines: the process, when it runs; its wait status and the most
 * memory that it used, in KiB, when it has ended.
 *
 * Sanitizers look for leaks when a process exits, which takes longer than the command: one child in
 * LEAK_CHECK_EVERY does so.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/reprise.h"

#define MAX_ARGUMENTS    16
#define LEAK_CHECK_EVERY 7 /* no multiple of a number of commands that are run in turn */

static void redirect(const char *path, int flags, int fd)
{
	int file = open(path, flags, 0600);

	if (file < 0 || dup2(file, fd) < 0) {
		perror(path);
		_exit(1);
	}
	close(file);
}

static _Noreturn void run(char *line, bool check_leaks)
{
	char *out = strtok(line, "\t\n"), *error = strtok(NULL, "\t\n");
	char *arguments[MAX_ARGUMENTS + 2] = {"reprise"};
	int n = 1;

	while (n <= MAX_ARGUMENTS && (arguments[n] = strtok(NULL, "\t\n")))
		n++;
	if (!error || n == 1 || arguments[n]) {
		fputs("not a command\n", stderr);
		_exit(1);
	}
	redirect("/dev/null", O_RDONLY, STDIN_FILENO);
	redirect(out, O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
	redirect(error, O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
	int status = reprise_main(n, arguments);
	if (check_leaks)
		exit(status);
	_exit(status);
}

int main(void)
{
	char line[4096];

	for (unsigned n = 0; fgets(line, sizeof(line), stdin); n++) {
		struct rusage usage;
		int status;
		pid_t child = fork();
		if (!child)
			run(line, n % LEAK_CHECK_EVERY == 0);
		printf("%d\n", child);
		fflush(stdout);
		if (child < 0 || wait4(child, &status, 0, &usage) != child)
			return 1;
		printf("%d %ld\n", status, usage.ru_maxrss);
		fflush(stdout);
	}
	return 0;
}
