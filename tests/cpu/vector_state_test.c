/*
 * What the comparison with the host cannot show: availability by CR0 and CR4, alignment and page
 * faults, pending x87 exceptions by CR0.NE, SIMD exceptions by CR4.OSXMMEXCPT, XSAVE and its
 * relatives, formats of other modes.
 */
#include <string.h>

#include "tests/cpu/vector_guest.h"
#include "tests/tap.h"
#include "vmm/cpu/flags.h"

static struct machine *machine;
static struct cpu *cpu;
static uint8_t *data;

#define CR0_USUAL (CR0_PG | CR0_PE | CR0_NE | CR0_MP | CR0_ET | CR0_WP)
#define CR4_USUAL (CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE)

/* A usual state: everything enabled, registers initial, the data area filled with a pattern. */
static void fresh(void)
{
	cpu->cr0 = CR0_USUAL;
	cpu->cr4 = CR4_USUAL;
	cpu->xcr0 = 3;
	cpu->cpl = 3;
	memset(cpu->gpr, 0, sizeof(cpu->gpr));
	memset(&cpu->fx, 0, sizeof(cpu->fx));
	cpu->fx.fcw = 0x37f;
	cpu->fx.mxcsr = 0x1f80;
	cpu->gpr[RSI] = VECTOR_DATA + 256;
	cpu_update_mode(cpu);
	for (unsigned i = 0; i < PAGE_BYTES; i++)
		data[i] = (uint8_t)(i * 7 + 1);
}

static unsigned run(const char *bytes, unsigned n)
{
	struct insn insn;

	if (insn_decode((const uint8_t *)bytes, n, machine_current(machine)->mode, &insn) !=
	    INSN_OK)
		return VECTOR_UD;
	return vector_guest_step(machine, &insn);
}

#define RUN(bytes) run(bytes, sizeof(bytes) - 1)

#define PXOR_XMM    "\x66\x0f\xef\xc1"
#define PXOR_MMX    "\x0f\xef\xc1"
#define ADDPS       "\x0f\x58\xc1"
#define FLD1        "\xd9\xe8"
#define FWAIT       "\x9b"
#define FNSTSW_AX   "\xdf\xe0"
#define EMMS        "\x0f\x77"
#define MOVAPS_LOAD "\x0f\x28\x06"
#define MOVAPS_RBP  "\x0f\x28\x45\x00"
#define MOVUPS_LOAD "\x0f\x10\x06"
#define FSTP_M64    "\xdd\x1e"
#define FLD_M64     "\xdd\x06"
#define FXSAVE      "\x0f\xae\x06"
#define FXRSTOR     "\x0f\xae\x0e"
#define LDMXCSR     "\x0f\xae\x16"
#define STMXCSR     "\x0f\xae\x1e"
#define XSAVE       "\x0f\xae\x26"
#define XRSTOR      "\x0f\xae\x2e"
#define XGETBV      "\x0f\x01\xd0"
#define XSETBV      "\x0f\x01\xd1"
#define DIVSS       "\xf3\x0f\x5e\xc1"
#define MASKMOVDQU  "\x66\x0f\xf7\xc1"
#define FNSTENV     "\xd9\x36"

static void test_availability(void)
{
	static const struct {
		const char *name, *bytes;
		uint32_t cr0_set, cr4_clear;
		unsigned vector;
	} rows[] = {
		{"XMM with EM", PXOR_XMM, CR0_EM, 0, VECTOR_UD},
		{"XMM with TS", PXOR_XMM, CR0_TS, 0, VECTOR_NM},
		{"XMM with EM and TS", PXOR_XMM, CR0_EM | CR0_TS, 0, VECTOR_UD},
		{"XMM without OSFXSR", PXOR_XMM, 0, CR4_OSFXSR, VECTOR_UD},
		{"XMM without OSFXSR, with TS", PXOR_XMM, CR0_TS, CR4_OSFXSR, VECTOR_UD},
		{"ADDPS with TS", ADDPS, CR0_TS, 0, VECTOR_NM},
		{"ADDPS without OSFXSR", ADDPS, 0, CR4_OSFXSR, VECTOR_UD},
		{"MMX with EM", PXOR_MMX, CR0_EM, 0, VECTOR_UD},
		{"MMX with TS", PXOR_MMX, CR0_TS, 0, VECTOR_NM},
		{"MMX without OSFXSR", PXOR_MMX, 0, CR4_OSFXSR, VECTOR_RETIRED},
		{"MMX without OSFXSR, with TS", PXOR_MMX, CR0_TS, CR4_OSFXSR, VECTOR_NM},
		{"EMMS with TS", EMMS, CR0_TS, 0, VECTOR_NM},
		{"x87 with EM", FLD1, CR0_EM, 0, VECTOR_NM},
		{"x87 with TS", FLD1, CR0_TS, 0, VECTOR_NM},
		{"x87 without OSFXSR", FLD1, 0, CR4_OSFXSR, VECTOR_RETIRED},
		{"FWAIT with EM", FWAIT, CR0_EM, 0, VECTOR_RETIRED},
		{"FWAIT with MP and TS", FWAIT, CR0_TS, 0, VECTOR_NM},
		{"FXSAVE with TS", FXSAVE, CR0_TS, 0, VECTOR_NM},
		{"FXSAVE with EM", FXSAVE, CR0_EM, 0, VECTOR_UD},
		{"FXSAVE without OSFXSR", FXSAVE, 0, CR4_OSFXSR, VECTOR_RETIRED},
		{"XSAVE without OSXSAVE", XSAVE, CR0_TS, CR4_OSXSAVE, VECTOR_UD},
		{"XSAVE with TS", XSAVE, CR0_TS, 0, VECTOR_NM},
		{"XGETBV without OSXSAVE", XGETBV, 0, CR4_OSXSAVE, VECTOR_UD},
		{"XGETBV with TS", XGETBV, CR0_TS, 0, VECTOR_RETIRED},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned vector;
		fresh();
		cpu->cr0 |= rows[i].cr0_set;
		cpu->cr4 &= ~(uint64_t)rows[i].cr4_clear;
		vector = run(rows[i].bytes, (unsigned)strlen(rows[i].bytes));
		tap_ok(vector == rows[i].vector, "%s: vector %u", rows[i].name, vector);
	}
}

