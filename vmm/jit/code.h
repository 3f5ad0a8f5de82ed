/* Pieces of code that the jit's writer puts instructions together from. */
#ifndef REPRISE_VMM_JIT_CODE_H
#define REPRISE_VMM_JIT_CODE_H

#include "vmm/jit/context.h"
#include "vmm/jit/extent.h"
#include "vmm/translate/writer.h"

#define JIT_TEMP  R11 /* addresses, mostly */
#define JIT_TEMP2 R10
#define JIT_COUNT R15

/* The address of a field of the context, as translated code sees it. */
#define JIT_CONTEXT(field)                                                                         \
	(RUNTIME_BASE + JIT_CONTEXT_OFFSET + (uint32_t)offsetof(struct jit_context, field))

/* Opcodes of the form op reg, r/m. */
enum {
	OP_ADD = 0x03,
	OP_SUB = 0x2b,
	OP_XOR = 0x33,
	OP_CMP = 0x3b,
	OP_LOAD = 0x8b,
	OP_STORE = 0x89
};
/* Extensions of 81 and 83. */
enum { ALU_ADD = 0, ALU_OR = 1, ALU_AND = 4, ALU_SUB = 5, ALU_CMP = 7 };
/* Extensions of C1. */
enum { SHIFT_LEFT = 4, SHIFT_RIGHT = 5, SHIFT_ARITHMETIC = 7 };
enum { CC_NO = 1, CC_B = 2, CC_AE = 3, CC_Z = 4, CC_NZ = 5, CC_A = 7, CC_LE = 14, CC_G = 15 };

/* op reg, [base + disp]; base GPR_ZERO: at an absolute address. wide: of 64 bits, else 32. */
void code_memory(struct emitter *e, uint8_t opcode, unsigned reg, unsigned base, int32_t disp,
		 bool wide);
/* op reg, rm */
void code_register(struct emitter *e, uint8_t opcode, unsigned reg, unsigned rm, bool wide);
/* add, and, cmp … reg, value */
void code_immediate(struct emitter *e, unsigned extension, unsigned reg, int32_t value, bool wide);
void code_shift(struct emitter *e, unsigned extension, unsigned reg, uint8_t count, bool wide);
void code_bytes(struct emitter *e, const uint8_t *bytes, unsigned n);

/* cmp byte [loaded], 0: whether SSE state is loaded; and x87 state */
void code_is_loaded(struct emitter *e);
void code_is_x87_loaded(struct emitter *e);

/* Registers that are not where the guest has them. */
bool code_is_displaced(unsigned reg);

/* ---- guest registers in temporaries; struct held ---- */

/* Where a register that is not in place is as long as the loop that is written runs, or GPR_ZERO.
 */
unsigned code_home(const struct generator *g, unsigned reg);
/* That, or the temporary that holds a guest register here, or GPR_ZERO. */
unsigned code_find_held(const struct generator *g, unsigned reg);
/* A displaced guest register into a temporary. */
void code_load_guest(struct generator *g, unsigned temp, unsigned reg);
/* The temporaries hold these guest registers, or GPR_ZERO, here. */
void code_hold(struct generator *g, unsigned in_temp, unsigned in_temp2);
/* The guest register that an address needs, in place or in a temporary: temp, unless it lies in one
 * already. other: the register that the address has beside it, or GPR_ZERO. */
unsigned code_address_register(struct generator *g, unsigned reg, unsigned other, unsigned temp);

/* reg = a linear address that counts as the block's do. */
void code_linear(struct generator *g, unsigned reg, uint64_t address);

/* ---- flags; each takes JIT_TEMP2 ---- */

/* The guest's flags stand in their slot afterwards, and where they stood. */
void code_save_flags(struct generator *g);
/* … in the host's flags afterwards, and where they stood. */
void code_load_flags(struct generator *g);
/* As code_load_flags(), where CF alone is wanted: the host's other flags mean nothing. */
void code_load_carry(struct generator *g);
/* The host's flags are about to change; saved before that. */
void code_lose_flags(struct generator *g);

/* ---- memory ---- */

/* A memory operand of the host's: base + (index << scale) + disp. */
struct host_operand {
	uint8_t base, index, scale;
	int32_t disp;
};

/* The one at JIT_TEMP + disp. */
static inline struct host_operand code_at_temp(int32_t disp)
{
	return (struct host_operand){.base = JIT_TEMP, .index = GPR_ZERO, .disp = disp};
}

