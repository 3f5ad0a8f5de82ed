/* A module names those that it needs itself in its section .modinfo: "depends=a,b" (Linux
 * scripts/mod/modpost.c). */
#include "tools/module_dependencies.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/file_bytes.h"
#include "tools/unpack.h"

#define DEPTH_MAX 16

struct tree {
	const char *directory;
	char **path; /* of the files, below directory */
	unsigned n;
};

struct order {
	const char *path[MODULES_MAX]; /* each behind what it needs */
	unsigned n;
};

/* ---- files ---- */

static bool same_letter(char a, char b)
{
	return a == b || ((a == '-' || a == '_') && (b == '-' || b == '_'));
}

bool module_is_named(const char *path, size_t n, const char *name)
{
	const char *base = path;

	for (const char *p = path; p < path + n; p++)
		if (*p == '/')
			base = p + 1;
	const char *end = path + n;
	while (base < end && *name && same_letter(*base, *name)) {
		base++;
		name++;
	}
	return !*name && end - base >= 3 && !strncmp(base, ".ko", 3);
}

static int add_path(struct tree *tree, const char *path)
{
	char **grown = realloc(tree->path, (tree->n + 1) * sizeof(char *));

	if (!grown)
		return -ENOMEM;
	tree->path = grown;
	if (!(tree->path[tree->n] = strdup(path + strlen(tree->directory) + 1)))
		return -ENOMEM;
	tree->n++;
	return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int read_tree(struct tree *tree)
{
	char *const roots[] = {(char *)tree->directory, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	const FTSENT *entry;
	int error = 0;

	if (!walk)
		return -errno;
	while (!error && (entry = fts_read(walk))) {
		if (entry->fts_info == FTS_NS || entry->fts_info == FTS_DNR)
			error = -entry->fts_errno;
		else if (entry->fts_info == FTS_F && strstr(entry->fts_name, ".ko"))
			error = add_path(tree, entry->fts_path);
	}
	fts_close(walk);
	return error;
}

static void finish_tree(struct tree *tree)
{
	for (unsigned i = 0; i < tree->n; i++)
		free(tree->path[i]);
	free(tree->path);
}

static const char *find_path(const struct tree *tree, const char *name)
{
	for (unsigned i = 0; i < tree->n; i++)
		if (module_is_named(tree->path[i], strlen(tree->path[i]), name))
			return tree->path[i];
	return NULL;
}

/* ---- what a module needs ---- */

static char *find_needs(const uint8_t *data, size_t n)
{
	static const char key[] = "\0depends=";
	const uint8_t *at = memmem(data, n, key, sizeof(key) - 1);

	if (!at)
		return strdup("");
	at += sizeof(key) - 1;
	return strndup((const char *)at, strnlen((const char *)at, (size_t)(data + n - at)));
}

/* *ret_needs: names with commas between them; the caller's to free. */
static int read_needs(const struct tree *tree, const char *path, char **ret_needs)
{
	struct file_bytes packed;
	uint8_t *data;
	size_t n;
	char *full;

	if (asprintf(&full, "%s/%s", tree->directory, path) < 0)
		return -ENOMEM;
	int error = file_bytes_read(full, &packed);
	free(full);
	if (error)
		return error;
	error = unpack(packed.data, packed.n, MODULE_BYTES_MAX, &data, &n);
	file_bytes_finish(&packed);
	if (error)
		return error;
	*ret_needs = find_needs(data, n);
	free(data);
	return *ret_needs ? 0 : -ENOMEM;
}

/* ---- the order ---- */

static bool is_there(const struct order *order, const char *path)
{
	for (unsigned i = 0; i < order->n; i++)
		if (order->path[i] == path)
			return true;
	return false;
}

static int add_module(const struct tree *tree, struct order *order, const char *name,
		      unsigned depth)
{
	const char *path = find_path(tree, name);
	char *needs, *rest, *need;

	if (!path || is_there(order, path)) /* what has no file is part of the kernel */
		return 0;
	if (depth == DEPTH_MAX)
		return -ELOOP;
	int error = read_needs(tree, path, &needs);
	if (error)
		return error;
	rest = needs;
	while (!error && (need = strsep(&rest, ",")))
		if (*need)
			error = add_module(tree, order, need, depth + 1);
	free(needs);
	if (!error && order->n == MODULES_MAX)
		error = -E2BIG;
	if (!error)
		order->path[order->n++] = path;
	return error;
}

/* The last is the module itself; the others are named before what they need themselves. */
static void print_line(FILE *out, const struct order *order)
{
	if (!order->n)
		return;
	fprintf(out, "%s:", order->path[order->n - 1]);
	for (unsigned i = order->n - 1; i--;)
		fprintf(out, " %s", order->path[i]);
	fputc('\n', out);
}

int module_dependencies_make(const char *directory, const struct module_wanted *wanted, unsigned n,
			     char **ret_text)
{
	struct tree tree = {.directory = directory};
	size_t bytes;
	FILE *out = open_memstream(ret_text, &bytes);

	if (!out)
		return -ENOMEM;
	int error = read_tree(&tree);
	for (unsigned i = 0; i < n && !error; i++) {
		struct order order = {0};
		error = add_module(&tree, &order, wanted[i].name, 0);
		if (!error)
			print_line(out, &order);
	}
	finish_tree(&tree);
	if (fclose(out) && !error)
		error = -ENOMEM;
	if (error)
		free(*ret_text);
	return error;
}
