/*
 * CPUID's contract on engines: translated user code that holds one encoding of every instruction
 * that is not offered, each of which is to raise #UD whatever the host has; and what processors
 * without a feature make of its bytes.
 *
 * Usage: engine_contract_test [--engine NAME]; without, interp.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "tests/cpu/encodings.h"
#include "tests/cpu/interp_guest.h"
#include "tests/cpu/test_engine.h"
#include "tests/tap.h"
#include "vmm/cpu/insn.h"

/* Where things lie: below 2 MiB, mapped one to one. */
#define HANDLER  0x60000u
#define LOST     0x70000u /* faults that should not be */
#define PASSES   0x70008u
#define RESULTS  0x70010u
#define COUNTS   0x80000u /* #UDs of each sample, 32 bits each */
#define PROGRAM  0x100000u
#define SLOT     64u
#define BEFORE   4u /* bytes in a slot before the sample, and instructions */
#define MAX      3000u
#define A_PASS   25u /* more instructions than a sample takes */
#define N_PASSES 6u

static const struct test_engine *engine = &test_engines[0];

/* ---- samples ---- */

struct samples {
	ZydisDecoder plain;
	unsigned n;
	uint8_t bytes[MAX][ENCODING_BYTES];
	const char *mnemonic[MAX], *set[MAX];
	uint8_t taken[ZYDIS_ISA_SET_MAX_VALUE + 1][ZYDIS_MNEMONIC_MAX_VALUE / 8 + 1];
};

/* The first encoding of each instruction of each set that the machine does not decode. */
static void take(void *ctx, const uint8_t bytes[ENCODING_BYTES])
{
	struct samples *samples = ctx;
	ZydisDecodedInstruction plain;
	struct insn insn;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&samples->plain, ZYAN_NULL, bytes,
							ENCODING_BYTES, &plain)))
		return;
	uint8_t *taken = &samples->taken[plain.meta.isa_set][plain.mnemonic / 8];
	uint8_t bit = (uint8_t)(1 << plain.mnemonic % 8);
	if ((*taken & bit) || samples->n == MAX ||
	    insn_decode(bytes, ENCODING_BYTES, MODE_CODE64, &insn) == INSN_OK)
		return;
	*taken |= bit;
	memcpy(samples->bytes[samples->n], bytes, ENCODING_BYTES);
	samples->mnemonic[samples->n] = ZydisMnemonicGetString(plain.mnemonic);
	samples->set[samples->n++] = ZydisISASetGetString(plain.meta.isa_set);
}

static struct samples *take_samples(void)
{
	struct samples *samples = calloc(1, sizeof(*samples));

