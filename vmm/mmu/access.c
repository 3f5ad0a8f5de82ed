/*
 * Memory accesses at linear addresses: the cached translation when it serves, else page by page.
 * All pages are translated (every fault comes) before anything crosses the boundary, and all
 * crossings are answered before a byte of RAM changes.
 */
#include <string.h>

#include "vmm/machine.h"
#include "vmm/mmu/mmu.h"

/* An access of at most PAGE_BYTES touches at most two pages. */
#define MAX_PIECES 2

struct piece {
	uint64_t gpa;
	uint32_t bytes;
	enum region_kind kind; /* REGION_UNSPECIFIED: unassigned */
};

struct pieces {
	unsigned n;
	struct piece piece[MAX_PIECES];
};

static struct tlb *tlb_of(const struct cpu *cpu, enum privilege priv)
{
	return priv == PRIVILEGE_CURRENT ? cpu->tlb : mmu_system_tlb(cpu->machine->mmu);
}

/* Linear addresses of code wrap at 4 GiB outside 64-bit mode, those of tables outside long mode. */
static uint64_t next_linear(const struct cpu *cpu, uint64_t linear, uint32_t n, enum privilege priv)
{
	bool wide = priv == PRIVILEGE_SYSTEM ? cpu_long_mode(cpu) : cpu_code64(cpu);
	return wide ? linear + n : (uint32_t)(linear + n);
}

static bool translate_pieces(struct cpu *cpu, uint64_t linear, uint32_t n, enum access_kind kind,
			     enum privilege priv, struct pieces *ret_pieces)
{
	ret_pieces->n = 0;
	while (n) {
		uint32_t here = PAGE_BYTES - linear % PAGE_BYTES;
		struct piece *piece = &ret_pieces->piece[ret_pieces->n++];
		if (here > n)
			here = n;
		if (!mmu_translate(cpu, linear, kind, priv, &piece->gpa))
			return false;
		const struct memory_region *region =
			memory_find_region(cpu->machine->memory, piece->gpa);
		piece->kind = region ? region->kind : REGION_UNSPECIFIED;
		piece->bytes = here;
		linear = next_linear(cpu, linear, here, priv);
		n -= here;
	}
	return true;
}

/*
 * What is looked at only on the slow path, after every page translated: alignment (mmu_select()
 * keeps the caches out of the way while it is checked) and data breakpoints.
 */
static bool check_access(struct cpu *cpu, uint64_t linear, uint32_t n, enum access_kind kind,
			 enum privilege priv)
{
	if (priv != PRIVILEGE_CURRENT)
		return true;
	if (mmu_alignment_checked(cpu) && (n == 2 || n == 4 || n == 8) && linear % n)
		return raise_fault_error(cpu, VECTOR_AC, 0);
	if (cpu->dr7 & 0xff)
		debug_data_access(cpu, linear, n, kind);
	return true;
}

/* The largest aligned power of two that starts a device access of n bytes at gpa. */
static uint32_t device_step(uint64_t gpa, uint32_t n)
{
	uint32_t step = 8;
	while (step > n || gpa % step)
		step /= 2;
	return step;
}

static bool device_read(struct cpu *cpu, uint64_t gpa, uint8_t *buffer, uint32_t n)
{
	while (n) {
		uint32_t step = device_step(gpa, n);
		uint64_t value;
		if (!cross_mmio_read(cpu, gpa, step, &value))
			return false;
		memcpy(buffer, &value, step);
		gpa += step;
		buffer += step;
		n -= step;
	}
	return true;
}

static bool device_write(struct cpu *cpu, uint64_t gpa, const uint8_t *data, uint32_t n)
{
	while (n) {
		uint32_t step = device_step(gpa, n);
		uint64_t value = 0;
		memcpy(&value, data, step);
		if (!cross_mmio_write(cpu, gpa, step, value))
			return false;
		gpa += step;
		data += step;
		n -= step;
	}
	return true;
}

static void read_piece(struct memory *memory, const struct piece *piece, uint8_t *out)
{
	const uint8_t *flags = memory_flags(memory, piece->gpa);

	memory_read(memory, piece->gpa, out, piece->bytes);
	if (flags && (*flags & PAGE_WATCH))
		memory_note_read(memory, piece->gpa, piece->bytes);
}

/* Where a page is watched, and this access is beside the watchpoints. */
static uint8_t *find_beside(const struct cpu *cpu, uint64_t linear, uint32_t n,
			    enum access_kind kind, enum privilege priv)
{
	if (!memory_is_watched(cpu->machine->memory) || priv != PRIVILEGE_CURRENT)
		return NULL;
	return mmu_beside_watches(cpu, linear, n, kind);
}

bool linear_read(struct cpu *cpu, uint64_t linear, void *buffer, uint32_t n, enum privilege priv)
{
	const uint8_t *host = tlb_lookup(tlb_of(cpu, priv)->read, linear, n);
	uint8_t *out = buffer;
	struct pieces pieces;

	if (!host)
		host = find_beside(cpu, linear, n, ACCESS_READ, priv);
	if (host) {
		memcpy(buffer, host, n);
		return true;
	}
	if (!translate_pieces(cpu, linear, n, ACCESS_READ, priv, &pieces) ||
	    !check_access(cpu, linear, n, ACCESS_READ, priv))
		return false;
	for (unsigned i = 0; i < pieces.n; i++) {
		const struct piece *piece = &pieces.piece[i];
		if (piece->kind != REGION_DEVICE)
			read_piece(cpu->machine->memory, piece, out);
		else if (!device_read(cpu, piece->gpa, out, piece->bytes))
			return false;
		out += piece->bytes;
	}
	return true;
}

bool linear_write(struct cpu *cpu, uint64_t linear, const void *buffer, uint32_t n,
		  enum privilege priv)
{
	uint8_t *host = tlb_lookup(tlb_of(cpu, priv)->write, linear, n);
	const uint8_t *in = buffer;
	struct pieces pieces;
	uint64_t gpa;

	if (!host)
		host = find_beside(cpu, linear, n, ACCESS_WRITE, priv);
	if (host) {
		memcpy(host, buffer, n);
		return true;
	}
	if (tlb_is_slow(tlb_of(cpu, priv), linear, n, &gpa)) {
		memory_write(cpu->machine->memory, gpa, buffer, n);
		return true;
	}
	if (!translate_pieces(cpu, linear, n, ACCESS_WRITE, priv, &pieces) ||
	    !check_access(cpu, linear, n, ACCESS_WRITE, priv))
		return false;
	for (unsigned i = 0; i < pieces.n; in += pieces.piece[i++].bytes)
		if (pieces.piece[i].kind == REGION_DEVICE &&
		    !device_write(cpu, pieces.piece[i].gpa, in, pieces.piece[i].bytes))
			return false;
	in = buffer;
	for (unsigned i = 0; i < pieces.n; in += pieces.piece[i++].bytes)
		memory_write(cpu->machine->memory, pieces.piece[i].gpa, in, pieces.piece[i].bytes);
	return true;
}

bool linear_probe(struct cpu *cpu, uint64_t linear, uint32_t n, enum access_kind kind,
		  enum privilege priv)
{
	struct tlb *tlb = tlb_of(cpu, priv);
	struct pieces pieces;
	uint64_t gpa;

	if (kind == ACCESS_READ && tlb_lookup(tlb->read, linear, n))
		return true;
	if (kind == ACCESS_WRITE &&
	    (tlb_lookup(tlb->write, linear, n) || tlb_is_slow(tlb, linear, n, &gpa)))
		return true;
	return translate_pieces(cpu, linear, n, kind, priv, &pieces);
}
