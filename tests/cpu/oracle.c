/*
 * Runs the integer oracle (oracle.h): every template in 64-bit, 32-bit and 16-bit code.
 *
 * Usage: oracle [--cases N] [--sequences N] [--seed N] [--engine NAME] [--only TEXT]
 * [--undefined]
 *   --cases      cases per template and mode
 *   --sequences  sequences per mode
 *   --engine     runs each case on that engine, too
 *   --only       templates whose name contains TEXT
 *   --undefined  counts how often undefined flags differ from this host's, and says which
 */
#include <stdlib.h>
#include <string.h>

#include <Zydis/Mnemonic.h>

#include "tests/cpu/native_engine.h"
#include "tests/cpu/test_engine.h"
#include "tests/cpu/oracle_template.h"
#include "tests/tap.h"

#define DEFAULT_CASES     500
#define DEFAULT_SEQUENCES 30000
#define MAX_REPORTS       3

struct options {
	unsigned cases, sequences;
	uint64_t seed;
	const struct test_engine *engine; /* or NULL */
	bool undefined;
	const char *only;
};

struct run {
	struct options options;
	struct oracle_random random;
	struct guest *direct, *engine; /* engine may be NULL */
	enum oracle_mode mode;
	const struct oracle_sequence *sequence; /* while one runs */
	unsigned reports;                       /* differences printed in this test */
	unsigned undefined[32];                 /* differences by flag bit in this test */
};

static const char *const mode_names[] = {"64-bit", "32-bit", "16-bit"};

static const char *const gpr_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					  "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

static const char *const selector_names[] = {"es", "cs", "ss", "ds"};

/* ---- reports ---- */

static void note_bytes(const char *what, const struct oracle_case *c)
{
	char text[64] = "";

	for (unsigned i = 0; i < c->length; i++)
		snprintf(text + 3 * i, sizeof(text) - 3 * i, "%02x ", c->bytes[i]);
	tap_note("%s at %llx: %s", what, (unsigned long long)c->in.rip, text);
}

static void note_registers(const struct oracle_state *in)
{
	for (unsigned i = 0; i < 16; i += 4)
		tap_note("  %-3s %016llx  %-3s %016llx  %-3s %016llx  %-3s %016llx", gpr_names[i],
			 (unsigned long long)in->gpr[i], gpr_names[i + 1],
			 (unsigned long long)in->gpr[i + 1], gpr_names[i + 2],
			 (unsigned long long)in->gpr[i + 2], gpr_names[i + 3],
			 (unsigned long long)in->gpr[i + 3]);
	tap_note("  flags %x", in->flags);
}

static void note_case(struct run *run, const struct oracle_case *c, const char *who)
{
	tap_note("%s, %s", who, mode_names[run->mode]);
	if (run->sequence) {
		note_registers(&run->sequence->start.in);
		for (unsigned i = 0; i < run->sequence->n; i++)
			note_bytes(" ", &run->sequence->part[i]);
		tap_note("the last of them, and the registers before it:");
	}
	note_bytes(" ", c);
	note_registers(&c->in);
}

static bool differ(struct run *run, bool quiet, const char *what, uint64_t host, uint64_t machine)
{
	if (host == machine)
		return false;
	if (!quiet)
		tap_note("  %s: host %llx, machine %llx", what, (unsigned long long)host,
			 (unsigned long long)machine);
	return true;
}

/* ---- comparison ---- */

/* The way out of the host's kernel makes all null selectors 0. */
static uint16_t seen_selector(uint16_t selector)
{
	return selector < 4 ? 0 : selector;
}

static bool is_repeated(const struct oracle_case *c)
{
	return c->valid && (c->insn.prefixes & (PREFIX_REP | PREFIX_REPNE));
}

/*
 * With 32-bit addresses in 64-bit mode, Intel's processors clear the upper halves of what a
 * repeated string instruction uses whatever happens; AMD's and the machine only in an iteration
 * that is done.
 */
static bool may_be_cut(const struct run *run, const struct oracle_case *c, unsigned reg)
{
	return run->mode == ORACLE_64 && is_repeated(c) && c->insn.addr_size == 4 &&
	       (reg == RCX || reg == RSI || reg == RDI);
}

