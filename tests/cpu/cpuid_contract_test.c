/*
 * CPUID is a contract in both directions (SDM 2, CPUID): every bit that it offers is one of those
 * listed here with the instructions behind it, each of which the machine has (the test "coverage"
 * says what compares them with hardware); every instruction behind a bit that it does not offer
 * raises #UD, though the host may have it, or does what processors without the feature make of its
 * bytes.
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

/* ---- what is not offered ---- */

struct absent {
	const char *name;
	uint32_t leaf, subleaf; /* of its bit; 0: it has none */
	uint8_t reg, bit;
	const char *bytes;
	uint8_t n;
};

#define A(name, leaf, subleaf, reg, bit, literal)                                                  \
	{                                                                                          \
		name, leaf, subleaf, reg, bit, literal, sizeof(literal) - 1                        \
	}
#define EAX CPUID_EAX
#define EBX CPUID_EBX
#define ECX CPUID_ECX
#define EDX CPUID_EDX
#define AMD 0x80000001

static const struct absent absent[] = {
	A("PCLMULQDQ", 1, 0, ECX, 1, "\x66\x0f\x3a\x44\xc0\x00"),
	A("MONITOR", 1, 0, ECX, 3, "\x0f\x01\xc8"),
	A("MWAIT", 1, 0, ECX, 3, "\x0f\x01\xc9"),
	A("VMX: VMCALL", 1, 0, ECX, 5, "\x0f\x01\xc1"),
	A("VMX: VMLAUNCH", 1, 0, ECX, 5, "\x0f\x01\xc2"),
	A("VMX: VMRESUME", 1, 0, ECX, 5, "\x0f\x01\xc3"),
	A("VMX: VMXOFF", 1, 0, ECX, 5, "\x0f\x01\xc4"),
	A("VMX: VMXON", 1, 0, ECX, 5, "\xf3\x0f\xc7\x30"),
	A("VMX: VMPTRLD", 1, 0, ECX, 5, "\x0f\xc7\x30"),
	A("VMX: VMPTRST", 1, 0, ECX, 5, "\x0f\xc7\x38"),
	A("VMX: VMCLEAR", 1, 0, ECX, 5, "\x66\x0f\xc7\x30"),
	A("VMX: VMREAD", 1, 0, ECX, 5, "\x0f\x78\xc0"),
	A("VMX: VMWRITE", 1, 0, ECX, 5, "\x0f\x79\xc0"),
	A("VMX: VMFUNC", 1, 0, ECX, 5, "\x0f\x01\xd4"),
	A("VMX: INVEPT", 1, 0, ECX, 5, "\x66\x0f\x38\x80\x00"),
	A("VMX: INVVPID", 1, 0, ECX, 5, "\x66\x0f\x38\x81\x00"),
	A("SMX: GETSEC", 1, 0, ECX, 6, "\x0f\x37"),
	A("FMA: VFMADD132PS", 1, 0, ECX, 12, "\xc4\xe2\x79\x98\xc0"),
	A("MOVBE load", 1, 0, ECX, 22, "\x0f\x38\xf0\x00"),
	A("MOVBE store", 1, 0, ECX, 22, "\x0f\x38\xf1\x00"),
	A("AES: AESENC", 1, 0, ECX, 25, "\x66\x0f\x38\xdc\xc0"),
	A("AES: AESENCLAST", 1, 0, ECX, 25, "\x66\x0f\x38\xdd\xc0"),
	A("AES: AESDEC", 1, 0, ECX, 25, "\x66\x0f\x38\xde\xc0"),
	A("AES: AESDECLAST", 1, 0, ECX, 25, "\x66\x0f\x38\xdf\xc0"),
	A("AES: AESIMC", 1, 0, ECX, 25, "\x66\x0f\x38\xdb\xc0"),
	A("AES: AESKEYGENASSIST", 1, 0, ECX, 25, "\x66\x0f\x3a\xdf\xc0\x00"),
	A("AVX: VADDPS xmm", 1, 0, ECX, 28, "\xc5\xf8\x58\xc0"),
	A("AVX: VADDPS ymm", 1, 0, ECX, 28, "\xc5\xfc\x58\xc0"),
	A("AVX: VZEROUPPER", 1, 0, ECX, 28, "\xc5\xf8\x77"),
	A("AVX: VMOVDQU", 1, 0, ECX, 28, "\xc5\xfa\x6f\x00"),
	A("AVX: VLDMXCSR", 1, 0, ECX, 28, "\xc5\xf8\xae\x10"),
	A("F16C: VCVTPH2PS", 1, 0, ECX, 29, "\xc4\xe2\x79\x13\xc0"),
	A("SGX: ENCLS", 7, 0, EBX, 2, "\x0f\x01\xcf"),
	A("SGX: ENCLU", 7, 0, EBX, 2, "\x0f\x01\xd7"),
	A("BMI1: ANDN", 7, 0, EBX, 3, "\xc4\xe2\x78\xf2\xc0"),
	A("BMI1: BEXTR", 7, 0, EBX, 3, "\xc4\xe2\x78\xf7\xc0"),
	A("BMI1: BLSR", 7, 0, EBX, 3, "\xc4\xe2\x78\xf3\xc8"),
	A("BMI1: BLSI", 7, 0, EBX, 3, "\xc4\xe2\x78\xf3\xd8"),
	A("HLE and RTM: XTEST", 7, 0, EBX, 11, "\x0f\x01\xd6"),
	A("RTM: XBEGIN", 7, 0, EBX, 11, "\xc7\xf8\x00\x00\x00\x00"),
	A("RTM: XEND", 7, 0, EBX, 11, "\x0f\x01\xd5"),
	A("RTM: XABORT", 7, 0, EBX, 11, "\xc6\xf8\x00"),
	A("AVX2: VPADDD ymm", 7, 0, EBX, 5, "\xc5\xfd\xfe\xc0"),
	A("AVX2: VPGATHERDD", 7, 0, EBX, 5, "\xc4\xe2\x79\x90\x04\x08"),
	A("BMI2: RORX", 7, 0, EBX, 8, "\xc4\xe3\x7b\xf0\xc0\x01"),
	A("BMI2: PDEP", 7, 0, EBX, 8, "\xc4\xe2\x7b\xf5\xc0"),
	A("BMI2: MULX", 7, 0, EBX, 8, "\xc4\xe2\x7b\xf6\xc0"),
	A("BMI2: SHLX", 7, 0, EBX, 8, "\xc4\xe2\x79\xf7\xc0"),
	A("INVPCID", 7, 0, EBX, 10, "\x66\x0f\x38\x82\x00"),
	A("AVX-512: VADDPS", 7, 0, EBX, 16, "\x62\xf1\x7c\x48\x58\xc0"),
	A("AVX-512: KANDW", 7, 0, EBX, 16, "\xc5\xf4\x41\xc0"),
	A("ADX: ADCX", 7, 0, EBX, 19, "\x66\x0f\x38\xf6\xc0"),
	A("ADX: ADOX", 7, 0, EBX, 19, "\xf3\x0f\x38\xf6\xc0"),
	A("CLFLUSHOPT", 7, 0, EBX, 23, "\x66\x0f\xae\x38"),
	A("CLWB", 7, 0, EBX, 24, "\x66\x0f\xae\x30"),
	A("PTWRITE", 0x14, 0, EBX, 4, "\xf3\x0f\xae\xe0"),
	A("SHA: SHA1NEXTE", 7, 0, EBX, 29, "\x0f\x38\xc8\xc0"),
	A("SHA: SHA256RNDS2", 7, 0, EBX, 29, "\x0f\x38\xcb\xc0"),
	A("SHA: SHA1RNDS4", 7, 0, EBX, 29, "\x0f\x3a\xcc\xc0\x00"),
	A("PKU: RDPKRU", 7, 0, ECX, 3, "\x0f\x01\xee"),
	A("PKU: WRPKRU", 7, 0, ECX, 3, "\x0f\x01\xef"),
	A("WAITPKG: UMONITOR", 7, 0, ECX, 5, "\xf3\x0f\xae\xf0"),
	A("WAITPKG: UMWAIT", 7, 0, ECX, 5, "\xf2\x0f\xae\xf0"),
	A("WAITPKG: TPAUSE", 7, 0, ECX, 5, "\x66\x0f\xae\xf0"),
	A("CET: INCSSP", 7, 0, ECX, 7, "\xf3\x48\x0f\xae\xe8"),
	A("CET: WRSS", 7, 0, ECX, 7, "\x0f\x38\xf6\x00"),
	A("CET: WRUSS", 7, 0, ECX, 7, "\x66\x0f\x38\xf5\x00"),
	A("CET: SAVEPREVSSP", 7, 0, ECX, 7, "\xf3\x0f\x01\xea"),
	A("CET: RSTORSSP", 7, 0, ECX, 7, "\xf3\x0f\x01\x28"),
	A("CET: SETSSBSY", 7, 0, ECX, 7, "\xf3\x0f\x01\xe8"),
	A("CET: CLRSSBSY", 7, 0, ECX, 7, "\xf3\x0f\xae\x30"),
	A("GFNI: GF2P8MULB", 7, 0, ECX, 8, "\x66\x0f\x38\xcf\xc0"),
	A("GFNI: GF2P8AFFINEQB", 7, 0, ECX, 8, "\x66\x0f\x3a\xce\xc0\x00"),
	A("VAES", 7, 0, ECX, 9, "\xc4\xe2\x7d\xdc\xc0"),
	A("VPCLMULQDQ", 7, 0, ECX, 10, "\xc4\xe3\x7d\x44\xc0\x00"),
	A("RDPID", 7, 0, ECX, 22, "\xf3\x0f\xc7\xf8"),
	A("KL: LOADIWKEY", 7, 0, ECX, 23, "\xf3\x0f\x38\xdc\xc0"),
	A("KL: AESENC128KL", 7, 0, ECX, 23, "\xf3\x0f\x38\xdc\x00"),
	A("MOVDIRI", 7, 0, ECX, 27, "\x0f\x38\xf9\x00"),
	A("MOVDIR64B", 7, 0, ECX, 28, "\x66\x0f\x38\xf8\x00"),
	A("ENQCMD", 7, 0, ECX, 29, "\xf2\x0f\x38\xf8\x00"),
	A("ENQCMDS", 7, 0, ECX, 29, "\xf3\x0f\x38\xf8\x00"),
	A("UINTR: CLUI", 7, 0, EDX, 5, "\xf3\x0f\x01\xee"),
	A("UINTR: UIRET", 7, 0, EDX, 5, "\xf3\x0f\x01\xec"),
	A("UINTR: SENDUIPI", 7, 0, EDX, 5, "\xf3\x0f\xc7\xf0"),
	A("SERIALIZE", 7, 0, EDX, 14, "\x0f\x01\xe8"),
	A("TSXLDTRK: XSUSLDTRK", 7, 0, EDX, 16, "\xf2\x0f\x01\xe8"),
	A("PCONFIG", 7, 0, EDX, 18, "\x0f\x01\xc5"),
	A("AMX: LDTILECFG", 7, 0, EDX, 24, "\xc4\xe2\x78\x49\x00"),
	A("AMX: TILERELEASE", 7, 0, EDX, 24, "\xc4\xe2\x78\x49\xc0"),
	A("AVX-VNNI: VPDPBUSD", 7, 1, EAX, 4, "\xc4\xe2\x79\x50\xc0"),
	A("RAO-INT: AADD", 7, 1, EAX, 3, "\x0f\x38\xfc\x00"),
	A("CMPCCXADD", 7, 1, EAX, 7, "\xc4\xe2\x79\xe0\x00"),
	A("FRED: ERETU", 7, 1, EAX, 17, "\xf3\x0f\x01\xca"),
	A("LKGS", 7, 1, EAX, 18, "\xf2\x0f\x00\xf0"),
	A("WRMSRNS", 7, 1, EAX, 19, "\x0f\x01\xc6"),
	A("HRESET", 7, 1, EAX, 22, "\xf3\x0f\x3a\xf0\xc0\x00"),
	A("XSAVEOPT", 0xd, 1, EAX, 0, "\x0f\xae\x30"),
	A("XSAVEC", 0xd, 1, EAX, 1, "\x0f\xc7\x20"),
	A("XSAVES", 0xd, 1, EAX, 3, "\x0f\xc7\x28"),
	A("XRSTORS", 0xd, 1, EAX, 3, "\x0f\xc7\x18"),
	A("SVM: VMRUN", AMD, 0, ECX, 2, "\x0f\x01\xd8"),
	A("SVM: VMMCALL", AMD, 0, ECX, 2, "\x0f\x01\xd9"),
	A("SVM: VMLOAD", AMD, 0, ECX, 2, "\x0f\x01\xda"),
	A("SVM: VMSAVE", AMD, 0, ECX, 2, "\x0f\x01\xdb"),
	A("SVM: STGI", AMD, 0, ECX, 2, "\x0f\x01\xdc"),
	A("SVM: CLGI", AMD, 0, ECX, 2, "\x0f\x01\xdd"),
	A("SVM: SKINIT", AMD, 0, ECX, 12, "\x0f\x01\xde"),
	A("SVM: INVLPGA", AMD, 0, ECX, 2, "\x0f\x01\xdf"),
	A("SSE4a: EXTRQ", AMD, 0, ECX, 6, "\x66\x0f\x79\xc0"),
	A("SSE4a: EXTRQ imm", AMD, 0, ECX, 6, "\x66\x0f\x78\xc0\x01\x01"),
	A("SSE4a: INSERTQ", AMD, 0, ECX, 6, "\xf2\x0f\x79\xc0"),
	A("SSE4a: MOVNTSS", AMD, 0, ECX, 6, "\xf3\x0f\x2b\x00"),
	A("SSE4a: MOVNTSD", AMD, 0, ECX, 6, "\xf2\x0f\x2b\x00"),
	A("XOP: VFRCZPS", AMD, 0, ECX, 11, "\x8f\xe9\x78\x80\xc0"),
	A("XOP: VPROTB", AMD, 0, ECX, 11, "\x8f\xe8\x78\xc0\xc0\x00"),
	A("LWP: LLWPCB", AMD, 0, ECX, 15, "\x8f\xe9\x78\x12\xc0"),
	A("FMA4: VFMADDPD", AMD, 0, ECX, 16, "\xc4\xe3\x79\x69\xc0\x00"),
	A("TBM: BLCFILL", AMD, 0, ECX, 21, "\x8f\xe9\x78\x01\xc8"),
	A("TBM: BEXTR", AMD, 0, ECX, 21, "\x8f\xea\x78\x10\xc0\x00\x00\x00\x00"),
	A("MONITORX", AMD, 0, ECX, 29, "\x0f\x01\xfa"),
	A("MWAITX", AMD, 0, ECX, 29, "\x0f\x01\xfb"),
	A("3DNow!: PFADD", AMD, 0, EDX, 31, "\x0f\x0f\xc0\x9e"),
	A("3DNow!: FEMMS", AMD, 0, EDX, 31, "\x0f\x0e"),
	A("3DNow! extensions: PSWAPD", AMD, 0, EDX, 30, "\x0f\x0f\xc0\xbb"),
	A("CLZERO", 0x80000008, 0, EBX, 0, "\x0f\x01\xfc"),
	A("RDPRU", 0x80000008, 0, EBX, 4, "\x0f\x01\xfd"),
	A("INVLPGB", 0x80000008, 0, EBX, 3, "\x0f\x01\xfe"),
	A("TLBSYNC", 0x80000008, 0, EBX, 3, "\x0f\x01\xff"),
	A("MCOMMIT", 0x80000008, 0, EBX, 8, "\xf3\x0f\x01\xfa"),
	A("UD0", 0, 0, EAX, 0, "\x0f\xff\xc0"),
	A("UD1", 0, 0, EAX, 0, "\x0f\xb9\xc0"),
	A("UD2", 0, 0, EAX, 0, "\x0f\x0b"),
	A("RSM outside SMM", 0, 0, EAX, 0, "\x0f\xaa"),
};

