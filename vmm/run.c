/* The run loop: asks the boundary what is due, lets the engine run, completes crossings. */
#include "vmm/run.h"

#include <xxhash.h>

/* Chains a write into the digest of everything the machine has put out. */
static void hash_output(struct machine *machine, const struct crossing_request *request)
{
	const uint64_t words[] = {request->kind | (uint64_t)request->size << 8, request->address,
				  request->value};

	machine->output_digest = XXH64(words, sizeof(words), machine->output_digest);
}

/* Fetches the answer the instruction in progress waits for; the engine then runs it again. */
static enum boundary_result complete_crossing(struct machine *machine,
					      const struct boundary *boundary)
{
	struct crossing *crossing = &machine->crossing;
	uint64_t value = 0;
	enum boundary_result result;

	if (crossing->n_answers == CROSSING_MAX_ANSWERS)
		return BOUNDARY_FAILED;
	if (crossing_is_read(crossing->request.kind)) {
		result = boundary->ops->input(boundary->ctx, machine, &crossing->request, &value);
	} else {
		result = boundary->ops->output(boundary->ctx, machine, &crossing->request);
		if (result == BOUNDARY_GO)
			hash_output(machine, &crossing->request);
	}
	if (result == BOUNDARY_GO)
		crossing->answers[crossing->n_answers++] = value;
	return result;
}

/* A debugger may be interested; when it is not, the run goes on. */
static enum boundary_result tell_stopped(struct machine *machine, const struct boundary *boundary,
					 bool watch)
{
	enum boundary_result result = BOUNDARY_GO;

	if (boundary->ops->stopped)
		result = boundary->ops->stopped(boundary->ctx, machine, watch);
	if (watch)
		memory_clear_watch_hit(machine->memory);
	return result;
}

/* Runs until the boundary has to be asked for events. */
static enum boundary_result run_plan(struct engine *engine, const struct boundary *boundary,
				     const struct boundary_plan *plan)
{
	struct run_control control = {
		.until_icount = plan->until_icount,
		.interrupt_window = plan->interrupt_window,
		.nmi_window = plan->nmi_window,
	};
	enum boundary_result result = BOUNDARY_GO;

	while (result == BOUNDARY_GO) {
		enum engine_exit exit = engine->ops->run(engine, &control);

		control.skip_breakpoint = exit == ENGINE_BREAKPOINT;
		if (exit == ENGINE_CROSSING)
			result = complete_crossing(engine->machine, boundary);
		else if (exit == ENGINE_BREAKPOINT)
			result = tell_stopped(engine->machine, boundary, false);
		else if (exit == ENGINE_WATCHPOINT)
			return tell_stopped(engine->machine, boundary, true);
		else if (exit == ENGINE_FAILED)
			return BOUNDARY_FAILED;
		else
			break;
	}
	return result;
}

enum boundary_result run_machine(struct engine *engine, const struct boundary *boundary)
{
	enum boundary_result result;

	do {
		struct boundary_plan plan = {0};

		result = boundary->ops->events(boundary->ctx, engine->machine, &plan);
		if (result == BOUNDARY_GO)
			result = run_plan(engine, boundary, &plan);
	} while (result == BOUNDARY_GO);
	return result;
}
