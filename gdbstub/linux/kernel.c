#include "gdbstub/linux/kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/linux/image.h"
#include "vmm/mmu/mmu.h"

#define BANNER_BYTES   512u
#define BTF_MAX_BYTES  (UINT64_C(64) << 20)
#define AROUND_BYTES   (UINT64_C(96) << 20)
#define IDT_GATE_BYTES 16u
#define ANCHORS_MAX    3u

#define ENTRY_MAX_BYTES 32u

struct kernel {
	struct kallsyms *symbols;
	struct btf *btf;
	struct orc orc;
	uint64_t start, end;
	uint64_t text_end;
	uint64_t per_cpu_start, per_cpu_end;
	uint8_t *entry_bytes; /* of each symbol */
	char banner[BANNER_BYTES];
};

/* ---- where to look ---- */

/* The handler of page faults (SDM 3A 6.14.1, 64-bit IDT gate). */
static bool page_fault_handler(const struct cpu *cpu, uint64_t *ret_address)
{
	uint8_t gate[IDT_GATE_BYTES];
	uint64_t gpa, at = cpu->idtr.base + VECTOR_PF * IDT_GATE_BYTES;

	if (cpu->idtr.limit < (VECTOR_PF + 1) * IDT_GATE_BYTES - 1 || !mmu_peek(cpu, at, &gpa))
		return false;
	memory_read(cpu->machine->memory, gpa, gate, sizeof(gate));
	*ret_address = (uint64_t)(gate[0] | gate[1] << 8) | (uint64_t)gate[6] << 16 |
		       (uint64_t)gate[7] << 24 | (uint64_t)gate[8] << 32 | (uint64_t)gate[9] << 40 |
		       (uint64_t)gate[10] << 48 | (uint64_t)gate[11] << 56;
	return true;
}

/* Guest-physical addresses that are likely to lie in the kernel's text. */
static unsigned find_anchors(const struct machine *machine, uint64_t anchor[ANCHORS_MAX])
{
	const struct cpu *cpu = &machine->vcpu[0];
	uint64_t handler;
	unsigned n = 0;

	if (!cpu_long_mode(cpu))
		return 0;
	if (cpu->lstar && mmu_peek(cpu, cpu->lstar, &anchor[n]))
		n++;
	if (page_fault_handler(cpu, &handler) && mmu_peek(cpu, handler, &anchor[n]))
		n++;
	if (cpu->rip >> 63 && mmu_peek(cpu, cpu->rip, &anchor[n]))
		n++;
	return n;
}

/* The physical address of the instruction that comes next. */
static bool next_instruction(const struct cpu *cpu, uint64_t *ret_gpa)
{
	uint64_t linear = cpu_code64(cpu) ? cpu->rip : (uint32_t)(cpu->seg[SEG_CS].base + cpu->rip);

	return mmu_peek(cpu, linear, ret_gpa);
}

/*
 * Whether these are the tables of the kernel that runs, not of a copy, of one that was left, or of
 * one that is still being unpacked and not relocated yet. System calls enter it; before that is set
 * up, its code is what runs.
 */
static bool is_running(const struct machine *machine, const struct kallsyms *symbols,
		       const struct kernel_image *image)
{
	const struct cpu *cpu = &machine->vcpu[0];
	uint64_t entry, gpa, data_end = image->end;

	if (cpu->lstar && kallsyms_address(symbols, "entry_SYSCALL_64", &entry))
		return cpu->lstar == entry;
	if (cpu->lstar)
		return cpu->lstar >= image->start && cpu->lstar < image->end;
	kallsyms_address(symbols, "__bss_start", &data_end);
	return next_instruction(cpu, &gpa) && gpa >= image->gpa &&
	       gpa - image->gpa < data_end - image->start;
}

/* ---- taking in ---- */

static void copy_banner(struct kernel *kernel, const struct kernel_image *image)
{
	uint64_t at;

	kallsyms_address(kernel->symbols, "linux_banner", &at);
	for (unsigned i = 0; i + 1 < BANNER_BYTES; i++) {
		char c;
		if (!kernel_image_read(image, at + i, &c, 1) || c < ' ' || c > '~')
			break;
		kernel->banner[i] = c;
	}
}

/* Bytes of the instructions that leave registers alone but RSP and RBP: ENDBR64, the place of a
 * call for tracing (NOP or, in use, CALL), PUSH, MOV RBP, RSP. */
