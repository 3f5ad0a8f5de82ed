/*
 * bzImages: small ones made by the test with each compression, damaged ones, and the newest Debian
 * kernel under /boot where there is one.
 */
#include <elf.h>
#include <glob.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/unit/boot_fixture.h"

#define RAM_BYTES   (64u << 20)
#define KERNEL_GPA  0x1000000u
#define ELF_BYTES   0x3000u
#define IMAGE_BYTES 0x8000u
#define SETUP_BYTES 0x400u /* boot sector and one more */
#define PAYLOAD_AT  0x240u /* within the protected-mode code */
#define PACKED_MAX  (IMAGE_BYTES - SETUP_BYTES - PAYLOAD_AT)

static uint8_t elf[ELF_BYTES];

static void make_elf(void)
{
	Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			     .e_type = ET_EXEC,
			     .e_machine = EM_X86_64,
			     .e_entry = KERNEL_GPA + 0x40,
			     .e_phoff = sizeof(header),
			     .e_phentsize = sizeof(Elf64_Phdr),
			     .e_phnum = 1};
	Elf64_Phdr load = {.p_type = PT_LOAD,
			   .p_offset = 0x1000,
			   .p_paddr = KERNEL_GPA,
			   .p_filesz = 0x2000,
			   .p_memsz = 0x100000};

	memcpy(elf, &header, sizeof(header));
	memcpy(elf + sizeof(header), &load, sizeof(load));
	for (unsigned i = 0x1000; i < ELF_BYTES; i++)
		elf[i] = (uint8_t)(i * i >> 7);
}

/* ---- compression, as Linux's build does it; each returns the packed size ---- */

static size_t pack_gzip(uint8_t *out)
{
	z_stream stream = {.next_in = elf, .avail_in = ELF_BYTES};

	stream.next_out = out;
	stream.avail_out = PACKED_MAX;
	deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
	deflate(&stream, Z_FINISH);
	deflateEnd(&stream);
	return stream.total_out;
}

static size_t append_size(uint8_t *out, size_t n)
{
	uint32_t bytes = ELF_BYTES;

	memcpy(out + n, &bytes, 4);
	return n + 4;
}

static size_t pack_xz(uint8_t *out)
{
	size_t n = 0;

	lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, elf, ELF_BYTES, out, &n, PACKED_MAX);
	return append_size(out, n);
}

static size_t pack_lzma(uint8_t *out)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_options_lzma options;

	lzma_lzma_preset(&options, 6);
	if (lzma_alone_encoder(&stream, &options) != LZMA_OK)
		abort();
	stream.next_in = elf;
	stream.avail_in = ELF_BYTES;
	stream.next_out = out;
	stream.avail_out = PACKED_MAX;
	if (lzma_code(&stream, LZMA_FINISH) != LZMA_STREAM_END)
		abort();
	lzma_end(&stream);
	return append_size(out, stream.total_out);
}

static size_t pack_zstd(uint8_t *out)
{
	return append_size(out, ZSTD_compress(out, PACKED_MAX, elf, ELF_BYTES, 19));
}

/* Two blocks, although one would do, to have the seam. */
static size_t pack_lz4(uint8_t *out)
{
	static const uint8_t magic[] = {0x02, 0x21, 0x4c, 0x18};
	size_t at = sizeof(magic);

	memcpy(out, magic, sizeof(magic));
	for (unsigned half = 0; half < 2; half++) {
		uint32_t n = (uint32_t)LZ4_compress_default((char *)elf + half * (ELF_BYTES / 2),
							    (char *)out + at + 4, ELF_BYTES / 2,
							    (int)(PACKED_MAX - at - 4));

		memcpy(out + at, &n, 4);
		at += 4 + n;
	}
	return append_size(out, at);
}

/* A format that the loader does not know: the guest unpacks. */
static size_t pack_unknown(uint8_t *out)
{
	memcpy(out, "BZh9", 4);
	return append_size(out, 100);
}

/* ---- the image ---- */

static void put(uint8_t *image, unsigned at, uint64_t value, unsigned n)
{
	memcpy(image + at, &value, n);
}

