/* Packets that move: continue and step in both directions, and the stop replies that end them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gdbstub/hits.h"

#define SIGNAL_INT  2
#define SIGNAL_TRAP 5

/* ---- stop replies ---- */

static void tell_point(struct gdbstub *stub)
{
	static const char *const names[] = {
		[POINT_WRITE] = "watch", [POINT_READ] = "rwatch", [POINT_ACCESS] = "awatch"};
	const struct met_point *met = &stub->met;

	if (!met->valid)
		return;
	if (met->kind >= POINT_WRITE)
		reply_print(&stub->stop, "%s:%" PRIx64 ";", names[met->kind], met->address);
	else if (stub->tells_breaks)
		reply_print(&stub->stop, met->kind == POINT_HARDWARE ? "hwbreak:;" : "swbreak:;");
}

static void tell_line(struct gdbstub *stub, const char *text)
{
	struct reply line = {0};

	reply_print(&line, "%s\n", text);
	packets_tell(stub, line.data, line.n);
	reply_finish(&line);
}

/* What gdb had no words for. */
static void tell_refused(struct gdbstub *stub)
{
	char text[128];

	if (!stub->refused)
		return;
	stub->refused = false;
	snprintf(text, sizeof(text),
		 "nothing was written at 0x%" PRIx64
		 ": memory of a recording cannot be changed, nor functions be called",
		 stub->refused_address);
	tell_line(stub, text);
}

/* Linux's numbers of signals and gdb's agree only in part. */
static unsigned gdb_signal(unsigned number)
{
	static const uint8_t of[] = {
		[7] = 10 /* BUS */,   [10] = 30 /* USR1 */,
		[12] = 31 /* USR2 */, [16] = 143 /* STKFLT: unknown */,
		[17] = 20 /* CHLD */, [18] = 19 /* CONT */,
		[19] = 17 /* STOP */, [20] = 18 /* TSTP */,
		[23] = 16 /* URG */,  [29] = 23 /* IO */,
		[30] = 32 /* PWR */,  [31] = 12 /* SYS */,
	};

	return number < sizeof(of) && of[number] ? of[number] : number < 32 ? number : 143;
}

/* Composes the stop reply of a movement. */
static void stop(struct gdbstub *stub, enum timeline_status status, const struct view_stop *what)
{
	unsigned number = status == TIMELINE_INTERRUPTED ? SIGNAL_INT
			  : what->signal                 ? gdb_signal(what->signal)
							 : SIGNAL_TRAP;

	reply_clear(&stub->stop);
	reply_print(&stub->stop, "T%02x", number);
	if (what->remark)
		tell_line(stub, what->remark);
	if (status == TIMELINE_HIT)
		tell_point(stub);
	else if (status == TIMELINE_START)
		reply_print(&stub->stop, "replaylog:begin;");
	else if (status == TIMELINE_END && !what->signal)
		reply_print(&stub->stop, "replaylog:end;");
	else if (status == TIMELINE_FAILED)
		tell_line(stub, timeline_error(stub->timeline));
	reply_print(&stub->stop, "thread:");
	target_print_thread(stub, &stub->stop, what->thread);
	reply_print(&stub->stop, ";");
	stub->g_thread = stub->chosen = what->thread;
}

static bool finish(struct gdbstub *stub, enum timeline_status status, const struct view_stop *what)
{
	tell_refused(stub);
	stop(stub, status, what);
	reply_bytes(&stub->reply, stub->stop.data, stub->stop.n);
	return true;
}

bool run_why(struct gdbstub *stub, struct cursor *cursor)
{
	const struct view_ops *view = stub->view;
	struct view_stop here = {.thread = view->thread_here(stub)};

	if (view->signal_here)
		here.signal = view->signal_here(stub);
	if (!stub->stop.n)
		stop(stub, TIMELINE_ARRIVED, &here);
	reply_bytes(&stub->reply, stub->stop.data, stub->stop.n);
	return true;
}

