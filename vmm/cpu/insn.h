/*
 * One decoded instruction: the compact form, made from Zydis's, that the interpreter's exec
 * functions (and later the translator) work from.
 */
#ifndef REPRISE_VMM_CPU_INSN_H
#define REPRISE_VMM_CPU_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"

#define INSN_MAX_BYTES 15

enum operand_kind { OPERAND_NONE, OPERAND_REG, OPERAND_MEM, OPERAND_IMM };

enum reg_class {
	REG_NONE,
	REG_GPR,      /* index 0..15, width by operand.size */
	REG_GPR_HIGH, /* AH CH DH BH: index 0..3 */
	REG_SEG,
	REG_CR,
	REG_DR,
	REG_ST,
	REG_MMX,
	REG_XMM,
};

/* Where an instruction's bytes name an operand. */
enum operand_field {
	FIELD_OTHER,  /* implied by the opcode, or an immediate */
	FIELD_REG,    /* ModRM.reg */
	FIELD_RM,     /* ModRM.rm */
	FIELD_OPCODE, /* the opcode's low three bits */
};

/* Explicit operands only, in Intel order; what is implicit (RAX of MUL, RSP of PUSH) is not listed.
 */
struct operand {
	uint8_t kind;      /* enum operand_kind */
	uint8_t reg_class; /* enum reg_class */
	uint8_t reg;       /* register number within its class */
	uint8_t field;     /* enum operand_field */
	uint16_t size;     /* in bytes; 0 for LEA and the like */
};

enum insn_prefix {
	PREFIX_LOCK = 1,
	PREFIX_REP = 2,   /* F3 on an instruction that takes REP/REPE */
	PREFIX_REPNE = 4, /* F2, likewise */
	PREFIX_REX_W = 8,
	PREFIX_OPSIZE = 16, /* 66 present, mandatory or not */
	PREFIX_F3 = 32,     /* F3 present at all */
	PREFIX_F2 = 64,
};

#define INSN_BASE_RIP                                                                              \
	17 /* insn.base: RIP-relative; disp is then relative to the next instruction */

/*
 * Zydis has one mnemonic for the string instruction and the SSE2 instruction of the names MOVSD and
 * CMPSD. The SSE2 ones get these instead, next to Zydis's own, so that a mnemonic is one row.
 */
#define ZYDIS_MNEMONIC_MOVSD_XMM (ZYDIS_MNEMONIC_MAX_VALUE + 1)
#define ZYDIS_MNEMONIC_CMPSD_XMM (ZYDIS_MNEMONIC_MAX_VALUE + 2)
#define INSN_MNEMONIC_COUNT      (ZYDIS_MNEMONIC_MAX_VALUE + 3)

struct insn {
	uint16_t mnemonic; /* ZydisMnemonic, or one of the above */
	uint8_t length;    /* bytes */
	uint8_t op_size;   /* effective operand size in bytes: 2, 4, 8 (1 for byte forms) */
	uint8_t addr_size; /* 2, 4, 8 */
	uint8_t prefixes;  /* enum insn_prefix */
	uint8_t n_operands;
	struct operand operand[4];

	/* The memory operand, where there is one. Also for string instructions: seg of the source.
	 */
	uint8_t base, index; /* GPR number, GPR_ZERO when absent, INSN_BASE_RIP */
	uint8_t scale;       /* shift count 0..3 */
	uint8_t seg;         /* enum seg_index; the default segment when no override applies */
	int64_t disp;        /* also the absolute address of MOV moffs */

	uint64_t imm; /* sign-extended as the instruction says; relative branch: the displacement */
	uint16_t imm2; /* ENTER's second immediate, the selector of a far pointer, EXTRQ's … */
	bool far;      /* far CALL, JMP (ptr16:xx or m16:xx) */

	/* Encoding, for exec functions that run the same instruction on the host, and for the
	 * translator. */
	uint8_t opcode_map; /* 0: one byte, 1: 0F, 2: 0F38, 3: 0F3A */
	uint8_t opcode;
	uint8_t modrm;
	uint8_t mandatory; /* 0, 0x66, 0xF3, 0xF2: the prefix that selects the instruction */
	uint8_t modrm_at;  /* offset of ModRM; 0: there is none */
	uint8_t imm_at;    /* offset of what follows ModRM, SIB and displacement; length: nothing */
};

enum insn_decode_result {
	INSN_OK,
	INSN_TRUNCATED, /* needs more bytes than were given */
	INSN_INVALID,   /* #UD: no such instruction on this CPU model or in this mode */
	INSN_TOO_LONG,  /* #GP(0): more than 15 bytes */
};

/*
 * Decodes the instruction at bytes[0..n) in the given mode (MODE_CODE*). What the CPU model does
 * not offer is INSN_INVALID, or what older CPUs make of the same bytes. Sets *ret_insn on INSN_OK
 * only.
 */
enum insn_decode_result insn_decode(const uint8_t *bytes, size_t n, uint32_t mode,
				    struct insn *ret_insn);

#endif