static bool registers_differ(struct run *run, bool quiet, const struct oracle_case *c,
			     const struct oracle_state *host, const struct oracle_state *machine)
{
	bool any = false;

	/* On the way to compatibility mode, processors cut RSP to 32 bits, or do not. */
	bool left = run->mode == ORACLE_64 &&
		    machine->selector[SEG_CS] != oracle_code_selector(ORACLE_64);

	for (unsigned i = 0; i < 16; i++) {
		bool low = left || (may_be_cut(run, c, i) && host->gpr[i] <= UINT32_MAX);
		any |= differ(run, quiet, gpr_names[i], low ? (uint32_t)host->gpr[i] : host->gpr[i],
			      low ? (uint32_t)machine->gpr[i] : machine->gpr[i]);
	}
	any |= differ(run, quiet, "rip", host->rip, machine->rip);
	any |= differ(run, quiet, "gs base", host->gs_base, machine->gs_base);
	for (unsigned i = SEG_ES; i <= SEG_DS; i++)
		any |= differ(run, quiet, selector_names[i], seen_selector(host->selector[i]),
			      seen_selector(machine->selector[i]));
	return any;
}

/*
 * Processors store or load some of the items of PUSHA, POPA, ENTER and far CALL before one faults;
 * the machine none, so that a fault changes nothing.
 */
static bool faults_midway(const struct oracle_case *c, const struct oracle_state *host)
{
	return host->vector != ORACLE_RETIRED && c->valid &&
	       ((c->template->flags & FAR) || c->insn.mnemonic == ZYDIS_MNEMONIC_PUSHA ||
		c->insn.mnemonic == ZYDIS_MNEMONIC_PUSHAD ||
		c->insn.mnemonic == ZYDIS_MNEMONIC_POPA ||
		c->insn.mnemonic == ZYDIS_MNEMONIC_POPAD ||
		c->insn.mnemonic == ZYDIS_MNEMONIC_ENTER);
}

/*
 * The host was seen to read either operand of CMPS first; the many checks of far branches and loads
 * of far pointers have an order of their own, too.
 */
static bool either_order(const struct oracle_case *c)
{
	if (c->valid && (c->template->flags & FAR))
		return true;
	return c->valid && c->insn.opcode_map == 0 && (c->insn.opcode & 0xfe) == 0xa6;
}

/* CMPS or SCAS, repeated: where one faults midway, Intel's processors leave the flags from before
 * the first iteration, AMD's and the machine those of the last one that was done. */
static bool may_keep_flags(const struct oracle_case *c)
{
	return is_repeated(c) && c->insn.opcode_map == 0 &&
	       ((c->insn.opcode & 0xfe) == 0xa6 || (c->insn.opcode & 0xfe) == 0xae);
}

/* The bits of a page fault's error code that the architecture fixes: P, W, U, I. */
#define PF_ERROR_MASK 0x17u

static bool states_differ(struct run *run, bool quiet, const struct oracle_case *c,
			  const struct oracle_state *host, const struct oracle_state *machine)
{
	bool retired = host->vector == ORACLE_RETIRED;
	bool both_fault = !retired && machine->vector != ORACLE_RETIRED;
	bool any_fault = both_fault && either_order(c);
	bool any = !any_fault && differ(run, quiet, "vector", host->vector, machine->vector);
	uint32_t mask = ORACLE_FLAGS & ~c->tainted;

	if (c->valid && retired)
		mask &= ~oracle_undefined_flags(c);
	if (!faults_midway(c, host) && (!retired || !c->valid || !oracle_undefined_result(c)))
		any |= registers_differ(run, quiet, c, host, machine);
	if (retired || !may_keep_flags(c) || ((host->flags ^ c->in.flags) & mask))
		any |= differ(run, quiet, "flags", host->flags & mask, machine->flags & mask);
	if (host->vector == VECTOR_PF && !any_fault) {
		/* Outside the sandbox the two have different things mapped for their kernels. */
		uint32_t bits = host->address - ORACLE_BASE < ORACLE_BYTES ? PF_ERROR_MASK
									   : PF_ERROR_MASK & ~1u;
		any |= differ(run, quiet, "error code", host->error & bits, machine->error & bits);
		any |= differ(run, quiet, "CR2", host->address, machine->address);
	} else if (!any_fault) {
		any |= differ(run, quiet, "error code", host->error, machine->error);
	}
	return any;
}

