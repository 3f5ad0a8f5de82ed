/*
 * modules.dep has a line for each module, "PATH: PATH PATH …": the module and all that it needs,
 * each before what it needs itself (depmod(8)). So a line read backwards is an order of insertion.
 */
#include "tools/modules.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/file_bytes.h"
#include "tools/module_dependencies.h"
#include "tools/unpack.h"

/* Linux Documentation/arch/x86/boot.rst: where the setup header says that the release stands. */
enum { HEADER_MAGIC = 0x202, HEADER_RELEASE = 0x20e, RELEASE_OFFSET = 0x200 };

struct search {
	const char *directory;
	char *dependencies, *builtin; /* the two files, as strings */
	modules_fn *fn;
	void *ctx;
	const char *done[MODULES_MAX]; /* paths in dependencies */
	unsigned n_done;
	char **ret_problem;
};

char *modules_kernel_release(const uint8_t *kernel, size_t n)
{
	if (n < 0x1000 || memcmp(kernel + HEADER_MAGIC, "HdrS", 4))
		return NULL;
	size_t at =
		(kernel[HEADER_RELEASE] | (size_t)kernel[HEADER_RELEASE + 1] << 8) + RELEASE_OFFSET;
	if (at == RELEASE_OFFSET || at >= n)
		return NULL;
	size_t length = strnlen((const char *)kernel + at, n - at);
	const char *space = memchr(kernel + at, ' ', length);
	return strndup((const char *)kernel + at,
		       space ? (size_t)(space - ((const char *)kernel + at)) : length);
}

__attribute__((format(printf, 3, 4))) static int fail(struct search *search, int error,
						      const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(search->ret_problem, format, arguments) < 0)
		*search->ret_problem = NULL;
	va_end(arguments);
	return error;
}

/* The line of the file that begins with the module's path, or NULL. */
static char *find_line(char *text, const char *name)
{
	for (char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (module_is_named(line, strcspn(line, ":\n"), name))
			return line;
	return NULL;
}

static bool is_done(const struct search *search, const char *path, size_t n)
{
	for (unsigned i = 0; i < search->n_done; i++)
		if (!strncmp(search->done[i], path, n) && strchr(": \n", search->done[i][n]))
			return true;
	return false;
}

/* The module's own name: of "a/b/c.ko.xz" it is "c". */
static void copy_name(char name[64], const char *path, size_t n)
{
	const char *base = path;

	for (const char *p = path; p < path + n; p++)
		if (*p == '/')
			base = p + 1;
	size_t length = strcspn(base, ".:\n ");
	snprintf(name, 64, "%.*s", (int)length, base);
}

static int deliver(struct search *search, const char *path, size_t n)
{
	struct file_bytes packed;
	uint8_t *data;
	size_t bytes;
	char *full, name[64];

	if (is_done(search, path, n))
		return 0;
	if (search->n_done == MODULES_MAX)
		return fail(search, -E2BIG, "too many modules are needed");
	search->done[search->n_done++] = path;
	if (asprintf(&full, "%s/%.*s", search->directory, (int)n, path) < 0)
		return -ENOMEM;
	int error = file_bytes_read(full, &packed);
	if (!error) {
		error = unpack(packed.data, packed.n, MODULE_BYTES_MAX, &data, &bytes);
		file_bytes_finish(&packed);
	}
	if (error) {
		fail(search, error, "module %s: %s", full, strerror(-error));
		free(full);
		return error;
	}
	free(full);
	copy_name(name, path, n);
	error = search->fn(search->ctx, name, data, bytes);
	free(data);
	return error;
}

/* All paths of a line, the last first. */
static int deliver_line(struct search *search, const char *line)
{
	const char *end = line + strcspn(line, "\n");
	int error = 0;

	while (end > line && !error) {
		const char *start = end;
		while (start > line && start[-1] != ' ')
			start--;
		size_t n = (size_t)(end - start);
		if (n && start[n - 1] == ':')
			n--;
		if (n)
			error = deliver(search, start, n);
		end = start > line ? start - 1 : line;
	}
	return error;
}

static int read_text(struct search *search, const char *name, char **ret_text)
{
	struct file_bytes bytes;
	char *path;

	if (asprintf(&path, "%s/%s", search->directory, name) < 0)
		return -ENOMEM;
	int error = file_bytes_read(path, &bytes);
	if (error)
		fail(search, error, "%s: %s", path, strerror(-error));
	free(path);
	if (error)
		return error;
	*ret_text = strndup((const char *)bytes.data, bytes.n);
	file_bytes_finish(&bytes);
	return *ret_text ? 0 : -ENOMEM;
}

/* Names all that are missing. */
static int check_all(struct search *search, const struct module_wanted *wanted, unsigned n)
{
	char *missing = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&missing, &bytes);
	int error = out ? 0 : -ENOMEM;

	for (unsigned i = 0; i < n && out; i++) {
		if (find_line(search->dependencies, wanted[i].name) ||
		    find_line(search->builtin, wanted[i].name))
			continue;
		fprintf(out, "%s%s (%s)", error ? ", " : "", wanted[i].name, wanted[i].purpose);
		error = -ENOENT;
	}
	if (out && fclose(out))
		error = -ENOMEM;
	if (error == -ENOENT)
		fail(search, error, "%s lacks modules: %s", search->directory, missing);
	free(missing);
	return error;
}

static int find_all(struct search *search, const struct module_wanted *wanted, unsigned n)
{
	int error = check_all(search, wanted, n);

	for (unsigned i = 0; i < n && !error; i++) {
		const char *line = find_line(search->dependencies, wanted[i].name);

		if (line)
			error = deliver_line(search, line);
	}
	return error;
}

/* A kernel that was only unpacked has no list of dependencies. */
static int read_dependencies(struct search *search, const struct module_wanted *wanted, unsigned n)
{
	int error = read_text(search, "modules.dep", &search->dependencies);

	if (error != -ENOENT)
		return error;
	error = module_dependencies_make(search->directory, wanted, n, &search->dependencies);
	if (error) {
		search->dependencies = NULL;
		return error; /* the missing list is what was said already */
	}
	free(*search->ret_problem);
	*search->ret_problem = NULL;
	return 0;
}

int modules_each(const char *directory, const struct module_wanted *wanted, unsigned n,
		 modules_fn *fn, void *ctx, char **ret_problem)
{
	struct search search = {
		.directory = directory, .fn = fn, .ctx = ctx, .ret_problem = ret_problem};

	*ret_problem = NULL;
	int error = read_dependencies(&search, wanted, n);
	if (!error)
		error = read_text(&search, "modules.builtin", &search.builtin);
	if (!error)
		error = find_all(&search, wanted, n);
	free(search.dependencies);
	free(search.builtin);
	return error;
}
