/*
 * CPUID is a contract in both directions (SDM 2, CPUID): every bit that it offers is one of those
 * listed here with the instructions behind it, each of which the machine has (the test "coverage"
 * says what compares them with hardware); every instruction behind a bit that it does not offer
 * raises #UD, though the host may have it (the tests "encoding-contract" and "contract-ENGINE"), or
 * does what processors without the feature make of its bytes.
 */
#include <string.h>

#include <Zydis/Mnemonic.h>

#include "tests/cpu/system_guest.h"

/* ---- what is offered ---- */

struct offered {
	uint32_t leaf;
	uint8_t reg; /* enum cpuid_register */
	uint8_t bit;
	const char *name;
	uint16_t mnemonic[8]; /* behind it; none where it is not about instructions */
};

#define M(name) ZYDIS_MNEMONIC_##name

static const struct offered offered[] = {
	{1, CPUID_EDX, 0, "FPU", {M(FADD), M(FNINIT), M(FWAIT), M(FSIN), M(FBSTP), M(FCOMI)}},
	{1, CPUID_EDX, 2, "DE"},
	{1, CPUID_EDX, 3, "PSE"},
	{1, CPUID_EDX, 4, "TSC", {M(RDTSC)}},
	{1, CPUID_EDX, 5, "MSR", {M(RDMSR), M(WRMSR)}},
	{1, CPUID_EDX, 6, "PAE"},
	{1, CPUID_EDX, 7, "MCE"},
	{1, CPUID_EDX, 8, "CX8", {M(CMPXCHG8B)}},
	{1, CPUID_EDX, 9, "APIC"},
	{1, CPUID_EDX, 11, "SEP", {M(SYSENTER), M(SYSEXIT)}},
	{1, CPUID_EDX, 12, "MTRR"},
	{1, CPUID_EDX, 13, "PGE"},
	{1, CPUID_EDX, 14, "MCA"},
	{1, CPUID_EDX, 15, "CMOV", {M(CMOVO), M(CMOVNLE), M(FCMOVB), M(FCMOVNU), M(FCOMI)}},
	{1, CPUID_EDX, 16, "PAT"},
	{1, CPUID_EDX, 17, "PSE36"},
	{1, CPUID_EDX, 19, "CLFSH", {M(CLFLUSH)}},
	{1, CPUID_EDX, 23, "MMX", {M(PADDB), M(EMMS), M(MOVD), M(PACKSSWB)}},
	{1, CPUID_EDX, 24, "FXSR", {M(FXSAVE), M(FXRSTOR), M(FXSAVE64), M(FXRSTOR64)}},
	{1, CPUID_EDX, 25, "SSE", {M(ADDPS), M(RCPPS), M(LDMXCSR), M(MOVNTPS), M(SFENCE)}},
	{1, CPUID_EDX, 26, "SSE2", {M(ADDPD), M(MOVNTI), M(MASKMOVDQU), M(LFENCE), M(MFENCE)}},
	{1, CPUID_ECX, 0, "SSE3", {M(ADDSUBPS), M(HADDPD), M(LDDQU), M(MOVDDUP), M(FISTTP)}},
	{1, CPUID_ECX, 9, "SSSE3", {M(PSHUFB), M(PABSB), M(PALIGNR), M(PMULHRSW), M(PSIGND)}},
	{1, CPUID_ECX, 13, "CX16", {M(CMPXCHG16B)}},
	{1, CPUID_ECX, 19, "SSE4.1", {M(PBLENDVB), M(DPPS), M(ROUNDSD), M(PTEST), M(MPSADBW)}},
	{1, CPUID_ECX, 20, "SSE4.2", {M(PCMPESTRI), M(PCMPISTRM), M(PCMPGTQ), M(CRC32)}},
	{1, CPUID_ECX, 21, "x2APIC"},
	{1, CPUID_ECX, 23, "POPCNT", {M(POPCNT)}},
	{1, CPUID_ECX, 24, "TSC-deadline"},
	{1, CPUID_ECX, 26, "XSAVE", {M(XSAVE), M(XRSTOR), M(XGETBV), M(XSETBV)}},
	{1, CPUID_ECX, 27, "OSXSAVE", {M(XGETBV)}},
	{1, CPUID_ECX, 30, "RDRAND", {M(RDRAND)}},
	{6, CPUID_EAX, 2, "ARAT"},
	{7, CPUID_EBX, 0, "FSGSBASE", {M(RDFSBASE), M(RDGSBASE), M(WRFSBASE), M(WRGSBASE)}},
	{7, CPUID_EBX, 1, "TSC_ADJUST"},
	{7, CPUID_EBX, 7, "SMEP"},
	{7, CPUID_EBX, 9, "ERMS", {M(MOVSB), M(STOSB)}},
	{7, CPUID_EBX, 18, "RDSEED", {M(RDSEED)}},
	{7, CPUID_EBX, 20, "SMAP", {M(CLAC), M(STAC)}},
	{7, CPUID_ECX, 2, "UMIP"},
	{7, CPUID_EDX, 29, "ARCH_CAPABILITIES"},
	{0x80000001, CPUID_ECX, 0, "LAHF", {M(LAHF), M(SAHF)}},
	{0x80000001, CPUID_EDX, 11, "SYSCALL", {M(SYSCALL), M(SYSRET)}},
	{0x80000001, CPUID_EDX, 20, "NX"},
	{0x80000001, CPUID_EDX, 26, "1 GiB pages"},
	{0x80000001, CPUID_EDX, 27, "RDTSCP", {M(RDTSCP)}},
	{0x80000001, CPUID_EDX, 29, "LM", {M(SWAPGS), M(MOVSXD), M(CQO)}},
};

