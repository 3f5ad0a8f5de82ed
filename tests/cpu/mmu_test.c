/*
 * The no-TLB rule: every access behaves as a page walk made at that moment.
 *
 * A reference walker, written for this test alone and without any cache, keeps its own copy of
 * memory. Random page tables (which map themselves and each other, as tables of several levels and
 * as data) are used and changed in every way there is; each access must give the reference's
 * result, fault and error code, and memory must stay the same byte for byte: A and D bits included.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"
#include "vmm/machine.h"
#include "vmm/mmu/mmu.h"

#define RAM_BYTES   0x100000u
#define ROM_GPA     0x100000u
#define DEVICE_GPA  0x200000u
#define TABLE_PAGE  16u /* first of the pages used as tables */
#define TABLE_COUNT 12u
#define DATA_PAGE   40u
#define DATA_COUNT  6u
#define ROOTS       3u

enum paging { PAGING_NONE, PAGING_32, PAGING_PSE, PAGING_PAE, PAGING_LONG, PAGING_COUNT };
static const char *const paging_name[] = {"no paging", "32-bit", "32-bit with PSE", "PAE",
					  "4-level"};

struct rig {
	struct machine *machine;
	struct cpu *cpu;
	uint8_t *copy; /* of RAM and ROM as the reference has them */
	enum paging paging;
	uint64_t seed;
};

