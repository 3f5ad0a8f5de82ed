#include "vmm/kvm/system_area.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/cpu/cpu.h"
#include "vmm/mmu/walk.h"
#include "vmm/translate/runtime.h"

extern const uint8_t kvm_user_code[], kvm_stub[];
extern const uint32_t kvm_user_code_bytes, kvm_user_resume_offset, kvm_user_probe_offset,
	kvm_stub_bytes;

#define PTE_OURS (PTE_P | PTE_A | PTE_D)

/* Bytes that one entry maps, by level. */
#define LEVEL_BYTES(level) (UINT64_C(1) << (PAGE_SHIFT + 9 * ((level)-1)))

/*
 * The lower half's tables: all of what is mapped lies in one GiB, so that one table of level 2 has
 * it. Each address space has its own tables of levels 3 and 2, and one of level 1 for its window.
 */
#define LOW_GIB (KVM_SYSTEM_LINEAR / LEVEL_BYTES(3))

_Static_assert(RUNTIME_BASE / LEVEL_BYTES(3) == LOW_GIB, "one GiB holds all");
_Static_assert(RUNTIME_BASE + RUNTIME_LINEAR_BYTES <= KVM_TABLES_LINEAR, "no overlap");
_Static_assert(RUNTIME_SPACES == MMU_SPACES, "a window for each space");

static uint64_t static_tables(const struct kvm_system_config *config)
{
	uint64_t mapped = RUNTIME_CODE + KVM_CODE_BYTES + config->tables_bytes + LEVEL_BYTES(2);

	return 1 + mapped / LEVEL_BYTES(2) + 3 * MMU_SPACES;
}

/* ---- mapping ---- */

struct builder {
	struct kvm_system_area *area;
	uint64_t used;   /* bytes of the area */
	uint64_t common; /* the table of level 2 that those of the spaces are copies of */
};

static uint64_t new_table(struct builder *builder)
{
	uint64_t at = builder->used;

	builder->used += PAGE_BYTES;
	return KVM_SYSTEM_PHYSICAL + at;
}

static uint64_t *table_at(const struct builder *builder, uint64_t physical)
{
	return (uint64_t *)(builder->area->host + (physical - KVM_SYSTEM_PHYSICAL));
}

/* The entry of level 1 for a linear address of the lower half. */
static uint64_t *entry_of(struct builder *builder, uint64_t linear)
{
	uint64_t *entry = &table_at(builder, builder->common)[linear / LEVEL_BYTES(2) % 512];

	if (!*entry)
		*entry = new_table(builder) | PTE_OURS | PTE_W | PTE_U;
	return &table_at(builder, *entry & PAGE_MASK)[linear / PAGE_BYTES % 512];
}

static void map(struct builder *builder, uint64_t linear, uint64_t physical, uint64_t bytes,
		uint64_t bits)
{
	for (uint64_t at = 0; at < bytes; at += PAGE_BYTES)
		*entry_of(builder, linear + at) = (physical + at) | PTE_OURS | bits;
}

static void map_common(struct builder *builder, const struct kvm_system_config *config)
{
	map(builder, RUNTIME_BASE, KVM_RUNTIME_PHYSICAL, RUNTIME_INPUT, PTE_U | PTE_W | PTE_NX);
	map(builder, RUNTIME_BASE + RUNTIME_INPUT, KVM_RUNTIME_PHYSICAL + RUNTIME_INPUT,
	    RUNTIME_CONTEXT - RUNTIME_INPUT, PTE_U | PTE_NX);
	map(builder, RUNTIME_BASE + RUNTIME_CODE, KVM_RUNTIME_PHYSICAL + RUNTIME_CODE,
	    KVM_CODE_BYTES, PTE_U);
	map(builder, KVM_TABLES_LINEAR, KVM_TABLES_PHYSICAL, config->tables_bytes, PTE_W | PTE_NX);
	map(builder, KVM_SYSTEM_LINEAR, KVM_SYSTEM_PHYSICAL, KVM_SYSTEM_BYTES, PTE_W);
	map(builder, KVM_USER_CODE, KVM_SYSTEM_PHYSICAL + (KVM_USER_CODE - KVM_SYSTEM_LINEAR),
	    PAGE_BYTES, PTE_U);
	map(builder, KVM_USER_DATA, KVM_SYSTEM_PHYSICAL + (KVM_USER_DATA - KVM_SYSTEM_LINEAR),
	    PAGE_BYTES, PTE_U | PTE_W | PTE_NX);
	map(builder, KVM_USER_INPUT, KVM_SYSTEM_PHYSICAL + (KVM_USER_INPUT - KVM_SYSTEM_LINEAR),
	    PAGE_BYTES, PTE_U | PTE_NX);
}

