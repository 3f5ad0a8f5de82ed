#include "tests/kvm/guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/kvm/layout.h"
#include "vmm/mmu/walk.h"

enum { PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, PT = 0x10000 };

#define TABLE_BITS (PTE_P | PTE_W | PTE_U | PTE_A)
#define PAGE_BITS  (TABLE_BITS | PTE_D)

static void store(struct kvm_guest *guest, uint64_t gpa, uint64_t value)
{
	memory_write(guest->machine->memory, gpa, &value, sizeof(value));
}

uint64_t guest_entry_gpa(unsigned page)
{
	return PT + 8 * (uint64_t)page;
}

void guest_set_entry(struct kvm_guest *guest, unsigned page, uint64_t entry)
{
	store(guest, guest_entry_gpa(page), entry);
}

static void build_tables(struct kvm_guest *guest)
{
	store(guest, PML4, PDPT | TABLE_BITS);
	store(guest, PDPT, PD | TABLE_BITS);
	for (unsigned i = 0; i < GUEST_PAGES / 512; i++)
		store(guest, PD + 8 * (2 + i), (PT + i * PAGE_BYTES) | TABLE_BITS);
	for (unsigned i = 0; i < GUEST_PAGES; i++)
		guest_set_entry(guest, i, (GUEST_GPA + i * (uint64_t)PAGE_BYTES) | PAGE_BITS);
}

static void load_state(struct kvm_guest *guest)
{
	struct cpu *cpu = machine_current(guest->machine);

	guest->cpu = cpu;
	cpu->cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_NE | CR0_MP | CR0_ET;
	cpu->cr3 = PML4;
	cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	cpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	cpu->seg[SEG_CS] = (struct segment){0, UINT32_MAX, 0xa0fb, 0x1b};
	cpu->seg[SEG_DS] = cpu->seg[SEG_ES] = cpu->seg[SEG_SS] =
		(struct segment){0, UINT32_MAX, 0xc0f3, 0x23};
	cpu->cpl = 3;
	cpu->activity = ACTIVITY_RUNNING;
	cpu_set_rflags(cpu, FLAG_FIXED | FLAG_IF);
}

static void create_runner(struct kvm_guest *guest)
{
	struct kvm_vm_error error;

	guest->runtime = mmap(NULL, RUNTIME_FILE_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (guest->runtime == MAP_FAILED) {
		printf("Bail out! no memory\n");
		exit(1);
	}
	if (kvm_runner_init(&guest->runner, guest->machine, guest->runtime, &error)) {
		printf("1..0 # SKIP %s\n", error.text);
		exit(0);
	}
}

void guest_create(struct kvm_guest *guest)
{
	static const struct machine_config config = {
		.n_vcpus = 1,
		.cpu_model = "x86-64-v2",
		.regions = {{.kind = REGION_RAM, .gpa = 0, .bytes = GUEST_RAM}},
		.n_regions = 1,
	};

	*guest = (struct kvm_guest){0};
	if (machine_create(&config, &guest->machine)) {
		printf("Bail out! no machine\n");
		exit(1);
	}
	build_tables(guest);
	load_state(guest);
	create_runner(guest);
}

void guest_destroy(struct kvm_guest *guest)
{
	kvm_runner_finish(&guest->runner);
	munmap(guest->runtime, RUNTIME_FILE_BYTES);
	machine_destroy(guest->machine);
}

uint64_t guest_word(struct kvm_guest *guest, uint64_t linear)
{
	uint64_t word;

	memory_read(guest->machine->memory, linear - GUEST_LINEAR + GUEST_GPA, &word, sizeof(word));
	return word;
}

uint64_t guest_place(struct kvm_guest *guest, const uint8_t *begin, const uint8_t *end)
{
	memcpy(guest->runtime + RUNTIME_CODE, begin, (size_t)(end - begin));
	return RUNTIME_BASE + RUNTIME_CODE;
}

uint64_t *guest_arguments(struct kvm_guest *guest)
{
	return (uint64_t *)guest->runtime;
}

enum kvm_runner_exit guest_run(struct kvm_guest *guest, uint64_t entry)
{
	struct kvm_runner *runner = &guest->runner;
	enum kvm_runner_exit exit;

	kvm_runner_enter(runner, entry, &guest->cpu->fx);
	do
		exit = kvm_runner_run(runner, mmu_selected_space(guest->machine->mmu));
	while (exit == KVM_RUNNER_FAULT && runner->fault.vector == VECTOR_PF &&
	       kvm_tables_fill(runner->tables, guest->cpu, runner->fault.address - KVM_GUEST_BIAS,
			       runner->fault.error & PF_WRITE));
	return exit;
}
