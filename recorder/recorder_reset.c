/* Loading the guest, at the start and again when it resets itself. */
#include <errno.h>
#include <stdio.h>

#include "recorder/state.h"

int recorder_load_guest(struct recorder *recorder)
{
	struct boot_error reason = {""};
	const char *path = recorder->config->kernel_path;
	char text[sizeof(recorder->error.text) + 104];
	enum boot_kind kind;
	int error = boot_load(recorder->machine, &recorder->boot, &kind, &reason);

	if (!error)
		return 0;
	if (!reason.text[0])
		snprintf(reason.text, sizeof(reason.text),
			 "the kernel does not fit into %llu MiB of guest RAM",
			 (unsigned long long)(recorder->config->ram_bytes >> 20));
	snprintf(text, sizeof(text), "%.100s: %s", path ? path : "kernel", reason.text);
	recorder_fail(recorder, error, text);
	return error;
}

/* vCPUs as before the first instruction, exactly as the replayer sets them from the header. */
static int restore_vcpus(struct recorder *recorder)
{
	struct machine *machine = recorder->machine;
	const struct machine_clock clock = machine->clock;
	const uint64_t icount = machine->icount, output_digest = machine->output_digest;
	int error = machine_state_decode(machine, recorder->initial_state,
					 machine_state_bytes(machine));

	machine->clock = clock;
	machine->icount = icount;
	machine->output_digest = output_digest;
	return error;
}

enum boundary_result recorder_reset(struct recorder *recorder)
{
	struct event event = {.kind = EVENT_RESET};

	/* What the guest would start from is not in the file. */
	if (recorder->saved)
		return recorder_end(recorder, "reset");
	enum boundary_result result = recorder_emit(recorder, &event);

	if (result != BOUNDARY_GO)
		return result;
	platform_reset(recorder->platform);
	recorder->world.gate = (struct console_gate){0};
	input_source_hold(&recorder->world.console_in, true, 0);
	recorder->nmi_pending = 0;
	recorder->switch_icount = UINT64_MAX;
	if (recorder_load_guest(recorder))
		return BOUNDARY_FAILED;
	if (restore_vcpus(recorder))
		return recorder_fail(recorder, -EPROTO, "the machine refused its initial state");
	recorder->engine->ops->flush(recorder->engine);
	return BOUNDARY_GO;
}
