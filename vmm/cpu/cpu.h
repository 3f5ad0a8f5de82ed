/*
 * The state of one virtual CPU.
 *
 * Everything the guest can observe of a vCPU lies in the first part of struct cpu; vmm/cpu/state.c
 * lists those fields once, and saving, restoring, hashing and comparing all follow that list.
 * The second part is derived: it can be dropped at any instruction boundary and made anew with
 * cpu_update_mode().
 */
#ifndef REPRISE_VMM_CPU_CPU_H
#define REPRISE_VMM_CPU_CPU_H

#include <stdbool.h>
#include <stdint.h>

struct machine;
struct tlb;

enum gpr_index { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* gpr[GPR_ZERO] always holds 0: the base or index of an address that has none. */
#define GPR_ZERO 16

/* gpr[GPR_BLOCK] is derived: RIP of the first instruction of the block that the interpreter runs,
 * so that RIP-relative addresses need no handlers of their own. */
#define GPR_BLOCK 17

/* Segment registers by their encoding (SDM 2 table 3-1), then the two system segments. */
enum seg_index { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

/* seg_zero is an index into cpu.seg whose base is always 0: flat operands in 64-bit mode. */
#define SEG_ZERO SEG_COUNT

/* Bits of segment.attr: bits 8 to 23 of a descriptor's upper half (SDM 3A 3.4.5), shifted to 0. */
#define SEG_ATTR_TYPE      0x000fu
#define SEG_ATTR_ACCESSED  0x0001u
#define SEG_ATTR_RW        0x0002u /* readable code, writable data */
#define SEG_ATTR_DC        0x0004u /* conforming code, expand-down data */
#define SEG_ATTR_CODE      0x0008u
#define SEG_ATTR_S         0x0010u
#define SEG_ATTR_DPL_SHIFT 5
#define SEG_ATTR_DPL       0x0060u
#define SEG_ATTR_P         0x0080u
#define SEG_ATTR_AVL       0x1000u
#define SEG_ATTR_L         0x2000u
#define SEG_ATTR_DB        0x4000u
#define SEG_ATTR_G         0x8000u
#define SEG_ATTR_NULL      0x10000u /* loaded with a null selector: unusable outside 64-bit mode */

struct segment {
	uint64_t base;
	uint32_t limit; /* in bytes, granularity applied: the last valid offset */
	uint32_t attr;
	uint16_t selector;
};

struct table_register {
	uint64_t base;
	uint16_t limit;
};

/* The FXSAVE image (SDM 1 table 10-2). fop, fip and fdp always read 0 (docs/machine.md). */
struct fx_state {
	uint16_t fcw, fsw;
	uint8_t ftw; /* abridged: bit n set = physical register n is not empty */
	uint8_t reserved;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16]; /* in stack order: st[0] is ST(0) */
	uint8_t xmm[16][16];
	uint8_t unused[96];
} __attribute__((aligned(16)));

enum activity { ACTIVITY_RUNNING, ACTIVITY_HALTED, ACTIVITY_WAIT_SIPI, ACTIVITY_SHUTDOWN };

/* Interrupts are held off for one instruction after STI and after a load of SS (SDM 3A 6.8.3). */
enum shadow { SHADOW_NONE, SHADOW_STI, SHADOW_SS };

/* Variable-range MTRR pairs offered. */
#define MTRR_VARIABLE_COUNT 8

/* A fault an instruction raised, not yet delivered. */
struct fault {
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint64_t address; /* #PF: the linear address for CR2 */
	uint64_t dr6;     /* #DB: bits to set in DR6 */
};

/* Why a handler left the block before its end. */
enum cpu_stop {
	CPU_STOP_NONE,
	CPU_STOP_FAULT,    /* cpu.fault is to be delivered */
	CPU_STOP_CROSSING, /* machine.crossing.request waits for its answer */
	CPU_STOP_RESYNC,   /* retired; code or translations changed: look everything up again */
	CPU_STOP_RETRY,    /* not retired, for the same reason: run the instruction again */
};

struct cpu {
	/* ---- guest state ---- */
	uint64_t gpr[18]; /* see GPR_ZERO, GPR_BLOCK */
	uint64_t rip;
	/*
	 * RFLAGS without CF, PF, AF, ZF, SF, OF, which are held lazily in cc_result and cc_aux
	 * (flags.h). cpu_rflags() and cpu_set_rflags() give and take the whole register.
	 */
	uint64_t rflags_rest;
	uint64_t cc_result, cc_aux;