/* All is enabled that an instruction could ask for, so that nothing but its absence raises #UD. */
static void enable_all(struct cpu *cpu)
{
	cpu->cr0 = (cpu->cr0 | CR0_NE | CR0_MP) & ~(uint64_t)(CR0_EM | CR0_TS);
	cpu->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
	cpu->xcr0 = 3;
	for (unsigned i = 0; i < 16; i++)
		if (i != RSP)
			cpu->gpr[i] = GUEST_DATA;
	cpu_update_mode(cpu);
}

static void test_absent(enum guest_mode mode, const char *where)
{
	struct guest guest;

	guest_create(&guest, mode);
	enable_all(guest.cpu);
	for (unsigned i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		const struct absent *a = &absent[i];
		struct outcome outcome;
		uint32_t out[4];
		cpuid_query(guest.cpu, a->leaf, a->subleaf, out);
		outcome = guest_run(&guest, a->bytes, a->n);
		tap_ok(outcome.vector == VECTOR_UD && (!a->leaf || !(out[a->reg] >> a->bit & 1)),
		       "%s, %s: not offered, #UD", a->name, where);
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
	test_absent(GUEST_LONG0, "64-bit, CPL 0");
	test_absent(GUEST_LONG3, "64-bit, CPL 3");
	test_bit_scans();
	test_nothing();
	test_prefixes();
	test_wbnoinvd();
	return tap_done();
}
