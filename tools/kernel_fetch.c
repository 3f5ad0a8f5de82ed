#include "tools/kernel_fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cache.h"
#include "tools/kernel.h"
#include "tools/message.h"

#define PROBLEM_BYTES 400

/* fetch_kernel_blob.S */
extern const char fetch_kernel_script[];

__attribute__((noreturn)) static void run_script(const char *into, int problem_fd)
{
	int nothing = open("/dev/null", O_RDWR);

	dup2(nothing, STDIN_FILENO);
	dup2(nothing, STDOUT_FILENO);
	dup2(problem_fd, STDERR_FILENO);
	execl("/bin/sh", "sh", "-c", fetch_kernel_script, "fetch-kernel.sh", into, (char *)NULL);
	_exit(127);
}

/* The first line of what the script says. */
static void read_problem(int fd, char problem[PROBLEM_BYTES])
{
	char rest[256];
	size_t used = 0;
	ssize_t n;

	while (used < PROBLEM_BYTES - 1 &&
	       (n = read(fd, problem + used, PROBLEM_BYTES - 1 - used)) > 0)
		used += (size_t)n;
	while (read(fd, rest, sizeof(rest)) > 0)
		;
	problem[used] = '\0';
	problem[strcspn(problem, "\n")] = '\0';
}

static int fetch(const char *into)
{
	char problem[PROBLEM_BYTES];
	int ends[2], status;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	pid_t pid = fork();
	if (!pid)
		run_script(into, ends[1]);
	close(ends[1]);
	if (pid > 0)
		read_problem(ends[0], problem);
	close(ends[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	if (!status)
		return 0;
	message("no kernel could be downloaded: %s; name one with --kernel", problem);
	return -ENOENT;
}

/* One process fetches, others that want a kernel wait. */
static int fetch_locked(bool tell, const char *root, const char *boot, char **ret_path)
{
	char lock[PATH_MAX + 64];

	snprintf(lock, sizeof(lock), "%s.lock", root);
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600), error = 0;
	if (fd >= 0)
		flock(fd, LOCK_EX);
	if (kernel_find_newest(boot, ret_path)) {
		if (tell)
			message("no kernel here can be read: downloading a package to %s", root);
		error = fetch(root);
		if (!error)
			error = kernel_find_newest(boot, ret_path);
	}
	if (fd >= 0)
		close(fd);
	return error;
}

int kernel_fetch(bool tell, char **ret_path)
{
	char directory[PATH_MAX], root[PATH_MAX + 16], boot[PATH_MAX + 32];
	int error = cache_directory(directory);

	if (error) {
		message("no kernel here can be read, and there is no cache to download one to: %s",
			strerror(-error));
		return error;
	}
	snprintf(root, sizeof(root), "%s/kernel", directory);
	snprintf(boot, sizeof(boot), "%s/boot", root);
	return kernel_find_newest(boot, ret_path) ? fetch_locked(tell, root, boot, ret_path) : 0;
}
