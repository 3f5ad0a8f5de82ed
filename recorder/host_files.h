/*
 * The host's files as a guest sees them: a tree of nodes below a root directory, made as they are
 * looked up, read-only. Paths that are denied can be seen but not opened; the host's own /dev,
 * /proc and /sys seem empty, since a guest has its own.
 *
 * Node and handle numbers are given out in order, entries of a directory come sorted, and times of
 * access are left out, so that the same files asked for in the same way give the same answers.
 */
#ifndef REPRISE_RECORDER_HOST_FILES_H
#define REPRISE_RECORDER_HOST_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#define HOST_FILES_ROOT UINT64_C(1) /* the root's node */

struct host_files;

struct host_files_config {
	const char *root;          /* "/", or the directory that is to be the guest's / */
	const char *const *denied; /* absolute paths on the host, without links; may be NULL */
	unsigned n_denied;
	/* Directories have neither times nor sizes: files that come and go beside those that the
	 * guest reads make no difference. */
	bool steady;
	/* Optional: these names, and names with one of these as their extension (NULL-terminated),
	 * are not to be found in that directory of the host, whose path has no links; they outlive
	 * the tree. Recordings grow, come and go there while guests run. */
	const char *hidden_in;
	const char *const *hidden_names;
};

/* Returns 0, -ENOMEM, or the errno of a root that is no directory that can be read. */
int host_files_create(const struct host_files_config *config, struct host_files **ret_files);
void host_files_destroy(struct host_files *files);

/* All but the root's node and every handle become void. What was opened stays known. */
void host_files_reset(struct host_files *files);

/*
 * All of these return 0 or a negative errno: -ESTALE for a node, -EBADF for a handle that was not
 * given out, -EACCES for what is denied, or the host's.
 */

/* name has no slash; "." and ".." are the node itself and its parent. */
int host_files_lookup(struct host_files *files, uint64_t parent, const char *name,
		      uint64_t *ret_node, struct stat *ret_stat);
int host_files_stat(struct host_files *files, uint64_t node, struct stat *ret_stat);
/* Returns the link's length, at most n, or a negative errno. */
ssize_t host_files_read_link(const struct host_files *files, uint64_t node, char *buffer, size_t n);
int host_files_space(const struct host_files *files, uint64_t node, struct statvfs *ret_space);

/* A regular file, for reading. */
int host_files_open(struct host_files *files, uint64_t node, uint64_t *ret_handle);
/* Returns how many bytes it read, less than n at the file's end only, or a negative errno. */
ssize_t host_files_read(const struct host_files *files, uint64_t handle, uint64_t offset,
			void *buffer, size_t n);

struct host_files_entry {
	const char *name; /* until the handle is closed */
	uint64_t inode;
	uint8_t type; /* DT_ of dirent.h */
};

int host_files_open_directory(struct host_files *files, uint64_t node, uint64_t *ret_handle);
/* The nth entry, "." and ".." among them; -ENOENT behind the last. */
int host_files_entry(const struct host_files *files, uint64_t handle, uint64_t n,
		     struct host_files_entry *ret_entry);

int host_files_close(struct host_files *files, uint64_t handle);

/* Each path on the host that was opened as a file, sorted. Returns 0, fn's non-zero value or
 * -ENOMEM. */
int host_files_each_opened(const struct host_files *files, int (*fn)(void *ctx, const char *path),
			   void *ctx);

#endif
