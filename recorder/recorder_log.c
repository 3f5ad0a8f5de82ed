/* The recording's file: header and initial RAM, events, digests at the pace of the chunks, trailer.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "recorder/state.h"
#include "vmm/devices/channel.h"
#include "vmm/devices/layout.h"

/*
 * A chunk is cut about every second: of host time; or, so that two recordings are equal, every so
 * many instructions.
 */
#define CUT_NS           UINT64_C(1000000000)
#define CUT_INSTRUCTIONS (UINT64_C(1) << 26)

#define HOST_CPU_BYTES 49
#define MAX_STREAMS    3

/* The header's messages, filled in and pointing into each other. */
struct header {
	Reprise__Header header;
	Reprise__Machine machine;
	Reprise__Region region[MEMORY_MAX_REGIONS], *region_list[MEMORY_MAX_REGIONS];
	Reprise__PortRange port[MACHINE_MAX_PORT_RANGES], *port_list[MACHINE_MAX_PORT_RANGES];
	Reprise__Stream stream[MAX_STREAMS], *stream_list[MAX_STREAMS];
	char host_cpu[HOST_CPU_BYTES];
};

/* The processor's brand string (SDM 2A CPUID, leaves 0x80000002 to 0x80000004). */
static void read_host_cpu(char text[HOST_CPU_BYTES])
{
	uint32_t words[12] = {0};

	for (uint32_t i = 0; i < 3; i++)
		__get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
			    &words[4 * i + 3]);
	memcpy(text, words, sizeof(words));
	text[HOST_CPU_BYTES - 1] = '\0';
}

static void fill_machine(struct header *header, const struct recorder *recorder,
			 const struct machine_config *config)
{
	reprise__machine__init(&header->machine);
	header->machine.n_vcpus = config->n_vcpus;
	header->machine.cpu_model = (char *)config->cpu_model;
	for (uint32_t i = 0; i < config->n_regions; i++) {
		reprise__region__init(&header->region[i]);
		header->region[i].kind = (Reprise__RegionKind)config->regions[i].kind;
		header->region[i].gpa = config->regions[i].gpa;
		header->region[i].bytes = config->regions[i].bytes;
		header->region_list[i] = &header->region[i];
	}
	header->machine.n_regions = config->n_regions;
	header->machine.regions = header->region_list;
	for (uint32_t i = 0; i < config->n_ports; i++) {
		reprise__port_range__init(&header->port[i]);
		header->port[i].first = config->ports[i].first;
		header->port[i].count = config->ports[i].count;
		header->port_list[i] = &header->port[i];
	}
	header->machine.n_ports = config->n_ports;
	header->machine.ports = header->port_list;
	header->machine.initial_state.data = recorder->initial_state;
	header->machine.initial_state.len = machine_state_bytes(recorder->machine);
	header->header.machine = &header->machine;
}

static void add_stream(struct header *header, Reprise__StreamKind kind, uint32_t port,
		       uint32_t host_fd, const char *name)
{
	size_t n = header->header.n_streams++;

	reprise__stream__init(&header->stream[n]);
	header->stream[n].kind = kind;
	header->stream[n].port = port;
	header->stream[n].host_fd = host_fd;
	header->stream[n].name = (char *)name;
	header->stream_list[n] = &header->stream[n];
	header->header.streams = header->stream_list;
}

/* `run` shows the command's two streams; the serial port then is for --verbose only. */
static void fill_streams(struct header *header, const struct recorder_config *config)
{
	add_stream(header, REPRISE__STREAM_KIND__STREAM_UART16550, LAYOUT_UART0_PORT,
		   config->channel ? 0 : 1, "ttyS0");
	if (!config->channel)
		return;
	add_stream(header, REPRISE__STREAM_KIND__STREAM_PORT, LAYOUT_CHANNEL_PORT + CHANNEL_STDOUT,
		   1, "stdout");
	add_stream(header, REPRISE__STREAM_KIND__STREAM_PORT, LAYOUT_CHANNEL_PORT + CHANNEL_STDERR,
		   2, "stderr");
}

static void fill_header(struct header *header, const struct recorder *recorder,
			const struct machine_config *machine_config)
{
	const struct recorder_config *config = recorder->config;
	Reprise__Header *message = &header->header;

	reprise__header__init(message);
	message->format_version = 1;
	message->tool_version = (char *)REPRISE_VERSION;
	message->created_unix_s = (uint64_t)time(NULL);
	read_host_cpu(header->host_cpu);
	message->host_cpu = header->host_cpu;
	message->clock_mode = REPRISE__CLOCK_MODE__CLOCK_HOST;
	if (config->clock == RECORDER_CLOCK_VIRTUAL) {
		message->clock_mode = REPRISE__CLOCK_MODE__CLOCK_VIRTUAL;
		message->virtual_ns_per_1000_instructions = config->virtual_ps_per_instruction;
	}
	message->seeded = config->seeded;
	message->seed = config->seeded ? config->seed : 0;
	while (config->command && config->command[message->n_command])
		message->n_command++;
	message->command = (char **)config->command;
	if (config->kernel_path)
		message->kernel_path = (char *)config->kernel_path;
	if (config->boot.command_line)
		message->kernel_command_line = (char *)config->boot.command_line;
	message->is_run = config->channel;
	fill_machine(header, recorder, machine_config);
	fill_streams(header, config);
}