/* The linear address of the instruction's memory operand in JIT_TEMP. Takes both, and the flags. */
void code_address(struct generator *g, const struct insn *insn);
/* JIT_TEMP = base + (index << scale) + disp, guest registers. Takes both. */
void code_sum(struct generator *g, unsigned base, unsigned index, uint8_t scale, int64_t disp);
/* JIT_TEMP = reg + disp; and the flags go. */
void code_stack_address(struct generator *g, unsigned reg, int32_t disp);
/*
 * The host address of size bytes at JIT_TEMP in JIT_TEMP; or the block is left in front of the
 * instruction. Takes JIT_TEMP2. aligned: to the size, or likewise.
 */
void code_translate(struct generator *g, bool write, unsigned size, bool aligned);
/* The first steps of that, for who does not know the size: JIT_TEMP holds the offset in the page,
 * and JIT_TEMP2 points to the entry, which serves all of it. */
void code_find_page(struct generator *g, bool write);
/* Those, bare. Returns the branch that is taken when the entry does not serve size bytes. */
uint32_t code_find_entry(struct emitter *e, bool write, unsigned size);
/* The last: adds where the page is. */
void code_add_host(struct emitter *e);
/* Where an extent's field is from the first one, to which JIT_TEMP2 points. */
#define EXTENT_FIELD(number, field)                                                                \
	((int32_t)((number) * sizeof(struct extent) + offsetof(struct extent, field)))
/* Whether the present instruction shares its look-up; and whether it is not the first to. */
bool code_is_shared(const struct generator *g);
bool code_is_found(const struct generator *g);
/*
 * As code_translate() for one that shares. JIT_TEMP is the linear address where the range begins,
 * if it is the first. Returns what is to be added to JIT_TEMP.
 */
int32_t code_translate_shared(struct generator *g, bool aligned);
/* Likewise for size bytes at reg + disp, shared or not. */
int32_t code_stack(struct generator *g, unsigned reg, int32_t disp, bool write, unsigned size);
/* The instruction's memory operand, its look-up shared or not, or made for the whole loop. */
struct host_operand code_operand(struct generator *g, const struct insn *insn, bool write,
				 unsigned size, bool aligned);
/* A branch at patch leaves the block in front of the instruction. */
void code_defer_slow(struct generator *g, uint32_t patch);

/* ---- the writer's parts ---- */

/* The memory operand that may share its look-up, or NULL; and whether it is written. */
const struct operand *jit_shared_operand(const struct planned *planned);
bool jit_writes_memory(const struct insn *insn);
/* To its size. */
bool jit_must_be_aligned(const struct insn *insn, unsigned size);
bool jit_possible(const struct planned *planned, uint64_t linear);
/* Writes instructions that are written together, of those in front of the nth. Returns how many; 0:
 * the present one is to be written alone. */
unsigned jit_write_row(struct generator *g, unsigned n);
void jit_write_insn(struct generator *g, const struct planned *planned);
bool jit_string_is_possible(const struct insn *insn);
void jit_write_string(struct generator *g, const struct insn *insn);
/* At its block's end. */
void jit_write_repeat(struct generator *g, const struct insn *insn);
bool jit_system_is_possible(const struct insn *insn);
void jit_write_system(struct generator *g, const struct insn *insn);
void jit_write_cld(struct generator *g);
/* As code_address() and code_translate() for a bit string, of which a register says the bit: such
 * that the instruction finds the bit from JIT_TEMP on. */
void jit_translate_bits(struct generator *g, const struct insn *insn, bool write);
void jit_write_end(struct generator *g);
/* A jump to a guest address. */
void jit_jump_to(struct generator *g, uint64_t rip);
bool jit_has_class(const struct plan *plan, enum insn_class cls);
void jit_write_next(struct generator *g);
void jit_jump_link(struct emitter *e, uint32_t link);
void jit_trampolines(struct code_cache *cache, const struct translator_config *config);

/* Code offsets of what the trampolines offer; the same for every area. */
struct jit_offsets {
	uint32_t fill, load_state, load_x87;
	uint32_t refill;   /* JIT_TEMP holds the address already */
	uint32_t ask;      /* likewise, and afterwards */
	uint32_t transfer; /* flags are saved */
};
extern struct jit_offsets jit_offsets;

/* Guest memory through the mmu's cached translations, in the host's process. */
extern const struct writer jit_writer;

#endif
