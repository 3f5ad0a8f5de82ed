/*
 * MOVS and STOS, whose destination ES:RDI takes no prefix: RDI is biased meanwhile. And RDTSC.
 *
 * A repeated one is a block of its own. It runs as it stands when all its iterations, each of which
 * counts, fit the budget; otherwise interp runs it. A fault in the middle leaves RCX, RSI and RDI
 * as after the last iteration that was done.
 */
#include "vmm/translate/generate.h"

#include <Zydis/Mnemonic.h>

#define CC_A  7u
#define CC_NS 9u

/* More iterations than this go to interp, which looks around in between. */
#define REPEAT_MAX 0x10000u

static bool is_move(const struct insn *insn)
{
	return insn->opcode == 0xa4 || insn->opcode == 0xa5;
}

bool string_possible(const struct insn *insn)
{
	return insn->addr_size == 8 && (!is_move(insn) || insn->seg != SEG_GS);
}

static void bias_rdi(struct generator *g, uint32_t bias)
{
	generator_spoil_r11(g);
	emit_load(g->e, COUNT_REGISTER, bias);
	emit_lea(g->e, RDI, RDI, COUNT_REGISTER, 0);
}

/* The instruction's own bytes. The source has the segment's prefix. */
static void emit_bare(struct generator *g, const struct insn *insn, bool repeated)
{
	struct encoding c = {.opcode = insn->opcode,
			     .opsize = insn->op_size == 2,
			     .wide = insn->op_size == 8,
			     .repeat = repeated ? 0xf3 : 0};

	if (is_move(insn))
		emit8(g->e, insn->seg == SEG_FS ? ENCODING_FS : ENCODING_GS);
	emit_encoding(g->e, &c);
}

void string_emit(struct generator *g, const struct planned *planned)
{
	bias_rdi(g, CONTEXT(bias));
	generator_mark(g, MARK_RDI_BIASED);
	emit_bare(g, &planned->insn, false);
	bias_rdi(g, CONTEXT(minus_bias));
}

/* ---- repeated ---- */

/* Leaves, with flags and RCX put back, unless RCX iterations fit. Changes flags and RCX. */
static void emit_fit(struct generator *g)
{
	struct encoding cmp = {.opcode = 0x81,
			       .wide = true,
			       .has_modrm = true,
			       .reg = 7,
			       .rm = RCX,
			       .n_imm = 4,
			       .imm = {0, 0, REPEAT_MAX >> 16, 0}};
	struct encoding test = {
		.opcode = 0x85, .wide = true, .has_modrm = true, .reg = RCX, .rm = RCX};
	uint32_t site = generator_site(g, SITE_INTERP, generator_rip(g));

	if (site != NONE)
		g->cache->sites[site].mnemonic = g->plan->insns[g->at].insn.mnemonic;
	emit_encoding(g->e, &cmp);
	generator_defer(g, DEFERRED_REPEAT, emit_jump_if(g->e, CC_A))->site = site;
	emit_lea(g->e, RCX, RCX, COUNT_REGISTER, 0);
	emit_encoding(g->e, &test);
	generator_defer(g, DEFERRED_REPEAT, emit_jump_if(g->e, CC_NS))->site = site;
}

void string_emit_repeated(struct generator *g)
{
	const struct insn *insn = &g->plan->insns[g->at].insn;

	emit_store(g->e, CONTEXT_SCRATCH(SCRATCH_RCX), RCX);
	flags_save(g);
	emit_fit(g);
	flags_restore(g);
	emit_load(g->e, RCX, CONTEXT_SCRATCH(SCRATCH_RCX));
	uint32_t some = emit_short(g->e, EMIT_JRCXZ); /* over a jump to the work */
	uint32_t work = emit_jump(g->e);
	emit_patch_short(g->e, some);
	emit_lea(g->e, COUNT_REGISTER, COUNT_REGISTER, GPR_ZERO, 1);
	uint32_t done = emit_jump(g->e);
	emit_patch(g->e, work, g->e->at);
	bias_rdi(g, CONTEXT(bias));
	generator_mark(g, MARK_RDI_BIASED | MARK_REPEATED);
	emit_bare(g, insn, true);
	bias_rdi(g, CONTEXT(minus_bias));
	generator_restore_count(g);
	emit_load(g->e, RCX, CONTEXT_SCRATCH(SCRATCH_RCX));
	emit_lea(g->e, COUNT_REGISTER, COUNT_REGISTER, RCX, 0);
	emit_constant(g->e, RCX, 0);
	emit_patch(g->e, done, g->e->at);
}

/* ---- RDTSC, RDTSCP ---- */

static void emit_alu(struct emitter *e, uint8_t opcode, unsigned reg, uint32_t address)
{
	struct encoding c = {.opcode = opcode,
			     .wide = true,
			     .has_modrm = true,
			     .memory = true,
			     .reg = (uint8_t)reg,
			     .base = GPR_ZERO,
			     .index = GPR_ZERO,
			     .disp = (int32_t)address};
	emit_encoding(e, &c);
}

/* shrd rax, rdx, 32: the product without its fraction */
static void emit_shift_product(struct emitter *e)
{
	struct encoding shrd = {.map = 1,
				.opcode = 0xac,
				.wide = true,
				.has_modrm = true,
				.reg = RDX,
				.rm = RAX,
				.n_imm = 1,
				.imm = {32}};
	emit_encoding(e, &shrd);
}

/* edx:eax = rax */
static void emit_split(struct emitter *e)
{
	struct encoding shr = {.opcode = 0xc1,
			       .wide = true,
			       .has_modrm = true,
			       .reg = 5,
			       .rm = RDX,
			       .n_imm = 1,
			       .imm = {32}};
	struct encoding low = {.opcode = 0x8b, .has_modrm = true, .reg = RAX, .rm = RAX};

	emit_move(e, RDX, RAX);
	emit_encoding(e, &shr);
	emit_encoding(e, &low);
}

void tsc_emit(struct generator *g, const struct planned *planned)
{
	int32_t at = (int32_t)g->at - (g->ahead ? (int32_t)g->plan->n : 0);

	flags_save(g);
	generator_restore_count(g);
	emit_lea(g->e, RAX, COUNT_REGISTER, GPR_ZERO, at);
	emit_alu(g->e, 0x03, RAX, CONTEXT(tsc_count)); /* add */
	emit_alu(g->e, 0xf7, 4, CONTEXT(tsc_ratio));   /* mul */
	emit_shift_product(g->e);
	emit_alu(g->e, 0x03, RAX, CONTEXT(tsc_base));
	emit_split(g->e);
	if (planned->insn.mnemonic == ZYDIS_MNEMONIC_RDTSCP)
		emit_load(g->e, RCX, CONTEXT(tsc_aux));
	flags_restore(g);
}
