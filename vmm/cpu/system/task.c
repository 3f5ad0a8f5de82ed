/*
 * Task switches between 16- and 32-bit task-state segments: the old state is saved, the new one
 * loaded from memory read beforehand, then its segments are checked in the new task's context.
 */
#include <string.h>

#include "vmm/cpu/system/far_stack.h"
#include "vmm/cpu/system/segment.h"
#include "vmm/cpu/system/system.h"
#include "vmm/cpu/system/task.h"
#include "vmm/mmu/mmu.h"

/* Layout of a TSS (SDM 3A figures 7-2 and 7-10): offsets of the dynamic fields, in order. */
struct tss_layout {
	uint16_t bytes;       /* whole TSS, without the I/O bitmap */
	uint8_t item;         /* bytes of rip, flags, and a general register */
	uint8_t segment_step; /* bytes from one selector to the next */
	uint8_t rip;          /* then flags, then EAX to EDI */
	uint8_t segments;     /* ES CS SS DS, in 32-bit TSS also FS GS */
	uint8_t n_segments;
	uint8_t ldt;
};

static const struct tss_layout tss16 = {
	.bytes = 0x2c,
	.item = 2,
	.segment_step = 2,
	.rip = 0x0e,
	.segments = 0x22,
	.n_segments = 4,
	.ldt = 0x2a,
};

static const struct tss_layout tss32 = {
	.bytes = 0x68,
	.item = 4,
	.segment_step = 4,
	.rip = 0x20,
	.segments = 0x48,
	.n_segments = 6,
	.ldt = 0x60,
};

#define TSS32_CR3     0x1c
#define TSS32_TRAP    0x64
#define TSS_MAX_BYTES 0x68
#define N_ITEMS       10 /* rip, flags, eight registers */

/* A task as its TSS holds it. */
struct task {
	uint32_t item[N_ITEMS];
	uint16_t selector[6];
	uint16_t ldt;
	uint32_t cr3;
	bool has_cr3;
	bool trap;
};

static const struct tss_layout *layout_of(unsigned type)
{
	return type & 8 ? &tss32 : &tss16;
}

static uint64_t tss_linear(uint64_t base, uint32_t offset)
{
	return (uint32_t)(base + offset);
}

/* ---- finding the new TSS ---- */

static bool check_found(struct cpu *cpu, struct task_switch *how, enum vector bad, bool busy)
{
	uint32_t error = selector_error(how->selector, how->external);

	if (selector_is_null(how->selector) || (how->selector & SELECTOR_TI))
		return raise_fault_error(cpu, bad, error);
	if (!descriptor_read(cpu, how->selector, bad, how->external, &how->tss))
		return false;
	unsigned type = descriptor_type(&how->tss);
	unsigned wanted = busy ? TYPE_TSS16_BUSY : TYPE_TSS16_AVAILABLE;
	if (descriptor_is_segment(&how->tss) || (type & ~8u) != wanted)
		return raise_fault_error(cpu, bad, error);
	return descriptor_present(&how->tss) || raise_fault_error(cpu, VECTOR_NP, error);
}

bool task_find(struct cpu *cpu, struct task_switch *how)
{
	return check_found(cpu, how, VECTOR_GP, false);
}

bool task_find_link(struct cpu *cpu, struct task_switch *how)
{
	if (!linear_read(cpu, tss_linear(cpu->seg[SEG_TR].base, 0), &how->selector, 2,
			 PRIVILEGE_SYSTEM))
		return false;
	return check_found(cpu, how, VECTOR_TS, true);
}

/* ---- reading the new state, writing the old ---- */

static bool read_task(struct cpu *cpu, const struct task_switch *how, struct task *ret_task)
{
	const struct tss_layout *layout = layout_of(descriptor_type(&how->tss));
	uint8_t bytes[TSS_MAX_BYTES];
	struct task task = {.has_cr3 = layout == &tss32};

	if (descriptor_limit(&how->tss) < layout->bytes - 1u)
		return raise_fault_error(cpu, VECTOR_TS,
					 selector_error(how->selector, how->external));
	if (!linear_read(cpu, tss_linear(descriptor_base(&how->tss), 0), bytes, layout->bytes,
			 PRIVILEGE_SYSTEM))
		return false;
	for (unsigned i = 0; i < N_ITEMS; i++)
		memcpy(&task.item[i], bytes + layout->rip + i * layout->item, layout->item);
	for (unsigned i = 0; i < layout->n_segments; i++)
		memcpy(&task.selector[i], bytes + layout->segments + i * layout->segment_step, 2);
	memcpy(&task.ldt, bytes + layout->ldt, 2);
	if (task.has_cr3) {
		memcpy(&task.cr3, bytes + TSS32_CR3, 4);
		task.trap = bytes[TSS32_TRAP] & 1;
	}
	*ret_task = task;
	return true;
}

