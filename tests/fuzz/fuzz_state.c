/*
 * Fuzz target for machine_state_decode() and for running what it accepts. An input: a byte of
 * options (odd: the rest is a state as it is), changes to a good state, then the first bytes of
 * RAM, where a good state's instruction pointer is. A state that is accepted encodes to the same
 * bytes and runs, whatever it is, for some instructions.
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/fuzz/input.h"
#include "vmm/engine.h"

#define RAM_BYTES (UINT64_C(1) << 20)
#define CODE_GPA  0x1000u
#define STEPS     300u

enum { OPTION_AS_IT_IS = 1, OPTION_LONG_MODE = 2 };

static struct machine *make_machine(void)
{
	struct machine_config config = {
		.n_vcpus = 2,
		.cpu_model = "x86-64-v2",
		.regions = {{.kind = REGION_RAM, .gpa = 0, .bytes = RAM_BYTES}},
		.n_regions = 1,
		.ports = {{.first = 0x60, .count = 16}},
		.n_ports = 1,
	};
	struct machine *machine;

	if (machine_create(&config, &machine) != 0)
		abort();
	return machine;
}

/* Long mode needs tables: one large page at 2 MiB's multiples, all of them the first. */
static void enter_long_mode(struct machine *machine)
{
	struct cpu *cpu = machine_current(machine);
	uint64_t pml4 = 0x3000 | 7, pdpt = 0x4000 | 7, large = 0x87;

	memory_load(machine->memory, 0x2000, &pml4, 8);
	memory_load(machine->memory, 0x3000, &pdpt, 8);
	for (unsigned i = 0; i < 512; i++)
		memory_load(machine->memory, 0x4000 + i * 8, &large, 8);
	cpu->cr3 = 0x2000;
	cpu->cr0 |= CR0_PG | CR0_PE;
	cpu->cr4 |= CR4_PAE;
	cpu->efer |= EFER_LME | EFER_LMA;
	cpu->seg[SEG_CS].attr = 0xa09b;
	cpu->seg[SEG_CS].base = 0;
}

static void prepare(struct machine *machine, unsigned options)
{
	struct cpu *cpu = machine_current(machine);

	cpu->seg[SEG_CS].selector = 0;
	cpu->seg[SEG_CS].base = 0;
	cpu->rip = CODE_GPA;
	cpu->gpr[RSP] = CODE_GPA + 0x800;
	if (options & OPTION_LONG_MODE)
		enter_long_mode(machine);
}

static uint64_t answer(const struct crossing_request *request, unsigned n)
{
	return request->address * UINT64_C(0x9e3779b97f4a7c15) + n;
}

/* The engine alone: crossings are answered here, a halted vCPU ends the run. */
static void run(struct engine *engine)
{
	struct machine *machine = engine->machine;
	struct run_control control = {.until_icount = machine->icount + STEPS};

	if (control.until_icount < STEPS)
		return;
	engine->ops->flush(engine);
	for (unsigned left = 2 * STEPS; left; left--) {
		enum engine_exit why = engine->ops->run(engine, &control);
		struct crossing *crossing = &machine->crossing;
		if (machine->icount > control.until_icount)
			abort();
		if (why == ENGINE_CROSSING && crossing->n_answers < CROSSING_MAX_ANSWERS) {
			crossing->answers[crossing->n_answers] =
				answer(&crossing->request, crossing->n_answers);
			crossing->n_answers++;
		} else if (why != ENGINE_RETIRED) {
			break;
		}
	}
}

static void try_state(struct engine *engine, const uint8_t *state, size_t n, struct input *input)
{
	struct machine *machine = engine->machine;
	uint8_t *again;

	if (machine_state_decode(machine, state, n) != 0)
		return;
	again = malloc(n);
	if (!again)
		abort();
	machine_state_encode(machine, again);
	if (memcmp(again, state, n) != 0)
		abort();
	free(again);
	memory_load(machine->memory, CODE_GPA, input->data, input->n < 0x1000 ? input->n : 0x1000);
	run(engine);
}

/* One machine for all inputs, since making it and its engine costs more than running it: as new
 * each time. */
static struct engine *new_machine(void)
{
	static struct engine *engine;
	struct event reset = {.kind = EVENT_RESET};

	if (!engine && engine_create(&interp_engine_ops, make_machine(), &engine))
		abort();
	reset.icount = engine->machine->icount;
	if (machine_apply_event(engine->machine, &reset))
		abort();
	return engine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input input = {data, n};
	unsigned options = (unsigned)input_number(&input, 1);
	struct engine *engine = new_machine();
	struct machine *machine = engine->machine;

	prepare(machine, options);
	if (options & OPTION_AS_IT_IS) {
		try_state(engine, input.data, input.n, &input);
	} else {
		size_t bytes = machine_state_bytes(machine);
		uint8_t *state = malloc(bytes);
		if (!state)
			abort();
		machine_state_encode(machine, state);
		input_change(&input, state, bytes);
		try_state(engine, state, bytes, &input);
		free(state);
	}
	return 0;
}
