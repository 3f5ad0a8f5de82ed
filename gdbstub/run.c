/* Packets that move: continue and step in both directions, and the stop replies that end them. */
#include "gdbstub/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/agent.h"
#include "gdbstub/registers.h"

#define SIGNAL_INT  2
#define SIGNAL_TRAP 5

/* ---- conditions ---- */

/* What a condition sees: the vCPU that met the point. */
struct condition_view {
	const struct gdbstub *stub;
	uint32_t vcpu;
};

static bool read_register(void *ctx, unsigned number, uint64_t *ret_value)
{
	const struct condition_view *view = ctx;
	uint8_t bytes[REGISTER_MAX_BYTES] = {0};
	unsigned n = register_read(&stub_machine(view->stub)->vcpu[view->vcpu], number, bytes);

	if (!n || n > 8)
		return false;
	memcpy(ret_value, bytes, sizeof(*ret_value));
	return true;
}

static bool read_memory(void *ctx, uint64_t address, void *buffer, size_t n)
{
	const struct condition_view *view = ctx;

	return target_read(view->stub, view->vcpu, address, buffer, n) == n;
}

/* One that cannot be evaluated counts as true: gdb then looks itself. */
static bool condition_holds(const struct condition *condition, const struct condition_view *view)
{
	const struct agent_view agent_view = {read_register, read_memory, (void *)view};
	uint64_t value;

	return !agent_evaluate(condition->code, condition->n, &agent_view, &value) || value;
}

static bool point_holds(const struct gdbstub *stub, const struct point *point, uint32_t vcpu)
{
	const struct condition_view view = {stub, vcpu};

	for (unsigned i = 0; i < point->n_conditions; i++)
		if (condition_holds(&point->conditions[i], &view))
			return true;
	return !point->n_conditions;
}

/* The range of a watchpoint that wants this access, from number first on. */
static const struct point_range *find_range(const struct points *points,
					    const struct memory_watch_access *access,
					    unsigned first)
{
	for (unsigned i = first; i < points->n_ranges; i++) {
		const struct point_range *range = &points->range[i];
		if (access->gpa < range->gpa + range->bytes &&
		    range->gpa < access->gpa + access->bytes &&
		    point_wants(&points->point[range->point], access->write))
			return range;
	}
	return NULL;
}

static const struct point *find_breakpoint(const struct points *points, uint64_t pc)
{
	for (unsigned i = 0; i < points->n; i++)
		if (!point_is_watch(&points->point[i]) && points->point[i].address == pc)
			return &points->point[i];
	return NULL;
}

bool run_hit_counts(void *ctx, const struct timeline_hit *hit)
{
	struct gdbstub *stub = ctx;
	const struct points *points = &stub->points;

	if (stub->taking_any_hit)
		return true;
	if (!hit->watch) {
		uint64_t pc = target_pc(&stub_machine(stub)->vcpu[hit->vcpu]);
		for (unsigned i = 0; i < points->n; i++)
			if (!point_is_watch(&points->point[i]) && points->point[i].address == pc &&
			    point_holds(stub, &points->point[i], hit->vcpu))
				return true;
		return false;
	}
	const struct point_range *range = find_range(points, &hit->access, 0);
	while (range && !point_holds(stub, &points->point[range->point], hit->vcpu))
		range = find_range(points, &hit->access, (unsigned)(range - points->range) + 1);
	return range != NULL;
}

/* ---- handing the points over ---- */

static int add_range(struct points *points, const struct point_range *range)
{
	if (points->n_ranges == points->max_ranges) {
		unsigned max = points->max_ranges ? points->max_ranges * 2 : 16;
		struct point_range *ranges = realloc(points->range, max * sizeof(*ranges));
		if (!ranges)
			return -ENOMEM;
		points->range = ranges;
		points->max_ranges = max;
	}
	points->range[points->n_ranges++] = *range;
	return 0;
}

/* The physical pages behind a watchpoint; parts that are not mapped are left out. */
static int map_watch(struct gdbstub *stub, unsigned number)
{
	const struct point *point = &stub->points.point[number];
	uint64_t address = point->address, left = point->bytes;
	int error = 0;

	while (left && !error) {
		struct point_range range = {.point = number, .address = address};
		range.bytes = PAGE_BYTES - address % PAGE_BYTES;
		if (range.bytes > left)
			range.bytes = left;
		if (target_translate_known(stub, address, &range.gpa))
			error = add_range(&stub->points, &range);
		address += range.bytes;
		left -= range.bytes;
	}
	return error;
}

