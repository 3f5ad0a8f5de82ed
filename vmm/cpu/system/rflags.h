/* RFLAGS as the system part handles it. */
#ifndef REPRISE_VMM_CPU_SYSTEM_RFLAGS_H
#define REPRISE_VMM_CPU_SYSTEM_RFLAGS_H

#include "vmm/cpu/cpu.h"

/* Every flag there is; the others read 0, bit 1 reads 1 (SDM 1 3.4.3). */
#define RFLAGS_WRITABLE                                                                            \
	((uint64_t)(FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF |    \
		    FLAG_VM | FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID))

unsigned cpu_iopl(const struct cpu *cpu);

/*
 * The flags that POPF and IRET of an operand size may change at the present CPL and IOPL, RF and
 * the virtual interrupt flags left out (SDM 2, POPF).
 */
uint64_t rflags_loadable(const struct cpu *cpu, unsigned size);

/* Raises #GP(0) in virtual-8086 mode with IOPL below 3; true otherwise. */
bool rflags_check_v8086_iopl(struct cpu *cpu);

#endif
