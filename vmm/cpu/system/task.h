/* Task switches (SDM 3A chapter 7). */
#ifndef REPRISE_VMM_CPU_SYSTEM_TASK_H
#define REPRISE_VMM_CPU_SYSTEM_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/system/descriptor.h"

enum task_reason {
	TASK_JUMP,
	TASK_CALL,   /* CALL, or a task gate in the IDT: the new task is nested */
	TASK_RETURN, /* IRET with NT set */
};

struct task_switch {
	uint16_t selector; /* of the new TSS */
	enum task_reason reason;
	bool external;   /* EXT in error codes */
	uint64_t rip;    /* of the old task, to be saved */
	uint64_t rflags; /* likewise */
	bool has_error;  /* an exception's error code goes onto the new stack */
	uint32_t error;
	struct descriptor tss; /* set by task_find() and task_find_link() */
};

/* Reads and checks the TSS descriptor for JMP, CALL or a gate: #GP, #NP. */
bool task_find(struct cpu *cpu, struct task_switch *how);

/* The same for IRET, by the current TSS's link: #TS, #NP. Sets how->selector. */
bool task_find_link(struct cpu *cpu, struct task_switch *how);

/*
 * Switches tasks (SDM 3A 7.3). On true next_rip and everything else are the new task's. A fault
 * found before the switch commits leaves everything as it was; one found later (bad segments in the
 * new TSS) belongs to the new task, as on hardware: then false is returned with the new task's
 * state loaded and rip set to its EIP.
 */
bool task_switch(struct cpu *cpu, const struct task_switch *how);

#endif
