/*
 * The arithmetic flags, held lazily in two words so that any of them can be read without knowing
 * which instruction set them.
 *
 *   cc_result  the result, sign-extended from the operand size to 64 bits
 *   cc_aux     bit 63       CF: the carry out of the top bit
 *              bit 62       the carry into the top bit; OF = bit 63 ^ bit 62
 *              bit 16       inverts SF
 *              bits 8..15   XORed with the result's low byte before PF is taken
 *              bit 3        AF: the carry out of bit 3
 *
 * ZF is cc_result == 0, SF its top bit, PF the parity of its low byte.
 */
#ifndef REPRISE_VMM_CPU_FLAGS_H
#define REPRISE_VMM_CPU_FLAGS_H

#include "vmm/cpu/cpu.h"

#define CC_CARRY        (UINT64_C(1) << 63)
#define CC_CARRY_IN     (UINT64_C(1) << 62)
#define CC_SIGN_DELTA   (UINT64_C(1) << 16)
#define CC_PARITY_SHIFT 8
#define CC_AF           UINT64_C(8)

static inline uint64_t sign_extend(uint64_t value, unsigned size)
{
	unsigned shift = 64 - 8 * size;
	return (uint64_t)((int64_t)(value << shift) >> shift);
}

static inline uint64_t zero_extend(uint64_t value, unsigned size)
{
	return size == 8 ? value : value & ((UINT64_C(1) << (8 * size)) - 1);
}

static inline bool flag_cf(const struct cpu *cpu)
{
	return cpu->cc_aux >> 63;
}

static inline bool flag_zf(const struct cpu *cpu)
{
	return cpu->cc_result == 0;
}

static inline bool flag_sf(const struct cpu *cpu)
{
	return (cpu->cc_result >> 63) ^ ((cpu->cc_aux >> 16) & 1);
}

static inline bool flag_of(const struct cpu *cpu)
{
	return (cpu->cc_aux ^ (cpu->cc_aux << 1)) >> 63;
}

static inline bool flag_pf(const struct cpu *cpu)
{
	return !__builtin_parity((uint8_t)(cpu->cc_result ^ (cpu->cc_aux >> CC_PARITY_SHIFT)));
}

static inline bool flag_af(const struct cpu *cpu)
{
	return (cpu->cc_aux & CC_AF) != 0;
}

/* The six arithmetic flags at their RFLAGS positions. */
static inline uint32_t flags_arith(const struct cpu *cpu)
{
	return (flag_cf(cpu) ? FLAG_CF : 0) | (flag_pf(cpu) ? FLAG_PF : 0) |
	       (flag_af(cpu) ? FLAG_AF : 0) | (flag_zf(cpu) ? FLAG_ZF : 0) |
	       (flag_sf(cpu) ? FLAG_SF : 0) | (flag_of(cpu) ? FLAG_OF : 0);
}

/* Sets all six from RFLAGS positions. */
static inline void flags_set_arith(struct cpu *cpu, uint32_t flags)
{
	uint64_t result = flags & FLAG_ZF ? 0 : 1;
	uint64_t aux = flags & FLAG_CF ? CC_CARRY : 0;
	bool natural_parity = result == 0; /* parity of 0 is even, of 1 odd */

	if (!(flags & FLAG_OF) == !!(flags & FLAG_CF))
		aux |= CC_CARRY_IN;
	if (flags & FLAG_AF)
		aux |= CC_AF;
	if (flags & FLAG_SF)
		aux |= CC_SIGN_DELTA;
	if (!!(flags & FLAG_PF) != natural_parity)
		aux |= UINT64_C(1) << CC_PARITY_SHIFT;
	cpu->cc_result = result;
	cpu->cc_aux = aux;
}

/* From the carry vector of a size-byte addition or subtraction: bit n set = carry out of bit n. */
static inline uint64_t cc_from_carries(uint64_t carries, unsigned size)
{
	return ((carries << (64 - 8 * size)) & (CC_CARRY | CC_CARRY_IN)) | (carries & CC_AF);
}

/* result need not be truncated. a, b: the operands; result = a + b (+ carry). */
static inline void flags_add(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t result,
			     unsigned size)
{
	cpu->cc_result = sign_extend(result, size);
	cpu->cc_aux = cc_from_carries((a & b) | ((a | b) & ~result), size);
}

/* result = a - b (- borrow). */
static inline void flags_sub(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t result,
			     unsigned size)
{
	cpu->cc_result = sign_extend(result, size);
	cpu->cc_aux = cc_from_carries((~a & b) | ((~a | b) & result), size);
}

/* CF = OF = AF = 0 (AF is architecturally undefined; ours is 0). */
static inline void flags_logic(struct cpu *cpu, uint64_t result, unsigned size)
{
	cpu->cc_result = sign_extend(result, size);
	cpu->cc_aux = 0;
}

/* As an addition or subtraction of 1, but CF stays. */
static inline void flags_inc(struct cpu *cpu, uint64_t a, uint64_t result, unsigned size)
{
	bool carry = flag_cf(cpu);
	flags_add(cpu, a, 1, result, size);
	if (carry != flag_cf(cpu)) /* keep OF: both carries change together */
		cpu->cc_aux ^= CC_CARRY | CC_CARRY_IN;
}

static inline void flags_dec(struct cpu *cpu, uint64_t a, uint64_t result, unsigned size)
{
	bool carry = flag_cf(cpu);
	flags_sub(cpu, a, 1, result, size);
	if (carry != flag_cf(cpu))
		cpu->cc_aux ^= CC_CARRY | CC_CARRY_IN;
}

/* Changes CF and OF only. */
static inline void flags_set_cf_of(struct cpu *cpu, bool cf, bool of)
{
	cpu->cc_aux &= ~(CC_CARRY | CC_CARRY_IN);
	cpu->cc_aux |= (cf ? CC_CARRY : 0) | (cf != of ? CC_CARRY_IN : 0);
}

/* Condition code 0..15 as Jcc encodes it (SDM 2 appendix B, table B-10). */
static inline bool flags_condition(const struct cpu *cpu, unsigned cc)
{
	bool value;
	switch (cc >> 1) {
	case 0:
		value = flag_of(cpu);
		break;
	case 1:
		value = flag_cf(cpu);
		break;
	case 2:
		value = flag_zf(cpu);
		break;
	case 3:
		value = flag_cf(cpu) || flag_zf(cpu);
		break;
	case 4:
		value = flag_sf(cpu);
		break;
	case 5:
		value = flag_pf(cpu);
		break;
	case 6:
		value = flag_sf(cpu) != flag_of(cpu);
		break;
	default:
		value = flag_zf(cpu) || flag_sf(cpu) != flag_of(cpu);
		break;
	}
	return value ^ (cc & 1);
}

#endif