/* The old task's dynamic fields as they are to lie from rip on; returns their number of bytes. */
static uint32_t encode_old(const struct cpu *cpu, const struct task_switch *how,
			   const struct tss_layout *layout, uint8_t *bytes)
{
	uint32_t start = layout->segments - layout->rip;

	memset(bytes, 0, TSS_MAX_BYTES);
	memcpy(bytes, &how->rip, layout->item);
	memcpy(bytes + layout->item, &how->rflags, layout->item);
	for (unsigned i = 0; i < 8; i++)
		memcpy(bytes + (2 + i) * layout->item, &cpu->gpr[i], layout->item);
	for (unsigned i = 0; i < layout->n_segments; i++)
		memcpy(bytes + start + i * layout->segment_step, &cpu->seg[i].selector, 2);
	return start + layout->n_segments * layout->segment_step;
}

/* The three writes of a switch: old state, busy bits, back link. probe: only checks them. */
static bool write_switch(struct cpu *cpu, const struct task_switch *how,
			 const struct descriptor *old_tss, bool probe)
{
	const struct segment *tr = &cpu->seg[SEG_TR];
	const struct tss_layout *layout = layout_of(tr->attr);
	uint8_t bytes[TSS_MAX_BYTES];
	uint32_t n = encode_old(cpu, how, layout, bytes);
	uint64_t state = tss_linear(tr->base, layout->rip);
	uint64_t link = tss_linear(descriptor_base(&how->tss), 0);

	if (probe)
		return linear_probe(cpu, state, n, ACCESS_WRITE, PRIVILEGE_SYSTEM) &&
		       linear_probe(cpu, old_tss->linear, 8, ACCESS_WRITE, PRIVILEGE_SYSTEM) &&
		       linear_probe(cpu, how->tss.linear, 8, ACCESS_WRITE, PRIVILEGE_SYSTEM) &&
		       (how->reason != TASK_CALL ||
			linear_probe(cpu, link, 2, ACCESS_WRITE, PRIVILEGE_SYSTEM));
	if (how->reason != TASK_CALL &&
	    !descriptor_set_type(cpu, old_tss, descriptor_type(old_tss) & ~TYPE_BUSY))
		return false;
	if (!linear_write(cpu, state, bytes, n, PRIVILEGE_SYSTEM))
		return false;
	if (how->reason == TASK_CALL &&
	    !linear_write(cpu, link, &tr->selector, 2, PRIVILEGE_SYSTEM))
		return false;
	return how->reason == TASK_RETURN ||
	       descriptor_set_type(cpu, &how->tss, descriptor_type(&how->tss) | TYPE_BUSY);
}

/* ---- loading the new state ---- */

/* Everything but the contents of segment registers: those hold selectors, still unusable. */
static void load_registers(struct cpu *cpu, const struct task_switch *how, const struct task *task)
{
	uint64_t rflags = task->item[1] & ~(uint64_t)FLAG_RF;

	cpu->seg[SEG_TR] = segment_from_descriptor(&how->tss, how->selector);
	cpu->seg[SEG_TR].attr |= TYPE_BUSY;
	cpu->cr0 |= CR0_TS;
	for (unsigned i = 0; i < 8; i++)
		cpu->gpr[i] = task->item[2 + i];
	for (unsigned i = 0; i < 6; i++)
		cpu->seg[i] = segment_null(task->selector[i]);
	cpu->seg[SEG_LDTR] = segment_null(task->ldt);
	cpu->rip = task->item[0];
	cpu->next_rip = task->item[0];
	cpu->dr7 &= ~UINT64_C(0x155); /* local breakpoints end with the task (SDM 3B 17.2.4) */
	cpu->shadow = SHADOW_NONE;
	cpu->cpl = rflags & FLAG_VM ? 3 : task->selector[SEG_CS] & SELECTOR_RPL;
	if (!task->has_cr3) /* a 16-bit TSS holds FLAGS only */
		rflags &= 0xffff;
	if (how->reason == TASK_CALL)
		rflags |= FLAG_NT;
	cpu_set_rflags(cpu, rflags | (task->item[1] & FLAG_RF));
}

static bool load_cr3(struct cpu *cpu, const struct task *task)
{
	if (!task->has_cr3 || !(cpu->cr0 & CR0_PG))
		return true;
	if ((cpu->cr4 & CR4_PAE) && !mmu_load_pdptes(cpu, task->cr3))
		return raise_gp(cpu, 0);
	cpu->cr3 = task->cr3;
	cpu_update_mode(cpu);
	return true;
}

