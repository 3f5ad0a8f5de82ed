#include "gdbstub/last_step.h"

#define NOBODY UINT32_MAX

/* How much of the log is looked at first; twice as much each time. */
#define FIRST_WINDOW UINT64_C(1000000)

/* What the log says of an interval. */
struct search {
	uint32_t vcpu;
	bool found;
	uint64_t icount; /* if found: of the state in front of its last step */
	uint32_t runs;   /* NOBODY: not known */
	uint64_t since;
};

/* Who has run until a count made the steps up to it. */
static void take_turn(struct search *search, uint64_t until)
{
	if (search->runs != search->vcpu || until <= search->since)
		return;
	search->found = true;
	search->icount = until - 1;
}

static bool look_through(struct log_reader *log, uint64_t until, struct search *search)
{
	struct log_error error;
	struct event event;
	int r = log_reader_seek(log, search->since, &error);

	while (!r && (r = log_reader_next(log, &event, &error)) > 0 && event.icount < until) {
		r = 0;
		if (event.kind != EVENT_SWITCH)
			continue;
		take_turn(search, event.icount);
		search->runs = event.delivery.vcpu;
		search->since = event.icount;
	}
	take_turn(search, until);
	return r >= 0;
}

bool last_step_find(struct gdbstub *stub, uint32_t vcpu, uint64_t position, uint64_t *ret_icount)
{
	uint64_t start = timeline_start(stub->timeline), window = FIRST_WINDOW;
	struct search search = {.vcpu = vcpu};

	for (; !search.found; window *= 2) {
		bool whole = position - start <= window;
		search.since = whole ? start : position - window;
		search.runs = NOBODY;
		if (whole && timeline_seek(stub->timeline, start) == TIMELINE_ARRIVED)
			search.runs = stub_machine(stub)->current;
		if (!look_through(stub->events, position, &search) || (whole && !search.found))
			return false;
	}
	*ret_icount = search.icount;
	return true;
}
