/*
 * CPUID's contract over all encodings: the machine decodes an instruction if and only if CPUID
 * offers its instruction set (isa_sets.h), or processors without that set make an older instruction
 * of its bytes. Plain Zydis says what the bytes are.
 */
#include <string.h>

#include <Zydis/Zydis.h>

#include "tests/cpu/encoding_contract.h"
#include "tests/cpu/encodings.h"
#include "tests/cpu/system_guest.h"

#define NOTES 12 /* of each kind */

#define N_SETS (ZYDIS_ISA_SET_MAX_VALUE + 1)

struct contract {
	ZydisDecoder plain;
	struct guest guest;
	bool offered[N_SETS];
	unsigned met[N_SETS];
	unsigned accepted, rejected, older;     /* encodings */
	unsigned wrongly_accepted, not_decoded; /* likewise */
	unsigned different;
};

/* What processors without a feature make of its bytes; mnemonics: 0 at the end. */
static const struct {
	uint8_t map, first, last;
	uint16_t mnemonic[5];
} older[] = {
#define M(name) ZYDIS_MNEMONIC_##name
	{1, 0x09, 0x09, {M(WBINVD)}}, /* WBNOINVD */
	{1, 0x0d, 0x0d, {M(NOP), M(PREFETCH), M(PREFETCHW), M(PREFETCHWT1)}},
	{1, 0x18, 0x18, {M(NOP), M(PREFETCHNTA), M(PREFETCHT0), M(PREFETCHT1), M(PREFETCHT2)}},
	{1, 0x19, 0x1f, {M(NOP)}}, /* MPX, CLDEMOTE, RDSSP, ENDBR */
	{1, 0xbc, 0xbc, {M(BSF)}}, /* TZCNT */
	{1, 0xbd, 0xbd, {M(BSR)}}, /* LZCNT */
};

/* Of the sets that every processor has, those that are not there for a program. */
static const uint16_t undefined[] = {
	M(UD0), M(UD1), M(UD2), M(RSM), /* outside SMM */
#undef M
};

static bool is_older(const struct insn *insn)
{
	for (unsigned i = 0; i < sizeof(older) / sizeof(older[0]); i++)
		for (unsigned k = 0; k < 5; k++)
			if (insn->opcode_map == older[i].map && insn->opcode >= older[i].first &&
			    insn->opcode <= older[i].last && insn->mnemonic == older[i].mnemonic[k])
				return true;
	return false;
}