static uint64_t next(struct rig *rig)
{
	rig->seed ^= rig->seed << 13;
	rig->seed ^= rig->seed >> 7;
	rig->seed ^= rig->seed << 17;
	return rig->seed * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

static bool chance(struct rig *rig, unsigned percent)
{
	return next(rig) % 100 < percent;
}

static void rig_create(struct rig *rig, enum paging paging, uint64_t seed)
{
	static const struct machine_config config = {
		.n_vcpus = 1,
		.cpu_model = "x86-64-v2",
		.regions = {{.kind = REGION_RAM, .gpa = 0, .bytes = RAM_BYTES},
			    {.kind = REGION_ROM, .gpa = ROM_GPA, .bytes = 0x4000},
			    {.kind = REGION_DEVICE, .gpa = DEVICE_GPA, .bytes = 0x4000}},
		.n_regions = 3,
	};

	*rig = (struct rig){.paging = paging, .seed = seed * 2 + 1};
	if (machine_create(&config, &rig->machine)) {
		printf("Bail out! no machine\n");
		exit(1);
	}
	rig->cpu = machine_current(rig->machine);
	rig->copy = calloc(1, ROM_GPA + 0x4000);
	rig->cpu->cr0 = CR0_PE | CR0_ET | (paging == PAGING_NONE ? 0 : CR0_PG);
	rig->cpu->cr4 = paging == PAGING_PSE ? CR4_PSE : paging >= PAGING_PAE ? CR4_PAE : 0;
	rig->cpu->efer = paging == PAGING_LONG ? EFER_LME | EFER_LMA : 0;
	rig->cpu->seg[SEG_CS].attr = paging == PAGING_LONG ? 0xa09b : 0xc09b;
	rig->cpu->cr3 = TABLE_PAGE << PAGE_SHIFT;
	cpu_update_mode(rig->cpu);
}

static void rig_destroy(struct rig *rig)
{
	machine_destroy(rig->machine);
	free(rig->copy);
}

/* Changes memory the way DMA does, on both sides. */
static void poke(struct rig *rig, uint64_t gpa, const void *data, uint32_t n)
{
	memory_write(rig->machine->memory, gpa, data, n);
	if (gpa + n <= RAM_BYTES)
		memcpy(rig->copy + gpa, data, n);
}

static void poke64(struct rig *rig, uint64_t gpa, uint64_t value)
{
	poke(rig, gpa, &value, 8);
}

/* ---- the reference: SDM 3A 4.3 to 4.7 ---- */

struct answer {
	bool ok;
	uint32_t error;
	uint64_t gpa;
};

static unsigned entry_bytes(const struct rig *rig)
{
	return rig->paging == PAGING_32 || rig->paging == PAGING_PSE ? 4 : 8;
}

static uint64_t reference_entry(const struct rig *rig, uint64_t gpa)
{
	uint64_t entry = 0;
	if (gpa < ROM_GPA + 0x4000)
		memcpy(&entry, rig->copy + gpa, entry_bytes(rig));
	return entry;
}

static struct answer reference_walk(struct rig *rig, uint64_t linear, enum access_kind kind,
				    enum privilege priv)
{
	const struct cpu *cpu = rig->cpu;
	bool user = cpu->cpl == 3 && priv == PRIVILEGE_CURRENT;
	bool smap = (cpu->cr4 & CR4_SMAP) &&
		    (priv == PRIVILEGE_SYSTEM || !(cpu->rflags_rest & FLAG_AC));
	bool nxe = (cpu->efer & EFER_NXE) && rig->paging >= PAGING_PAE;
	bool small = entry_bytes(rig) == 4;
	unsigned levels = rig->paging == PAGING_LONG ? 4 : 2, used = 0;
	uint64_t at[4], table = cpu->cr3 & UINT64_C(0xfffffff000);
	bool can_user = true, can_write = true, no_exec = false;
	struct answer a = {.ok = false};

	if (rig->paging != PAGING_LONG)
		linear = (uint32_t)linear;
	if (rig->paging == PAGING_NONE)
		return (struct answer){true, 0, linear};
	a.error = (kind == ACCESS_WRITE ? 2 : 0) | (user ? 4 : 0);
	if (kind == ACCESS_EXEC && (nxe || (cpu->cr4 & CR4_SMEP)))
		a.error |= 16;
	if (rig->paging == PAGING_PAE) {
		uint64_t pdpte = cpu->pdpte[linear >> 30];
		if (!(pdpte & 1))
			return a;
		table = pdpte & UINT64_C(0xfffffff000);
	}
	for (unsigned level = levels; level; level--) {
		unsigned shift = small ? 12 + 10 * (level - 1) : 12 + 9 * (level - 1);
		uint64_t index = linear >> shift & (small ? 1023 : 511);
		at[used++] = table + index * entry_bytes(rig);
		uint64_t entry = reference_entry(rig, at[used - 1]);
		if (!(entry & 1))
			return a;
		bool large = (entry & 0x80) && (small ? level == 2 && rig->paging == PAGING_PSE
						      : level == 2 || level == 3);
		uint64_t reserved = 0;
		if (small) {
			reserved = large ? UINT64_C(1) << 21 : 0;
		} else {
			reserved = UINT64_C(0x000fff0000000000);
			if (!nxe)
				reserved |= UINT64_C(1) << 63;
			if (rig->paging == PAGING_PAE)
				reserved |= UINT64_C(0x7ff0000000000000);
			if (level == 4)
				reserved |= 0x80;
			if (large)
				reserved |= level == 2 ? 0x1fe000 : 0x3fffe000;
		}
		if (entry & reserved) {
			a.error |= 1 | 8;
			return a;
		}
		can_user &= entry >> 2 & 1;
		can_write &= entry >> 1 & 1;
		no_exec |= nxe && entry >> 63;
		if (large || level == 1) {
			uint64_t offset =
				linear & ((UINT64_C(1) << (large || level == 1 ? shift : 12)) - 1);
			uint64_t frame = entry & UINT64_C(0xfffffff000);
			if (small && large)
				frame = (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
			else if (small)
				frame = entry & 0xfffff000;
			else if (large)
				frame &= ~((UINT64_C(1) << shift) - 1);
			a.gpa = frame | offset;
			break;
		}
		table = small ? entry & 0xfffff000 : entry & UINT64_C(0xfffffff000);
	}
	a.error |= 1;
	if (user && !can_user)
		return a;
	if (kind == ACCESS_EXEC ? no_exec || (!user && can_user && (cpu->cr4 & CR4_SMEP))
				: !user && can_user && smap)
		return a;
	if (kind == ACCESS_WRITE && !can_write && (user || (cpu->cr0 & CR0_WP)))
		return a;
	for (unsigned i = 0; i < used; i++)
		if (at[i] < RAM_BYTES)
			rig->copy[at[i]] |=
				0x20 | (kind == ACCESS_WRITE && i == used - 1 ? 0x40 : 0);
	a.ok = true;
	return a;
}

/* ---- one access, compared ---- */

static void report(const struct rig *rig, const char *what, uint64_t linear, enum access_kind kind,
		   const struct answer *a)
{
	tap_note("%s: %s, linear %llx, kind %d, reference %s error %x gpa %llx; stop %d error %x",
		 paging_name[rig->paging], what, (unsigned long long)linear, kind,
		 a->ok ? "allows" : "refuses", a->error, (unsigned long long)a->gpa, rig->cpu->stop,
		 rig->cpu->fault.error);
}

static bool in_device(uint64_t gpa)
{
	return gpa >= DEVICE_GPA && gpa < DEVICE_GPA + 0x4000;
}

static uint8_t reference_byte(const struct rig *rig, uint64_t gpa)
{
	return gpa < ROM_GPA + 0x4000 ? rig->copy[gpa] : 0xff;
}

static bool fault_agrees(const struct rig *rig, const struct answer *a, uint64_t linear)
{
	const struct fault *fault = &rig->cpu->fault;
	return rig->cpu->stop == CPU_STOP_FAULT && fault->vector == VECTOR_PF &&
	       fault->error == a->error && fault->address == linear;
}

static bool check_fetch(struct rig *rig, uint64_t linear)
{
	const struct tlb_exec_entry *entry = tlb_exec_slot(rig->cpu->tlb, linear);
	bool cached = entry->tag == (linear & PAGE_MASK);
	uint64_t cached_gpa = entry->gpa | linear % PAGE_BYTES, gpa = 0;
	struct answer a = reference_walk(rig, linear, ACCESS_EXEC, PRIVILEGE_CURRENT);

	if (cached && (!a.ok || a.gpa != cached_gpa)) {
		report(rig, "stale code translation", linear, ACCESS_EXEC, &a);
		return false;
	}
	bool ok = mmu_translate(rig->cpu, linear, ACCESS_EXEC, PRIVILEGE_CURRENT, &gpa);
	bool good = ok == a.ok && (ok ? gpa == a.gpa : fault_agrees(rig, &a, linear));
	if (!good)
		report(rig, "fetch", linear, ACCESS_EXEC, &a);
	return good;
}

static bool check_data(struct rig *rig, uint64_t linear, uint32_t n, bool write,
		       enum privilege priv)
{
	enum access_kind kind = write ? ACCESS_WRITE : ACCESS_READ;
	uint8_t data[8], expected[8];
	uint64_t value = next(rig);
	uint32_t first = PAGE_BYTES - linear % PAGE_BYTES;
	uint64_t second = rig->paging == PAGING_LONG ? linear + first : (uint32_t)(linear + first);
	struct answer a = reference_walk(rig, linear, kind, priv), b = {.ok = true};
	bool split = first < n;

	if (split && a.ok)
		b = reference_walk(rig, second, kind, priv);
	memcpy(data, &value, 8);
	bool ok = write ? linear_write(rig->cpu, linear, data, n, priv)
			: linear_read(rig->cpu, linear, data, n, priv);
	if (!a.ok || !b.ok) {
		bool good = !ok && fault_agrees(rig, a.ok ? &b : &a, a.ok ? second : linear);
		if (!good)
			report(rig, "fault", a.ok ? second : linear, kind, a.ok ? &b : &a);
		return good;
	}
	if (in_device(a.gpa) || (split && in_device(b.gpa)))
		return !ok && rig->cpu->stop == CPU_STOP_CROSSING;
	if (!ok) {
		report(rig, "spurious fault", linear, kind, &a);
		return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint64_t gpa = i < first ? a.gpa + i : b.gpa + (i - first);
		expected[i] = reference_byte(rig, gpa);
		if (write && gpa < RAM_BYTES)
			rig->copy[gpa] = data[i];
	}
	if (write || !memcmp(data, expected, n))
		return true;
	report(rig, "wrong bytes", linear, kind, &a);
	return false;
}

/* ---- random states ---- */

static uint64_t random_page(struct rig *rig)
{
	unsigned n = next(rig) % 100;
	if (n < 55)
		return TABLE_PAGE + next(rig) % TABLE_COUNT;
	if (n < 92)
		return DATA_PAGE + next(rig) % DATA_COUNT;
	if (n < 95)
		return (ROM_GPA >> PAGE_SHIFT) + next(rig) % 4;
	return n < 98 ? (DEVICE_GPA >> PAGE_SHIFT) + next(rig) % 4 : 0x7000;
}

static uint64_t random_entry(struct rig *rig)
{
	uint64_t entry = random_page(rig) << PAGE_SHIFT;

	if (chance(rig, 15)) /* a large page over everything */
		entry = 0x80 | (chance(rig, 10) ? 0x2000 : 0) | (chance(rig, 10) ? 0x1000 : 0);
	entry |= chance(rig, 92) ? 1 : 0;
	entry |= chance(rig, 75) ? 2 : 0;
	entry |= chance(rig, 75) ? 4 : 0;
	entry |= next(rig) & 0xf78;
	if (entry_bytes(rig) == 8) {
		entry |= chance(rig, 12) ? UINT64_C(1) << 63 : 0;
		entry |= chance(rig, 3) ? UINT64_C(1) << (40 + next(rig) % 23) : 0;
	} else if (chance(rig, 2)) {
		entry |= UINT64_C(1) << 21;
	}
	return entry;
}

static const uint16_t indices[] = {0, 1, 2, 17, 20, 41, 511};

static uint64_t random_linear(struct rig *rig)
{
	unsigned count = sizeof(indices) / sizeof(indices[0]);
	uint64_t linear = next(rig) % PAGE_BYTES;

	if (chance(rig, 30))
		linear = PAGE_BYTES - 1 - next(rig) % 8;
	if (rig->paging == PAGING_NONE)
		return linear | random_page(rig) << PAGE_SHIFT;
	if (entry_bytes(rig) == 4)
		return linear | (uint64_t)indices[next(rig) % count] << 12 |
		       (uint64_t)indices[next(rig) % 3] << 22;
	linear |= (uint64_t)indices[next(rig) % count] << 12 | (uint64_t)indices[next(rig) % 3]
								       << 21;
	if (rig->paging == PAGING_PAE)
		return linear | (next(rig) & 1) << 30;
	linear |= (next(rig) & 1) << 30 | (next(rig) & 1 ? UINT64_C(511) << 39 : 0);
	return (uint64_t)((int64_t)(linear << 16) >> 16);
}

static uint64_t random_entry_gpa(struct rig *rig)
{
	unsigned count = sizeof(indices) / sizeof(indices[0]);
	return (TABLE_PAGE + next(rig) % TABLE_COUNT) * PAGE_BYTES +
	       indices[next(rig) % count] * entry_bytes(rig);
}

static void change_entry(struct rig *rig)
{
	uint64_t gpa = random_entry_gpa(rig), entry = reference_entry(rig, gpa);
	unsigned size = entry_bytes(rig);

	switch (next(rig) % 5) {
	case 0: /* one bit */
		entry ^= UINT64_C(1) << next(rig) % 9;
		break;
	case 1: /* one byte */
		gpa += next(rig) % size;
		size = 1;
		entry = next(rig);
		break;
	case 2: /* A and D */
		entry &= ~UINT64_C(0x60);
		break;
	default:
		entry = random_entry(rig);
		break;
	}
	poke(rig, gpa, &entry, size);
}

static void load_pdptes(struct rig *rig)
{
	for (unsigned i = 0; i < 4; i++)
		rig->cpu->pdpte[i] = (TABLE_PAGE + next(rig) % ROOTS) << PAGE_SHIFT | 1;
}

static void change_control(struct rig *rig)
{
	struct cpu *cpu = rig->cpu;

	switch (next(rig) % 8) {
	case 0:
		cpu->cr0 ^= CR0_WP;
		break;
	case 1:
		cpu->cr4 ^= CR4_SMAP;
		break;
	case 2:
		cpu->cr4 ^= CR4_SMEP;
		break;
	case 3:
		if (rig->paging >= PAGING_PAE)
			cpu->efer ^= EFER_NXE;
		break;
	case 4:
		cpu->rflags_rest ^= FLAG_AC;
		break;
	case 5:
		cpu->cpl ^= 3;
		break;
	default:
		cpu->cr3 = (TABLE_PAGE + next(rig) % ROOTS) << PAGE_SHIFT;
		if (rig->paging == PAGING_PAE)
			load_pdptes(rig);
		break;
	}
	cpu_update_mode(cpu);
}

static bool memory_agrees(struct rig *rig)
{
	bool same = true;
	for (uint64_t gpa = 0; gpa < ROM_GPA + 0x4000; gpa += PAGE_BYTES) {
		const uint8_t *page = memory_page(rig->machine->memory, gpa);
		for (unsigned i = 0; same && i < PAGE_BYTES; i++)
			if (page[i] != rig->copy[gpa + i]) {
				tap_note("%s: byte %llx is %02x, reference %02x",
					 paging_name[rig->paging], (unsigned long long)gpa + i,
					 page[i], rig->copy[gpa + i]);
				same = false;
			}
	}
	return same;
}

static void fill_tables(struct rig *rig)
{
	unsigned count = sizeof(indices) / sizeof(indices[0]);

	for (unsigned page = TABLE_PAGE; page < TABLE_PAGE + TABLE_COUNT; page++)
		for (unsigned i = 0; i < count; i++) {
			uint64_t entry = random_entry(rig);
			poke(rig, page * PAGE_BYTES + indices[i] * entry_bytes(rig), &entry,
			     entry_bytes(rig));
		}
	load_pdptes(rig);
}

static bool random_step(struct rig *rig)
{
	unsigned what = next(rig) % 100;
	uint64_t linear = random_linear(rig);
	bool good = true;

	rig->cpu->stop = CPU_STOP_NONE;
	rig->machine->crossing.n_used = rig->machine->crossing.n_answers = 0;
	if (what < 12)
		change_entry(rig);
	else if (what < 16)
		change_control(rig);
	else if (what < 17)
		memory_digest(rig->machine->memory);
	else if (what < 35)
		good = check_fetch(rig, linear);
	else
		good = check_data(rig, linear, 1u << next(rig) % 4, what < 55,
				  chance(rig, 10) ? PRIVILEGE_SYSTEM : PRIVILEGE_CURRENT);
	return good;
}

static void test_random(enum paging paging)
{
	bool good = true;

	for (unsigned round = 0; good && round < 20; round++) {
		struct rig rig;
		rig_create(&rig, paging, 1000 * paging + round + 1);
		fill_tables(&rig);
		for (unsigned i = 0; good && i < 6000; i++) {
			good = random_step(&rig);
			if (good && i % 500 == 499) {
				good = memory_agrees(&rig);
				fill_tables(&rig);
			}
			if (!good)
				tap_note("round %u step %u", round, i);
		}
		rig_destroy(&rig);
	}
	tap_ok(good, "random accesses and changes: %s", paging_name[paging]);
}

/* ---- named cases ---- */

#define PTE(page, flags) ((uint64_t)(page) << PAGE_SHIFT | (flags))
#define LINEAR           UINT64_C(0x1000)

/* Maps linear page 1 to DATA_PAGE, page 2 to the page after it; tables in pages 16 to 19. */
static void simple_tables(struct rig *rig)
{
	poke64(rig, 16 * PAGE_BYTES, PTE(17, 7));
	poke64(rig, 17 * PAGE_BYTES, PTE(18, 7));
	poke64(rig, 18 * PAGE_BYTES, PTE(19, 7));
	poke64(rig, 19 * PAGE_BYTES + 8, PTE(DATA_PAGE, 7));
	poke64(rig, 19 * PAGE_BYTES + 16, PTE(DATA_PAGE + 1, 7));
}

static uint64_t entry_of(const struct rig *rig, uint64_t page, unsigned index)
{
	uint64_t entry;
	memory_read(rig->machine->memory, page * PAGE_BYTES + 8 * index, &entry, 8);
	return entry;
}

static bool touch(struct rig *rig, uint64_t linear, uint32_t n, enum access_kind kind)
{
	uint64_t gpa, data = 0;

	rig->cpu->stop = CPU_STOP_NONE;
	if (kind == ACCESS_EXEC)
		return mmu_translate(rig->cpu, linear, kind, PRIVILEGE_CURRENT, &gpa);
	return kind == ACCESS_READ ? linear_read(rig->cpu, linear, &data, n, PRIVILEGE_CURRENT)
				   : linear_write(rig->cpu, linear, &data, n, PRIVILEGE_CURRENT);
}

static void test_accessed_dirty(void)
{
	struct rig rig;

	rig_create(&rig, PAGING_LONG, 1);
	simple_tables(&rig);
	tap_ok(touch(&rig, LINEAR, 4, ACCESS_READ) && entry_of(&rig, 16, 0) == PTE(17, 0x27) &&
		       entry_of(&rig, 19, 1) == PTE(DATA_PAGE, 0x27),
	       "a read sets A at every level, not D");
	tap_ok(touch(&rig, LINEAR, 4, ACCESS_WRITE) && entry_of(&rig, 18, 0) == PTE(19, 0x27) &&
		       entry_of(&rig, 19, 1) == PTE(DATA_PAGE, 0x67),
	       "a write sets D in the last level only");
	poke64(&rig, 19 * PAGE_BYTES + 8, PTE(DATA_PAGE, 7));
	touch(&rig, LINEAR, 4, ACCESS_WRITE);
	tap_ok(entry_of(&rig, 19, 1) == PTE(DATA_PAGE, 0x67), "cleared bits are set again at once");
	poke64(&rig, 19 * PAGE_BYTES + 16, PTE(DATA_PAGE + 1, 6));
	poke64(&rig, 19 * PAGE_BYTES + 8, PTE(DATA_PAGE, 5));
	rig.cpu->cr0 |= CR0_WP;
	cpu_update_mode(rig.cpu);
	tap_ok(!touch(&rig, LINEAR, 4, ACCESS_WRITE) && rig.cpu->fault.error == 3 &&
		       entry_of(&rig, 19, 1) == PTE(DATA_PAGE, 5),
	       "a refused write sets nothing");
	tap_ok(!touch(&rig, 0x2000 - 2, 4, ACCESS_READ) && rig.cpu->fault.error == 0 &&
		       rig.cpu->fault.address == 0x2000,
	       "a split access faults at the second page's start");
	rig_destroy(&rig);
}

static void test_immediate(void)
{
	struct rig rig;
	uint64_t zero = 0, gpa;

	rig_create(&rig, PAGING_LONG, 1);
	simple_tables(&rig);
	poke64(&rig, 19 * PAGE_BYTES + 24, PTE(19, 7)); /* the table as data, at page 3 */
	touch(&rig, LINEAR, 4, ACCESS_WRITE);
	touch(&rig, LINEAR, 1, ACCESS_EXEC);
	touch(&rig, 0x3000, 4, ACCESS_WRITE);
	linear_write(rig.cpu, 0x3000 + 8, &zero, 1, PRIVILEGE_CURRENT);
	tap_ok(rig.cpu->stop == CPU_STOP_RESYNC && !touch(&rig, LINEAR, 4, ACCESS_READ) &&
		       !touch(&rig, LINEAR, 4, ACCESS_WRITE) &&
		       !touch(&rig, LINEAR, 1, ACCESS_EXEC),
	       "unmapping through another mapping, by one byte, holds at once");
	simple_tables(&rig);
	touch(&rig, LINEAR, 4, ACCESS_WRITE);
	poke64(&rig, 17 * PAGE_BYTES, 0);
	tap_ok(!touch(&rig, LINEAR, 4, ACCESS_READ), "and at a higher level by DMA");
	simple_tables(&rig);
	touch(&rig, LINEAR, 4, ACCESS_WRITE);
	poke64(&rig, 18 * PAGE_BYTES, PTE(20, 7));
	poke64(&rig, 20 * PAGE_BYTES + 8, PTE(DATA_PAGE + 2, 7));
	tap_ok(mmu_translate(rig.cpu, LINEAR, ACCESS_READ, PRIVILEGE_CURRENT, &gpa) &&
		       gpa == (DATA_PAGE + 2) * PAGE_BYTES,
	       "another table");
	for (unsigned i = 0; i < 1000; i++)
		poke64(&rig, 19 * PAGE_BYTES + 8, i);
	touch(&rig, LINEAR, 4, ACCESS_WRITE);
	poke64(&rig, 20 * PAGE_BYTES + 8, 0);
	tap_ok(!touch(&rig, LINEAR, 4, ACCESS_READ),
	       "the old table is data now, the new one counts");
	rig_destroy(&rig);
}

/* One page serves as a table of 32-bit and of 64-bit entries. */
static void test_both_sizes(void)
{
	struct rig rig;
	uint32_t high = 0x80000000u; /* NX in the upper half of the 64-bit entry */

	rig_create(&rig, PAGING_LONG, 1);
	rig.cpu->efer |= EFER_NXE;
	simple_tables(&rig);
	cpu_update_mode(rig.cpu);
	touch(&rig, LINEAR, 1, ACCESS_EXEC);
	rig.cpu->efer = 0;
	rig.cpu->cr4 = 0;
	rig.cpu->cr3 =
		19 * PAGE_BYTES; /* a directory: its entry 2 is half of the table's entry 1 */
	poke64(&rig, DATA_PAGE * PAGE_BYTES + 8, PTE(DATA_PAGE + 1, 7));
	cpu_update_mode(rig.cpu);
	tap_ok(touch(&rig, 0x800000 | 0x2000, 4, ACCESS_READ), "a table as a 32-bit directory");
	rig.cpu->efer = EFER_LME | EFER_LMA | EFER_NXE;
	rig.cpu->cr4 = CR4_PAE;
	rig.cpu->cr3 = 16 * PAGE_BYTES;
	cpu_update_mode(rig.cpu);
	touch(&rig, LINEAR, 1, ACCESS_EXEC);
	poke(&rig, 19 * PAGE_BYTES + 12, &high, 4);
	tap_ok(tlb_exec_slot(rig.cpu->tlb, LINEAR)->tag != LINEAR,
	       "a table of both entry sizes: the upper half of an entry counts");
	rig_destroy(&rig);
}

static void test_pdptes(void)
{
	struct rig rig;

	rig_create(&rig, PAGING_PAE, 1);
	poke64(&rig, 0x5000, PTE(20, 1));
	tap_ok(mmu_load_pdptes(rig.cpu, 0x5000) && rig.cpu->pdpte[0] == PTE(20, 1),
	       "PDPTEs are loaded");
	poke64(&rig, 0x5008, PTE(20, 3));
	tap_ok(!mmu_load_pdptes(rig.cpu, 0x5000), "reserved bits are refused");
	poke64(&rig, 0x5008, PTE(20, 2));
	tap_ok(mmu_load_pdptes(rig.cpu, 0x5000), "unless the entry is not present");
	tap_ok(mmu_load_pdptes(rig.cpu, 0x7000000) && rig.cpu->pdpte[0] == 0,
	       "entries outside RAM read as 0");
	rig_destroy(&rig);
}

/* A system access at an address that is not canonical must not serve later ordinary accesses. */
static void test_not_canonical(void)
{
	struct rig rig;
	uint64_t data;

	rig_create(&rig, PAGING_LONG, 1);
	simple_tables(&rig);
	linear_read(rig.cpu, UINT64_C(0x1000000001000), &data, 8, PRIVILEGE_SYSTEM);
	tap_ok(!tlb_lookup(rig.cpu->tlb->read, UINT64_C(0x1000000001000), 8),
	       "no translation is kept for an address that is not canonical");
	rig_destroy(&rig);
}

/* Two pages that share a place in the array. */
static void test_victims(void)
{
	const uint64_t other = LINEAR + TLB_ENTRIES * PAGE_BYTES;
	struct rig rig;

	rig_create(&rig, PAGING_LONG, 1);
	simple_tables(&rig);
	poke64(&rig, 18 * PAGE_BYTES + 8 * 2, PTE(20, 7));
	poke64(&rig, 20 * PAGE_BYTES + 8, PTE(DATA_PAGE + 2, 7));
	touch(&rig, LINEAR, 4, ACCESS_READ);
	touch(&rig, other, 4, ACCESS_READ);
	struct tlb_entry *read = rig.cpu->tlb->read, *entry = mmu_recall(read, LINEAR + 8);
	tap_ok(entry && entry->tag == LINEAR && tlb_lookup(read, LINEAR, 8) &&
		       !tlb_lookup(read, other, 8),
	       "a page whose place was taken is recalled");
	entry = mmu_recall(read, other);
	tap_ok(entry && entry->tag == other && tlb_lookup(read, other, 8),
	       "and so is the other then");
	tap_ok(!mmu_recall(read, LINEAR + PAGE_BYTES), "one that was never looked up is not");
	poke64(&rig, 19 * PAGE_BYTES + 8, 0);
	tap_ok(!mmu_recall(read, LINEAR), "nor one that is mapped no more");
	rig_destroy(&rig);
}

/* More address spaces than are kept: one that makes room leaves nothing behind. */
static void test_many_spaces(void)
{
	struct rig rig;
	bool good = true;

	rig_create(&rig, PAGING_32, 1);
	for (uint32_t i = 0; i < 40; i++) {
		uint32_t directory = PTE(90 + i, 7), table = PTE(130 + i, 7), number = i;
		poke(&rig, (50 + i) * PAGE_BYTES, &directory, 4);
		poke(&rig, (90 + i) * PAGE_BYTES + 4, &table, 4);
		poke(&rig, (130 + i) * PAGE_BYTES, &number, 4);
	}
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t space = i * 7 % 40, number = 0;
		rig.cpu->cr3 = (50 + space) * PAGE_BYTES;
		cpu_update_mode(rig.cpu);
		good &= linear_read(rig.cpu, LINEAR, &number, 4, PRIVILEGE_CURRENT) &&
			number == space;
	}
	tap_ok(good, "forty address spaces in turn");
	rig_destroy(&rig);
}

/* Outside 64-bit code linear addresses have 32 bits. */
static void test_wrap(void)
{
	struct rig rig;

	rig_create(&rig, PAGING_LONG, 1);
	simple_tables(&rig);
	poke64(&rig, 19 * PAGE_BYTES, PTE(DATA_PAGE, 7));
	poke64(&rig, 17 * PAGE_BYTES + 8 * 3, PTE(20, 7));
	poke64(&rig, 20 * PAGE_BYTES + 8 * 511, PTE(21, 7));
	poke64(&rig, 21 * PAGE_BYTES + 8 * 511, PTE(DATA_PAGE + 1, 7));
	rig.cpu->seg[SEG_CS].attr = 0xc09b;
	cpu_update_mode(rig.cpu);
	tap_ok(touch(&rig, 0xfffffffe, 4, ACCESS_READ) && touch(&rig, 0xfffffffe, 4, ACCESS_WRITE),
	       "an access of compatibility mode goes on at 0 after 4 GiB");
	rig_destroy(&rig);
}

static void test_peek(void)
{
	struct rig rig;
	uint64_t gpa = 0;

	rig_create(&rig, PAGING_LONG, 1);
	simple_tables(&rig);
	tap_ok(mmu_peek(rig.cpu, LINEAR + 5, &gpa) && gpa == DATA_PAGE * PAGE_BYTES + 5 &&
		       entry_of(&rig, 19, 1) == PTE(DATA_PAGE, 7),
	       "a debugger's look sets no bits");
	tap_ok(!mmu_peek(rig.cpu, 0x5000, &gpa), "and finds no page where none is");
	rig_destroy(&rig);
}

static void test_peek_read(void)
{
	static const char TEXT[] = "over the end of the page";
	struct rig rig;
	char read[sizeof(TEXT)] = "";

	rig_create(&rig, PAGING_LONG, 1);
	simple_tables(&rig);
	poke64(&rig, 19 * PAGE_BYTES + 16, PTE(DATA_PAGE + 2, 7));
	memory_write(rig.machine->memory, (DATA_PAGE + 1) * PAGE_BYTES - 9, TEXT, 9);
	memory_write(rig.machine->memory, (DATA_PAGE + 2) * PAGE_BYTES, TEXT + 9, sizeof(TEXT) - 9);
	tap_ok(mmu_peek_read(rig.cpu, 0x2000 - 9, read, sizeof(read)) &&
		       !memcmp(read, TEXT, sizeof(TEXT)),
	       "a debugger's look goes on in the next page, which lies elsewhere");
	tap_ok(!mmu_peek_read(rig.cpu, 0x3000 - 4, read, 5), "and ends where no page is");
	tap_ok(mmu_peek_read(rig.cpu, 0x3000 - 4, read, 4), "but not before");
	rig_destroy(&rig);
}

int main(void)
{
	test_accessed_dirty();
	test_immediate();
	test_both_sizes();
	test_pdptes();
	test_not_canonical();
	test_victims();
	test_many_spaces();
	test_wrap();
	test_peek();
	test_peek_read();
	for (enum paging paging = PAGING_NONE; paging < PAGING_COUNT; paging++)
		test_random(paging);
	return tap_done();
}
