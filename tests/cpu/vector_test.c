/*
 * Every x87, MMX and SSE instruction against the host's processor: the same instruction on the same
 * state natively and through its exec function; registers, flags, memory and faults must agree. An
 * engine must do exactly what the exec functions do.
 *
 * Usage: vector_test [--cases N] [--seed N] [--engine NAME] [--only MNEMONIC]
 *   --cases   cases per form
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "tests/cpu/native_engine.h"
#include "tests/cpu/test_engine.h"
#include "tests/cpu/native_state.h"
#include "tests/cpu/vector_case.h"
#include "tests/cpu/vector_guest.h"
#include "tests/tap.h"
#include "vmm/cpu/flags.h"

#define MAX_FORMS     4000
#define DEFAULT_CASES 300

struct run {
	unsigned cases;
	uint64_t seed;
	const char *only;
	const struct test_engine *kind; /* of engine; or NULL */
	struct machine *machine, *engine_machine;
	struct engine *engine; /* or NULL */
};

struct outcome {
	struct vector_state state;
	unsigned vector;
};

static unsigned signal_vector(int number)
{
	switch (number) {
	case 0:
		return VECTOR_RETIRED;
	case SIGFPE:
		return VECTOR_XM;
	case SIGILL:
		return VECTOR_UD;
	default:
		return VECTOR_GP;
	}
}

/* #MF and #XM are one signal on the host. */
static unsigned fold_vector(unsigned vector)
{
	return vector == VECTOR_MF ? VECTOR_XM : vector;
}

static void run_native(const struct vector_state *in, const uint8_t *bytes, unsigned n,
		       struct outcome *ret_outcome)
{
	uint8_t *data = (uint8_t *)(uintptr_t)VECTOR_DATA;

	native_state.fx = in->fx;
	memcpy(native_state.gpr, in->gpr, sizeof(in->gpr));
	native_state.rflags = in->flags | FLAG_FIXED | FLAG_IF;
	memcpy(data, in->data, 1024);
	ret_outcome->vector = signal_vector(native_state_execute(bytes, n));
	ret_outcome->state.fx = native_state.fx;
	memcpy(ret_outcome->state.gpr, native_state.gpr, sizeof(in->gpr));
	ret_outcome->state.flags = native_state.rflags & FLAGS_ARITH;
	memcpy(ret_outcome->state.data, data, 1024);
}

/* engine NULL: by the exec function. */
static void run_guest(struct machine *machine, struct engine *engine, const struct vector_state *in,
		      const uint8_t *bytes, unsigned n, struct outcome *ret_outcome)
{
	struct cpu *cpu = machine_current(machine);
	uint8_t *data = vector_guest_data(machine);

	cpu->fx = in->fx;
	memcpy(cpu->gpr, in->gpr, sizeof(in->gpr));
	flags_set_arith(cpu, in->flags);
	memcpy(data, in->data, 1024);
	ret_outcome->vector = engine ? vector_guest_run_engine(engine, bytes, n)
				     : vector_guest_run(machine, bytes, n);
	ret_outcome->state.fx = cpu->fx;
	memcpy(ret_outcome->state.gpr, cpu->gpr, sizeof(in->gpr));
	ret_outcome->state.flags = flags_arith(cpu);
	memcpy(ret_outcome->state.data, data, 1024);
}

/* Takes out what the machine defines otherwise than hardware: pointers, mask, reserved bytes. */
static void normalise(const struct vector_form *form, struct outcome *outcome)
{
	struct vector_state *s = &outcome->state;

	s->fx.fop = 0;
	s->fx.fip = s->fx.fdp = 0;
	s->fx.reserved = 0;
	s->fx.mxcsr_mask = 0;
	memset(s->fx.unused, 0, sizeof(s->fx.unused));
	for (unsigned i = 0; i < 8; i++)
		memset(s->fx.st[i] + 10, 0, 6);
	if (outcome->vector != VECTOR_RETIRED)
		s->flags = 0; /* not in the signal's copy */
	if (form->mnemonic == ZYDIS_MNEMONIC_FXSAVE || form->mnemonic == ZYDIS_MNEMONIC_FXSAVE64) {
		memset(s->data + 256 + 6, 0, 18);
		memset(s->data + 256 + 28, 0, 4);
	}
	if (form->mnemonic == ZYDIS_MNEMONIC_FNSTENV || form->mnemonic == ZYDIS_MNEMONIC_FNSAVE) {
		unsigned at = (unsigned)(s->gpr[RSI] - VECTOR_DATA);
		memset(s->data + at + (form->prefix ? 6 : 12), 0, form->prefix ? 8 : 16);
	}
}

