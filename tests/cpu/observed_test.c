/*
 * What lockstep comparisons go by: an engine whose state is wrong where the outside comes in, and
 * right wherever it stops, must be told from one whose state is right there too (rig.seen).
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/cpu/random_program.h"
#include "tests/tap.h"

#define PROGRAMS 8
#define STEPS    3000u
#define STRIDE   500u

enum where { NOWHERE, AT_CROSSINGS, AT_EVENTS, PLACES };

static const char *const names[PLACES] = {"nowhere", "at crossings", "at events"};

static enum where where; /* of engines that run from here on */

/* interp, with one bit of a register flipped from a stop to where it goes on. */
struct spoiling {
	struct engine engine;
	struct engine *interp;
	bool spoilt;
};

static void flip(struct spoiling *spoiling)
{
	machine_current(spoiling->engine.machine)->gpr[R8] ^= UINT64_C(1) << 63;
	spoiling->spoilt = !spoiling->spoilt;
}

static enum engine_exit spoiling_run(struct engine *engine, const struct run_control *control)
{
	struct spoiling *spoiling = (struct spoiling *)engine;

	if (spoiling->spoilt)
		flip(spoiling);
	enum engine_exit exit = spoiling->interp->ops->run(spoiling->interp, control);
	if (where == (exit == ENGINE_CROSSING ? AT_CROSSINGS : AT_EVENTS))
		flip(spoiling);
	return exit;
}

static void spoiling_destroy(struct engine *engine)
{
	engine_destroy(((struct spoiling *)engine)->interp);
	free(engine);
}

static void spoiling_flush(struct engine *engine)
{
	struct engine *interp = ((struct spoiling *)engine)->interp;

	interp->ops->flush(interp);
}

static const struct engine_ops spoiling_ops;

static int spoiling_create(struct machine *machine, struct engine **ret_engine)
{
	struct spoiling *spoiling = calloc(1, sizeof(*spoiling));

	if (!spoiling)
		return -ENOMEM;
	spoiling->engine = (struct engine){.ops = &spoiling_ops, .machine = machine};
	int r = engine_create(&interp_engine_ops, machine, &spoiling->interp);
	if (r)
		free(spoiling);
	else
		*ret_engine = &spoiling->engine;
	return r;
}

static const struct engine_ops spoiling_ops = {
	.name = "spoiling",
	.create = spoiling_create,
	.destroy = spoiling_destroy,
	.run = spoiling_run,
	.flush = spoiling_flush,
};

struct trace {
	uint64_t stops, seen; /* digests of the states at stops, and of those that were observed */
	unsigned n_events, n_crossings;
};

static struct trace trace_of(const struct writer *program, const struct engine_ops *ops)
{
	struct trace trace = {0};
	struct rig rig;

	rig_engine = ops;
	load_program(&rig, program);
	rig.observed = true;
	do {
		rig_run(&rig, rig.machine->icount + STRIDE, false);
		if (ops == &spoiling_ops && ((struct spoiling *)rig.engine)->spoilt)
			flip((struct spoiling *)rig.engine);
		trace.stops = trace.stops * 31 + rig_digest(&rig);
	} while (rig.machine->icount < STEPS && !rig.halted);
	trace.seen = rig.seen;
	trace.n_events = rig.n_events;
	trace.n_crossings = rig.n_crossings;
	rig_destroy(&rig);
	return trace;
}

static void test_place(const struct trace *right, const struct trace *spoilt)
{
	bool differs = where == AT_EVENTS      ? right->n_events
		       : where == AT_CROSSINGS ? right->n_crossings
					       : false;

	tap_ok(right->n_events == spoilt->n_events && right->n_crossings == spoilt->n_crossings &&
		       right->stops == spoilt->stops,
	       "spoilt %s: the same stops, %u events and %u crossings", names[where],
	       right->n_events, right->n_crossings);
	tap_ok((right->seen != spoilt->seen) == differs, "… and %s", differs ? "told" : "the same");
}

int main(void)
{
	static struct writer program;
	unsigned events = 0, crossings = 0;

	for (unsigned seed = 0; seed < PROGRAMS; seed++) {
		write_program(&program, seed, seed % RIG_MODES);
		const struct trace right = trace_of(&program, &interp_engine_ops);
		events += right.n_events != 0;
		crossings += right.n_crossings != 0;
		for (where = NOWHERE; where < PLACES; where++) {
			const struct trace spoilt = trace_of(&program, &spoiling_ops);
			test_place(&right, &spoilt);
		}
	}
	tap_ok(events && crossings, "%u programs with events, %u with crossings", events,
	       crossings);
	return tap_done();
}