void run_forget_stop(struct gdbstub *stub)
{
	reply_clear(&stub->stop);
	if (!stub->view->has_thread(stub, stub->g_thread))
		stub->g_thread = stub->view->thread_here(stub);
	if (!stub->view->has_thread(stub, stub->c_thread))
		stub->c_thread = 0;
	if (!stub->view->has_thread(stub, stub->chosen))
		stub->chosen = stub->g_thread;
}

/* ---- the packets ---- */

/* Before anything moves. Returns false with an error as the reply. */
static bool prepare(struct gdbstub *stub)
{
	stub->interrupted = 0;
	stub->met.valid = false;
	if (!hits_arm(stub, NULL, 0))
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
	struct view_stop what = {0};

	if (refuse_address(stub, cursor) || !prepare(stub))
		return true;
	enum timeline_status status = stub->view->go_on(stub, &what);
	return finish(stub, status, &what);
}

bool run_step(struct gdbstub *stub, struct cursor *cursor)
{
	struct view_stop what = {0};

	if (refuse_address(stub, cursor) || !prepare(stub))
		return true;
	enum timeline_status status = stub->view->step(stub, stub->c_thread, &what);
	return finish(stub, status, &what);
}

bool run_continue_back(struct gdbstub *stub, struct cursor *cursor)
{
	struct view_stop what = {0};

	if (!prepare(stub))
		return true;
	enum timeline_status status = stub->view->go_back(stub, &what);
	return finish(stub, status, &what);
}

bool run_step_back(struct gdbstub *stub, struct cursor *cursor)
{
	struct view_stop what = {0};

	if (!prepare(stub))
		return true;
	/* gdb names the thread of a step forwards; backwards it says any and means the one chosen,
	 * unless its scheduler-locking is "on" or "step". */
	uint32_t thread = stub->c_thread ? stub->c_thread : stub->chosen;
	enum timeline_status status = stub->view->step_back(stub, thread, &what);
	return finish(stub, status, &what);
}

/* ---- vCont ---- */

enum action_kind { ACTION_NONE, ACTION_CONTINUE, ACTION_STEP, ACTION_RANGE };

struct action {
	enum action_kind kind;
	uint64_t first, end; /* RANGE: steps while the PC is inside */
	uint32_t thread;     /* 0: any */
};

static bool take_action(const struct gdbstub *stub, struct cursor *cursor, struct action *ret)
{
	uint64_t signal;

	*ret = (struct action){0};
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
	if (cursor_take(cursor, ":") && !target_take_thread(stub, cursor, &ret->thread))
		return false;
	return ret->kind && !cursor_left(cursor);
}

/* Steps between two looks at whether gdb wants to stop them. */
#define STEPS_BETWEEN_LOOKS 256

/* Steps while the thread stays inside the range. */
static enum timeline_status step_range(struct gdbstub *stub, const struct action *action,
				       struct view_stop *ret)
{
	enum timeline_status status;
	unsigned n = 0;
	uint64_t pc;

	do {
		status = stub->view->step(stub, action->thread, ret);
		if (++n % STEPS_BETWEEN_LOOKS == 0)
			stub_look_for_interrupt(stub);
		if (status == TIMELINE_ARRIVED && stub->interrupted)
			status = TIMELINE_INTERRUPTED;
		pc = target_thread_pc(stub, ret->thread);
	} while (status == TIMELINE_ARRIVED && pc >= action->first && pc < action->end &&
		 !hits_has_breakpoint(stub, pc));
	return status;
}

static enum timeline_status act(struct gdbstub *stub, const struct action *action,
				struct view_stop *ret)
{
	switch (action->kind) {
	case ACTION_STEP:
		return stub->view->step(stub, action->thread, ret);
	case ACTION_RANGE:
		return step_range(stub, action, ret);
	default:
		return stub->view->go_on(stub, ret);
	}
}

/* All threads always go on; a step is that of the thread it names. */
bool run_vcont(struct gdbstub *stub, struct cursor *cursor)
{
	struct action chosen = {0};
	struct view_stop what = {0};

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
	if (!prepare(stub))
		return true;
	enum timeline_status status = act(stub, &chosen, &what);
	return finish(stub, status, &what);
}
