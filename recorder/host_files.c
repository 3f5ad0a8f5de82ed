/*
 * Nodes stand in an array and are never freed while the guest runs: a node costs some 100 bytes,
 * and its number then names one path for good. They are found by parent and name in a tree of
 * tsearch.
 *
 * A denied path is kept from the guest by its place and by its inode, so that neither a second
 * mount nor a hard link leads to it.
 */
#include "recorder/host_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a guest has of its own, when its root is the host's. */
static const char *const own_names[] = {"dev", "proc", "sys"};

/* Where an inode number says of which file system it is. */
#define DEVICE_SHIFT 48
#define DEVICES_MAX  4096

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

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

/* ---- nodes and their paths ---- */

static int compare_nodes(const void *left, const void *right)
{
	const struct node *a = left, *b = right;

	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	return strcmp(a->name, b->name);
}

static struct node *find_node(const struct host_files *files, uint64_t number)
{
	return number >= HOST_FILES_ROOT && number - HOST_FILES_ROOT < files->n_nodes
		       ? files->nodes[number - HOST_FILES_ROOT]
		       : NULL;
}

/* Writes the path in front of end, from its last name to its first. Returns its start or NULL. */
static char *prepend_names(const struct host_files *files, const struct node *node, char *start,
			   char *end)
{
	while (node->number != HOST_FILES_ROOT) {
		size_t n = strlen(node->name);

		if ((size_t)(end - start) < n + 1)
			return NULL;
		end -= n;
		memcpy(end, node->name, n);
		*--end = '/';
		node = find_node(files, node->parent);
	}
	return end;
}

/* The node's path on the host. Returns 0 or -ENAMETOOLONG. */
static int node_path(const struct host_files *files, const struct node *node, char path[PATH_MAX])
{
	char buffer[PATH_MAX], *end = buffer + sizeof(buffer) - 1;
	size_t n_root = strlen(files->root);

	*end = 0;
	char *names = prepend_names(files, node, buffer, end);
	if (!names || n_root + (size_t)(end - names) + 2 > PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(path, files->root, n_root);
	memcpy(path + n_root, names, (size_t)(end - names) + 1);
	if (!path[0])
		memcpy(path, "/", 2);
	return 0;
}

static int known_path(const struct host_files *files, uint64_t number, const struct node **ret_node,
		      char path[PATH_MAX])
{
	const struct node *node = find_node(files, number);

	if (!node)
		return -ESTALE;
	*ret_node = node;
	return node_path(files, node, path);
}

/* As known_path(), of what may be read: -EACCES for what is denied. */
static int allowed_path(const struct host_files *files, uint64_t number,
			const struct node **ret_node, char path[PATH_MAX])
{
	int error = known_path(files, number, ret_node, path);

	return !error && (*ret_node)->denied ? -EACCES : error;
}

static bool has_denied_path(const struct host_files *files, const char *path)
{
	for (unsigned i = 0; i < files->n_denied; i++)
		if (!strcmp(files->denied[i], path))
			return true;
	return false;
}

static bool has_denied_identity(const struct host_files *files, const struct stat *st)
{
	for (unsigned i = 0; i < files->n_identities; i++)
		if (files->denied_identity[i].device == st->st_dev &&
		    files->denied_identity[i].inode == st->st_ino)
			return true;
	return false;
}

static bool is_own(const struct host_files *files, const struct node *parent, const char *name)
{
	if (files->root[0] || parent->number != HOST_FILES_ROOT)
		return false;
	for (size_t i = 0; i < LENGTH(own_names); i++)
		if (!strcmp(own_names[i], name))
			return true;
	return false;
}

static struct node *new_node(struct host_files *files, uint64_t parent, const char *name)
{
	if (files->n_nodes == files->max_nodes) {
		size_t max = files->max_nodes ? files->max_nodes * 2 : 256;
		struct node **nodes = realloc(files->nodes, max * sizeof(struct node *));

		if (!nodes)
			return NULL;
		files->nodes = nodes;
		files->max_nodes = max;
	}
	struct node *node = calloc(1, sizeof(*node) + strlen(name) + 1);
	if (!node)
		return NULL;
	node->number = HOST_FILES_ROOT + files->n_nodes;
	node->parent = parent;
	memcpy(node->name, name, strlen(name) + 1);
	if (!tsearch(node, &files->by_name, compare_nodes)) {
		free(node);
		return NULL;
	}
	files->nodes[files->n_nodes++] = node;
	return node;
}

/* The node of that name, made when it is not known. Its path and what is there are given. */
static int enter_node(struct host_files *files, const struct node *parent, const char *name,
		      const char *path, const struct stat *st, struct node **ret_node)
{
	_Alignas(struct node) char buffer[sizeof(struct node) + NAME_MAX + 1];
	struct node *key = (struct node *)buffer;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	key->parent = parent->number;
	memcpy(key->name, name, strlen(name) + 1);
	struct node **found = tfind(key, &files->by_name, compare_nodes);
	struct node *node = found ? *found : new_node(files, parent->number, name);
	if (!node)
		return -ENOMEM;
	node->own = is_own(files, parent, name);
	node->denied =
		parent->denied || has_denied_path(files, path) || has_denied_identity(files, st);
	*ret_node = node;
	return 0;
}

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
	int error = known_path(files, parent, &from, path);

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
	size_t n = path[1] ? strlen(path) : 0; /* of "/" only one slash is wanted */
	if (n + 1 + strlen(name) >= PATH_MAX)
		return -ENAMETOOLONG;
	path[n] = '/';
	memcpy(path + n + 1, name, strlen(name) + 1);
	if (lstat(path, &st))
		return -errno;
	error = enter_node(files, from, name, path, &st, &node);
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
	int error = known_path(files, number, &node, path);

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
	int error = allowed_path(files, number, &node, path);

	if (error)
		return error;
	ssize_t length = readlink(path, buffer, n);
	return length < 0 ? -errno : length;
}