static int arm_watches(struct gdbstub *stub)
{
	struct points *points = &stub->points;
	struct memory_watch *watches;
	int error = 0;

	points->n_ranges = 0;
	for (unsigned i = 0; i < points->n && !error; i++)
		if (point_is_watch(&points->point[i]))
			error = map_watch(stub, i);
	watches = calloc(points->n_ranges + 1u, sizeof(*watches));
	if (error || !watches) {
		free(watches);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < points->n_ranges; i++) {
		const struct point_range *range = &points->range[i];
		watches[i] = (struct memory_watch){
			.gpa = range->gpa,
			.bytes = range->bytes,
			.reads = point_wants(&points->point[range->point], false),
			.writes = point_wants(&points->point[range->point], true),
		};
	}
	error = timeline_set_watches(stub->timeline, watches, points->n_ranges);
	free(watches);
	return error;
}

int run_arm(struct gdbstub *stub)
{
	const struct points *points = &stub->points;
	uint64_t *linear = calloc(points->n + 1u, sizeof(*linear));
	unsigned n = 0;
	int error;

	if (!linear)
		return -ENOMEM;
	for (unsigned i = 0; i < points->n; i++)
		if (!point_is_watch(&points->point[i]))
			linear[n++] = points->point[i].address;
	error = timeline_set_breakpoints(stub->timeline, linear, n);
	free(linear);
	return error ? error : arm_watches(stub);
}

/* ---- stop replies ---- */

static void tell_breakpoint(struct gdbstub *stub, const struct timeline_hit *hit)
{
	const struct point *point =
		find_breakpoint(&stub->points, target_pc(&stub_machine(stub)->vcpu[hit->vcpu]));

	if (point && stub->tells_breaks)
		reply_print(&stub->stop, point->kind == POINT_HARDWARE ? "hwbreak:;" : "swbreak:;");
}

static void tell_watchpoint(struct gdbstub *stub, const struct timeline_hit *hit)
{
	static const char *const names[] = {
		[POINT_WRITE] = "watch", [POINT_READ] = "rwatch", [POINT_ACCESS] = "awatch"};
	const struct point_range *range = find_range(&stub->points, &hit->access, 0);
	uint64_t inside;

	if (!range)
		return;
	inside = hit->access.gpa > range->gpa ? hit->access.gpa - range->gpa : 0;
	reply_print(&stub->stop, "%s:%" PRIx64 ";", names[stub->points.point[range->point].kind],
		    range->address + inside);
}

static void tell_error(struct gdbstub *stub)
{
	struct reply line = {0};

	reply_print(&line, "%s\n", timeline_error(stub->timeline));
	packets_tell(stub, line.data, line.n);
	reply_finish(&line);
}

/* Composes the stop reply of a movement. */
static void stop(struct gdbstub *stub, enum timeline_status status)
{
	const struct timeline_hit *hit = timeline_hit(stub->timeline);
	uint32_t vcpu = status == TIMELINE_HIT ? hit->vcpu : stub_machine(stub)->current;

	reply_clear(&stub->stop);
	reply_print(&stub->stop, "T%02x",
		    status == TIMELINE_INTERRUPTED ? SIGNAL_INT : SIGNAL_TRAP);
	if (status == TIMELINE_HIT && hit->watch)
		tell_watchpoint(stub, hit);
	else if (status == TIMELINE_HIT)
		tell_breakpoint(stub, hit);
	else if (status == TIMELINE_START)
		reply_print(&stub->stop, "replaylog:begin;");
	else if (status == TIMELINE_END)
		reply_print(&stub->stop, "replaylog:end;");
	else if (status == TIMELINE_FAILED)
		tell_error(stub);
	reply_print(&stub->stop, "thread:");
	target_print_thread(&stub->stop, vcpu);
	reply_print(&stub->stop, ";");
	stub->g_vcpu = vcpu;
}

static bool finish(struct gdbstub *stub, enum timeline_status status)
{
	stop(stub, status);
	reply_bytes(&stub->reply, stub->stop.data, stub->stop.n);
	return true;
}

bool run_why(struct gdbstub *stub, struct cursor *cursor)
{
	if (!stub->stop.n)
		stop(stub, TIMELINE_ARRIVED);
	reply_bytes(&stub->reply, stub->stop.data, stub->stop.n);
	return true;
}

void run_forget_stop(struct gdbstub *stub)
{
	reply_clear(&stub->stop);
}

/* ---- the packets ---- */

