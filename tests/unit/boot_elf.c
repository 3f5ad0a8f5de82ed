/* PVH and multiboot kernels, made by the test: what is loaded where, and what is refused. */
#include <elf.h>

#include "tests/unit/boot_fixture.h"

#define RAM_BYTES  (16u << 20)
#define KERNEL_GPA 0x200000u
#define TEXT_AT    0x200u /* in the file */
#define NOTE_AT    0x180u
#define FILE_BYTES 0x400u

static const char text[] = "kernel text";
static const uint8_t acpi[] = "RSD PTR tables";

/* An ELF kernel with one loaded segment, twice as large in memory as in the file, and a PVH note.
 */
static size_t make_elf64(uint8_t *file, bool with_note)
{
	Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			     .e_type = ET_EXEC,
			     .e_machine = EM_X86_64,
			     .e_entry = KERNEL_GPA,
			     .e_phoff = sizeof(header),
			     .e_phentsize = sizeof(Elf64_Phdr),
			     .e_phnum = 2};
	Elf64_Phdr load = {.p_type = PT_LOAD,
			   .p_offset = TEXT_AT,
			   .p_vaddr = 0xffffffff80200000,
			   .p_paddr = KERNEL_GPA,
			   .p_filesz = 0x200,
			   .p_memsz = 0x400};
	Elf64_Phdr note = {.p_type = PT_NOTE, .p_offset = NOTE_AT, .p_filesz = 36, .p_align = 4};
	const uint32_t other[] = {4, 0, 1, 0x00554e47};
	const uint32_t entry[] = {4, 4, 18, 0x006e6558, KERNEL_GPA + 0x10};

	memset(file, 0, FILE_BYTES);
	memcpy(file, &header, sizeof(header));
	memcpy(file + sizeof(header), &load, sizeof(load));
	memcpy(file + sizeof(header) + sizeof(load), &note, sizeof(note));
	memcpy(file + NOTE_AT, other, sizeof(other));
	if (with_note)
		memcpy(file + NOTE_AT + sizeof(other), entry, sizeof(entry));
	memcpy(file + TEXT_AT, text, sizeof(text));
	return FILE_BYTES;
}

/* Turns it into a 32-bit multiboot kernel; the header lies in the text. */
static size_t make_multiboot(uint8_t *file, uint32_t flags)
{
	Elf32_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
			     .e_type = ET_EXEC,
			     .e_machine = EM_386,
			     .e_entry = KERNEL_GPA + 0x20,
			     .e_phoff = sizeof(header),
			     .e_phentsize = sizeof(Elf32_Phdr),
			     .e_phnum = 1};
	Elf32_Phdr load = {.p_type = PT_LOAD,
			   .p_offset = TEXT_AT,
			   .p_vaddr = KERNEL_GPA,
			   .p_paddr = KERNEL_GPA,
			   .p_filesz = 0x200,
			   .p_memsz = 0x1400};
	uint32_t multiboot[] = {0x1badb002, flags, 0 - 0x1badb002 - flags, KERNEL_GPA + 0x40,
				KERNEL_GPA, 0,     KERNEL_GPA + 0x1400,    KERNEL_GPA + 0x30};

	memset(file, 0, FILE_BYTES);
	if (!(flags & 0x10000)) {
		memcpy(file, &header, sizeof(header));
		memcpy(file + sizeof(header), &load, sizeof(load));
	}
	memcpy(file + TEXT_AT, text, sizeof(text));
	memcpy(file + TEXT_AT + 0x40, multiboot, sizeof(multiboot));
	return FILE_BYTES;
}

