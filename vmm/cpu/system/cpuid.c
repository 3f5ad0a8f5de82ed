/*
 * The CPU model "x86-64-v2" as CPUID tells it (SDM 2, CPUID). It is a contract: what stands here
 * works, what does not raises #UD. Vendor, family and model are those of an in-order Intel Atom,
 * which Linux knows to need neither page-table isolation nor retpolines nor VERW.
 */
#include "vmm/cpu/system/msr.h"
#include "vmm/cpu/system/system.h"
#include "vmm/machine.h"

const char cpu_model_name[] = "x86-64-v2";

#define SIGNATURE 0x000106cau /* family 6, model 0x1c, stepping 10 */

#define ANY_SUBLEAF  UINT32_MAX
#define MAX_BASIC    0x16u
#define MAX_EXTENDED 0x80000008u

/* Leaf 1 EDX: FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR
 * SSE SSE2. VME is not there. */
#define LEAF1_EDX                                                                                  \
	(1u << 0 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 9 | \
	 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 15 | 1u << 16 | 1u << 17 | 1u << 19 |   \
	 1u << 23 | 1u << 24 | 1u << 25 | 1u << 26)
#define LEAF1_EDX_APIC (1u << 9)
#define LEAF1_EDX_HTT  (1u << 28)

/* Leaf 1 ECX: SSE3 SSSE3 CX16 SSE4.1 SSE4.2 x2APIC POPCNT TSC-deadline XSAVE RDRAND. */
#define LEAF1_ECX                                                                                  \
	(1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 21 | 1u << 23 | 1u << 24 |     \
	 1u << 26 | 1u << 30)
#define LEAF1_ECX_OSXSAVE (1u << 27)

/* Leaf 7 EBX: FSGSBASE TSC_ADJUST SMEP ERMS RDSEED SMAP. ECX: UMIP. EDX: ARCH_CAPABILITIES. */
#define LEAF7_EBX (1u << 0 | 1u << 1 | 1u << 7 | 1u << 9 | 1u << 18 | 1u << 20)
#define LEAF7_ECX (1u << 2)
#define LEAF7_EDX (1u << 29)

/* Leaf 0x80000001 ECX: LAHF. EDX: SYSCALL NX 1 GiB pages RDTSCP LM. */
#define EXTENDED1_ECX (1u << 0)
#define EXTENDED1_EDX (1u << 11 | 1u << 20 | 1u << 26 | 1u << 27 | 1u << 29)

/* Leaf 4: type, level; self-initialising. Ways, partitions, line size; each minus 1. */
#define CACHE_EAX(type, level) ((type) | (level) << 5 | 1u << 8)
#define CACHE_EBX(ways, line)  (((ways)-1) << 22 | ((line)-1))

#define XSAVE_AREA_BYTES 576u /* legacy region and header */

#define TEXT4(a, b, c, d)                                                                          \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

struct cpuid_row {
	uint32_t leaf, subleaf;
	uint32_t out[4]; /* EAX EBX ECX EDX; derived bits clear */
};

/* Leaves that are not listed read 0. */
static const struct cpuid_row cpuid_rows[] = {
	{0,
	 ANY_SUBLEAF,
	 {MAX_BASIC, TEXT4('G', 'e', 'n', 'u'), TEXT4('n', 't', 'e', 'l'),
	  TEXT4('i', 'n', 'e', 'I')}},
	{1, ANY_SUBLEAF, {SIGNATURE, 8u << 8, LEAF1_ECX, LEAF1_EDX}}, /* CLFLUSH line: 8 * 8 */
	{2, ANY_SUBLEAF, {0x00ffff01, 0, 0, 0}}, /* caches: see leaf 4; no TLB to speak of */
	{4, 0, {CACHE_EAX(1u, 1u), CACHE_EBX(8u, 64u), 63, 0}},   /* L1 data, 32 KiB */
	{4, 1, {CACHE_EAX(2u, 1u), CACHE_EBX(8u, 64u), 63, 0}},   /* L1 instruction, 32 KiB */
	{4, 2, {CACHE_EAX(3u, 2u), CACHE_EBX(8u, 64u), 1023, 0}}, /* L2, 512 KiB */
	{6, ANY_SUBLEAF, {1u << 2, 0, 0, 0}},                     /* ARAT */
	{7, 0, {0, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX}},
	{0xb, 0, {0, 1, 1u << 8, 0}}, /* one thread a core */
	{0xb, 1, {0, 0, 2u << 8, 0}}, /* cores of the package: EAX and EBX derived */
	{0xd, 0, {3, XSAVE_AREA_BYTES, XSAVE_AREA_BYTES, 0}},
	{0x15, ANY_SUBLEAF, {1, 40, 25000000, 0}}, /* crystal 25 MHz, TSC 40 times that */
	{0x16, ANY_SUBLEAF, {1000, 1000, 25, 0}},
	{0x80000000, ANY_SUBLEAF, {MAX_EXTENDED, 0, 0, 0}},
	{0x80000001, ANY_SUBLEAF, {0, 0, EXTENDED1_ECX, EXTENDED1_EDX}},
	{0x80000002,
	 ANY_SUBLEAF,
	 {TEXT4('R', 'e', 'p', 'r'), TEXT4('i', 's', 'e', ' '), TEXT4('x', '8', '6', '-'),
	  TEXT4('6', '4', '-', 'v')}},
	{0x80000003, ANY_SUBLEAF, {TEXT4('2', 0, 0, 0), 0, 0, 0}},
	{0x80000006, ANY_SUBLEAF, {0, 0, 512u << 16 | 6u << 12 | 64, 0}}, /* L2: 8 ways */
	{0x80000007, ANY_SUBLEAF, {0, 0, 0, 1u << 8}},                    /* invariant TSC */
	{0x80000008, ANY_SUBLEAF, {48u << 8 | GPA_BITS, 0, 0, 0}},
};

