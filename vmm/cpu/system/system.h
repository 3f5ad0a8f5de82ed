/*
 * What the rest of the cpu folder calls in the system part: exec functions that other parts'
 * rows dispatch to, debug registers, CPUID.
 */
#ifndef REPRISE_VMM_CPU_SYSTEM_SYSTEM_H
#define REPRISE_VMM_CPU_SYSTEM_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/exec.h"
#include "vmm/cpu/insn.h"

/* ---- rows_system.h ---- */

/* flags.c */
exec_fn exec_pushf, exec_popf, exec_cli, exec_sti, exec_hlt, exec_clac, exec_stac;

/* interrupt.c */
exec_fn exec_int, exec_int1, exec_int3, exec_into, exec_iret;

/* segment.c */
exec_fn exec_lds, exec_les, exec_lfs, exec_lgs, exec_lss;
exec_fn exec_swapgs, exec_rdfsbase, exec_rdgsbase, exec_wrfsbase, exec_wrgsbase;

/* tables.c */
exec_fn exec_lgdt, exec_lidt, exec_sgdt, exec_sidt, exec_lldt, exec_ltr, exec_sldt, exec_str;

/* query.c */
exec_fn exec_lar, exec_lsl, exec_verr, exec_verw, exec_arpl;

/* control.c */
exec_fn exec_clts, exec_lmsw, exec_smsw, exec_invlpg, exec_invd;

/* syscall.c */
exec_fn exec_syscall, exec_sysret, exec_sysenter, exec_sysexit;

/* port.c */
exec_fn exec_in, exec_out, exec_ins, exec_outs;

/* msr.c, time.c, cpuid.c */
exec_fn exec_rdmsr, exec_wrmsr, exec_rdpmc, exec_rdtsc, exec_rdtscp, exec_rdrand, exec_rdseed;
exec_fn exec_cpuid;

/* ---- forms of mnemonics whose row is the integer part's ---- */

/* MOV with a REG_SEG, REG_CR or REG_DR operand; each checks the privilege itself. */
bool exec_mov_segment(struct cpu *cpu, const struct insn *insn);
bool exec_mov_control(struct cpu *cpu, const struct insn *insn);
bool exec_mov_debug(struct cpu *cpu, const struct insn *insn);

/* PUSH and POP with a REG_SEG operand. */
bool exec_push_segment(struct cpu *cpu, const struct insn *insn);
bool exec_pop_segment(struct cpu *cpu, const struct insn *insn);

/* CALL and JMP with insn->far; RET with opcode CA or CB. */
bool exec_call_far(struct cpu *cpu, const struct insn *insn);
bool exec_jmp_far(struct cpu *cpu, const struct insn *insn);
bool exec_ret_far(struct cpu *cpu, const struct insn *insn);

/* ---- debug registers (debug.c) ---- */

#define DR6_BREAKPOINTS 0xfu
#define DR6_BD          0x2000u
#define DR6_BS          0x4000u
#define DR6_BT          0x8000u
#define DR6_FIXED       0xffff0ff0u
#define DR7_FIXED       0x400u
#define DR7_ENABLES     0xffu
#define DR7_GD          0x2000u

/* As debug_data_access() for an access to I/O ports; only with CR4.DE (SDM 3B 17.2.4). */
void debug_port_access(struct cpu *cpu, uint16_t port, unsigned n);

/*
 * Moves pending_db into a #DB that exception_deliver() can take; returns false as raise_fault()
 * does. Between instructions only, with pending_db not 0.
 */
bool debug_raise_pending(struct cpu *cpu);

/*
 * True for instructions after which a single-step trap is not due though TF was set before: they
 * clear TF on the way into a handler (INT n, INT3, INTO, INT1; SYSCALL as Linux programs
 * IA32_FMASK).
 */
bool debug_step_suppressed(const struct insn *insn);

/* ---- CPUID (cpuid.c) ---- */

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* Name of the one CPU model, as in machine_config.cpu_model. */
extern const char cpu_model_name[];

/* Signature in CPUID.1:EAX; also in EDX after RESET. */
uint32_t cpuid_signature(void);

/* What CPUID gives for leaf and subleaf, derived bits included. */
void cpuid_query(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t ret_out[4]);

/* ---- MSRs (msr.c) ---- */

/*
 * The guest's RDMSR and WRMSR without their privilege check. Return as exec functions do; writes
 * make every check before they change anything.
 */
bool msr_read(struct cpu *cpu, uint32_t msr, uint64_t *ret_value);
bool msr_write(struct cpu *cpu, uint32_t msr, uint64_t value);

/*
 * What a repeated string instruction checks even when its count is 0: the permission of INS and
 * OUTS to use the port. Returns as exec functions do.
 */
bool port_check_repeat(struct cpu *cpu, const struct insn *insn);

#endif
