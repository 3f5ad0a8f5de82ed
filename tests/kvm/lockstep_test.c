/*
 * Random programs of user code under the kvm engine against interp, for so long that its blocks and
 * polls are the product's: equal states at every count at which both stand, and wherever the
 * outside comes in: at each interrupt, write by a device, change of the clock, and at each port or
 * device that is read or written. Twice: as it chooses
 * what runs in KVM, which depends on what exits cost here, and half of them with everything there.
 * kvm-random has short runs.
 */
#include <stdlib.h>

#include "tests/cpu/random_program.h"
#include "tests/tap.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/runner.h"

#define PROGRAMS 24
#define STEPS    100000u

/* Counts at which both are compared; shorter runs are interp's alone. */
#define STRIDE_MIN 8500u
#define STRIDE_MAX 40000u
#define STOPS_MAX  (STEPS / STRIDE_MIN + 2)

/* Events are so far apart, on average: most stretches between them are long enough for KVM. */
#define SPACING 16000u

struct trace {
	unsigned n;
	uint64_t icount[STOPS_MAX], digest[STOPS_MAX];
	uint64_t seen[STOPS_MAX]; /* of the states at events and crossings so far */
	unsigned n_events, n_crossings;
};

static void load(struct rig *rig, const struct writer *program, const struct engine_ops *ops)
{
	rig_engine = ops;
	load_program(rig, program);
	rig->events = rig->observed = true;
	rig->spacing = SPACING;
}

static void run(struct rig *rig, struct writer *random, struct trace *trace)
{
	trace->n = 0;
	do {
		uint64_t stride = STRIDE_MIN + any(random, STRIDE_MAX - STRIDE_MIN);

		rig_run(rig, rig->machine->icount + stride, false);
		trace->icount[trace->n] = rig->machine->icount;
		trace->seen[trace->n] = rig->seen;
		trace->digest[trace->n++] = rig_digest(rig);
	} while (rig->machine->icount < STEPS && !rig->halted);
	trace->n_events = rig->n_events;
	trace->n_crossings = rig->n_crossings;
}

static void run_to(struct rig *rig, const struct writer *program, const struct trace *trace,
		   unsigned stop, const struct engine_ops *ops)
{
	load(rig, program, ops);
	for (unsigned i = 0; i <= stop; i++)
		rig_run(rig, trace->icount[i], false);
}

static void compare_pages(struct rig *a, struct rig *b)
{
	for (uint64_t gpa = 0; gpa < RIG_RAM; gpa += 8)
		if (rig_fetch(a, gpa, 8) != rig_fetch(b, gpa, 8)) {
			tap_note("memory at 0x%llx: 0x%llx, 0x%llx", (unsigned long long)gpa,
				 (unsigned long long)rig_fetch(a, gpa, 8),
				 (unsigned long long)rig_fetch(b, gpa, 8));
			return;
		}
}

/* What differs at a stop. */
static void explain(const struct writer *program, const struct trace *trace, unsigned stop,
		    const struct engine_ops *ops)
{
	static uint8_t of_a[8192], of_b[8192];
	struct rig a, b;
	const char *name;
	uint64_t in_a, in_b;

	run_to(&a, program, trace, stop, &interp_engine_ops);
	run_to(&b, program, trace, stop, ops);
	cpu_state_encode(a.cpu, of_a);
	cpu_state_encode(b.cpu, of_b);
	if (cpu_state_difference(of_a, of_b, &name, &in_a, &in_b))
		tap_note("%s: 0x%llx, 0x%llx", name, (unsigned long long)in_a,
			 (unsigned long long)in_b);
	compare_pages(&a, &b);
	rig_destroy(&a);
	rig_destroy(&b);
}

static bool same(const struct writer *program, const struct trace *a, const struct trace *b,
		 const struct engine_ops *ops)
{
	for (unsigned i = 0; i < a->n; i++) {
		if (i < b->n && a->icount[i] == b->icount[i] && a->digest[i] == b->digest[i] &&
		    a->seen[i] == b->seen[i])
			continue;
		tap_note("differs %s %llu and %llu (%llu)",
			 i < b->n && a->digest[i] == b->digest[i] ? "at an event between"
								  : "between",
			 (unsigned long long)(i ? a->icount[i - 1] : 0),
			 (unsigned long long)a->icount[i], (unsigned long long)b->icount[i]);
		explain(program, a, i, ops);
		return false;
	}
	return a->n == b->n;
}

static void trace_program(const struct writer *program, const struct engine_ops *ops,
			  struct trace *ret_trace, struct engine_use ret_uses[ENGINE_MAX_USES])
{
	struct writer random = *program;
	struct rig rig;

	load(&rig, program, ops);
	run(&rig, &random, ret_trace);
	if (rig.engine->ops->uses)
		rig.engine->ops->uses(rig.engine, ret_uses);
	rig_destroy(&rig);
}

/* What ran in KVM of all programs. */
struct total {
	uint64_t in_kvm, steps, unexpected, events, crossings;
};

static void test_program(unsigned i, const struct engine_ops *ops, struct total *total)
{
	static struct writer program;
	static struct trace a, b;
	struct engine_use uses[ENGINE_MAX_USES] = {{0}};

	write_program(&program, 1000 + i, RIG_USER64);
	trace_program(&program, &interp_engine_ops, &a, uses);
	trace_program(&program, ops, &b, uses);
	total->events += a.n_events;
	total->crossings += a.n_crossings;
	total->steps += a.icount[a.n - 1];
	total->in_kvm += uses[0].instructions;
	total->unexpected += uses[0].unexpected;
	tap_ok(same(&program, &a, &b, ops),
	       "program %u: %llu of %llu instructions in KVM, %llu entries", i,
	       (unsigned long long)uses[0].instructions, (unsigned long long)a.icount[a.n - 1],
	       (unsigned long long)uses[0].entries);
}

static void test_engine(unsigned first, unsigned programs, const struct engine_ops *ops,
			unsigned least_percent)
{
	struct total total = {0};

	for (unsigned i = first; i < first + programs; i++)
		test_program(i, ops, &total);
	tap_ok(total.in_kvm && total.in_kvm * 100 >= total.steps * least_percent,
	       "%llu of %llu instructions in KVM", (unsigned long long)total.in_kvm,
	       (unsigned long long)total.steps);
	tap_ok(total.events > programs && total.crossings > programs,
	       "equal states at %llu events and %llu crossings", (unsigned long long)total.events,
	       (unsigned long long)total.crossings);
	tap_ok(!total.unexpected, "no exit was unexpected");
}

int main(int argc, char **argv)
{
	unsigned first = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
	unsigned programs = argc > 2 ? (unsigned)atoi(argv[2]) : PROGRAMS;
	struct kvm_vm_error error;

	if (kvm_engine_check(&error)) {
		printf("1..0 # SKIP %s\n", error.text);
		return 0;
	}
	kvm_small_options = (struct kvm_small_options){.jit = true};
	test_engine(first, programs, &kvm_engine_ops, 0);
	test_engine(first, (programs + 1) / 2, &kvm_small_engine_ops, 40);
	return tap_done();
}