/* Compares the data pages, and makes the guest's equal again. */
static bool memory_differs(bool quiet, struct guest *guest, bool repair_only)
{
	bool any = false;

	for (uint32_t page = 0; page < ORACLE_BYTES; page += 4096) {
		const uint8_t *host = native_memory() + page, *machine = guest_page(guest, page);
		if (oracle_pages[page / 4096] < ORACLE_PAGE_RW || !memcmp(host, machine, 4096))
			continue;
		for (uint32_t i = 0; i < 4096 && !quiet && !repair_only; i++)
			if (host[i] != machine[i])
				tap_note("  [%x]: host %02x, machine %02x", ORACLE_BASE + page + i,
					 host[i], machine[i]);
		guest_load(guest, page, host, 4096);
		any = true;
	}
	return any && !repair_only;
}

/*
 * AMD's processors take a near branch to an address that is not canonical and fault there; the
 * machine faults at the branch, as Intel's do.
 */
static bool vendor_difference(const struct oracle_case *c, const struct oracle_state *host,
			      const struct oracle_state *machine)
{
	if (!c->valid || machine->vector != VECTOR_GP)
		return false;
	if (c->insn.mnemonic == ZYDIS_MNEMONIC_CALL) /* the push may fault first */
		return host->vector == VECTOR_GP || host->vector == VECTOR_SS ||
		       host->vector == VECTOR_PF;
	return host->vector == VECTOR_GP && !address_is_canonical(host->rip);
}

/* Far branches to compatibility mode drop RIP's upper half on Intel's processors and in the
 * machine; AMD's manual has a #GP(0). */
static bool beyond_limit(const struct oracle_case *c, const struct oracle_state *host,
			 const struct oracle_state *machine)
{
	return c->valid && (c->template->flags & FAR) && c->insn.op_size == 8 &&
	       host->vector == VECTOR_GP && !host->error &&
	       machine->selector[SEG_CS] != oracle_code_selector(ORACLE_64) &&
	       !__builtin_cpu_is("intel");
}

/*
 * The host checks alignment before it walks the page tables, and each access of an instruction
 * before the next one's address; in the machine #GP, #SS and page faults come first (SDM 3A table
 * 6-2).
 */
static bool alignment_first(const struct oracle_state *host, const struct oracle_state *machine)
{
	return host->vector == VECTOR_AC && host->rip == machine->rip &&
	       (machine->vector == VECTOR_PF || machine->vector == VECTOR_GP ||
		machine->vector == VECTOR_SS);
}

/*
 * Where Intel's processors touch less than AMD's and the machine, which may find a page missing, or
 * an operand misaligned, that Intel's do not: two bytes of a selector that is pushed or popped and
 * of MOVSXD's operand with a 66 prefix; no upper bound when BOUND's lower one is exceeded.
 */
static bool touches_less(const struct oracle_case *c, const struct oracle_state *host,
			 const struct oracle_state *machine)
{
	bool missing = machine->vector == VECTOR_AC ||
		       (machine->vector == VECTOR_PF && !(machine->address & 4095));

	if (!c->valid)
		return false;
	if (c->insn.mnemonic == ZYDIS_MNEMONIC_BOUND)
		return host->vector == VECTOR_BR && machine->vector != ORACLE_RETIRED;
	return missing &&
	       (oracle_stacks_selector(c) ||
		(c->template->flags & (FAR | STACK)) == (FAR | STACK) ||
		(c->insn.mnemonic == ZYDIS_MNEMONIC_MOVSXD && c->insn.operand[0].size == 2));
}

/*
 * A far call to compatibility mode pushes at RSP's low half on the host, which the machine refuses.
 * Outside the sandbox that faults too, unless the process has memory there, as one with sanitizers
 * has.
 */
static bool pushes_elsewhere(const struct oracle_case *c, const struct oracle_state *host,
			     const struct oracle_state *machine)
{
	return c->valid && (c->template->flags & FAR) && host->vector == ORACLE_RETIRED &&
	       machine->vector == VECTOR_SS && !address_is_canonical(c->in.gpr[RSP]) &&
	       (uint32_t)c->in.gpr[RSP] - ORACLE_BASE >= ORACLE_BYTES;
}

static void count_undefined(struct run *run, const struct oracle_case *c,
			    const struct oracle_state *host, const struct oracle_state *machine)
{
	uint32_t bits = c->valid && host->vector == ORACLE_RETIRED
				? oracle_undefined_flags(c) & (host->flags ^ machine->flags)
				: 0;

	for (unsigned i = 0; i < 32; i++)
		run->undefined[i] += (bits >> i) & 1;
}

