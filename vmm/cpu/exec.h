/*
 * The contract of exec functions: one function carries out one instruction (of a REP, one
 * iteration) for the interpreter.
 *
 * When called, cpu->rip is the instruction's own address, cpu->next_rip the following one's,
 * machine->icount the exact count before it. The function
 *  - makes every check that can fault, then crosses the boundary, then commits: one that returns
 *    false has changed nothing but accessed and dirty bits;
 *  - returns true when the instruction retires. Branches write next_rip (truncated to the mode's
 *    width, limit and canonicity already checked) instead of rip;
 *  - returns false when it faulted or needs an answer from outside; cpu->stop says which. It is
 * then called again from the start, after the fault is handled or with the answer at hand. Whoever
 * changes what cpu_update_mode() derives from calls it before returning true.
 */
#ifndef REPRISE_VMM_CPU_EXEC_H
#define REPRISE_VMM_CPU_EXEC_H

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/insn.h"

typedef bool exec_fn(struct cpu *cpu, const struct insn *insn);

enum row_flags {
	ROW_ENDS_BLOCK = 1, /* changes control flow, mode, IF, TF or mappings */
	ROW_CPL0 = 2,       /* #GP(0) unless CPL is 0 (always in virtual-8086 mode) */
	ROW_PROTECTED = 4,  /* #UD in real and virtual-8086 mode */
	ROW_REP = 8,        /* a string instruction: one call is one iteration */
	ROW_LOCKABLE = 16,  /* LOCK allowed with a memory destination */
	ROW_FPU = 32, /* x87 and MMX checks: #UD/#NM by CR0.EM/TS, pending #MF by the function */
	ROW_SSE = 64, /* SSE checks: CR0.EM, CR4.OSFXSR, CR0.TS */
	ROW_ALIGN16 = 128, /* a 16-byte memory operand must be aligned: #GP(0) */
	ROW_MXCSR = 256,   /* needs vector_enter(), though its checks are its own */
};

struct insn_row {
	exec_fn *exec; /* NULL: the machine does not have this instruction, #UD */
	uint16_t flags;
};

/*
 * The row of a mnemonic. The table is put together in insn_table.c from rows_integer.h,
 * rows_system.h and rows_vector.h: lists of ROW(mnemonic, exec function, flags).
 */
const struct insn_row *insn_row(uint16_t mnemonic);

/* ---- raising faults: each records the fault, sets CPU_STOP_FAULT, and returns false ---- */

bool raise_fault(struct cpu *cpu, enum vector vector);                       /* no error code */
bool raise_fault_error(struct cpu *cpu, enum vector vector, uint32_t error); /* with one */
bool raise_page_fault(struct cpu *cpu, uint64_t address, uint32_t error);
static inline bool raise_gp(struct cpu *cpu, uint32_t error)
{
	return raise_fault_error(cpu, VECTOR_GP, error);
}
static inline bool raise_ud(struct cpu *cpu)
{
	return raise_fault(cpu, VECTOR_UD);
}

/* ---- operands ---- */

/* Offset of the memory operand within its segment, wrapped to the address size. */
uint64_t insn_offset(const struct cpu *cpu, const struct insn *insn);

enum access_kind { ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC };

/*
 * Segmentation: checks an access of size bytes at seg:offset and gives its linear address. In
 * 64-bit mode: canonical check. Raises #GP(0), or #SS(0) for SS.
 */
bool segment_linear(struct cpu *cpu, unsigned seg, uint64_t offset, uint32_t size,
		    enum access_kind kind, uint64_t *ret_linear);

/* The memory operand's linear address, checked for an access of size bytes. */
bool insn_linear(struct cpu *cpu, const struct insn *insn, uint32_t size, enum access_kind kind,
		 uint64_t *ret_linear);

/*
 * Whether the memory operand's address, canonical or not, is a multiple of size, a power of 2. For
 * 64-bit mode, where what wants alignment checks it before anything else about the address.
 */
bool insn_is_aligned(const struct cpu *cpu, const struct insn *insn, uint32_t size);