/* Bytes of which such processors make something. */
static bool has_older(const ZydisDecodedInstruction *plain)
{
	if (plain->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	for (unsigned i = 0; i < sizeof(older) / sizeof(older[0]); i++)
		if (plain->opcode_map == (ZydisOpcodeMap)older[i].map &&
		    plain->opcode >= older[i].first && plain->opcode <= older[i].last)
			return true;
	return false;
}

static bool is_undefined(uint16_t mnemonic)
{
	for (unsigned i = 0; i < sizeof(undefined) / sizeof(undefined[0]); i++)
		if (undefined[i] == mnemonic)
			return true;
	return false;
}

/* The two of SSE2 that have names of string instructions. */
static bool is_same(const ZydisDecodedInstruction *plain, const struct insn *insn)
{
	if (plain->mnemonic == ZYDIS_MNEMONIC_MOVSD && plain->opcode_map == ZYDIS_OPCODE_MAP_0F)
		return insn->mnemonic == ZYDIS_MNEMONIC_MOVSD_XMM;
	if (plain->mnemonic == ZYDIS_MNEMONIC_CMPSD && plain->opcode_map == ZYDIS_OPCODE_MAP_0F)
		return insn->mnemonic == ZYDIS_MNEMONIC_CMPSD_XMM;
	return insn->mnemonic == plain->mnemonic && insn->length == plain->length;
}

/* Decoded for another mode's sake. */
static bool is_refused(struct guest *guest, const uint8_t *bytes)
{
	return guest_run(guest, bytes, ENCODING_BYTES).vector == VECTOR_UD;
}

static void note(unsigned *n, const char *what, const uint8_t *bytes,
		 const ZydisDecodedInstruction *plain)
{
	if ((*n)++ >= NOTES)
		return;
	tap_note("%s: %02x %02x %02x %02x %02x %02x %02x: %s of %s", what, bytes[0], bytes[1],
		 bytes[2], bytes[3], bytes[4], bytes[5], bytes[6],
		 plain ? ZydisMnemonicGetString(plain->mnemonic) : "nothing",
		 plain ? ZydisISASetGetString(plain->meta.isa_set) : "no set");
}

static void check(void *ctx, const uint8_t bytes[ENCODING_BYTES])
{
	struct contract *contract = ctx;
	ZydisDecodedInstruction plain;
	struct insn insn;
	bool known = ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&contract->plain, ZYAN_NULL, bytes,
								ENCODING_BYTES, &plain));
	bool accepted =
		insn_decode(bytes, ENCODING_BYTES, contract->guest.cpu->mode, &insn) == INSN_OK;
	bool offered = known && contract->offered[plain.meta.isa_set];

	if (known)
		contract->met[plain.meta.isa_set]++;
	contract->accepted += accepted;
	contract->rejected += !accepted;
	if (accepted && offered && is_same(&plain, &insn))
		return;
	if (accepted && !offered && is_older(&insn))
		contract->older++;
	else if (accepted && !offered && !is_refused(&contract->guest, bytes))
		note(&contract->wrongly_accepted, "accepted", bytes, known ? &plain : NULL);
	else if (accepted && offered)
		note(&contract->different, "another", bytes, &plain);
	else if (!accepted && known && (offered || has_older(&plain)) &&
		 !is_undefined(plain.mnemonic))
		note(&contract->not_decoded, "not decoded", bytes, &plain);
}

static const struct {
	const char *name;
	enum guest_mode mode;
	ZydisMachineMode machine;
	ZydisStackWidth stack;
} modes[] = {
	{"64-bit", GUEST_LONG0, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
	{"32-bit", GUEST_PROTECTED0, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
	{"16-bit", GUEST_REAL, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
};

static void test_mode(unsigned i, unsigned met[N_SETS])
{
	struct contract contract = {0};
	const char *name = modes[i].name;

	guest_create(&contract.guest, modes[i].mode);
	for (unsigned set = 0; set < N_SETS; set++)
		contract.offered[set] = isa_set_is_offered(contract.guest.cpu, set);
	ZydisDecoderInit(&contract.plain, modes[i].machine, modes[i].stack);
	encodings_each(modes[i].machine == ZYDIS_MACHINE_MODE_LONG_64, check, &contract);
	guest_destroy(&contract.guest);
	for (unsigned set = 0; set < N_SETS; set++)
		met[set] += contract.met[set];
	tap_ok(!contract.wrongly_accepted,
	       "%s: of %u encodings that are taken CPUID offers each, but %u of older instructions",
	       name, contract.accepted, contract.older);
	tap_ok(!contract.not_decoded && !contract.different,
	       "%s: of %u that are refused it offers none", name, contract.rejected);
}

static void test_table(void)
{
	unsigned missing = 0;

	for (unsigned i = 1; i < N_SETS; i++)
		if (!isa_set_is_listed(i)) {
			tap_note("not listed: %s", ZydisISASetGetString(i));
			missing++;
		}
	tap_ok(!missing, "every instruction set of Zydis is listed");
}

/* Else an encoding is missing, and nothing was said about the set. */
static void test_met(const unsigned met[N_SETS])
{
	unsigned missing = 0;

	for (unsigned set = 1; set < N_SETS; set++)
		if (!met[set] != isa_set_is_hidden(set)) {
			tap_note("%u encodings: %s", met[set], ZydisISASetGetString(set));
			missing++;
		}
	tap_ok(!missing, "every set that Zydis decodes has been met");
}

int main(void)
{
	unsigned met[N_SETS] = {0};

	test_table();
	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		test_mode(i, met);
	test_met(met);
	return tap_done();
}
