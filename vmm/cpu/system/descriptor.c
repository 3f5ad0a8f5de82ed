/* Reading descriptors and the few bits the processor writes into them. */
#include "vmm/cpu/system/descriptor.h"

#define DESCRIPTOR_BYTES 8
#define ATTR_BYTE        5 /* offset of P, DPL, S and type */

/* Linear addresses have 32 bits outside long mode. */
static uint64_t table_linear(const struct cpu *cpu, uint64_t linear)
{
	return cpu_long_mode(cpu) ? linear : (uint32_t)linear;
}

uint64_t descriptor_base(const struct descriptor *descriptor)
{
	uint64_t low = descriptor->low;

	return ((low >> 16) & 0xffffff) | ((low >> 32) & 0xff000000) | descriptor->high << 32;
}

uint32_t descriptor_limit(const struct descriptor *descriptor)
{
	uint32_t limit =
		(uint32_t)((descriptor->low & 0xffff) | ((descriptor->low >> 32) & 0xf0000));

	if (descriptor_attr(descriptor) & SEG_ATTR_G)
		limit = limit << 12 | 0xfff;
	return limit;
}

uint64_t gate_offset(const struct descriptor *gate)
{
	uint64_t offset = gate->low & 0xffff;

	if (descriptor_type(gate) & 8) /* 32- and 64-bit gates */
		offset |= ((gate->low >> 32) & 0xffff0000) | gate->high << 32;
	return offset;
}

bool descriptor_in_table(const struct cpu *cpu, uint16_t selector, uint32_t bytes,
			 uint64_t *ret_linear)
{
	uint32_t offset = selector & ~7u;
	const struct segment *ldtr = &cpu->seg[SEG_LDTR];
	uint64_t base = cpu->gdtr.base;
	uint32_t limit = cpu->gdtr.limit;

	if (selector & SELECTOR_TI) {
		if (ldtr->attr & SEG_ATTR_NULL)
			return false;
		base = ldtr->base;
		limit = ldtr->limit;
	}
	if (offset + bytes - 1 > limit)
		return false;
	*ret_linear = table_linear(cpu, base + offset);
	return true;
}

bool descriptor_read(struct cpu *cpu, uint16_t selector, enum vector vector, bool external,
		     struct descriptor *ret_descriptor)
{
	uint64_t linear;

	if (!descriptor_in_table(cpu, selector, DESCRIPTOR_BYTES, &linear))
		return raise_fault_error(cpu, vector, selector_error(selector, external));
	ret_descriptor->linear = linear;
	ret_descriptor->high = 0;
	ret_descriptor->selector = selector;
	return linear_read(cpu, linear, &ret_descriptor->low, DESCRIPTOR_BYTES, PRIVILEGE_SYSTEM);
}

bool descriptor_read_upper(struct cpu *cpu, enum vector vector, bool external,
			   struct descriptor *descriptor)
{
	uint64_t linear;

	if (!cpu_long_mode(cpu))
		return true;
	if (!descriptor_in_table(cpu, descriptor->selector, 2 * DESCRIPTOR_BYTES, &linear))
		return raise_fault_error(cpu, vector,
					 selector_error(descriptor->selector, external));
	if (!linear_read(cpu, linear + DESCRIPTOR_BYTES, &descriptor->high, DESCRIPTOR_BYTES,
			 PRIVILEGE_SYSTEM))
		return false;
	if ((descriptor->high >> 40) & 0x1f)
		return raise_fault_error(cpu, vector,
					 selector_error(descriptor->selector, external));
	return true;
}

static bool accessed_is_set(const struct descriptor *descriptor)
{
	return !descriptor_is_segment(descriptor) ||
	       (descriptor_attr(descriptor) & SEG_ATTR_ACCESSED);
}

bool descriptor_probe_accessed(struct cpu *cpu, const struct descriptor *descriptor)
{
	return accessed_is_set(descriptor) ||
	       linear_probe(cpu, table_linear(cpu, descriptor->linear + ATTR_BYTE), 1, ACCESS_WRITE,
			    PRIVILEGE_SYSTEM);
}

static bool write_attr_byte(struct cpu *cpu, const struct descriptor *descriptor, uint8_t byte)
{
	return linear_write(cpu, table_linear(cpu, descriptor->linear + ATTR_BYTE), &byte, 1,
			    PRIVILEGE_SYSTEM);
}

bool descriptor_set_accessed(struct cpu *cpu, const struct descriptor *descriptor)
{
	return accessed_is_set(descriptor) ||
	       write_attr_byte(cpu, descriptor,
			       (uint8_t)(descriptor_attr(descriptor) | SEG_ATTR_ACCESSED));
}

bool descriptor_set_type(struct cpu *cpu, const struct descriptor *descriptor, unsigned type)
{
	uint32_t attr = (descriptor_attr(descriptor) & ~SEG_ATTR_TYPE) | type;

	return write_attr_byte(cpu, descriptor, (uint8_t)attr);
}

struct segment segment_from_descriptor(const struct descriptor *descriptor, uint16_t selector)
{
	struct segment segment = {
		.base = descriptor_base(descriptor),
		.limit = descriptor_limit(descriptor),
		.attr = descriptor_attr(descriptor),
		.selector = selector,
	};

	if (segment.attr & SEG_ATTR_S)
		segment.attr |= SEG_ATTR_ACCESSED;
	return segment;
}

struct segment segment_null(uint16_t selector)
{
	/* The DPL follows the RPL: a null SS of 64-bit mode keeps saying which CPL it serves. */
	return (struct segment){
		.attr = SEG_ATTR_NULL | (selector & SELECTOR_RPL) << SEG_ATTR_DPL_SHIFT,
		.selector = selector,
	};
}

struct segment segment_v8086(uint16_t selector)
{
	return (struct segment){
		.base = (uint64_t)selector << 4,
		.limit = 0xffff,
		.attr = ATTR_V8086,
		.selector = selector,
	};
}