static bool check(struct run *run, const struct oracle_case *c, struct guest *guest,
		  const char *who, const struct oracle_state *host, struct oracle_state *machine)
{
	bool vendor = vendor_difference(c, host, machine) || alignment_first(host, machine) ||
		      touches_less(c, host, machine) || beyond_limit(c, host, machine) ||
		      pushes_elsewhere(c, host, machine);
	bool any_memory = vendor || (c->valid && oracle_undefined_result(c)) ||
			  oracle_stacks_selector(c) || faults_midway(c, host);

	if (vendor || !states_differ(run, true, c, host, machine)) {
		if (!memory_differs(run->reports >= MAX_REPORTS, guest, any_memory))
			return true;
		if (run->reports++ < MAX_REPORTS) {
			note_case(run, c, who);
			tap_note("  memory differs");
		}
		return false;
	}
	if (run->reports++ < MAX_REPORTS) {
		note_case(run, c, who);
		tap_note("  host: vector %x at %llx, page fault address %llx", host->vector,
			 (unsigned long long)host->rip, (unsigned long long)host->address);
		states_differ(run, false, c, host, machine);
		memory_differs(false, guest, false);
	} else {
		memory_differs(true, guest, true);
	}
	return false;
}

/* ---- one case ---- */

static void load_case(struct guest *guest, const struct oracle_case *c)
{
	guest_load(guest, ORACLE_CODE, c->bytes, sizeof(c->bytes));
	if (oracle_pages[c->poke_offset / 4096] >= ORACLE_PAGE_RW)
		guest_load(guest, c->poke_offset, c->poke, sizeof(c->poke));
}

static void load_native(const struct oracle_case *c)
{
	memcpy(native_memory() + ORACLE_CODE, c->bytes, sizeof(c->bytes));
	if (oracle_pages[c->poke_offset / 4096] >= ORACLE_PAGE_RW)
		memcpy(native_memory() + c->poke_offset, c->poke, sizeof(c->poke));
}

/* A branch onto the instruction itself would run something else than one instruction. */
static bool lands_on_itself(const struct oracle_case *c, const struct oracle_state *machine)
{
	return machine->vector == ORACLE_RETIRED && machine->rip - c->in.rip < c->length;
}

/*
 * True when a faulting instruction left something behind in the machine. To be called before the
 * host has run the case, while its memory is what the machine's was.
 */
static bool fault_left_traces(struct run *run, const struct oracle_case *c,
			      const struct oracle_state *machine)
{
	/* A far branch to the same offset of another segment, and a fault there. */
	if (machine->selector[SEG_CS] != oracle_code_selector(run->mode))
		return false;
	if (machine->vector == ORACLE_RETIRED || machine->rip != c->in.rip || is_repeated(c))
		return false;
	if (!memory_differs(true, run->direct, false) && machine->flags == c->in.flags &&
	    memcmp(machine->gpr, c->in.gpr, sizeof(c->in.gpr)) == 0)
		return false;
	if (run->reports++ < MAX_REPORTS)
		note_case(run, c, "exec function changed something before it faulted");
	return true;
}

/*
 * The engine must do exactly what the exec functions do, undefined flags included. It runs all in
 * one go, or by a few steps at a time.
 */
static bool engine_differs(struct run *run, const struct oracle_case *c,
			   const struct oracle_state *in, const struct oracle_state *machine)
{
	struct oracle_state by_engine;
	bool same_memory = true;

	guest_set_stride(run->engine,
			 oracle_below(&run->random, 2) ? 0 : 1 + oracle_below(&run->random, 4));
	guest_run(run->engine, in, &by_engine);
	for (uint32_t page = 0; page < ORACLE_BYTES; page += 4096)
		if (oracle_pages[page / 4096] >= ORACLE_PAGE_RW)
			same_memory &= !memcmp(guest_page(run->direct, page),
					       guest_page(run->engine, page), 4096);
	if (same_memory && !memcmp(&by_engine, machine, sizeof(by_engine)))
		return false;
	if (run->reports++ < MAX_REPORTS) {
		note_case(run, c, "engine (\"machine\") and exec function (\"host\")");
		registers_differ(run, false, c, machine, &by_engine);
		differ(run, false, "vector", machine->vector, by_engine.vector);
		differ(run, false, "flags", machine->flags, by_engine.flags);
		differ(run, false, "error code", machine->error, by_engine.error);
		differ(run, false, "CR2", machine->address, by_engine.address);
		differ(run, false, "memory is the same", true, same_memory);
	}
	return true;
}

