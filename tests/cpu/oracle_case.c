/*
 * Cases: an opcode template, random prefixes and operand bytes, register values chosen so that
 * every address the instruction uses lies in the sandbox, or is not canonical.
 */
#include "tests/cpu/oracle_template.h"

#include <string.h>

#include <Zydis/Mnemonic.h>

/* ---- random numbers (splitmix64) ---- */

uint64_t oracle_next(struct oracle_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint32_t oracle_below(struct oracle_random *random, uint32_t n)
{
	return (uint32_t)((oracle_next(random) >> 32) * n >> 32);
}

static bool chance(struct oracle_random *random, uint32_t one_in)
{
	return oracle_below(random, one_in) == 0;
}

/* Values at which arithmetic changes its mind, and plain random ones. */
static uint64_t value(struct oracle_random *random)
{
	static const uint8_t widths[] = {8, 16, 32, 64};
	uint64_t top;

	switch (oracle_below(random, 6)) {
	case 0:
		return oracle_below(random, 4) - (uint64_t)1;
	case 1:
		return oracle_below(random, 256);
	case 2: /* near a sign bit, or near the end of a width */
		top = UINT64_C(1) << (widths[oracle_below(random, 4)] - oracle_below(random, 2) -
				      1);
		return top + oracle_below(random, 3) - 1;
	case 3:
		return (uint64_t)(int64_t)(int32_t)oracle_next(random);
	default:
		return oracle_next(random) >> oracle_below(random, 64);
	}
}

/* An address for data: mostly writable, sometimes across or onto a page that is not. */
static uint64_t data_address(struct oracle_random *random)
{
	static const uint32_t edges[] = {0x3000, 0x4000, 0x5000, 0x6000, 0x7000, 0x8000};

	if (chance(random, 8))
		return ORACLE_BASE + edges[oracle_below(random, 6)] + 20 - oracle_below(random, 40);
	if (chance(random, 40))
		return ORACLE_BASE + 0x5000 + oracle_below(random, 0x2000);
	return ORACLE_BASE + 0x3400 +
	       (oracle_below(random, 0x1800) & (chance(random, 2) ? ~15u : ~0u));
}

static uint64_t not_canonical(struct oracle_random *random)
{
	return oracle_next(random) ^ UINT64_C(0x5a00800000000000);
}

/* Where a branch may go: into the page of INT3, or rarely to a page that is not there. */
static uint64_t code_address(struct oracle_random *random)
{
	if (chance(random, 24))
		return ORACLE_BASE + 0x2000 + oracle_below(random, 0x3000);
	return ORACLE_BASE + ORACLE_CODE_PAGE + oracle_below(random, 4096);
}

/* ---- bytes ---- */

struct emitter {
	struct oracle_random *random;
	const struct oracle_template *template;
	enum oracle_mode mode;
	struct oracle_case *c;
	unsigned op_size, addr_size;
	unsigned disp_at, disp_size; /* of the displacement; size 0: none */
};

static void emit(struct emitter *e, uint64_t number, unsigned n)
{
	memcpy(e->c->bytes + e->c->length, &number, n);
	e->c->length += n;
}

static void emit_prefixes(struct emitter *e)
{
	static const uint8_t segments[] = {0x26, 0x2e, 0x36, 0x3e};
	const struct oracle_template *t = e->template;

	e->op_size = e->mode == ORACLE_16 ? 2 : 4;
	e->addr_size = e->mode == ORACLE_64 ? 8 : e->op_size;
	if (t->flags & LOCK ? chance(e->random, 6)
			    : !(t->flags & (SELECTOR | FAR | NO_LOCK)) && chance(e->random, 200))
		emit(e, 0xf0, 1);
	if ((t->flags & STRING) && chance(e->random, 2))
		emit(e, chance(e->random, 2) ? 0xf2 : 0xf3, 1);
	if (chance(e->random, 16))
		emit(e, segments[oracle_below(e->random, 4)], 1);
	/* AMD's processors heed 66 on near branches in 64-bit mode, Intel's and the machine do not.
	 */
	bool plain = (t->flags & PLAIN) || (e->mode == ORACLE_64 && (t->flags & JUMP));
	if (!plain && chance(e->random, 4)) {
		emit(e, 0x66, 1);
		e->op_size ^= 6;
	}
	if (chance(e->random, 8)) {
		emit(e, 0x67, 1);
		e->addr_size = e->mode == ORACLE_64 ? 4 : e->addr_size ^ 6;
	}
	if (t->prefix)
		emit(e, t->prefix, 1);
	if (e->mode == ORACLE_64 && !(t->flags & NO_REX) && chance(e->random, 2)) {
		uint8_t rex = 0x40 | oracle_below(e->random, t->flags & NARROW ? 8 : 16);
		emit(e, rex, 1);
		if (rex & 8)
			e->op_size = 8;
	}
}

static void emit_disp(struct emitter *e, unsigned n)
{
	e->disp_at = e->c->length;
	e->disp_size = n;
	emit(e, oracle_next(e->random), n);
}

/* What follows ModRM (SDM 2 tables 2-1 to 2-3). */
static void emit_address(struct emitter *e, unsigned mod, unsigned rm)
{
	unsigned base = rm;

	if (mod == 3)
		return;
	if (e->addr_size == 2) {
		if (mod == 1)
			emit_disp(e, 1);
		else if (mod == 2 || rm == 6)
			emit_disp(e, 2);
		return;
	}
	if (rm == 4) {
		uint8_t sib = (uint8_t)oracle_next(e->random);
		emit(e, sib, 1);
		base = sib & 7;
	}
	if (mod == 0 && base == 5)
		emit_disp(e, 4);
	else if (mod != 0)
		emit_disp(e, mod == 1 ? 1 : 4);
}

static void emit_modrm(struct emitter *e)
{
	const struct oracle_template *t = e->template;
	unsigned mod, reg, rm = oracle_below(e->random, 8);

	if (t->modrm == MODRM_BYTE)
		emit(e, t->byte, 1);
	if (t->modrm == MODRM_NONE || t->modrm == MODRM_BYTE)
		return;
	mod = oracle_below(e->random, t->flags & MEMORY ? 3 : 4);
	if (mod != 3 && chance(e->random, 3) && !(t->flags & MEMORY))
		mod = 3;
	reg = t->modrm == MODRM_ANY ? oracle_below(e->random, 8) : (unsigned)t->modrm;
	emit(e, mod << 6 | reg << 3 | rm, 1);
	emit_address(e, mod, rm);
}

/*
 * A selector of one of the segments that Linux gives user mode, of its own, or of none. Those of
 * the TSS, the LDT and the processor's number are left out.
 */
static uint16_t choose_selector(struct oracle_random *random, enum oracle_mode mode)
{
	static const uint16_t own[ORACLE_MODES][2] = {
		[ORACLE_64] = {0x33, 0x2b}, [ORACLE_32] = {0x23, 0x2b}, [ORACLE_16] = {0x0f, 0x17}};
	static const uint16_t others[] = {0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x18,
					  0x1c, 0x20, 0x28, 0x30, 0x60, 0x84, 0xfff0};

	if (chance(random, 2))
		return own[mode][oracle_below(random, 2)];
	/* Linux leaves nonsense in the upper half of a 16-bit stack's RSP: 64-bit code is not for
	 * it. */
	unsigned n = oracle_below(random, 14);
	return (mode == ORACLE_16 && others[n] == 0x30 ? 0 : others[n]) |
	       (chance(random, 2) ? 3 : oracle_below(random, 4));
}

/* Another selector for those whose descriptors the machine does not have as the host has them. */
static uint16_t known_selector(uint16_t selector)
{
	unsigned index = selector >> 3;

	return !(selector & 4) && ((index >= 7 && index <= 11) || index == 15) ? selector | 0x80
									       : selector;
}

/* What FAR instructions find: RIP, CS, RFLAGS, RSP, SS, or the first two only. */
static void choose_far(struct emitter *e)
{
	uint64_t base = oracle_segment_base(e->mode);
	uint64_t frame[5] = {
		code_address(e->random) - base,
		choose_selector(e->random, e->mode),
		oracle_next(e->random) & (FLAGS_ARITH | FLAG_DF | FLAG_AC | FLAG_ID | FLAG_RF),
		data_address(e->random) - base,
		choose_selector(e->random, e->mode),
	};

	if (e->op_size == 8 && chance(e->random, 8))
		frame[0] |= oracle_next(e->random) << 32;
	/* What IRET loads checks the alignment of what it loads then. Linux takes that fault,
	 * without AC in what it finds, for a locked access across cache lines, where the processor
	 * reports those, and tries again for ever. */
	if (e->c->in.gpr[RSP] % e->op_size)
		frame[2] &= ~(uint64_t)FLAG_AC;
	for (unsigned i = 0; i < 5; i++)
		memcpy(e->c->poke + i * e->op_size, &frame[i], e->op_size);
}

static void emit_relative(struct emitter *e, unsigned n)
{
	uint64_t here = oracle_segment_base(e->mode) + e->c->in.rip + e->c->length + n;

	if (n == 1)
		emit(e, oracle_next(e->random), 1);
	else
		emit(e, code_address(e->random) - here, n);
}

static void emit_immediate(struct emitter *e)
{
	unsigned z = e->op_size == 2 ? 2 : 4;

	switch (e->template->imm) {
	case IMM_BYTE:
		emit(e, value(e->random), 1);
		break;
	case IMM_WORD:
		emit(e, chance(e->random, 2) ? oracle_below(e->random, 64) : value(e->random), 2);
		break;
	case IMM_Z:
		emit(e, value(e->random), z);
		break;
	case IMM_V:
		emit(e, value(e->random), e->op_size);
		break;
	case IMM_OFFSET:
		emit(e, data_address(e->random) - oracle_segment_base(e->mode), e->addr_size);
		break;
	case IMM_ENTER:
		emit(e, oracle_below(e->random, 0x200), 2);
		emit(e, chance(e->random, 2) ? 0 : oracle_below(e->random, 256), 1);
		break;
	case IMM_FAR:
		emit(e, code_address(e->random) - oracle_segment_base(e->mode), z);
		emit(e, choose_selector(e->random, e->mode), 2);
		break;
	case IMM_VECTOR:
		emit(e,
		     chance(e->random, 2) ? 3 + oracle_below(e->random, 2)
					  : oracle_below(e->random, 128),
		     1);
		break;
	case IMM_REL8:
		emit_relative(e, 1);
		break;
	case IMM_RELZ: /* 66 does not shorten it in 64-bit mode on Intel's processors */
		emit_relative(e, e->mode == ORACLE_64 ? 4 : z);
		break;
	}
}

static bool emit_instruction(struct emitter *e)
{
	const struct oracle_template *t = e->template;

	e->c->length = 0;
	e->disp_size = 0;
	emit_prefixes(e);
	if (t->map >= 1)
		emit(e, 0x0f, 1);
	if (t->map == 2)
		emit(e, 0x38, 1);
	emit(e, t->opcode + oracle_below(e->random, t->count), 1);
	emit_modrm(e);
	emit_immediate(e);
	return e->c->length <= INSN_MAX_BYTES;
}

/* ---- registers ---- */

static uint32_t choose_flags(struct oracle_random *random)
{
	return ((uint32_t)oracle_next(random) & (FLAGS_ARITH | FLAG_ID)) |
	       (chance(random, 12) ? FLAG_AC : 0) | (chance(random, 24) ? FLAG_NT : 0);
}

static uint64_t choose_gs_base(struct oracle_random *random)
{
	return native_has_gs_base() ? (uint64_t)(int64_t)(int32_t)oracle_next(random) : 0;
}

static void choose_registers(struct emitter *e)
{
	struct oracle_state *in = &e->c->in;

	in->flags = choose_flags(e->random);
	in->gs_base = choose_gs_base(e->random);
	if ((e->template->flags & STRING) && chance(e->random, 3))
		in->flags |= FLAG_DF;
	for (unsigned i = 0; i < 16; i++)
		in->gpr[i] = value(e->random);
	for (unsigned i = 0; i < 16; i++)
		if ((e->template->flags & SELECTOR) && chance(e->random, 2))
			in->gpr[i] = choose_selector(e->random, e->mode) |
				     (oracle_next(e->random) & ~UINT64_C(0xffff));
	for (unsigned i = 0; i < 16; i++)
		if (e->template->flags & SELECTOR)
			in->gpr[i] = (in->gpr[i] & ~UINT64_C(0xffff)) |
				     known_selector((uint16_t)in->gpr[i]);
	for (unsigned i = 0; i < 16; i++)
		if ((e->template->flags & JUMP) && chance(e->random, 2))
			in->gpr[i] = code_address(e->random) - oracle_segment_base(e->mode);
}

/* Sets the low size bytes of a register so that it holds address, the rest stays random. */
static void point(struct emitter *e, unsigned reg, uint64_t address, unsigned size)
{
	uint64_t offset = address - oracle_segment_base(e->mode);

	memcpy(&e->c->in.gpr[reg], &offset, size);
}

static unsigned stack_bytes(enum oracle_mode mode)
{
	return mode == ORACLE_64 ? 8 : mode == ORACLE_32 ? 4 : 2;
}

static void choose_implicit(struct emitter *e)
{
	const struct oracle_template *t = e->template;
	unsigned width = stack_bytes(e->mode);

	if (t->flags & STACK) {
		point(e, RSP, data_address(e->random), width);
		point(e, RBP, data_address(e->random), width);
		if (e->mode == ORACLE_64 && chance(e->random, 40))
			e->c->in.gpr[chance(e->random, 2) ? RSP : RBP] = not_canonical(e->random);
	}
	if (t->flags & STRING) {
		uint64_t count = oracle_below(e->random, 20);
		point(e, RSI, data_address(e->random), e->addr_size);
		point(e, RDI, data_address(e->random), e->addr_size);
		memcpy(&e->c->in.gpr[RCX], &count, e->addr_size);
	}
	if (t->opcode == 0xd7 && t->map == 0)
		point(e, RBX, data_address(e->random), e->addr_size);
}

/* BT and its kin with the bit offset in a register, which reaches beyond the operand. */
static bool has_bit_offset(const struct insn *insn)
{
	uint16_t m = insn->mnemonic;

	return (m == ZYDIS_MNEMONIC_BT || m == ZYDIS_MNEMONIC_BTS || m == ZYDIS_MNEMONIC_BTR ||
		m == ZYDIS_MNEMONIC_BTC) &&
	       insn->operand[1].kind == OPERAND_REG;
}

static int64_t bit_offset(const struct oracle_case *c)
{
	const struct operand *bit = &c->insn.operand[1];
	unsigned unused = 64 - 8 * bit->size;

	return (int64_t)(c->in.gpr[bit->reg] << unused) >> unused;
}

static void choose_bit_offset(struct emitter *e)
{
	const struct operand *bit = &e->c->insn.operand[1];
	int64_t offset = (int64_t)oracle_below(e->random, 0x4000) - 0x2000;

	memcpy(&e->c->in.gpr[bit->reg], &offset, bit->size);
}

static const struct operand *memory_operand(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (insn->operand[i].kind == OPERAND_MEM)
			return &insn->operand[i];
	return NULL;
}

static uint64_t truncated(uint64_t number, unsigned size)
{
	return size == 8 ? number : number & ((UINT64_C(1) << 8 * size) - 1);
}

static uint64_t register_or_zero(const struct oracle_case *c, unsigned reg)
{
	return reg < 16 ? c->in.gpr[reg] : reg == INSN_BASE_RIP ? c->in.rip + c->insn.length : 0;
}

/* The explicit operand's linear address. */
static uint64_t effective_address(const struct oracle_case *c, enum oracle_mode mode)
{
	const struct insn *insn = &c->insn;
	uint64_t offset = register_or_zero(c, insn->base) + (uint64_t)insn->disp +
			  (register_or_zero(c, insn->index) << insn->scale);

	return truncated(offset, insn->addr_size) + oracle_segment_base(mode);
}

/* Makes the explicit memory operand lie at a chosen address by changing one register or the disp.
 */
static void aim(struct emitter *e, uint64_t target)
{
	struct oracle_case *c = e->c;
	const struct insn *insn = &c->insn;
	uint64_t short_by = target - effective_address(c, e->mode);

	if (insn->base < 16 && insn->base != insn->index) {
		uint64_t sum = c->in.gpr[insn->base] + short_by;
		memcpy(&c->in.gpr[insn->base], &sum, insn->addr_size);
	} else if (insn->index < 16) {
		unsigned shift = insn->base == insn->index ? 0 : insn->scale;
		uint64_t factor = insn->base == insn->index ? (1u << insn->scale) + 1 : 1;
		uint64_t sum = c->in.gpr[insn->index] + (short_by >> shift) / factor;
		if (factor > 1) {
			uint64_t offset = target - oracle_segment_base(e->mode);
			sum = (offset - (uint64_t)insn->disp) / factor;
		}
		memcpy(&c->in.gpr[insn->index], &sum, insn->addr_size);
	} else if (e->disp_size) {
		uint64_t disp = (uint64_t)insn->disp + short_by;
		memcpy(c->bytes + e->disp_at, &disp, e->disp_size);
	}
}

/* ---- safety: no address of the process itself may be touched ---- */

static bool range_is_safe(uint64_t address, uint64_t size)
{
	if (!address_is_canonical(address))
		return !address_is_canonical(address + size);
	return address - ORACLE_BASE <= ORACLE_BYTES - size;
}

static bool explicit_is_safe(const struct emitter *e)
{
	const struct insn *insn = &e->c->insn;
	const struct operand *memory = memory_operand(insn);
	uint64_t address = effective_address(e->c, e->mode);

	if (!memory || memory->size == 0 || insn->mnemonic == ZYDIS_MNEMONIC_NOP)
		return true;
	if (has_bit_offset(insn))
		address += (uint64_t)((bit_offset(e->c) >> 3) & ~7);
	return range_is_safe(address - 8, 40);
}

static bool implicit_is_safe(const struct emitter *e)
{
	const uint64_t *gpr = e->c->in.gpr;
	uint64_t base = oracle_segment_base(e->mode);
	unsigned width = stack_bytes(e->mode), size = e->addr_size;

	if ((e->template->flags & STACK) &&
	    (!range_is_safe(truncated(gpr[RSP], width) + base - 0x400, 0x480) ||
	     !range_is_safe(truncated(gpr[RBP], width) + base - 0x200, 0x280)))
		return false;
	if ((e->template->flags & STRING) &&
	    (!range_is_safe(truncated(gpr[RSI], size) + base - 0x100, 0x200) ||
	     !range_is_safe(truncated(gpr[RDI], size) + base - 0x100, 0x200)))
		return false;
	if (e->c->insn.mnemonic == ZYDIS_MNEMONIC_XLAT)
		return range_is_safe(truncated(gpr[RBX], size) + base, 256);
	return true;
}

static bool decode(struct oracle_case *c, enum oracle_mode mode)
{
	return insn_decode(c->bytes, c->length, oracle_mode_bits(mode), &c->insn) == INSN_OK;
}

static bool pops_flags(const struct oracle_case *c)
{
	return c->valid && (c->insn.mnemonic == ZYDIS_MNEMONIC_POPF ||
			    c->insn.mnemonic == ZYDIS_MNEMONIC_POPFD ||
			    c->insn.mnemonic == ZYDIS_MNEMONIC_POPFQ);
}

/* Interesting bytes where the instruction reads. */
static void choose_poke(struct emitter *e, uint64_t target)
{
	uint64_t word[5];

	for (unsigned i = 0; i < 5; i++)
		word[i] = value(e->random);
	if ((e->template->flags & JUMP) && !chance(e->random, 16))
		word[0] = code_address(e->random) - oracle_segment_base(e->mode);
	else if (e->template->flags & JUMP)
		word[0] = e->mode == ORACLE_64 ? not_canonical(e->random) : 0x5000;
	e->c->poke_offset = (uint32_t)(target - ORACLE_BASE) & (ORACLE_BYTES - 1);
	if (e->c->poke_offset > ORACLE_BYTES - sizeof(word))
		e->c->poke_offset -= sizeof(word);
	if (e->template->flags & SELECTOR)
		word[0] = choose_selector(e->random, e->mode);
	memcpy(e->c->poke, word, sizeof(word));
	if (e->template->flags & FAR)
		choose_far(e);
	else if (pops_flags(e->c))
		e->c->poke[1] &= (uint8_t) ~(FLAG_TF >> 8);
}

/* Whether a case that does not decode is worth to be run: it must raise #UD. */
static bool may_be_invalid(const struct oracle_case *c)
{
	return (c->template->flags & INVALID) || memchr(c->bytes, 0xf0, 6) != NULL;
}

bool oracle_make(struct oracle_random *random, const struct oracle_template *template,
		 enum oracle_mode mode, struct oracle_case *ret_case)
{
	struct emitter e = {.random = random, .template = template, .mode = mode, .c = ret_case};
	uint64_t target = data_address(random);

	memset(ret_case, 0, sizeof(*ret_case));
	ret_case->template = template;
	ret_case->in.rip = ORACLE_BASE + ORACLE_CODE - oracle_segment_base(mode);
	if (!emit_instruction(&e))
		return false;
	choose_registers(&e);
	choose_implicit(&e);
	ret_case->valid = decode(ret_case, mode);
	if (ret_case->valid && memory_operand(&ret_case->insn)) {
		if (has_bit_offset(&ret_case->insn))
			choose_bit_offset(&e);
		aim(&e, mode == ORACLE_64 && chance(random, 40) ? not_canonical(random) : target);
		ret_case->valid = decode(ret_case, mode);
	} else if (template->flags & STACK) {
		target = truncated(ret_case->in.gpr[RSP], stack_bytes(mode)) +
			 oracle_segment_base(mode);
	}
	for (unsigned i = 0; mode != ORACLE_64 && i < 16; i++)
		ret_case->in.gpr[i] = i < 8 ? (uint32_t)ret_case->in.gpr[i] : 0;
	choose_poke(&e, target);
	if (!ret_case->valid)
		return may_be_invalid(ret_case);
	return explicit_is_safe(&e) && implicit_is_safe(&e);
}

/* ---- in a sequence: the state is what it is ---- */

void oracle_start(struct oracle_random *random, enum oracle_mode mode, struct oracle_case *ret_case)
{
	struct emitter e = {.random = random, .mode = mode, .c = ret_case};
	struct oracle_state *in = &ret_case->in;
	unsigned width = stack_bytes(mode);

	memset(ret_case, 0, sizeof(*ret_case));
	in->rip = ORACLE_BASE + ORACLE_CODE - oracle_segment_base(mode);
	in->flags = choose_flags(random) | (chance(random, 8) ? FLAG_DF : 0);
	in->gs_base = choose_gs_base(random);
	for (unsigned i = 0; i < 16; i++)
		in->gpr[i] = chance(random, 3)   ? value(random)
			     : chance(random, 3) ? code_address(random) - oracle_segment_base(mode)
						 : data_address(random) - oracle_segment_base(mode);
	if (chance(random, 2))
		in->gpr[RCX] = oracle_below(random, 20);
	point(&e, RSP, ORACLE_BASE + 0x3800 + oracle_below(random, 0x1000) / 8 * 8, width);
	if (chance(random, 2))
		point(&e, RBP, data_address(random), width);
	for (unsigned i = 0; mode != ORACLE_64 && i < 16; i++)
		in->gpr[i] = i < 8 ? (uint32_t)in->gpr[i] : 0;
	ret_case->poke_offset = (uint32_t)(oracle_segment_base(mode) +
					   truncated(in->gpr[RSP], width) - ORACLE_BASE);
	for (unsigned i = 0; i + width <= sizeof(ret_case->poke); i += width) {
		uint64_t address = code_address(random) - oracle_segment_base(mode);
		memcpy(ret_case->poke + i, &address, width);
	}
}

/* Makes the explicit memory operand lie at target if the displacement can be chosen so. */
static void aim_displacement(struct emitter *e, uint64_t target)
{
	struct oracle_case *c = e->c;
	uint64_t short_by = target - effective_address(c, e->mode);
	int64_t disp = (int64_t)truncated((uint64_t)c->insn.disp + short_by, c->insn.addr_size);
	unsigned unused = 64 - 8 * e->disp_size;

	if (!e->disp_size)
		return;
	if (c->insn.addr_size < 8)
		disp = (int64_t)((uint64_t)disp << (64 - 8 * c->insn.addr_size)) >>
		       (64 - 8 * c->insn.addr_size);
	if ((int64_t)((uint64_t)disp << unused) >> unused == disp)
		memcpy(c->bytes + e->disp_at, &disp, e->disp_size);
}

bool oracle_continue(struct oracle_random *random, const struct oracle_template *template,
		     enum oracle_mode mode, const struct oracle_state *in,
		     struct oracle_case *ret_case)
{
	struct emitter e = {.random = random, .template = template, .mode = mode, .c = ret_case};

	memset(ret_case, 0, sizeof(*ret_case));
	ret_case->template = template;
	ret_case->in = *in;
	if (!emit_instruction(&e))
		return false;
	ret_case->valid = decode(ret_case, mode);
	if (ret_case->valid && memory_operand(&ret_case->insn)) {
		aim_displacement(&e, data_address(random));
		ret_case->valid = decode(ret_case, mode);
	}
	if (!ret_case->valid)
		return may_be_invalid(ret_case);
	return oracle_may_run(ret_case, mode);
}

/* As range_is_safe(), and the code is left alone: it is not yet what it will be. */
static bool range_is_data(uint64_t address, uint64_t size)
{
	return range_is_safe(address, size) && address - ORACLE_BASE >= 0x2000;
}

static bool stays_in_data(const struct emitter *e)
{
	const struct insn *insn = &e->c->insn;
	const struct operand *memory = memory_operand(insn);
	const uint64_t *gpr = e->c->in.gpr;
	uint64_t base = oracle_segment_base(e->mode), address = effective_address(e->c, e->mode);

	if (memory && memory->size && insn->mnemonic != ZYDIS_MNEMONIC_NOP) {
		if (has_bit_offset(insn))
			address += (uint64_t)((bit_offset(e->c) >> 3) & ~7);
		if (!range_is_data(address - 8, 40))
			return false;
	}
	if ((e->template->flags & STRING) &&
	    (truncated(gpr[RCX], e->addr_size) > 20 ||
	     !range_is_data(truncated(gpr[RSI], e->addr_size) + base - 0x100, 0x200) ||
	     !range_is_data(truncated(gpr[RDI], e->addr_size) + base - 0x100, 0x200)))
		return false;
	if (insn->mnemonic == ZYDIS_MNEMONIC_XLAT)
		return range_is_data(truncated(gpr[RBX], e->addr_size) + base, 256);
	return !(e->template->flags & STACK) ||
	       (range_is_data(truncated(gpr[RSP], stack_bytes(e->mode)) + base - 0x400, 0x480) &&
		range_is_data(truncated(gpr[RBP], stack_bytes(e->mode)) + base - 0x200, 0x280));
}

bool oracle_may_run(const struct oracle_case *c, enum oracle_mode mode)
{
	struct oracle_case copy = *c;
	struct emitter e = {.template = c->template, .mode = mode, .c = &copy};

	e.addr_size = c->insn.addr_size;
	return !c->valid || (explicit_is_safe(&e) && implicit_is_safe(&e) && stays_in_data(&e));
}
