/* What is read past the cached translations. */
#include "vmm/mmu/mmu.h"

#include <string.h>

#include "vmm/machine.h"
#include "vmm/mmu/walk.h"

bool mmu_peek(const struct cpu *cpu, uint64_t linear, uint64_t *ret_gpa)
{
	static const struct walk_access read = {.kind = ACCESS_READ};
	struct walk walk;
	uint32_t error;

	/* A refused access has walked all the way too; only missing entries have no address. */
	if (!walk_tables(cpu, walk_linear(cpu, linear), &read, &walk, &error))
		return false;
	*ret_gpa = walk.gpa;
	return true;
}

bool mmu_peek_read(const struct cpu *cpu, uint64_t linear, void *buffer, size_t n)
{
	const struct memory *memory = cpu->machine->memory;
	uint8_t *out = buffer;

	while (n) {
		uint64_t gpa;
		size_t here = PAGE_BYTES - linear % PAGE_BYTES;
		if (here > n)
			here = n;
		if (!mmu_peek(cpu, linear, &gpa) || !memory_page(memory, gpa))
			return false;
		memory_read(memory, gpa, out, here);
		out += here;
		linear += here;
		n -= here;
	}
	return true;
}

bool mmu_load_pdptes(struct cpu *cpu, uint64_t cr3)
{
	const uint8_t *page = memory_page(cpu->machine->memory, cr3 & UINT64_C(0xffffffe0));
	uint64_t pdpte[4] = {0}; /* entries outside RAM and ROM read as 0 */
	uint64_t reserved = ~(((UINT64_C(1) << GPA_BITS) - 1) & PAGE_MASK) & ~UINT64_C(0xe19);

	if (page)
		memcpy(pdpte, page + (cr3 & UINT64_C(0xfe0)), sizeof(pdpte));
	for (unsigned i = 0; i < 4; i++)
		if ((pdpte[i] & PTE_P) && (pdpte[i] & reserved))
			return false;
	memcpy(cpu->pdpte, pdpte, sizeof(pdpte));
	return true;
}
