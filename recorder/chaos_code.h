/* What chaos looks at in the guest: an instruction, an address space. Changes nothing. */
#ifndef REPRISE_RECORDER_CHAOS_CODE_H
#define REPRISE_RECORDER_CHAOS_CODE_H

#include <stdbool.h>

#include "vmm/cpu/cpu.h"

/* Of CR3: the page tables, without the number of the address space (SDM 3A 4.10.1). */
#define CHAOS_SPACE_MASK UINT64_C(0x000ffffffffff000)

/* True when the next instruction, of 64-bit code, is locked, an XCHG with memory, or SYSCALL. */
bool chaos_code_is_atomic(const struct cpu *cpu);

#endif
