/* Finding the stack for a more privileged level. */
#include <string.h>

#include "vmm/cpu/system/inner_stack.h"
#include "vmm/cpu/system/segment.h"

#define TSS16_SP0  2
#define TSS32_ESP0 4
#define TSS64_RSP0 4
#define TSS64_IST1 36

/* Reads n bytes of the current TSS; #TS(TR selector) beyond its limit. */
static bool read_tss(struct cpu *cpu, uint32_t offset, void *buffer, uint32_t n, bool external)
{
	const struct segment *tr = &cpu->seg[SEG_TR];
	uint64_t linear = tr->base + offset;

	if (offset + n - 1 > tr->limit)
		return raise_fault_error(cpu, VECTOR_TS, selector_error(tr->selector, external));
	if (!cpu_long_mode(cpu))
		linear = (uint32_t)linear;
	return linear_read(cpu, linear, buffer, n, PRIVILEGE_SYSTEM);
}

bool inner_stack_legacy(struct cpu *cpu, unsigned cpl, bool external, struct inner_stack *ret_stack)
{
	uint8_t bytes[6];
	uint32_t sp32;
	uint16_t selector, sp16;

	if (cpu->seg[SEG_TR].attr & 8) { /* 32-bit TSS */
		if (!read_tss(cpu, TSS32_ESP0 + cpl * 8, bytes, 6, external))
			return false;
		memcpy(&sp32, bytes, 4);
		memcpy(&selector, bytes + 4, 2);
	} else {
		if (!read_tss(cpu, TSS16_SP0 + cpl * 4, bytes, 4, external))
			return false;
		memcpy(&sp16, bytes, 2);
		memcpy(&selector, bytes + 2, 2);
		sp32 = sp16;
	}
	if (!segment_check_stack(cpu, selector, cpl, VECTOR_TS, external, &ret_stack->descriptor))
		return false;
	ret_stack->ss = segment_from_descriptor(&ret_stack->descriptor, selector);
	ret_stack->sp = sp32;
	return true;
}

bool inner_stack_long(struct cpu *cpu, unsigned cpl, unsigned ist, bool external, uint64_t *ret_sp)
{
	uint32_t offset = ist ? TSS64_IST1 + (ist - 1) * 8 : TSS64_RSP0 + cpl * 8;
	uint64_t sp;

	if (!read_tss(cpu, offset, &sp, 8, external))
		return false;
	if (!address_is_canonical(sp))
		return raise_fault_error(cpu, VECTOR_SS, external);
	*ret_sp = sp;
	return true;
}
