/* The registers that gdb sees, and their description (gdb manual, appendix G). */
#ifndef REPRISE_GDBSTUB_REGISTERS_H
#define REPRISE_GDBSTUB_REGISTERS_H

#include "gdbstub/text.h"
#include "vmm/cpu/cpu.h"

#define REGISTER_MAX_BYTES 16

/* Which registers there are. */
enum register_set {
	REGISTERS_MACHINE, /* a vCPU's, control registers among them */
	REGISTERS_PROCESS, /* what a Linux process has */
};

/* The registers of one thread. */
struct thread_registers {
	struct cpu cpu; /* a copy: derived state and flags are not to be used */
	uint64_t rflags;
	uint64_t orig_rax; /* processes: the system call's number, or all ones */
};

unsigned registers_count(enum register_set set);

/* Copies register n (numbers as in the description), little-endian. Returns its bytes; 0: there is
 * no such register. */
unsigned register_read(enum register_set set, const struct thread_registers *registers, unsigned n,
		       uint8_t value[REGISTER_MAX_BYTES]);

/* The target description, an XML document. */
void registers_describe(enum register_set set, struct reply *reply);

#endif
