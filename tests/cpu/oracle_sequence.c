/*
 * Sequences of instructions. Each is chosen when control reaches a place that has none yet, for the
 * registers that the machine's exec functions have come to by then, so that its memory operands lie
 * in the sandbox. A flag that an instruction leaves undefined is not read before it is set again.
 */
#include <string.h>

#include <Zydis/Mnemonic.h>

#include "tests/cpu/oracle_template.h"
#include "vmm/cpu/flags.h"

/* Executed instructions, with loops. */
#define STEPS_MAX 64
/* How often an instruction is tried for one place. */
#define TRIES 100

struct builder {
	struct oracle_random *random;
	enum oracle_mode mode;
	struct guest *guest;
	struct oracle_sequence *s;
	bool used[4096]; /* bytes of the code page that hold an instruction */
	uint32_t undefined;
	unsigned n_templates;
};

static unsigned count_templates(void)
{
	unsigned n = 0;

	while (oracle_template(n))
		n++;
	return n;
}

/* Arithmetic and what reads its flags more often than the rest: engines treat those specially. */
static const struct oracle_template *choose_template(struct builder *b)
{
	unsigned kind = oracle_below(b->random, 6);

	for (;;) {
		const struct oracle_template *t =
			oracle_template(oracle_below(b->random, b->n_templates));
		bool condition = (t->map == 0 && t->opcode == 0x70) ||
				 (t->map == 1 &&
				  (t->opcode == 0x80 || t->opcode == 0x90 || t->opcode == 0x40));
		bool arithmetic = t->map == 0 && (t->opcode < 0x40 || (t->opcode & 0xfc) == 0x80);
		if (!oracle_template_in_mode(t, b->mode) || (t->flags & NOT_IN_SEQUENCES))
			continue;
		if (kind > 1 || (kind == 0 ? condition : arithmetic))
			return t;
	}
}

/* Bits that POPF would load from the stack; TF would single-step. */
static bool would_single_step(const struct builder *b, const struct oracle_case *c)
{
	uint64_t offset;
	uint16_t image;

	if (!c->valid ||
	    (c->insn.mnemonic != ZYDIS_MNEMONIC_POPF && c->insn.mnemonic != ZYDIS_MNEMONIC_POPFD &&
	     c->insn.mnemonic != ZYDIS_MNEMONIC_POPFQ))
		return false;
	offset = c->in.gpr[RSP] + oracle_segment_base(b->mode) - ORACLE_BASE;
	if (offset % 4096 > 4094 || offset >= ORACLE_BYTES)
		return true;
	memcpy(&image, guest_page(b->guest, (uint32_t)offset & ~4095u) + offset % 4096, 2);
	return image & FLAG_TF;
}

/* A repeated string instruction that does nothing, but for the upper halves of its registers on
 * Intel's processors (oracle.c, may_be_cut()). */
static bool cuts_registers(const struct builder *b, const struct oracle_case *c)
{
	const uint64_t *gpr = c->in.gpr;

	return b->mode == ORACLE_64 && (c->insn.prefixes & (PREFIX_REP | PREFIX_REPNE)) &&
	       c->insn.addr_size == 4 && !(uint32_t)gpr[RCX] &&
	       (gpr[RCX] | gpr[RSI] | gpr[RDI]) > UINT32_MAX;
}

/* Whether the result is known, and the same on every processor. */
static bool is_defined(const struct builder *b, const struct oracle_case *c)
{
	uint32_t read, set;

	if (!c->valid)
		return true;
	oracle_flag_use(c, b->mode, &read, &set);
	return !(read & b->undefined) && !oracle_undefined_result(c) &&
	       !oracle_stacks_selector(c) && !would_single_step(b, c) && !cuts_registers(b, c);
}

static bool overlaps(const struct builder *b, unsigned at, unsigned length)
{
	/* The decoder looks at a full instruction's length. */
	if (at + INSN_MAX_BYTES > 4096)
		return true;
	for (unsigned i = 0; i < length; i++)
		if (b->used[at + i])
			return true;
	return false;
}

static struct oracle_case *place(struct builder *b, const struct oracle_state *in, unsigned at)
{
	struct oracle_case *c = &b->s->part[b->s->n];

	for (unsigned i = 0; i < TRIES; i++) {
		if (!oracle_continue(b->random, choose_template(b), b->mode, in, c) ||
		    overlaps(b, at, c->length) || !is_defined(b, c))
			continue;
		guest_load(b->guest, ORACLE_CODE_PAGE + at, c->bytes, c->length);
		memset(b->used + at, true, c->length);
		b->s->n++;
		return c;
	}
	return NULL;
}

static struct oracle_case *find(struct builder *b, uint64_t rip)
{
	for (unsigned i = 0; i < b->s->n; i++)
		if (b->s->part[i].in.rip == rip)
			return &b->s->part[i];
	return NULL;
}

static void note_undefined(struct builder *b, const struct oracle_case *c)
{
	uint32_t read, set;

	if (!c->valid)
		return;
	oracle_flag_use(c, b->mode, &read, &set);
	b->undefined = (b->undefined & ~set) | oracle_undefined_flags(c);
}

enum step { STEP_ON, STEP_END, STEP_USELESS };

/* Runs the instruction at state->rip, made if need be and wanted. */
static enum step run_step(struct builder *b, unsigned wanted, struct oracle_state *state)
{
	struct oracle_sequence *s = b->s;
	uint64_t at = oracle_segment_base(b->mode) + state->rip - ORACLE_BASE - ORACLE_CODE_PAGE;
	struct oracle_case *c = find(b, state->rip);

	if (at >= 4096 || (!c && b->used[at]))
		return STEP_USELESS;
	if (!c && s->n < wanted)
		c = place(b, state, (unsigned)at);
	if (!c)
		return s->n ? STEP_END : STEP_USELESS;
	s->last = *c;
	s->last.in = *state;
	if (!oracle_may_run(&s->last, b->mode) || !is_defined(b, &s->last))
		return STEP_USELESS;
	s->last.tainted = b->undefined;
	guest_run(b->guest, &s->last.in, state);
	if (state->vector != ORACLE_RETIRED && state->rip == s->last.in.rip)
		return STEP_END;
	note_undefined(b, &s->last);
	s->last.tainted = b->undefined;
	return state->vector == ORACLE_RETIRED ? STEP_ON : STEP_END;
}

bool oracle_sequence_make(struct oracle_random *random, enum oracle_mode mode, struct guest *guest,
			  struct oracle_sequence *ret_sequence)
{
	struct builder b = {.random = random,
			    .mode = mode,
			    .guest = guest,
			    .s = ret_sequence,
			    .n_templates = count_templates()};
	unsigned wanted = 1 + oracle_below(random, ORACLE_SEQUENCE_MAX);

	ret_sequence->n = 0;
	oracle_start(random, mode, &ret_sequence->start);
	guest_load(guest, ret_sequence->start.poke_offset, ret_sequence->start.poke,
		   sizeof(ret_sequence->start.poke));
	ret_sequence->out = ret_sequence->start.in;
	for (unsigned i = 0; i < STEPS_MAX; i++) {
		enum step step = run_step(&b, wanted, &ret_sequence->out);
		if (step != STEP_ON)
			return step == STEP_END;
	}
	return false;
}
