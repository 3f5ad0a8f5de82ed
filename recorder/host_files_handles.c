/* Files and directories that the guest has open, and the list of what it has opened. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder/host_files_parts.h"

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

void host_handle_close(struct handle *handle)
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
	host_handle_close(handle);
	return 0;
}

/* A file that has become something else meanwhile must neither block nor do anything. */
static int open_regular(const struct host_files *files, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && !host_files_has_denied_identity(files, &st))
		return fd;
	close(fd);
	return -EACCES;
}

int host_files_open(struct host_files *files, uint64_t number, uint64_t *ret_handle)
{
	const struct node *node;
	struct handle *handle;
	char path[PATH_MAX];
	int error = host_node_allowed_path(files, number, &node, path);

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
	host_node_find(files, number)->opened = true;
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

/* Takes the entries out that are not to be found. Returns how many are left. */
static int drop_hidden(const struct host_files *files, const char *path, struct dirent **entries,
		       int n)
{
	int left = 0;

	for (int i = 0; i < n; i++) {
		if (host_files_hides(files, path, entries[i]->d_name))
			free(entries[i]);
		else
			entries[left++] = entries[i];
	}
	return left;
}

int host_files_open_directory(struct host_files *files, uint64_t number, uint64_t *ret_handle)
{
	const struct node *node;
	struct handle *handle;
	struct dirent **entries;
	char path[PATH_MAX];
	int error = host_node_allowed_path(files, number, &node, path);

	if (error)
		return error;
	int n = scandir(path, &entries, node->own ? only_dots : NULL, compare_entries);
	if (n < 0)
		return -errno;
	n = drop_hidden(files, path, entries, n);
	error = new_handle(files, &handle, ret_handle);
	if (error) {
		host_handle_close(&(struct handle){.fd = -1, .entries = entries, .n_entries = n});
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
	int error = host_node_path(files, node, path);

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

int host_files_gather_opened(struct host_files *files)
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
	int result = host_files_gather_opened((struct host_files *)files);

	for (size_t i = 0; i < files->n_opened && !result; i++)
		if (!i || strcmp(files->opened[i], files->opened[i - 1]))
			result = fn(ctx, files->opened[i]);
	return result;
}
