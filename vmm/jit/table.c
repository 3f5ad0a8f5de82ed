/*
 * Where translated code finds translations, of code and of addresses: by address space and
 * privilege.
 */
#include <string.h>

#include "vmm/jit/engine.h"
#include "vmm/mmu/walk.h"

/*
 * What is known of a kernel's code serves all spaces whose top-level tables have the same last
 * entry, accessed, and the same control bits: all that lies below is found through the same tables,
 * which are tracked.
 */
#define SHARED_TABLE (RUNTIME_TABLES - 1)

/* Each space has two tables: of its users, and of its kernel where that is its own. */
static unsigned table_of(unsigned space, bool kernel)
{
	return 2 * space + kernel;
}

void jit_drop_low(struct jit_engine *jit, unsigned space)
{
	extents_drop_space(jit->extents, space);
	translator_drop_space(jit->translator, table_of(space, false));
	translator_drop_space(jit->translator, table_of(space, true));
}

void jit_drop_space(struct jit_engine *jit, unsigned space)
{
	jit_drop_low(jit, space);
	translator_drop_space(jit->translator, SHARED_TABLE);
}

void jit_drop_page(struct jit_engine *jit, unsigned space, uint64_t linear)
{
	extents_drop_page(jit->extents, space, linear);
	translator_drop_page(jit->translator, table_of(space, false), linear);
	translator_drop_page(jit->translator, table_of(space, true), linear);
	if (linear >= MMU_HIGH)
		translator_drop_page(jit->translator, SHARED_TABLE, linear);
}

static bool same_kernel(const struct shared_kernel *a, const struct shared_kernel *b)
{
	return a->entry == b->entry && a->cr0 == b->cr0 && a->cr4 == b->cr4 && a->efer == b->efer;
}

/* The top-level table; NULL when it is not in RAM. */
static const uint8_t *find_top(struct jit_engine *jit, const struct cpu *cpu)
{
	uint64_t gpa = cpu->cr3 & PAGE_MASK & ((UINT64_C(1) << GPA_BITS) - 1);

	if (!jit->top || jit->top_gpa != gpa) {
		jit->top = memory_page(cpu->machine->memory, gpa);
		jit->top_gpa = gpa;
	}
	return jit->top;
}

/* The kernel whose code at MMU_HIGH and above is next. False: it is not to be shared. */
static bool find_kernel(struct jit_engine *jit, const struct cpu *cpu,
			struct shared_kernel *ret_kernel)
{
	const uint8_t *top = find_top(jit, cpu);
	uint64_t entry;

	if (!top || cpu->rip < MMU_HIGH)
		return false;
	memcpy(&entry, top + PAGE_BYTES - sizeof(entry), sizeof(entry));
	*ret_kernel =
		(struct shared_kernel){entry & ~(uint64_t)PTE_D, cpu->cr0, cpu->cr4, cpu->efer};
	return (entry & (PTE_P | PTE_A)) == (PTE_P | PTE_A);
}

/* Whose page tables below the top one are the same share what is known of them. */
static void select_codes(struct jit_engine *jit, const struct cpu *cpu)
{
	unsigned space = mmu_selected_space(jit->engine.machine->mmu);
	struct shared_kernel kernel;

	if (cpu->cpl != 0 || !find_kernel(jit, cpu, &kernel)) {
		translator_select_space(jit->translator, table_of(space, cpu->cpl == 0));
		return;
	}
	if (!same_kernel(&kernel, &jit->kernel)) {
		translator_drop_space(jit->translator, SHARED_TABLE);
		jit->kernel = kernel;
	}
	translator_select_shared(jit->translator, SHARED_TABLE, MMU_HIGH);
}

/* What translated code finds its translations in. */
static void set_tlbs(struct jit_context *context, const struct cpu *cpu)
{
	struct mmu *mmu = cpu->machine->mmu;
	const struct tlb *plain = mmu_system_tlb(mmu);
	const struct tlb *lifted = cpu->cr4 & CR4_SMAP ? mmu_lifted_tlb(mmu) : plain;

	context->tlb_read = (uint64_t)(uintptr_t)cpu->tlb->read;
	context->tlb_write = (uint64_t)(uintptr_t)cpu->tlb->write;
	context->plain_read = (uint64_t)(uintptr_t)plain->read;
	context->plain_write = (uint64_t)(uintptr_t)plain->write;
	context->lifted_read = (uint64_t)(uintptr_t)lifted->read;
	context->lifted_write = (uint64_t)(uintptr_t)lifted->write;
}

void jit_select_table(struct jit_engine *jit, const struct cpu *cpu)
{
	select_codes(jit, cpu);
	jit->context->space = (uint64_t)(uintptr_t)translator_selected_space(jit->translator);
	set_tlbs(jit->context, cpu);
	jit->context->extents = (uint64_t)(uintptr_t)extents_of(
		jit->extents, mmu_selected_space(cpu->machine->mmu));
}