/* Where feature bits are. */
static const struct {
	uint32_t leaf, subleaf;
	uint8_t reg;
} words[] = {
	{1, 0, CPUID_ECX},          {1, 0, CPUID_EDX},          {6, 0, CPUID_EAX},
	{6, 0, CPUID_ECX},          {7, 0, CPUID_EBX},          {7, 0, CPUID_ECX},
	{7, 0, CPUID_EDX},          {7, 1, CPUID_EAX},          {7, 1, CPUID_EBX},
	{7, 1, CPUID_EDX},          {7, 2, CPUID_EDX},          {0xd, 1, CPUID_EAX},
	{0x14, 0, CPUID_EBX},       {0x80000001, 0, CPUID_ECX}, {0x80000001, 0, CPUID_EDX},
	{0x80000008, 0, CPUID_EBX}, {0x80000007, 0, CPUID_EBX},
};

static const struct offered *find_offered(uint32_t leaf, uint32_t subleaf, unsigned reg,
					  unsigned bit)
{
	for (unsigned i = 0; i < sizeof(offered) / sizeof(offered[0]); i++)
		if (offered[i].leaf == leaf && subleaf == 0 && offered[i].reg == reg &&
		    offered[i].bit == bit)
			return &offered[i];
	return NULL;
}

static void check_word(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, unsigned reg)
{
	uint32_t out[4], unknown = 0;

	cpuid_query(cpu, leaf, subleaf, out);
	for (unsigned bit = 0; bit < 32; bit++)
		if ((out[reg] >> bit & 1) && !find_offered(leaf, subleaf, reg, bit))
			unknown |= 1u << bit;
	if (!tap_ok(!unknown, "leaf %x.%x, register %u: every bit is a known one", leaf, subleaf,
		    reg))
		tap_note("unknown bits %x", unknown);
}

