/* The recording's file: header and initial RAM, events, digests at the pace of the chunks, trailer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/attach.h"
#include "recorder/log_header.h"
#include "recorder/state.h"

/*
 * A chunk is cut about every second: of host time; or, so that two recordings are equal, every so
 * many instructions.
 */
#define CUT_NS           UINT64_C(1000000000)
#define CUT_INSTRUCTIONS (UINT64_C(1) << 26)

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

/* A saved state's initial RAM is copied as it is stored there. */
static int write_image(struct recorder *recorder)
{
	if (recorder->saved)
		return recorder->config->keep
			       ? log_writer_reserve_image(recorder->writer, recorder->saved)
			       : log_writer_copy_image(recorder->writer, recorder->saved);
	return memory_each_page(recorder->machine->memory, add_page, recorder->writer);
}

int recorder_log_create(struct recorder *recorder)
{
	struct log_header *header;
	int error = log_header_create(recorder, recorder->initial_state, &header);

	if (error) {
		recorder_fail(recorder, error, "no memory for the file's header");
		return error;
	}
	error = log_writer_create(recorder->config->output_path, log_header_message(header),
				  recorder->config->sync, &recorder->writer, &recorder->error);
	log_header_destroy(header);
	recorder->file_failed = error;
	if (!error && write_image(recorder))
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

enum boundary_result recorder_log_start_pace(struct recorder *recorder)
{
	recorder->cut_host_ns = recorder->host_ns + CUT_NS;
	recorder->cut_icount = recorder->machine->icount + CUT_INSTRUCTIONS;
	return emit_digest(recorder);
}

enum boundary_result recorder_log_keep_pace(struct recorder *recorder)
{
	enum boundary_result result;

	if (!cut_is_due(recorder))
		return BOUNDARY_GO;
	result = recorder_log_start_pace(recorder);
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
		error = log_writer_add_attachment(recorder->writer, LOG_ATTACHMENT_HOST_FILES, NULL,
						  0, (const uint8_t *)data, n);
	free(data);
	return error;
}

/* Without it the recording is as good as any. */
static int add_evidence(struct recorder *recorder)
{
	const struct recorder_config *config = recorder->config;
	uint8_t tail[OUTPUT_TAIL_BYTES];
	const struct recorder_ending ending = {
		.path = config->output_path,
		.exit_status = recorder->exit_status,
		.has_exit_status = recorder->has_exit_status,
		.notes = platform_channel_notes(recorder->platform),
		.output_tail = tail,
		.output_tail_bytes = output_tail_read(&recorder->world.output_tail, tail),
	};

	if (!config->add_evidence || !config->output_path)
		return 0;
	world_flush(&recorder->world);
	config->add_evidence(config->evidence_ctx, &ending, recorder->writer);
	return log_writer_error(recorder->writer)->code;
}

unsigned recorder_engine_uses(const struct recorder *recorder,
			      struct engine_use ret_uses[ENGINE_MAX_USES])
{
	const struct engine_ops *ops = recorder->engine->ops;

	return ops->uses ? ops->uses(recorder->engine, ret_uses) : 0;
}

/* The trailer's messages about the engine. */
struct use_messages {
	struct engine_use use[ENGINE_MAX_USES];
	Reprise__EngineUse message[ENGINE_MAX_USES];
	Reprise__EngineUse *list[ENGINE_MAX_USES];
};

static void add_uses(const struct recorder *recorder, struct use_messages *uses,
		     Reprise__Trailer *trailer)
{
	trailer->n_engines = recorder_engine_uses(recorder, uses->use);
	trailer->engines = uses->list;
	for (size_t i = 0; i < trailer->n_engines; i++) {
		Reprise__EngineUse *message = uses->list[i] = &uses->message[i];

		reprise__engine_use__init(message);
		message->name = (char *)uses->use[i].name;
		message->instructions = uses->use[i].instructions;
		message->entries = uses->use[i].entries;
		message->ns = uses->use[i].ns;
		message->unexpected = uses->use[i].unexpected;
	}
}

int recorder_log_finish(struct recorder *recorder, bool proven)
{
	Reprise__Trailer trailer = REPRISE__TRAILER__INIT;
	struct use_messages uses;

	if (proven && emit_digest(recorder) != BOUNDARY_GO)
		return recorder->error.code;
	if (log_writer_cut(recorder->writer) < 0 ||
	    (recorder->saved && log_writer_fill_image(recorder->writer, recorder->saved) < 0))
		return take_writer_error(recorder);
	int error = attach_files_list(recorder);
	if (!error)
		error = recorder_attach(recorder);
	if (!error)
		error = add_evidence(recorder);
	if (error)
		return log_writer_error(recorder->writer)->code ? take_writer_error(recorder)
								: error;
	add_uses(recorder, &uses, &trailer);
	trailer.end_icount = recorder->machine->icount;
	trailer.end_reason = (char *)recorder->end_reason;
	trailer.exit_status = recorder->exit_status;
	trailer.n_events = recorder->n_events;
	if (log_writer_finish(recorder->writer, &trailer) < 0)
		return take_writer_error(recorder);
	return 0;
}
