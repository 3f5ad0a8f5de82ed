#include "vmm/translate/host_flags.h"

#include <stdint.h>

#include "vmm/cpu/cpu.h"

#define ROUNDS 200

/* Operands: a sequence that is the same every time, with values near 0 now and then. */
struct operands {
	uint64_t state;
};

static uint64_t next(struct operands *operands)
{
	operands->state = operands->state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	uint64_t value = operands->state ^ operands->state >> 29;
	return value & 64 ? value : value >> (value & 63);
}

/* Runs an instruction on a value in RAX and another in RCX with the arithmetic flags as given;
 * flags: the ones afterwards. PUSH must not write into the red zone. */
#define RUN(instruction, value, other, flags)                                                      \
	__asm__ volatile("sub $128, %%rsp\n\tpush %1\n\tpopf\n\t" instruction                      \
			 "\n\tpushf\n\tpop %1\n\tlea 128(%%rsp), %%rsp"                            \
			 : "+a"(value), "+r"(flags)                                                \
			 : "c"(other)                                                              \
			 : "rdx", "cc", "memory")

/* SF, ZF, PF of a result. */
static uint32_t result_flags(uint64_t value, unsigned size)
{
	uint64_t top = value << (64 - 8 * size);
	uint32_t flags = __builtin_parity((uint8_t)value) ? 0 : FLAG_PF;

	flags |= top == 0 ? FLAG_ZF : 0;
	return flags | (top >> 63 ? FLAG_SF : 0);
}

static bool shifts_agree(struct operands *operands)
{
	uint64_t count = next(operands) & 31, any = next(operands) & FLAGS_ARITH, value, flags;
	uint64_t seen = 0;

	count += count == 0;
#define SHIFT(instruction)                                                                         \
	value = next(operands);                                                                    \
	flags = any | FLAG_FIXED;                                                                  \
	RUN(instruction, value, count, flags);                                                     \
	seen |= flags
	SHIFT("shlb %%cl, %%al");
	SHIFT("shrb %%cl, %%al");
	SHIFT("sarb %%cl, %%al");
	SHIFT("shlw %%cl, %%ax");
	SHIFT("shrw %%cl, %%ax");
	SHIFT("sarw %%cl, %%ax");
	SHIFT("shll %%cl, %%eax");
	SHIFT("shrl %%cl, %%eax");
	SHIFT("sarl %%cl, %%eax");
	SHIFT("shlq %%cl, %%rax");
	SHIFT("shrq %%cl, %%rax");
	SHIFT("sarq %%cl, %%rax");
	SHIFT("shlq $1, %%rax");
	SHIFT("shrl $1, %%eax");
	SHIFT("sarl $7, %%eax");
#undef SHIFT
	return !(seen & FLAG_AF);
}

static bool double_shifts_agree(struct operands *operands)
{
	uint64_t value = next(operands), any = next(operands) & FLAGS_ARITH;
	uint64_t count = next(operands) & 31, flags = any | FLAG_FIXED, seen;

	count += count == 0;
	RUN("shldq %%cl, %%rax, %%rax", value, count, flags);
	seen = flags;
	flags = any | FLAG_FIXED;
	RUN("shrdl %%cl, %%eax, %%eax", value, count, flags);
	return !((seen | flags) & FLAG_AF);
}

/* Bit n of a value; OF is the XOR of two. */
static unsigned bit(uint64_t value, unsigned n)
{
	return value >> n & 1;
}

/* OF as after a last step by 1, to the left or to the right. */
static bool overflow_agrees(uint64_t value, uint64_t flags, unsigned width, bool left)
{
	unsigned other = left ? flags & FLAG_CF : bit(value, width - 2);

	return !(flags & FLAG_OF) == (bit(value, width - 1) == other);
}