/* General register by operand; values are zero-extended. A 4-byte write clears the upper half. */
uint64_t reg_read(const struct cpu *cpu, const struct operand *operand);
void reg_write(struct cpu *cpu, const struct operand *operand, uint64_t value);
/* The same by register number (not AH..BH). */
uint64_t gpr_read(const struct cpu *cpu, unsigned reg, unsigned size);
void gpr_write(struct cpu *cpu, unsigned reg, unsigned size, uint64_t value);

/* Integer operand n of up to 8 bytes: register, memory or immediate. */
bool operand_read(struct cpu *cpu, const struct insn *insn, unsigned n, uint64_t *ret_value);
/* Checks that operand n can be written (memory: probes), changing nothing the guest can see. */
bool operand_probe_write(struct cpu *cpu, const struct insn *insn, unsigned n);
bool operand_write(struct cpu *cpu, const struct insn *insn, unsigned n, uint64_t value);

/* ---- memory at linear addresses (mmu/access.c) ---- */

enum privilege {
	PRIVILEGE_CURRENT, /* by CPL */
	PRIVILEGE_SYSTEM,  /* implicit supervisor access: descriptor tables, TSS (SDM 3A 4.6.1) */
};

/*
 * Reads or writes n bytes (at most 4096) at a linear address with paging; may cross pages. A write
 * is checked on all its pages before the first byte is stored. Device memory crosses the boundary
 * in ascending aligned pieces. Returns false with the fault or the crossing recorded.
 */
bool linear_read(struct cpu *cpu, uint64_t linear, void *buffer, uint32_t n, enum privilege priv);
bool linear_write(struct cpu *cpu, uint64_t linear, const void *buffer, uint32_t n,
		  enum privilege priv);

/* Makes the checks of such an access (setting A and D) without making it. */
bool linear_probe(struct cpu *cpu, uint64_t linear, uint32_t n, enum access_kind kind,
		  enum privilege priv);

/* ---- crossing the boundary from inside an instruction ---- */

/* Each returns false until the answer has been supplied; see machine.h, struct crossing. */
bool cross_port_read(struct cpu *cpu, uint16_t port, unsigned size, uint64_t *ret_value);
bool cross_port_write(struct cpu *cpu, uint16_t port, unsigned size, uint64_t value);
/* Device memory, by guest-physical address; an access never leaves its aligned 8 bytes. */
bool cross_mmio_read(struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t *ret_value);
bool cross_mmio_write(struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t value);
bool cross_msr_read(struct cpu *cpu, uint32_t msr, uint64_t *ret_value);
bool cross_msr_write(struct cpu *cpu, uint32_t msr, uint64_t value);
bool cross_cr8_read(struct cpu *cpu, uint64_t *ret_value);
bool cross_cr8_write(struct cpu *cpu, uint64_t value);
bool cross_random(struct cpu *cpu, bool seed, uint64_t *ret_value);

/* ---- events and exceptions (exception.c) ---- */

/*
 * Delivers cpu->fault through the IDT (nested faults become #DF, then shutdown), as one step: adds
 * 1 to icount. Clears cpu->stop. Never fails: a triple fault sets ACTIVITY_SHUTDOWN.
 */
void exception_deliver(struct cpu *cpu);

/* Delivers an external interrupt (or NMI) as one step; ends HALTED. The caller has checked that the
 * state can take it. */
void interrupt_deliver(struct cpu *cpu, uint8_t vector, bool nmi);

/*
 * INT n, INT3, INTO, INT1 from an exec function: delivers the software interrupt. Returns as exec
 * functions do; on true next_rip and everything else are those of the handler.
 */
bool interrupt_software(struct cpu *cpu, uint8_t vector, bool from_int_n);

/* Sets bits of pending_db when a data breakpoint in DR0-DR3 matches an access of n bytes. */
void debug_data_access(struct cpu *cpu, uint64_t linear, unsigned n, enum access_kind kind);

/* True, with the fault recorded, when an instruction breakpoint matches this linear address. */
bool debug_code_match(struct cpu *cpu, uint64_t linear);

/* The value RDTSC gives now. */
uint64_t cpu_tsc(const struct cpu *cpu);

#endif
