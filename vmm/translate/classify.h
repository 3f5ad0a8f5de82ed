/*
 * What the translator does with an instruction: one row a mnemonic (rows.h). What has no row is
 * left to interp, so nothing that was not thought of is ever copied.
 */
#ifndef REPRISE_VMM_TRANSLATE_CLASSIFY_H
#define REPRISE_VMM_TRANSLATE_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/insn.h"
#include "vmm/translate/host_flags.h"

enum insn_class {
	CLASS_INTERP, /* left to interp */
	CLASS_COPY,   /* copied, operands rewritten */
	CLASS_VECTOR, /* likewise; XMM and MXCSR only */
	CLASS_X87,    /* likewise; x87 or MMX state: only while its exceptions are masked */
	CLASS_NOTHING,
	CLASS_LEA,
	CLASS_PUSH,
	CLASS_POP,
	CLASS_LEAVE,
	CLASS_JCC,
	CLASS_JMP,
	CLASS_CALL,
	CLASS_RET,
	CLASS_LOOP,   /* LOOP, JRCXZ: copied, with a short way round */
	CLASS_STRING, /* MOVS, STOS, repeated or not */
	CLASS_TSC,
	CLASS_SYSTEM,   /* PUSHF, CLI and the like, at CPL 0 only */
	CLASS_TRANSFER, /* SYSCALL, SYSRET, IRET */
};

/* Which flags an instruction reads and writes. */
enum flag_rule {
	RULE_NONE,
	RULE_ALL,       /* writes all six */
	RULE_CARRY,     /* reads CF, writes all six */
	RULE_INC,       /* writes all but CF */
	RULE_CONDITION, /* reads what its condition code names */
	RULE_SHIFT, /* writes all six unless the count is 0; AF is undefined, OF by more than 1 */
	RULE_DOUBLE_SHIFT,  /* likewise */
	RULE_ROTATE,        /* writes CF and OF, undefined by more than 1, unless the count is 0 */
	RULE_ROTATE_CARRY,  /* reads CF too */
	RULE_MULTIPLY,      /* writes CF and OF; the others are undefined */
	RULE_DIVIDE,        /* all are undefined */
	RULE_BIT,           /* writes CF */
	RULE_SCAN,          /* writes ZF; the others are undefined */
	RULE_X87_CONDITION, /* reads CF, ZF, PF */
	RULE_COMPLEMENT,    /* reads and writes CF */
	RULE_SET_CARRY,     /* writes CF */
	RULE_ZERO,          /* writes ZF */
	RULE_STATUS_READ,   /* LAHF */
	RULE_STATUS_WRITE,  /* SAHF: all but OF */
};

struct insn_effect {
	uint8_t cls;      /* enum insn_class */
	uint8_t rule;     /* enum flag_rule */
	bool can_fault;   /* accesses guest memory, or may raise an exception of its own */
	bool mmx;         /* names an MMX register, so that x87's top is 0 afterwards */
	uint32_t reads;   /* flags, as FLAG_* */
	uint32_t writes;  /* always, and with the defined value */
	uint32_t inexact; /* the host may leave something else than the machine's definition */
};

/* host: how far the host's undefined flags agree with the definitions. */
void classify(const struct insn *insn, const struct host_flags *host,
	      struct insn_effect *ret_effect);

/* Whatever the flags are before it, all that it leaves are its own. */
bool effect_sets_flags(const struct insn_effect *effect);

/* Whether the instruction has an explicit memory operand that it accesses. */
bool insn_accesses_memory(const struct insn *insn);

#endif
