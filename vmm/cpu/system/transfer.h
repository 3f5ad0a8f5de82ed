/* Targets of far transfers: a code segment, an address in it, the privilege it gives. */
#ifndef REPRISE_VMM_CPU_SYSTEM_TRANSFER_H
#define REPRISE_VMM_CPU_SYSTEM_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/system/descriptor.h"

struct transfer {
	uint64_t rip;
	uint16_t selector;      /* as CS will hold it */
	uint8_t cpl;            /* after the transfer */
	bool wide;              /* the target is 64-bit code */
	struct descriptor code; /* its accessed bit is still to be set */
};

/* Each sets all of *transfer from selector and raises #GP or #NP; none checks rip. */

/* A code segment named by JMP or CALL; code has been read (SDM 3A 5.8.1). */
bool transfer_check_direct(struct cpu *cpu, uint16_t selector, struct transfer *transfer);

/* A code segment named by a call gate; jump: JMP, which never gains privilege (SDM 3A 5.8.4). */
bool transfer_check_gate(struct cpu *cpu, uint16_t selector, bool jump, struct transfer *transfer);

/* A code segment returned to by RET or IRET (SDM 3A 5.8.6). */
bool transfer_check_return(struct cpu *cpu, uint16_t selector, struct transfer *transfer);

/* Raises #GP(0) unless rip is within the limit, or canonical in 64-bit code. From 64-bit to other
 * code its upper half is dropped first, as Intel's processors do. */
bool transfer_check_rip(struct cpu *cpu, struct transfer *transfer);

/*
 * SS as popped by a return: *ret_ss is its contents, *ret_descriptor the descriptor with its
 * accessed bit still to be set (S clear, so that nothing is to be set, for a null SS of 64-bit
 * code).
 */
bool transfer_check_stack(struct cpu *cpu, const struct transfer *transfer, uint16_t selector,
			  struct segment *ret_ss, struct descriptor *ret_descriptor);

/* Sets CS, CPL and next_rip. cpu_update_mode() is due. */
void transfer_enter(struct cpu *cpu, const struct transfer *transfer);

/* The same in real and virtual-8086 mode: raises #GP(0) beyond CS's limit, else sets CS, next_rip.
 */
bool transfer_check_real(struct cpu *cpu, uint64_t rip);
void transfer_enter_real(struct cpu *cpu, uint16_t selector, uint64_t rip);

#endif
