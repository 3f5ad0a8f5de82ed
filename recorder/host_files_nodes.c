/*
 * Nodes stand in an array and are never freed while the guest runs: a node costs some 100 bytes,
 * and its number then names one path for good. They are found by parent and name in a tree of
 * tsearch.
 *
 * A denied path is kept from the guest by its place and by its inode, so that neither a second
 * mount nor a hard link leads to it.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/host_files_parts.h"

/* What a guest has of its own, when its root is the host's. */
static const char *const own_names[] = {"dev", "proc", "sys"};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static int compare_nodes(const void *left, const void *right)
{
	const struct node *a = left, *b = right;

	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	return strcmp(a->name, b->name);
}

struct node *host_node_find(const struct host_files *files, uint64_t number)
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
		node = host_node_find(files, node->parent);
	}
	return end;
}

int host_node_path(const struct host_files *files, const struct node *node, char path[PATH_MAX])
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

int host_node_known_path(const struct host_files *files, uint64_t number,
			 const struct node **ret_node, char path[PATH_MAX])
{
	const struct node *node = host_node_find(files, number);

	if (!node)
		return -ESTALE;
	*ret_node = node;
	return host_node_path(files, node, path);
}

int host_node_allowed_path(const struct host_files *files, uint64_t number,
			   const struct node **ret_node, char path[PATH_MAX])
{
	int error = host_node_known_path(files, number, ret_node, path);

	return !error && (*ret_node)->denied ? -EACCES : error;
}

static bool has_denied_path(const struct host_files *files, const char *path)
{
	for (unsigned i = 0; i < files->n_denied; i++)
		if (!strcmp(files->denied[i], path))
			return true;
	return false;
}

bool host_files_has_denied_identity(const struct host_files *files, const struct stat *st)
{
	for (unsigned i = 0; i < files->n_identities; i++)
		if (files->denied_identity[i].device == st->st_dev &&
		    files->denied_identity[i].inode == st->st_ino)
			return true;
	return false;
}

bool host_files_hides(const struct host_files *files, const char *directory, const char *name)
{
	if (!files->hidden_in || strcmp(files->hidden_in, directory))
		return false;
	const char *extension = strrchr(name, '.');
	for (const char *const *hidden = files->hidden_names; *hidden; hidden++)
		if (!strcmp(*hidden, name) || (extension && !strcmp(*hidden, extension)))
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

struct node *host_node_new(struct host_files *files, uint64_t parent, const char *name)
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

int host_node_enter(struct host_files *files, const struct node *parent, const char *name,
		    const char *path, const struct stat *st, struct node **ret_node)
{
	_Alignas(struct node) char buffer[sizeof(struct node) + NAME_MAX + 1];
	struct node *key = (struct node *)buffer;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	key->parent = parent->number;
	memcpy(key->name, name, strlen(name) + 1);
	struct node **found = tfind(key, &files->by_name, compare_nodes);
	struct node *node = found ? *found : host_node_new(files, parent->number, name);
	if (!node)
		return -ENOMEM;
	node->own = is_own(files, parent, name);
	node->denied = parent->denied || has_denied_path(files, path) ||
		       host_files_has_denied_identity(files, st);
	*ret_node = node;
	return 0;
}
