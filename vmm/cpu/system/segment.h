/* Loading segment registers. */
#ifndef REPRISE_VMM_CPU_SYSTEM_SEGMENT_H
#define REPRISE_VMM_CPU_SYSTEM_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/system/descriptor.h"

/*
 * Where CPUs of different vendors differ over segments, ours does as Intel's (SDM 2, SDM 3A 3.4.4):
 *   null selector into FS, GS in 64-bit mode    the base becomes 0 (AMD keeps it)
 *   SYSRET                                      loads all of SS (AMD keeps the attributes)
 *   SYSRET to a non-canonical RCX               #GP(0) at CPL 0, in SYSRET (AMD: at CPL 3, after
 * it) SYSCALL, SYSRET outside 64-bit mode         #UD (AMD has them in compatibility mode)
 *   SYSENTER, SYSEXIT in long mode              there (AMD: #UD)
 *   66 prefix on near branches in 64-bit mode   ignored (AMD: 16-bit target)
 *   LSS, LFS, LGS, far CALL and JMP with REX.W  80-bit pointer (AMD ignores REX.W)
 * and as both in: 32-bit PUSH of a segment register stores four bytes, zero-extended.
 */

/*
 * Checks a selector for SS at privilege cpl: raises #SS(selector) when not present, otherwise
 * bad(selector), also for a null one. external: EXT in the error code. *ret_descriptor's accessed
 * bit is still to be set.
 */
bool segment_check_stack(struct cpu *cpu, uint16_t selector, unsigned cpl, enum vector bad,
			 bool external, struct descriptor *ret_descriptor);

/* The same for DS, ES, FS, GS; raises #NP when not present. Not for null selectors. */
bool segment_check_data(struct cpu *cpu, uint16_t selector, unsigned cpl, enum vector bad,
			struct descriptor *ret_descriptor);

/*
 * Loads ES, SS, DS, FS or GS as MOV does, in every mode, accessed bit included (SDM 2, MOV).
 * Calls cpu_update_mode(). On false nothing has changed.
 */
bool segment_load(struct cpu *cpu, unsigned seg, uint16_t selector);

/*
 * After a return to less privilege: data segments that the new CPL may not use become null (SDM 2,
 * RET), and null selectors 0: processors of Intel and AMD do both, and Linux's sigreturn to 32-bit
 * code counts on it.
 */
void segment_drop_privileged(struct cpu *cpu);

/*
 * Reads the far pointer that the memory operand names, offset and selector each for itself: that is
 * how they have to be aligned (SDM 3A table 6-7). Returns as exec functions do.
 */
bool segment_read_far_pointer(struct cpu *cpu, const struct insn *insn, uint64_t *ret_offset,
			      uint16_t *ret_selector);

#endif
