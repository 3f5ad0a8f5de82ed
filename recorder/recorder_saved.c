#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/log_header.h"
#include "recorder/state.h"

/* The attachment with the state of the platform (vmm/devices/devices.proto). */
#define DEVICES "devices"

/* ---- saving ---- */

static int add_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	return log_writer_add_page(ctx, gpa, page);
}

static int write_state(const struct recorder *recorder, struct log_writer *writer)
{
	Reprise__Trailer trailer = REPRISE__TRAILER__INIT;
	uint8_t *devices;
	size_t n;
	int error = platform_save(recorder->platform, &devices, &n);

	if (error)
		return error;
	error = memory_each_page(recorder->machine->memory, add_page, writer);
	if (!error)
		error = log_writer_cut(writer);
	if (!error)
		error = log_writer_add_attachment(writer, DEVICES, NULL, 0, devices, n);
	free(devices);
	trailer.end_reason = "saved";
	return error ? error : log_writer_finish(writer, &trailer);
}

static int save_file(struct recorder *recorder, struct log_header *header)
{
	struct log_writer *writer;
	int error = log_writer_create(recorder->config->save_path, log_header_message(header),
				      false, &writer, &recorder->error);

	if (error)
		return error;
	error = write_state(recorder, writer);
	if (error && log_writer_error(writer)->code)
		recorder->error = *log_writer_error(writer);
	log_writer_destroy(writer);
	return error;
}

enum boundary_result recorder_save(struct recorder *recorder)
{
	uint8_t *state = malloc(machine_state_bytes(recorder->machine));
	struct log_header *header = NULL;
	int error = state ? log_header_create(recorder, state, &header) : -ENOMEM;

	if (!error) {
		machine_state_encode(recorder->machine, state);
		error = save_file(recorder, header);
	}
	log_header_destroy(header);
	free(state);
	if (error)
		return recorder_fail(recorder, error, "the guest's state cannot be saved");
	return recorder_end(recorder, "saved");
}

/* ---- loading ---- */

/* What the reader says about its file is the better reason. */
static int refuse(struct recorder *recorder, int error, const char *why)
{
	struct log_error reason = recorder->error;

	recorder->error = (struct log_error){.code = 0};
	recorder->saved_failed = true;
	snprintf(reason.text, sizeof(reason.text), "%.100s", reason.code ? reason.text : why);
	char text[sizeof(reason.text)];
	snprintf(text, sizeof(text), "the saved state: %.120s", reason.text);
	recorder_fail(recorder, error, text);
	return error;
}

static int load_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	struct memory *memory = ctx;

	if (!memory_page(memory, gpa))
		return -EBADMSG;
	memory_load(memory, gpa, page, PAGE_BYTES);
	return 0;
}

static int check_machine(struct recorder *recorder)
{
	struct log_header *header;
	int error = log_header_create(recorder, NULL, &header);

	if (error)
		return refuse(recorder, error, "no memory");
	const Reprise__Header *saved = log_reader_header(recorder->saved);
	bool same = saved->machine && log_header_same_machine(log_header_message(header), saved);
	log_header_destroy(header);
	return same ? 0 : refuse(recorder, -EINVAL, "it is of another machine");
}

/* The count starts anew; guest time goes on. */
static int load_vcpus(struct recorder *recorder)
{
	const ProtobufCBinaryData *state =
		&log_reader_header(recorder->saved)->machine->initial_state;
	struct machine *machine = recorder->machine;

	if (machine_state_decode(machine, state->data, state->len))
		return refuse(recorder, -EBADMSG, "its vCPUs are impossible");
	recorder->saved_guest_ns = machine_clock_now(machine);
	machine->clock.base = recorder->saved_guest_ns;
	machine->clock.base_icount = machine->icount = 0;
	machine->output_digest = 0;
	return 0;
}

static int append(void *ctx, const uint8_t *data, size_t n)
{
	return fwrite(data, n, 1, ctx) == 1 ? 0 : -ENOMEM;
}

static int find_devices(const struct log_reader *reader, unsigned *ret_n)
{
	struct log_attachment attachment;

	for (unsigned i = 0; i < log_reader_attachments(reader); i++) {
		log_reader_attachment(reader, i, &attachment);
		if (!strcmp(attachment.name, DEVICES)) {
			*ret_n = i;
			return 0;
		}
	}
	return -ENOENT;
}

static int load_devices(struct recorder *recorder)
{
	char *devices = NULL;
	size_t n = 0;
	unsigned attachment;
	FILE *out = open_memstream(&devices, &n);

	if (!out)
		return refuse(recorder, -ENOMEM, "no memory");
	int error = find_devices(recorder->saved, &attachment);
	if (!error)
		error = log_reader_attachment_data(recorder->saved, attachment, append, out,
						   &recorder->error);
	if (fclose(out) && !error)
		error = -ENOMEM;
	if (!error)
		error = platform_restore(recorder->platform, (const uint8_t *)devices, n);
	free(devices);
	if (error)
		return refuse(recorder, error, "its devices are impossible");
	platform_set_date(recorder->platform, recorder_epoch_s(recorder->config));
	return 0;
}

int recorder_load_memory(struct recorder *recorder)
{
	int error =
		log_reader_open(recorder->config->saved_path, &recorder->saved, &recorder->error);

	if (error)
		return refuse(recorder, error, "it cannot be read");
	error = check_machine(recorder);
	if (error)
		return error;
	error = log_reader_each_page(recorder->saved, load_page, recorder->machine->memory,
				     &recorder->error);
	return error ? refuse(recorder, error, "its memory does not fit") : 0;
}

int recorder_load_saved(struct recorder *recorder)
{
	int error = recorder->saved ? check_machine(recorder) : recorder_load_memory(recorder);

	if (!error)
		error = load_vcpus(recorder);
	return error ? error : load_devices(recorder);
}
