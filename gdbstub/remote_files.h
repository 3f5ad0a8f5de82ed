/*
 * The files that gdb may open through the server: executables, libraries and debug files, by the
 * paths that they have in the guest. They come from a directory the user names, from the
 * recording's attachments, from this host where its file is the very one (by build-id), or from the
 * guest's memory.
 */
#ifndef REPRISE_GDBSTUB_REMOTE_FILES_H
#define REPRISE_GDBSTUB_REMOTE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log-format/log.h"

struct remote_files;

struct remote_file {
	char *path; /* in the guest */
	uint8_t *data;
	size_t bytes;
};

/* What the guest itself knows of a file: its build-id, for telling this host's file from another.
 * Returns its bytes; 0: it is not known. */
typedef size_t remote_files_build_id_fn(void *ctx, const char *path, uint8_t *ret, size_t max);

/* The file as the guest has it in its memory, for what neither the recording nor this host has: a
 * program that was built in the guest. *ret_data is to be freed. False: not all of it is there. */
typedef bool remote_files_load_fn(void *ctx, const char *path, uint8_t **ret_data,
				  size_t *ret_bytes);

struct remote_files_config {
	struct log_reader *reader; /* attachments; must outlive this */
	const char *sysroot;       /* NULL: none */
	remote_files_build_id_fn *build_id;
	remote_files_load_fn *load_cached;
	void *ctx;
};

/* NULL without memory. */
struct remote_files *remote_files_create(const struct remote_files_config *config);
/* Accepts NULL. */
void remote_files_destroy(struct remote_files *files);

/* Accepts NULL. */
void remote_file_destroy(struct remote_file *file);

/* The file at a path of the guest, valid as long as the files. NULL: there is none. */
const struct remote_file *remote_files_find(struct remote_files *files, const char *path);

#endif
