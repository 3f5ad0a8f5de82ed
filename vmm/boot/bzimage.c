/*
 * Linux bzImage by the 64-bit boot protocol (Linux, Documentation/x86/boot.rst and zero-page.rst).
 *
 * The compressed kernel in it is unpacked here and entered directly where its format is known; else
 * the guest runs the image's own decompressor. The kernel then runs at the address it was linked
 * for: address randomisation of the kernel image is the decompressor's work, so there is none.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/boot/elf_image.h"
#include "vmm/boot/entry.h"
#include "vmm/boot/loader.h"
#include "vmm/boot/payload.h"
#include "vmm/devices/layout.h"

/* The setup header: offsets in the file and, the same, in the zero page. */
#define SETUP_START         0x1f1u
#define SETUP_SECTS         0x1f1u
#define SETUP_SYSSIZE       0x1f4u
#define SETUP_BOOT_FLAG     0x1feu
#define SETUP_HEADER_LENGTH 0x201u /* counts from the byte after it */
#define SETUP_MAGIC         0x202u
#define SETUP_VERSION       0x206u
#define SETUP_LOADER_TYPE   0x210u
#define SETUP_RAMDISK_GPA   0x218u
#define SETUP_RAMDISK_BYTES 0x21cu
#define SETUP_CMDLINE_GPA   0x228u
#define SETUP_INITRD_MAX    0x22cu
#define SETUP_RELOCATABLE   0x234u
#define SETUP_XLOADFLAGS    0x236u
#define SETUP_CMDLINE_MAX   0x238u
#define SETUP_SUBARCH       0x23cu
#define SETUP_PAYLOAD       0x248u
#define SETUP_PAYLOAD_BYTES 0x24cu
#define SETUP_PREF_ADDRESS  0x258u
#define SETUP_INIT_SIZE     0x260u
#define SETUP_END_MIN       0x264u /* the fields above are there */
#define SETUP_END_MAX       0x290u

#define ZERO_PAGE_RSDP         0x070u
#define ZERO_PAGE_EXT_RAMDISK  0x0c0u
#define ZERO_PAGE_EXT_SIZE     0x0c4u
#define ZERO_PAGE_EXT_CMDLINE  0x0c8u
#define ZERO_PAGE_E820_ENTRIES 0x1e8u
#define ZERO_PAGE_E820         0x2d0u
#define E820_ENTRY_BYTES       20u

#define BOOT_FLAG           0xaa55u
#define MAGIC               "HdrS"
#define VERSION_MIN         0x20cu /* the first with xloadflags */
#define XLOADFLAG_KERNEL_64 1u
#define LOADER_TYPE_OTHER   0xff
#define ENTRY_64_OFFSET     0x200u
#define SECTOR_BYTES        512u
#define PARAGRAPH_BYTES     16u
#define SETUP_SECTS_DEFAULT 4u /* what 0 means */
#define LOAD_GPA_DEFAULT    0x100000u

/* The image's parts, checked. */
struct bzimage {
	const uint8_t *file;
	const uint8_t *code; /* protected-mode code */
	uint64_t code_bytes;
	uint64_t load_gpa, init_bytes;
	const uint8_t *payload;
	uint64_t payload_bytes;
};

