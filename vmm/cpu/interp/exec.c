/* Operations that run exec functions, and what happens when cached translations do not serve. */
#include <string.h>

#include "vmm/cpu/system/system.h"
#include "vmm/cpu/vector/vector.h"
#include "vmm/cpu/interp/handler.h"
#include "vmm/cpu/interp/ops.h"

/* After an exec function: on with the block, unless something it did forbids that. */
#define EXEC_NEXT                                                                                  \
	do {                                                                                       \
		if (UNLIKELY(cpu->stop))                                                           \
			return uop;                                                                \
		NEXT;                                                                              \
	} while (0)

/* What the row's flags ask for before the exec function may run; what decoding knows is not here.
 */
static bool check_row(struct cpu *cpu, const struct insn_row *row)
{
	if ((row->flags & ROW_CPL0) && cpu->cpl != 0)
		return raise_gp(cpu, 0);
	if (row->flags & (ROW_FPU | ROW_SSE))
		return vector_check_available(cpu, row->flags);
	return true;
}

const struct uop *uop_exec(struct cpu *cpu, const struct uop *uop)
{
	uop_sync(cpu, uop);
	if (!uop->exec(cpu, uop->insn))
		return uop;
	EXEC_NEXT;
}

const struct uop *uop_exec_checked(struct cpu *cpu, const struct uop *uop)
{
	const struct insn_row *row = insn_row(uop->insn->mnemonic);

	uop_sync(cpu, uop);
	if (!check_row(cpu, row) || !row->exec(cpu, uop->insn))
		return uop;
	EXEC_NEXT;
}

const struct uop *uop_exec_end(struct cpu *cpu, const struct uop *uop)
{
	const struct insn_row *row = insn_row(uop->insn->mnemonic);

	uop_sync(cpu, uop);
	if (!check_row(cpu, row) || !row->exec(cpu, uop->insn))
		return uop;
	cpu->rip = cpu->next_rip;
	cpu->link = LINK_NONE;
	return uop;
}

const struct uop *uop_end(struct cpu *cpu, const struct uop *uop)
{
	cpu->rip = (cpu->gpr[GPR_BLOCK] + uop->off) & cpu->address_mask;
	cpu->link = uop->same_page ? LINK_NEXT : LINK_NONE;
	return uop;
}

const struct uop *uop_invalid(struct cpu *cpu, const struct uop *uop)
{
	uop_sync(cpu, uop);
	raise_ud(cpu);
	return uop;
}

const struct uop *uop_too_long(struct cpu *cpu, const struct uop *uop)
{
	uop_sync(cpu, uop);
	raise_gp(cpu, 0);
	return uop;
}

/* ---- misses ---- */

static bool fill_helps(struct cpu *cpu, uint64_t linear, unsigned size, enum access_kind kind)
{
	struct tlb_entry *entries = kind == ACCESS_WRITE ? cpu->tlb->write : cpu->tlb->read;
	uint64_t gpa;

	if (cpu_code64(cpu) && !address_is_canonical(linear))
		return false;
	if (linear % PAGE_BYTES > PAGE_BYTES - size)
		return false;
	return mmu_translate(cpu, linear, kind, PRIVILEGE_CURRENT, &gpa) &&
	       tlb_lookup(entries, linear, size);
}

static const struct uop *end_alone(struct cpu *cpu, const struct uop *uop)
{
	return uop;
}

/*
 * Runs one operation with a translation for it alone: its page has watchpoints, which this access
 * is beside. The slot is left empty; what was there may be stale by now.
 */
static const struct uop *run_alone(struct cpu *cpu, const struct uop *uop, struct tlb_entry *slot,
				   struct tlb_entry entry)
{
	struct uop alone[2] = {uop[0], {.fn = end_alone}};

	*slot = entry;
	const struct uop *last = alone[0].fn(cpu, alone);
	slot->tag = entry.tag ^ (UINT64_C(1) << PAGE_SHIFT);
	if (last != &alone[1])
		return uop;
	return uop[1].fn(cpu, uop + 1);
}

const struct uop *uop_miss(struct cpu *cpu, const struct uop *uop, uint64_t linear, unsigned size,
			   enum access_kind kind)
{
	if (memory_is_watched(cpu->machine->memory)) {
		struct tlb_entry *entries = kind == ACCESS_WRITE ? cpu->tlb->write : cpu->tlb->read;
		uint8_t *host = mmu_beside_watches(cpu, linear, size, kind);
		uint64_t page = linear & PAGE_MASK;
		if (host)
			return run_alone(cpu, uop, tlb_slot(entries, linear),
					 (struct tlb_entry){page, host - linear % PAGE_BYTES});
	}
	uop_sync(cpu, uop);
	bool filled = fill_helps(cpu, linear, size, kind);
	if (UNLIKELY(cpu->stop)) { /* a page fault, or an accessed bit that hit code */
		if (cpu->stop == CPU_STOP_RESYNC)
			cpu->stop = CPU_STOP_RETRY;
		return uop;
	}
	if (filled)
		return uop->fn(cpu, uop);
	if (insn_ends_block(uop->insn))
		return uop_exec_end(cpu, uop);
	return uop_exec_checked(cpu, uop);
}

