/* The x87 state that x87, MMX and state-saving instructions share. */
#include "vmm/cpu/vector/x87.h"

#include <string.h>

void x87_set_top(struct cpu *cpu, unsigned top)
{
	unsigned rotation = (top - x87_top(cpu)) & 7;
	uint8_t old[8][16];

	if (rotation) {
		memcpy(old, cpu->fx.st, sizeof(old));
		for (unsigned i = 0; i < 8; i++)
			memcpy(cpu->fx.st[i], old[(i + rotation) & 7], sizeof(old[0]));
	}
	cpu->fx.fsw = (uint16_t)((cpu->fx.fsw & ~FSW_TOP) | top << FSW_TOP_SHIFT);
}

void x87_update_summary(struct cpu *cpu)
{
	cpu->fx.fsw &= (uint16_t) ~(FSW_ES | FSW_B);
	if (cpu->fx.fsw & ~cpu->fx.fcw & FSW_EXCEPTIONS)
		cpu->fx.fsw |= FSW_ES | FSW_B;
}

void x87_set_control(struct cpu *cpu, uint16_t fcw)
{
	cpu->fx.fcw = (fcw & FCW_VALID) | FCW_FIXED;
	x87_update_summary(cpu);
}

bool x87_check_pending(struct cpu *cpu)
{
	if ((cpu->fx.fsw & FSW_ES) && (cpu->cr0 & CR0_NE))
		return raise_fault(cpu, VECTOR_MF);
	return true;
}

void x87_initialize(struct cpu *cpu)
{
	x87_set_top(cpu, 0);
	cpu->fx.fcw = FCW_DEFAULT;
	cpu->fx.fsw = 0;
	cpu->fx.ftw = 0;
}

/* Tag of a register's content: 0 valid, 1 zero, 2 special. */
static unsigned content_tag(const uint8_t *st)
{
	uint64_t significand;
	uint16_t exponent;

	memcpy(&significand, st, sizeof(significand));
	memcpy(&exponent, st + 8, sizeof(exponent));
	exponent &= 0x7fff;
	if (exponent == 0 && significand == 0)
		return 1;
	if (exponent == 0 || exponent == 0x7fff || !(significand >> 63))
		return 2;
	return 0;
}

uint16_t x87_full_tags(const struct cpu *cpu)
{
	unsigned tags = 0, top = x87_top(cpu);

	for (unsigned n = 0; n < 8; n++) {
		unsigned tag = 3;
		if (cpu->fx.ftw & (1u << n))
			tag = content_tag(cpu->fx.st[(n - top) & 7]);
		tags |= tag << (2 * n);
	}
	return (uint16_t)tags;
}

uint8_t x87_abridged_tags(uint16_t tags)
{
	unsigned abridged = 0;

	for (unsigned n = 0; n < 8; n++)
		if (((tags >> (2 * n)) & 3) != 3)
			abridged |= 1u << n;
	return (uint8_t)abridged;
}
