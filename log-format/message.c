#include "log-format/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log-format/format.h"

int message_pack(const ProtobufCMessage *message, struct column *column)
{
	column_clear(column);
	/* An empty message still needs an address to be packed to. */
	if (column_reserve(column, protobuf_c_message_get_packed_size(message) + 1))
		return -ENOMEM;
	column->bytes = protobuf_c_message_pack(message, column->data);
	return 0;
}

/* Many tiny submessages decode to far more memory than they take in the file: count it. */
static void *bounded_alloc(void *left, size_t n)
{
	size_t *left_bytes = left;
	if (n > *left_bytes)
		return NULL;
	*left_bytes -= n;
	return malloc(n);
}

static void bounded_free(void *left, void *memory)
{
	free(memory);
}

ProtobufCMessage *message_unpack(const ProtobufCMessageDescriptor *descriptor,
				 const struct column *column)
{
	size_t left = FORMAT_MESSAGE_MEMORY_MAX;
	ProtobufCAllocator allocator = {
		.alloc = bounded_alloc, .free = bounded_free, .allocator_data = &left};
	return protobuf_c_message_unpack(descriptor, &allocator, column->bytes, column->data);
}

void message_free(ProtobufCMessage *message)
{
	protobuf_c_message_free_unpacked(message, NULL);
}

static const char *region_misfit(const Reprise__Region *region)
{
	if (region->kind <= REPRISE__REGION_KIND__REGION_UNSPECIFIED ||
	    region->kind > REPRISE__REGION_KIND__REGION_DEVICE)
		return "header names a memory region of unknown kind";
	if (region->gpa % FORMAT_PAGE_BYTES || region->bytes % FORMAT_PAGE_BYTES || !region->bytes)
		return "header names a memory region that is not of whole pages";
	if (region->bytes - 1 > UINT64_MAX - region->gpa)
		return "header names a memory region that wraps around";
	return NULL;
}

static const char *machine_misfit(const Reprise__Machine *machine)
{
	for (size_t i = 0; i < machine->n_regions; i++) {
		const char *misfit = region_misfit(machine->regions[i]);
		if (misfit)
			return misfit;
	}
	for (size_t i = 0; i < machine->n_ports; i++) {
		const Reprise__PortRange *range = machine->ports[i];
		if (range->first > 0xffff || range->count > 0x10000 - range->first)
			return "header names ports past 0xffff";
	}
	return NULL;
}

const char *message_header_misfit(const Reprise__Header *header, uint32_t version)
{
	if (header->format_version != version)
		return "header's format version is not the preamble's";
	if (!header->machine)
		return "header describes no machine";
	if (header->clock_mode < REPRISE__CLOCK_MODE__CLOCK_UNSPECIFIED ||
	    header->clock_mode > REPRISE__CLOCK_MODE__CLOCK_VIRTUAL)
		return "header names an unknown clock";
	for (size_t i = 0; i < header->n_streams; i++) {
		const Reprise__Stream *stream = header->streams[i];
		if (stream->kind <= REPRISE__STREAM_KIND__STREAM_UNSPECIFIED ||
		    stream->kind > REPRISE__STREAM_KIND__STREAM_MEMORY)
			return "header names a stream of unknown kind";
		if (stream->port > 0xffff)
			return "header names a stream on a port past 0xffff";
	}
	return machine_misfit(header->machine);
}

const char *message_attachment_misfit(const Reprise__Attachment *attachment)
{
	size_t name_bytes = strlen(attachment->name);
	if (!name_bytes || name_bytes > FORMAT_ATTACHMENT_NAME_MAX)
		return "attachment's name is empty or too long";
	if (attachment->build_id.len > FORMAT_BUILD_ID_MAX)
		return "attachment's build id is too long";
	if (attachment->bytes > FORMAT_ATTACHMENT_BYTES_MAX)
		return "attachment is too large";
	return NULL;
}