	struct segment seg[SEG_COUNT + 1]; /* see SEG_ZERO */
	struct table_register gdtr, idtr;
	uint8_t cpl; /* 0 in real mode, 3 in virtual-8086 mode */

	uint64_t cr0, cr2, cr3, cr4;
	uint64_t xcr0;
	uint64_t dr[4], dr6, dr7;
	uint64_t pdpte[4]; /* PAE paging only (SDM 3A 4.4.1) */

	uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc_offset; /* guest TSC = machine clock + tsc_offset; IA32_TSC_ADJUST */
	uint64_t tsc_aux;
	uint64_t apic_base;
	uint64_t pat;
	uint64_t misc_enable;
	uint64_t spec_ctrl;
	uint64_t mtrr_def_type, mtrr_fixed[11];
	uint64_t mtrr_base[MTRR_VARIABLE_COUNT], mtrr_mask[MTRR_VARIABLE_COUNT];
	uint64_t ucode_rev;

	struct fx_state fx;

	uint8_t activity;    /* enum activity */
	uint8_t shadow;      /* enum shadow */
	bool nmi_blocked;    /* between NMI delivery and IRET */
	uint64_t pending_db; /* DR6 bits of a debug trap due before the next instruction, or 0 */
	uint32_t index;      /* vCPU number; also its initial APIC id */

	/* ---- derived ---- */
	struct machine *machine;
	struct tlb *tlb;    /* cached translations for the present address space and privilege */
	uint32_t mode;      /* enum mode_bits: what decoding depends on */
	bool attention;     /* something must be looked at before the next block (interp/loop.c) */
	uint8_t stop;       /* enum cpu_stop */
	struct fault fault; /* valid while stop == CPU_STOP_FAULT */
	uint64_t next_rip; /* while an exec function runs: the instruction after it; branches set it
			    */

	/* By mmu space: attention is asked for where user code is entered (engine.h); NULL:
	 * nowhere. */
	const bool *user_stop;
	uint32_t kernel_entries; /* times that CPL 3 was left */
	bool in_user;            /* CPL was 3 when that was last looked at */

