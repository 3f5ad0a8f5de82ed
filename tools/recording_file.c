#include "tools/recording_file.h"

#include <errno.h>
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
