#include "gdbstub/linux/debug_elf.h"

#include <errno.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/linux/debug_info.h"
#include "gdbstub/linux/frames.h"

#define SECTIONS_MAX 16u

enum { KERNEL_PARTS_MAX = 5, MODULE_PARTS = 2 };
#define PART_NAME_BYTES (MODULE_NAME_BYTES + 8)

/* A piece of the guest's memory that is a section without content. */
struct part {
	char name[PART_NAME_BYTES];
	uint64_t start, end, flags;
	size_t index; /* of the section */
};

struct writer {
	const struct kernel *kernel;
	const struct kernel_modules *modules;
	Elf *elf;
	struct part *part; /* of the kernel; then two of each module: code and data */
	unsigned n_parts;
	struct buffer names; /* of sections */
	struct buffer symbols, symbol_names;
	uint32_t n_local;
	struct buffer frames;
	struct debug_info types;
};

/* ---- the guest's memory ---- */

static void add_part(struct writer *writer, const char *prefix, const char *name, uint64_t start,
		     uint64_t end, uint64_t flags)
{
	struct part *part = &writer->part[writer->n_parts];

	if (start >= end)
		return;
	*part = (struct part){.start = start, .end = end, .flags = SHF_ALLOC | flags};
	snprintf(part->name, sizeof(part->name), "%s%s", prefix, name);
	writer->n_parts++;
}

/* Code that is thrown away after the start lies between data. */
static void find_parts(struct writer *writer)
{
	uint64_t start, end, text_start, text_end, init_start, init_end;

	kernel_extent(writer->kernel, &start, &end);
	kernel_text(writer->kernel, &text_start, &text_end);
	init_start = init_end = text_end;
	if (!kernel_symbol(writer->kernel, "_sinittext", &init_start) ||
	    !kernel_symbol(writer->kernel, "_einittext", &init_end) || init_start < text_end ||
	    init_end < init_start || init_end > end)
		init_start = init_end = text_end;
	add_part(writer, "", ".text", start, text_end, SHF_EXECINSTR);
	add_part(writer, "", ".data", text_end, init_start, SHF_WRITE);
	add_part(writer, "", ".init.text", init_start, init_end, SHF_EXECINSTR);
	add_part(writer, "", init_end > text_end ? ".bss" : ".data", init_end, end, SHF_WRITE);
	if (kernel_per_cpu(writer->kernel, &start, &end) && end < text_start)
		add_part(writer, "", ".data..percpu", start, end, SHF_WRITE | SHF_TLS);
}

static bool find_all_parts(struct writer *writer)
{
	const struct kernel_modules *modules = writer->modules;

	writer->part =
		calloc(KERNEL_PARTS_MAX + (size_t)MODULE_PARTS * modules->n, sizeof(*writer->part));
	if (!writer->part)
		return false;
	find_parts(writer);
	for (uint32_t i = 0; i < modules->n; i++) {
		const struct kernel_module *module = &modules->module[i];
		add_part(writer, module->name, ".text", module->text, module->text_end,
			 SHF_EXECINSTR);
		add_part(writer, module->name, ".data", module->text_end, module->end, SHF_WRITE);
	}
	return true;
}

static const struct part *part_of(const struct writer *writer, uint64_t address)
{
	for (unsigned i = 0; i < writer->n_parts; i++)
		if (address >= writer->part[i].start && address < writer->part[i].end)
			return &writer->part[i];
	return NULL;
}

/* ---- symbols ---- */

static bool is_local(char type)
{
	return type >= 'a' && type <= 'z' && type != 'w' && type != 'v';
}

static uint8_t binding(char type)
{
	if (is_local(type))
		return STB_LOCAL;
	return type == 'W' || type == 'w' || type == 'V' || type == 'v' ? STB_WEAK : STB_GLOBAL;
}

