/* The tree that host_files.h shows: its nodes, its open files; for host_files*.c only. */
#ifndef REPRISE_RECORDER_HOST_FILES_PARTS_H
#define REPRISE_RECORDER_HOST_FILES_PARTS_H

#include <dirent.h>
#include <limits.h>

#include "recorder/host_files.h"

struct node {
	uint64_t number, parent;
	bool own;    /* seems empty */
	bool denied; /* or below what is denied */
	bool opened; /* as a file */
	char name[];
};

struct handle {
	bool used;
	int fd; /* of a file; -1: a directory */
	struct dirent **entries;
	int n_entries;
};

/* Where denied paths lead, while they exist. */
struct identity {
	dev_t device;
	ino_t inode;
};

struct host_files {
	char *root; /* without a slash at its end: "" for the host's */
	bool steady;
	const char *hidden_in; /* NULL: nothing is */
	const char *const *hidden_names;
	dev_t *devices; /* in the order in which they were met; the root's is the first */
	unsigned n_devices;
	char **denied;
	struct identity *denied_identity;
	unsigned n_denied, n_identities;
	struct node **nodes; /* number - HOST_FILES_ROOT is the index */
	size_t n_nodes, max_nodes;
	void *by_name; /* tsearch tree of nodes */
	struct handle *handles;
	size_t n_handles;
	char **opened; /* paths of sessions that have ended */
	size_t n_opened;
};

/* ---- nodes (host_files_nodes.c) ---- */

/* The node of that number, or NULL. */
struct node *host_node_find(const struct host_files *files, uint64_t number);

/* Makes a node; its number is the next. Returns NULL without memory. */
struct node *host_node_new(struct host_files *files, uint64_t parent, const char *name);

/*
 * The node of that name, made when it is not known. Its path and what is there are given.
 * Returns 0, -ENAMETOOLONG or -ENOMEM.
 */
int host_node_enter(struct host_files *files, const struct node *parent, const char *name,
		    const char *path, const struct stat *st, struct node **ret_node);

/* The node's path on the host. Returns 0 or -ENAMETOOLONG. */
int host_node_path(const struct host_files *files, const struct node *node, char path[PATH_MAX]);

/* Likewise of the node of that number; -ESTALE when there is none. */
int host_node_known_path(const struct host_files *files, uint64_t number,
			 const struct node **ret_node, char path[PATH_MAX]);

/* As host_node_known_path(), of what may be read: -EACCES for what is denied. */
int host_node_allowed_path(const struct host_files *files, uint64_t number,
			   const struct node **ret_node, char path[PATH_MAX]);

/* Whether a name in the directory of that path is not to be found. */
bool host_files_hides(const struct host_files *files, const char *directory, const char *name);

/* Whether it is what a denied path leads to. */
bool host_files_has_denied_identity(const struct host_files *files, const struct stat *st);

/* ---- open files (host_files_handles.c) ---- */

/* Frees what the handle has. */
void host_handle_close(struct handle *handle);

/* Moves the names of opened nodes into the list. Returns 0, -ENAMETOOLONG or -ENOMEM. */
int host_files_gather_opened(struct host_files *files);

#endif
