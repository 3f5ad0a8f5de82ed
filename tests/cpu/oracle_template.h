/* What an opcode template of the oracle says (oracle_template.c holds the table). */
#ifndef REPRISE_TESTS_CPU_ORACLE_TEMPLATE_H
#define REPRISE_TESTS_CPU_ORACLE_TEMPLATE_H

#include "tests/cpu/oracle.h"

enum immediate {
	IMM_NONE,
	IMM_BYTE,
	IMM_WORD,   /* 2 bytes */
	IMM_Z,      /* 2 or 4 bytes by operand size */
	IMM_V,      /* 2, 4 or 8 */
	IMM_OFFSET, /* an address, 2, 4 or 8 by address size */
	IMM_ENTER,  /* a word, kept small, and a byte */
	IMM_REL8,
	IMM_RELZ,
	IMM_FAR,    /* an offset, 2 or 4 by operand size, and a selector */
	IMM_VECTOR, /* of INT: not one that is a system call */
};

enum template_flags {
	LEGACY = 1,      /* not in 64-bit mode */
	LONG = 2,        /* only there */
	MEMORY = 4,      /* ModRM must name memory */
	LOCK = 8,        /* LOCK makes sense */
	STRING = 16,     /* REP makes sense; uses RSI and RDI */
	STACK = 32,      /* uses the stack */
	JUMP = 64,       /* operands are targets */
	PLAIN = 128,     /* no 66 prefix: it would be another instruction */
	SELECTOR = 256,  /* operands are selectors */
	FAR = 512,       /* the operand is a far pointer, or the stack holds one */
	GS_BASE = 1024,  /* needs FSGSBASE */
	NARROW = 2048,   /* no REX.W: makers differ over it */
	INVALID = 4096,  /* some forms of it raise #UD */
	NO_REX = 8192,   /* REX makes it another instruction, or not, by maker */
	NO_LOCK = 16384, /* so does LOCK */
};

#define MODRM_NONE (-1)
#define MODRM_ANY  8
#define MODRM_BYTE 9 /* the byte that the template gives */

/* Templates of instructions that change what addresses mean stand alone, not in sequences. */
#define NOT_IN_SEQUENCES (SELECTOR | FAR)

struct oracle_template {
	const char *name;
	uint8_t map; /* 0, 1: 0F, 2: 0F 38 */
	uint8_t opcode;
	uint8_t count;  /* how many opcodes in a row */
	int8_t modrm;   /* MODRM_NONE, a reg field 0..7, or MODRM_ANY */
	uint8_t imm;    /* enum immediate */
	uint8_t prefix; /* mandatory */
	uint8_t byte;   /* with MODRM_BYTE */
	uint16_t flags; /* enum template_flags */
};

#endif
