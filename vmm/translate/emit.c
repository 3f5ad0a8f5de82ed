#include "vmm/translate/emit.h"

#include <assert.h>
#include <string.h>

#define REX   0x40u
#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

void emit8(struct emitter *e, uint8_t value)
{
	if (e->at >= e->end) {
		e->full = true;
		return;
	}
	e->base[e->at++] = value;
}

static void emit_bytes(struct emitter *e, const void *bytes, unsigned n)
{
	if (e->end - e->at < n) {
		e->full = true;
		return;
	}
	memcpy(e->base + e->at, bytes, n);
	e->at += n;
}

void emit32(struct emitter *e, uint32_t value)
{
	emit_bytes(e, &value, sizeof(value));
}

void emit64(struct emitter *e, uint64_t value)
{
	emit_bytes(e, &value, sizeof(value));
}

/* ---- one instruction ---- */

static void emit_prefixes(struct emitter *e, const struct encoding *c)
{
	if (c->memory && c->segment)
		emit8(e, c->segment);
	if (c->addr32)
		emit8(e, 0x67);
	if (c->opsize)
		emit8(e, 0x66);
	if (c->repeat)
		emit8(e, c->repeat);
}

static void emit_rex(struct emitter *e, const struct encoding *c)
{
	uint8_t rex = c->wide ? REX_W : 0;

	if (c->has_modrm && (c->reg & 8))
		rex |= REX_R;
	if (c->memory) {
		rex |= c->index != GPR_ZERO && (c->index & 8) ? REX_X : 0;
		rex |= c->base != GPR_ZERO && (c->base & 8) ? REX_B : 0;
	} else if ((c->has_modrm || c->has_opcode_reg) && (c->rm & 8)) {
		rex |= REX_B;
	}
	if (rex || c->low_bytes)
		emit8(e, REX | rex);
}

static void emit_opcode(struct emitter *e, const struct encoding *c)
{
	if (c->map)
		emit8(e, 0x0f);
	if (c->map > 1)
		emit8(e, c->map == 2 ? 0x38 : 0x3a);
	emit8(e, c->has_opcode_reg ? (c->opcode & 0xf8) | (c->rm & 7) : c->opcode);
}

/* ModRM, SIB and displacement (SDM 2 tables 2-2 and 2-3). */
static void emit_memory(struct emitter *e, const struct encoding *c)
{
	unsigned reg = (unsigned)(c->reg & 7) << 3;
	unsigned index = c->index == GPR_ZERO ? 4 : c->index & 7;

	if (c->base == GPR_ZERO) {
		emit8(e, (uint8_t)(reg | 4));
		emit8(e, (uint8_t)(c->scale << 6 | index << 3 | 5));
		emit32(e, (uint32_t)c->disp + (c->guest ? 0 : (uint32_t)e->moved));
		return;
	}
	unsigned base = c->base & 7;
	bool sib = index != 4 || (c->index != GPR_ZERO && (c->index & 8)) || base == 4;
	unsigned mod = c->disp == (int8_t)c->disp ? (c->disp == 0 && base != 5 ? 0 : 1) : 2;
	emit8(e, (uint8_t)(mod << 6 | reg | (sib ? 4 : base)));
	if (sib)
		emit8(e, (uint8_t)(c->scale << 6 | index << 3 | base));
	if (mod == 1)
		emit8(e, (uint8_t)c->disp);
	else if (mod == 2)
		emit32(e, (uint32_t)c->disp);
}

void emit_encoding(struct emitter *e, const struct encoding *c)
{
	emit_prefixes(e, c);
	emit_rex(e, c);
	emit_opcode(e, c);
	if (c->memory)
		emit_memory(e, c);
	else if (c->has_modrm)
		emit8(e, (uint8_t)(0xc0 | (c->reg & 7) << 3 | (c->rm & 7)));
	emit_bytes(e, c->imm, c->n_imm);
}

/* ---- from the guest's instruction ---- */

/* REX of an instruction's bytes, or 0: it stands right in front of the opcode. */
static uint8_t find_rex(const uint8_t *bytes)
{
	uint8_t rex = 0;

	for (;; bytes++) {
		switch (*bytes) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
		case 0x64:
		case 0x65:
		case 0x66:
		case 0x67:
		case 0xf0:
		case 0xf2:
		case 0xf3:
			rex = 0;
			continue;
		default:
			if ((*bytes & 0xf0) != REX)
				return rex;
			rex = *bytes;
		}
	}
}

static bool names_register_in_opcode(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (insn->operand[i].field == FIELD_OPCODE)
			return true;
	return false;
}

static bool has_memory(const struct insn *insn)
{
	return insn->modrm_at && insn->modrm >> 6 != 3;
}

void encoding_from_insn(const struct insn *insn, const uint8_t *bytes,
			struct encoding *ret_encoding)
{
	uint8_t rex = find_rex(bytes);
	struct encoding c = {
		.map = insn->opcode_map,
		.opcode = insn->opcode,
		.repeat = insn->mandatory == 0xf2 || insn->mandatory == 0xf3 ? insn->mandatory : 0,
		.opsize = insn->prefixes & PREFIX_OPSIZE,
		.wide = rex & REX_W,
		.low_bytes = rex != 0,
		.has_modrm = insn->modrm_at != 0,
		.has_opcode_reg = names_register_in_opcode(insn),
		.memory = has_memory(insn),
		.guest = true,
		.base = insn->base == INSN_BASE_RIP ? GPR_ZERO : insn->base,
		.index = insn->index,
		.scale = insn->scale,
		.disp = (int32_t)insn->disp,
		.n_imm = insn->length - insn->imm_at,
	};