static uint8_t entry_instruction(const uint8_t *code, const uint8_t *end)
{
	static const struct {
		uint8_t n, byte[4], bytes;
	} forms[] = {
		{4, {0xf3, 0x0f, 0x1e, 0xfa}, 4},
		{4, {0x0f, 0x1f, 0x44, 0x00}, 5},
		{1, {0xe8}, 5},
		{3, {0x48, 0x89, 0xe5}, 3},
	};
	size_t left = (size_t)(end - code);

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (left >= forms[i].bytes && !memcmp(code, forms[i].byte, forms[i].n))
			return forms[i].bytes;
	if (left >= 1 && code[0] >= 0x50 && code[0] <= 0x57)
		return 1;
	return left >= 2 && code[0] == 0x41 && code[1] >= 0x50 && code[1] <= 0x57 ? 2 : 0;
}

static uint8_t measure_entry(const struct kernel_image *image, uint64_t address)
{
	uint8_t code[ENTRY_MAX_BYTES], n, at = 0;

	if (!kernel_image_read(image, address, code, sizeof(code)))
		return 1;
	/* Only the first call is that for tracing. */
	while ((n = entry_instruction(code + at, code + sizeof(code))) != 0) {
		if (code[at] == 0xe8 && at > 4)
			break;
		at += n;
	}
	return at + 1;
}

static int measure_entries(struct kernel *kernel, const struct kernel_image *image)
{
	uint32_t n = kallsyms_count(kernel->symbols);

	kernel->entry_bytes = calloc(n ? n : 1, 1);
	if (!kernel->entry_bytes)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t address = kallsyms_symbol(kernel->symbols, i)->address;
		if (address >= kernel->start && address < kernel->text_end)
			kernel->entry_bytes[i] = measure_entry(image, address);
	}
	return 0;
}

static void find_extents(struct kernel *kernel, const struct kernel_image *image)
{
	uint64_t start, end;

	kernel->start = image->start;
	kernel->end = image->end;
	kernel->text_end = image->end;
	if (kallsyms_address(kernel->symbols, "_etext", &end) && end > kernel->start &&
	    end <= kernel->end)
		kernel->text_end = end;
	if (kallsyms_address(kernel->symbols, "__per_cpu_start", &start) &&
	    kallsyms_address(kernel->symbols, "__per_cpu_end", &end) && end > start) {
		kernel->per_cpu_start = start;
		kernel->per_cpu_end = end;
	}
}

/* What is missing or does not hold together is left out. */
static int read_tables(struct kernel *kernel, const struct kernel_image *image)
{
	uint64_t bytes;
	uint8_t *data;
	int error = kernel_image_copy(image, kernel->symbols, "__start_BTF", "__stop_BTF",
				      BTF_MAX_BYTES, &data, &bytes);

	if (!error)
		error = btf_create(data, bytes, &kernel->btf);
	if (error != -ENOMEM)
		error = orc_read(image, kernel->symbols, &kernel->orc);
	return error == -ENOMEM ? error : 0;
}

/* Takes over the symbols. */
static int take_kernel(const struct machine *machine, struct kallsyms *symbols, uint64_t part_gpa,
		       struct kernel **ret_kernel)
{
	struct kernel_image image;

	if (!kernel_image_find(machine->memory, symbols, part_gpa, &image) ||
	    !is_running(machine, symbols, &image)) {
		kallsyms_destroy(symbols);
		return -ENOENT;
	}
	struct kernel *kernel = calloc(1, sizeof(*kernel));
	if (!kernel) {
		kallsyms_destroy(symbols);
		return -ENOMEM;
	}
	kernel->symbols = symbols;
	find_extents(kernel, &image);
	copy_banner(kernel, &image);
	int error = measure_entries(kernel, &image);
	if (!error)
		error = read_tables(kernel, &image);
	if (error)
		kernel_destroy(kernel);
	else
		*ret_kernel = kernel;
	return error;
}

/* Looks through what the search still has before it. */
static int search_on(const struct machine *machine, struct kallsyms_search *search,
		     struct kernel **ret_kernel)
{
	struct kallsyms *symbols;
	uint64_t part;
	int error;

	while (!(error = kallsyms_search_next(search, &symbols, &part))) {
		error = take_kernel(machine, symbols, part, ret_kernel);
		if (error != -ENOENT)
			break;
	}
	return error;
}

static int search_around(const struct machine *machine, uint64_t gpa, struct kernel **ret_kernel)
{
	struct kallsyms_search search;
	uint64_t from = gpa > AROUND_BYTES ? gpa - AROUND_BYTES : 0;

	kallsyms_search_start(&search, machine->memory, from & PAGE_MASK,
			      (gpa + AROUND_BYTES) & PAGE_MASK);
	return search_on(machine, &search, ret_kernel);
}