static void test_pvh(void)
{
	uint8_t file[FILE_BYTES];
	struct boot_config config = {.kernel = file,
				     .kernel_bytes = make_elf64(file, true),
				     .initrd = (const uint8_t *)"initial ramdisk",
				     .initrd_bytes = 15,
				     .command_line = "one two",
				     .acpi = acpi,
				     .acpi_bytes = sizeof(acpi)};
	enum boot_kind kind;
	struct boot_error error;
	struct machine *machine;
	const struct cpu *cpu;
	uint64_t info, module, map;

	if (!tap_ok(fixture_load(&config, RAM_BYTES, &kind, &error, &machine) == 0, "PVH loads"))
		tap_note("%s", error.text);
	cpu = &machine->vcpu[0];
	info = cpu->gpr[RBX];
	tap_ok(kind == BOOT_PVH && cpu->rip == KERNEL_GPA + 0x10, "entry from the note");
	tap_ok(cpu->cr0 == (CR0_PE | CR0_ET) && cpu->cr4 == 0 && cpu->efer == 0,
	       "protected mode without paging");
	tap_ok(cpu->seg[SEG_CS].limit == UINT32_MAX && cpu->seg[SEG_CS].base == 0 &&
		       (cpu->seg[SEG_CS].attr & SEG_ATTR_DB) &&
		       !(cpu->seg[SEG_CS].attr & SEG_ATTR_L),
	       "flat 32-bit code");
	tap_ok(guest_has(machine, KERNEL_GPA, text, sizeof(text)), "segment is loaded");
	tap_ok(guest_le(machine, info, 4) == 0x336ec578 && guest_le(machine, info + 4, 4) == 1,
	       "start info, version 1");
	tap_ok(guest_has(machine, guest_le(machine, info + 24, 8), "one two", 8), "command line");
	tap_ok(guest_le(machine, info + 32, 8) == LAYOUT_ACPI_GPA &&
		       guest_has(machine, LAYOUT_ACPI_GPA, acpi, sizeof(acpi)),
	       "ACPI tables");
	module = guest_le(machine, info + 16, 8);
	tap_ok(guest_le(machine, info + 12, 4) == 1 && guest_le(machine, module + 8, 8) == 15 &&
		       guest_has(machine, guest_le(machine, module, 8), "initial ramdisk", 15),
	       "initrd is the module");
	map = guest_le(machine, info + 40, 8);
	tap_ok(guest_le(machine, info + 48, 4) == 5 && guest_le(machine, map + 8, 8) == 0xa0000 &&
		       guest_le(machine, map + 16, 4) == 1,
	       "memory map starts with low RAM");
	tap_ok(guest_le(machine, map + 2 * 24, 8) == LAYOUT_ACPI_GPA &&
		       guest_le(machine, map + 2 * 24 + 16, 4) == 3,
	       "ACPI pages are apart");
	tap_ok(guest_le(machine, map + 4 * 24, 8) == 0x100000 &&
		       guest_le(machine, map + 4 * 24 + 8, 8) == RAM_BYTES,
	       "and ends with high RAM");
	tap_ok(machine->vcpu[1].mtrr_def_type == 0x806, "MTRRs are set on all vCPUs");
	machine_destroy(machine);
}

static void check_multiboot(const struct machine *machine, uint64_t entry)
{
	const struct cpu *cpu = &machine->vcpu[0];
	uint64_t info = cpu->gpr[RBX], mods = guest_le(machine, info + 24, 4);
	uint64_t first = guest_le(machine, mods, 4), second = guest_le(machine, mods + 16, 4);

	tap_ok(cpu->gpr[RAX] == 0x2badb002 && cpu->rip == entry, "magic and entry");
	tap_ok(guest_has(machine, KERNEL_GPA, text, sizeof(text)), "loaded");
	tap_ok(guest_le(machine, info, 4) == 0x24d, "what the information has");
	tap_ok(guest_le(machine, info + 4, 4) == 640 &&
		       guest_le(machine, info + 8, 4) == RAM_BYTES / 1024,
	       "lower and upper memory");
	tap_ok(guest_has(machine, guest_le(machine, info + 16, 4), "args", 5), "command line");
	tap_ok(guest_le(machine, info + 20, 4) == 2 && first % 4096 == 0 && second % 4096 == 0 &&
		       first >= KERNEL_GPA + 0x1400 && second > first,
	       "modules lie page aligned behind the kernel and its bss");
	tap_ok(guest_has(machine, first, "initrd", 6) &&
		       guest_le(machine, mods + 4, 4) == first + 6 &&
		       guest_has(machine, second, "module", 6) &&
		       guest_has(machine, guest_le(machine, mods + 24, 4), "second", 7),
	       "their contents and strings");
	tap_ok(guest_le(machine, info + 44, 4) == 4 * 24 &&
		       guest_le(machine, guest_le(machine, info + 48, 4), 4) == 20,
	       "memory map");
	tap_ok(guest_has(machine, guest_le(machine, info + 64, 4), "reprise", 8), "loader's name");
}

static void test_multiboot(uint32_t flags, uint64_t entry)
{
	uint8_t file[FILE_BYTES];
	struct boot_module module = {(const uint8_t *)"module", 6, "second"};
	struct boot_config config = {.kernel = file,
				     .kernel_bytes = make_multiboot(file, flags),
				     .initrd = (const uint8_t *)"initrd",
				     .initrd_bytes = 6,
				     .modules = &module,
				     .n_modules = 1,
				     .command_line = "args"};
	enum boot_kind kind;
	struct boot_error error;
	struct machine *machine;

	tap_ok(fixture_load(&config, RAM_BYTES, &kind, &error, &machine) == 0 &&
		       kind == BOOT_MULTIBOOT,
	       "multiboot loads, flags 0x%x %s", flags, error.text);
	check_multiboot(machine, entry);
	machine_destroy(machine);
}