static uint8_t symbol_kind(const struct part *part)
{
	if (!part)
		return STT_NOTYPE;
	if (part->flags & SHF_TLS)
		return STT_TLS;
	return part->flags & SHF_EXECINSTR ? STT_FUNC : STT_OBJECT;
}

static void put_symbol(struct writer *writer, uint64_t address, uint64_t bytes, char type,
		       const char *name)
{
	const struct part *part = part_of(writer, address);
	Elf64_Sym raw = {
		.st_name = (Elf64_Word)writer->symbol_names.n,
		.st_info = ELF64_ST_INFO(binding(type), symbol_kind(part)),
		.st_shndx = part ? (Elf64_Section)part->index : SHN_ABS,
		.st_value = address,
		.st_size = bytes,
	};

	buffer_bytes(&writer->symbols, &raw, sizeof(raw));
	buffer_text(&writer->symbol_names, name);
}

static void put_symbols_of(struct writer *writer, bool local)
{
	const struct kallsyms *symbols = kernel_symbols(writer->kernel);
	const struct kernel_modules *modules = writer->modules;

	for (uint32_t i = 0; i < kallsyms_count(symbols); i++) {
		const struct kallsyms_symbol *symbol = kallsyms_symbol(symbols, i);
		if (is_local(symbol->type) == local)
			put_symbol(writer, symbol->address,
				   kernel_symbol_bytes(writer->kernel, symbol), symbol->type,
				   kallsyms_name(symbols, symbol));
	}
	for (uint32_t i = 0; i < modules->n_symbols; i++) {
		const struct module_symbol *symbol = &modules->symbol[i];
		if (is_local(symbol->type) == local)
			put_symbol(writer, symbol->address, symbol->bytes, symbol->type,
				   (const char *)modules->names.data + symbol->name);
	}
}

/* Local symbols come first (ELF: symbol table). */
static void put_symbols(struct writer *writer)
{
	const Elf64_Sym none = {0};

	buffer_bytes(&writer->symbols, &none, sizeof(none));
	buffer_text(&writer->symbol_names, "");
	put_symbols_of(writer, true);
	writer->n_local = (uint32_t)(writer->symbols.n / sizeof(none));
	put_symbols_of(writer, false);
}

/* ---- sections ---- */

/* Adds a section; its content, where there is one, must outlive the writing. */
static Elf_Scn *add_section(struct writer *writer, const char *name, const Elf64_Shdr *header,
			    void *data, size_t n, Elf_Type type)
{
	Elf_Scn *section = elf_newscn(writer->elf);
	Elf64_Shdr *to = section ? elf64_getshdr(section) : NULL;
	Elf_Data *content = to ? elf_newdata(section) : NULL;

	if (!content)
		return NULL;
	*to = *header;
	to->sh_name = (Elf64_Word)writer->names.n;
	buffer_text(&writer->names, name);
	content->d_buf = data;
	content->d_size = n;
	content->d_type = type;
	content->d_align = header->sh_addralign;
	content->d_version = EV_CURRENT;
	return section;
}

static bool add_memory(struct writer *writer)
{
	for (unsigned i = 0; i < writer->n_parts; i++) {
		struct part *part = &writer->part[i];
		const Elf64_Shdr header = {.sh_type = SHT_NOBITS,
					   .sh_flags = part->flags,
					   .sh_addr = part->start,
					   .sh_addralign = 1};
		Elf_Scn *section = add_section(writer, part->name, &header, NULL,
					       part->end - part->start, ELF_T_BYTE);
		if (!section)
			return false;
		part->index = elf_ndxscn(section);
	}
	return true;
}

