/*
 * Decoding: Zydis's result made compact. Zydis is told to read the encodings that reuse older ones
 * (BMI's F3 BSF/BSR, CET, MPX, CLDEMOTE, WBNOINVD) as CPUs without those features do; what the CPU
 * model does not offer at all has no row in insn_table.c.
 */
#include <string.h>

#include <Zydis/Zydis.h>

#include "vmm/cpu/exec.h"
#include "vmm/cpu/insn.h"

static void init_decoder(ZydisDecoder *decoder, uint32_t mode)
{
	static const ZydisDecoderMode disabled[] = {
		ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYDIS_DECODER_MODE_MPX,
		ZYDIS_DECODER_MODE_CET,          ZYDIS_DECODER_MODE_LZCNT,
		ZYDIS_DECODER_MODE_TZCNT,        ZYDIS_DECODER_MODE_WBNOINVD,
		ZYDIS_DECODER_MODE_CLDEMOTE,
	};
	ZydisStackWidth stack = mode & MODE_STACK32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;

	if ((mode & MODE_CODE_MASK) == MODE_CODE64)
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if ((mode & MODE_CODE_MASK) == MODE_CODE32)
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LEGACY_32, stack);
	else
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LEGACY_16, stack);
	for (unsigned i = 0; i < sizeof(disabled) / sizeof(disabled[0]); i++)
		ZydisDecoderEnableMode(decoder, disabled[i], ZYAN_FALSE);
}

/* ---- registers ---- */

static const uint8_t reg_classes[ZYDIS_REGCLASS_MAX_VALUE + 1] = {
	[ZYDIS_REGCLASS_GPR8] = REG_GPR,   [ZYDIS_REGCLASS_GPR16] = REG_GPR,
	[ZYDIS_REGCLASS_GPR32] = REG_GPR,  [ZYDIS_REGCLASS_GPR64] = REG_GPR,
	[ZYDIS_REGCLASS_X87] = REG_ST,     [ZYDIS_REGCLASS_MMX] = REG_MMX,
	[ZYDIS_REGCLASS_XMM] = REG_XMM,    [ZYDIS_REGCLASS_SEGMENT] = REG_SEG,
	[ZYDIS_REGCLASS_CONTROL] = REG_CR, [ZYDIS_REGCLASS_DEBUG] = REG_DR,
};

static void convert_register(ZydisRegister reg, struct operand *operand)
{
	operand->kind = OPERAND_REG;
	operand->reg_class = reg_classes[ZydisRegisterGetClass(reg)];
	operand->reg = ZydisRegisterGetId(reg);
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH) {
		operand->reg_class = REG_GPR_HIGH;
		operand->reg = reg - ZYDIS_REGISTER_AH;
	} else if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B) {
		operand->reg = reg - ZYDIS_REGISTER_SPL + 4;
	}
}

static uint8_t address_register(ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE)
		return GPR_ZERO;
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return INSN_BASE_RIP;
	return ZydisRegisterGetId(reg);
}

static uint8_t segment_register(ZydisRegister reg)
{
	return reg == ZYDIS_REGISTER_NONE ? SEG_DS : ZydisRegisterGetId(reg);
}

/* ---- operands ---- */

static void convert_memory(const ZydisDecodedOperandMem *mem, struct insn *insn)
{
	insn->base = address_register(mem->base);
	insn->index = address_register(mem->index);
	insn->scale = mem->index != ZYDIS_REGISTER_NONE && mem->scale
			      ? (uint8_t)__builtin_ctz(mem->scale)
			      : 0;
	insn->seg = segment_register(mem->segment);
	insn->disp = mem->disp.value;
}

static uint8_t field_of(ZydisOperandEncoding encoding)
{
	switch (encoding) {
	case ZYDIS_OPERAND_ENCODING_MODRM_REG:
		return FIELD_REG;
	case ZYDIS_OPERAND_ENCODING_MODRM_RM:
		return FIELD_RM;
	case ZYDIS_OPERAND_ENCODING_OPCODE:
		return FIELD_OPCODE;
	default:
		return FIELD_OTHER;
	}
}

