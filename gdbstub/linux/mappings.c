#include "gdbstub/linux/mappings.h"

#include "vmm/memory/memory.h"

#define MAX_MAPPINGS 100000
#define MAX_LEVELS   32 /* of either tree */

/* ---- the maple tree (Linux include/linux/maple_tree.h) ---- */

enum maple_type { MAPLE_DENSE, MAPLE_LEAF, MAPLE_RANGE, MAPLE_ALLOCATION };

#define MAPLE_NODE_BYTES 256
#define MAPLE_TYPE_SHIFT 3
#define MAPLE_TYPE_MASK  15

static bool is_internal(uint64_t entry)
{
	return (entry & 3) == 2;
}

static bool is_node(uint64_t entry)
{
	return is_internal(entry) && entry > 4096;
}

/* A node's slots; each ends with its pivot, the last where the node does. */
struct maple_node {
	uint64_t pivots, slots; /* addresses */
	unsigned n_slots;
	bool leaf;
};

static struct maple_node maple_node(const struct linux_guest *guest, uint64_t entry)
{
	const struct linux_layout *at = &guest->at;
	uint64_t address = entry & ~(uint64_t)(MAPLE_NODE_BYTES - 1);
	unsigned type = entry >> MAPLE_TYPE_SHIFT & MAPLE_TYPE_MASK;

	if (type == MAPLE_ALLOCATION)
		return (struct maple_node){address + at->inner_pivots, address + at->inner_slots,
					   at->inner_slots_bytes / 8, false};
	return (struct maple_node){address + at->leaf_pivots, address + at->leaf_slots,
				   type == MAPLE_DENSE ? 0 : at->leaf_slots_bytes / 8,
				   type == MAPLE_LEAF};
}

/* The slot whose range holds the address. *last: the range's last address, at first the node's. */
static uint64_t maple_slot(const struct linux_guest *guest, const struct maple_node *node,
			   uint64_t address, uint64_t *last)
{
	unsigned i = 0;

	for (; i + 1 < node->n_slots; i++) {
		uint64_t pivot = linux_read_u64(guest, node->pivots + i * 8);
		if (i && !pivot)
			break;
		if (address <= pivot) {
			*last = pivot;
			break;
		}
	}
	return node->n_slots ? linux_read_u64(guest, node->slots + i * 8) : 0;
}

/* The vm_area_struct at an address, or 0 with the last address of what is free there. */
static uint64_t find_area(const struct linux_guest *guest, uint64_t mm, uint64_t address,
			  uint64_t *ret_last)
{
	uint64_t entry = linux_read_u64(guest, mm + guest->at.mm_tree);

	*ret_last = UINT64_MAX;
	if (!is_node(entry)) /* the only one, at address 0 */
		return 0;
	for (unsigned level = 0; level < MAX_LEVELS && entry; level++) {
		struct maple_node node = maple_node(guest, entry);
		entry = maple_slot(guest, &node, address, ret_last);
		if (node.leaf)
			return is_internal(entry) ? 0 : entry;
	}
	return 0;
}

bool mapping_find(const struct linux_guest *guest, uint64_t mm, uint64_t address,
		  struct mapping *ret, uint64_t *ret_next)
{
	const struct linux_layout *at = &guest->at;
	uint64_t last = UINT64_MAX,
		 area = at->has_mappings ? find_area(guest, mm, address, &last) : 0;

	*ret_next = last == UINT64_MAX ? last : last + 1;
	if (!area)
		return false;
	*ret = (struct mapping){
		.start = linux_read_u64(guest, area + at->vma_start),
		.end = linux_read_u64(guest, area + at->vma_end),
		.flags = linux_read_u64(guest, area + at->vma_flags),
		.offset = linux_read_u64(guest, area + at->vma_offset) * PAGE_BYTES,
		.file = linux_read_u64(guest, area + at->vma_file),
	};
	return address >= ret->start && address < ret->end;
}

void mapping_each(const struct linux_guest *guest, uint64_t mm,
		  bool (*fn)(void *ctx, const struct mapping *mapping), void *ctx)
{
	struct mapping mapping;
	uint64_t address = 0, next;

	for (unsigned i = 0; i < MAX_MAPPINGS && address != UINT64_MAX; i++) {
		if (mapping_find(guest, mm, address, &mapping, &next)) {
			if (!fn(ctx, &mapping))
				return;
			next = mapping.end;
		}
		if (next <= address)
			return;
		address = next;
	}
}

/* ---- the page cache (Linux include/linux/xarray.h) ---- */

/* The entry of an index, or 0. */
static uint64_t find_entry(const struct linux_guest *guest, uint64_t array, uint64_t index)
{
	const struct linux_layout *at = &guest->at;
	const unsigned n_slots = at->xnode_slots_bytes / 8;
	uint64_t entry = linux_read_u64(guest, array);

	if (!is_node(entry))
		return index ? 0 : entry;
	for (unsigned level = 0; level < MAX_LEVELS && is_node(entry); level++) {
		uint64_t node = entry - 2;
		uint8_t shift = 0;
		if (!linux_read(guest, node + at->xnode_shift, &shift, 1) || shift > 63 ||
		    (!level && index >> shift >= n_slots))
			return 0;
		uint64_t slots = node + at->xnode_slots, slot = index >> shift & (n_slots - 1);
		entry = linux_read_u64(guest, slots + slot * 8);
		if (is_internal(entry) && entry >> 2 < n_slots) /* the place of its head */
			entry = linux_read_u64(guest, slots + (entry >> 2) * 8);
	}
	return entry;
}

bool mapping_cached_page(const struct linux_guest *guest, uint64_t file, uint64_t offset,
			 uint64_t *ret_gpa)
{
	const struct linux_layout *at = &guest->at;
	uint64_t mapping = linux_read_u64(guest, file + at->file_mapping);
	uint64_t base = guest->vmemmap ? linux_read_u64(guest, guest->vmemmap) : 0;
	uint64_t page =
		mapping ? find_entry(guest, mapping + at->mapping_pages, offset / PAGE_BYTES) : 0;

	/* Values mark what was here once. */
	if (!base || page & 3 || page < base)
		return false;
	uint64_t first = linux_read_u64(guest, page + at->page_index);
	uint64_t flags = linux_read_u64(guest, page + at->page_flags);
	if (!(flags >> at->page_uptodate & 1) || first > offset / PAGE_BYTES)
		return false;
	*ret_gpa = ((page - base) / at->page_bytes + offset / PAGE_BYTES - first) * PAGE_BYTES;
	return memory_page(guest->machine->memory, *ret_gpa) != NULL;
}

uint64_t mapping_file_bytes(const struct linux_guest *guest, uint64_t file)
{
	uint64_t inode = linux_read_u64(guest, file + guest->at.file_inode);

	return inode ? linux_read_u64(guest, inode + guest->at.inode_bytes) : 0;
}