int host_files_space(const struct host_files *files, uint64_t number, struct statvfs *ret_space)
{
	const struct node *node;
	char path[PATH_MAX];
	int error = known_path(files, number, &node, path);

	if (error)
		return error;
	return statvfs(path, ret_space) ? -errno : 0;
}

/* ---- handles ---- */

static struct handle *find_handle(const struct host_files *files, uint64_t number)
{
	return number < files->n_handles && files->handles[number].used ? &files->handles[number]
									: NULL;
}

/* The first number that is free. */
static int new_handle(struct host_files *files, struct handle **ret_handle, uint64_t *ret_number)
{
	size_t i = 0;

	while (i < files->n_handles && files->handles[i].used)
		i++;
	if (i == files->n_handles) {
		size_t n = files->n_handles ? files->n_handles * 2 : 64;
		struct handle *handles = realloc(files->handles, n * sizeof(*handles));

		if (!handles)
			return -ENOMEM;
		memset(handles + files->n_handles, 0, (n - files->n_handles) * sizeof(*handles));
		files->handles = handles;
		files->n_handles = n;
	}
	files->handles[i] = (struct handle){.used = true, .fd = -1};
	*ret_handle = &files->handles[i];
	*ret_number = i;
	return 0;
}

static void close_handle(struct handle *handle)
{
	if (handle->fd >= 0)
		close(handle->fd);
	for (int i = 0; i < handle->n_entries; i++)
		free(handle->entries[i]);
	free(handle->entries);
	*handle = (struct handle){.fd = -1};
}

int host_files_close(struct host_files *files, uint64_t number)
{
	struct handle *handle = find_handle(files, number);

	if (!handle)
		return -EBADF;
	close_handle(handle);
	return 0;
}

/* A file that has become something else meanwhile must neither block nor do anything. */
static int open_regular(const struct host_files *files, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && !has_denied_identity(files, &st))
		return fd;
	close(fd);
	return -EACCES;
}

