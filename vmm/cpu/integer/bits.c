/* Single bits, bit scans and counts, CRC32. */
#include <nmmintrin.h>

#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/integer.h"

/* What BT, BTS, BTR and BTC do with the bit once it is in CF. */
enum bit_change { BIT_KEEP, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static uint64_t bit_changed(uint64_t value, uint64_t mask, enum bit_change change)
{
	switch (change) {
	case BIT_SET:
		return value | mask;
	case BIT_RESET:
		return value & ~mask;
	case BIT_COMPLEMENT:
		return value ^ mask;
	default:
		return value;
	}
}

/* Linear address of the operand-sized word that holds a signed bit offset from the operand. */
static bool bit_string_linear(struct cpu *cpu, const struct insn *insn, int64_t bit, unsigned size,
			      enum access_kind kind, uint64_t *ret_linear)
{
	int64_t words = bit >> (size == 8 ? 6 : size == 4 ? 5 : 4);
	uint64_t offset = insn_offset(cpu, insn) + (uint64_t)words * size;

	return segment_linear(cpu, insn->seg, zero_extend(offset, insn->addr_size), size, kind,
			      ret_linear);
}

/* A memory operand with the offset in a register reaches anywhere around the operand. */
static bool bit_string(struct cpu *cpu, const struct insn *insn, int64_t bit,
		       enum bit_change change)
{
	enum access_kind kind = change == BIT_KEEP ? ACCESS_READ : ACCESS_WRITE;
	unsigned size = insn->operand[0].size;
	uint64_t mask = UINT64_C(1) << (bit & (8 * size - 1));
	uint64_t linear, value = 0, changed;

	if (!bit_string_linear(cpu, insn, bit, size, kind, &linear) ||
	    (change != BIT_KEEP && !linear_probe(cpu, linear, size, kind, PRIVILEGE_CURRENT)) ||
	    !linear_read(cpu, linear, &value, size, PRIVILEGE_CURRENT))
		return false;
	changed = bit_changed(value, mask, change);
	if (change != BIT_KEEP && !linear_write(cpu, linear, &changed, size, PRIVILEGE_CURRENT))
		return false;
	flags_set_cf_of(cpu, (value & mask) != 0, flag_of(cpu));
	return true;
}

static bool bit_test(struct cpu *cpu, const struct insn *insn, enum bit_change change)
{
	unsigned size = insn->operand[0].size;
	uint64_t value, bit, mask;

	if (!operand_read(cpu, insn, 1, &bit))
		return false;
	if (insn->operand[0].kind == OPERAND_MEM && insn->operand[1].kind == OPERAND_REG)
		return bit_string(cpu, insn, (int64_t)sign_extend(bit, size), change);
	mask = UINT64_C(1) << (bit & (8 * size - 1));
	if ((change != BIT_KEEP && !operand_probe_write(cpu, insn, 0)) ||
	    !operand_read(cpu, insn, 0, &value))
		return false;
	if (change != BIT_KEEP && !operand_write(cpu, insn, 0, bit_changed(value, mask, change)))
		return false;
	flags_set_cf_of(cpu, (value & mask) != 0, flag_of(cpu));
	return true;
}

bool exec_bt(struct cpu *cpu, const struct insn *insn)
{
	return bit_test(cpu, insn, BIT_KEEP);
}

bool exec_bts(struct cpu *cpu, const struct insn *insn)
{
	return bit_test(cpu, insn, BIT_SET);
}

bool exec_btr(struct cpu *cpu, const struct insn *insn)
{
	return bit_test(cpu, insn, BIT_RESET);
}

bool exec_btc(struct cpu *cpu, const struct insn *insn)
{
	return bit_test(cpu, insn, BIT_COMPLEMENT);
}

/* A zero source leaves the destination as it was, all 64 bits of it. */
static bool bit_scan(struct cpu *cpu, const struct insn *insn, bool reverse)
{
	uint64_t source;

	if (!operand_read(cpu, insn, 1, &source))
		return false;
	if (source != 0) {
		unsigned found = reverse ? 63 - __builtin_clzll(source) : __builtin_ctzll(source);
		reg_write(cpu, &insn->operand[0], found);
	}
	flags_logic(cpu, source, insn->operand[0].size);
	return true;
}

bool exec_bsf(struct cpu *cpu, const struct insn *insn)
{
	return bit_scan(cpu, insn, false);
}

bool exec_bsr(struct cpu *cpu, const struct insn *insn)
{
	return bit_scan(cpu, insn, true);
}

bool exec_popcnt(struct cpu *cpu, const struct insn *insn)
{
	uint64_t source;

	if (!operand_read(cpu, insn, 1, &source))
		return false;
	reg_write(cpu, &insn->operand[0], (unsigned)__builtin_popcountll(source));
	flags_set_arith(cpu, source == 0 ? FLAG_ZF : 0);
	return true;
}

/* A 16-bit operand is undefined: the register's bytes 0 and 1 become 0, as processors do it. */
bool exec_bswap(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *operand = &insn->operand[0];
	uint64_t value = reg_read(cpu, operand);

	if (operand->size == 8)
		value = __builtin_bswap64(value);
	else if (operand->size == 4)
		value = __builtin_bswap32((uint32_t)value);
	else
		value = 0;
	reg_write(cpu, operand, value);
	return true;
}

/* The x86-64-v2 level, which this machine offers, is what the host must have too. */
__attribute__((target("sse4.2"))) static uint32_t crc32c(uint32_t crc, uint64_t data, unsigned size)
{
	switch (size) {
	case 1:
		return _mm_crc32_u8(crc, (uint8_t)data);
	case 2:
		return _mm_crc32_u16(crc, (uint16_t)data);
	case 4:
		return _mm_crc32_u32(crc, (uint32_t)data);
	default:
		return (uint32_t)_mm_crc32_u64(crc, data);
	}
}

bool exec_crc32(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *destination = &insn->operand[0];
	uint64_t data;

	if (!operand_read(cpu, insn, 1, &data))
		return false;
	/* A 64-bit destination's upper half becomes 0 as well. */
	reg_write(cpu, destination,
		  crc32c((uint32_t)reg_read(cpu, destination), data, insn->operand[1].size));
	return true;
}
