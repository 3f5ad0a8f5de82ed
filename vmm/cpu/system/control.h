/* Which bits of control registers exist, for MOV CR and for states read from files. */
#ifndef REPRISE_VMM_CPU_SYSTEM_CONTROL_H
#define REPRISE_VMM_CPU_SYSTEM_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"
#include "vmm/memory/memory.h"

/* Other bits of CR0 read 0, whatever is written. */
#define CR0_BITS                                                                                   \
	((uint64_t)(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM |        \
		    CR0_NW | CR0_CD | CR0_PG))

/* Other bits of CR4 raise #GP(0). */
#define CR4_BITS                                                                                   \
	((uint64_t)(CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |           \
		    CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_OSXSAVE |          \
		    CR4_SMEP | CR4_SMAP))

#define EFER_BITS ((uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))

#define CR3_BITS ((UINT64_C(1) << GPA_BITS) - 1)

#define DR6_BITS UINT64_C(0xe00f)     /* those that can change */
#define DR7_BITS UINT64_C(0xffff23ff) /* likewise */

/* True when CR0's paging, protection and cache bits go together (SDM 3A 2.5). */
static inline bool cr0_is_consistent(uint64_t cr0)
{
	return !((cr0 & CR0_PG) && !(cr0 & CR0_PE)) && !((cr0 & CR0_NW) && !(cr0 & CR0_CD));
}

#endif