/* Before anything moves. Returns false with an error as the reply. */
static bool prepare(struct gdbstub *stub)
{
	stub->interrupted = 0;
	if (!run_arm(stub))
		return true;
	reply_print(&stub->reply, "E.no memory for breakpoints");
	return false;
}

/* "c ADDR" and "s ADDR" would go on elsewhere: the past cannot be changed. */
static bool refuse_address(struct gdbstub *stub, const struct cursor *cursor)
{
	if (!cursor_left(cursor))
		return false;
	reply_print(&stub->reply, "E.this is a recording: it cannot go on at another address");
	return true;
}

bool run_continue(struct gdbstub *stub, struct cursor *cursor)
{
	if (refuse_address(stub, cursor) || !prepare(stub))
		return true;
	return finish(stub, timeline_continue(stub->timeline));
}

bool run_step(struct gdbstub *stub, struct cursor *cursor)
{
	if (refuse_address(stub, cursor) || !prepare(stub))
		return true;
	return finish(stub, timeline_step(stub->timeline));
}

bool run_continue_back(struct gdbstub *stub, struct cursor *cursor)
{
	if (!prepare(stub))
		return true;
	return finish(stub, timeline_continue_back(stub->timeline));
}

bool run_step_back(struct gdbstub *stub, struct cursor *cursor)
{
	if (!prepare(stub))
		return true;
	return finish(stub, timeline_step_back(stub->timeline));
}

/* ---- vCont ---- */

enum action_kind { ACTION_NONE, ACTION_CONTINUE, ACTION_STEP, ACTION_RANGE };

struct action {
	enum action_kind kind;
	uint64_t first, end; /* RANGE: steps while the PC is inside */
	bool any_vcpu;
	uint32_t vcpu;
};

static bool take_action(const struct gdbstub *stub, struct cursor *cursor, struct action *ret)
{
	uint64_t signal;

	*ret = (struct action){.any_vcpu = true};
	if (cursor_take(cursor, "c")) {
		ret->kind = ACTION_CONTINUE;
	} else if (cursor_take(cursor, "C")) {
		ret->kind = ACTION_CONTINUE;
		if (!cursor_hex(cursor, &signal))
			return false;
	} else if (cursor_take(cursor, "s")) {
		ret->kind = ACTION_STEP;
	} else if (cursor_take(cursor, "S")) {
		ret->kind = ACTION_STEP;
		if (!cursor_hex(cursor, &signal))
			return false;
	} else if (cursor_take(cursor, "r")) {
		ret->kind = ACTION_RANGE;
		if (!cursor_range(cursor, &ret->first, &ret->end))
			return false;
	}
	if (cursor_take(cursor, ":") &&
	    !target_take_thread(stub, cursor, &ret->any_vcpu, &ret->vcpu))
		return false;
	return ret->kind && !cursor_left(cursor);
}

/* Steps until the vCPU has made a step: others may be in between. */
static enum timeline_status step_vcpu(struct gdbstub *stub, const struct action *action)
{
	enum timeline_status status;

	do {
		status = timeline_step(stub->timeline);
	} while (status == TIMELINE_ARRIVED && !action->any_vcpu &&
		 stub_machine(stub)->current != action->vcpu && !stub->interrupted);
	return stub->interrupted ? TIMELINE_INTERRUPTED : status;
}

static enum timeline_status step_range(struct gdbstub *stub, const struct action *action)
{
	enum timeline_status status;
	uint64_t pc;

	do {
		status = step_vcpu(stub, action);
		pc = target_pc(machine_current(stub_machine(stub)));
	} while (status == TIMELINE_ARRIVED && pc >= action->first && pc < action->end &&
		 !find_breakpoint(&stub->points, pc));
	return status;
}

static enum timeline_status act(struct gdbstub *stub, const struct action *action)
{
	switch (action->kind) {
	case ACTION_STEP:
		return step_vcpu(stub, action);
	case ACTION_RANGE:
		return step_range(stub, action);
	default:
		return timeline_continue(stub->timeline);
	}
}

/* All vCPUs always go on; a step is that of the vCPU it names. */
bool run_vcont(struct gdbstub *stub, struct cursor *cursor)
{
	struct action chosen = {0};

	while (cursor_left(cursor)) {
		struct cursor part = cursor_until(cursor, ';');
		struct action action;
		if (!take_action(stub, &part, &action)) {
			reply_print(&stub->reply, "E01");
			return true;
		}
		if (action.kind > chosen.kind)
			chosen = action;
	}
	if (!chosen.kind) {
		reply_print(&stub->reply, "E01");
		return true;
	}
	return !prepare(stub) || finish(stub, act(stub, &chosen));
}
