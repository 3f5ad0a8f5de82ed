/*
 * Writing x86-64 machine code: one function puts together any instruction in a legacy encoding
 * (SDM 2 2.1, 2.2.1), the translator's own ones and copies of the guest's alike.
 */
#ifndef REPRISE_VMM_TRANSLATE_EMIT_H
#define REPRISE_VMM_TRANSLATE_EMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/insn.h"

/* Code is written through one mapping and runs at another address. */
struct emitter {
	uint8_t *base;   /* where the cache is mapped for writing */
	uint64_t linear; /* where base runs */
	int32_t moved;   /* added to absolute operands in the run-time area */
	uint32_t at;     /* offset of the next byte */
	uint32_t end;    /* nothing is written from here on */
	bool full;       /* something did not fit; what was written is of no use */
};

enum encoding_segment { ENCODING_FLAT = 0, ENCODING_FS = 0x64, ENCODING_GS = 0x65 };

/* An instruction with at most one of a memory operand and a register in ModRM.rm. */
struct encoding {
	uint8_t map, opcode; /* as struct insn */
	uint8_t repeat;      /* F2 or F3, or 0 */
	uint8_t segment;     /* enum encoding_segment: prefix of the memory operand */
	bool opsize;         /* 66 */
	bool addr32;         /* 67 */
	bool wide;           /* REX.W */
	bool low_bytes;      /* REX is there so that 4 to 7 are SPL to DIL */
	bool has_modrm;
	bool has_opcode_reg; /* rm is in the opcode */
	bool memory;
	bool guest;          /* the memory operand is the guest's, not in the run-time area */
	uint8_t reg, rm;     /* register numbers, or opcode extensions */
	uint8_t base, index; /* GPR_ZERO: none */
	uint8_t scale;       /* shift count */
	int32_t disp;        /* with neither base nor index: the address itself */
	uint8_t n_imm;
	uint8_t imm[8];
};

void emit8(struct emitter *e, uint8_t value);
void emit32(struct emitter *e, uint32_t value);
void emit64(struct emitter *e, uint64_t value);
void emit_encoding(struct emitter *e, const struct encoding *encoding);

/* The instruction as it stands: the encoding that gives its bytes back. bytes: its insn->length
 * ones. A RIP-relative operand has no base yet; the caller decides about it. */
void encoding_from_insn(const struct insn *insn, const uint8_t *bytes,
			struct encoding *ret_encoding);

/* ---- the translator's own instructions; none changes a flag. 64-bit operands. ---- */

/* mov reg, [address] and mov [address], reg, at an absolute address below 2 GiB. */
void emit_load(struct emitter *e, unsigned reg, uint32_t address);
void emit_store(struct emitter *e, uint32_t address, unsigned reg);
/* mov qword [address], value */
void emit_store_imm(struct emitter *e, uint32_t address, int32_t value);
/* mov to, from */
void emit_move(struct emitter *e, unsigned to, unsigned from);
/* The shortest move of a constant. */
void emit_constant(struct emitter *e, unsigned reg, uint64_t value);
/* lea reg, [base + index + disp]; index GPR_ZERO: none */
void emit_lea(struct emitter *e, unsigned reg, unsigned base, unsigned index, int32_t disp);
/* jmp [address], push [address], pop [address] */
void emit_jump_memory(struct emitter *e, uint32_t address);
void emit_push_memory(struct emitter *e, uint32_t address);
void emit_pop_memory(struct emitter *e, uint32_t address);

/* Branches with a 32-bit displacement to be filled in; each returns the offset of the displacement.
 */
uint32_t emit_jump(struct emitter *e);
uint32_t emit_jump_if(struct emitter *e, unsigned cc);
/* Makes the displacement at an offset lead to another offset. */
void emit_patch(struct emitter *e, uint32_t displacement, uint32_t target);
/* Makes 4 bytes at an offset the address of the next byte to be written. */
void emit_patch_address(struct emitter *e, uint32_t at);
/* jmp to an offset */
void emit_jump_to(struct emitter *e, uint32_t target);

/* jrcxz, loop and their like with an 8-bit displacement; returns its offset. */
uint32_t emit_short(struct emitter *e, uint8_t opcode);
/* Makes the 8-bit displacement lead to the next byte to be written. */
void emit_patch_short(struct emitter *e, uint32_t displacement);

#define EMIT_JRCXZ 0xe3u
#define EMIT_JMP   0xebu
#define EMIT_JZ    0x74u

#endif
