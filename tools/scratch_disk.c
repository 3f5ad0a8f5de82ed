#include "tools/scratch_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Not in every user's PATH. */
static const char *const programs[] = {"/sbin/mkfs.ext4", "/usr/sbin/mkfs.ext4",
				       "/usr/bin/mkfs.ext4"};

/* No journal: nothing is to survive. Identifiers and times are constants, so that two guests that
 * do the same read the same. */
static char features[] = "^has_journal,^resize_inode";
#define DETAILS                                                                                    \
	"lazy_itable_init=1,nodiscard,root_owner=0:0,hash_seed=7c1d8f0e-2a51-4c6b-9d37-%012u"
static char uuid[] = "7c1d8f0e-2a51-4c6b-9d37-000000000002";

static char *const environment[] = {"E2FSPROGS_FAKE_TIME=1704067200", NULL};

static const char *find_program(void)
{
	for (size_t i = 0; i < LENGTH(programs); i++)
		if (!access(programs[i], X_OK))
			return programs[i];
	return NULL;
}

static int open_file(const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *path;

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd >= 0 ? fd : -errno;
	/* A file system that cannot make files without a name. */
	if (asprintf(&path, "%s/reprise-XXXXXX", directory) < 0)
		return -ENOMEM;
	fd = mkostemp(path, O_CLOEXEC);
	int error = -errno;
	if (fd >= 0)
		unlink(path);
	free(path);
	return fd >= 0 ? fd : error;
}

static int open_somewhere(void)
{
	const char *chosen = getenv("TMPDIR");
	int fd = chosen ? open_file(chosen) : -ENOENT;

	if (fd < 0)
		fd = open_file("/var/tmp");
	return fd < 0 ? open_file("/tmp") : fd;
}

/* Runs mkfs on the file as its descriptor 3, with its output thrown away. */
static int start(const char *program, int fd, unsigned variant, pid_t *ret_pid)
{
	char details[sizeof(DETAILS) + 10];
	char *const argv[] = {
		(char *)program,   "-q", "-F", "-m", "0", "-O", features, "-E", details, "-U", uuid,
		"/proc/self/fd/3", NULL};
	posix_spawn_file_actions_t actions;

	snprintf(details, sizeof(details), DETAILS, variant + 1);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, 0, 1);
	posix_spawn_file_actions_adddup2(&actions, 0, 2);
	posix_spawn_file_actions_adddup2(&actions, fd, 3);
	int error = posix_spawn(ret_pid, program, &actions, NULL, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

int scratch_disk_format(int fd, unsigned variant)
{
	const char *program = find_program();
	int status;
	pid_t pid;

	if (!program)
		return -ENOENT;
	int error = start(program, fd, variant, &pid);
	if (error)
		return error;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

int scratch_disk_open(uint64_t bytes, int *ret_fd)
{
	int fd = find_program() ? open_somewhere() : -ENOENT;

	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)bytes)) {
		int error = -errno;
		close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

/* Copies [from, end) of the file. */
static int copy_range(int in, int out, off_t from, off_t end)
{
	uint8_t piece[65536];

	while (from < end) {
		size_t n = end - from < (off_t)sizeof(piece) ? (size_t)(end - from) : sizeof(piece);
		ssize_t got = pread(in, piece, n, from);
		if (got <= 0)
			return got ? -errno : -EIO;
		ssize_t put = pwrite(out, piece, (size_t)got, from);
		if (put <= 0)
			return put ? -errno : -EIO;
		from += put;
	}
	return 0;
}

int scratch_disk_copy(int in, int out)
{
	off_t bytes = lseek(in, 0, SEEK_END), from = 0, end;
	int error = bytes < 0 || ftruncate(out, 0) || ftruncate(out, bytes) ? -errno : 0;

	/* Behind the last data lseek says ENXIO. */
	while (!error && (from = lseek(in, from, SEEK_DATA)) >= 0) {
		end = lseek(in, from, SEEK_HOLE);
		error = end < 0 ? -errno : copy_range(in, out, from, end);
		from = end;
	}
	return error || errno == ENXIO ? error : -errno;
}