static void make_image(uint8_t *image, size_t (*pack)(uint8_t *out))
{
	memset(image, 0, IMAGE_BYTES);
	image[0x1f1] = 1;
	put(image, 0x1f4, (IMAGE_BYTES - SETUP_BYTES) / 16, 4);
	put(image, 0x1fe, 0xaa55, 2);
	image[0x201] = 0x66;
	memcpy(image + 0x202, "HdrS", 4);
	put(image, 0x206, 0x20f, 2);
	image[0x211] = 1;
	put(image, 0x22c, 0x7fffffff, 4);
	image[0x234] = 1;
	put(image, 0x236, 1, 2);
	put(image, 0x238, 2047, 4);
	put(image, 0x248, PAYLOAD_AT, 4);
	put(image, 0x24c, pack(image + SETUP_BYTES + PAYLOAD_AT), 4);
	put(image, 0x258, KERNEL_GPA, 8);
	put(image, 0x260, 0x400000, 4);
}

static void test_zero_page(const struct machine *machine, const struct boot_config *config,
			   uint64_t high_ram_bytes, unsigned version)
{
	uint64_t page = machine->vcpu[0].gpr[RSI];
	uint64_t initrd = guest_le(machine, page + 0x218, 4);

	tap_ok(guest_le(machine, page + 0x202, 4) == 0x53726448 &&
		       guest_le(machine, page + 0x206, 2) == version,
	       "setup header is in the zero page");
	tap_ok(guest_le(machine, page + 0x210, 1) == 0xff &&
		       guest_le(machine, page + 0x23c, 4) == 0,
	       "loader type and subarch");
	tap_ok(guest_le(machine, page + 0x1ef, 1) == 0, "sentinel is 0");
	tap_ok(guest_le(machine, page, 8) == 0 && guest_le(machine, page + 8, 8) == 0, "no screen");
	tap_ok(guest_le(machine, page + 0x70, 8) == LAYOUT_ACPI_GPA, "RSDP");
	tap_ok(guest_has(machine, guest_le(machine, page + 0x228, 4), config->command_line,
			 strlen(config->command_line) + 1),
	       "command line");
	tap_ok(guest_le(machine, page + 0x21c, 4) == config->initrd_bytes && initrd % 4096 == 0 &&
		       initrd + config->initrd_bytes <= 0x100000 + high_ram_bytes &&
		       guest_has(machine, initrd, config->initrd, config->initrd_bytes),
	       "initrd high in RAM, at 0x%jx", (uintmax_t)initrd);
	tap_ok(guest_le(machine, page + 0x1e8, 1) == 5 &&
		       guest_le(machine, page + 0x2d0 + 4 * 20, 8) == 0x100000 &&
		       guest_le(machine, page + 0x2d0 + 4 * 20 + 8, 8) == high_ram_bytes &&
		       guest_le(machine, page + 0x2d0 + 4 * 20 + 16, 4) == 1,
	       "e820 map");
}

/* The protocol's state at the 64-bit entry; addresses below 4 GiB are mapped to themselves. */
static void test_entry(const struct machine *machine)
{
	const struct cpu *cpu = &machine->vcpu[0];
	uint64_t gva = 0xfeedf123, table = cpu->cr3, entry;

	tap_ok((cpu->cr0 & (CR0_PE | CR0_PG)) == (CR0_PE | CR0_PG) && (cpu->cr4 & CR4_PAE) &&
		       (cpu->efer & EFER_LMA),
	       "long mode");
	tap_ok(cpu->seg[SEG_CS].selector == 0x10 && (cpu->seg[SEG_CS].attr & SEG_ATTR_L) &&
		       cpu->seg[SEG_DS].selector == 0x18 && cpu->seg[SEG_SS].selector == 0x18,
	       "segments");
	tap_ok(guest_le(machine, cpu->gdtr.base + 0x10, 8) == 0x00af9b000000ffff &&
		       cpu->gdtr.limit == 31,
	       "GDT");
	table = guest_le(machine, table + 8 * (gva >> 39 & 511), 8) & ~0xfffull;
	table = guest_le(machine, table + 8 * (gva >> 30 & 511), 8) & ~0xfffull;
	entry = guest_le(machine, table + 8 * (gva >> 21 & 511), 8);
	tap_ok(entry == ((gva & ~0x1fffffull) | 0x83), "identity map");
	tap_ok(!(cpu->rflags_rest & FLAG_IF), "interrupts are off");
}