static uint64_t get_le(const uint8_t *at, unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

static void put_le(uint8_t *at, uint64_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

bool bzimage_recognize(const uint8_t *kernel, size_t bytes)
{
	return bytes >= SETUP_VERSION && get_le(kernel + SETUP_BOOT_FLAG, 2) == BOOT_FLAG &&
	       memcmp(kernel + SETUP_MAGIC, MAGIC, 4) == 0;
}

/* ---- the image ---- */

static int check_header(const struct loader *loader, const uint8_t *file, size_t bytes)
{
	if (bytes < SETUP_END_MIN)
		return loader_fail(loader, -EINVAL, "bzImage is truncated within its header");
	if (get_le(file + SETUP_VERSION, 2) < VERSION_MIN ||
	    SETUP_MAGIC + file[SETUP_HEADER_LENGTH] < SETUP_END_MIN)
		return loader_fail(loader, -EINVAL,
				   "bzImage has boot protocol 0x%x, too old; 0x%x is needed",
				   (unsigned)get_le(file + SETUP_VERSION, 2), VERSION_MIN);
	if (!(get_le(file + SETUP_XLOADFLAGS, 2) & XLOADFLAG_KERNEL_64))
		return loader_fail(loader, -EINVAL, "bzImage is not a 64-bit kernel");
	return 0;
}

static int parse_image(const struct loader *loader, struct bzimage *ret_image)
{
	const uint8_t *file = loader->config->kernel;
	size_t bytes = loader->config->kernel_bytes;
	uint64_t sectors, code, payload;
	int err = check_header(loader, file, bytes);

	if (err)
		return err;
	sectors = file[SETUP_SECTS] ? file[SETUP_SECTS] : SETUP_SECTS_DEFAULT;
	code = (sectors + 1) * SECTOR_BYTES;
	ret_image->file = file;
	ret_image->code_bytes = get_le(file + SETUP_SYSSIZE, 4) * PARAGRAPH_BYTES;
	if (code > bytes || ret_image->code_bytes > bytes - code + PARAGRAPH_BYTES - 1)
		return loader_fail(loader, -EINVAL,
				   "bzImage is truncated: its header names %ju bytes, it has %zu",
				   (uintmax_t)(code + ret_image->code_bytes), bytes);
	/* The header counts whole paragraphs; the file may end within the last (memtest86+'s does).
	 */
	if (ret_image->code_bytes > bytes - code)
		ret_image->code_bytes = bytes - code;
	ret_image->code = file + code;
	payload = get_le(file + SETUP_PAYLOAD, 4);
	ret_image->payload_bytes = get_le(file + SETUP_PAYLOAD_BYTES, 4);
	if (payload > ret_image->code_bytes ||
	    ret_image->payload_bytes > ret_image->code_bytes - payload)
		return loader_fail(loader, -EINVAL, "bzImage's payload lies outside the image");
	ret_image->payload = ret_image->code + payload;
	ret_image->load_gpa =
		file[SETUP_RELOCATABLE] ? get_le(file + SETUP_PREF_ADDRESS, 8) : LOAD_GPA_DEFAULT;
	ret_image->init_bytes = get_le(file + SETUP_INIT_SIZE, 4);
	return 0;
}

/* ---- loading the kernel ---- */

static int load_elf(struct loader *loader, const uint8_t *data, size_t bytes, uint64_t *ret_entry)
{
	struct elf_image elf;
	const char *problem;
	int err = elf_image_parse(data, bytes, &elf, &problem);

	if (err)
		return loader_fail(loader, err, "the kernel inside the bzImage is unusable: %s",
				   problem);
	if (!elf.is_64)
		return loader_fail(loader, -EINVAL, "the kernel inside the bzImage is not 64-bit");
	err = elf_image_load(&elf, loader);
	if (err == 0)
		*ret_entry = elf.entry;
	return err;
}

static int load_unpacked(struct loader *loader, const struct bzimage *image, uint64_t *ret_entry)
{
	const char *problem;
	uint8_t *data;
	size_t bytes;
	int err = payload_unpack(image->payload, image->payload_bytes, loader->low_ram_end, &data,
				 &bytes, &problem);

	if (err == -ENOMEM)
		return loader_fail(loader, err, "the unpacked kernel does not fit into memory");
	if (err)
		return loader_fail(loader, err, "bzImage: %s", problem);
	err = load_elf(loader, data, bytes, ret_entry);
	free(data);
	return err;
}

/* The guest's own decompressor: needs init_bytes from load_gpa on. */
static int load_packed(struct loader *loader, const struct bzimage *image, uint64_t *ret_entry)
{
	uint64_t bytes =
		image->init_bytes > image->code_bytes ? image->init_bytes : image->code_bytes;
	int err =
		loader_put_segment(loader, image->load_gpa, image->code, image->code_bytes, bytes);

	if (err == 0)
		*ret_entry = image->load_gpa + ENTRY_64_OFFSET;
	return err;
}

/* ---- the zero page ---- */

static void put_e820(const struct loader *loader, uint8_t *page)
{
	struct map_entry map[MAP_MAX_ENTRIES];
	unsigned n = loader_memory_map(loader, map);

	page[ZERO_PAGE_E820_ENTRIES] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		uint8_t *entry = page + ZERO_PAGE_E820 + i * E820_ENTRY_BYTES;

		put_le(entry, map[i].gpa, 8);
		put_le(entry + 8, map[i].bytes, 8);
		put_le(entry + 16, map[i].type, 4);
	}
}

static int put_initrd(struct loader *loader, uint8_t *page)
{
	const struct boot_config *config = loader->config;
	uint64_t limit = get_le(page + SETUP_INITRD_MAX, 4) + 1, gpa;
	int err;

	if (!config->initrd || config->initrd_bytes == 0)
		return 0;
	err = loader_put_high(loader, config->initrd, config->initrd_bytes, limit, &gpa);
	if (err)
		return err;
	put_le(page + SETUP_RAMDISK_GPA, gpa, 4);
	put_le(page + SETUP_RAMDISK_BYTES, config->initrd_bytes, 4);
	put_le(page + ZERO_PAGE_EXT_RAMDISK, gpa >> 32, 4);
	put_le(page + ZERO_PAGE_EXT_SIZE, (uint64_t)config->initrd_bytes >> 32, 4);
	return 0;
}

static int put_command_line(struct loader *loader, uint8_t *page)
{
	const char *text = loader->config->command_line;
	uint64_t max = get_le(page + SETUP_CMDLINE_MAX, 4), gpa;
	int err;

	if (text && strlen(text) > max)
		return loader_fail(loader, -EINVAL,
				   "the command line has %zu bytes, the kernel takes %ju",
				   strlen(text), (uintmax_t)max);
	err = loader_put_string(loader, text, &gpa);
	if (err)
		return err;
	put_le(page + SETUP_CMDLINE_GPA, gpa, 4);
	put_le(page + ZERO_PAGE_EXT_CMDLINE, gpa >> 32, 4);
	return 0;
}

/* All of it is 0 but what is set here; screen_info too: there is no VGA. */
static int put_zero_page(struct loader *loader, const struct bzimage *image, uint64_t *ret_gpa)
{
	uint8_t page[PAGE_BYTES] = {0};
	unsigned end = SETUP_MAGIC + image->file[SETUP_HEADER_LENGTH];
	int err;

	if (end > SETUP_END_MAX)
		end = SETUP_END_MAX;
	if (end > loader->config->kernel_bytes)
		end = (unsigned)loader->config->kernel_bytes;
	memcpy(page + SETUP_START, image->file + SETUP_START, end - SETUP_START);
	page[SETUP_LOADER_TYPE] = LOADER_TYPE_OTHER;
	put_le(page + SETUP_SUBARCH, 0, 4);
	put_le(page + SETUP_RAMDISK_GPA, 0, 8);
	if (loader->config->acpi_bytes)
		put_le(page + ZERO_PAGE_RSDP, LAYOUT_ACPI_GPA, 8);
	put_e820(loader, page);
	err = put_initrd(loader, page);
	if (err == 0)
		err = put_command_line(loader, page);
	return err ? err : loader_put(loader, page, sizeof(page), PAGE_BYTES, ret_gpa);
}

int bzimage_load(struct loader *loader)
{
	struct bzimage image = {0};
	uint64_t entry, zero_page;
	int err = parse_image(loader, &image);

	if (err)
		return err;
	if (payload_known(image.payload, image.payload_bytes))
		err = load_unpacked(loader, &image, &entry);
	else
		err = load_packed(loader, &image, &entry);
	if (err == 0)
		err = put_zero_page(loader, &image, &zero_page);
	return err ? err : entry_64(loader, entry, zero_page);
}
