#include "tools/libraries.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Lines are "NAME => PATH (ADDRESS)", "PATH (ADDRESS)", "NAME => not found", "NAME (ADDRESS)" for
 * the vDSO, and remarks about files that are not dynamic.
 */
char *libraries_parse_line(char *line)
{
	char *arrow = strstr(line, " => ");
	char *path = arrow ? arrow + 4 : line + strspn(line, " \t");
	char *end = strstr(path, " (0x");

	if (*path != '/' || !end)
		return NULL;
	*end = 0;
	return path;
}

/* Starts ldd with its output in a pipe. Returns 0 or a negative errno. */
static int start_ldd(const char *path, pid_t *ret_pid, FILE **ret_output)
{
	char *argv[] = {"ldd", (char *)path, NULL};
	posix_spawn_file_actions_t actions;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	int err = -posix_spawnp(ret_pid, "ldd", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	*ret_output = err ? NULL : fdopen(fds[0], "r");
	if (!*ret_output)
		close(fds[0]);
	return err || *ret_output ? err : -ENOMEM;
}

int libraries_each(const char *path, int (*fn)(void *ctx, const char *library), void *ctx)
{
	pid_t pid = 0;
	FILE *output = NULL;
	char *line = NULL;
	size_t capacity = 0;

	int err = start_ldd(path, &pid, &output);
	if (err)
		return err;
	while (!err && getline(&line, &capacity, output) >= 0) {
		const char *library = libraries_parse_line(line);
		if (library)
			err = fn(ctx, library);
	}
	free(line);
	fclose(output);
	/* Its status says no more than "not dynamic", which is no error. */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return err;
}