/* Returns false when a machine differs from the host. *ret_ran: the case was usable. */
static bool run_case(struct run *run, const struct oracle_template *template, bool *ret_ran)
{
	struct oracle_state host, machine;
	struct oracle_case c;
	bool same;

	*ret_ran = false;
	if (!oracle_make(&run->random, template, run->mode, &c))
		return true;
	memset(c.bytes + c.length, 0xcc, sizeof(c.bytes) - c.length);
	load_case(run->direct, &c);
	load_native(&c);
	guest_run(run->direct, &c.in, &machine);
	if (lands_on_itself(&c, &machine)) {
		memory_differs(true, run->direct, true);
		if (run->engine)
			memory_differs(true, run->engine, true);
		return true;
	}
	*ret_ran = true;
	same = !fault_left_traces(run, &c, &machine);
	if (run->engine) {
		load_case(run->engine, &c);
		same &= !engine_differs(run, &c, &c.in, &machine);
	}
	native_run(&c.in, &host);
	same &= check(run, &c, run->direct, "exec function", &host, &machine);
	count_undefined(run, &c, &host, &machine);
	if (run->engine)
		memory_differs(true, run->engine, true);
	return same;
}

/* ---- one sequence ---- */

static uint32_t part_offset(const struct run *run, const struct oracle_case *part)
{
	return (uint32_t)(oracle_segment_base(run->mode) + part->in.rip - ORACLE_BASE);
}

static void load_engine_sequence(struct run *run, const struct oracle_sequence *s)
{
	for (unsigned i = 0; i < s->n; i++)
		guest_load(run->engine, part_offset(run, &s->part[i]), s->part[i].bytes,
			   s->part[i].length);
	guest_load(run->engine, s->start.poke_offset, s->start.poke, sizeof(s->start.poke));
}

static void load_native_sequence(struct run *run, const struct oracle_sequence *s)
{
	for (unsigned i = 0; i < s->n; i++)
		memcpy(native_memory() + part_offset(run, &s->part[i]), s->part[i].bytes,
		       s->part[i].length);
	memcpy(native_memory() + s->start.poke_offset, s->start.poke, sizeof(s->start.poke));
}

/* Puts INT3 back where the code was, and makes the guests' data the host's. */
static void unload_sequence(struct run *run, const struct oracle_sequence *s)
{
	uint8_t filler[INSN_MAX_BYTES];

	memset(filler, 0xcc, sizeof(filler));
	for (unsigned i = 0; i < s->n; i++) {
		uint32_t at = part_offset(run, &s->part[i]);
		memset(native_memory() + at, 0xcc, s->part[i].length);
		guest_load(run->direct, at, filler, s->part[i].length);
		if (run->engine)
			guest_load(run->engine, at, filler, s->part[i].length);
	}
	memory_differs(true, run->direct, true);
	if (run->engine)
		memory_differs(true, run->engine, true);
}

/* Returns false when a machine differs from the host. *ret_ran: the sequence was usable. */
static bool run_sequence(struct run *run, bool *ret_ran)
{
	struct oracle_sequence s;
	struct oracle_state host;
	bool same = true;

	*ret_ran = oracle_sequence_make(&run->random, run->mode, run->direct, &s);
	run->sequence = &s;
	if (*ret_ran && run->engine) {
		load_engine_sequence(run, &s);
		same = !engine_differs(run, &s.last, &s.start.in, &s.out);
	}
	if (*ret_ran) {
		load_native_sequence(run, &s);
		native_run(&s.start.in, &host);
		same &= check(run, &s.last, run->direct, "exec functions", &host, &s.out);
	}
	unload_sequence(run, &s);
	run->sequence = NULL;
	return same;
}

/* INT3 where the last of the single cases stood. */
static void clear_code(struct run *run)
{
	uint8_t filler[INSN_MAX_BYTES + 1];

	memset(filler, 0xcc, sizeof(filler));
	memcpy(native_memory() + ORACLE_CODE, filler, sizeof(filler));
	guest_load(run->direct, ORACLE_CODE, filler, sizeof(filler));
	if (run->engine)
		guest_load(run->engine, ORACLE_CODE, filler, sizeof(filler));
}

static void run_sequences(struct run *run)
{
	unsigned n = 0, wrong = 0;

	clear_code(run);
	run->reports = 0;
	for (unsigned i = 0; n < run->options.sequences && i < 20 * run->options.sequences; i++) {
		bool ran;
		wrong += !run_sequence(run, &ran);
		n += ran;
	}
	tap_ok(n >= run->options.sequences && wrong == 0, "%s: %u sequences, %u wrong",
	       mode_names[run->mode], n, wrong);
}

