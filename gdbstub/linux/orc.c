#include "gdbstub/linux/orc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TYPES 8u

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
		struct entry entry = get_entry(entries + (size_t)i * ORC_ENTRY_BYTES);
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

int orc_make(const uint8_t *ips, uint64_t ips_address, const uint8_t *entries, uint32_t n,
	     bool new_format, uint64_t start, uint64_t end, struct orc *ret_orc)
{
	struct orc orc = {.row = calloc(n ? n : 1, sizeof(*orc.row)), .new_format = new_format};
	uint64_t last = 0;

	if (!orc.row)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t place = (uint64_t)i * ORC_IP_BYTES;
		struct entry entry = get_entry(entries + (size_t)i * ORC_ENTRY_BYTES);
		int32_t distance;
		memcpy(&distance, ips + place, sizeof(distance));
		uint64_t address = ips_address + place + (uint64_t)(int64_t)distance;
		if (address < last) {
			orc_finish(&orc);
			return -ENOENT;
		}
		last = address;
		if (address < start || address > end)
			continue;
		orc.row[orc.n++] = (struct orc_row){
			.address = address,
			.sp_offset = entry.sp_offset,
			.bp_offset = entry.bp_offset,
			.sp_register = entry.sp_register,
			.bp_register = entry.bp_register,
			.kind = kind_of(&entry, new_format),
		};
	}
	*ret_orc = orc;
	return 0;
}

/* Alignment may follow the last entry. */
static bool sizes_agree(uint64_t ips_bytes, uint64_t entries_bytes)
{
	uint64_t n = ips_bytes / ORC_IP_BYTES;

	return n && n <= ORC_ROWS_MAX && entries_bytes >= n * ORC_ENTRY_BYTES &&
	       entries_bytes - n * ORC_ENTRY_BYTES < 16;
}

int orc_read(const struct kernel_image *image, const struct kallsyms *symbols, struct orc *ret_orc)
{
	uint8_t *ips = NULL, *entries = NULL;
	uint64_t ips_bytes, entries_bytes, ips_address = 0;

	kallsyms_address(symbols, "__start_orc_unwind_ip", &ips_address);
	int error =
		kernel_image_copy(image, symbols, "__start_orc_unwind_ip", "__stop_orc_unwind_ip",
				  (uint64_t)ORC_ROWS_MAX * ORC_IP_BYTES, &ips, &ips_bytes);
	if (!error)
		error = kernel_image_copy(image, symbols, "__start_orc_unwind", "__stop_orc_unwind",
					  (uint64_t)ORC_ROWS_MAX * ORC_ENTRY_BYTES, &entries,
					  &entries_bytes);
	if (!error && !sizes_agree(ips_bytes, entries_bytes))
		error = -ENOENT;
	if (!error) {
		uint32_t n = (uint32_t)(ips_bytes / ORC_IP_BYTES);
		error = orc_make(ips, ips_address, entries, n, is_new_format(entries, n),
				 image->start, image->end, ret_orc);
	}
	free(entries);
	free(ips);
	return error;
}

void orc_finish(struct orc *orc)
{
	free(orc->row);
	*orc = (struct orc){0};
}