static void test_format(const char *name, size_t (*pack)(uint8_t *out), uint64_t entry)
{
	static uint8_t image[IMAGE_BYTES];
	struct boot_config config = {.kernel = image,
				     .kernel_bytes = IMAGE_BYTES,
				     .initrd = (const uint8_t *)"ramdisk",
				     .initrd_bytes = 7,
				     .command_line = "console=ttyS0",
				     .acpi = (const uint8_t *)"RSD PTR ",
				     .acpi_bytes = 8};
	enum boot_kind kind;
	struct boot_error error;
	struct machine *machine;

	make_image(image, pack);
	tap_ok(fixture_load(&config, RAM_BYTES, &kind, &error, &machine) == 0 &&
		       kind == BOOT_BZIMAGE && machine->vcpu[0].rip == entry,
	       "bzImage, %s %s", name, error.text);
	if (entry == KERNEL_GPA + 0x40)
		tap_ok(guest_has(machine, KERNEL_GPA, elf + 0x1000, 0x2000), "kernel is unpacked");
	else
		tap_ok(guest_has(machine, KERNEL_GPA, image + SETUP_BYTES,
				 IMAGE_BYTES - SETUP_BYTES),
		       "kernel is loaded as it is");
	test_zero_page(machine, &config, RAM_BYTES, 0x20f);
	test_entry(machine);
	machine_destroy(machine);
}

/* ---- damage ---- */

static const struct {
	const char *name;
	unsigned at, bytes;
	uint64_t value;
	int err;
} damage[] = {
	{"old protocol", 0x206, 2, 0x20b, -EINVAL},
	{"short header", 0x201, 1, 0x20, -EINVAL},
	{"32-bit kernel", 0x236, 2, 0, -EINVAL},
	{"code size past the end", 0x1f4, 4, IMAGE_BYTES, -EINVAL},
	{"setup past the end", 0x1f1, 1, 0xff, -EINVAL},
	{"payload past the code", 0x248, 4, IMAGE_BYTES, -EINVAL},
	{"payload size past the code", 0x24c, 4, 0xffffffff, -EINVAL},
	{"initrd limit below the kernel", 0x22c, 4, 0x800000, -ENOMEM},
	{"command line limit", 0x238, 4, 3, -EINVAL},
};

static void test_damage(void)
{
	static uint8_t image[IMAGE_BYTES];
	struct boot_config config = {.kernel = image,
				     .kernel_bytes = IMAGE_BYTES,
				     .initrd = (const uint8_t *)"ramdisk",
				     .initrd_bytes = 7,
				     .command_line = "console=ttyS0"};
	enum boot_kind kind;
	struct boot_error error;

	for (unsigned i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		make_image(image, pack_xz);
		put(image, damage[i].at, damage[i].value, damage[i].bytes);
		tap_ok(fixture_load(&config, RAM_BYTES, &kind, &error, NULL) == damage[i].err &&
			       is_message(&error),
		       "%s: %s", damage[i].name, error.text);
	}
	tap_ok(fixture_load(&config, 8u << 20, &kind, &error, NULL) != 0 && is_message(&error),
	       "RAM too small: %s", error.text);
	memset(image, 0, IMAGE_BYTES);
	tap_ok(fixture_load(&config, RAM_BYTES, &kind, &error, NULL) == -EINVAL &&
		       is_message(&error),
	       "no kernel at all: %s", error.text);
}

/* The payload of every format, with one byte changed: refused, or the same size comes out. */
static void test_payload_damage(const char *name, size_t (*pack)(uint8_t *out))
{
	static uint8_t image[IMAGE_BYTES];
	struct boot_config config = {.kernel = image, .kernel_bytes = IMAGE_BYTES};
	enum boot_kind kind;
	struct boot_error error;
	unsigned bad = 0, refused = 0;

	srand(5);
	for (unsigned i = 0; i < 200; i++) {
		uint32_t n;
		int err;

		make_image(image, pack);
		memcpy(&n, image + 0x24c, 4);
		image[SETUP_BYTES + PAYLOAD_AT + (unsigned)rand() % n] ^=
			(uint8_t)(1 << rand() % 8);
		err = fixture_load(&config, RAM_BYTES, &kind, &error, NULL);
		refused += err != 0;
		bad += err && (!is_message(&error) || (err != -EINVAL && err != -ENOMEM));
	}
	tap_ok(bad == 0 && refused > 0, "%s payload with a bit flipped (%u of 200 refused)", name,
	       refused);
}

