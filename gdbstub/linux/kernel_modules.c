/*
 * Linux keeps its modules in a list (kernel/module/main.c: "modules"). Each has an ELF symbol table
 * with addresses filled in, the letters of nm beside it (struct mod_kallsyms), and its part of the
 * ORC tables (struct mod_arch_specific).
 */
#include "gdbstub/linux/kernel_modules.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/mmu/mmu.h"

#define MODULES_MAX       1024u
#define ALL_SYMBOLS_MAX   (1u << 20)
#define MODULE_MAX_BYTES  (UINT64_C(64) << 20)
#define ALL_ROWS_MAX      (1u << 20)
#define SYMBOL_NAME_BYTES 512u
#define KERNEL_HALF       UINT64_C(0xffff800000000000)

/* Where the parts of struct module and of struct mod_kallsyms lie. */
struct layout {
	uint32_t list, name, kallsyms, base, size, text_size;
	uint32_t n_orc, orc_ip, orc_entries;
	bool has_orc, has_sizes;
	uint32_t symbols, n_symbols, strings, types;
	bool has_types;
};

struct reader {
	const struct cpu *cpu;
	const struct kernel *kernel;
	struct layout at;
	struct kernel_modules *modules;
	uint32_t symbols_left, rows_left; /* how many more may be looked at */
};

/* ---- kernel memory ---- */

static bool read_memory(const struct reader *reader, uint64_t address, void *buffer, size_t n)
{
	return mmu_peek_read(reader->cpu, address, buffer, n);
}

static uint64_t read_word(const struct reader *reader, uint64_t address)
{
	uint64_t value;

	return read_memory(reader, address, &value, sizeof(value)) ? value : 0;
}

static uint32_t read_half(const struct reader *reader, uint64_t address)
{
	uint32_t value;

	return read_memory(reader, address, &value, sizeof(value)) ? value : 0;
}

/* A name of at most n - 1 printable characters. Returns false for anything else. */
static bool read_name(const struct reader *reader, uint64_t address, char *text, size_t n)
{
	size_t done = 0;

	while (done < n) {
		size_t here = PAGE_BYTES - (address + done) % PAGE_BYTES;
		if (here > n - done)
			here = n - done;
		if (!read_memory(reader, address + done, text + done, here))
			return false;
		for (size_t i = done; i < done + here; i++) {
			if (!text[i])
				return i > 0;
			if (text[i] <= ' ' || text[i] >= 0x7f)
				return false;
		}
		done += here;
	}
	return false;
}

/* ---- layout ---- */

static bool find_layout(const struct btf *btf, struct layout *at)
{
	uint32_t bytes;

	if (!btf_member(btf, "module", "list", &at->list, &bytes) ||
	    !btf_member(btf, "module", "name", &at->name, &bytes) ||
	    !btf_member(btf, "module", "kallsyms", &at->kallsyms, &bytes) ||
	    !btf_member(btf, "mod_kallsyms", "symtab", &at->symbols, &bytes) ||
	    !btf_member(btf, "mod_kallsyms", "num_symtab", &at->n_symbols, &bytes) ||
	    !btf_member(btf, "mod_kallsyms", "strtab", &at->strings, &bytes))
		return false;
	at->has_types = btf_member(btf, "mod_kallsyms", "typetab", &at->types, &bytes);
	at->has_orc = btf_member(btf, "module", "arch.num_orcs", &at->n_orc, &bytes) &&
		      btf_member(btf, "module", "arch.orc_unwind_ip", &at->orc_ip, &bytes) &&
		      btf_member(btf, "module", "arch.orc_unwind", &at->orc_entries, &bytes);
	at->has_sizes = btf_member(btf, "module", "core_layout.text_size", &at->text_size, &bytes);
	if (at->has_sizes)
		return btf_member(btf, "module", "core_layout.base", &at->base, &bytes) &&
		       btf_member(btf, "module", "core_layout.size", &at->size, &bytes);
	/* Since Linux 6.4: an array of struct module_memory, code first. */
	uint32_t mem, base, size;
	if (!btf_member(btf, "module", "mem", &mem, &bytes) ||
	    !btf_member(btf, "module_memory", "base", &base, &bytes) ||
	    !btf_member(btf, "module_memory", "size", &size, &bytes))
		return false;
	at->base = mem + base;
	at->size = mem + size;
	return true;
}

/* ---- a module ---- */

/* The letter of a symbol where the kernel keeps none beside the table. */
static char guess_type(const struct kernel_module *module, const Elf64_Sym *symbol)
{
	bool text = symbol->st_value >= module->text && symbol->st_value < module->text_end;

	if (ELF64_ST_BIND(symbol->st_info) == STB_LOCAL)
		return text ? 't' : 'd';
	return text ? 'T' : 'D';
}

static void take_symbol(struct reader *reader, const struct kernel_module *module,
			const Elf64_Sym *symbol, uint64_t strings, char type)
{
	struct kernel_modules *modules = reader->modules;
	char name[SYMBOL_NAME_BYTES];

	if (symbol->st_shndx == SHN_UNDEF || symbol->st_value < module->text ||
	    symbol->st_value >= module->end ||
	    !read_name(reader, strings + symbol->st_name, name, sizeof(name)))
		return;
	if (!((type >= 'A' && type <= 'Z') || (type >= 'a' && type <= 'z')))
		type = guess_type(module, symbol);
	modules->symbol[modules->n_symbols++] = (struct module_symbol){
		.address = symbol->st_value,
		.bytes = symbol->st_size <= module->end - symbol->st_value ? symbol->st_size : 0,
		.name = (uint32_t)modules->names.n,
		.type = type,
	};
	buffer_text(&modules->names, name);
}