	/* The interpreter's, while it runs (interp/interp.h). */
	uint64_t block_icount; /* icount before the running block */
	uint64_t until_icount; /* the run's limit */
	uint64_t address_mask; /* effective addresses wrap to it */
	uint64_t slow_value;   /* what the slow path of a load read */
	uint8_t link;          /* which of the block's links leads on; 0: none */
};

/* Decoding depends on these alone (and on the CPU model, which is fixed). */
enum mode_bits {
	MODE_CODE16 = 0,
	MODE_CODE32 = 1,
	MODE_CODE64 = 2,
	MODE_CODE_MASK = 3,
	MODE_STACK32 = 4,    /* SS.B: the stack pointer is ESP (64-bit code: RSP, bit clear) */
	MODE_FLAT = 8,       /* CS DS ES SS: base 0, limit 4 GiB, usable; 64-bit code: always set */
	MODE_PROTECTED = 16, /* CR0.PE=1 and not virtual-8086 */
	MODE_SSE = 32,       /* SSE instructions run: CR0.EM=0, CR0.TS=0, CR4.OSFXSR=1 */
	MODE_BITS = 6,
};

/* RFLAGS (SDM 1 3.4.3). */
#define FLAG_CF         0x1u
#define FLAG_FIXED      0x2u
#define FLAG_PF         0x4u
#define FLAG_AF         0x10u
#define FLAG_ZF         0x40u
#define FLAG_SF         0x80u
#define FLAG_TF         0x100u
#define FLAG_IF         0x200u
#define FLAG_DF         0x400u
#define FLAG_OF         0x800u
#define FLAG_IOPL       0x3000u
#define FLAG_IOPL_SHIFT 12
#define FLAG_NT         0x4000u
#define FLAG_RF         0x10000u
#define FLAG_VM         0x20000u
#define FLAG_AC         0x40000u
#define FLAG_VIF        0x80000u
#define FLAG_VIP        0x100000u
#define FLAG_ID         0x200000u
#define FLAGS_ARITH     (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define CR0_PE 0x1u
#define CR0_MP 0x2u
#define CR0_EM 0x4u
#define CR0_TS 0x8u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

#define CR4_VME        0x1u
#define CR4_PVI        0x2u
#define CR4_TSD        0x4u
#define CR4_DE         0x8u
#define CR4_PSE        0x10u
#define CR4_PAE        0x20u
#define CR4_MCE        0x40u
#define CR4_PGE        0x80u
#define CR4_PCE        0x100u
#define CR4_OSFXSR     0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP       0x800u
#define CR4_FSGSBASE   0x10000u
#define CR4_OSXSAVE    0x40000u
#define CR4_SMEP       0x100000u
#define CR4_SMAP       0x200000u

#define EFER_SCE 0x1u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u

enum vector {
	VECTOR_DE = 0,
	VECTOR_DB = 1,
	VECTOR_NMI = 2,
	VECTOR_BP = 3,
	VECTOR_OF = 4,
	VECTOR_BR = 5,
	VECTOR_UD = 6,
	VECTOR_NM = 7,
	VECTOR_DF = 8,
	VECTOR_TS = 10,
	VECTOR_NP = 11,
	VECTOR_SS = 12,
	VECTOR_GP = 13,
	VECTOR_PF = 14,
	VECTOR_MF = 16,
	VECTOR_AC = 17,
	VECTOR_MC = 18,
	VECTOR_XM = 19,
};

static inline bool cpu_long_mode(const struct cpu *cpu)
{
	return (cpu->efer & EFER_LMA) != 0;
}

static inline bool cpu_code64(const struct cpu *cpu)
{
	return (cpu->mode & MODE_CODE_MASK) == MODE_CODE64;
}

/* The linear address of the instruction that is next. */
static inline uint64_t cpu_linear_rip(const struct cpu *cpu)
{
	return cpu_code64(cpu) ? cpu->rip : (uint32_t)(cpu->seg[SEG_CS].base + cpu->rip);
}

static inline bool cpu_v8086(const struct cpu *cpu)
{
	return (cpu->rflags_rest & FLAG_VM) != 0;
}

/* Protected mode proper: neither real nor virtual-8086. */
static inline bool cpu_protected(const struct cpu *cpu)
{
	return (cpu->cr0 & CR0_PE) && !cpu_v8086(cpu);
}

static inline bool address_is_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/*
 * Recomputes mode, tlb and attention. To be called after any change to CS, SS, DS, ES, CPL, CR0,
 * CR3, CR4, EFER, PDPTEs, DR7, pending_db, shadow, or RFLAGS.TF/VM/AC/RF made outside
 * cpu_set_rflags().
 */
void cpu_update_mode(struct cpu *cpu);

/* The whole RFLAGS register. */
uint64_t cpu_rflags(const struct cpu *cpu);

/* Sets the whole RFLAGS register (reserved bits are forced) and calls cpu_update_mode(). */
void cpu_set_rflags(struct cpu *cpu, uint64_t rflags);

/* True when a maskable interrupt could be delivered now: IF=1, no shadow, running or halted. */
bool cpu_can_take_interrupt(const struct cpu *cpu);

/* True when an NMI could be delivered now. */
bool cpu_can_take_nmi(const struct cpu *cpu);

/* State after RESET or, with init set, after INIT (SDM 3A table 9-1); reset.c. */
void cpu_reset(struct cpu *cpu, bool init);

/* ---- state.c: the list of guest state fields ---- */

/* Bytes of one encoded vCPU. */
extern const uint32_t cpu_state_bytes;

/* Writes the guest state, cpu_state_bytes long, little-endian, in the list's order. */
void cpu_state_encode(const struct cpu *cpu, uint8_t *buffer);

/*
 * Reads what cpu_state_encode wrote and recomputes the derived part. Returns 0, or -EINVAL when a
 * field holds what no vCPU can hold (the cpu is then unchanged).
 */
int cpu_state_decode(struct cpu *cpu, const uint8_t *buffer);

/*
 * The first field in which two encoded states differ: its name and both values (the low 64 bits of
 * wide fields). Returns false when they are equal.
 */
bool cpu_state_difference(const uint8_t *a, const uint8_t *b, const char **ret_name,
			  uint64_t *ret_a, uint64_t *ret_b);

#endif