uint32_t cpuid_signature(void)
{
	return SIGNATURE;
}

/* Out of range, Intel gives the highest basic leaf. */
static uint32_t leaf_in_range(uint32_t leaf)
{
	bool extended = leaf >= 0x80000000;

	return leaf <= (extended ? MAX_EXTENDED : MAX_BASIC) ? leaf : MAX_BASIC;
}

static const struct cpuid_row *find_row(uint32_t leaf, uint32_t subleaf)
{
	for (unsigned i = 0; i < sizeof(cpuid_rows) / sizeof(cpuid_rows[0]); i++) {
		const struct cpuid_row *row = &cpuid_rows[i];
		if (row->leaf == leaf && (row->subleaf == ANY_SUBLEAF || row->subleaf == subleaf))
			return row;
	}
	return NULL;
}

/* Bits of an APIC id that tell the vCPUs apart. */
static unsigned id_bits(uint32_t n_vcpus)
{
	unsigned bits = 0;

	while (1u << bits < n_vcpus)
		bits++;
	return bits;
}

static void derive_leaf1(const struct cpu *cpu, uint32_t *out)
{
	uint32_t n_vcpus = cpu->machine->config.n_vcpus;

	out[CPUID_EBX] |= cpu->index << 24;
	if (n_vcpus > 1) {
		out[CPUID_EBX] |= n_vcpus << 16;
		out[CPUID_EDX] |= LEAF1_EDX_HTT;
	}
	if (!(cpu->apic_base & APIC_BASE_EN))
		out[CPUID_EDX] &= ~LEAF1_EDX_APIC;
	if (cpu->cr4 & CR4_OSXSAVE)
		out[CPUID_ECX] |= LEAF1_ECX_OSXSAVE;
}

/* What depends on the machine's state or size. */
static void derive(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t *out)
{
	uint32_t n_vcpus = cpu->machine->config.n_vcpus;

	switch (leaf) {
	case 1:
		derive_leaf1(cpu, out);
		break;
	case 4:
		if (out[CPUID_EAX]) /* cores of the package, minus 1 */
			out[CPUID_EAX] |= ((1u << id_bits(n_vcpus)) - 1) << 26;
		break;
	case 0xb:
		out[CPUID_EDX] = cpu->index;
		out[CPUID_ECX] |= subleaf & 0xff;
		if (subleaf == 1) {
			out[CPUID_EAX] = id_bits(n_vcpus);
			out[CPUID_EBX] = n_vcpus;
		}
		break;
	case 0x80000001: /* SYSCALL shows in 64-bit mode only */
		if (!cpu_code64(cpu))
			out[CPUID_EDX] &= ~(1u << 11);
		break;
	default:
		break;
	}
}

void cpuid_query(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t ret_out[4])
{
	uint32_t found = leaf_in_range(leaf);
	const struct cpuid_row *row = find_row(found, subleaf);

	for (unsigned i = 0; i < 4; i++)
		ret_out[i] = row ? row->out[i] : 0;
	derive(cpu, found, subleaf, ret_out);
}

bool exec_cpuid(struct cpu *cpu, const struct insn *insn)
{
	uint32_t out[4];

	cpuid_query(cpu, (uint32_t)cpu->gpr[RAX], (uint32_t)cpu->gpr[RCX], out);
	cpu->gpr[RAX] = out[CPUID_EAX];
	cpu->gpr[RBX] = out[CPUID_EBX];
	cpu->gpr[RCX] = out[CPUID_ECX];
	cpu->gpr[RDX] = out[CPUID_EDX];
	return true;
}
