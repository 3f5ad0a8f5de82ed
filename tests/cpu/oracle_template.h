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
};

enum template_flags {
	LEGACY = 1,  /* not in 64-bit mode */
	LONG = 2,    /* only there */
	MEMORY = 4,  /* ModRM must name memory */
	LOCK = 8,    /* LOCK makes sense */
	STRING = 16, /* REP makes sense; uses RSI and RDI */
	STACK = 32,  /* uses the stack */
	JUMP = 64,   /* operands are targets */
	PLAIN = 128, /* no 66 prefix: it would be another instruction */
	ALONE = 256, /* not in sequences: it changes what addresses mean, or never goes on */
};

#define MODRM_NONE (-1)
#define MODRM_ANY  8

struct oracle_template {
	const char *name;
	uint8_t map; /* 0, 1: 0F, 2: 0F 38 */
	uint8_t opcode;
	uint8_t count;  /* how many opcodes in a row */
	int8_t modrm;   /* MODRM_NONE, a reg field 0..7, or MODRM_ANY */
	uint8_t imm;    /* enum immediate */
	uint8_t prefix; /* mandatory */
	uint16_t flags; /* enum template_flags */
};

#endif