static bool overflows_agree(struct operands *operands)
{
	uint64_t count = 2 + next(operands) % 30, value, flags;
	bool agree = true;

#define SHIFT(instruction, width, left)                                                            \
	value = next(operands);                                                                    \
	flags = (next(operands) & FLAGS_ARITH) | FLAG_FIXED;                                       \
	RUN(instruction, value, count, flags);                                                     \
	agree &= overflow_agrees(value, flags, width, left)
	SHIFT("shlb %%cl, %%al", 8, true);
	SHIFT("shrw %%cl, %%ax", 16, false);
	SHIFT("shll %%cl, %%eax", 32, true);
	SHIFT("shrq %%cl, %%rax", 64, false);
	SHIFT("shlq $9, %%rax", 64, true);
	SHIFT("shrl $9, %%eax", 32, false);
	SHIFT("rolw %%cl, %%ax", 16, true);
	SHIFT("rorb %%cl, %%al", 8, false);
	SHIFT("rolq $9, %%rax", 64, true);
	SHIFT("rorl $9, %%eax", 32, false);
	SHIFT("rcll %%cl, %%eax", 32, true);
	SHIFT("rcrq %%cl, %%rax", 64, false);
	SHIFT("shldq %%cl, %%rcx, %%rax", 64, true);
	SHIFT("shrdl %%cl, %%ecx, %%eax", 32, false);
#undef SHIFT
	return agree;
}

static bool sar_overflow_agrees(struct operands *operands)
{
	uint64_t count = 2 + next(operands) % 30, value = next(operands);
	uint64_t flags = (next(operands) & FLAGS_ARITH) | FLAG_FIXED, seen;

	RUN("sarq %%cl, %%rax", value, count, flags);
	seen = flags;
	RUN("sarl $9, %%eax", value, count, flags);
	return !((seen | flags) & FLAG_OF);
}

static bool products_agree(struct operands *operands)
{
	const uint32_t mask = FLAGS_ARITH & ~(FLAG_CF | FLAG_OF);
	uint64_t value = next(operands), other = next(operands);
	uint64_t any = next(operands) & FLAGS_ARITH, flags = any | FLAG_FIXED;

	RUN("imulq %%rcx, %%rax", value, other, flags);
	if ((flags & mask) != result_flags(value, 8))
		return false;
	flags = any | FLAG_FIXED;
	RUN("imull %%ecx, %%eax", value, other, flags);
	if ((flags & mask) != result_flags(value, 4))
		return false;
	flags = any | FLAG_FIXED;
	RUN("mulq %%rcx", value, other, flags);
	return (flags & mask) == result_flags(value, 8);
}

static bool quotients_agree(struct operands *operands)
{
	uint64_t value = next(operands), other = next(operands) | 1;
	uint64_t any = next(operands) & FLAGS_ARITH, flags = any | FLAG_FIXED;

	RUN("movl $0, %%edx\n\tdivq %%rcx", value, other, flags);
	if ((flags & FLAGS_ARITH) != any)
		return false;
	value &= INT64_MAX;
	flags = any | FLAG_FIXED;
	RUN("movl $0, %%edx\n\tidivq %%rcx", value, other, flags);
	if ((flags & FLAGS_ARITH) != any)
		return false;
	flags = any | FLAG_FIXED;
	RUN("movl $0, %%edx\n\tdivl %%ecx", value, other, flags);
	return (flags & FLAGS_ARITH) == any;
}

static bool scans_agree(struct operands *operands)
{
	uint64_t value, other = next(operands), any = next(operands) & FLAGS_ARITH;
	uint64_t flags = any | FLAG_FIXED;

	value = 0;
	RUN("bsfq %%rcx, %%rax", value, other, flags);
	if ((flags & FLAGS_ARITH) != result_flags(other, 8))
		return false;
	flags = any | FLAG_FIXED;
	RUN("bsrl %%ecx, %%eax", value, other, flags);
	return (flags & FLAGS_ARITH) == result_flags(other, 4);
}

void host_flags_probe(struct host_flags *ret_flags)
{
	struct host_flags flags = {true, true, true, true, true, true, true};
	struct operands operands = {1};

	for (unsigned i = 0; i < ROUNDS; i++) {
		flags.shift &= shifts_agree(&operands);
		flags.double_shift &= double_shifts_agree(&operands);
		flags.overflow &= overflows_agree(&operands);
		flags.sar_overflow &= sar_overflow_agrees(&operands);
		flags.multiply &= products_agree(&operands);
		flags.divide &= quotients_agree(&operands);
		flags.scan &= scans_agree(&operands);
	}
	*ret_flags = flags;
}
