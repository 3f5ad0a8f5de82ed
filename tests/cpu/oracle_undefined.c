/* Which flags the manual (SDM 2) leaves undefined, so that a host may differ from the machine. */
#include <Zydis/Zydis.h>

#include "tests/cpu/oracle.h"

#define ALL FLAGS_ARITH

static const struct {
	uint16_t mnemonic;
	uint16_t always;       /* undefined whatever the operands */
	uint16_t when_shifted; /* … when the masked count is not 0 */
	uint16_t beyond_one;   /* … when it is above 1 */
	uint16_t beyond_width; /* … when it is at least the operand's width */
} undefined[] = {
	{ZYDIS_MNEMONIC_AND, .always = FLAG_AF},
	{ZYDIS_MNEMONIC_OR, .always = FLAG_AF},
	{ZYDIS_MNEMONIC_XOR, .always = FLAG_AF},
	{ZYDIS_MNEMONIC_TEST, .always = FLAG_AF},
	{ZYDIS_MNEMONIC_MUL, .always = FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF},
	{ZYDIS_MNEMONIC_IMUL, .always = FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF},
	{ZYDIS_MNEMONIC_DIV, .always = ALL},
	{ZYDIS_MNEMONIC_IDIV, .always = ALL},
	{ZYDIS_MNEMONIC_SHL, .when_shifted = FLAG_AF, .beyond_one = FLAG_OF,
	 .beyond_width = FLAG_CF},
	{ZYDIS_MNEMONIC_SHR, .when_shifted = FLAG_AF, .beyond_one = FLAG_OF,
	 .beyond_width = FLAG_CF},
	{ZYDIS_MNEMONIC_SAR, .when_shifted = FLAG_AF, .beyond_one = FLAG_OF},
	{ZYDIS_MNEMONIC_ROL, .beyond_one = FLAG_OF},
	{ZYDIS_MNEMONIC_ROR, .beyond_one = FLAG_OF},
	{ZYDIS_MNEMONIC_RCL, .beyond_one = FLAG_OF},
	{ZYDIS_MNEMONIC_RCR, .beyond_one = FLAG_OF},
	{ZYDIS_MNEMONIC_SHLD, .when_shifted = FLAG_AF, .beyond_one = FLAG_OF, .beyond_width = ALL},
	{ZYDIS_MNEMONIC_SHRD, .when_shifted = FLAG_AF, .beyond_one = FLAG_OF, .beyond_width = ALL},
	{ZYDIS_MNEMONIC_BT, .always = FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF},
	{ZYDIS_MNEMONIC_BTS, .always = FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF},
	{ZYDIS_MNEMONIC_BTR, .always = FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF},
	{ZYDIS_MNEMONIC_BTC, .always = FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF},
	{ZYDIS_MNEMONIC_BSF, .always = ALL & ~FLAG_ZF},
	{ZYDIS_MNEMONIC_BSR, .always = ALL & ~FLAG_ZF},
	{ZYDIS_MNEMONIC_DAA, .always = FLAG_OF},
	{ZYDIS_MNEMONIC_DAS, .always = FLAG_OF},
	{ZYDIS_MNEMONIC_AAA, .always = FLAG_OF | FLAG_SF | FLAG_ZF | FLAG_PF},
	{ZYDIS_MNEMONIC_AAS, .always = FLAG_OF | FLAG_SF | FLAG_ZF | FLAG_PF},
	{ZYDIS_MNEMONIC_AAM, .always = FLAG_OF | FLAG_AF | FLAG_CF},
	{ZYDIS_MNEMONIC_AAD, .always = FLAG_OF | FLAG_AF | FLAG_CF},
};

/* The masked count: the last operand, CL or an immediate. */
static unsigned shift_count(const struct oracle_case *c)
{
	const struct operand *count;
	uint64_t value;

	if (c->insn.n_operands < 2)
		return 0;
	count = &c->insn.operand[c->insn.n_operands - 1];
	value = count->kind == OPERAND_REG ? c->in.gpr[RCX] : c->insn.imm;
	return value & (c->insn.operand[0].size == 8 ? 63 : 31);
}

uint32_t oracle_undefined_flags(const struct oracle_case *c)
{
	for (unsigned i = 0; i < sizeof(undefined) / sizeof(undefined[0]); i++) {
		if (undefined[i].mnemonic != c->insn.mnemonic)
			continue;
		unsigned count = shift_count(c);
		return undefined[i].always | (count > 0 ? undefined[i].when_shifted : 0) |
		       (count > 1 ? undefined[i].beyond_one : 0) |
		       (count >= 8u * c->insn.operand[0].size ? undefined[i].beyond_width : 0);
	}
	return 0;
}

/* With a count of 0 these change no flag. */
static bool may_leave_flags(const struct oracle_case *c)
{
	switch (c->insn.mnemonic) {
	case ZYDIS_MNEMONIC_SHL:
	case ZYDIS_MNEMONIC_SHR:
	case ZYDIS_MNEMONIC_SAR:
	case ZYDIS_MNEMONIC_ROL:
	case ZYDIS_MNEMONIC_ROR:
	case ZYDIS_MNEMONIC_RCL:
	case ZYDIS_MNEMONIC_RCR:
	case ZYDIS_MNEMONIC_SHLD:
	case ZYDIS_MNEMONIC_SHRD:
		return true;
	default:
		return c->insn.prefixes & (PREFIX_REP | PREFIX_REPNE);
	}
}

void oracle_flag_use(const struct oracle_case *c, enum oracle_mode mode, uint32_t *ret_read,
		     uint32_t *ret_set)
{
	ZydisDecoder decoder;
	ZydisDecodedInstruction decoded;

	*ret_read = *ret_set = 0;
	if (mode == ORACLE_64)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if (mode == ORACLE_32)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	else
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	if (!ZYAN_SUCCESS(
		    ZydisDecoderDecodeInstruction(&decoder, NULL, c->bytes, c->length, &decoded)) ||
	    !decoded.cpu_flags)
		return;
	*ret_read = (uint32_t)decoded.cpu_flags->tested & ALL;
	if (!may_leave_flags(c))
		*ret_set = (uint32_t)(decoded.cpu_flags->modified | decoded.cpu_flags->set_0 |
				      decoded.cpu_flags->set_1) &
			   ALL;
}

bool oracle_undefined_result(const struct oracle_case *c)
{
	uint16_t mnemonic = c->insn.mnemonic;

	if (mnemonic == ZYDIS_MNEMONIC_BSWAP)
		return c->insn.operand[0].size == 2;
	return (mnemonic == ZYDIS_MNEMONIC_SHLD || mnemonic == ZYDIS_MNEMONIC_SHRD) &&
	       shift_count(c) > 8u * c->insn.operand[0].size;
}

bool oracle_stacks_selector(const struct oracle_case *c)
{
	return c->valid && c->insn.operand[0].reg_class == REG_SEG && c->insn.op_size == 4 &&
	       (c->insn.mnemonic == ZYDIS_MNEMONIC_PUSH || c->insn.mnemonic == ZYDIS_MNEMONIC_POP);
}