static void test_truncation(void)
{
	static uint8_t image[IMAGE_BYTES];
	struct boot_config config = {0};
	enum boot_kind kind;
	struct boot_error error;
	unsigned bad = 0;

	make_image(image, pack_zstd);
	for (size_t n = 0; n < IMAGE_BYTES; n += n < 0x280 ? 3 : 997) {
		uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, image, n);
		config.kernel = copy;
		config.kernel_bytes = n;
		bad += fixture_load(&config, RAM_BYTES, &kind, &error, NULL) != -EINVAL ||
		       !is_message(&error);
		free(copy);
	}
	tap_ok(bad == 0, "truncated anywhere: refused");
}

/* The header counts paragraphs of 16 bytes; the file's last may be incomplete. */
static void test_last_paragraph(void)
{
	uint8_t *image = malloc(IMAGE_BYTES);
	struct boot_config config = {.kernel = image};
	struct boot_error error;
	enum boot_kind kind;
	int shortest, too_short;

	make_image(image, pack_unknown);
	config.kernel_bytes = IMAGE_BYTES - 15;
	shortest = fixture_load(&config, RAM_BYTES, &kind, &error, NULL);
	config.kernel_bytes = IMAGE_BYTES - 16;
	too_short = fixture_load(&config, RAM_BYTES, &kind, &error, NULL);
	tap_ok(shortest == 0 && too_short == -EINVAL, "an incomplete last paragraph is taken");
	free(image);
}

/* ---- the real one ---- */

static uint8_t *read_file(const char *path, size_t *ret_bytes)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	long bytes;

	if (!file)
		return NULL;
	fseek(file, 0, SEEK_END);
	bytes = ftell(file);
	rewind(file);
	data = malloc((size_t)bytes);
	*ret_bytes = data ? fread(data, 1, (size_t)bytes, file) : 0;
	fclose(file);
	return data;
}

static void check_debian(const uint8_t *kernel, size_t bytes)
{
	struct boot_config config = {.kernel = kernel,
				     .kernel_bytes = bytes,
				     .initrd = (const uint8_t *)"ramdisk",
				     .initrd_bytes = 7,
				     .command_line = "console=ttyS0 quiet",
				     .acpi = (const uint8_t *)"RSD PTR ",
				     .acpi_bytes = 8};
	enum boot_kind kind;
	struct boot_error error;
	struct machine *machine;

	if (tap_ok(fixture_load(&config, 256u << 20, &kind, &error, &machine) == 0, "loads %s",
		   error.text)) {
		uint64_t rip = machine->vcpu[0].rip;
		unsigned version = kernel[0x206] | kernel[0x207] << 8;

		tap_ok(rip == guest_le(machine, machine->vcpu[0].gpr[RSI] + 0x258, 8),
		       "entry 0x%jx is where the kernel prefers to be", (uintmax_t)rip);
		tap_ok(guest_le(machine, rip, 8) != 0, "there is code");
		test_zero_page(machine, &config, 256u << 20, version);
		test_entry(machine);
	}
	machine_destroy(machine);
	config.kernel_bytes = bytes / 2;
	tap_ok(fixture_load(&config, 256u << 20, &kind, &error, NULL) == -EINVAL &&
		       is_message(&error),
	       "half of it: %s", error.text);
	config.kernel_bytes = bytes;
	tap_ok(fixture_load(&config, 32u << 20, &kind, &error, NULL) == -ENOMEM &&
		       is_message(&error),
	       "32 MiB of RAM: %s", error.text);
}

static void test_debian(void)
{
	glob_t found;
	uint8_t *kernel = NULL;
	size_t bytes = 0;

	if (glob("/boot/vmlinuz-*", 0, NULL, &found) == 0) {
		tap_note("%s", found.gl_pathv[found.gl_pathc - 1]);
		kernel = read_file(found.gl_pathv[found.gl_pathc - 1], &bytes);
		globfree(&found);
	}
	if (kernel && bytes)
		check_debian(kernel, bytes);
	else
		tap_skip("no kernel under /boot");
	free(kernel);
}

static const struct {
	const char *name;
	size_t (*pack)(uint8_t *out);
} formats[] = {
	{"gzip", pack_gzip}, {"xz", pack_xz},   {"lzma", pack_lzma},
	{"zstd", pack_zstd}, {"lz4", pack_lz4},
};

int main(void)
{
	make_elf();
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		test_format(formats[i].name, formats[i].pack, KERNEL_GPA + 0x40);
		test_payload_damage(formats[i].name, formats[i].pack);
	}
	test_format("unknown format", pack_unknown, KERNEL_GPA + 0x200);
	test_damage();
	test_truncation();
	test_last_paragraph();
	test_debian();
	return tap_done();
}