/* ---- REP ---- */

static uint64_t address_size_mask(const struct insn *insn)
{
	return insn->addr_size == 8 ? UINT64_MAX : insn->addr_size == 4 ? UINT32_MAX : 0xffff;
}

/* Whether a repeat goes on after an iteration; count is what is left of it. */
static bool repeats(const struct cpu *cpu, const struct insn *insn, uint64_t count)
{
	bool compares = insn->opcode == 0xa6 || insn->opcode == 0xa7 || insn->opcode == 0xae ||
			insn->opcode == 0xaf;
	if (!count)
		return false;
	return !compares || flag_zf(cpu) == ((insn->prefixes & PREFIX_REP) != 0);
}

/* Bytes from linear to the end of its page, as far as cached for this access; 0 when it is not. */
static uint64_t run_length(struct tlb_entry *entries, uint64_t linear)
{
	return tlb_lookup(entries, linear, 1) ? PAGE_BYTES - linear % PAGE_BYTES : 0;
}

uint64_t rep_bulk(struct cpu *cpu, const struct insn *insn, uint64_t limit)
{
	bool moves = insn->opcode == 0xa4 || insn->opcode == 0xa5;
	bool stores = insn->opcode == 0xaa || insn->opcode == 0xab;
	unsigned size = insn->op_size;
	uint64_t to = cpu->gpr[RDI], from = cpu->gpr[RSI];

	if ((!moves && !stores) || (cpu->rflags_rest & FLAG_DF) || !cpu_code64(cpu) ||
	    insn->addr_size != 8 || insn->seg == SEG_FS || insn->seg == SEG_GS)
		return 0;
	uint64_t bytes = run_length(cpu->tlb->write, to);
	if (moves && run_length(cpu->tlb->read, from) < bytes)
		bytes = run_length(cpu->tlb->read, from);
	uint64_t n = bytes / size;
	if (n > limit)
		n = limit;
	if (n < 2)
		return 0;
	bytes = n * size;
	uint8_t *target = tlb_lookup(cpu->tlb->write, to, 1);
	if (moves) {
		const uint8_t *source = tlb_lookup(cpu->tlb->read, from, 1);
		if ((uintptr_t)target - (uintptr_t)source < bytes && target != source)
			return 0; /* the copy feeds itself */
		memmove(target, source, bytes);
		cpu->gpr[RSI] = from + bytes;
	} else if (size == 1) {
		memset(target, (uint8_t)cpu->gpr[RAX], bytes);
	} else {
		for (uint64_t i = 0; i < bytes; i += size)
			memcpy(target + i, &cpu->gpr[RAX], size);
	}
	cpu->gpr[RDI] = to + bytes;
	return n;
}

static void set_count(struct cpu *cpu, const struct insn *insn, uint64_t count)
{
	gpr_write(cpu, RCX, insn->addr_size, count);
}

/*
 * Each iteration is a step. The block counts one for the whole instruction; iterations beyond that
 * move block_icount on, so that counts stay exact wherever this stops.
 */
const struct uop *uop_exec_rep(struct cpu *cpu, const struct uop *uop)
{
	const struct insn *insn = uop->insn;
	const struct insn_row *row = insn_row(insn->mnemonic);

	uop_sync(cpu, uop);
	for (;;) {
		uint64_t count = cpu->gpr[RCX] & address_size_mask(insn);
		uint64_t budget = cpu->until_icount - (cpu->block_icount + uop->n);
		uint64_t done = 1;
		if (!count) {
			if (!port_check_repeat(cpu, insn))
				return uop;
			break;
		}
		uint64_t bulk = rep_bulk(cpu, insn, count < budget ? count : budget);
		if (bulk) {
			done = bulk;
		} else {
			uop_sync(cpu, uop);
			if (!row->exec(cpu, insn))
				return uop;
		}
		count -= done;
		set_count(cpu, insn, count);
		if (!repeats(cpu, insn, count)) {
			cpu->block_icount += done - 1;
			break;
		}
		if (cpu->stop || done >= budget || cpu->attention) {
			/*
			 * One step of this block remains for the loop to count. Between iterations
			 * RF is set, for the images that events push there (SDM 3B 17.3.1.1).
			 */
			cpu->block_icount += done - 1;
			cpu->rflags_rest |= FLAG_RF;
			cpu->attention = true;
			cpu->next_rip = cpu->rip;
			cpu->link = LINK_NONE;
			return uop;
		}
		cpu->block_icount += done;
	}
	cpu->rip = cpu->next_rip = cpu->rip + uop->len;
	cpu->link = LINK_NONE;
	return uop;
}
