#include "tools/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "tools/cache.h"
#include "tools/command.h"
#include "tools/message.h"

#define KEPT_ROOTS 4                  /* the oldest are removed */
#define WHOLE_ROOT "????????????????" /* the key, as find_archive() prints it */

/* ---- programs ---- */

static int run_program(const char *const *arguments)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		dup2(open("/dev/null", O_RDWR), STDIN_FILENO);
		execvp(arguments[0], (char *const *)arguments);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return status ? -EIO : 0;
}

static void remove_tree(const char *path)
{
	run_program((const char *const[]){"rm", "-rf", "--", path, NULL});
}

/* The guest has a /dev of its own, and only root could make what lies in the archive's. */
static int unpack_archive(const char *archive, const char *into)
{
	return run_program((const char *const[]){
		"tar", "--extract", "--file", archive, "--directory", into, "--numeric-owner",
		"--preserve-permissions", "--exclude=./dev/*", "--exclude=dev/*",
		"--warning=no-timestamp", NULL});
}

/* ---- the cache ---- */

/* Where, when and how long: a file that is written anew is another. */
static int make_key(const char *archive, const struct stat *st, uint64_t *ret_key)
{
	char *real = realpath(archive, NULL), *text;

	if (!real)
		return -errno;
	int n = asprintf(&text, "%s %llu %lld.%09ld %llu", real, (unsigned long long)st->st_size,
			 (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
			 (unsigned long long)st->st_ino);
	free(real);
	if (n < 0)
		return -ENOMEM;
	*ret_key = XXH3_64bits(text, (size_t)n);
	free(text);
	return 0;
}

static int newer_first(const void *a, const void *b)
{
	struct stat st_a = {0}, st_b = {0};

	stat(*(char *const *)a, &st_a);
	stat(*(char *const *)b, &st_b);
	return st_a.st_ctime > st_b.st_ctime ? -1 : st_a.st_ctime < st_b.st_ctime;
}

/* A tree under its own name is whole: it gets another before anything of it goes. */
static void remove_root(const char *path)
{
	char aside[PATH_MAX + 64];

	snprintf(aside, sizeof(aside), "%s.%ld.old", path, (long)getpid());
	if (!rename(path, aside))
		remove_tree(aside);
}

/* Removes what the pattern finds in the cache, but for the newest. */
static void remove_found(const char *cache, const char *pattern, size_t n_kept,
			 void (*remove_one)(const char *path))
{
	char path[PATH_MAX + 32];
	glob_t found;

	snprintf(path, sizeof(path), "%s/%s", cache, pattern);
	if (glob(path, GLOB_NOSORT, NULL, &found))
		return;
	qsort(found.gl_pathv, found.gl_pathc, sizeof(char *), newer_first);
	for (size_t i = n_kept; i < found.gl_pathc; i++)
		remove_one(found.gl_pathv[i]);
	globfree(&found);
}

/* With the lock nobody else unpacks or removes: what has a longer name was left half done. */
static void remove_old(const char *cache)
{
	remove_found(cache, "rootfs-*.*", 0, remove_tree);
	remove_found(cache, "rootfs-" WHOLE_ROOT, KEPT_ROOTS, remove_root);
}

/* What `docker save` and other archives of images hold is not a root directory but its layers. */
static bool is_image_of_layers(const char *directory)
{
	char path[PATH_MAX + 128];

	snprintf(path, sizeof(path), "%s/manifest.json", directory);
	if (!access(path, F_OK))
		return true;
	snprintf(path, sizeof(path), "%s/oci-layout", directory);
	return !access(path, F_OK);
}

static int fill(const char *archive, const char *directory)
{
	if (mkdir(directory, 0755)) {
		message("%s: %s", directory, strerror(errno));
		return STATUS_FAILED;
	}
	if (unpack_archive(archive, directory)) {
		message("--rootfs %s: tar cannot unpack it", archive);
		return STATUS_FAILED;
	}
	if (is_image_of_layers(directory)) {
		message("--rootfs %s: this is an image with its layers; give the archive of a "
			"container, as docker export or podman export write it",
			archive);
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

static int make(const char *archive, const char *cache, const char *path)
{
	char new[PATH_MAX + 64];

	snprintf(new, sizeof(new), "%s.%ld.new", path, (long)getpid());
	int status = fill(archive, new);
	if (!status && rename(new, path)) {
		message("%s: %s", path, strerror(errno));
		status = STATUS_FAILED;
	}
	if (status)
		remove_tree(new);
	else
		remove_old(cache);
	return status;
}

/* One process unpacks, others that want it wait. */
static int make_locked(const char *archive, const char *cache, const char *path, bool tell)
{
	char lock[PATH_MAX + 64];
	int status = STATUS_OK;

	snprintf(lock, sizeof(lock), "%s/rootfs.lock", cache);
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		flock(fd, LOCK_EX);
	if (access(path, F_OK)) {
		if (tell)
			message("unpacking %s, once until it changes", archive);
		status = make(archive, cache, path);
	}
	if (fd >= 0)
		close(fd);
	return status;
}

static int find_archive(const char *archive, const struct stat *st, bool tell, char **ret_path)
{
	char cache[PATH_MAX], *path = NULL;
	uint64_t key = 0;
	int error = cache_directory(cache);

	if (!error)
		error = make_key(archive, st, &key);
	if (!error && asprintf(&path, "%s/rootfs-%016" PRIx64, cache, key) < 0)
		error = -ENOMEM;
	if (error) {
		message("--rootfs %s: there is no cache to unpack it to: %s", archive,
			strerror(-error));
		return STATUS_FAILED;
	}
	int status = access(path, F_OK) ? make_locked(archive, cache, path, tell) : STATUS_OK;
	if (status)
		free(path);
	else
		*ret_path = path;
	return status;
}

int rootfs_find(const char *given, bool tell, char **ret_path)
{
	struct stat st;

	if (stat(given, &st)) {
		message("--rootfs %s: %s", given, strerror(errno));
		return STATUS_FAILED;
	}
	if (!S_ISDIR(st.st_mode))
		return find_archive(given, &st, tell, ret_path);
	*ret_path = strdup(given);
	return *ret_path ? STATUS_OK : STATUS_FAILED;
}