struct search_all {
	const struct machine *machine;
	struct kallsyms_search search;
	struct kernel *kernel;
};

static int search_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	struct search_all *all = ctx;

	all->search.gpa = gpa;
	all->search.end_gpa = gpa + PAGE_BYTES;
	int error = search_on(all->machine, &all->search, &all->kernel);
	return error == -ENOENT ? 0 : error ? error : 1;
}

static int search_all(const struct machine *machine, struct kernel **ret_kernel)
{
	struct search_all all = {.machine = machine};

	kallsyms_search_start(&all.search, machine->memory, 0, 0);
	int found = memory_each_page(machine->memory, search_page, &all);
	if (found <= 0)
		return found ? found : -ENOENT;
	*ret_kernel = all.kernel;
	return 0;
}

int kernel_find(const struct machine *machine, struct kernel **ret_kernel)
{
	uint64_t anchor[ANCHORS_MAX];
	unsigned n = find_anchors(machine, anchor);
	int error = -ENOENT;

	for (unsigned i = 0; error == -ENOENT && i < n; i++)
		error = search_around(machine, anchor[i], ret_kernel);
	return error == -ENOENT ? search_all(machine, ret_kernel) : error;
}

void kernel_destroy(struct kernel *kernel)
{
	if (!kernel)
		return;
	orc_finish(&kernel->orc);
	btf_destroy(kernel->btf);
	kallsyms_destroy(kernel->symbols);
	free(kernel->entry_bytes);
	free(kernel);
}

/* ---- looking up ---- */

bool kernel_symbol(const struct kernel *kernel, const char *name, uint64_t *ret_address)
{
	return kallsyms_address(kernel->symbols, name, ret_address);
}

const char *kernel_symbol_at(const struct kernel *kernel, uint64_t address, uint64_t *ret_offset)
{
	if (address < kernel->start || address >= kernel->end)
		return NULL;
	const struct kallsyms_symbol *symbol = kallsyms_find_address(kernel->symbols, address);
	if (!symbol || symbol->address < kernel->start)
		return NULL;
	*ret_offset = address - symbol->address;
	return kallsyms_name(kernel->symbols, symbol);
}

const char *kernel_banner(const struct kernel *kernel)
{
	return kernel->banner;
}

void kernel_extent(const struct kernel *kernel, uint64_t *ret_start, uint64_t *ret_end)
{
	*ret_start = kernel->start;
	*ret_end = kernel->end;
}

const struct kallsyms *kernel_symbols(const struct kernel *kernel)
{
	return kernel->symbols;
}

const struct btf *kernel_btf(const struct kernel *kernel)
{
	return kernel->btf;
}

const struct orc *kernel_orc(const struct kernel *kernel)
{
	return kernel->orc.n ? &kernel->orc : NULL;
}

/* ---- what symbols stand for ---- */

void kernel_text(const struct kernel *kernel, uint64_t *ret_start, uint64_t *ret_end)
{
	*ret_start = kernel->start;
	*ret_end = kernel->text_end;
}

bool kernel_is_per_cpu(const struct kernel *kernel, const struct kallsyms_symbol *symbol)
{
	return symbol->address >= kernel->per_cpu_start && symbol->address < kernel->per_cpu_end;
}

uint64_t kernel_symbol_bytes(const struct kernel *kernel, const struct kallsyms_symbol *symbol)
{
	uint64_t bytes = kallsyms_distance(kernel->symbols, symbol);
	uint64_t end = kernel_is_per_cpu(kernel, symbol) ? kernel->per_cpu_end : kernel->end;

	if (!kernel_is_per_cpu(kernel, symbol) &&
	    (symbol->address < kernel->start || symbol->address >= kernel->end))
		return 0;
	return bytes < end - symbol->address ? bytes : end - symbol->address;
}

uint32_t kernel_entry_bytes(const struct kernel *kernel, const struct kallsyms_symbol *symbol)
{
	uint32_t n = (uint32_t)(symbol - kallsyms_symbol(kernel->symbols, 0));

	return kernel->entry_bytes[n] ? kernel->entry_bytes[n] : 1;
}

bool kernel_per_cpu(const struct kernel *kernel, uint64_t *ret_start, uint64_t *ret_end)
{
	*ret_start = kernel->per_cpu_start;
	*ret_end = kernel->per_cpu_end;
	return kernel->per_cpu_end > kernel->per_cpu_start;
}
