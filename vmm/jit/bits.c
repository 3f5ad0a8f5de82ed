/* BT, BTS, BTR, BTC with a bit number in a register, which reaches beyond the operand (SDM 2, BT).
 */
#include "vmm/jit/code.h"

/* JIT_TEMP2 = the register's value, its sign extended to 64 bits. */
static void load_number(struct generator *g, const struct operand *number)
{
	struct encoding extend = {.opcode = number->size == 8 ? OP_LOAD : 0x63 /* movsxd */,
				  .wide = true,
				  .has_modrm = true,
				  .reg = JIT_TEMP2,
				  .rm = number->reg};

	if (number->size == 2) {
		extend.map = 1;
		extend.opcode = 0xbf; /* movsx */
	}
	if (code_is_displaced(number->reg)) {
		emit_load(g->e, JIT_TEMP2, CONTEXT_GPR(number->reg));
		extend.rm = JIT_TEMP2;
	}
	emit_encoding(g->e, &extend);
}

/* op JIT_TEMP, the offset of the operand-sized unit that holds the bit */
static void apply_offset(struct generator *g, uint8_t opcode, const struct operand *number)
{
	unsigned bytes_log2 = (unsigned)__builtin_ctz(number->size);

	load_number(g, number);
	code_shift(g->e, SHIFT_ARITHMETIC, JIT_TEMP2, (uint8_t)(bytes_log2 + 3), true);
	code_shift(g->e, SHIFT_LEFT, JIT_TEMP2, (uint8_t)bytes_log2, true);
	code_register(g->e, opcode, JIT_TEMP, JIT_TEMP2, true);
}

void jit_translate_bits(struct generator *g, const struct insn *insn, bool write)
{
	const struct operand *number = &insn->operand[1];

	code_address(g, insn);
	apply_offset(g, OP_ADD, number);
	code_translate(g, write, number->size, false);
	apply_offset(g, OP_SUB, number);
}