/* ---- refusals ---- */

struct damage_row {
	const char *name;
	unsigned at, bytes;
	uint64_t value;
	int err;
};

#define PHDR(field) (sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, field))

static const struct damage_row pvh_damage[] = {
	{"another machine", offsetof(Elf64_Ehdr, e_machine), 2, EM_AARCH64, -EINVAL},
	{"big endian", EI_DATA, 1, ELFDATA2MSB, -EINVAL},
	{"no program headers", offsetof(Elf64_Ehdr, e_phnum), 2, 0, -EINVAL},
	{"too many program headers", offsetof(Elf64_Ehdr, e_phnum), 2, 0xffff, -EINVAL},
	{"headers past the end", offsetof(Elf64_Ehdr, e_phoff), 8, FILE_BYTES - 8, -EINVAL},
	{"header offset that wraps", offsetof(Elf64_Ehdr, e_phoff), 8, UINT64_MAX - 8, -EINVAL},
	{"tiny program headers", offsetof(Elf64_Ehdr, e_phentsize), 2, 8, -EINVAL},
	{"segment past the end", PHDR(p_offset), 8, FILE_BYTES - 0x100, -EINVAL},
	{"segment offset that wraps", PHDR(p_offset), 8, UINT64_MAX, -EINVAL},
	{"file size that wraps", PHDR(p_filesz), 8, UINT64_MAX - 0x100, -EINVAL},
	{"memory smaller than file", PHDR(p_memsz), 8, 0x10, -EINVAL},
	{"memory size that wraps", PHDR(p_memsz), 8, UINT64_MAX, -EINVAL},
	{"memory beyond RAM", PHDR(p_memsz), 8, RAM_BYTES, -ENOMEM},
	{"address outside RAM", PHDR(p_paddr), 8, 0x80000000, -ENOMEM},
	{"address in ROM", PHDR(p_paddr), 8, LAYOUT_BIOS_GPA, -ENOMEM},
	{"address in the boot tables", PHDR(p_paddr), 8, 0x90000, -EINVAL},
	{"entry outside RAM", NOTE_AT + 32, 4, 0xfffffff0, -EINVAL},
	{"note that is no note", NOTE_AT + 16, 4, 0xffffffff, -EINVAL},
	{"first note too long", NOTE_AT + 4, 4, 0xffffffff, -EINVAL},
};

static void test_pvh_damage(void)
{
	uint8_t file[FILE_BYTES];
	struct boot_config config = {.kernel = file, .kernel_bytes = FILE_BYTES};
	enum boot_kind kind;
	struct boot_error error;

	for (unsigned i = 0; i < sizeof(pvh_damage) / sizeof(pvh_damage[0]); i++) {
		const struct damage_row *row = &pvh_damage[i];

		make_elf64(file, true);
		memcpy(file + row->at, &row->value, row->bytes);
		tap_ok(fixture_load(&config, RAM_BYTES, &kind, &error, NULL) == row->err &&
			       is_message(&error),
		       "PVH, %s: %s", row->name, error.text);
	}
	make_elf64(file, false);
	tap_ok(fixture_load(&config, RAM_BYTES, &kind, &error, NULL) == -EINVAL &&
		       is_message(&error),
	       "no note, no multiboot header: %s", error.text);
}

#define HEADER_AT (TEXT_AT + 0x40)

static const struct damage_row multiboot_damage[] = {
	{"header address below load address", HEADER_AT + 12, 4, KERNEL_GPA - 4, -EINVAL},
	{"header farther in than the file", HEADER_AT + 12, 4, KERNEL_GPA + 0x10000, -EINVAL},
	{"load end below start", HEADER_AT + 20, 4, KERNEL_GPA - 1, -EINVAL},
	{"load end past the file", HEADER_AT + 20, 4, KERNEL_GPA + 0x10000, -EINVAL},
	{"load outside RAM", HEADER_AT + 24, 4, 0xffffffff, -ENOMEM},
	{"entry outside RAM", HEADER_AT + 28, 4, 0xffffffff, -EINVAL},
};