int host_files_open(struct host_files *files, uint64_t number, uint64_t *ret_handle)
{
	const struct node *node;
	struct handle *handle;
	char path[PATH_MAX];
	int error = allowed_path(files, number, &node, path);

	if (error)
		return error;
	int fd = open_regular(files, path);
	if (fd < 0)
		return fd;
	error = new_handle(files, &handle, ret_handle);
	if (error) {
		close(fd);
		return error;
	}
	handle->fd = fd;
	find_node(files, number)->opened = true;
	return 0;
}

ssize_t host_files_read(const struct host_files *files, uint64_t number, uint64_t offset,
			void *buffer, size_t n)
{
	const struct handle *handle = find_handle(files, number);
	size_t done = 0;

	if (!handle || handle->fd < 0)
		return -EBADF;
	if (offset > INT64_MAX - n)
		return -EINVAL;
	while (done < n) {
		ssize_t got =
			pread(handle->fd, (char *)buffer + done, n - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Of a directory that seems empty. */
static int only_dots(const struct dirent *entry)
{
	return !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
}

int host_files_open_directory(struct host_files *files, uint64_t number, uint64_t *ret_handle)
{
	const struct node *node;
	struct handle *handle;
	struct dirent **entries;
	char path[PATH_MAX];
	int error = allowed_path(files, number, &node, path);

	if (error)
		return error;
	int n = scandir(path, &entries, node->own ? only_dots : NULL, compare_entries);
	if (n < 0)
		return -errno;
	error = new_handle(files, &handle, ret_handle);
	if (error) {
		close_handle(&(struct handle){.fd = -1, .entries = entries, .n_entries = n});
		return error;
	}
	handle->entries = entries;
	handle->n_entries = n;
	return 0;
}

int host_files_entry(const struct host_files *files, uint64_t number, uint64_t n,
		     struct host_files_entry *ret_entry)
{
	const struct handle *handle = find_handle(files, number);

	if (!handle || handle->fd >= 0)
		return -EBADF;
	if (n >= (uint64_t)handle->n_entries)
		return -ENOENT;
	const struct dirent *entry = handle->entries[n];
	*ret_entry = (struct host_files_entry){
		.name = entry->d_name, .inode = entry->d_ino, .type = entry->d_type};
	return 0;
}

/* ---- what was opened ---- */

static int add_opened(struct host_files *files, const struct node *node)
{
	char path[PATH_MAX];
	int error = node_path(files, node, path);

	if (error)
		return error;
	char **opened = realloc(files->opened, (files->n_opened + 1) * sizeof(char *));
	if (!opened)
		return -ENOMEM;
	files->opened = opened;
	opened[files->n_opened] = strdup(path);
	return opened[files->n_opened++] ? 0 : -ENOMEM;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Moves the names of opened nodes into the list. */
static int gather_opened(struct host_files *files)
{
	int error = 0;

	for (size_t i = 0; i < files->n_nodes && !error; i++) {
		if (files->nodes[i]->opened)
			error = add_opened(files, files->nodes[i]);
		files->nodes[i]->opened = false;
	}
	if (files->n_opened)
		qsort(files->opened, files->n_opened, sizeof(char *), compare_strings);
	return error;
}

int host_files_each_opened(const struct host_files *files, int (*fn)(void *ctx, const char *path),
			   void *ctx)
{
	/* Gathering changes how the set is kept, not the set. */
	int result = gather_opened((struct host_files *)files);

	for (size_t i = 0; i < files->n_opened && !result; i++)
		if (!i || strcmp(files->opened[i], files->opened[i - 1]))
			result = fn(ctx, files->opened[i]);
	return result;
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
	gather_opened(files);
	for (size_t i = 0; i < files->n_handles; i++)
		if (files->handles[i].used)
			close_handle(&files->handles[i]);
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
	return new_node(files, HOST_FILES_ROOT, "") ? 0 : -ENOMEM;
}

int host_files_create(const struct host_files_config *config, struct host_files **ret_files)
{
	struct host_files *files = calloc(1, sizeof(*files));

	if (!files)
		return -ENOMEM;
	files->steady = config->steady;
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
			close_handle(&files->handles[i]);
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
