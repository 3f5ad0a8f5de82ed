#include "gdbstub/remote_files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log-format/build_id.h"

#define FILES_MAX      1024
#define FILE_MAX_BYTES (UINT64_C(1) << 32)

struct remote_files {
	struct remote_files_config config;
	char *sysroot;
	struct remote_file *file[FILES_MAX]; /* those that were found, and missed ones (no data) */
	unsigned n;
};

struct remote_files *remote_files_create(const struct remote_files_config *config)
{
	struct remote_files *files = calloc(1, sizeof(*files));

	if (!files)
		return NULL;
	files->config = *config;
	if (config->sysroot && !(files->sysroot = strdup(config->sysroot))) {
		free(files);
		return NULL;
	}
	return files;
}

void remote_file_destroy(struct remote_file *file)
{
	if (!file)
		return;
	free(file->path);
	free(file->data);
	free(file);
}

void remote_files_destroy(struct remote_files *files)
{
	if (!files)
		return;
	for (unsigned i = 0; i < files->n; i++)
		remote_file_destroy(files->file[i]);
	free(files->sysroot);
	free(files);
}

/* ---- attachments ---- */

static int append(void *ctx, const uint8_t *data, size_t n)
{
	struct remote_file *file = ctx;

	memcpy(file->data + file->bytes, data, n);
	file->bytes += n;
	return 0;
}

static bool load_attachment(struct remote_files *files, unsigned n, struct remote_file *file)
{
	struct log_attachment attachment;
	struct log_error error;

	log_reader_attachment(files->config.reader, n, &attachment);
	if (attachment.bytes > FILE_MAX_BYTES || !(file->data = malloc(attachment.bytes + 1)))
		return false;
	return !log_reader_attachment_data(files->config.reader, n, append, file, &error);
}

/* /lib and /usr/lib are one directory in most guests. */
static const char *without_usr(const char *path)
{
	return strncmp(path, "/usr/", 5) != 0 ? path : path + 4;
}

static bool same_id(const struct log_attachment *attachment, const uint8_t *id, size_t n)
{
	return n && attachment->build_id_bytes == n && !memcmp(attachment->build_id, id, n);
}

static bool is_debug_path(const char *path)
{
	return strstr(path, "/usr/lib/debug/") == path;
}

/* The guest has made itself another file at that path. */
static bool is_other(const struct log_attachment *attachment, const uint8_t *id, size_t n)
{
	return n && attachment->build_id_bytes && !same_id(attachment, id, n);
}

/* By its path, or the same content by the build-id that the guest has at this path. */
static bool find_attachment(struct remote_files *files, struct remote_file *file, const uint8_t *id,
			    size_t id_bytes)
{
	struct log_reader *reader = files->config.reader;
	struct log_attachment attachment;
	unsigned n = log_reader_attachments(reader);

	for (unsigned i = 0; i < n; i++) {
		log_reader_attachment(reader, i, &attachment);
		if (!strcmp(without_usr(attachment.name), without_usr(file->path)) &&
		    !is_other(&attachment, id, id_bytes))
			return load_attachment(files, i, file);
	}
	for (unsigned i = 0; i < n; i++) {
		log_reader_attachment(reader, i, &attachment);
		if (same_id(&attachment, id, id_bytes) && !is_debug_path(attachment.name))
			return load_attachment(files, i, file);
	}
	return false;
}

/* ---- this host ---- */

static bool read_all(int fd, struct remote_file *file, size_t bytes)
{
	while (file->bytes < bytes) {
		ssize_t n = read(fd, file->data + file->bytes, bytes - file->bytes);
		if (n <= 0)
			return false;
		file->bytes += (size_t)n;
	}
	return true;
}

static void forget_content(struct remote_file *file)
{
	free(file->data);
	file->data = NULL;
	file->bytes = 0;
}

static bool load_host(const char *path, struct remote_file *file)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool good = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0 &&
		    (uint64_t)st.st_size <= FILE_MAX_BYTES;

	if (good)
		good = (file->data = malloc((size_t)st.st_size)) != NULL &&
		       read_all(fd, file, (size_t)st.st_size);
	if (fd >= 0)
		close(fd);
	if (!good)
		forget_content(file);
	return good;
}

static bool load_sysroot(const struct remote_files *files, struct remote_file *file)
{
	char path[PATH_MAX];

	return files->sysroot &&
	       snprintf(path, sizeof(path), "%s%s", files->sysroot, file->path) <
		       (int)sizeof(path) &&
	       load_host(path, file);
}

/* Only if it is the file that the guest had. */
static bool load_same(struct remote_file *file, const uint8_t *id, size_t id_bytes)
{
	struct build_id found;

	if (!id_bytes || !load_host(file->path, file))
		return false;
	if (build_id_read(file->data, file->bytes, &found) && found.n == id_bytes &&
	    !memcmp(found.bytes, id, id_bytes))
		return true;
	forget_content(file);
	return false;
}

/* ---- the guest's memory ---- */

static bool load_cached(const struct remote_files *files, struct remote_file *file)
{
	const struct remote_files_config *config = &files->config;

	return config->load_cached &&
	       config->load_cached(config->ctx, file->path, &file->data, &file->bytes);
}

/* ---- finding ---- */

static bool load(struct remote_files *files, struct remote_file *file)
{
	uint8_t id[BUILD_ID_MAX];
	size_t n = files->config.build_id
			   ? files->config.build_id(files->config.ctx, file->path, id, sizeof(id))
			   : 0;

	return load_sysroot(files, file) || find_attachment(files, file, id, n) ||
	       load_same(file, id, n) || load_cached(files, file);
}

const struct remote_file *remote_files_find(struct remote_files *files, const char *path)
{
	struct remote_file *file;

	for (unsigned i = 0; i < files->n; i++)
		if (!strcmp(files->file[i]->path, path))
			return files->file[i];
	if (files->n == FILES_MAX || !(file = calloc(1, sizeof(*file))))
		return NULL;
	if (!(file->path = strdup(path)) || !load(files, file)) {
		remote_file_destroy(file);
		return NULL;
	}
	return files->file[files->n++] = file;
}
