/* One vCPU in 64-bit mode that runs vector instructions by their exec functions. */
#ifndef REPRISE_TESTS_CPU_VECTOR_GUEST_H
#define REPRISE_TESTS_CPU_VECTOR_GUEST_H

#include "tests/cpu/vector_case.h"
#include "vmm/engine.h"
#include "vmm/machine.h"

#define VECTOR_RETIRED 255

/* Makes a machine in 64-bit mode with VECTOR_DATA mapped. Returns 0 or a negative errno. */
int vector_guest_create(struct machine **ret_machine);

/* Host address of the data area's RAM. */
uint8_t *vector_guest_data(struct machine *machine);

/*
 * Runs one instruction by its exec function, with the checks that its row asks for. Returns the
 * vector of the fault or VECTOR_RETIRED.
 */
unsigned vector_guest_run(struct machine *machine, const uint8_t *bytes, unsigned n);

/*
 * Makes an engine for the machine, and the code page, IDT, GDT and TSS that it needs. Returns 0 or
 * a negative errno; the caller destroys the engine before the machine.
 */
int vector_guest_create_engine(struct machine *machine, const struct engine_ops *ops,
			       struct engine **ret_engine);

/* As vector_guest_run(), by the engine: the instruction and the INT3 behind it. */
unsigned vector_guest_run_engine(struct engine *engine, const uint8_t *bytes, unsigned n);

#endif