	if (c.has_modrm) {
		c.reg = (insn->modrm >> 3 & 7) | (rex & REX_R ? 8 : 0);
		c.rm = (insn->modrm & 7) | (rex & REX_B ? 8 : 0);
	} else if (c.has_opcode_reg) {
		c.rm = (insn->opcode & 7) | (rex & REX_B ? 8 : 0);
	}
	if (c.n_imm > sizeof(c.imm))
		c.n_imm = 0;
	memcpy(c.imm, bytes + insn->imm_at, c.n_imm);
	*ret_encoding = c;
}

/* ---- the translator's own ---- */

static struct encoding with_memory(uint8_t opcode, unsigned reg, uint32_t address)
{
	return (struct encoding){
		.opcode = opcode,
		.wide = true,
		.has_modrm = true,
		.memory = true,
		.reg = (uint8_t)reg,
		.base = GPR_ZERO,
		.index = GPR_ZERO,
		.disp = (int32_t)address,
	};
}

void emit_load(struct emitter *e, unsigned reg, uint32_t address)
{
	struct encoding c = with_memory(0x8b, reg, address);
	emit_encoding(e, &c);
}

void emit_store(struct emitter *e, uint32_t address, unsigned reg)
{
	struct encoding c = with_memory(0x89, reg, address);
	emit_encoding(e, &c);
}

void emit_store_imm(struct emitter *e, uint32_t address, int32_t value)
{
	struct encoding c = with_memory(0xc7, 0, address);

	c.n_imm = 4;
	memcpy(c.imm, &value, 4);
	emit_encoding(e, &c);
}

void emit_move(struct emitter *e, unsigned to, unsigned from)
{
	struct encoding c = {.opcode = 0x8b,
			     .wide = true,
			     .has_modrm = true,
			     .reg = (uint8_t)to,
			     .rm = (uint8_t)from};
	emit_encoding(e, &c);
}

void emit_constant(struct emitter *e, unsigned reg, uint64_t value)
{
	struct encoding c = {
		.opcode = 0xb8, .has_opcode_reg = true, .rm = (uint8_t)reg, .n_imm = 4};

	if (value > UINT32_MAX) {
		c.wide = true;
		if (value == (uint64_t)(int32_t)value) {
			c.opcode = 0xc7;
			c.has_opcode_reg = false;
			c.has_modrm = true;
		} else {
			c.n_imm = 8;
		}
	}
	memcpy(c.imm, &value, c.n_imm);
	emit_encoding(e, &c);
}

void emit_lea(struct emitter *e, unsigned reg, unsigned base, unsigned index, int32_t disp)
{
	struct encoding c = {.opcode = 0x8d,
			     .wide = true,
			     .has_modrm = true,
			     .memory = true,
			     .reg = (uint8_t)reg,
			     .base = (uint8_t)base,
			     .index = (uint8_t)index,
			     .disp = disp};

	assert(index != RSP); /* not encodable */
	emit_encoding(e, &c);
}

static void emit_memory_form(struct emitter *e, uint8_t opcode, unsigned extension,
			     uint32_t address)
{
	struct encoding c = with_memory(opcode, extension, address);

	c.wide = false;
	emit_encoding(e, &c);
}

void emit_jump_memory(struct emitter *e, uint32_t address)
{
	emit_memory_form(e, 0xff, 4, address);
}

void emit_push_memory(struct emitter *e, uint32_t address)
{
	emit_memory_form(e, 0xff, 6, address);
}

void emit_pop_memory(struct emitter *e, uint32_t address)
{
	emit_memory_form(e, 0x8f, 0, address);
}

/* ---- branches ---- */

uint32_t emit_jump(struct emitter *e)
{
	emit8(e, 0xe9);
	emit32(e, 0);
	return e->at - 4;
}

uint32_t emit_jump_if(struct emitter *e, unsigned cc)
{
	emit8(e, 0x0f);
	emit8(e, (uint8_t)(0x80 | cc));
	emit32(e, 0);
	return e->at - 4;
}

void emit_patch(struct emitter *e, uint32_t displacement, uint32_t target)
{
	uint32_t value = target - (displacement + 4);

	if (!e->full)
		memcpy(e->base + displacement, &value, sizeof(value));
}

void emit_patch_address(struct emitter *e, uint32_t at)
{
	uint32_t address = (uint32_t)e->linear + e->at;

	if (!e->full)
		memcpy(e->base + at, &address, sizeof(address));
}

void emit_jump_to(struct emitter *e, uint32_t target)
{
	uint32_t displacement = emit_jump(e);
	emit_patch(e, displacement, target);
}

uint32_t emit_short(struct emitter *e, uint8_t opcode)
{
	emit8(e, opcode);
	emit8(e, 0);
	return e->at - 1;
}

void emit_patch_short(struct emitter *e, uint32_t displacement)
{
	uint32_t distance = e->at - (displacement + 1);

	assert(e->full || distance <= INT8_MAX);
	if (!e->full)
		e->base[displacement] = (uint8_t)distance;
}
