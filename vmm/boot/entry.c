#include "vmm/boot/entry.h"

#include <endian.h>
#include <errno.h>

#include "vmm/devices/layout.h"

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define GDT_ENTRIES   4

/* Flat descriptors (SDM 3A 3.4.5): base 0, limit 4 GiB, accessed. */
#define DESCRIPTOR_CODE64 UINT64_C(0x00af9b000000ffff)
#define DESCRIPTOR_CODE32 UINT64_C(0x00cf9b000000ffff)
#define DESCRIPTOR_DATA   UINT64_C(0x00cf93000000ffff)

#define ATTR_CODE                                                                                  \
	(SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_RW | SEG_ATTR_ACCESSED | SEG_ATTR_G)
#define ATTR_DATA                                                                                  \
	(SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW | SEG_ATTR_ACCESSED | SEG_ATTR_G | SEG_ATTR_DB)
#define ATTR_TSS  (SEG_ATTR_P | 0xb) /* busy 32- or 64-bit TSS */
#define TSS_LIMIT 0x67

/* Page table entries (SDM 3A 4.5.4). */
#define ENTRY_PRESENT  UINT64_C(0x01)
#define ENTRY_WRITABLE UINT64_C(0x02)
#define ENTRY_LARGE    UINT64_C(0x80)
#define LARGE_BYTES    UINT64_C(0x200000)
#define TABLE_ENTRIES  512u
#define MAPPED_GIB     4

/* MTRRs (SDM 3A 11.11.2). */
#define MTRR_ENABLE  UINT64_C(0x800) /* in DEF_TYPE, and the valid bit of a mask */
#define MTRR_TYPE_UC UINT64_C(0)
#define MTRR_TYPE_WB UINT64_C(6)

static int put_gdt(struct loader *loader, uint64_t code)
{
	struct cpu *cpu = &loader->machine->vcpu[0];
	uint64_t gdt[GDT_ENTRIES] = {0}, gpa;
	int err;

	gdt[SELECTOR_CODE / 8] = htole64(code);
	gdt[SELECTOR_DATA / 8] = htole64(DESCRIPTOR_DATA);
	err = loader_put(loader, gdt, sizeof(gdt), 16, &gpa);
	if (err)
		return err;
	cpu->gdtr = (struct table_register){.base = gpa, .limit = sizeof(gdt) - 1};
	return 0;
}

static void set_segments(struct cpu *cpu, uint32_t code_attr)
{
	static const uint8_t data[] = {SEG_DS, SEG_ES, SEG_SS, SEG_FS, SEG_GS};

	cpu->seg[SEG_CS] =
		(struct segment){.limit = UINT32_MAX, .attr = code_attr, .selector = SELECTOR_CODE};
	for (unsigned i = 0; i < sizeof(data); i++)
		cpu->seg[data[i]] = (struct segment){
			.limit = UINT32_MAX, .attr = ATTR_DATA, .selector = SELECTOR_DATA};
	cpu->seg[SEG_TR] = (struct segment){.limit = TSS_LIMIT, .attr = ATTR_TSS};
	cpu->cpl = 0;
}

/* PML4, one PDPT, one page directory a GiB: large pages that map addresses to themselves. */
static int put_page_tables(struct loader *loader, uint64_t *ret_cr3)
{
	uint64_t table[TABLE_ENTRIES], pdpt[TABLE_ENTRIES] = {0}, gpa;
	int err;

	for (unsigned gib = 0; gib < MAPPED_GIB; gib++) {
		for (unsigned i = 0; i < TABLE_ENTRIES; i++)
			table[i] = htole64(((uint64_t)gib * TABLE_ENTRIES + i) * LARGE_BYTES |
					   ENTRY_LARGE | ENTRY_WRITABLE | ENTRY_PRESENT);
		err = loader_put(loader, table, sizeof(table), PAGE_BYTES, &gpa);
		if (err)
			return err;
		pdpt[gib] = htole64(gpa | ENTRY_WRITABLE | ENTRY_PRESENT);
	}
	err = loader_put(loader, pdpt, sizeof(pdpt), PAGE_BYTES, &gpa);
	if (err)
		return err;
	for (unsigned i = 0; i < TABLE_ENTRIES; i++)
		table[i] = 0;
	table[0] = htole64(gpa | ENTRY_WRITABLE | ENTRY_PRESENT);
	return loader_put(loader, table, sizeof(table), PAGE_BYTES, ret_cr3);
}

int entry_64(struct loader *loader, uint64_t rip, uint64_t rsi)
{
	struct cpu *cpu = &loader->machine->vcpu[0];
	uint64_t cr3;

	if (!memory_is_ram(loader->machine->memory, rip, 1))
		return loader_fail(loader, -EINVAL, "the kernel's entry point lies outside RAM");
	int err = put_page_tables(loader, &cr3);
	if (err == 0)
		err = put_gdt(loader, DESCRIPTOR_CODE64);
	if (err)
		return err;
	set_segments(cpu, ATTR_CODE | SEG_ATTR_L);
	cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	cpu->cr3 = cr3;
	cpu->cr4 = CR4_PAE;
	cpu->efer = EFER_LME | EFER_LMA;
	cpu->rip = rip;
	cpu->gpr[RSI] = rsi;
	cpu_update_mode(cpu);
	return 0;
}

int entry_32(struct loader *loader, uint32_t eip, uint32_t eax, uint32_t ebx)
{
	struct cpu *cpu = &loader->machine->vcpu[0];
	int err = put_gdt(loader, DESCRIPTOR_CODE32);

	if (err)
		return err;
	set_segments(cpu, ATTR_CODE | SEG_ATTR_DB);
	cpu->cr0 = CR0_PE | CR0_ET;
	cpu->cr4 = 0;
	cpu->rip = eip;
	cpu->gpr[RAX] = eax;
	cpu->gpr[RBX] = ebx;
	cpu_update_mode(cpu);
	return 0;
}

void entry_set_mtrrs(struct machine *machine)
{
	uint64_t hole_bytes = LAYOUT_ABOVE_4G_GPA - LAYOUT_RAM_HOLE_GPA;
	uint64_t address_mask = (UINT64_C(1) << GPA_BITS) - 1;

	for (uint32_t i = 0; i < machine->config.n_vcpus; i++) {
		struct cpu *cpu = &machine->vcpu[i];

		cpu->mtrr_def_type = MTRR_ENABLE | MTRR_TYPE_WB;
		cpu->mtrr_base[0] = LAYOUT_RAM_HOLE_GPA | MTRR_TYPE_UC;
		cpu->mtrr_mask[0] = (address_mask & ~(hole_bytes - 1)) | MTRR_ENABLE;
	}
}
