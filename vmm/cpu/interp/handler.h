/* What operation handlers are made of. */
#ifndef REPRISE_VMM_CPU_INTERP_HANDLER_H
#define REPRISE_VMM_CPU_INTERP_HANDLER_H

#include <string.h>

#include "vmm/cpu/flags.h"
#include "vmm/cpu/interp/interp.h"
#include "vmm/machine.h"
#include "vmm/mmu/mmu.h"

#define ALWAYS_INLINE       static inline __attribute__((always_inline))
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* Goes on with the operation that follows. */
#define NEXT return uop[1].fn(cpu, uop + 1)

/* ---- registers by byte offset ---- */

ALWAYS_INLINE uint64_t reg_get(const struct cpu *cpu, uint8_t offset, unsigned size)
{
	const uint8_t *at = (const uint8_t *)cpu->gpr + offset;
	switch (size) {
	case 1:
		return *at;
	case 2:
		return *(const uint16_t *)at;
	case 4:
		return *(const uint32_t *)at;
	default:
		return *(const uint64_t *)at;
	}
}

ALWAYS_INLINE void reg_set(struct cpu *cpu, uint8_t offset, unsigned size, uint64_t value)
{
	uint8_t *at = (uint8_t *)cpu->gpr + offset;
	switch (size) {
	case 1:
		*at = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)at = (uint16_t)value;
		break;
	case 4:
		*(uint64_t *)at = (uint32_t)value;
		break;
	default:
		*(uint64_t *)at = value;
		break;
	}
}

/* ---- memory ---- */

ALWAYS_INLINE uint64_t uop_offset(const struct cpu *cpu, const struct uop *uop)
{
	return (cpu->gpr[uop->base] + (cpu->gpr[uop->index] << uop->scale) + (int64_t)uop->disp) &
	       cpu->address_mask;
}

ALWAYS_INLINE uint64_t uop_linear(const struct cpu *cpu, const struct uop *uop)
{
	return uop_offset(cpu, uop) + cpu->seg[uop->seg].base;
}

/* Guest addresses need no alignment; the copies become single moves. */
ALWAYS_INLINE uint64_t host_get(const uint8_t *host, unsigned size)
{
	uint64_t value = 0;
	memcpy(&value, host, size);
	return value;
}

ALWAYS_INLINE void host_set(uint8_t *host, unsigned size, uint64_t value)
{
	memcpy(host, &value, size);
}

/* Makes cpu->rip, next_rip, icount and the count of crossings those of this operation's
 * instruction. */
ALWAYS_INLINE void uop_sync(struct cpu *cpu, const struct uop *uop)
{
	cpu->rip = (cpu->gpr[GPR_BLOCK] + uop->off) & cpu->address_mask;
	cpu->next_rip = cpu->rip + uop->len;
	cpu->machine->icount = cpu->block_icount + uop->n;
	cpu->machine->crossing.n_used = 0;
}

/*
 * An access that the cached translations do not serve (miss.c): fills them and runs the operation
 * again, or, when that cannot help (device memory, a page's end, a page that is being watched),
 * runs the instruction's exec function instead. Handlers call it as their last act, having changed
 * nothing.
 */
const struct uop *uop_miss(struct cpu *cpu, const struct uop *uop, uint64_t linear, unsigned size,
			   enum access_kind kind);

/*
 * Declares host: where size bytes at linear are for reading (writing). Leaves the handler on a
 * miss.
 */
/* NOLINTBEGIN(bugprone-macro-parentheses): host is a name */
#define HOST_FOR_READ(host, linear, size)                                                          \
	const uint8_t *host = tlb_lookup(cpu->tlb->read, linear, size);                            \
	if (UNLIKELY(!host))                                                                       \
	return uop_miss(cpu, uop, linear, size, ACCESS_READ)
#define HOST_FOR_WRITE(host, linear, size)                                                         \
	uint8_t *host = tlb_lookup(cpu->tlb->write, linear, size);                                 \
	if (UNLIKELY(!host))                                                                       \
	return uop_miss(cpu, uop, linear, size, ACCESS_WRITE)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
