/* One vCPU in 64-bit mode that runs vector instructions by their exec functions. */
#ifndef REPRISE_TESTS_CPU_VECTOR_GUEST_H
#define REPRISE_TESTS_CPU_VECTOR_GUEST_H

#include "tests/cpu/vector_case.h"
#include "vmm/engine.h"
#include "vmm/machine.h"

/* Makes a machine in 64-bit mode with the sandbox's data mapped. Returns 0 or a negative errno. */
int vector_guest_create(struct machine **ret_machine);

/* Host address of the data's RAM. */
uint8_t *vector_guest_data(struct machine *machine);

/* Puts the registers and the window's bytes there. */
void vector_guest_load(struct machine *machine, const struct vector_start *start);
/* The registers that the guest has come to. */
void vector_guest_save(struct machine *machine, struct vector_state *ret_state);

/*
 * Runs one instruction by its exec function, with the checks that its row asks for. Returns the
 * vector of the fault, which is in cpu->fault, or VECTOR_RETIRED.
 */
unsigned vector_guest_step(struct machine *machine, const struct insn *insn);

/*
 * Makes an engine for the machine, and the code page, IDT, GDT and TSS that it needs. Returns 0 or
 * a negative errno; the caller destroys the engine before the machine.
 */
int vector_guest_create_engine(struct machine *machine, const struct engine_ops *ops,
			       struct engine **ret_engine);

/* Runs n bytes of code and the INT3 behind them by the engine. */
void vector_guest_run_engine(struct engine *engine, const uint8_t *code, unsigned n,
			     struct vector_outcome *ret_outcome);

#endif
