/*
 * Shifts and rotates. The count is masked to 5 bits, 6 for 64-bit operands (SDM 2
 * "SAL/SAR/SHL/SHR"). A masked count of 0 leaves the flags alone but counts as a write of the
 * destination: memory is checked and written back, a 32-bit register loses its upper half.
 */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/integer.h"

typedef unsigned __int128 u128;

struct shift {
	uint64_t value; /* zero-extended */
	unsigned count; /* masked */
	unsigned size;  /* bytes */
	unsigned bits;
};

/* Reads the destination and the count, which is operand n. */
static bool shift_begin(struct cpu *cpu, const struct insn *insn, unsigned n,
			struct shift *ret_shift)
{
	unsigned size = insn->operand[0].size;
	uint64_t value, count;

	if (!operand_probe_write(cpu, insn, 0) || !operand_read(cpu, insn, 0, &value) ||
	    !operand_read(cpu, insn, n, &count))
		return false;
	*ret_shift = (struct shift){
		.value = value,
		.count = (unsigned)count & (size == 8 ? 63 : 31),
		.size = size,
		.bits = 8 * size,
	};
	return true;
}

/* Writes a shift's result; SF, ZF, PF follow it, AF is 0. */
static bool shift_commit(struct cpu *cpu, const struct insn *insn, const struct shift *shift,
			 uint64_t result, bool cf, bool of)
{
	if (!operand_write(cpu, insn, 0, result))
		return false;
	if (shift->count == 0)
		return true;
	flags_logic(cpu, result, shift->size);
	flags_set_cf_of(cpu, cf, of);
	return true;
}

/* Writes a rotate's result; only CF and OF change. */
static bool rotate_commit(struct cpu *cpu, const struct insn *insn, const struct shift *shift,
			  uint64_t result, bool cf, bool of)
{
	if (!operand_write(cpu, insn, 0, result))
		return false;
	if (shift->count != 0)
		flags_set_cf_of(cpu, cf, of);
	return true;
}

static bool top_bit(uint64_t value, unsigned bits)
{
	return (value >> (bits - 1)) & 1;
}

/* OF of everything that moves right: the top two bits differ. */
static bool top_bits_differ(uint64_t value, unsigned bits)
{
	return top_bit(value ^ value << 1, bits);
}

bool exec_shl(struct cpu *cpu, const struct insn *insn)
{
	struct shift shift;
	u128 wide;
	uint64_t result;
	bool cf;

	if (!shift_begin(cpu, insn, 1, &shift))
		return false;
	wide = (u128)shift.value << shift.count;
	result = (uint64_t)wide;
	cf = (wide >> shift.bits) & 1;
	return shift_commit(cpu, insn, &shift, result, cf, cf != top_bit(result, shift.bits));
}

bool exec_shr(struct cpu *cpu, const struct insn *insn)
{
	struct shift shift;
	uint64_t result;
	bool cf;

	if (!shift_begin(cpu, insn, 1, &shift))
		return false;
	result = shift.value >> shift.count;
	cf = shift.count && (shift.value >> (shift.count - 1)) & 1;
	return shift_commit(cpu, insn, &shift, result, cf, top_bits_differ(result, shift.bits));
}

bool exec_sar(struct cpu *cpu, const struct insn *insn)
{
	struct shift shift;
	int64_t value;
	bool cf;

	if (!shift_begin(cpu, insn, 1, &shift))
		return false;
	value = (int64_t)sign_extend(shift.value, shift.size);
	cf = shift.count && (value >> (shift.count - 1)) & 1;
	return shift_commit(cpu, insn, &shift, (uint64_t)(value >> shift.count), cf, false);
}

/* Rotates the low bits of value left; n may be any number. */
static u128 rotate_left(u128 value, unsigned bits, unsigned n)
{
	u128 mask = ((u128)1 << bits) - 1;

	n %= bits;
	if (n == 0)
		return value;
	return (value << n | value >> (bits - n)) & mask;
}

bool exec_rol(struct cpu *cpu, const struct insn *insn)
{
	struct shift shift;
	uint64_t result;

	if (!shift_begin(cpu, insn, 1, &shift))
		return false;
	result = (uint64_t)rotate_left(shift.value, shift.bits, shift.count);
	return rotate_commit(cpu, insn, &shift, result, result & 1,
			     (result & 1) != top_bit(result, shift.bits));
}

bool exec_ror(struct cpu *cpu, const struct insn *insn)
{
	struct shift shift;
	uint64_t result;

	if (!shift_begin(cpu, insn, 1, &shift))
		return false;
	result = (uint64_t)rotate_left(shift.value, shift.bits,
				       shift.bits - shift.count % shift.bits);
	return rotate_commit(cpu, insn, &shift, result, top_bit(result, shift.bits),
			     top_bits_differ(result, shift.bits));
}

/* The destination with CF above its top bit, as RCL and RCR turn it. */
static u128 with_carry(const struct cpu *cpu, const struct shift *shift)
{
	return (u128)flag_cf(cpu) << shift->bits | shift->value;
}

bool exec_rcl(struct cpu *cpu, const struct insn *insn)
{
	struct shift shift;
	u128 turned;
	bool cf;

	if (!shift_begin(cpu, insn, 1, &shift))
		return false;
	turned = rotate_left(with_carry(cpu, &shift), shift.bits + 1, shift.count);
	cf = (turned >> shift.bits) & 1;
	return rotate_commit(cpu, insn, &shift, (uint64_t)turned, cf,
			     cf != top_bit((uint64_t)turned, shift.bits));
}

bool exec_rcr(struct cpu *cpu, const struct insn *insn)
{
	struct shift shift;
	unsigned width;
	u128 turned;

	if (!shift_begin(cpu, insn, 1, &shift))
		return false;
	width = shift.bits + 1;
	turned = rotate_left(with_carry(cpu, &shift), width, width - shift.count % width);
	return rotate_commit(cpu, insn, &shift, (uint64_t)turned, (turned >> shift.bits) & 1,
			     top_bits_differ((uint64_t)turned, shift.bits));
}

/*
 * Double shifts see destination, source and destination again in a row: a 16-bit operand can be
 * shifted by more than its width, where the manual leaves the result undefined and processors do
 * this.
 */
bool exec_shld(struct cpu *cpu, const struct insn *insn)
{
	struct shift shift;
	uint64_t source, result;
	bool cf;

	if (!shift_begin(cpu, insn, 2, &shift) || !operand_read(cpu, insn, 1, &source))
		return false;
	if (shift.size == 2) {
		uint64_t row = shift.value << 32 | source << 16 | shift.value;
		result = row << shift.count >> 32;
		cf = (row << shift.count >> 48) & 1;
	} else {
		u128 row = (u128)shift.value << shift.bits | source;
		result = (uint64_t)(row << shift.count >> shift.bits);
		cf = shift.count && (shift.value >> (shift.bits - shift.count)) & 1;
	}
	return shift_commit(cpu, insn, &shift, result, cf, cf != top_bit(result, shift.bits));
}

bool exec_shrd(struct cpu *cpu, const struct insn *insn)
{
	struct shift shift;
	uint64_t source, result;
	u128 row;
	bool cf;

	if (!shift_begin(cpu, insn, 2, &shift) || !operand_read(cpu, insn, 1, &source))
		return false;
	row = (u128)source << shift.bits | shift.value;
	if (shift.size == 2)
		row |= (u128)shift.value << 32;
	result = (uint64_t)(row >> shift.count);
	cf = shift.count && (row >> (shift.count - 1)) & 1;
	return shift_commit(cpu, insn, &shift, result, cf, top_bits_differ(result, shift.bits));
}
