/*
 * x87, MMX and SSE to SSE4.2 for the interpreter: exec functions (exec.h) that run the real
 * instruction on the host, on loaded state, so that results are the hardware's.
 *
 * The SSE control and status register is kept live in the host's MXCSR while an engine runs, with
 * all exceptions masked, so that a floating-point instruction costs no reloading: cpu->fx.mxcsr
 * then has the guest's control bits, and the sticky flags are those of cpu->fx.mxcsr and of the
 * host's MXCSR together. Between vector_enter() and vector_leave() the calling thread must do no
 * SSE floating point of its own; after vector_leave() cpu->fx.mxcsr is exact.
 */
#ifndef REPRISE_VMM_CPU_VECTOR_VECTOR_H
#define REPRISE_VMM_CPU_VECTOR_VECTOR_H

#include "vmm/cpu/exec.h"

/* Loads the guest's MXCSR into the host's. To be called before exec functions of ROW_SSE or ROW_FPU
 * rows run: at the start of an engine's run, and when the vCPU changes. */
void vector_enter(struct cpu *cpu);

/* Brings cpu->fx.mxcsr up to date and restores the host's MXCSR to its default (0x1f80). */
void vector_leave(struct cpu *cpu);

/*
 * The checks that a row's flags ask for, to be made before its exec function (SDM 3A 2.5).
 * ROW_FPU alone, x87: #NM when CR0.EM or CR0.TS.
 * ROW_SSE alone: #UD when CR0.EM or not CR4.OSFXSR, #NM when CR0.TS.
 * Both, for MMX and for what has an MMX and an XMM form: #UD when CR0.EM, #NM when CR0.TS; with
 * CR4.OSFXSR clear the function goes on checking, which knows the form.
 *
 * Returns false with the fault raised. A pending x87 exception is the exec function's own check.
 */
bool vector_check_available(struct cpu *cpu, uint16_t row_flags);

/* The exec functions of rows_vector.h. */
#define ROW(mnemonic, function, flags) exec_fn function;
#include "vmm/cpu/rows_vector.h"
#undef ROW

#endif