static void test_multiboot_damage(void)
{
	uint8_t file[FILE_BYTES];
	struct boot_config config = {.kernel = file, .kernel_bytes = FILE_BYTES};
	enum boot_kind kind;
	struct boot_error error;

	for (unsigned i = 0; i < sizeof(multiboot_damage) / sizeof(multiboot_damage[0]); i++) {
		const struct damage_row *row = &multiboot_damage[i];

		make_multiboot(file, 0x10003);
		memcpy(file + row->at, &row->value, row->bytes);
		tap_ok(fixture_load(&config, RAM_BYTES, &kind, &error, NULL) == row->err &&
			       is_message(&error),
		       "multiboot, %s: %s", row->name, error.text);
	}
	make_multiboot(file, 0x8);
	tap_ok(fixture_load(&config, RAM_BYTES, &kind, &error, NULL) == -EINVAL &&
		       is_message(&error),
	       "multiboot, unknown requirement: %s", error.text);
}

/* Every length of each file: loaded or refused with a message, never anything else. */
static void test_truncation(size_t (*make)(uint8_t *file), const char *name)
{
	uint8_t file[FILE_BYTES];
	size_t bytes = make(file);
	struct boot_config config = {0};
	enum boot_kind kind;
	struct boot_error error;
	unsigned bad = 0;

	for (size_t n = 0; n < bytes; n += n < 64 ? 1 : 13) {
		uint8_t *copy = malloc(n ? n : 1); /* its own block, so that overruns are seen */
		int err;

		memcpy(copy, file, n);
		config.kernel = copy;
		config.kernel_bytes = n;
		err = fixture_load(&config, RAM_BYTES, &kind, &error, NULL);
		bad += err == -EINVAL ? !is_message(&error) : err != 0;
		free(copy);
	}
	tap_ok(bad == 0, "%s truncated anywhere", name);
}

/* Random bytes changed: no crash, and a message with every refusal. */
static void test_corruption(size_t (*make)(uint8_t *file), const char *name)
{
	uint8_t *file = malloc(FILE_BYTES);
	struct boot_config config = {.kernel = file, .kernel_bytes = FILE_BYTES};
	enum boot_kind kind;
	struct boot_error error;
	unsigned bad = 0;

	srand(3);
	for (unsigned i = 0; i < 3000; i++) {
		int err;

		make(file);
		for (unsigned k = 0; k < 3; k++)
			file[(unsigned)rand() % (i % 2 ? 0xc0 : FILE_BYTES)] = (uint8_t)rand();
		err = fixture_load(&config, RAM_BYTES, &kind, &error, NULL);
		bad += err && (!is_message(&error) || (err != -EINVAL && err != -ENOMEM));
	}
	tap_ok(bad == 0, "%s with random damage", name);
	free(file);
}

static size_t pvh_kernel(uint8_t *file)
{
	return make_elf64(file, true);
}

static size_t multiboot_kernel(uint8_t *file)
{
	return make_multiboot(file, 3);
}

static size_t multiboot_addresses(uint8_t *file)
{
	return make_multiboot(file, 0x10003);
}

static void test_limits(void)
{
	static char long_line[0x10000];
	uint8_t file[FILE_BYTES];
	struct boot_config config = {.kernel = file,
				     .kernel_bytes = make_elf64(file, true),
				     .initrd = (const uint8_t *)long_line,
				     .initrd_bytes = sizeof(long_line)};
	enum boot_kind kind;
	struct boot_error error;

	tap_ok(fixture_load(&config, KERNEL_GPA - 0x100000 + 0x1000, &kind, &error, NULL) ==
			       -ENOMEM &&
		       is_message(&error),
	       "initrd without room: %s", error.text);
	memset(long_line, 'x', sizeof(long_line) - 1);
	config.initrd = NULL;
	config.command_line = long_line;
	tap_ok(fixture_load(&config, RAM_BYTES, &kind, &error, NULL) == -EINVAL &&
		       is_message(&error),
	       "command line too long: %s", error.text);
}

int main(void)
{
	test_pvh();
	test_multiboot(3, KERNEL_GPA + 0x20);
	test_multiboot(0x10003, KERNEL_GPA + 0x30);
	test_pvh_damage();
	test_multiboot_damage();
	test_truncation(pvh_kernel, "PVH");
	test_truncation(multiboot_kernel, "multiboot ELF");
	test_truncation(multiboot_addresses, "multiboot with addresses");
	test_corruption(pvh_kernel, "PVH");
	test_corruption(multiboot_kernel, "multiboot ELF");
	test_corruption(multiboot_addresses, "multiboot with addresses");
	test_limits();
	return tap_done();
}