	if (!samples) {
		printf("Bail out! no memory\n");
		exit(1);
	}
	ZydisDecoderInit(&samples->plain, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	encodings_each(true, take, samples);
	return samples;
}

/* ---- the program ---- */

/* Counts a #UD where a sample begins, and goes on at the next slot. */
static void load_handler(struct rig *rig)
{
	const uint32_t counts = COUNTS - PROGRAM / SLOT * 4;
	uint8_t code[] = {
		0x50, 0x51,                                 /* push rax; push rcx */
		0x48, 0x8b, 0x44,     0x24, 0x10,           /* mov rax, [rsp + 16] */
		0x89, 0xc1, 0x83,     0xe1, SLOT - 1,       /* mov ecx, eax; and ecx, 63 */
		0x83, 0xf9, BEFORE,   0x75, 0x0c,           /* cmp ecx, BEFORE; jne over */
		0x89, 0xc1, 0xc1,     0xe9, 0x06,           /* mov ecx, eax; shr ecx, 6 */
		0xff, 0x04, 0x8d,     0,    0,        0, 0, /* inc dword [rcx * 4 + counts] */
		0x83, 0xc8, SLOT - 1,                       /* over: or eax, 63 */
		0xff, 0xc0,                                 /* inc eax */
		0x48, 0x89, 0x44,     0x24, 0x10,           /* mov [rsp + 16], rax */
		0x59, 0x58, 0x48,     0xcf,                 /* pop rcx; pop rax; iretq */
	};

	memcpy(code + 25, &counts, 4);
	rig_load(rig, HANDLER, code, sizeof(code));
	rig_store64(rig, RIG_IDT + 16 * VECTOR_UD,
		    (HANDLER & 0xffff) | 8 << 16 | UINT64_C(0xee01) << 32 |
			    (uint64_t)(HANDLER >> 16) << 48);
}

/* inc dword [address] */
static unsigned put_inc(uint8_t *code, uint32_t address)
{
	memcpy(code, "\xff\x04\x25", 3);
	memcpy(code + 3, &address, 4);
	return 7;
}

static unsigned put_jmp(uint8_t *code, uint32_t from, uint32_t to)
{
	uint32_t rel = to - (from + 5);

	code[0] = 0xe9;
	memcpy(code + 1, &rel, 4);
	return 5;
}

static void create(struct rig *rig, enum rig_mode mode)
{
	uint8_t lost[16];

	rig_engine = engine->ops;
	rig_create(rig, mode);
	/* All faults but #UD lead here. */
	put_jmp(lost + put_inc(lost, LOST), RIG_CODE + 7, RIG_CODE);
	rig_load(rig, RIG_CODE, lost, 12);
	load_handler(rig);
	rig->cpu->rip = PROGRAM;
}

/* What ends a program: another pass. */
static void load_end(struct rig *rig, uint32_t at)
{
	uint8_t code[16];

	put_jmp(code + put_inc(code, PASSES), at + 7, PROGRAM);
	rig_load(rig, at, code, 12);
}

static void check_report(struct rig *rig, const char *what)
{
	char text[128] = "interp";

	tap_ok(!engine->report || engine->report(rig->engine, text, sizeof(text)), "%s: %s", what,
	       text);
}

static void test_absent(const struct samples *samples)
{
	struct rig rig;
	unsigned wrong = 0;

	create(&rig, RIG_USER64);
	for (unsigned i = 0; i < samples->n; i++) {
		uint8_t slot[SLOT];
		memset(slot, 0xcc, sizeof(slot));
		memset(slot, 0x90, BEFORE);
		memcpy(slot + BEFORE, samples->bytes[i], ENCODING_BYTES);
		rig_load(&rig, PROGRAM + i * SLOT, slot, sizeof(slot));
	}
	load_end(&rig, PROGRAM + samples->n * SLOT);
	rig_run(&rig, (uint64_t)N_PASSES * samples->n * A_PASS, false);
	uint64_t passes = rig_fetch(&rig, PASSES, 4);
	for (unsigned i = 0; i < samples->n; i++) {
		uint64_t count = rig_fetch(&rig, COUNTS + 4 * i, 4);
		if (count != passes && count != passes + 1 && wrong++ < 20)
			tap_note("%s of %s: %u of %u", samples->mnemonic[i], samples->set[i],
				 (unsigned)count, (unsigned)passes);
	}
	tap_ok(!wrong && !rig_fetch(&rig, LOST, 4) && passes >= N_PASSES,
	       "each of %u instructions that are not offered raises #UD, %u times", samples->n,
	       (unsigned)passes);
	check_report(&rig, "of its program");
	rig_destroy(&rig);
}

/* ---- what processors without a feature make of its bytes ---- */

/* Each result is stored by the program, anew in each pass. */
static void test_older(void)
{
	static const uint8_t code[] = {
		0xbf, 0x10, 0x00, 0x07, 0x00,                   /* mov edi, RESULTS */
		0xb9, 0x10, 0x00, 0x00, 0x00,                   /* mov ecx, 0x10 */
		0xf3, 0x0f, 0xbc, 0xc1, 0x89, 0x07,             /* F3 bsf eax, ecx; to [rdi] */
		0xf3, 0x0f, 0xbd, 0xc1, 0x89, 0x47, 0x04,       /* F3 bsr eax, ecx; to [rdi + 4] */
		0x31, 0xc9, 0xb8, 0x4d, 0x00, 0x00, 0x00,       /* xor ecx, ecx; mov eax, 77 */
		0xf3, 0x48, 0x0f, 0xbc, 0xc1, 0x0f, 0x94, 0xc2, /* F3 bsf rax, rcx; setz dl */
		0x89, 0x47, 0x08, 0x88, 0x57, 0x0c,             /* to [rdi + 8], [rdi + 12] */
		0xf3, 0x48, 0x0f, 0xbd, 0xc1, 0x0f, 0x94, 0xc2, /* F3 bsr rax, rcx; setz dl */
		0x89, 0x47, 0x10, 0x88, 0x57, 0x14,             /* to [rdi + 16], [rdi + 20] */
		0xb9, 0x05, 0x00, 0x00, 0x00,                   /* mov ecx, 5 */
		0xc7, 0x47, 0x18, 0x01, 0x00, 0x00, 0x00,       /* mov dword [rdi + 24], 1 */
		0xf2, 0xf0, 0x01, 0x4f, 0x18,                   /* xacquire lock add */
		0xf3, 0xf0, 0x01, 0x4f, 0x18,                   /* xrelease lock add */
		0xf3, 0xc7, 0x47, 0x1c, 0x07, 0x00, 0x00, 0x00, /* xrelease mov [rdi + 28], 7 */
		0xf2, 0x87, 0x4f, 0x1c,                         /* xacquire xchg */
		0x89, 0x4f, 0x20,                               /* to [rdi + 32] */
		0xf2, 0xe9, 0x01, 0x00, 0x00, 0x00, 0xcc,       /* bnd jmp over an INT3 */
		0x48, 0x8d, 0x05, 0x04, 0x00, 0x00, 0x00,       /* lea rax, [rip + 4] */
		0x3e, 0xff, 0xe0, 0xcc,                         /* notrack jmp rax, over one */
	};
	static const uint32_t want[] = {4, 4, 77, 1, 77, 1, 11, 5, 7};
	struct rig rig;
	bool same = true;

	create(&rig, RIG_USER64);
	rig_load(&rig, PROGRAM, code, sizeof(code));
	load_end(&rig, PROGRAM + sizeof(code));
	rig_run(&rig, 40000, false);
	for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		uint32_t got = (uint32_t)rig_fetch(&rig, RESULTS + 4 * i, 4);
		if (got != want[i])
			tap_note("result %u: %u, not %u", i, got, want[i]);
		same &= got == want[i];
	}
	tap_ok(same && !rig_fetch(&rig, LOST, 4) && !rig_fetch(&rig, RIG_COUNTERS + 4 * 3, 4) &&
		       rig_fetch(&rig, PASSES, 4) > 50,
	       "F3 BSF and BSR, XACQUIRE, XRELEASE, BND and NOTRACK are what they were before");
	check_report(&rig, "of them");
	rig_destroy(&rig);
}

