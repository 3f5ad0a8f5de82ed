/* One recording: set-up, the run, tear-down. */
#include "recorder/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/state.h"
#include "vmm/devices/layout.h"
#include "vmm/run.h"

/* The virtual clock's rate when none is asked for: 1 ns an instruction. */
#define DEFAULT_PS_PER_INSTRUCTION 1000

enum boundary_result recorder_fail(struct recorder *recorder, int code, const char *text)
{
	if (!recorder->error.code) {
		recorder->error = (struct log_error){.code = code};
		snprintf(recorder->error.text, sizeof(recorder->error.text), "%s", text);
	}
	return BOUNDARY_FAILED;
}

enum boundary_result recorder_end(struct recorder *recorder, const char *reason)
{
	recorder->end_reason = reason;
	return BOUNDARY_END;
}

/* ---- set-up ---- */

/* fail() for functions that return errno values. */
static int set_up_failed(struct recorder *recorder, int error, const char *text)
{
	recorder_fail(recorder, error, text);
	return error;
}

int recorder_create_machine(struct recorder *recorder,
			    const struct platform_config *platform_config)
{
	struct machine_config machine_config = {0};

	platform_machine_config(platform_config, &machine_config);
	int error = machine_create(&machine_config, &recorder->machine);
	if (error == -EINVAL)
		return set_up_failed(recorder, error, "no such machine: check RAM size and vCPUs");
	if (error)
		return set_up_failed(recorder, error, "no memory for the guest's RAM");
	return 0;
}

static int create_platform(struct recorder *recorder, const struct platform_config *platform_config)
{
	struct dma dma = recorder_dma(recorder);
	int error = platform_create(platform_config, &dma, &recorder->platform);

	if (!error)
		error = platform_acpi_tables(platform_config, &recorder->acpi,
					     &recorder->boot.acpi_bytes);
	if (error)
		return set_up_failed(recorder, error, "the devices cannot be created");
	recorder->boot.acpi = recorder->acpi;
	return 0;
}

static int save_initial_state(struct recorder *recorder)
{
	recorder->initial_state = malloc(machine_state_bytes(recorder->machine));
	if (!recorder->initial_state)
		return set_up_failed(recorder, -ENOMEM, "no memory for the vCPUs' state");
	machine_state_encode(recorder->machine, recorder->initial_state);
	return 0;
}

static int create_engine(struct recorder *recorder)
{
	int error = engine_create(recorder->config->engine, recorder->machine, &recorder->engine);
	char text[100];

	if (!error)
		return 0;
	snprintf(text, sizeof(text), "engine %s cannot start: %s", recorder->config->engine->name,
		 strerror(-error));
	return set_up_failed(recorder, error, text);
}

static int set_up(struct recorder *recorder)
{
	struct platform_config platform_config;
	int error =
		world_init(&recorder->world, recorder->config, &recorder->chaos, &recorder->error);

	if (error)
		return error;
	world_platform_config(&recorder->world, recorder->config, &platform_config);
	if (recorder->chaos.strategies & CHAOS_DISK)
		platform_config.delay =
			(struct delay){.draw = chaos_latency_ns, .ctx = &recorder->chaos};
	if (recorder->config->image)
		recorder_take_image(recorder);
	else
		error = recorder_create_machine(recorder, &platform_config);
	if (!error)
		error = create_platform(recorder, &platform_config);
	if (!error)
		error = recorder->config->saved_path ? recorder_load_saved(recorder)
						     : recorder_load_guest(recorder);
	if (!error)
		error = save_initial_state(recorder);
	if (!error)
		memory_use_large_pages(recorder->machine->memory);
	if (!error)
		error = create_engine(recorder);
	/* The last that can fail: what is never run leaves no file. */
	return error ? error : recorder_log_create(recorder);
}

static void tear_down(struct recorder *recorder)
{
	engine_destroy(recorder->engine);
	log_writer_destroy(recorder->writer);
	log_reader_close(recorder->saved);
	platform_destroy(recorder->platform);
	machine_destroy(recorder->machine);
	world_finish(&recorder->world);
	free(recorder->initial_state);
	free(recorder->acpi);
}

/* ---- the run ---- */

static void fill_result(const struct recorder *recorder, struct recorder_result *ret_result)
{
	*ret_result = (struct recorder_result){
		.icount = recorder->machine->icount,
		.guest_ns = machine_clock_now(recorder->machine),
		.n_events = recorder->n_events,
		.unknown_msrs = recorder->machine->unknown_msrs,
		.end_reason = recorder->end_reason,
		.exit_status = recorder->exit_status,
		.has_exit_status = recorder->has_exit_status,
		.notes = platform_channel_notes(recorder->platform),
		.console_out_error = recorder->world.console_out.error,
		.channel_out_error = recorder->world.channel_out.error,
		.channel_err_error = recorder->world.channel_err.error,
	};
	ret_result->n_uses = recorder_engine_uses(recorder, ret_result->uses);
	ret_result->engine_instead = recorder->engine->instead;
	log_writer_sizes(recorder->writer, &ret_result->file_bytes, &ret_result->event_bytes);
}

/* The engine lost the machine: what led to the last proven count is kept, without a digest. */
static void end_unproven(struct recorder *recorder)
{
	const struct engine_ops *ops = recorder->engine->ops;
	const char *failure = ops->failure ? ops->failure(recorder->engine) : "the engine failed";

	recorder_end(recorder, "engine failure");
	if (!recorder_log_finish(recorder, false))
		recorder_fail(recorder, -EIO, failure);
}

static bool is_wanted(struct recorder *recorder)
{
	const struct recorder_config *config = recorder->config;
	struct recorder_result result;

	if (!config->keep)
		return true;
	world_flush(&recorder->world);
	fill_result(recorder, &result);
	return config->keep(config->keep_ctx, &result);
}

static void run(struct recorder *recorder)
{
	const struct boundary boundary = {.ops = &recorder_boundary_ops, .ctx = recorder};

	if (run_machine(recorder->engine, &boundary) == BOUNDARY_END) {
		if (is_wanted(recorder))
			recorder_log_finish(recorder, true);
	} else if (recorder->engine->failed)
		end_unproven(recorder);
	else
		recorder_fail(recorder, -EPROTO, "an instruction crosses the boundary too often");
	world_flush(&recorder->world);
}

int recorder_run(const struct recorder_config *config, struct recorder_result *ret_result,
		 struct log_error *ret_error)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));
	int error;

	if (!recorder) {
		*ret_error = (struct log_error){.code = -ENOMEM, .text = "no memory to record"};
		return -ENOMEM;
	}
	recorder->config = config;
	recorder->boot = config->boot;
	recorder->switch_icount = UINT64_MAX;
	recorder->dead_icount = UINT64_MAX;
	recorder->end_ns = UINT64_MAX;
	guest_clock_init(&recorder->clock, config->clock == RECORDER_CLOCK_HOST,
			 config->virtual_ps_per_instruction ? config->virtual_ps_per_instruction
							    : DEFAULT_PS_PER_INSTRUCTION);
	chaos_init(&recorder->chaos, &config->chaos);
	recorder->clock.ratio = chaos_ratio(&recorder->chaos, recorder->clock.ratio);
	set_up(recorder);
	if (!recorder->error.code) {
		run(recorder);
		fill_result(recorder, ret_result);
	}
	ret_result->file_failed = recorder->file_failed;
	ret_result->saved_failed = recorder->saved_failed;
	*ret_error = recorder->error;
	error = recorder->error.code;
	tear_down(recorder);
	free(recorder);
	return error;
}