static void map_space(struct builder *builder, unsigned space)
{
	uint64_t level3 = new_table(builder), level2 = new_table(builder);
	uint64_t window = new_table(builder);
	uint64_t physical = KVM_RUNTIME_PHYSICAL + RUNTIME_SPACE_FILE(space);

	table_at(builder, level3)[LOW_GIB] = level2 | PTE_OURS | PTE_W | PTE_U;
	memcpy(table_at(builder, level2), table_at(builder, builder->common), PAGE_BYTES);
	table_at(builder, level2)[(RUNTIME_BASE + RUNTIME_SPACE) / LEVEL_BYTES(2) % 512] =
		window | PTE_OURS | PTE_W | PTE_U;
	for (unsigned i = 0; i < 512; i++)
		table_at(builder, window)[i] =
			(physical + i * PAGE_BYTES) | PTE_OURS | PTE_U | PTE_NX;
	builder->area->low_table[space] = level3;
}

/* ---- contents ---- */

/* Ports 0 to 255 and the byte of ones that ends a map. */
#define IO_MAP_BYTES 33
#define TSS_LIMIT    (0x68 + IO_MAP_BYTES - 1)

/* A 64-bit interrupt gate (SDM 3A 6.14.1). */
static void set_gate(const struct kvm_system_area *area, unsigned vector, uint64_t target,
		     unsigned dpl)
{
	uint64_t *gate = (uint64_t *)kvm_system_at(area, KVM_IDT) + 2 * (size_t)vector;

	gate[0] = (target & 0xffff) | KVM_SELECTOR_CODE0 << 16 |
		  (UINT64_C(0x8e00) | dpl << 13) << 32 | (target >> 16 & 0xffff) << 48;
	gate[1] = target >> 32;
}

static void fill_descriptors(const struct kvm_system_area *area)
{
	uint64_t *gdt = kvm_system_at(area, KVM_GDT);
	uint8_t *tss = kvm_system_at(area, KVM_TSS);
	uint64_t stack_top = KVM_STACK_TOP;

	gdt[KVM_SELECTOR_CODE0 / 8] = UINT64_C(0x00af9b000000ffff);
	gdt[KVM_SELECTOR_DATA0 / 8] = UINT64_C(0x00cf93000000ffff);
	gdt[KVM_SELECTOR_DATA3 / 8] = UINT64_C(0x00cff3000000ffff);
	gdt[KVM_SELECTOR_CODE3 / 8] = UINT64_C(0x00affb000000ffff);
	gdt[KVM_SELECTOR_TSS / 8] = TSS_LIMIT | (uint64_t)(KVM_TSS & 0xffffff) << 16 |
				    UINT64_C(0x8b) << 40 | (uint64_t)(KVM_TSS >> 24) << 56;
	memcpy(tss + 4, &stack_top, sizeof(stack_top)); /* RSP0 */
	tss[0x66] = 0x68;                               /* the I/O permission map: SDM 1 19.5.2 */
	memset(tss + 0x68, 0xff, IO_MAP_BYTES);
	tss[0x68 + KVM_PORT_LEAVE / 8] &= (uint8_t) ~(1u << KVM_PORT_LEAVE % 8);
	for (unsigned vector = 0; vector < KVM_N_EXCEPTIONS; vector++)
		set_gate(area, vector, KVM_STUB + vector * KVM_STUB_BYTES,
			 vector == KVM_VECTOR_SERVICE ? 3 : 0);
}

static void fill_code(const struct kvm_system_area *area)
{
	memcpy(kvm_system_at(area, KVM_USER_CODE), kvm_user_code, kvm_user_code_bytes);
	memcpy(kvm_system_at(area, KVM_STUB), kvm_stub, kvm_stub_bytes);
}

/* ---- life ---- */

static int add_slots(struct kvm_system_area *area, struct kvm_vm *vm,
		     const struct kvm_system_config *config)
{
	int r = kvm_vm_add_slot(vm, KVM_SYSTEM_PHYSICAL, area->host, area->bytes);

	if (r >= 0)
		r = kvm_vm_add_slot(vm, KVM_RUNTIME_PHYSICAL, config->runtime, RUNTIME_FILE_BYTES);
	if (r >= 0)
		r = kvm_vm_add_slot(vm, KVM_TABLES_PHYSICAL, config->tables, config->tables_bytes);
	if (r < 0)
		return r;
	area->tables_slot = (unsigned)r;
	return 0;
}

