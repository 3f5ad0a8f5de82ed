/*
 * reprise info: what a recording holds. The facts are collected once, in the order in which they
 * are shown; text and JSON are two ways to print them. Strings come from the file and are escaped.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/evidence.h"
#include "tools/json.h"
#include "tools/message.h"
#include "tools/options.h"
#include "tools/recording_file.h"
#include "tools/report.h"
#include "tools/text.h"

struct info_options {
	bool json, files, markdown;
};

static const struct option options[] = {
	{.name = "json",
	 .kind = OPTION_FLAG,
	 .offset = offsetof(struct info_options, json),
	 .help = "Print one JSON object"},
	{.name = "markdown",
	 .kind = OPTION_FLAG,
	 .offset = offsetof(struct info_options, markdown),
	 .help = "Print a bug report about a run that can be pasted"},
	{.name = "files",
	 .kind = OPTION_FLAG,
	 .offset = offsetof(struct info_options, files),
	 .help = "Print only the paths on the host that the guest of a run has read"},
};

static const struct option_table option_table = {
	.title = "Options",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

/* Sums over the file's table of chunks. */
struct totals {
	uint64_t chunks, stored_bytes, raw_bytes, events, event_bytes;
};

static struct totals sum_chunks(const struct log_reader *reader)
{
	struct totals totals = {0};
	struct log_chunk_info chunk;

	for (uint64_t i = 0; log_reader_chunk(reader, i, &chunk); i++) {
		totals.chunks++;
		totals.stored_bytes += chunk.compressed_bytes;
		totals.raw_bytes += chunk.raw_bytes;
		if (!strcmp(chunk.kind, "events")) {
			totals.events += chunk.n_events;
			totals.event_bytes += chunk.compressed_bytes;
		}
	}
	return totals;
}

static uint64_t ram_bytes(const Reprise__Machine *machine)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < machine->n_regions; i++) {
		if (machine->regions[i]->kind == REPRISE__REGION_KIND__REGION_RAM)
			bytes += machine->regions[i]->bytes;
	}
	return bytes;
}

static const char *clock_name(const Reprise__Header *header)
{
	return header->clock_mode == REPRISE__CLOCK_MODE__CLOCK_VIRTUAL ? "virtual" : "host";
}

/* "2026-11-22T23:21:51Z" (RFC 3339). */
static const char *format_date(char buffer[TEXT_NUMBER_BYTES], uint64_t unix_s)
{
	time_t when = (time_t)unix_s;
	struct tm utc;

	if (!gmtime_r(&when, &utc) ||
	    !strftime(buffer, TEXT_NUMBER_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc))
		return "unknown";
	return buffer;
}

/* ---- JSON ---- */

static void json_strings(struct json *json, const char *key, char *const *strings, size_t n)
{
	json_begin_array(json, key);
	for (size_t i = 0; i < n; i++)
		json_string(json, NULL, strings[i]);
	json_end_array(json);
}

static void json_header(struct json *json, const Reprise__Header *header)
{
	char date[TEXT_NUMBER_BYTES];

	json_number(json, "format_version", header->format_version);
	json_string(json, "tool_version", header->tool_version);
	json_string(json, "created", format_date(date, header->created_unix_s));
	json_string(json, "host_cpu", header->host_cpu);
	json_string(json, "cpu_model", header->machine->cpu_model);
	json_number(json, "vcpus", header->machine->n_vcpus);
	json_number(json, "ram_bytes", ram_bytes(header->machine));
	json_string(json, "clock", clock_name(header));
	json_number(json, "virtual_ns_per_1000_instructions",
		    header->virtual_ns_per_1000_instructions);
	json_bool(json, "seeded", header->seeded);
	if (header->seeded)
		json_number(json, "seed", header->seed);
	json_string(json, "kernel", header->kernel_path);
	json_string(json, "kernel_command_line", header->kernel_command_line);
	json_bool(json, "is_run", header->is_run);
	json_number(json, "saved_guest_ns", header->saved_guest_ns);
	json_strings(json, "command", header->command, header->n_command);
	json_strings(json, "environment", header->environment, header->n_environment);
}

static void json_streams(struct json *json, const Reprise__Header *header)
{
	json_begin_array(json, "streams");
	for (size_t i = 0; i < header->n_streams; i++) {
		json_begin_object(json, NULL);
		json_string(json, "name", header->streams[i]->name);
		json_number(json, "port", header->streams[i]->port);
		json_number(json, "host_fd", header->streams[i]->host_fd);
		json_end_object(json);
	}
	json_end_array(json);
}

