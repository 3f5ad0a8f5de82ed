#include "gdbstub/hits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/agent.h"

/* ---- conditions ---- */

/* What a condition sees: the thread that met the point. */
struct condition_view {
	struct gdbstub *stub;
	uint32_t thread;
	bool has_registers; /* they are read when first asked for */
	struct thread_registers registers;
};

static bool read_register(void *ctx, unsigned number, uint64_t *ret_value)
{
	struct condition_view *view = ctx;
	const struct view_ops *ops = view->stub->view;
	uint8_t bytes[REGISTER_MAX_BYTES] = {0};

	if (!view->has_registers &&
	    !ops->read_registers(view->stub, view->thread, &view->registers))
		return false;
	view->has_registers = true;
	unsigned n = register_read(ops->registers, &view->registers, number, bytes);
	if (!n || n > 8)
		return false;
	memcpy(ret_value, bytes, sizeof(*ret_value));
	return true;
}

static bool read_memory(void *ctx, uint64_t address, void *buffer, size_t n)
{
	const struct condition_view *view = ctx;

	return target_read(view->stub, view->thread, address, buffer, n) == n;
}

/* One that cannot be evaluated counts as true: gdb then looks itself. */
static bool condition_holds(const struct condition *condition, struct condition_view *view)
{
	const struct agent_view agent_view = {read_register, read_memory, view};
	uint64_t value;

	return !agent_evaluate(condition->code, condition->n, &agent_view, &value) || value;
}

static bool point_holds(struct gdbstub *stub, const struct point *point, uint32_t thread)
{
	struct condition_view view = {.stub = stub, .thread = thread};

	for (unsigned i = 0; i < point->n_conditions; i++)
		if (condition_holds(&point->conditions[i], &view))
			return true;
	return !point->n_conditions;
}

/* ---- breakpoints ---- */

static bool is_breakpoint_at(const struct point *point, uint64_t pc)
{
	return !point_is_watch(point) && point->address == pc;
}

bool hits_has_breakpoint(const struct gdbstub *stub, uint64_t pc)
{
	for (unsigned i = 0; i < stub->points.n; i++)
		if (is_breakpoint_at(&stub->points.point[i], pc))
			return true;
	return false;
}

bool hits_breakpoint(struct gdbstub *stub, uint32_t thread, uint64_t pc)
{
	for (unsigned i = 0; i < stub->points.n; i++) {
		const struct point *point = &stub->points.point[i];
		if (!is_breakpoint_at(point, pc) || !point_holds(stub, point, thread))
			continue;
		stub->met = (struct met_point){true, point->kind, pc, {0}};
		return true;
	}
	return false;
}

/* ---- watchpoints ---- */

static bool range_is_met(struct gdbstub *stub, const struct point_range *range,
			 const struct memory_watch_access *access, uint32_t thread)
{
	const struct point *point = &stub->points.point[range->point];
	uint64_t address;

	if (!watches_meet(range, access, &address) || !point_wants(point, access->write) ||
	    !point_holds(stub, point, thread))
		return false;
	stub->met = (struct met_point){true, point->kind, address, *access};
	return true;
}

/* Whether one of the accesses is what a watchpoint waits for. */
static bool accesses_met(struct gdbstub *stub, uint32_t thread)
{
	unsigned n;
	const struct memory_watch_access *access =
		memory_watch_hits(stub_machine(stub)->memory, &n);

	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < stub->watches.n_ranges; j++)
			if (range_is_met(stub, &stub->watches.range[j], &access[i], thread))
				return true;
	return false;
}

/* A watchpoint whose content became another because something else is mapped there now. */
static bool remapping_met(struct gdbstub *stub, uint32_t thread, bool removes)
{
	unsigned number;

	if (!watches_follow(stub, removes, &number) ||
	    !point_wants(&stub->points.point[number], true) ||
	    !point_holds(stub, &stub->points.point[number], thread))
		return false;
	const struct point *point = &stub->points.point[number];
	stub->met = (struct met_point){true, point->kind, point->address, {0}};
	return true;
}

bool hits_watch(struct gdbstub *stub, uint32_t thread, bool removes)
{
	bool met = accesses_met(stub, thread);

	return (stub->view->follows_mappings && remapping_met(stub, thread, removes)) || met;
}

/* ---- with the timeline ---- */

bool hits_count(void *ctx, const struct timeline_hit *hit)
{
	struct gdbstub *stub = ctx;

	return stub->view->counts(stub, hit);
}

void hits_moved(void *ctx)
{
	struct gdbstub *stub = ctx;

	if (stub->view->follows_mappings)
		watches_arm(stub);
}

int hits_arm(struct gdbstub *stub, const uint64_t *further, unsigned n_further)
{
	const struct points *points = &stub->points;
	uint64_t *linear = calloc((size_t)points->n + n_further + 1, sizeof(*linear));
	unsigned n = 0;
	int error;

	if (!linear)
		return -ENOMEM;
	for (unsigned i = 0; i < points->n; i++)
		if (!point_is_watch(&points->point[i]))
			linear[n++] = points->point[i].address;
	for (unsigned i = 0; i < n_further; i++)
		linear[n++] = further[i];
	error = timeline_set_breakpoints(stub->timeline, linear, n);
	free(linear);
	return error ? error : watches_arm(stub);
}
