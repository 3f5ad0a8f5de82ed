#include "recorder/chaos_code.h"

#include <stddef.h>
#include <stdint.h>

#include "vmm/memory/memory.h"
#include "vmm/mmu/mmu.h"

#define INSTRUCTION_MAX 15

/* SDM 2A 2.1.1, 2.2.1 */
static bool is_prefix(uint8_t byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return (byte & 0xf0) == 0x40; /* REX */
	}
}

bool chaos_code_is_atomic(const struct cpu *cpu)
{
	uint8_t code[INSTRUCTION_MAX];
	uint64_t linear = cpu->seg[SEG_CS].base + cpu->rip;
	size_t n = PAGE_BYTES - linear % PAGE_BYTES, i = 0;

	if (n > sizeof(code))
		n = sizeof(code);
	if (!mmu_peek_read(cpu, linear, code, n))
		return false;
	while (i < n && is_prefix(code[i]))
		i++;
	if (i + 1 >= n)
		return false;
	switch (code[i]) {
	case 0xf0: /* LOCK */
		return true;
	case 0x86: /* XCHG: locked when its operand is in memory */
	case 0x87:
		return code[i + 1] >> 6 != 3;
	case 0x0f:
		return code[i + 1] == 0x05; /* SYSCALL */
	default:
		return false;
	}
}
