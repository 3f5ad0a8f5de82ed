/* One instruction carried out by its exec function, without interp's machinery around it. */
#ifndef REPRISE_VMM_JIT_STEP_H
#define REPRISE_VMM_JIT_STEP_H

#include "vmm/cpu/cpu.h"

struct jit_stepper;

/* NULL when there is no memory. */
struct jit_stepper *jit_stepper_create(void);
void jit_stepper_destroy(struct jit_stepper *stepper);

/* Whether no translation can begin at RIP: jit_step() is for what stands there. */
bool jit_step_is_due(struct jit_stepper *stepper, struct cpu *cpu);

/*
 * Runs the instruction at RIP, or delivers the fault that it raises: one step; or many, up to
 * until, of one that repeats. Only while translated code may run (translator_may_run()). Returns 0;
 * or, having changed nothing that counts, how many steps interp is to run: one if the instruction
 * needs x87 or SSE state, crosses a page or the boundary, is not fetched yet, and as many as a
 * repeated instruction asks for.
 */
uint64_t jit_step(struct jit_stepper *stepper, struct cpu *cpu, uint64_t until);

/* How many steps of interp the instruction at RIP asks for: more than one if it repeats. */
uint64_t jit_step_count(struct jit_stepper *stepper, struct cpu *cpu);

#endif
