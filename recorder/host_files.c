/* What the guest is told of the host's tree, and the tree's life. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder/host_files_parts.h"

/* Where an inode number says of which file system it is. */
#define DEVICE_SHIFT 48
#define DEVICES_MAX  4096

/* ---- what is there ---- */

/* The device's place among those met so far; 0 too when there is no memory to remember it. */
static unsigned device_number(struct host_files *files, dev_t device)
{
	for (unsigned i = 0; i < files->n_devices; i++)
		if (files->devices[i] == device)
			return i;
	dev_t *devices = realloc(files->devices, (files->n_devices + 1) * sizeof(dev_t));
	if (!devices)
		return 0;
	files->devices = devices;
	devices[files->n_devices] = device;
	return files->n_devices++;
}

/*
 * The guest takes all for one file system: inodes of further ones are kept apart by high bits that
 * overlayfs leaves to us. What differs between two looks at a file that nobody changed is left out.
 */
static void settle(struct host_files *files, const struct node *node, struct stat *st)
{
	/* The host's /proc counts its processes. */
	if (node->own)
		*st = (struct stat){.st_dev = st->st_dev,
				    .st_ino = node->number,
				    .st_mode = S_IFDIR | 0555,
				    .st_nlink = 2,
				    .st_blksize = 4096};
	st->st_ino ^= (ino_t)(device_number(files, st->st_dev) % DEVICES_MAX) << DEVICE_SHIFT;
	if (files->steady && S_ISDIR(st->st_mode)) {
		st->st_mtim = st->st_ctim = (struct timespec){0};
		st->st_size = st->st_blksize;
		st->st_blocks = 8;
		st->st_nlink = 1; /* as where nobody has counted */
	}
	st->st_atim = st->st_mtim;
}

static int lookup_near(struct host_files *files, const struct node *from, bool up,
		       uint64_t *ret_node, struct stat *ret_stat)
{
	*ret_node = up && from->number != HOST_FILES_ROOT ? from->parent : from->number;
	return host_files_stat(files, *ret_node, ret_stat);
}

int host_files_lookup(struct host_files *files, uint64_t parent, const char *name,
		      uint64_t *ret_node, struct stat *ret_stat)
{
	const struct node *from;
	struct node *node;
	char path[PATH_MAX];
	struct stat st;
	int error = host_node_known_path(files, parent, &from, path);

	if (error)
		return error;
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return lookup_near(files, from, name[1], ret_node, ret_stat);
	if (from->own)
		return -ENOENT;
	if (from->denied)
		return -EACCES;
	if (!name[0] || strchr(name, '/'))
		return -EINVAL;
	if (host_files_hides(files, path, name))
		return -ENOENT;
	size_t n = path[1] ? strlen(path) : 0; /* of "/" only one slash is wanted */
	if (n + 1 + strlen(name) >= PATH_MAX)
		return -ENAMETOOLONG;
	path[n] = '/';
	memcpy(path + n + 1, name, strlen(name) + 1);
	if (lstat(path, &st))
		return -errno;
	error = host_node_enter(files, from, name, path, &st, &node);
	if (error)
		return error;
	settle(files, node, &st);
	*ret_node = node->number;
	*ret_stat = st;
	return 0;
}

int host_files_stat(struct host_files *files, uint64_t number, struct stat *ret_stat)
{
	const struct node *node;
	char path[PATH_MAX];
	int error = host_node_known_path(files, number, &node, path);

	if (error)
		return error;
	if (lstat(path, ret_stat))
		return -errno;
	settle(files, node, ret_stat);
	return 0;
}

ssize_t host_files_read_link(const struct host_files *files, uint64_t number, char *buffer,
			     size_t n)
{
	const struct node *node;
	char path[PATH_MAX];
	int error = host_node_allowed_path(files, number, &node, path);

	if (error)
		return error;
	ssize_t length = readlink(path, buffer, n);
	return length < 0 ? -errno : length;
}

int host_files_space(const struct host_files *files, uint64_t number, struct statvfs *ret_space)
{
	const struct node *node;
	char path[PATH_MAX];
	int error = host_node_known_path(files, number, &node, path);

	if (error)
		return error;
	return statvfs(path, ret_space) ? -errno : 0;
}

/* ---- life ---- */

static void leave_alone(void *node)
{
	(void)node;
}

static void free_nodes(struct host_files *files, size_t keep)
{
	tdestroy(files->by_name, leave_alone);
	files->by_name = NULL;
	while (files->n_nodes > keep)
		free(files->nodes[--files->n_nodes]);
}

void host_files_reset(struct host_files *files)
{
	host_files_gather_opened(files);
	for (size_t i = 0; i < files->n_handles; i++)
		if (files->handles[i].used)
			host_handle_close(&files->handles[i]);
	free_nodes(files, 1);
}

static int set_denied(struct host_files *files, const struct host_files_config *config)
{
	struct stat st;

	files->denied = calloc(config->n_denied + 1, sizeof(char *));
	files->denied_identity = calloc(config->n_denied + 1, sizeof(struct identity));
	if (!files->denied || !files->denied_identity)
		return -ENOMEM;
	for (unsigned i = 0; i < config->n_denied; i++) {
		files->denied[i] = strdup(config->denied[i]);
		if (!files->denied[i])
			return -ENOMEM;
		files->n_denied++;
		if (!stat(config->denied[i], &st))
			files->denied_identity[files->n_identities++] =
				(struct identity){st.st_dev, st.st_ino};
	}
	return 0;
}

static int set_root(struct host_files *files, const char *root)
{
	struct stat st;

	files->root = realpath(root, NULL);
	if (!files->root || stat(files->root, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	device_number(files, st.st_dev);
	if (!files->root[1])
		files->root[0] = 0;
	return host_node_new(files, HOST_FILES_ROOT, "") ? 0 : -ENOMEM;
}

int host_files_create(const struct host_files_config *config, struct host_files **ret_files)
{
	struct host_files *files = calloc(1, sizeof(*files));

	if (!files)
		return -ENOMEM;
	files->steady = config->steady;
	files->hidden_in = config->hidden_in;
	files->hidden_names = config->hidden_names;
	int error = set_root(files, config->root);
	if (!error)
		error = set_denied(files, config);
	if (error) {
		host_files_destroy(files);
		return error;
	}
	*ret_files = files;
	return 0;
}

void host_files_destroy(struct host_files *files)
{
	if (!files)
		return;
	for (size_t i = 0; i < files->n_handles; i++)
		if (files->handles[i].used)
			host_handle_close(&files->handles[i]);
	free_nodes(files, 0);
	for (unsigned i = 0; i < files->n_denied; i++)
		free(files->denied[i]);
	for (size_t i = 0; i < files->n_opened; i++)
		free(files->opened[i]);
	free(files->devices);
	free(files->denied);
	free(files->denied_identity);
	free(files->opened);
	free(files->handles);
	free(files->nodes);
	free(files->root);
	free(files);
}
