/*
 * Where a Linux guest's kernel is entered from user mode and left to it. A breakpoint on each of
 * these instructions sees every stay of a thread in the kernel begin and end, without a step in
 * between.
 */
#ifndef REPRISE_GDBSTUB_LINUX_CROSSINGS_H
#define REPRISE_GDBSTUB_LINUX_CROSSINGS_H

#include "gdbstub/linux/guest.h"

#define CROSSINGS_GATES 256

struct crossing_entry {
	uint64_t address;
	bool syscall;       /* reached by SYSCALL; else through a gate */
	uint8_t error_code; /* bytes of it on top of the stack */
};

struct crossings {
	struct crossing_entry entry[CROSSINGS_GATES + 1]; /* by ascending address */
	unsigned n_entries;
	uint64_t iret, sysret; /* the instructions that lead out */
};

/* After the IDT and IA32_LSTAR of the vCPU that runs. Returns false with a line in error when the
 * ways out cannot be found. */
bool crossings_find(const struct linux_guest *guest, struct crossings *ret, struct reply *error);

/* The entry at an address, or NULL. */
const struct crossing_entry *crossings_entry(const struct crossings *crossings, uint64_t address);

/* The vCPU stands at an entry, before its first instruction: whether it came from user mode, and
 * from which instruction; behind it where that has retired. */
bool crossings_came_from_user(const struct linux_guest *guest, const struct cpu *cpu,
			      const struct crossing_entry *entry, uint64_t *ret_rip);
/* Whether the vCPU is about to leave to user mode. */
bool crossings_leads_to_user(const struct linux_guest *guest, const struct crossings *crossings,
			     const struct cpu *cpu);

#endif