static void test_offered(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_LONG0);
	guest.cpu->cr4 |= CR4_OSXSAVE;
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		check_word(guest.cpu, words[i].leaf, words[i].subleaf, words[i].reg);
	for (unsigned i = 0; i < sizeof(offered) / sizeof(offered[0]); i++) {
		const struct offered *o = &offered[i];
		uint32_t out[4];
		bool all = true;
		cpuid_query(guest.cpu, o->leaf, 0, out);
		for (unsigned k = 0; k < 8 && o->mnemonic[k]; k++)
			all &= insn_row(o->mnemonic[k])->exec != NULL;
		tap_ok((out[o->reg] >> o->bit & 1) && all, "%s is offered and there", o->name);
	}
	guest_destroy(&guest);
}

/* ---- what processors without a feature make of its bytes ---- */

static void test_bit_scans(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_LONG3);
	guest.cpu->gpr[RCX] = 0x10;
	EXPECT(&guest, "\xf3\x0f\xbc\xc1", RETIRED, 0, "F3 BSF");
	tap_ok(guest.cpu->gpr[RAX] == 4 && !(cpu_rflags(guest.cpu) & FLAG_ZF), "is BSF");
	EXPECT(&guest, "\xf3\x0f\xbd\xc1", RETIRED, 0, "F3 BSR");
	tap_ok(guest.cpu->gpr[RAX] == 4, "is BSR, not LZCNT");
	guest.cpu->gpr[RCX] = 0;
	guest.cpu->gpr[RAX] = 77;
	EXPECT(&guest, "\xf3\x48\x0f\xbc\xc1", RETIRED, 0, "F3 BSF of 0");
	tap_ok(guest.cpu->gpr[RAX] == 77 && (cpu_rflags(guest.cpu) & FLAG_ZF),
	       "leaves its destination and sets ZF, as TZCNT does not");
	EXPECT(&guest, "\xf3\x48\x0f\xbd\xc1", RETIRED, 0, "F3 BSR of 0");
	tap_ok(guest.cpu->gpr[RAX] == 77 && (cpu_rflags(guest.cpu) & FLAG_ZF), "likewise");
	guest_destroy(&guest);
}

static const struct {
	const char *name, *bytes;
	uint8_t n;
} nothing[] = {
#define N(name, literal)                                                                           \
	{                                                                                          \
		name, literal, sizeof(literal) - 1                                                 \
	}
	N("ENDBR64", "\xf3\x0f\x1e\xfa"),
	N("ENDBR32", "\xf3\x0f\x1e\xfb"),
	N("RDSSPD", "\xf3\x0f\x1e\xc8"),
	N("RDSSPQ", "\xf3\x48\x0f\x1e\xc8"),
	N("CLDEMOTE", "\x0f\x1c\x00"),
	N("PREFETCHW", "\x0f\x0d\x08"),
	N("PREFETCH", "\x0f\x0d\x00"),
	N("PREFETCHWT1", "\x0f\x0d\x10"),
	N("0F 0D /7", "\x0f\x0d\x38"),
	N("0F 0D with a register", "\x0f\x0d\xc8"),
	N("PREFETCHNTA", "\x0f\x18\x00"),
	N("PREFETCHT0", "\x0f\x18\x08"),
	N("PREFETCHT1", "\x0f\x18\x10"),
	N("PREFETCHT2", "\x0f\x18\x18"),
	N("PREFETCHRST2, 0F 18 /4", "\x0f\x18\x20"),
	N("PREFETCHIT1, 0F 18 /6", "\x0f\x18\x35\x00\x00\x00\x00"),
	N("PREFETCHIT0, 0F 18 /7", "\x0f\x18\x3d\x00\x00\x00\x00"),
	N("0F 18 with a register", "\x0f\x18\xc0"),
	N("0F 19", "\x0f\x19\x00"),
	N("BNDLDX, 0F 1A", "\x0f\x1a\x00"),
	N("BNDCL, F3 0F 1A", "\xf3\x0f\x1a\x00"),
	N("BNDCU, F2 0F 1A", "\xf2\x0f\x1a\x00"),
	N("BNDMOV, 66 0F 1A", "\x66\x0f\x1a\x00"),
	N("BNDSTX, 0F 1B", "\x0f\x1b\x00"),
	N("BNDMK, F3 0F 1B", "\xf3\x0f\x1b\x00"),
	N("BNDCN, F2 0F 1B", "\xf2\x0f\x1b\xc0"),
	N("0F 1C with a register", "\x0f\x1c\xc0"),
	N("0F 1D", "\x0f\x1d\x00"),
	N("0F 1E", "\x0f\x1e\x00"),
	N("0F 1F", "\x0f\x1f\x00"),
	N("0F 1F with 66", "\x66\x0f\x1f\x84\x00\x00\x00\x00\x00"),
	N("PAUSE", "\xf3\x90"),
#undef N
};

