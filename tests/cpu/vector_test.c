/*
 * Every x87, MMX and SSE instruction against the host's processor: the same instruction, or the
 * same few in a row, on the same state natively and through its exec function; registers, flags,
 * memory and faults must agree. An engine must do exactly what the exec functions do.
 *
 * Usage: vector_test [--cases N] [--sequences N] [--seed N] [--engine NAME] [--only MNEMONIC]
 *   --cases      cases per form
 *   --sequences  sequences of 2 to 8 instructions
 *   --only       forms of this mnemonic, and no sequences
 */
#include <stdlib.h>
#include <string.h>

#include "tests/cpu/native_engine.h"
#include "tests/cpu/native_state.h"
#include "tests/cpu/test_engine.h"
#include "tests/cpu/vector_compare.h"
#include "tests/cpu/vector_guest.h"
#include "tests/tap.h"

#define MAX_FORMS         4000
#define DEFAULT_CASES     300
#define DEFAULT_SEQUENCES 60000
#define MAX_REPORTS       3

struct run {
	unsigned cases, sequences;
	uint64_t seed;
	const char *only;
	const struct test_engine *kind; /* of engine; or NULL */
	struct machine *machine, *engine_machine;
	struct engine *engine; /* or NULL */
};

/* ---- one case ---- */

static struct vector_outcome by_host, by_engine;

static bool engine_agrees(struct run *run, struct vector_sequence *s)
{
	struct vector_side machine = {&s->out, vector_guest_data(run->machine)};
	struct vector_side engine = {&by_engine, vector_guest_data(run->engine_machine)};
	const char *what;

	vector_guest_load(run->engine_machine, &s->start);
	vector_guest_run_engine(run->engine, s->code, s->length, &by_engine);
	what = vector_difference(machine, engine);
	if (!what)
		return true;
	vector_note_difference(s, what, "1: exec functions, 2: engine", machine, engine);
	vector_copy_data(engine.data, machine.data);
	return false;
}

static bool host_agrees(struct run *run, struct vector_sequence *s)
{
	struct vector_side machine = {&s->out, vector_guest_data(run->machine)};
	struct vector_side host = {&by_host, native_state_data()};
	const char *what;

	memcpy(host.data + s->start.window, s->start.data, sizeof(s->start.data));
	native_state_execute(&s->start.state, s->code, s->length, &by_host);
	vector_forgive(s, host, machine);
	what = vector_difference(host, machine);
	if (!what)
		return true;
	vector_note_difference(s, what, "1: host, 2: machine", host, machine);
	vector_copy_data(host.data, machine.data);
	return false;
}

/* The machine has run it. */
static bool run_case(struct run *run, struct vector_sequence *s)
{
	bool good = !run->engine || engine_agrees(run, s);

	return host_agrees(run, s) && good;
}

/* ---- tests ---- */

static void test_form(struct run *run, const struct vector_form *form)
{
	static struct vector_sequence sequence;
	struct vector_random random = {.state = run->seed * 0x9e3779b97f4a7c15u ^ form->opcode};
	bool good = true;

	for (unsigned i = 0; i < run->cases && good; i++)
		if (vector_single_make(&random, form, run->machine, &sequence))
			good = run_case(run, &sequence);
	tap_ok(good, "%s%s%s (map %u, opcode %02x, prefix %02x)",
	       vector_mnemonic_name(form->mnemonic), form->memory ? " memory" : "",
	       form->rex_w ? " REX.W" : "", form->map, form->opcode, form->prefix);
}

static void test_sequences(struct run *run, const struct vector_form *forms, unsigned n)
{
	static struct vector_sequence sequence;
	struct vector_random random = {.state = run->seed * 0x9e3779b97f4a7c15u ^ 0x5e9};
	unsigned made = 0, bad = 0, faults = 0, instructions = 0;

	for (unsigned i = 0; i < run->sequences && bad < MAX_REPORTS; i++) {
		if (!vector_sequence_make(&random, forms, n, run->machine, &sequence))
			continue;
		made++;
		instructions += sequence.n;
		faults += sequence.out.vector != VECTOR_RETIRED;
		bad += !run_case(run, &sequence);
	}
	tap_ok(!bad && made, "%u sequences of %u instructions, %u of them with a fault", made,
	       instructions, faults);
}

static bool parse(int argc, char **argv, struct run *run)
{
	for (int i = 1; i < argc; i += 2) {
		const char *argument = i + 1 < argc ? argv[i + 1] : "";
		if (!strcmp(argv[i], "--cases"))
			run->cases = (unsigned)strtoul(argument, NULL, 0);
		else if (!strcmp(argv[i], "--sequences"))
			run->sequences = (unsigned)strtoul(argument, NULL, 0);
		else if (!strcmp(argv[i], "--seed"))
			run->seed = strtoull(argument, NULL, 0);
		else if (!strcmp(argv[i], "--only"))
			run->only = argument;
		else if (!strcmp(argv[i], "--engine") && test_engine_find(argument))
			run->kind = test_engine_find(argument);
		else
			return false;
	}
	return true;
}

static int set_up(struct run *run)
{
	int error = native_state_init();

	if (!error)
		error = vector_guest_create(&run->machine);
	if (!error && run->kind)
		error = vector_guest_create(&run->engine_machine);
	if (!error && run->kind)
		error = vector_guest_create_engine(run->engine_machine, run->kind->ops,
						   &run->engine);
	return error;
}

static void check_report(const struct test_engine *kind, struct engine *engine)
{
	char text[160];
	bool enough = kind->report(engine, text, sizeof(text));

	tap_ok(enough, "%s", text);
}

int main(int argc, char **argv)
{
	static struct vector_form forms[MAX_FORMS];
	struct run run = {.cases = DEFAULT_CASES, .sequences = DEFAULT_SEQUENCES, .seed = 1};
	uint16_t missing;
	unsigned n;

	if (!parse(argc, argv, &run)) {
		fprintf(stderr,
			"usage: %s [--cases N] [--sequences N] [--seed N] [--engine NAME] [--only "
			"MNEMONIC]\n",
			argv[0]);
		return 2;
	}
	if (run.kind && run.kind->missing && run.kind->missing()) {
		printf("1..0 # SKIP %s\n", run.kind->missing());
		return 0;
	}
	native_engine_options = (struct native_engine_options){.poll_often = true, .max_insns = 16};
	if (set_up(&run)) {
		tap_ok(false, "set-up");
		return tap_done();
	}
	n = vector_forms(forms, MAX_FORMS);
	missing = vector_forms_missing(forms, n);
	tap_ok(!missing, "every row has a form%s%s", missing ? ", but not " : "",
	       missing ? vector_mnemonic_name(missing) : "");
	for (unsigned i = 0; i < n; i++)
		if (!run.only || !strcmp(run.only, vector_mnemonic_name(forms[i].mnemonic)))
			test_form(&run, &forms[i]);
	if (!run.only && run.sequences)
		test_sequences(&run, forms, n);
	if (run.kind && run.kind->report)
		check_report(run.kind, run.engine);
	engine_destroy(run.engine);
	machine_destroy(run.engine_machine);
	machine_destroy(run.machine);
	return tap_done();
}
