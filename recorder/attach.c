#include "recorder/attach.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log-format/build_id.h"

#define DEBUG_DIRECTORY "/usr/lib/debug/.build-id"

/* A file in this process's memory. */
struct mapped_file {
	const uint8_t *data;
	size_t bytes;
};

struct attaching {
	struct recorder *recorder;
	uint64_t bytes; /* attached so far */
	unsigned n_files;
	struct build_id *id; /* of what is attached, for its debug file */
	unsigned n, max;
};

/* ---- files ---- */

static bool map_file(const char *path, struct mapped_file *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	void *data = MAP_FAILED;

	if (fd < 0)
		return false;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0)
		data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (data == MAP_FAILED)
		return false;
	*ret = (struct mapped_file){data, (size_t)st.st_size};
	return true;
}

static void unmap_file(const struct mapped_file *file)
{
	munmap((void *)file->data, file->bytes);
}

/* Executables, libraries and their debug files; no object files, no core dumps. */
static bool is_program(const struct mapped_file *file)
{
	Elf64_Ehdr header;

	if (file->bytes < sizeof(header))
		return false;
	memcpy(&header, file->data, sizeof(header));
	return !memcmp(header.e_ident, ELFMAG, SELFMAG) &&
	       (header.e_type == ET_EXEC || header.e_type == ET_DYN);
}

/* ---- attaching ---- */

static int remember(struct attaching *attaching, const struct build_id *id)
{
	if (attaching->n == attaching->max) {
		unsigned max = attaching->max ? attaching->max * 2 : 64;
		struct build_id *ids = realloc(attaching->id, max * sizeof(*ids));
		if (!ids)
			return -ENOMEM;
		attaching->id = ids;
		attaching->max = max;
	}
	attaching->id[attaching->n++] = *id;
	return 0;
}

/* Under the name that it has in the guest. *ret_id: of no bytes when it has none. */
static int attach_mapped(struct attaching *attaching, const char *name,
			 const struct mapped_file *file, struct build_id *ret_id)
{
	if (!build_id_read(file->data, file->bytes, ret_id))
		ret_id->n = 0;
	attaching->bytes += file->bytes;
	attaching->n_files++;
	return log_writer_add_attachment(attaching->recorder->writer, name, ret_id->bytes,
					 ret_id->n, file->data, file->bytes);
}

static int attach_file(struct attaching *attaching, const char *path, const char *name,
		       struct build_id *ret_id)
{
	struct mapped_file file;
	int error = 0;

	ret_id->n = 0;
	if (!map_file(path, &file))
		return 0;
	if (is_program(&file) && file.bytes <= RECORDER_ATTACH_MAX_BYTES - attaching->bytes &&
	    attaching->n_files < RECORDER_ATTACH_MAX_FILES)
		error = attach_mapped(attaching, name, &file, ret_id);
	unmap_file(&file);
	return error;
}

/* The path in the guest of a host's file; a root other than / is not part of it. */
static const char *guest_path(const struct recorder *recorder, const char *path)
{
	const char *root = recorder->config->files_root;
	size_t n = root ? strlen(root) : 0;

	while (n && root[n - 1] == '/')
		n--;
	return n && !strncmp(path, root, n) && path[n] == '/' ? path + n : path;
}

static int attach_program(void *ctx, const char *path)
{
	struct attaching *attaching = ctx;
	struct build_id id;
	int error = attach_file(attaching, path, guest_path(attaching->recorder, path), &id);

	return error || !id.n ? error : remember(attaching, &id);
}

/* Debug files lie by build-id: its first byte is a directory. */
static int attach_debug(struct attaching *attaching, const struct build_id *id)
{
	struct build_id ignored;
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), DEBUG_DIRECTORY "/%02x/", id->bytes[0]);

	for (size_t i = 1; i < id->n; i++)
		n += snprintf(path + n, sizeof(path) - (size_t)n, "%02x", id->bytes[i]);
	snprintf(path + n, sizeof(path) - (size_t)n, ".debug");
	return attach_file(attaching, path, path, &ignored);
}

int recorder_attach(struct recorder *recorder)
{
	const struct recorder_config *config = recorder->config;
	struct attaching attaching = {.recorder = recorder};
	int error = 0;

	for (unsigned i = 0; i < config->n_attached && !error; i++)
		error = attach_program(&attaching, config->attached[i]);
	if (!error && config->attach_programs && recorder->world.files)
		error = host_files_each_opened(recorder->world.files, attach_program, &attaching);
	for (unsigned i = 0; i < attaching.n && !error; i++)
		error = attach_debug(&attaching, &attaching.id[i]);
	free(attaching.id);
	return error;
}
