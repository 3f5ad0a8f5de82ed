/* The registers that gdb sees, and their description (gdb manual, appendix G). */
#ifndef REPRISE_GDBSTUB_REGISTERS_H
#define REPRISE_GDBSTUB_REGISTERS_H

#include "gdbstub/text.h"
#include "vmm/cpu/cpu.h"

#define REGISTER_MAX_BYTES 16

unsigned registers_count(void);

/* Copies register n (numbers as in the description), little-endian. Returns its bytes; 0: there is
 * no such register. */
unsigned register_read(const struct cpu *cpu, unsigned n, uint8_t value[REGISTER_MAX_BYTES]);

/* The name of register n, or NULL. */
const char *register_name(unsigned n);

/* The target description, an XML document. */
void registers_describe(struct reply *reply);

#endif