/* Hints touch nothing, wherever they point. */
static void test_nothing(void)
{
	for (unsigned i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		struct guest guest;
		uint64_t before[16], rflags;
		struct outcome outcome;
		guest_create(&guest, GUEST_LONG3);
		for (unsigned r = 0; r < 16; r++)
			guest.cpu->gpr[r] = UINT64_C(0xdead000000000000) + r;
		memcpy(before, guest.cpu->gpr, sizeof(before));
		rflags = cpu_rflags(guest.cpu);
		outcome = guest_run(&guest, nothing[i].bytes, nothing[i].n);
		tap_ok(outcome.vector == RETIRED &&
			       !memcmp(before, guest.cpu->gpr, sizeof(before)) &&
			       cpu_rflags(guest.cpu) == rflags,
		       "%s does nothing", nothing[i].name);
		guest_destroy(&guest);
	}
}

static void test_prefixes(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_LONG3);
	struct cpu *cpu = guest.cpu;
	cpu->gpr[RBX] = GUEST_DATA;
	cpu->gpr[RCX] = 5;
	guest_store(&guest, GUEST_DATA, 1, 8);
	EXPECT(&guest, "\xf2\xf0\x01\x0b", RETIRED, 0, "XACQUIRE LOCK ADD");
	tap_ok(guest_load(&guest, GUEST_DATA, 4) == 6, "adds");
	EXPECT(&guest, "\xf3\xf0\x01\x0b", RETIRED, 0, "XRELEASE LOCK ADD");
	tap_ok(guest_load(&guest, GUEST_DATA, 4) == 11, "adds");
	EXPECT(&guest, "\xf3\xc7\x03\x07\x00\x00\x00", RETIRED, 0, "XRELEASE MOV");
	tap_ok(guest_load(&guest, GUEST_DATA, 4) == 7, "moves");
	EXPECT(&guest, "\xf2\x87\x0b", RETIRED, 0, "XACQUIRE XCHG");
	tap_ok(guest_load(&guest, GUEST_DATA, 4) == 5 && cpu->gpr[RCX] == 7, "exchanges");
	cpu->gpr[RAX] = GUEST_CODE + 0x100;
	EXPECT(&guest, "\x3e\xff\xe0", RETIRED, 0, "NOTRACK JMP");
	tap_ok(cpu->rip == GUEST_CODE + 0x100, "jumps");
	uint64_t from = cpu->rip;
	EXPECT(&guest, "\xf2\xe9\x10\x00\x00\x00", RETIRED, 0, "BND JMP");
	tap_ok(cpu->rip == from + 0x16, "jumps");
	guest_destroy(&guest);
}

static void test_wbnoinvd(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_LONG0);
	EXPECT(&guest, "\xf3\x0f\x09", RETIRED, 0, "WBNOINVD is WBINVD");
	guest_destroy(&guest);
	guest_create(&guest, GUEST_LONG3);
	EXPECT(&guest, "\xf3\x0f\x09", VECTOR_GP, 0, "and needs CPL 0");
	guest_destroy(&guest);
}

int main(void)
{
	test_offered();
	test_bit_scans();
	test_nothing();
	test_prefixes();
	test_wbnoinvd();
	return tap_done();
}