int kvm_system_init(struct kvm_system_area *area, struct kvm_vm *vm,
		    const struct kvm_system_config *config)
{
	struct builder builder = {.area = area, .used = KVM_SYSTEM_BYTES};
	void *host;

	*area = (struct kvm_system_area){0};
	area->bytes = KVM_SYSTEM_BYTES + static_tables(config) * PAGE_BYTES;
	host = mmap(NULL, area->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (host == MAP_FAILED)
		return -ENOMEM;
	area->host = host;
	builder.common = new_table(&builder);
	map_common(&builder, config);
	for (unsigned space = 0; space < MMU_SPACES; space++)
		map_space(&builder, space);
	fill_descriptors(area);
	fill_code(area);
	return add_slots(area, vm, config);
}

void kvm_system_finish(struct kvm_system_area *area)
{
	if (area->host)
		munmap(area->host, area->bytes);
	*area = (struct kvm_system_area){0};
}

/* ---- the vCPU ---- */

static struct kvm_segment segment(uint16_t selector, uint64_t base, uint8_t type, uint8_t dpl)
{
	bool code = type & SEG_ATTR_CODE;

	return (struct kvm_segment){
		.base = base,
		.limit = UINT32_MAX,
		.selector = selector,
		.type = type,
		.present = 1,
		.dpl = dpl,
		.db = !code,
		.s = 1,
		.l = code,
		.g = 1,
	};
}

static void fill_sregs(struct kvm_sregs *sregs, uint64_t root)
{
	struct kvm_segment data = segment(KVM_SELECTOR_DATA3, 0, 3, 3);

	sregs->cs = segment(KVM_SELECTOR_CODE3, 0, 11, 3);
	sregs->ss = sregs->ds = sregs->es = sregs->fs = data;
	sregs->gs = segment(KVM_SELECTOR_DATA3, KVM_GUEST_BIAS, 3, 3);
	sregs->tr = (struct kvm_segment){.base = KVM_TSS,
					 .limit = TSS_LIMIT,
					 .selector = KVM_SELECTOR_TSS,
					 .type = 11,
					 .present = 1};
	sregs->ldt = (struct kvm_segment){.unusable = 1};
	sregs->gdt = (struct kvm_dtable){.base = KVM_GDT, .limit = KVM_SELECTOR_TSS + 15};
	sregs->idt = (struct kvm_dtable){.base = KVM_IDT, .limit = 0xfff};
	sregs->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	sregs->cr3 = root;
	sregs->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE;
	sregs->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
}

uint64_t kvm_system_resume(void)
{
	return KVM_USER_CODE + kvm_user_resume_offset;
}

uint64_t kvm_system_probe(const struct kvm_system_area *area, uint64_t linear, unsigned n)
{
	uint64_t *probe = kvm_system_at(area, KVM_USER_PROBE);

	probe[0] = linear + KVM_GUEST_BIAS;
	probe[1] = n;
	return KVM_USER_CODE + kvm_user_probe_offset;
}

int kvm_system_start(const struct kvm_system_area *area, struct kvm_vm *vm, uint64_t root)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	int r = kvm_vm_get_registers(vm, &regs, &sregs);

	if (r)
		return r;
	regs = (struct kvm_regs){.rip = kvm_system_resume(), .rflags = FLAG_FIXED};
	fill_sregs(&sregs, root);
	vm->run->kvm_dirty_regs = 0;
	return kvm_vm_set_registers(vm, &regs, &sregs);
}

struct kvm_frame *kvm_system_frame(const struct kvm_system_area *area)
{
	return (struct kvm_frame *)kvm_system_at(area, KVM_STACK_TOP) - 1;
}

uint64_t kvm_system_fault_rax(const struct kvm_system_area *area)
{
	return ((const uint64_t *)kvm_system_frame(area))[-1];
}

uint64_t kvm_system_fault_address(const struct kvm_system_area *area)
{
	return ((const uint64_t *)kvm_system_frame(area))[-2];
}

uint64_t kvm_system_behind_out(const struct kvm_system_area *area, uint8_t vector)
{
	uint64_t at = KVM_STUB + (uint64_t)vector * KVM_STUB_BYTES;
	const uint8_t *code = kvm_system_at(area, at);
	unsigned i = 0;

	while (code[i] != 0xe6) /* no byte of what stands before it */
		i++;
	return at + i + 2;
}

void kvm_system_return_to_resume(const struct kvm_system_area *area)
{
	*kvm_system_frame(area) = (struct kvm_frame){
		.rip = kvm_system_resume(),
		.cs = KVM_SELECTOR_CODE3,
		.rflags = FLAG_FIXED,
		.ss = KVM_SELECTOR_DATA3,
	};
}

void kvm_system_call_service(const struct kvm_system_area *area, bool call)
{
	uint32_t *service = kvm_system_at(area, KVM_USER_SERVICE);

	*service = call;
}
