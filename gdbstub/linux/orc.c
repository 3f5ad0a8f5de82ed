#include "gdbstub/linux/orc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IP_BYTES    4u
#define ENTRY_BYTES 6u
#define ROWS_MAX    (4u << 20)
#define TYPES       8u

/* An entry: sp_offset and bp_offset, s16 each; then from bit 0 on sp_reg:4, bp_reg:4 and the type.
 */
struct entry {
	int16_t sp_offset, bp_offset;
	uint8_t sp_register, bp_register, type;
};

static struct entry get_entry(const uint8_t *at)
{
	struct entry entry;
	uint16_t bits;

	memcpy(&entry.sp_offset, at, 2);
	memcpy(&entry.bp_offset, at + 2, 2);
	memcpy(&bits, at + 4, 2);
	entry.sp_register = bits & 0xf;
	entry.bp_register = bits >> 4 & 0xf;
	entry.type = bits >> 8 & (TYPES - 1);
	return entry;
}

/*
 * Since Linux 6.4 the type has three bits and begins with "undefined" and "end of stack"; before it
 * had two, 0 was a call, and no base register told the other two. What holds at the beginning of
 * nearly every function is a call.
 */
static bool is_new_format(const uint8_t *entries, uint32_t n)
{
	uint32_t count[TYPES] = {0};

	for (uint32_t i = 0; i < n; i++) {
		struct entry entry = get_entry(entries + (size_t)i * ENTRY_BYTES);
		if (entry.sp_register == ORC_REG_SP && entry.sp_offset == 8)
			count[entry.type]++;
	}
	return count[2] > count[0];
}

static uint8_t kind_of(const struct entry *entry, bool new_format)
{
	static const uint8_t old_kinds[] = {ORC_CALL, ORC_REGS, ORC_REGS_PARTIAL, ORC_END};
	static const uint8_t new_kinds[TYPES] = {ORC_END, ORC_END, ORC_CALL, ORC_REGS,
						 ORC_REGS_PARTIAL};

	if (entry->sp_register == ORC_REG_UNDEFINED || entry->sp_register >= ORC_REG_COUNT ||
	    entry->bp_register >= ORC_REG_COUNT)
		return ORC_END;
	return new_format ? new_kinds[entry->type] : old_kinds[entry->type & 3];
}

/* Fills the rows in. Returns false when the addresses do not ascend inside the image. */
static bool fill_rows(struct orc *orc, const struct kernel_image *image, uint64_t ips_address,
		      const uint8_t *ips, const uint8_t *entries)
{
	bool new_format = is_new_format(entries, orc->n);
	uint64_t last = image->start;

	for (uint32_t i = 0; i < orc->n; i++) {
		struct entry entry = get_entry(entries + (size_t)i * ENTRY_BYTES);
		int32_t distance;
		memcpy(&distance, ips + (size_t)i * IP_BYTES, sizeof(distance));
		uint64_t address =
			ips_address + (uint64_t)i * IP_BYTES + (uint64_t)(int64_t)distance;
		if (address < last || address > image->end)
			return false;
		last = address;
		orc->row[i] = (struct orc_row){
			.address = address,
			.sp_offset = entry.sp_offset,
			.bp_offset = entry.bp_offset,
			.sp_register = entry.sp_register,
			.bp_register = entry.bp_register,
			.kind = kind_of(&entry, new_format),
		};
	}
	return true;
}

static int make_rows(struct orc *orc, const struct kernel_image *image, uint64_t ips_address,
		     const uint8_t *ips, uint64_t ips_bytes, const uint8_t *entries,
		     uint64_t entries_bytes)
{
	uint64_t n = ips_bytes / IP_BYTES;

	/* Alignment may follow the last entry. */
	if (!n || n > ROWS_MAX || entries_bytes < n * ENTRY_BYTES ||
	    entries_bytes - n * ENTRY_BYTES >= 16)
		return -ENOENT;
	orc->row = calloc(n, sizeof(*orc->row));
	if (!orc->row)
		return -ENOMEM;
	orc->n = (uint32_t)n;
	return fill_rows(orc, image, ips_address, ips, entries) ? 0 : -ENOENT;
}

int orc_read(const struct kernel_image *image, const struct kallsyms *symbols, struct orc *ret_orc)
{
	uint8_t *ips = NULL, *entries = NULL;
	uint64_t ips_bytes, entries_bytes, ips_address = 0;
	struct orc orc = {0};

	kallsyms_address(symbols, "__start_orc_unwind_ip", &ips_address);
	int error =
		kernel_image_copy(image, symbols, "__start_orc_unwind_ip", "__stop_orc_unwind_ip",
				  (uint64_t)ROWS_MAX * IP_BYTES, &ips, &ips_bytes);
	if (!error)
		error = kernel_image_copy(image, symbols, "__start_orc_unwind", "__stop_orc_unwind",
					  (uint64_t)ROWS_MAX * ENTRY_BYTES, &entries,
					  &entries_bytes);
	if (!error)
		error = make_rows(&orc, image, ips_address, ips, ips_bytes, entries, entries_bytes);
	free(entries);
	free(ips);
	if (error)
		orc_finish(&orc);
	else
		*ret_orc = orc;
	return error;
}

void orc_finish(struct orc *orc)
{
	free(orc->row);
	*orc = (struct orc){0};
}