static bool load_ldt(struct cpu *cpu, uint16_t selector)
{
	struct descriptor descriptor;
	uint32_t error = selector_error(selector, false);

	if (selector_is_null(selector))
		return true;
	if (selector & SELECTOR_TI)
		return raise_fault_error(cpu, VECTOR_TS, error);
	if (!descriptor_read(cpu, selector, VECTOR_TS, false, &descriptor))
		return false;
	if (descriptor_is_segment(&descriptor) || descriptor_type(&descriptor) != TYPE_LDT ||
	    !descriptor_present(&descriptor))
		return raise_fault_error(cpu, VECTOR_TS, error);
	cpu->seg[SEG_LDTR] = segment_from_descriptor(&descriptor, selector);
	return true;
}

static bool load_code(struct cpu *cpu, uint16_t selector)
{
	struct descriptor descriptor;
	uint32_t error = selector_error(selector, false);
	unsigned rpl = selector & SELECTOR_RPL;

	if (selector_is_null(selector))
		return raise_fault_error(cpu, VECTOR_TS, error);
	if (!descriptor_read(cpu, selector, VECTOR_TS, false, &descriptor))
		return false;
	unsigned dpl = descriptor_dpl(&descriptor);
	if (!descriptor_is_code(&descriptor) ||
	    (descriptor_is_conforming(&descriptor) ? dpl > rpl : dpl != rpl))
		return raise_fault_error(cpu, VECTOR_TS, error);
	if (!descriptor_present(&descriptor))
		return raise_fault_error(cpu, VECTOR_NP, error);
	if (!descriptor_set_accessed(cpu, &descriptor))
		return false;
	cpu->seg[SEG_CS] = segment_from_descriptor(&descriptor, selector);
	return true;
}

static bool load_data(struct cpu *cpu, unsigned seg, uint16_t selector)
{
	struct descriptor descriptor;

	if (seg != SEG_SS && selector_is_null(selector))
		return true;
	if (!(seg == SEG_SS
		      ? segment_check_stack(cpu, selector, cpu->cpl, VECTOR_TS, false, &descriptor)
		      : segment_check_data(cpu, selector, cpu->cpl, VECTOR_TS, &descriptor)) ||
	    !descriptor_set_accessed(cpu, &descriptor))
		return false;
	cpu->seg[seg] = segment_from_descriptor(&descriptor, selector);
	return true;
}

static bool load_segments(struct cpu *cpu, const struct task *task)
{
	static const uint8_t data[] = {SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};

	if (cpu_v8086(cpu)) {
		for (unsigned i = 0; i < 6; i++)
			cpu->seg[i] = segment_v8086(task->selector[i]);
		return load_ldt(cpu, task->ldt);
	}
	if (!load_ldt(cpu, task->ldt) || !load_code(cpu, task->selector[SEG_CS]))
		return false;
	for (unsigned i = 0; i < sizeof(data); i++) {
		if (!load_data(cpu, data[i], task->selector[data[i]]))
			return false;
	}
	return true;
}

static bool push_error(struct cpu *cpu, const struct task_switch *how, const struct task *task)
{
	struct far_stack stack;

	far_stack_init_current(&stack, cpu, task->has_cr3 ? 4 : 2);
	stack.error = how->external;
	if (!far_stack_push(cpu, &stack, how->error) || !far_stack_write(cpu, &stack))
		return false;
	cpu->gpr[RSP] = far_stack_pointer(&stack);
	return true;
}

/* What can still fault does so as the new task's first step. */
static bool load_task(struct cpu *cpu, const struct task_switch *how, const struct task *task)
{
	load_registers(cpu, how, task);
	bool loaded = load_cr3(cpu, task) && load_segments(cpu, task);
	cpu_update_mode(cpu);
	if (!loaded)
		return false;
	if (cpu->rip > cpu->seg[SEG_CS].limit)
		return raise_gp(cpu, 0);
	if (how->has_error && !push_error(cpu, how, task))
		return false;
	if (task->trap) {
		cpu->pending_db |= DR6_BT;
		cpu_update_mode(cpu);
	}
	return true;
}

bool task_switch(struct cpu *cpu, const struct task_switch *how)
{
	struct descriptor old_tss;
	struct task task = {0};

	if (!read_task(cpu, how, &task) ||
	    !descriptor_read(cpu, cpu->seg[SEG_TR].selector, VECTOR_TS, how->external, &old_tss) ||
	    !write_switch(cpu, how, &old_tss, true) || !write_switch(cpu, how, &old_tss, false))
		return false;
	return load_task(cpu, how, &task);
}