static void test_memory_faults(void)
{
	struct fx_state before;

	fresh();
	cpu->gpr[RSI] += 8;
	tap_ok(RUN(MOVAPS_LOAD) == VECTOR_GP, "MOVAPS wants alignment");
	tap_ok(RUN(MOVUPS_LOAD) == VECTOR_RETIRED, "MOVUPS does not");
	tap_ok(RUN(FXSAVE) == VECTOR_GP, "FXSAVE wants alignment");
	cpu->gpr[RAX] = 3;
	cpu->gpr[RSI] = VECTOR_DATA + 16;
	tap_ok(RUN(XSAVE) == VECTOR_GP, "XSAVE wants alignment to 64");

	fresh();
	RUN(FLD1);
	cpu->gpr[RSI] = VECTOR_DATA + PAGE_BYTES - 4;
	before = cpu->fx;
	tap_ok(RUN(FSTP_M64) == VECTOR_PF && !memcmp(&before, &cpu->fx, sizeof(before)),
	       "FSTP to an absent page changes no register");
	tap_ok(data[PAGE_BYTES - 1] == (uint8_t)((PAGE_BYTES - 1) * 7 + 1), "nor memory");
	tap_ok(RUN(FLD_M64) == VECTOR_PF && !memcmp(&before, &cpu->fx, sizeof(before)),
	       "FLD from an absent page changes no register");
	cpu->gpr[RSI] = VECTOR_DATA + PAGE_BYTES;
	tap_ok(RUN(MOVAPS_LOAD) == VECTOR_PF, "MOVAPS from an absent page");
	cpu->gpr[RSI] += 8;
	tap_ok(RUN(MOVAPS_LOAD) == VECTOR_GP, "misalignment comes before the page fault");
	cpu->gpr[RBP] = UINT64_C(1) << 62;
	tap_ok(RUN(MOVAPS_RBP) == VECTOR_SS, "MOVAPS from SS:RBP, not canonical");
	cpu->gpr[RBP] += 8;
	tap_ok(RUN(MOVAPS_RBP) == VECTOR_GP, "misalignment comes before that, too");
}

static void test_stopped_store(void)
{
	fresh();
	RUN(FLD1);
	cpu->fx.fcw = 0x37f & ~0x20; /* inexact unmasked, which does not stop a store */
	cpu->gpr[RSI] = UINT64_C(1) << 62;
	tap_ok(RUN(FSTP_M64) == VECTOR_GP, "FSTP to an address that is not canonical");
	cpu->fx.ftw = 0; /* the stack is empty */
	cpu->fx.fcw = 0x37f & ~1;
	tap_ok(RUN(FSTP_M64) == VECTOR_RETIRED && (cpu->fx.fsw & 0x80c1) == 0x80c1,
	       "an unmasked exception that stops the store comes first");
	tap_ok(RUN(FLD1) == VECTOR_MF, "and is reported by the next instruction");
}

