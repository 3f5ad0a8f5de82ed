/* Segment and gate descriptors as they lie in the GDT, an LDT or the IDT (SDM 3A 3.4.5, 5.8.3). */
#ifndef REPRISE_VMM_CPU_SYSTEM_DESCRIPTOR_H
#define REPRISE_VMM_CPU_SYSTEM_DESCRIPTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/exec.h"

/* System descriptor types (SDM 3A table 3-2). */
enum system_type {
	TYPE_TSS16_AVAILABLE = 1,
	TYPE_LDT = 2,
	TYPE_TSS16_BUSY = 3,
	TYPE_CALL_GATE16 = 4,
	TYPE_TASK_GATE = 5,
	TYPE_INTERRUPT_GATE16 = 6,
	TYPE_TRAP_GATE16 = 7,
	TYPE_TSS32_AVAILABLE = 9,
	TYPE_TSS32_BUSY = 11,
	TYPE_CALL_GATE32 = 12, /* in long mode: 64-bit, 16 bytes; so are the TSS and LDT types */
	TYPE_INTERRUPT_GATE32 = 14,
	TYPE_TRAP_GATE32 = 15,
};

#define TYPE_BUSY 2u

/* Present code or data segments with the accessed bit set; DPL is added. */
#define ATTR_CODE64 (SEG_ATTR_G | SEG_ATTR_L | 0x9bu)
#define ATTR_CODE32 (SEG_ATTR_G | SEG_ATTR_DB | 0x9bu)
#define ATTR_DATA32 (SEG_ATTR_G | SEG_ATTR_DB | 0x93u)
#define ATTR_V8086  0xf3u
#define ATTR_DPL3   SEG_ATTR_DPL

#define SELECTOR_RPL 3u
#define SELECTOR_TI  4u

struct descriptor {
	uint64_t linear; /* where it lies */
	uint64_t low;
	uint64_t high; /* the second half of a 16-byte descriptor, else 0 */
	uint16_t selector;
};

static inline bool selector_is_null(uint16_t selector)
{
	return (selector & ~SELECTOR_RPL) == 0;
}

/* Error code of a fault that concerns a selector (SDM 3A 6.13). */
static inline uint32_t selector_error(uint16_t selector, bool external)
{
	return (selector & ~SELECTOR_RPL) | (external ? 1 : 0);
}

static inline uint32_t descriptor_attr(const struct descriptor *descriptor)
{
	return (uint32_t)(descriptor->low >> 40) & 0xf0ff;
}

static inline unsigned descriptor_type(const struct descriptor *descriptor)
{
	return descriptor_attr(descriptor) & SEG_ATTR_TYPE;
}

static inline unsigned descriptor_dpl(const struct descriptor *descriptor)
{
	return (descriptor_attr(descriptor) & SEG_ATTR_DPL) >> SEG_ATTR_DPL_SHIFT;
}

static inline bool descriptor_present(const struct descriptor *descriptor)
{
	return (descriptor_attr(descriptor) & SEG_ATTR_P) != 0;
}

/* A code or data segment, not a system segment or gate. */
static inline bool descriptor_is_segment(const struct descriptor *descriptor)
{
	return (descriptor_attr(descriptor) & SEG_ATTR_S) != 0;
}

static inline bool descriptor_is_code(const struct descriptor *descriptor)
{
	return (~descriptor_attr(descriptor) & (SEG_ATTR_S | SEG_ATTR_CODE)) == 0;
}

static inline bool descriptor_is_conforming(const struct descriptor *descriptor)
{
	return (descriptor_attr(descriptor) & SEG_ATTR_DC) != 0;
}

/* 32 bits, or 64 in a 16-byte system descriptor. */
uint64_t descriptor_base(const struct descriptor *descriptor);

/* In bytes, granularity applied. */
uint32_t descriptor_limit(const struct descriptor *descriptor);

/* Target of a gate. */
static inline uint16_t gate_selector(const struct descriptor *gate)
{
	return (uint16_t)(gate->low >> 16);
}

/* Entry point of a gate; 16-bit gates have 16 bits, 64-bit ones 64. */
uint64_t gate_offset(const struct descriptor *gate);

/* True when the whole descriptor lies within its table; *ret_linear is its address then. */
bool descriptor_in_table(const struct cpu *cpu, uint16_t selector, uint32_t bytes,
			 uint64_t *ret_linear);

/*
 * Reads the 8 bytes of a descriptor. Raises vector(selector) when it lies outside its table. Does
 * not look at the selector being null.
 */
bool descriptor_read(struct cpu *cpu, uint16_t selector, enum vector vector, bool external,
		     struct descriptor *ret_descriptor);

/*
 * Reads the second half of a 16-byte descriptor in long mode; in other modes does nothing. Raises
 * vector(selector) when it lies outside the table or its type field is not 0.
 */
bool descriptor_read_upper(struct cpu *cpu, enum vector vector, bool external,
			   struct descriptor *descriptor);

/* Makes the checks of setting the accessed bit; nothing to do when it is set. */
bool descriptor_probe_accessed(struct cpu *cpu, const struct descriptor *descriptor);

/* Sets the accessed bit in memory when it is clear. */
bool descriptor_set_accessed(struct cpu *cpu, const struct descriptor *descriptor);

/* Writes the type field of a system descriptor in memory (TSS busy and available). */
bool descriptor_set_type(struct cpu *cpu, const struct descriptor *descriptor, unsigned type);

/* The register contents a descriptor gives, accessed bit set. */
struct segment segment_from_descriptor(const struct descriptor *descriptor, uint16_t selector);

/* A segment register holding a null selector. */
struct segment segment_null(uint16_t selector);

/* A segment register as virtual-8086 mode has it. */
struct segment segment_v8086(uint16_t selector);

#endif
