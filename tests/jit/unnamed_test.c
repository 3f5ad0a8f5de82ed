/*
 * General registers that an instruction takes without naming them, over all encodings: of those
 * that jit copies, each that has such operands by Zydis's own list is one that track.h tells of,
 * and has no others than it tells of.
 */
#include <Zydis/Zydis.h>

#include "tests/cpu/encodings.h"
#include "tests/cpu/system_guest.h"
#include "tests/tap.h"
#include "vmm/jit/code.h"
#include "vmm/jit/track.h"

#define NOTES 12

#define N_MNEMONICS (ZYDIS_MNEMONIC_MAX_VALUE + 1)

struct check {
	ZydisDecoder plain;
	struct host_flags host; /* trusts nothing */
	uint32_t mode;
	unsigned copied, hidden, written; /* encodings */
	unsigned untold, unwritten, others;
	bool met[N_MNEMONICS];
};

static bool is_general(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return true;
	default:
		return false;
	}
}

/* RAX, RCX, RDX or RBX, all of it or a part: those that loops take for named. */
static bool is_told_of(ZydisRegister reg)
{
	reg = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	return reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_RBX;
}

static void note(unsigned *n, const char *what, const ZydisDecodedInstruction *insn)
{
	if ((*n)++ < NOTES)
		tap_note("%s: %s", what, ZydisMnemonicGetString(insn->mnemonic));
}

static bool is_hidden_general(const ZydisDecodedOperand *operand)
{
	return operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
	       operand->type == ZYDIS_OPERAND_TYPE_REGISTER && is_general(operand->reg.value);
}

/* Such as XLAT's. */
static bool is_hidden_address(const ZydisDecodedOperand *operand)
{
	return operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
	       operand->type == ZYDIS_OPERAND_TYPE_MEMORY && is_general(operand->mem.base);
}

static void check_operand(struct check *check, const ZydisDecodedInstruction *plain,
			  const ZydisDecodedOperand *operand, const struct insn *insn)
{
	if (is_hidden_address(operand) ||
	    (is_hidden_general(operand) && !is_told_of(operand->reg.value)))
		note(&check->others, "takes another", plain);
	if (!is_hidden_general(operand))
		return;
	check->hidden++;
	check->met[plain->mnemonic] = true;
	if (!track_takes_unnamed(insn))
		note(&check->untold, "takes one", plain);
	if (!(operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		return;
	check->written++;
	if (!track_writes_unnamed(insn))
		note(&check->unwritten, "writes one", plain);
}

static bool is_copied(const struct check *check, const uint8_t *bytes, struct planned *planned)
{
	*planned = (struct planned){.bytes = bytes, .live = FLAGS_ARITH};
	if (insn_decode(bytes, ENCODING_BYTES, check->mode, &planned->insn) != INSN_OK)
		return false;
	classify(&planned->insn, &check->host, &planned->effect);
	return (planned->effect.cls == CLASS_COPY || planned->effect.cls == CLASS_VECTOR ||
		planned->effect.cls == CLASS_X87) &&
	       jit_possible(planned, 0);
}

static void visit(void *ctx, const uint8_t bytes[ENCODING_BYTES])
{
	struct check *check = ctx;
	ZydisDecodedInstruction plain;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct planned planned;

	if (!is_copied(check, bytes, &planned) ||
	    !ZYAN_SUCCESS(
		    ZydisDecoderDecodeFull(&check->plain, bytes, ENCODING_BYTES, &plain, operands)))
		return;
	check->copied++;
	for (unsigned i = 0; i < plain.operand_count; i++)
		check_operand(check, &plain, &operands[i], &planned.insn);
}

static unsigned count_met(const struct check *check)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N_MNEMONICS; i++)
		n += check->met[i];
	return n;
}

int main(void)
{
	static struct check check;
	struct guest guest;

	guest_create(&guest, GUEST_LONG0);
	check.mode = guest.cpu->mode;
	ZydisDecoderInit(&check.plain, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	encodings_each(true, visit, &check);
	guest_destroy(&guest);
	tap_note("%u encodings are copied; %u instructions take registers unnamed", check.copied,
		 count_met(&check));
	tap_ok(check.hidden && !check.untold,
	       "of %u registers that are taken unnamed each is told of", check.hidden);
	tap_ok(check.written && !check.unwritten, "and of %u that are written", check.written);
	tap_ok(!check.others, "all are RAX, RCX, RDX or RBX");
	return tap_done();
}