static void test_pending_x87(void)
{
	fresh();
	cpu->fx.fcw = 0x37b; /* zero divide unmasked */
	RUN(FLD1);
	RUN("\xd9\xee"); /* FLDZ */
	tap_ok(RUN("\xde\xf9") == VECTOR_RETIRED && (cpu->fx.fsw & 0x8084) == 0x8084,
	       "FDIVP by zero, unmasked, retires and leaves the exception pending");
	tap_ok(((cpu->fx.fsw >> 11) & 7) == 6, "and does not pop");
	tap_ok(RUN(FNSTSW_AX) == VECTOR_RETIRED && cpu->gpr[RAX] == cpu->fx.fsw,
	       "FNSTSW does not wait");
	tap_ok(RUN(FLD1) == VECTOR_MF, "FLD1 reports it");
	tap_ok(RUN(FWAIT) == VECTOR_MF, "FWAIT reports it");
	tap_ok(RUN(PXOR_MMX) == VECTOR_MF && RUN(EMMS) == VECTOR_MF, "MMX reports it");
	tap_ok(RUN(PXOR_XMM) == VECTOR_RETIRED, "SSE does not");
	tap_ok(RUN(FXSAVE) == VECTOR_RETIRED, "FXSAVE does not");
	tap_ok(RUN(FNSTENV) == VECTOR_RETIRED && !(cpu->fx.fsw & 0x8080) && (cpu->fx.fsw & 4) &&
		       cpu->fx.fcw == 0x37f,
	       "FNSTENV masks everything after storing");
	cpu->fx.fcw = 0x37b;
	cpu->fx.fsw |= 0x8080;
	cpu->cr0 &= ~(uint64_t)CR0_NE;
	tap_ok(RUN(FLD1) == VECTOR_RETIRED, "with CR0.NE = 0 nothing is reported");
}

static void test_simd_exceptions(void)
{
	const float one = 1.0f;

	fresh();
	memcpy(cpu->fx.xmm[0], &one, 4);
	tap_ok(RUN(DIVSS) == VECTOR_RETIRED && cpu->fx.mxcsr == 0x1f84, "masked: flag only");
	fresh();
	memcpy(cpu->fx.xmm[0], &one, 4);
	cpu->fx.mxcsr = 0x1d80;
	tap_ok(RUN(DIVSS) == VECTOR_XM && cpu->fx.mxcsr == 0x1d84 &&
		       !memcmp(cpu->fx.xmm[0], &one, 4),
	       "unmasked: #XM, the flag, and no result");
	tap_ok(RUN("\xf3\x0f\x58\xc0") == VECTOR_RETIRED, "a flag that is set raises nothing more");
	cpu->fx.xmm[0][3] = 0x3f;
	cpu->cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
	tap_ok(RUN(DIVSS) == VECTOR_UD, "#UD without CR4.OSXMMEXCPT");
	fresh();
	memset(data + 256, 0xff, 4);
	tap_ok(RUN(LDMXCSR) == VECTOR_GP && cpu->fx.mxcsr == 0x1f80, "LDMXCSR of reserved bits");
	cpu->fx.mxcsr = 0x5f9f;
	tap_ok(RUN(STMXCSR) == VECTOR_RETIRED && !memcmp(data + 256, "\x9f\x5f\0\0", 4), "STMXCSR");
}

static void test_save_formats(void)
{
	fresh();
	for (unsigned i = 0; i < 16; i++)
		memset(cpu->fx.xmm[i], 0xa0 + (int)i, 16);
	tap_ok(RUN(FXSAVE) == VECTOR_RETIRED && data[256 + 160 + 255] == 0xaf &&
		       data[256 + 416] == (uint8_t)((256 + 416) * 7 + 1),
	       "FXSAVE writes 16 XMM registers and nothing behind them");
	tap_ok(!memcmp(data + 256 + 28, "\xff\xff\0\0", 4), "MXCSR_MASK");
	tap_ok(!memcmp(data + 256 + 6, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18), "pointers are 0");

	fresh();
	memset(cpu->fx.xmm[9], 0x99, 16);
	cpu->seg[SEG_CS].attr = (cpu->seg[SEG_CS].attr & ~SEG_ATTR_L) | SEG_ATTR_DB;
	cpu_update_mode(cpu);
	tap_ok(RUN(FXSAVE) == VECTOR_RETIRED && data[256 + 288] == (uint8_t)((256 + 288) * 7 + 1),
	       "in 32-bit code FXSAVE writes 8 XMM registers");
	memset(data + 256 + 24, 0, 4);
	tap_ok(RUN(FXRSTOR) == VECTOR_RETIRED && cpu->fx.xmm[9][0] == 0x99 && cpu->fx.mxcsr == 0,
	       "and FXRSTOR leaves the others alone");
	cpu->seg[SEG_CS].attr = (cpu->seg[SEG_CS].attr | SEG_ATTR_L) & ~SEG_ATTR_DB;
	cpu_update_mode(cpu);
}

