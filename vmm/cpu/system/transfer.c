/* Checks of far transfers' targets. */
#include "vmm/cpu/system/transfer.h"
#include "vmm/cpu/system/segment.h"

static bool raise_selector(struct cpu *cpu, uint16_t selector)
{
	return raise_gp(cpu, selector_error(selector, false));
}

/* What every code segment must meet once its privilege has been found right. */
static bool finish_check(struct cpu *cpu, uint16_t selector, unsigned cpl,
			 struct transfer *transfer)
{
	uint32_t attr = descriptor_attr(&transfer->code);

	if (cpu_long_mode(cpu) && (attr & SEG_ATTR_L) && (attr & SEG_ATTR_DB))
		return raise_selector(cpu, selector);
	if (!descriptor_present(&transfer->code))
		return raise_fault_error(cpu, VECTOR_NP, selector_error(selector, false));
	transfer->wide = cpu_long_mode(cpu) && (attr & SEG_ATTR_L);
	transfer->cpl = (uint8_t)cpl;
	transfer->selector = (uint16_t)((selector & ~SELECTOR_RPL) | cpl);
	return true;
}

bool transfer_check_direct(struct cpu *cpu, uint16_t selector, struct transfer *transfer)
{
	unsigned dpl = descriptor_dpl(&transfer->code);
	bool allowed = descriptor_is_conforming(&transfer->code)
			       ? dpl <= cpu->cpl
			       : (selector & SELECTOR_RPL) <= cpu->cpl && dpl == cpu->cpl;

	if (!allowed)
		return raise_selector(cpu, selector);
	return finish_check(cpu, selector, cpu->cpl, transfer);
}

bool transfer_check_gate(struct cpu *cpu, uint16_t selector, bool jump, struct transfer *transfer)
{
	struct descriptor *code = &transfer->code;

	if (selector_is_null(selector))
		return raise_gp(cpu, 0);
	if (!descriptor_read(cpu, selector, VECTOR_GP, false, code))
		return false;
	unsigned dpl = descriptor_dpl(code);
	bool conforming = descriptor_is_conforming(code);
	if (!descriptor_is_code(code) || dpl > cpu->cpl || (jump && !conforming && dpl != cpu->cpl))
		return raise_selector(cpu, selector);
	/* Gates of long mode lead to 64-bit code only (SDM 3A 5.8.3.1). */
	if (cpu_long_mode(cpu) &&
	    (descriptor_attr(code) & (SEG_ATTR_L | SEG_ATTR_DB)) != SEG_ATTR_L)
		return raise_selector(cpu, selector);
	return finish_check(cpu, selector, conforming ? cpu->cpl : dpl, transfer);
}

bool transfer_check_return(struct cpu *cpu, uint16_t selector, struct transfer *transfer)
{
	unsigned rpl = selector & SELECTOR_RPL;
	struct descriptor *code = &transfer->code;

	if (selector_is_null(selector))
		return raise_gp(cpu, 0);
	if (!descriptor_read(cpu, selector, VECTOR_GP, false, code))
		return false;
	unsigned dpl = descriptor_dpl(code);
	if (!descriptor_is_code(code) || rpl < cpu->cpl ||
	    (descriptor_is_conforming(code) ? dpl > rpl : dpl != rpl))
		return raise_selector(cpu, selector);
	return finish_check(cpu, selector, rpl, transfer);
}

bool transfer_check_rip(struct cpu *cpu, struct transfer *transfer)
{
	if (transfer->wide)
		return address_is_canonical(transfer->rip) || raise_gp(cpu, 0);
	transfer->rip = (uint32_t)transfer->rip;
	return transfer->rip <= descriptor_limit(&transfer->code) || raise_gp(cpu, 0);
}

bool transfer_check_stack(struct cpu *cpu, const struct transfer *transfer, uint16_t selector,
			  struct segment *ret_ss, struct descriptor *ret_descriptor)
{
	if (selector_is_null(selector) && transfer->wide && transfer->cpl < 3 &&
	    (selector & SELECTOR_RPL) == transfer->cpl) {
		*ret_descriptor = (struct descriptor){.selector = selector};
		*ret_ss = segment_null(selector);
		return true;
	}
	if (!segment_check_stack(cpu, selector, transfer->cpl, VECTOR_GP, false, ret_descriptor))
		return false;
	*ret_ss = segment_from_descriptor(ret_descriptor, selector);
	return true;
}

void transfer_enter(struct cpu *cpu, const struct transfer *transfer)
{
	cpu->seg[SEG_CS] = segment_from_descriptor(&transfer->code, transfer->selector);
	cpu->cpl = transfer->cpl;
	cpu->next_rip = transfer->rip;
}

bool transfer_check_real(struct cpu *cpu, uint64_t rip)
{
	return rip <= cpu->seg[SEG_CS].limit || raise_gp(cpu, 0);
}

void transfer_enter_real(struct cpu *cpu, uint16_t selector, uint64_t rip)
{
	cpu->seg[SEG_CS].selector = selector;
	cpu->seg[SEG_CS].base = (uint32_t)selector << 4;
	cpu->next_rip = rip;
}