static void json_attachments(struct json *json, const struct log_reader *reader)
{
	struct log_attachment attachment;

	json_begin_array(json, "attachments");
	for (unsigned i = 0; i < log_reader_attachments(reader); i++) {
		log_reader_attachment(reader, i, &attachment);
		json_begin_object(json, NULL);
		json_string(json, "name", attachment.name);
		json_bytes(json, "build_id", attachment.build_id, attachment.build_id_bytes);
		json_number(json, "bytes", attachment.bytes);
		json_end_object(json);
	}
	json_end_array(json);
}

static void json_totals(struct json *json, const struct totals *totals)
{
	json_number(json, "chunks", totals->chunks);
	json_number(json, "stored_bytes", totals->stored_bytes);
	json_number(json, "raw_bytes", totals->raw_bytes);
	json_number(json, "events", totals->events);
	json_number(json, "event_bytes", totals->event_bytes);
}

static void json_end_of_recording(struct json *json, const struct log_reader *reader)
{
	const Reprise__Trailer *trailer = log_reader_trailer(reader);
	const struct log_error *damage = log_reader_damage(reader);
	int status;

	json_bool(json, "complete", trailer);
	json_number(json, "end_icount",
		    trailer ? trailer->end_icount : log_reader_last_icount(reader));
	json_string(json, "end_reason", trailer ? trailer->end_reason : NULL);
	if (recording_file_exit_status(reader, &status))
		json_signed(json, "exit_status", status);
	if (damage) {
		json_begin_object(json, "damage");
		json_number(json, "offset", damage->offset);
		json_string(json, "what", damage->text);
		json_end_object(json);
	}
}

static void json_engines(struct json *json, const struct log_reader *reader)
{
	const Reprise__Trailer *trailer = log_reader_trailer(reader);

	json_begin_array(json, "engines");
	for (size_t i = 0; trailer && i < trailer->n_engines; i++) {
		const Reprise__EngineUse *use = trailer->engines[i];

		json_begin_object(json, NULL);
		json_string(json, "name", use->name);
		json_number(json, "instructions", use->instructions);
		json_number(json, "entries", use->entries);
		json_number(json, "ns", use->ns);
		json_number(json, "unexpected", use->unexpected);
		json_end_object(json);
	}
	json_end_array(json);
}

static void print_json(const struct log_reader *reader, const Reprise__Evidence *evidence)
{
	const Reprise__Header *header = log_reader_header(reader);
	struct totals totals = sum_chunks(reader);
	struct json json;

	json_init(&json, stdout);
	json_begin_object(&json, NULL);
	json_header(&json, header);
	json_streams(&json, header);
	json_attachments(&json, reader);
	json_totals(&json, &totals);
	json_end_of_recording(&json, reader);
	json_engines(&json, reader);
	report_print_json(&json, header, evidence);
	json_end_object(&json);
	json_end_line(&json);
}

/* ---- text ---- */

static void print_label(const char *label)
{
	printf("%-14s ", label);
}

static void print_text(const char *label, const char *text)
{
	print_label(label);
	text_print_escaped(stdout, text);
	putchar('\n');
}

static void print_header(const Reprise__Header *header)
{
	char date[TEXT_NUMBER_BYTES], start[TEXT_NUMBER_BYTES];

	print_label("format");
	printf("%" PRIu32 ", written by reprise ", header->format_version);
	text_print_escaped(stdout, header->tool_version);
	printf("\n");
	print_text("created", format_date(date, header->created_unix_s));
	if (header->host_system[0])
		print_text("host", header->host_system);
	print_text("host CPU", header->host_cpu);
	print_label("machine");
	printf("%" PRIu32 " x ", header->machine->n_vcpus);
	text_print_escaped(stdout, header->machine->cpu_model);
	/* The hole below 1 MiB is not counted: to the nearest MiB. */
	printf(", %" PRIu64 " MiB RAM\n", (ram_bytes(header->machine) + (1 << 19)) >> 20);
	print_label("clock");
	printf("%s", clock_name(header));
	if (header->clock_mode == REPRISE__CLOCK_MODE__CLOCK_VIRTUAL)
		printf(", %" PRIu64 " ns for 1000 instructions",
		       header->virtual_ns_per_1000_instructions);
	printf("\n");
	print_label("random");
	if (header->seeded)
		printf("from seed %" PRIu64 "\n", header->seed);
	else
		printf("from the host\n");
	print_text("kernel", header->kernel_path);
	print_text("command line", header->kernel_command_line);
	if (header->saved_guest_ns)
		printf("%-14s %s after power-on, from a saved state\n", "start",
		       text_seconds(start, header->saved_guest_ns));
}

