/*
 * A path from the guest is taken apart and followed name by name below a directory that is open,
 * and never over a link, so that nothing outside of what the user named can be reached.
 */
#include "tools/guest_results.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/command.h"
#include "tools/guest/agent.h"
#include "tools/message.h"

#define PIECE_BYTES 65536
#define NS_PER_S    INT64_C(1000000000)

struct result {
	mode_t mode;
	uint64_t bytes;
	struct timespec mtime;
	char path[PATH_MAX];
};

static uint64_t get_le(const uint8_t *at, unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

/* Before 1970 the seconds are negative, and the nanoseconds count upwards all the same. */
static struct timespec from_ns(int64_t ns)
{
	int64_t s = ns / NS_PER_S - (ns % NS_PER_S < 0);

	return (struct timespec){.tv_sec = s, .tv_nsec = ns - s * NS_PER_S};
}

static int read_exactly(FILE *in, void *data, size_t n)
{
	return fread(data, 1, n, in) == n ? 0 : -EBADMSG;
}

/* Returns 1, 0 at the end, or a negative errno. */
static int read_head(FILE *in, struct result *ret_result)
{
	uint8_t head[AGENT_RESULT_HEAD_BYTES];
	int error = read_exactly(in, head, sizeof(head));

	if (error)
		return error;
	size_t n = get_le(head + 4, 4);
	ret_result->mode = (mode_t)get_le(head, 4);
	ret_result->bytes = get_le(head + 8, 8);
	ret_result->mtime = from_ns((int64_t)get_le(head + 16, 8));
	if (!ret_result->mode)
		return 0;
	if (!n || n >= PATH_MAX)
		return -EBADMSG;
	error = read_exactly(in, ret_result->path, n);
	ret_result->path[n] = 0;
	return error ? error : strlen(ret_result->path) == n ? 1 : -EBADMSG;
}

/* The number of the user's path that a result lies at or below, or -EBADMSG. Sets *ret_rest to what
 * follows. */
static int find_named(const struct option_list *paths, const char *path, const char **ret_rest)
{
	for (unsigned i = 0; i < paths->n; i++) {
		size_t n = strlen(paths->item[i]);

		if (strncmp(path, paths->item[i], n) || (path[n] && path[n] != '/'))
			continue;
		*ret_rest = path + n + strspn(path + n, "/");
		return (int)i;
	}
	return -EBADMSG;
}

static bool is_plain_name(const char *name, size_t n)
{
	return n && n <= NAME_MAX && !(n == 1 && name[0] == '.') &&
	       !(n == 2 && name[0] == '.' && name[1] == '.');
}

/* Follows rest from the directory up to its last name. Returns a directory's descriptor, with the
 * name in ret_name, or a negative errno. Takes over the directory's descriptor. */
static int descend(int directory, const char *rest, char ret_name[NAME_MAX + 1])
{
	for (;;) {
		size_t n = strcspn(rest, "/");
		int next = -EBADMSG;

		if (is_plain_name(rest, n)) {
			snprintf(ret_name, NAME_MAX + 1, "%.*s", (int)n, rest);
			if (!rest[n])
				return directory;
			next = openat(directory, ret_name,
				      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (next < 0)
				next = -errno;
		}
		close(directory);
		if (next < 0)
			return next;
		directory = next;
		rest += n + strspn(rest + n, "/");
	}
}

/* Where the last name of a path begins. Returns its length, 0 if it is none that a result can have.
 */
static size_t find_last_name(const char *path, size_t *ret_start)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	size_t start = n;
	while (start && path[start - 1] != '/')
		start--;
	*ret_start = start;
	return is_plain_name(path + start, n - start) ? n - start : 0;
}

/* The user's own path may go over links: it is split at its last name. */
static int open_parent(const char *named, const char *rest, char ret_name[NAME_MAX + 1])
{
	char parent[PATH_MAX];

	if (rest[0]) {
		int fd = open(named, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? -errno : descend(fd, rest, ret_name);
	}
	size_t start, n = find_last_name(named, &start);
	if (!n)
		return -EINVAL;
	snprintf(parent, sizeof(parent), "%.*s", start ? (int)start : 1, start ? named : ".");
	snprintf(ret_name, NAME_MAX + 1, "%.*s", (int)n, named + start);
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int copy_content(FILE *in, int fd, uint64_t bytes)
{
	static char piece[PIECE_BYTES];

	while (bytes) {
		size_t n = bytes < PIECE_BYTES ? (size_t)bytes : PIECE_BYTES;
		int error = read_exactly(in, piece, n);

		if (error)
			return error;
		for (size_t done = 0; done < n && fd >= 0;) {
			ssize_t put = write(fd, piece + done, n - done);
			if (put < 0)
				return -errno;
			done += (size_t)put;
		}
		bytes -= n;
	}
	return 0;
}

/* A file takes the place of what has its name, at once and whole. */
static int write_file(FILE *in, int parent, const char *name, const struct result *result)
{
	const struct timespec times[2] = {result->mtime, result->mtime};
	char temporary[32];

	snprintf(temporary, sizeof(temporary), ".reprise-%ld", (long)getpid());
	unlinkat(parent, temporary, 0);
	int fd = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int error = copy_content(in, fd, result->bytes);
	if (!error && (fchmod(fd, result->mode & 0777) || futimens(fd, times)))
		error = -errno;
	if (close(fd) && !error)
		error = -errno;
	if (!error && renameat(parent, temporary, parent, name))
		error = -errno;
	if (error)
		unlinkat(parent, temporary, 0);
	return error;
}

static int make_link(FILE *in, int parent, const char *name, const struct result *result)
{
	char target[PATH_MAX];

	if (result->bytes >= sizeof(target))
		return -EBADMSG;
	int error = read_exactly(in, target, result->bytes);
	if (error)
		return error;
	target[result->bytes] = 0;
	if (unlinkat(parent, name, 0) && errno != ENOENT)
		return -errno;
	return symlinkat(target, parent, name) ? -errno : 0;
}

static int make_directory(int parent, const char *name, const struct result *result)
{
	if (!mkdirat(parent, name, (result->mode & 0777) | 0700) || errno == EEXIST)
		return 0;
	return -errno;
}

/* Goes on behind a result whose content begins at start. */
static int skip_content(FILE *in, off_t start, const struct result *result)
{
	if (result->bytes > (uint64_t)(INT64_MAX - start))
		return -EBADMSG;
	return fseeko(in, start + (off_t)result->bytes, SEEK_SET) ? -errno : 0;
}

/* The guest has a copy of the recording as it was in the middle, where it lies among the results.
 */
static bool is_recording(int parent, const char *name, const struct stat *recording)
{
	struct stat st;

	return !fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) && st.st_dev == recording->st_dev &&
	       st.st_ino == recording->st_ino;
}

static int unpack_one(FILE *in, const struct result *result, const char *named, const char *rest,
		      const struct stat *recording)
{
	char name[NAME_MAX + 1];
	int parent = open_parent(named, rest, name), error = -EBADMSG;

	if (parent < 0)
		return parent;
	if (is_recording(parent, name, recording))
		error = skip_content(in, ftello(in), result);
	else if (S_ISREG(result->mode))
		error = write_file(in, parent, name, result);
	else if (S_ISLNK(result->mode))
		error = make_link(in, parent, name, result);
	else if (S_ISDIR(result->mode))
		error = make_directory(parent, name, result);
	close(parent);
	return error;
}

static int fail(const char *path, int error)
{
	if (error == -EBADMSG)
		message("run: what the guest sent back is incomplete or damaged");
	else
		message("run: %s: cannot be copied back: %s", path, strerror(-error));
	return STATUS_FAILED;
}

/* What has become of a path that the user named. */
enum fate { FATE_MISSING, FATE_UNPACKED, FATE_FAILED };

/* A result at or below the path of number owner. A path may be named twice, or below another. */
static void note_fate(const struct option_list *paths, const struct result *result, int owner,
		      bool failed, enum fate *fates)
{
	for (int i = 0; i < (int)paths->n; i++) {
		bool itself = !strcmp(paths->item[i], result->path);

		if (failed && (itself || i == owner))
			fates[i] = FATE_FAILED;
		else if (itself && fates[i] == FATE_MISSING)
			fates[i] = FATE_UNPACKED;
	}
}

/* One line for each path that the user named. Fails only where nothing behind can be read. */
static int unpack_next(FILE *in, const struct result *result, const struct option_list *paths,
		       const struct stat *recording, enum fate *fates)
{
	const char *rest;
	off_t start = ftello(in);
	int i = find_named(paths, result->path, &rest);
	int error = i < 0 ? i : unpack_one(in, result, paths->item[i], rest, recording);

	if (error == -EBADMSG)
		return error;
	if (error && fates[i] != FATE_FAILED)
		fail(result->path, error);
	note_fate(paths, result, i, error, fates);
	return error ? skip_content(in, start, result) : 0;
}

static int tell_missing(const struct option_list *paths, const enum fate *fates)
{
	int status = STATUS_OK;

	for (unsigned i = 0; i < paths->n; i++) {
		if (fates[i] == FATE_MISSING)
			fail(paths->item[i], -ENOENT);
		if (fates[i] != FATE_UNPACKED)
			status = STATUS_FAILED;
	}
	return status;
}

static int unpack_all(FILE *in, const struct option_list *paths, const struct stat *recording)
{
	struct result result = {0};
	enum fate fates[OPTION_LIST_MAX] = {FATE_MISSING};
	int more, error = 0;

	while (!error && (more = read_head(in, &result)) != 0)
		error = more < 0 ? more : unpack_next(in, &result, paths, recording, fates);
	return error ? fail(result.path, error) : tell_missing(paths, fates);
}

int guest_results_check(const struct option_list *paths)
{
	size_t start;

	for (unsigned i = 0; i < paths->n; i++) {
		if (find_last_name(paths->item[i], &start))
			continue;
		message("run: --result %s: no name of a file or directory; name what lies in it",
			paths->item[i]);
		return STATUS_USAGE;
	}
	return STATUS_OK;
}

int guest_results_unpack(int fd, const struct option_list *paths, const char *recording)
{
	struct stat kept;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *in = copy >= 0 ? fdopen(copy, "r") : NULL;

	if (!in || fseek(in, 0, SEEK_SET)) {
		message("run: the results: %s", strerror(errno));
		if (in)
			fclose(in);
		return STATUS_FAILED;
	}
	if (stat(recording, &kept))
		kept = (struct stat){0}; /* no file's */
	int status = unpack_all(in, paths, &kept);
	fclose(in);
	return status;
}