/* ---- one template in one mode ---- */

static void note_undefined(const struct run *run, const char *name)
{
	static const struct {
		unsigned bit;
		const char *name;
	} flags[] = {{0, "CF"}, {2, "PF"}, {4, "AF"}, {6, "ZF"}, {7, "SF"}, {11, "OF"}};

	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (run->undefined[flags[i].bit])
			tap_note("undefined %s after %s differs from this host's %u times",
				 flags[i].name, name, run->undefined[flags[i].bit]);
}

static void run_template(struct run *run, const struct oracle_template *template)
{
	const char *name = oracle_template_name(template);
	unsigned n = 0, wrong = 0;

	run->reports = 0;
	memset(run->undefined, 0, sizeof(run->undefined));
	if (!run->options.cases)
		return;
	for (unsigned i = 0; n < run->options.cases && i < 20 * run->options.cases; i++) {
		bool ran;
		wrong += !run_case(run, template, &ran);
		n += ran;
	}
	tap_ok(n > 0 && wrong == 0, "%s: %s: %u cases, %u wrong", mode_names[run->mode], name, n,
	       wrong);
	if (run->options.undefined)
		note_undefined(run, name);
}

static void run_mode(struct run *run)
{
	const struct oracle_template *template;

	if (!native_set_mode(run->mode)) {
		tap_skip("%s: the host cannot run such code", mode_names[run->mode]);
		return;
	}
	guest_set_mode(run->direct, run->mode);
	if (run->engine)
		guest_set_mode(run->engine, run->mode);
	for (unsigned i = 0; (template = oracle_template(i)); i++)
		if (oracle_template_in_mode(template, run->mode) &&
		    strstr(oracle_template_name(template), run->options.only))
			run_template(run, template);
	if (!*run->options.only)
		run_sequences(run);
}

static int usage(const char *name)
{
	fprintf(stderr,
		"usage: %s [--cases N] [--sequences N] [--seed N] [--engine NAME] [--only TEXT] "
		"[--undefined]\n",
		name);
	return 2;
}

static bool parse(int argc, char **argv, struct options *ret_options)
{
	*ret_options = (struct options){
		.cases = DEFAULT_CASES, .sequences = DEFAULT_SEQUENCES, .seed = 1, .only = ""};
	for (int i = 1; i < argc; i++) {
		const char *argument = i + 1 < argc ? argv[i + 1] : "";
		if (!strcmp(argv[i], "--undefined")) {
			ret_options->undefined = true;
			continue;
		}
		if (!strcmp(argv[i], "--cases"))
			ret_options->cases = (unsigned)strtoul(argument, NULL, 0);
		else if (!strcmp(argv[i], "--sequences"))
			ret_options->sequences = (unsigned)strtoul(argument, NULL, 0);
		else if (!strcmp(argv[i], "--seed"))
			ret_options->seed = strtoull(argument, NULL, 0);
		else if (!strcmp(argv[i], "--only"))
			ret_options->only = argument;
		else if (!strcmp(argv[i], "--engine") && test_engine_find(argument))
			ret_options->engine = test_engine_find(argument);
		else
			return false;
		i++;
	}
	return true;
}

static void check_report(const struct test_engine *kind, struct engine *engine)
{
	char text[160];
	bool enough = kind->report(engine, text, sizeof(text));

	tap_ok(enough, "%s", text);
}

int main(int argc, char **argv)
{
	struct run run = {0};
	int error;

	if (!parse(argc, argv, &run.options))
		return usage(argv[0]);
	if (run.options.engine && run.options.engine->missing && run.options.engine->missing()) {
		printf("1..0 # SKIP %s\n", run.options.engine->missing());
		return 0;
	}
	run.random.state = run.options.seed;
	native_engine_options = (struct native_engine_options){.poll_often = true, .max_insns = 16};
	error = native_open();
	if (!error)
		error = guest_create(NULL, &run.direct);
	if (!error && run.options.engine)
		error = guest_create(run.options.engine->ops, &run.engine);
	if (!tap_ok(error == 0, "set up: %s", strerror(-error)))
		return tap_done();
	for (run.mode = ORACLE_64; run.mode < ORACLE_MODES; run.mode++)
		run_mode(&run);
	if (run.options.engine && run.options.engine->report)
		check_report(run.options.engine, guest_engine(run.engine));
	guest_destroy(run.engine);
	guest_destroy(run.direct);
	return tap_done();
}