static int add_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	return log_writer_add_page(ctx, gpa, page);
}

/* Takes over what stopped the writer. */
static int take_writer_error(struct recorder *recorder)
{
	if (!recorder->error.code) {
		recorder->error = *log_writer_error(recorder->writer);
		recorder->file_failed = true;
	}
	return recorder->error.code;
}

int recorder_log_create(struct recorder *recorder, const struct machine_config *machine_config)
{
	struct header *header = calloc(1, sizeof(*header));
	int error;

	if (!header) {
		recorder_fail(recorder, -ENOMEM, "no memory for the file's header");
		return -ENOMEM;
	}
	fill_header(header, recorder, machine_config);
	error = log_writer_create(recorder->config->output_path, &header->header,
				  recorder->config->sync, &recorder->writer, &recorder->error);
	free(header);
	recorder->file_failed = error;
	if (!error && memory_each_page(recorder->machine->memory, add_page, recorder->writer))
		error = take_writer_error(recorder);
	return error;
}

enum boundary_result recorder_emit(struct recorder *recorder, struct event *event)
{
	event->icount = recorder->machine->icount;
	if (event->kind != EVENT_INPUT && event->kind != EVENT_DIGEST &&
	    machine_apply_event(recorder->machine, event) < 0)
		return recorder_fail(recorder, -EPROTO, "the machine refused an event");
	if (log_writer_append(recorder->writer, event) < 0) {
		take_writer_error(recorder);
		return BOUNDARY_FAILED;
	}
	recorder->n_events++;
	return BOUNDARY_GO;
}

static enum boundary_result emit_digest(struct recorder *recorder)
{
	struct event event = {.kind = EVENT_DIGEST};

	machine_digest(recorder->machine, &event.digest);
	return recorder_emit(recorder, &event);
}

static bool cut_is_due(struct recorder *recorder)
{
	if (log_writer_wants_cut(recorder->writer))
		return true;
	if (recorder->clock.follows_host)
		return recorder->host_ns >= recorder->cut_host_ns;
	return recorder->machine->icount >= recorder->cut_icount;
}

enum boundary_result recorder_log_keep_pace(struct recorder *recorder)
{
	enum boundary_result result;

	if (!cut_is_due(recorder))
		return BOUNDARY_GO;
	recorder->cut_host_ns = recorder->host_ns + CUT_NS;
	recorder->cut_icount = recorder->machine->icount + CUT_INSTRUCTIONS;
	result = emit_digest(recorder);
	if (result == BOUNDARY_GO && log_writer_cut(recorder->writer) < 0) {
		take_writer_error(recorder);
		result = BOUNDARY_FAILED;
	}
	return result;
}

static int add_path(void *ctx, const char *path)
{
	FILE *list = ctx;

	return fwrite(path, strlen(path) + 1, 1, list) == 1 ? 0 : -ENOMEM;
}

/* The host's files that the guest has read, as the file's own list of them. */
static int attach_files_list(struct recorder *recorder)
{
	char *data = NULL;
	size_t n = 0;

	if (!recorder->world.files)
		return 0;
	FILE *list = open_memstream(&data, &n);
	if (!list)
		return -ENOMEM;
	int error = host_files_each_opened(recorder->world.files, add_path, list);
	if (fclose(list))
		error = -ENOMEM;
	if (!error && n)
		error = log_writer_add_attachment(recorder->writer, LOG_ATTACHMENT_HOST_FILES,
						  NULL, 0, (const uint8_t *)data, n);
	free(data);
	return error;
}

int recorder_log_finish(struct recorder *recorder)
{
	Reprise__Trailer trailer = REPRISE__TRAILER__INIT;

	if (emit_digest(recorder) != BOUNDARY_GO)
		return recorder->error.code;
	if (log_writer_cut(recorder->writer) < 0)
		return take_writer_error(recorder);
	int error = attach_files_list(recorder);
	if (error)
		return log_writer_error(recorder->writer)->code ? take_writer_error(recorder)
								: error;
	trailer.end_icount = recorder->machine->icount;
	trailer.end_reason = (char *)recorder->end_reason;
	trailer.exit_status = recorder->exit_status;
	trailer.n_events = recorder->n_events;
	if (log_writer_finish(recorder->writer, &trailer) < 0)
		return take_writer_error(recorder);
	return 0;
}