/* Header of the XSAVE area at RSI. */
static void set_header(uint64_t xstate_bv, uint64_t xcomp_bv)
{
	memset(data + 256 + 512, 0, 64);
	memcpy(data + 256 + 512, &xstate_bv, 8);
	memcpy(data + 256 + 520, &xcomp_bv, 8);
}

static void test_xsave(void)
{
	fresh();
	RUN(FLD1);
	memset(cpu->fx.xmm[3], 0x33, 16);
	cpu->gpr[RAX] = 3;
	set_header(0, 0);
	tap_ok(RUN(XSAVE) == VECTOR_RETIRED && data[256 + 512] == 3 && data[256 + 4] == 0x80 &&
		       data[256 + 160 + 48] == 0x33,
	       "XSAVE of both components");
	memset(cpu->fx.xmm[3], 0, 16);
	cpu->fx.ftw = 0;
	tap_ok(RUN(XRSTOR) == VECTOR_RETIRED && cpu->fx.ftw == 0x80 && cpu->fx.xmm[3][5] == 0x33,
	       "XRSTOR brings them back");

	set_header(1, 0);
	tap_ok(RUN(XRSTOR) == VECTOR_RETIRED && cpu->fx.ftw == 0x80 && cpu->fx.xmm[3][5] == 0,
	       "XRSTOR initialises SSE when its bit is clear");
	set_header(0, 0);
	RUN(XRSTOR);
	tap_ok(cpu->fx.ftw == 0 && cpu->fx.fcw == 0x37f && cpu->fx.fsw == 0, "and x87");

	memset(cpu->fx.xmm[3], 0x44, 16);
	cpu->gpr[RAX] = 1;
	set_header(2, 0);
	data[256 + 160 + 48] = 0x55;
	tap_ok(RUN(XSAVE) == VECTOR_RETIRED && data[256 + 512] == 3 && data[256 + 160 + 48] == 0x55,
	       "XSAVE of x87 alone keeps the rest of the area and of XSTATE_BV");
	RUN(XRSTOR);
	tap_ok(cpu->fx.xmm[3][0] == 0x44, "XRSTOR of x87 alone keeps the XMM registers");

	cpu->gpr[RAX] = 3;
	set_header(4, 0);
	tap_ok(RUN(XRSTOR) == VECTOR_GP, "XSTATE_BV outside XCR0");
	set_header(3, UINT64_C(1) << 63);
	tap_ok(RUN(XRSTOR) == VECTOR_GP, "compacted format");
	set_header(3, 0);
	data[256 + 27] = 1;
	tap_ok(RUN(XRSTOR) == VECTOR_GP, "reserved bits of MXCSR");
}

static void test_xcr0(void)
{
	fresh();
	cpu->gpr[RAX] = cpu->gpr[RDX] = ~UINT64_C(0);
	tap_ok(RUN(XGETBV) == VECTOR_RETIRED && cpu->gpr[RAX] == 3 && cpu->gpr[RDX] == 0, "XGETBV");
	cpu->gpr[RCX] = 1;
	tap_ok(RUN(XGETBV) == VECTOR_GP, "XGETBV of another register");
	cpu->gpr[RCX] = 0;
	cpu->gpr[RAX] = 1;
	tap_ok(RUN(XSETBV) == VECTOR_RETIRED && cpu->xcr0 == 1, "XSETBV");
	cpu->gpr[RAX] = 2;
	tap_ok(RUN(XSETBV) == VECTOR_GP, "XSETBV without x87");
	cpu->gpr[RAX] = 7;
	tap_ok(RUN(XSETBV) == VECTOR_GP && cpu->xcr0 == 1, "XSETBV of a component not offered");
}

static void test_masked_store(void)
{
	fresh();
	cpu->gpr[RDI] = VECTOR_DATA + PAGE_BYTES;
	tap_ok(RUN(MASKMOVDQU) == VECTOR_RETIRED, "an empty mask accesses no memory");
	cpu->fx.xmm[1][4] = 0x80;
	tap_ok(RUN(MASKMOVDQU) == VECTOR_PF, "any other does");
	cpu->gpr[RDI] = VECTOR_DATA + 3;
	memset(cpu->fx.xmm[0], 0xee, 16);
	tap_ok(RUN(MASKMOVDQU) == VECTOR_RETIRED && data[7] == 0xee && data[6] == 43 &&
		       data[8] == 57,
	       "only the bytes of the mask are written");
}

int main(void)
{
	if (vector_guest_create(&machine)) {
		tap_ok(false, "set-up");
		return tap_done();
	}
	cpu = machine_current(machine);
	data = vector_guest_data(machine);
	test_availability();
	test_memory_faults();
	test_stopped_store();
	test_pending_x87();
	test_simd_exceptions();
	test_save_formats();
	test_xsave();
	test_xcr0();
	test_masked_store();
	machine_destroy(machine);
	return tap_done();
}