/* FCOMI and its relatives. */
static bool sets_flags_by_x87(const struct vector_form *form)
{
	return form->map == 0 && (form->opcode == 0xdb || form->opcode == 0xdf) && !form->memory;
}

/* CVT between MMX and XMM. */
static bool converts_mmx(const struct vector_form *form)
{
	return form->map == 1 &&
	       (form->opcode == 0x2a || form->opcode == 0x2c || form->opcode == 0x2d);
}

/* Takes NaNs for the same. */
static void forgive_nans(struct outcome *native, struct outcome *guest)
{
	for (unsigned i = 0; i < 16 * 16; i += 4) {
		uint32_t a, b;
		memcpy(&a, &native->state.fx.xmm[0][0] + i, 4);
		memcpy(&b, &guest->state.fx.xmm[0][0] + i, 4);
		if ((a << 1) > 0xff000000u && (b << 1) > 0xff000000u)
			memcpy(&native->state.fx.xmm[0][0] + i, &b, 4);
	}
}

/*
 * Takes out where CPU models differ, and the one thing the machine does not know:
 *  - FCOMI that raises an unmasked invalid operation changes RFLAGS on AMD, not by the SDM;
 *  - a conversion that raises #XM has already made the switch to MMX on AMD; in the machine an
 *    instruction that faults has changed nothing;
 *  - of several NaNs, DPPS gives another on Intel's processors than on AMD's and in the machine;
 *  - whether a result that overflows or underflows, unmasked, would be inexact with an unbounded
 *    exponent (PE beside OE or UE in MXCSR).
 */
static void forgive(const struct vector_form *form, const struct vector_state *in,
		    struct outcome *native, struct outcome *guest)
{
	uint32_t unmasked = native->state.fx.mxcsr & ~(in->fx.mxcsr >> 7) & 0x18;

	if (sets_flags_by_x87(form) && (native->state.fx.fsw & ~in->fx.fcw & 1))
		native->state.flags = guest->state.flags;
	if (form->mnemonic == ZYDIS_MNEMONIC_DPPS)
		forgive_nans(native, guest);
	if (native->vector != VECTOR_XM || guest->vector != VECTOR_XM)
		return;
	if (converts_mmx(form)) {
		native->state.fx.fsw = guest->state.fx.fsw;
		native->state.fx.ftw = guest->state.fx.ftw;
		memcpy(native->state.fx.st, guest->state.fx.st, sizeof(guest->state.fx.st));
	}
	if (unmasked) {
		native->state.fx.mxcsr |= 0x20;
		guest->state.fx.mxcsr |= 0x20;
	}
}

/* The first thing in which two outcomes differ, or NULL. */
static const char *difference(const struct outcome *a, const struct outcome *b)
{
	const struct vector_state *x = &a->state, *y = &b->state;

	if (a->vector != b->vector)
		return "vector";
	if (memcmp(x->fx.xmm, y->fx.xmm, sizeof(x->fx.xmm)))
		return "xmm";
	if (x->fx.mxcsr != y->fx.mxcsr)
		return "mxcsr";
	if (x->fx.fcw != y->fx.fcw)
		return "fcw";
	if (x->fx.fsw != y->fx.fsw)
		return "fsw";
	if (x->fx.ftw != y->fx.ftw)
		return "ftw";
	if (memcmp(x->fx.st, y->fx.st, sizeof(x->fx.st)))
		return "st";
	if (memcmp(x->gpr, y->gpr, sizeof(x->gpr)))
		return "gpr";
	if (x->flags != y->flags)
		return "flags";
	if (memcmp(x->data, y->data, 1024))
		return "memory";
	return NULL;
}

static void note_bytes(const char *what, const uint8_t *bytes, unsigned n)
{
	char text[3 * 64 + 1] = "";

	for (unsigned i = 0; i < n && i < 64; i++)
		snprintf(text + 3 * i, 4, "%02x ", bytes[i]);
	tap_note("  %s %s", what, text);
}

static void note_state(const char *who, const struct vector_state *s, unsigned vector)
{
	tap_note("%s: vector %u mxcsr %x fcw %x fsw %x ftw %x flags %x rsi %llx", who, vector,
		 s->fx.mxcsr, s->fx.fcw, s->fx.fsw, s->fx.ftw, s->flags,
		 (unsigned long long)s->gpr[RSI]);
}

