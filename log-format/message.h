/*
 * The protobuf messages of a file: packing, unpacking within a bound on memory, and the checks that
 * any file's messages must pass whoever uses them.
 */
#ifndef REPRISE_LOG_FORMAT_MESSAGE_H
#define REPRISE_LOG_FORMAT_MESSAGE_H

#include "log-format/bytes.h"
#include "log-format/column.h"

/* Replaces the column's content by the packed message. Returns 0 or -ENOMEM. */
int message_pack(const ProtobufCMessage *message, struct column *column);

/*
 * Unpacks the column's content. Returns NULL when it is malformed or decodes to more than
 * FORMAT_MESSAGE_MEMORY_MAX. To be freed with message_free().
 */
ProtobufCMessage *message_unpack(const ProtobufCMessageDescriptor *descriptor,
				 const struct column *column);
void message_free(ProtobufCMessage *message); /* accepts NULL */

/* What no file may say, or NULL. */
const char *message_header_misfit(const Reprise__Header *header, uint32_t version);
const char *message_attachment_misfit(const Reprise__Attachment *attachment);

#endif