static void print_command(const Reprise__Header *header)
{
	if (!header->n_command)
		return;
	print_label("command");
	for (size_t i = 0; i < header->n_command; i++) {
		fputs(i ? " " : "", stdout);
		text_print_escaped(stdout, header->command[i]);
	}
	printf("\n");
	if (header->directory[0])
		print_text("directory", header->directory);
}

static void print_end(const struct log_reader *reader)
{
	const Reprise__Trailer *trailer = log_reader_trailer(reader);
	const struct log_error *damage = log_reader_damage(reader);
	char count[TEXT_NUMBER_BYTES];
	int status;

	print_label("length");
	printf("%s instructions\n",
	       text_count(count, trailer ? trailer->end_icount : log_reader_last_icount(reader)));
	print_text("end", trailer ? trailer->end_reason : "cut off");
	if (recording_file_exit_status(reader, &status)) {
		print_label("exit status");
		printf("%d\n", status);
	}
	if (damage) {
		print_label("damage");
		printf("at byte %" PRIu64 ": ", damage->offset);
		text_print_escaped(stdout, damage->text);
		printf("\n");
	}
}

/* What the parts of the engine did while recording. */
static void print_engines(const struct log_reader *reader)
{
	const Reprise__Trailer *trailer = log_reader_trailer(reader);
	char a[TEXT_NUMBER_BYTES], b[TEXT_NUMBER_BYTES];

	for (size_t i = 0; trailer && i < trailer->n_engines; i++) {
		const Reprise__EngineUse *use = trailer->engines[i];

		print_label("engine");
		text_print_escaped(stdout, use->name);
		printf(", %s instructions", text_count(a, use->instructions));
		if (use->ns)
			printf(" in %s", text_seconds(b, use->ns));
		printf(", entered %s times", text_count(a, use->entries));
		if (use->unexpected)
			printf(", %s unexpected exits", text_count(a, use->unexpected));
		printf("\n");
	}
}

static void print_sizes(const struct log_reader *reader)
{
	struct totals totals = sum_chunks(reader);
	struct log_attachment attachment;
	char a[TEXT_NUMBER_BYTES], b[TEXT_NUMBER_BYTES];

	print_label("events");
	printf("%s in %s\n", text_count(a, totals.events), text_bytes(b, totals.event_bytes));
	print_label("chunks");
	printf("%s, %s", text_count(a, totals.chunks), text_bytes(b, totals.stored_bytes));
	printf(" (%s unpacked)\n", text_bytes(a, totals.raw_bytes));
	for (unsigned i = 0; i < log_reader_attachments(reader); i++) {
		log_reader_attachment(reader, i, &attachment);
		print_label("attachment");
		text_print_escaped(stdout, attachment.name);
		printf(", %s\n", text_bytes(a, attachment.bytes));
	}
}

static void print_plain(const struct log_reader *reader, const Reprise__Evidence *evidence)
{
	print_header(log_reader_header(reader));
	print_command(log_reader_header(reader));
	print_end(reader);
	print_engines(reader);
	print_sizes(reader);
	report_print_text(log_reader_header(reader), evidence);
}

static void print_path(void *ctx, const char *path)
{
	text_print_escaped(stdout, path);
	putchar('\n');
}

static int print(const struct info_options *values, const char *path, struct log_reader *reader)
{
	Reprise__Evidence *evidence;
	struct log_error error = {0};

	if (values->files)
		return recording_file_each_host_path(path, reader, print_path, NULL);
	if (evidence_read(reader, &evidence, &error)) {
		message_log_error(path, &error, NULL);
		return recording_file_status(&error);
	}
	if (values->json)
		print_json(reader, evidence);
	else if (values->markdown)
		report_print_markdown(path, reader, evidence);
	else
		print_plain(reader, evidence);
	if (evidence)
		reprise__evidence__free_unpacked(evidence, NULL);
	return STATUS_OK;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct info_options values = {0};
	struct operands operands;
	struct log_reader *reader;

	enum options_result parsed = options_parse(command, argc, argv, &values, &operands);
	if (parsed != OPTIONS_OK)
		return parsed == OPTIONS_DONE ? STATUS_OK : STATUS_USAGE;
	int status = recording_file_open(operands.item[0], &reader);
	if (status)
		return status;
	status = print(&values, operands.item[0], reader);
	log_reader_close(reader);
	return status;
}

const struct command command_info = {
	.name = "info",
	.operands = "FILE",
	.summary = "Show what a recording holds",
	.tables = {&option_table},
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
