#include "log-format/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int log_error_set(struct log_error *error, int code, uint64_t offset, const char *format, ...)
{
	if (!error)
		return code;
	va_list args;
	va_start(args, format);
	error->code = code;
	error->offset = offset;
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return code;
}

/* An interim name that no other process uses: the pid tells writers apart. */
static int open_interim(struct byte_sink *sink)
{
	if (asprintf(&sink->interim_path, "%s.%ld.part", sink->final_path, (long)getpid()) < 0) {
		sink->interim_path = NULL;
		return -ENOMEM;
	}
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
	sink->fd = open(sink->interim_path, flags, 0666);
	if (sink->fd < 0 && errno == EEXIST) {
		/* Left behind by an earlier process with this pid. */
		unlink(sink->interim_path);
		sink->fd = open(sink->interim_path, flags, 0666);
	}
	if (sink->fd >= 0)
		return 0;
	int error = -errno;
	free(sink->interim_path);
	sink->interim_path = NULL;
	return error;
}

static int open_regular(struct byte_sink *sink, const char *path, bool exists)
{
	sink->regular = true;
	sink->replaces = exists;
	/* Through a symbolic link, the file it names is replaced and not the link. */
	sink->final_path = exists ? realpath(path, NULL) : strdup(path);
	if (!sink->final_path)
		return -errno;
	int error = open_interim(sink);
	if (error) {
		free(sink->final_path);
		sink->final_path = NULL;
	}
	return error;
}

int byte_sink_open(struct byte_sink *sink, const char *path)
{
	*sink = (struct byte_sink){.fd = -1};
	if (!path)
		return 0;
	struct stat status;
	bool exists = stat(path, &status) == 0;
	if (!exists && errno != ENOENT)
		return -errno;
	if (exists && S_ISDIR(status.st_mode))
		return -EISDIR;
	if (!exists || S_ISREG(status.st_mode))
		return open_regular(sink, path, exists);
	sink->fd = open(path, O_WRONLY | O_CLOEXEC);
	return sink->fd < 0 ? -errno : 0;
}

void byte_sink_rewind(struct byte_sink *sink, uint64_t bytes)
{
	sink->bytes = bytes;
	/* When this fails the file ends in a piece of a chunk, which its reader reports. */
	if (sink->fd >= 0 && sink->regular && ftruncate(sink->fd, (off_t)bytes) == 0)
		lseek(sink->fd, (off_t)bytes, SEEK_SET);
}

int byte_sink_append(struct byte_sink *sink, const void *data, size_t n)
{
	const uint8_t *at = data;
	size_t left = sink->fd >= 0 ? n : 0;
	while (left) {
		ssize_t written = write(sink->fd, at, left);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			int error = written < 0 ? -errno : -EIO;
			byte_sink_rewind(sink, sink->bytes);
			return error;
		}
		at += written;
		left -= (size_t)written;
	}
	sink->bytes += n;
	return 0;
}

int byte_sink_skip(struct byte_sink *sink, uint64_t n)
{
	return byte_sink_seek(sink, sink->bytes + n);
}

int byte_sink_seek(struct byte_sink *sink, uint64_t offset)
{
	if (sink->fd >= 0 && lseek(sink->fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	sink->bytes = offset;
	return 0;
}

int byte_sink_sync(const struct byte_sink *sink)
{
	if (sink->fd < 0 || !sink->regular)
		return 0;
	return fdatasync(sink->fd) < 0 ? -errno : 0;
}

int byte_sink_publish(struct byte_sink *sink, bool sync)
{
	if (!sink->final_path)
		return 0;
	if ((sync || sink->replaces) && fsync(sink->fd) < 0)
		return -errno;
	if (rename(sink->interim_path, sink->final_path) < 0)
		return -errno;
	free(sink->interim_path);
	free(sink->final_path);
	sink->interim_path = sink->final_path = NULL;
	return 0;
}

int byte_sink_close(struct byte_sink *sink)
{
	int error = 0;
	if (sink->fd >= 0 && close(sink->fd) < 0)
		error = -errno;
	sink->fd = -1;
	if (sink->interim_path)
		unlink(sink->interim_path);
	free(sink->interim_path);
	free(sink->final_path);
	sink->interim_path = sink->final_path = NULL;
	return error;
}

int byte_source_open(struct byte_source *source, const char *path, struct log_error *ret_error)
{
	/* O_NONBLOCK: a pipe without a writer is refused below and must not be waited for. */
	source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (source->fd < 0)
		return log_error_set(ret_error, -errno, 0, "cannot open: %s", strerror(errno));
	struct stat status;
	int error = 0;
	if (fstat(source->fd, &status) < 0)
		error = log_error_set(ret_error, -errno, 0, "%s", strerror(errno));
	else if (S_ISDIR(status.st_mode))
		error = log_error_set(ret_error, -EISDIR, 0, "is a directory");
	else if (!S_ISREG(status.st_mode))
		error = log_error_set(ret_error, -EINVAL, 0, "not a regular file");
	if (error) {
		byte_source_close(source);
		return error;
	}
	source->bytes = (uint64_t)status.st_size;
	return 0;
}

void byte_source_close(struct byte_source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
}

int byte_source_read(const struct byte_source *source, uint64_t offset, void *buffer, size_t n,
		     struct log_error *ret_error)
{
	if (offset > source->bytes || n > source->bytes - offset)
		return log_error_set(ret_error, -EBADMSG, source->bytes, "the file ends too early");
	uint8_t *at = buffer;
	while (n) {
		ssize_t got = pread(source->fd, at, n, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return log_error_set(ret_error, -errno, offset, "cannot read: %s",
					     strerror(errno));
		if (got == 0)
			return log_error_set(ret_error, -EBADMSG, offset,
					     "the file became shorter while it was read");
		at += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

void bytes_put_le32(uint8_t *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

void bytes_put_le64(uint8_t *at, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

uint32_t bytes_get_le32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

uint64_t bytes_get_le64(const uint8_t *at)
{
	return (uint64_t)bytes_get_le32(at) | (uint64_t)bytes_get_le32(at + 4) << 32;
}