static bool add_symbol_table(struct writer *writer)
{
	const Elf64_Shdr text = {.sh_type = SHT_STRTAB, .sh_addralign = 1};
	Elf_Scn *names = add_section(writer, ".strtab", &text, writer->symbol_names.data,
				     writer->symbol_names.n, ELF_T_BYTE);
	const Elf64_Shdr table = {.sh_type = SHT_SYMTAB,
				  .sh_link = names ? (Elf64_Word)elf_ndxscn(names) : 0,
				  .sh_info = writer->n_local,
				  .sh_entsize = sizeof(Elf64_Sym),
				  .sh_addralign = 8};

	return names && add_section(writer, ".symtab", &table, writer->symbols.data,
				    writer->symbols.n, ELF_T_SYM);
}

static bool add_debug(struct writer *writer, const char *name, const void *data, size_t n)
{
	const Elf64_Shdr header = {.sh_type = SHT_PROGBITS, .sh_addralign = 1};

	/* libelf does not write to it. */
	return !n || add_section(writer, name, &header, (void *)(uintptr_t)data, n, ELF_T_BYTE);
}

static bool add_debug_sections(struct writer *writer)
{
	const struct debug_info *types = &writer->types;
	const struct btf *btf = kernel_btf(writer->kernel);
	size_t n = 0;
	const char *strings = btf ? btf_strings(btf, &n) : NULL;

	if (!add_debug(writer, ".debug_frame", writer->frames.data, writer->frames.n))
		return false;
	if (!types->info.n)
		return true;
	return add_debug(writer, ".debug_info", types->info.data, types->info.n) &&
	       add_debug(writer, ".debug_abbrev", types->abbrev.data, types->abbrev.n) &&
	       add_debug(writer, ".debug_loclists", types->loclists.data, types->loclists.n) &&
	       add_debug(writer, ".debug_str", strings, n);
}

/* Last, since the names of all sections are in it. */
static bool add_section_names(struct writer *writer, Elf64_Ehdr *file)
{
	const Elf64_Shdr header = {.sh_type = SHT_STRTAB, .sh_addralign = 1};
	Elf_Scn *section = add_section(writer, ".shstrtab", &header, NULL, 0, ELF_T_BYTE);
	Elf_Data *content = section ? elf_getdata(section, NULL) : NULL;

	if (!content || writer->names.failed)
		return false;
	content->d_buf = writer->names.data;
	content->d_size = writer->names.n;
	file->e_shstrndx = (Elf64_Half)elf_ndxscn(section);
	return true;
}

static bool write_file(struct writer *writer, int fd)
{
	elf_version(EV_CURRENT);
	writer->elf = elf_begin(fd, ELF_C_WRITE, NULL);
	Elf64_Ehdr *file = writer->elf ? elf64_newehdr(writer->elf) : NULL;
	if (!file)
		return false;
	file->e_ident[EI_DATA] = ELFDATA2LSB;
	file->e_type = ET_EXEC;
	file->e_machine = EM_X86_64;
	file->e_version = EV_CURRENT;
	buffer_text(&writer->names, "");
	if (!add_memory(writer))
		return false;
	put_symbols(writer);
	return !writer->symbols.failed && !writer->symbol_names.failed &&
	       add_symbol_table(writer) && add_debug_sections(writer) &&
	       add_section_names(writer, file) && elf_update(writer->elf, ELF_C_WRITE) >= 0;
}

int debug_elf_write(const struct kernel *kernel, const struct kernel_modules *modules, int fd)
{
	struct writer writer = {.kernel = kernel, .modules = modules};
	int error = debug_info_encode(kernel, &writer.types);

	if (error == -ENOENT)
		error = 0;
	frames_encode(kernel, modules, &writer.frames);
	if (!error && (writer.frames.failed || !find_all_parts(&writer)))
		error = -ENOMEM;
	errno = 0;
	if (!error && !write_file(&writer, fd))
		error = errno ? -errno : -EIO;
	elf_end(writer.elf);
	debug_info_finish(&writer.types);
	buffer_finish(&writer.frames);
	buffer_finish(&writer.symbols);
	buffer_finish(&writer.symbol_names);
	buffer_finish(&writer.names);
	free(writer.part);
	return error;
}