/* By register and by wild address. */
static void test_hints(void)
{
	static const uint8_t code[] = {
		0xf3, 0x0f, 0x1e, 0xfa,       /* endbr64 */
		0xf3, 0x0f, 0x1e, 0xfb,       /* endbr32 */
		0xf3, 0x0f, 0x1e, 0xc8,       /* rdsspd eax */
		0xf3, 0x48, 0x0f, 0x1e, 0xc8, /* rdsspq rax */
		0x0f, 0x1c, 0x00,             /* cldemote */
		0x0f, 0x0d, 0x08, 0x0f, 0x0d, 0x00, 0x0f, 0x0d,
		0x10, /* prefetchw, …, …wt1 */
		0x0f, 0x0d, 0x38, 0x0f, 0x0d, 0xc8, 0x0f, 0x18,
		0x00, /* …, prefetchnta */
		0x0f, 0x18, 0x08, 0x0f, 0x18, 0x20, 0x0f, 0x18,
		0xc0,                                     /* …, prefetchrst2, a register */
		0x0f, 0x18, 0x35, 0x00, 0x00, 0x00, 0x00, /* prefetchit1 */
		0x0f, 0x19, 0x00, 0x0f, 0x1a, 0x00, 0x0f, 0x1b,
		0x00,                                           /* bndldx, bndstx */
		0xf3, 0x0f, 0x1a, 0x00, 0xf2, 0x0f, 0x1a, 0x00, /* bndcl, bndcu */
		0x66, 0x0f, 0x1a, 0x00, 0x66, 0x0f, 0x1b, 0x00, /* bndmov */
		0xf3, 0x0f, 0x1b, 0x00, 0xf2, 0x0f, 0x1b, 0xc0, /* bndmk, bndcn */
		0x0f, 0x1c, 0xc0, 0x0f, 0x1d, 0x00, 0x0f, 0x1e,
		0x00, /* hint NOPs */
		0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00,
		0x00,       /* likewise, long */
		0xf3, 0x90, /* pause */
	};
	struct rig rig;
	uint64_t before[16];

	create(&rig, RIG_USER64);
	rig_load(&rig, PROGRAM, code, sizeof(code));
	load_end(&rig, PROGRAM + sizeof(code));
	rig.cpu->gpr[RAX] = UINT64_C(0xdead000000000000);
	memcpy(before, rig.cpu->gpr, sizeof(before));
	rig_run(&rig, 40000, false);
	tap_ok(!memcmp(before, rig.cpu->gpr, sizeof(before)) && !rig_fetch(&rig, LOST, 4) &&
		       !rig_fetch(&rig, COUNTS - 4 * (PROGRAM / SLOT), 4) &&
		       rig_fetch(&rig, PASSES, 4) > 50,
	       "ENDBR, RDSSP, CLDEMOTE, PREFETCHW, MPX and hint NOPs do nothing");
	check_report(&rig, "of them");
	rig_destroy(&rig);
}

static void test_wbnoinvd(void)
{
	static const uint8_t code[] = {0x90, 0xf3, 0x0f, 0x09, 0x90};
	struct rig rig;

	create(&rig, RIG_KERNEL64);
	rig_load(&rig, PROGRAM, code, sizeof(code));
	load_end(&rig, PROGRAM + sizeof(code));
	rig_run(&rig, 1000, false);
	tap_ok(!rig_fetch(&rig, LOST, 4) && rig_fetch(&rig, PASSES, 4) == 200,
	       "WBNOINVD is WBINVD");
	rig_destroy(&rig);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--engine"))
		engine = test_engine_find(argv[2]);
	if (!engine || argc == 2 || argc > 3) {
		fprintf(stderr, "usage: engine_contract_test [--engine NAME]\n");
		return 2;
	}
	const char *missing = engine->missing ? engine->missing() : NULL;
	if (missing) {
		printf("1..0 # SKIP %s\n", missing);
		return 0;
	}
	struct samples *samples = take_samples();
	tap_ok(samples->n > 1000 && samples->n < MAX, "%u instructions are not offered",
	       samples->n);
	test_absent(samples);
	test_older();
	test_hints();
	test_wbnoinvd();
	free(samples);
	return tap_done();
}