static void note_difference(const struct vector_state *in, const struct outcome *native,
			    const struct outcome *guest)
{
	const struct vector_state *n = &native->state, *g = &guest->state;

	note_state("before", in, 0);
	note_state("native", n, native->vector);
	note_state("guest ", g, guest->vector);
	for (unsigned i = 0; i < 16; i++)
		if (memcmp(n->fx.xmm[i], g->fx.xmm[i], 16)) {
			tap_note(" xmm%u", i);
			note_bytes("before", in->fx.xmm[i], 16);
			note_bytes("native", n->fx.xmm[i], 16);
			note_bytes("guest ", g->fx.xmm[i], 16);
		}
	for (unsigned i = 0; i < 8; i++)
		if (memcmp(n->fx.st[i], g->fx.st[i], 16)) {
			tap_note(" st%u", i);
			note_bytes("before", in->fx.st[i], 10);
			note_bytes("native", n->fx.st[i], 10);
			note_bytes("guest ", g->fx.st[i], 10);
		}
	for (unsigned i = 0; i < 16; i++)
		if (n->gpr[i] != g->gpr[i])
			tap_note(" gpr%u: before %llx native %llx guest %llx", i,
				 (unsigned long long)in->gpr[i], (unsigned long long)n->gpr[i],
				 (unsigned long long)g->gpr[i]);
	for (unsigned i = 0; i < 1024; i++)
		if (n->data[i] != g->data[i]) {
			tap_note(" memory from %u", i);
			note_bytes("native", n->data + i, 32);
			note_bytes("guest ", g->data + i, 32);
			break;
		}
}

/* RSP is not loaded natively; an instruction that names it is not tried. */
static bool touches_rsp(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (insn->operand[i].kind == OPERAND_REG && insn->operand[i].reg_class == REG_GPR &&
		    insn->operand[i].reg == RSP)
			return true;
	return false;
}

static void note_encoding(const struct vector_form *form, const char *what, const uint8_t *bytes,
			  unsigned n)
{
	tap_note("%s: %s differs", vector_mnemonic_name(form->mnemonic), what);
	note_bytes("bytes", bytes, n);
}

static bool run_case(struct run *run, const struct vector_form *form, struct vector_random *random)
{
	static struct vector_state in;
	static struct outcome native, guest, by_engine;
	uint8_t bytes[INSN_MAX_BYTES + 1] = {0};
	struct insn insn;
	const char *what;

	vector_form_encode(form, random, bytes);
	if (insn_decode(bytes, INSN_MAX_BYTES, MODE_CODE64, &insn) != INSN_OK || touches_rsp(&insn))
		return true;
	vector_state_make(form, random, &in);
	run_native(&in, bytes, insn.length, &native);
	run_guest(run->machine, NULL, &in, bytes, insn.length, &guest);
	if (run->engine) {
		run_guest(run->engine_machine, run->engine, &in, bytes, insn.length, &by_engine);
		what = difference(&guest, &by_engine);
		if (what) {
			note_encoding(form, what, bytes, insn.length);
			tap_note("exec function (\"native\") and engine (\"guest\")");
			note_difference(&in, &guest, &by_engine);
			return false;
		}
	}
	guest.vector = fold_vector(guest.vector);
	normalise(form, &native);
	normalise(form, &guest);
	forgive(form, &in, &native, &guest);
	what = difference(&native, &guest);
	if (!what)
		return true;
	note_encoding(form, what, bytes, insn.length);
	note_bytes("memory", in.data + (in.gpr[RSI] - VECTOR_DATA), 16);
	note_difference(&in, &native, &guest);
	return false;
}

static void test_form(struct run *run, const struct vector_form *form)
{
	struct vector_random random = {.state = run->seed * 0x9e3779b97f4a7c15u ^ form->opcode};
	bool good = true;

	for (unsigned i = 0; i < run->cases && good; i++)
		good = run_case(run, form, &random);
	tap_ok(good, "%s%s%s (map %u, opcode %02x, prefix %02x)",
	       vector_mnemonic_name(form->mnemonic), form->memory ? " memory" : "",
	       form->rex_w ? " REX.W" : "", form->map, form->opcode, form->prefix);
}

static bool parse(int argc, char **argv, struct run *run)
{
	for (int i = 1; i < argc; i += 2) {
		const char *argument = i + 1 < argc ? argv[i + 1] : "";
		if (!strcmp(argv[i], "--cases"))
			run->cases = (unsigned)strtoul(argument, NULL, 0);
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
	int error = native_state_init((void *)(uintptr_t)VECTOR_DATA, VECTOR_DATA_BYTES);

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
	struct run run = {.cases = DEFAULT_CASES, .seed = 1};
	uint16_t missing;
	unsigned n;

	if (!parse(argc, argv, &run)) {
		fprintf(stderr,
			"usage: %s [--cases N] [--seed N] [--engine NAME] [--only MNEMONIC]\n",
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
	if (run.kind && run.kind->report)
		check_report(run.kind, run.engine);
	engine_destroy(run.engine);
	machine_destroy(run.engine_machine);
	machine_destroy(run.machine);
	return tap_done();
}
