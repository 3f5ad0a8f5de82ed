#include "tools/recording_file.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "tools/command.h"
#include "tools/message.h"

int recording_file_status(const struct log_error *error)
{
	return error->code == -EBADMSG ? STATUS_BAD_FILE : STATUS_FAILED;
}

int recording_file_open(const char *path, struct log_reader **ret_reader)
{
	struct log_error error = {0};

	if (!log_reader_open(path, ret_reader, &error))
		return STATUS_OK;
	message_log_error(path, &error, NULL);
	return recording_file_status(&error);
}

bool recording_file_exit_status(const struct log_reader *reader, int *ret_status)
{
	const Reprise__Trailer *trailer = log_reader_trailer(reader);

	/* A guest that ended in any other way left its command without a status. */
	if (!trailer || !log_reader_header(reader)->is_run || strcmp(trailer->end_reason, "exit"))
		return false;
	*ret_status = trailer->exit_status & 0xff;
	return true;
}

/* Paths on their way through the pieces of an attachment. */
struct path_splitter {
	void (*fn)(void *ctx, const char *path);
	void *ctx;
	size_t n;
	char path[PATH_MAX];
};

static int split_paths(void *ctx, const uint8_t *data, size_t n)
{
	struct path_splitter *splitter = ctx;

	for (size_t i = 0; i < n; i++) {
		if (splitter->n == sizeof(splitter->path))
			return -EBADMSG;
		splitter->path[splitter->n++] = (char)data[i];
		if (data[i])
			continue;
		splitter->fn(splitter->ctx, splitter->path);
		splitter->n = 0;
	}
	return 0;
}

int recording_file_each_host_path(const char *file, struct log_reader *reader,
				  void (*fn)(void *ctx, const char *path), void *ctx)
{
	struct log_attachment attachment;

	for (unsigned i = 0; i < log_reader_attachments(reader); i++) {
		struct path_splitter splitter = {.fn = fn, .ctx = ctx};
		struct log_error error = {.text = "a path in its list of files is too long"};

		log_reader_attachment(reader, i, &attachment);
		if (strcmp(attachment.name, LOG_ATTACHMENT_HOST_FILES))
			continue;
		int err = log_reader_attachment_data(reader, i, split_paths, &splitter, &error);
		if (err) {
			error.code = err;
			message_log_error(file, &error, NULL);
			return recording_file_status(&error);
		}
	}
	return STATUS_OK;
}