static int read_symbols(struct reader *reader, uint64_t address, struct kernel_module *module)
{
	const struct layout *at = &reader->at;
	struct kernel_modules *modules = reader->modules;
	uint64_t table = read_word(reader, address + at->kallsyms);
	uint64_t symbols = read_word(reader, table + at->symbols);
	uint64_t strings = read_word(reader, table + at->strings);
	uint64_t types = at->has_types ? read_word(reader, table + at->types) : 0;
	uint32_t n = read_half(reader, table + at->n_symbols);

	module->symbol = modules->n_symbols;
	if (!table || n > reader->symbols_left)
		return 0;
	reader->symbols_left -= n;
	struct module_symbol *grown = realloc(
		modules->symbol, ((size_t)modules->n_symbols + n + 1) * sizeof(*modules->symbol));
	if (!grown)
		return -ENOMEM;
	modules->symbol = grown;
	for (uint32_t i = 0; i < n; i++) {
		Elf64_Sym symbol;
		char type = 0;
		if (!read_memory(reader, symbols + i * sizeof(symbol), &symbol, sizeof(symbol)))
			break;
		if (types)
			read_memory(reader, types + i, &type, 1);
		take_symbol(reader, module, &symbol, strings, type);
	}
	module->n_symbols = modules->n_symbols - module->symbol;
	return modules->names.failed ? -ENOMEM : 0;
}

static int read_orc(struct reader *reader, uint64_t address, struct kernel_module *module)
{
	const struct layout *at = &reader->at;
	uint64_t ips = read_word(reader, address + at->orc_ip);
	uint64_t entries = read_word(reader, address + at->orc_entries);
	uint32_t n = read_half(reader, address + at->n_orc);

	if (!at->has_orc || !kernel_orc(reader->kernel) || !n || n > reader->rows_left)
		return 0;
	reader->rows_left -= n;
	uint8_t *copy = malloc((size_t)n * (ORC_IP_BYTES + ORC_ENTRY_BYTES));
	if (!copy)
		return -ENOMEM;
	uint8_t *rows = copy + (size_t)n * ORC_IP_BYTES;
	int error = 0;
	if (read_memory(reader, ips, copy, (size_t)n * ORC_IP_BYTES) &&
	    read_memory(reader, entries, rows, (size_t)n * ORC_ENTRY_BYTES))
		error = orc_make(copy, ips, rows, n, kernel_orc(reader->kernel)->new_format,
				 module->text, module->text_end, &module->orc);
	free(copy);
	return error == -ENOMEM ? error : 0;
}

/* Returns 1 when it was taken in, 0 when it does not look like a module, or -ENOMEM. */
static int read_module(struct reader *reader, uint64_t address, struct kernel_module *module)
{
	const struct layout *at = &reader->at;
	uint64_t size = read_half(reader, address + at->size);
	uint64_t text_size = at->has_sizes ? read_half(reader, address + at->text_size) : size;

	*module = (struct kernel_module){.text = read_word(reader, address + at->base)};
	if (module->text < KERNEL_HALF || !size || size > MODULE_MAX_BYTES || text_size > size ||
	    module->text + size < module->text ||
	    !read_name(reader, address + at->name, module->name, sizeof(module->name)))
		return 0;
	module->text_end = module->text + text_size;
	module->end = module->text + size;
	int error = read_symbols(reader, address, module);
	if (!error)
		error = read_orc(reader, address, module);
	return error ? error : 1;
}

/* ---- all of them ---- */

static int compare(const void *a, const void *b)
{
	const struct kernel_module *left = a, *right = b;

	return left->text < right->text ? -1 : left->text > right->text;
}

/* Sections must not overlap: of two modules that do, a guest lies. */
static bool are_apart(const struct kernel_modules *modules)
{
	for (uint32_t i = 1; i < modules->n; i++)
		if (modules->module[i].text < modules->module[i - 1].end)
			return false;
	return true;
}

static int read_list(struct reader *reader, uint64_t head)
{
	struct kernel_modules *modules = reader->modules;
	uint64_t at = read_word(reader, head);

	modules->module = calloc(MODULES_MAX, sizeof(*modules->module));
	if (!modules->module)
		return -ENOMEM;
	for (unsigned i = 0; i < MODULES_MAX && at && at != head; i++) {
		int taken = read_module(reader, at - reader->at.list, &modules->module[modules->n]);
		if (taken < 0)
			return taken;
		modules->n += (uint32_t)taken;
		at = read_word(reader, at);
	}
	qsort(modules->module, modules->n, sizeof(*modules->module), compare);
	return 0;
}

int kernel_modules_read(const struct machine *machine, const struct kernel *kernel,
			struct kernel_modules *ret_modules)
{
	struct kernel_modules modules = {0};
	struct reader reader = {.cpu = &machine->vcpu[machine->current],
				.kernel = kernel,
				.modules = &modules,
				.symbols_left = ALL_SYMBOLS_MAX,
				.rows_left = ALL_ROWS_MAX};
	uint64_t head;
	int error = 0;

	if (cpu_long_mode(reader.cpu) && kernel_btf(kernel) &&
	    find_layout(kernel_btf(kernel), &reader.at) && kernel_symbol(kernel, "modules", &head))
		error = read_list(&reader, head);
	if (error || !are_apart(&modules))
		kernel_modules_finish(&modules);
	*ret_modules = modules;
	return error;
}

void kernel_modules_finish(struct kernel_modules *modules)
{
	for (uint32_t i = 0; i < modules->n; i++)
		orc_finish(&modules->module[i].orc);
	free(modules->module);
	free(modules->symbol);
	buffer_finish(&modules->names);
	*modules = (struct kernel_modules){0};
}
