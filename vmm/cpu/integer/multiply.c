/*
 * Multiplication and division. After a multiplication SF, ZF and PF follow the low half of the
 * product and AF is 0; a division leaves the flags alone (docs/undefined-flags.md).
 */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/integer.h"

typedef unsigned __int128 u128;
typedef __int128 i128;

static void flags_product(struct cpu *cpu, uint64_t low, bool overflow, unsigned size)
{
	flags_logic(cpu, low, size);
	flags_set_cf_of(cpu, overflow, overflow);
}

/* Sets AX, or rDX:rAX, to the 2 * size bytes of a product. */
static void write_wide(struct cpu *cpu, u128 value, unsigned size)
{
	if (size == 1) {
		gpr_write(cpu, RAX, 2, (uint64_t)value);
		return;
	}
	gpr_write(cpu, RAX, size, (uint64_t)value);
	gpr_write(cpu, RDX, size, (uint64_t)(value >> (8 * size)));
}

/* AX, or rDX:rAX, zero-extended. */
static u128 read_wide(const struct cpu *cpu, unsigned size)
{
	if (size == 1)
		return gpr_read(cpu, RAX, 2);
	return (u128)gpr_read(cpu, RDX, size) << (8 * size) | gpr_read(cpu, RAX, size);
}

bool exec_mul(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	uint64_t factor;
	u128 product;

	if (!operand_read(cpu, insn, 0, &factor))
		return false;
	product = (u128)gpr_read(cpu, RAX, size) * factor;
	write_wide(cpu, product, size);
	flags_product(cpu, (uint64_t)product, product >> (8 * size) != 0, size);
	return true;
}

/* The product of two sign-extended values, and whether it needs more than size bytes. */
static i128 multiply_signed(uint64_t a, uint64_t b, unsigned size, bool *ret_overflow)
{
	i128 product = (i128)(int64_t)sign_extend(a, size) * (int64_t)sign_extend(b, size);

	*ret_overflow = product != (int64_t)sign_extend((uint64_t)product, size);
	return product;
}

bool exec_imul(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	unsigned first = insn->n_operands == 3 ? 1 : 0;
	uint64_t a, b;
	bool overflow;
	i128 product;

	if (!operand_read(cpu, insn, first, &a))
		return false;
	if (insn->n_operands == 1)
		b = gpr_read(cpu, RAX, size);
	else if (!operand_read(cpu, insn, first + 1, &b))
		return false;
	product = multiply_signed(a, b, size, &overflow);
	if (insn->n_operands == 1)
		write_wide(cpu, (u128)product, size);
	else
		reg_write(cpu, &insn->operand[0], (uint64_t)product);
	flags_product(cpu, (uint64_t)product, overflow, size);
	return true;
}

/* Quotient to AL or rAX, remainder to AH or rDX. */
static void write_quotient(struct cpu *cpu, uint64_t quotient, uint64_t remainder, unsigned size)
{
	if (size == 1) {
		gpr_write(cpu, RAX, 2, (quotient & 0xff) | (remainder & 0xff) << 8);
		return;
	}
	gpr_write(cpu, RAX, size, quotient);
	gpr_write(cpu, RDX, size, remainder);
}

bool exec_div(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	uint64_t divisor;
	u128 dividend;

	if (!operand_read(cpu, insn, 0, &divisor))
		return false;
	dividend = read_wide(cpu, size);
	if (dividend >> (8 * size) >= divisor) /* by zero, or the quotient is too wide */
		return raise_fault(cpu, VECTOR_DE);
	write_quotient(cpu, (uint64_t)(dividend / divisor), (uint64_t)(dividend % divisor), size);
	return true;
}

bool exec_idiv(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size, unused = 128 - 16 * size;
	uint64_t divisor, divisor_abs, quotient, remainder;
	u128 dividend, quotient_abs, limit;
	bool negative, divisor_negative;

	if (!operand_read(cpu, insn, 0, &divisor))
		return false;
	divisor = sign_extend(divisor, size);
	if (divisor == 0)
		return raise_fault(cpu, VECTOR_DE);
	dividend = (u128)((i128)(read_wide(cpu, size) << unused) >> unused);
	negative = (i128)dividend < 0;
	divisor_negative = (int64_t)divisor < 0;
	if (negative)
		dividend = -dividend;
	divisor_abs = divisor_negative ? -divisor : divisor;
	quotient_abs = dividend / divisor_abs;
	limit = ((u128)1 << (8 * size - 1)) - (negative == divisor_negative);
	if (quotient_abs > limit)
		return raise_fault(cpu, VECTOR_DE);
	quotient = (uint64_t)quotient_abs;
	remainder = (uint64_t)(dividend % divisor_abs);
	write_quotient(cpu, negative != divisor_negative ? -quotient : quotient,
		       negative ? -remainder : remainder, size);
	return true;
}