static void convert_visible(const ZydisDecodedOperand *from, struct insn *insn)
{
	struct operand *operand = &insn->operand[insn->n_operands];

	if (insn->n_operands == 4)
		return;
	operand->size = from->size / 8;
	operand->field = field_of(from->encoding);
	switch (from->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		convert_register(from->reg.value, operand);
		break;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		operand->kind = OPERAND_MEM;
		if (from->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
			operand->size = 0;
		convert_memory(&from->mem, insn);
		break;
	case ZYDIS_OPERAND_TYPE_POINTER:
		operand->kind = OPERAND_IMM;
		insn->imm = from->ptr.offset;
		insn->imm2 = from->ptr.segment;
		insn->far = true;
		break;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		if (insn->n_operands && operand[-1].kind == OPERAND_IMM)
			insn->imm2 = from->imm.value.u;
		else
			insn->imm = from->imm.value.u;
		operand->kind = OPERAND_IMM;
		break;
	default:
		return;
	}
	insn->n_operands++;
}

/* The source segment of string instructions, XLAT and MASKMOV, whose memory operands are hidden. */
static void convert_hidden(const ZydisDecodedOperand *from, struct insn *insn)
{
	if (from->type != ZYDIS_OPERAND_TYPE_MEMORY || from->mem.segment == ZYDIS_REGISTER_SS)
		return;
	if (from->mem.segment != ZYDIS_REGISTER_ES || insn->base == GPR_ZERO)
		insn->seg = segment_register(from->mem.segment);
	if (insn->base == GPR_ZERO)
		insn->base = address_register(from->mem.base);
}

static bool is_far(const ZydisDecodedInstruction *from, const struct insn *insn)
{
	return from->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ||
	       ((from->mnemonic == ZYDIS_MNEMONIC_CALL || from->mnemonic == ZYDIS_MNEMONIC_JMP) &&
		insn->operand[0].kind == OPERAND_MEM && from->raw.modrm.reg % 2 == 1);
}

/* ---- prefixes ---- */

static void convert_prefixes(const ZydisDecodedInstruction *from, struct insn *insn)
{
	uint8_t last_repeat = 0;

	for (unsigned i = 0; i < from->raw.prefix_count; i++) {
		uint8_t value = from->raw.prefixes[i].value;
		if (from->raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_MANDATORY)
			insn->mandatory = value;
		if (value == 0xf2 || value == 0xf3)
			last_repeat = value;
		insn->prefixes |= value == 0xf3   ? PREFIX_F3
				  : value == 0xf2 ? PREFIX_F2
				  : value == 0x66 ? PREFIX_OPSIZE
						  : 0;
	}
	const struct insn_row *row = insn_row(insn->mnemonic);
	if (row && (row->flags & ROW_REP) && last_repeat)
		insn->prefixes |= last_repeat == 0xf3 ? PREFIX_REP : PREFIX_REPNE;
	if (from->attributes & ZYDIS_ATTRIB_HAS_LOCK)
		insn->prefixes |= PREFIX_LOCK;
	if (from->raw.rex.W)
		insn->prefixes |= PREFIX_REX_W;
}

/* Tells MOVSD and CMPSD of SSE2 from the string instructions. */
static uint16_t mnemonic_of(const ZydisDecodedInstruction *from)
{
	if (from->opcode_map != ZYDIS_OPCODE_MAP_0F)
		return from->mnemonic;
	if (from->mnemonic == ZYDIS_MNEMONIC_MOVSD)
		return ZYDIS_MNEMONIC_MOVSD_XMM;
	return from->mnemonic == ZYDIS_MNEMONIC_CMPSD ? ZYDIS_MNEMONIC_CMPSD_XMM : from->mnemonic;
}

/*
 * A SIB byte with mod 0 and base 5 has a displacement and no base (SDM 2 table 2-3), whatever REX.B
 * is. Zydis 4.0 takes R13D for the base when REX.B and the address-size prefix stand together.
 */
static bool lacks_base(const ZydisDecodedInstruction *from)
{
	return (from->attributes & ZYDIS_ATTRIB_HAS_SIB) && from->address_width == 32 &&
	       from->raw.modrm.mod == 0 && from->raw.sib.base == 5;
}

enum insn_decode_result insn_decode(const uint8_t *bytes, size_t n, uint32_t mode,
				    struct insn *ret_insn)
{
	ZydisDecoder decoder;
	ZydisDecodedInstruction from;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct insn insn = {.base = GPR_ZERO, .index = GPR_ZERO, .seg = SEG_DS};

	init_decoder(&decoder, mode);
	ZyanStatus status = ZydisDecoderDecodeFull(&decoder, bytes, n, &from, operands);
	if (status == ZYDIS_STATUS_NO_MORE_DATA)
		return n >= INSN_MAX_BYTES ? INSN_TOO_LONG : INSN_TRUNCATED;
	if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
		return INSN_TOO_LONG;
	/* Zydis knows instructions of older names with VEX (Knights Corner's POPCNT). */
	if (!ZYAN_SUCCESS(status) || from.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return INSN_INVALID;

	insn.mnemonic = mnemonic_of(&from);
	insn.length = from.length;
	insn.op_size = from.operand_width / 8;
	insn.addr_size = from.address_width / 8;
	insn.opcode_map = from.opcode_map <= ZYDIS_OPCODE_MAP_0F3A ? from.opcode_map : 0xff;
	insn.opcode = from.opcode;
	insn.modrm =
		(uint8_t)(from.raw.modrm.mod << 6 | from.raw.modrm.reg << 3 | from.raw.modrm.rm);
	insn.modrm_at = from.attributes & ZYDIS_ATTRIB_HAS_MODRM ? from.raw.modrm.offset : 0;
	insn.imm_at = from.raw.imm[0].size ? from.raw.imm[0].offset : from.length;
	for (unsigned i = 0; i < from.operand_count_visible; i++)
		convert_visible(&operands[i], &insn);
	for (unsigned i = from.operand_count_visible; i < from.operand_count; i++)
		convert_hidden(&operands[i], &insn);
	if (lacks_base(&from)) {
		insn.base = GPR_ZERO;
		insn.disp = from.raw.disp.value;
	}
	insn.far |= is_far(&from, &insn);
	convert_prefixes(&from, &insn);
	const struct insn_row *row = insn_row(insn.mnemonic);
	if (!row || !row->exec)
		return INSN_INVALID;
	*ret_insn = insn;
	return INSN_OK;
}
