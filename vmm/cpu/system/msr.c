/*
 * Model-specific registers: one table. An access to what it does not list raises #GP(0) and is
 * counted, so that a recording can say what the guest missed.
 */
#include <stddef.h>

#include "vmm/cpu/system/control.h"
#include "vmm/cpu/system/msr.h"
#include "vmm/cpu/system/system.h"
#include "vmm/machine.h"

#define MSR_X2APIC 0x800u

/* ---- values ---- */

/* UC, WC, WT, WP, WB */
#define MTRR_TYPES 0x73u
/* and UC- */
#define PAT_TYPES 0xf3u

static bool is_type(uint64_t type, unsigned allowed)
{
	return type < 8 && (allowed >> type) & 1;
}

static bool all_types(uint64_t value, unsigned allowed)
{
	for (unsigned i = 0; i < 8; i++) {
		if (!is_type((value >> (8 * i)) & 0xff, allowed))
			return false;
	}
	return true;
}

bool msr_pat_is_valid(uint64_t value)
{
	return all_types(value, PAT_TYPES);
}

bool msr_mtrr_fixed_is_valid(uint64_t value)
{
	return all_types(value, MTRR_TYPES);
}

bool msr_mtrr_base_is_valid(uint64_t value)
{
	return !(value & ~CR3_BITS) && !(value & 0xf00) && is_type(value & 0xff, MTRR_TYPES);
}

bool msr_mtrr_mask_is_valid(uint64_t value)
{
	return !(value & ~CR3_BITS) && !(value & 0x7ff);
}

bool msr_mtrr_def_type_is_valid(uint64_t value)
{
	return !(value & ~UINT64_C(0xcff)) && is_type(value & 0xff, MTRR_TYPES);
}

bool msr_apic_base_is_valid(uint64_t value)
{
	uint64_t flags = value ^ APIC_BASE_GPA;

	return !(flags & ~(APIC_BASE_BSP | APIC_BASE_EXTD | APIC_BASE_EN)) &&
	       (!(value & APIC_BASE_EXTD) || (value & APIC_BASE_EN));
}

static bool is_low32(uint64_t value)
{
	return value <= UINT32_MAX;
}

static bool is_zero(uint64_t value)
{
	return value == 0;
}

static bool is_any(uint64_t value)
{
	return true;
}

/* ---- registers with an effect ---- */

static bool write_efer(struct cpu *cpu, uint64_t value)
{
	uint64_t kept = cpu->efer & EFER_LMA;

	if (value & ~EFER_BITS)
		return raise_gp(cpu, 0);
	if (((value ^ cpu->efer) & EFER_LME) && (cpu->cr0 & CR0_PG))
		return raise_gp(cpu, 0);
	cpu->efer = (value & ~(uint64_t)EFER_LMA) | kept;
	cpu_update_mode(cpu);
	return true;
}

static bool read_tsc(struct cpu *cpu, uint64_t *ret_value)
{
	*ret_value = cpu_tsc(cpu);
	return true;
}

/* Writing the counter moves IA32_TSC_ADJUST by the same amount (SDM 3B 17.17.3). */
static bool write_tsc(struct cpu *cpu, uint64_t value)
{
	cpu->tsc_offset += value - cpu_tsc(cpu);
	return true;
}

/* Allowed changes of mode: off to xAPIC to x2APIC, and from either to off (SDM 3A 10.12.5). */
static bool apic_mode_change_allowed(uint64_t from, uint64_t to)
{
	if (!(to & APIC_BASE_EXTD))
		return !(from & APIC_BASE_EXTD) || !(to & APIC_BASE_EN);
	return from & APIC_BASE_EN;
}

/* The machine keeps the register; the local APIC outside is told. */
static bool write_apic_base(struct cpu *cpu, uint64_t value)
{
	value = (value & ~APIC_BASE_BSP) | (cpu->apic_base & APIC_BASE_BSP);
	if (!msr_apic_base_is_valid(value) || !apic_mode_change_allowed(cpu->apic_base, value))
		return raise_gp(cpu, 0);
	if (!cross_msr_write(cpu, 0x1b, value))
		return false;
	cpu->apic_base = value;
	return true;
}

static bool write_misc_enable(struct cpu *cpu, uint64_t value)
{
	cpu->misc_enable = MISC_ENABLE_FIXED | (value & MISC_ENABLE_FAST_STRINGS);
	return true;
}

/* ---- the table ---- */

enum msr_kind {
	MSR_PLAIN = 1, /* at offset in struct cpu; valid says what may be written */
	MSR_FIXED,     /* reads value; writes are dropped where valid allows them */
	MSR_DEVICE,    /* crosses the boundary */
	MSR_EFFECT,    /* as PLAIN, with functions in place of the copy */
	MSR_DENIED,    /* #GP(0), as CPUID says, and not worth a report */
};

struct msr_row {
	uint32_t first, last;
	uint8_t kind;
	uint16_t offset;
	uint8_t stride; /* bytes between consecutive registers' fields */
	uint64_t value;
	bool (*valid)(uint64_t value); /* NULL: read-only */
	bool (*read)(struct cpu *cpu, uint64_t *ret_value);
	bool (*write)(struct cpu *cpu, uint64_t value);
};

#define FIELD(member) .offset = offsetof(struct cpu, member), .stride = sizeof(uint64_t)
#define ONE(msr)      .first = (msr), .last = (msr)

/* Not affected: Meltdown, L1TF at VM entry, SSB, MDS, page size change, TAA, MMIO stale data
 * (three), PBRSB, GDS, RFDS. True of an in-order core, and of this machine. */
#define ARCH_CAPABILITIES                                                                          \
	(UINT64_C(0x1) | 0x8 | 0x10 | 0x20 | 0x40 | 0x100 | 0xe000 | UINT64_C(1) << 24 |           \
	 UINT64_C(1) << 26 | UINT64_C(1) << 27)

#define MTRR_CAP (MTRR_VARIABLE_COUNT | 0x100 | 0x400) /* fixed ranges, write-combining */

static const struct msr_row msr_rows[] = {
	{ONE(0x10), MSR_EFFECT, .read = read_tsc, .write = write_tsc},
	{ONE(0x17), MSR_FIXED, .value = 0}, /* IA32_PLATFORM_ID */
	{ONE(0x1b), MSR_EFFECT, FIELD(apic_base), .write = write_apic_base},
	{ONE(0x33), MSR_DENIED},            /* MSR_TEST_CTRL */
	{ONE(0x3a), MSR_FIXED, .value = 1}, /* IA32_FEATURE_CONTROL: locked, nothing on */
	{ONE(0x3b), MSR_PLAIN, FIELD(tsc_offset), .valid = is_any}, /* IA32_TSC_ADJUST */
	{.first = 0x48, .last = 0x49, .kind = MSR_DENIED}, /* IA32_SPEC_CTRL, IA32_PRED_CMD */
	{ONE(0x8b), MSR_EFFECT, FIELD(ucode_rev)}, /* IA32_BIOS_SIGN_ID; writes are dropped */
	{ONE(0xce), MSR_DENIED},                   /* MSR_PLATFORM_INFO */
	{ONE(0xfe), MSR_FIXED, .value = MTRR_CAP},
	{ONE(0x10a), MSR_FIXED, .value = ARCH_CAPABILITIES},
	{.first = 0x122, .last = 0x123, .kind = MSR_DENIED}, /* IA32_TSX_CTRL, IA32_MCU_OPT_CTRL */
	{ONE(0x140), MSR_DENIED},                            /* MSR_MISC_FEATURES_ENABLES */
	{ONE(0x174), MSR_PLAIN, FIELD(sysenter_cs), .valid = is_low32},
	{ONE(0x175), MSR_PLAIN, FIELD(sysenter_esp), .valid = address_is_canonical},
	{ONE(0x176), MSR_PLAIN, FIELD(sysenter_eip), .valid = address_is_canonical},
	{ONE(0x179), MSR_FIXED, .value = 0},                   /* IA32_MCG_CAP: no banks */
	{ONE(0x17a), MSR_FIXED, .value = 0, .valid = is_zero}, /* IA32_MCG_STATUS */
	{ONE(0x1a0), MSR_EFFECT, FIELD(misc_enable), .write = write_misc_enable},
	{ONE(0x1d9), MSR_FIXED, .value = 0, .valid = is_zero}, /* IA32_DEBUGCTL: no LBR, no BTF */
	{ONE(0x250), MSR_PLAIN, FIELD(mtrr_fixed[0]), .valid = msr_mtrr_fixed_is_valid},
	{.first = 0x258,
	 .last = 0x259,
	 .kind = MSR_PLAIN,
	 FIELD(mtrr_fixed[1]),
	 .valid = msr_mtrr_fixed_is_valid},
	{.first = 0x268,
	 .last = 0x26f,
	 .kind = MSR_PLAIN,
	 FIELD(mtrr_fixed[3]),
	 .valid = msr_mtrr_fixed_is_valid},
	{ONE(0x277), MSR_PLAIN, FIELD(pat), .valid = msr_pat_is_valid},
	{ONE(0x2ff), MSR_PLAIN, FIELD(mtrr_def_type), .valid = msr_mtrr_def_type_is_valid},
	{ONE(0x6e0), MSR_DEVICE}, /* IA32_TSC_DEADLINE */
	{ONE(0xc0000080), MSR_EFFECT, FIELD(efer), .write = write_efer},
	{ONE(0xc0000081), MSR_PLAIN, FIELD(star), .valid = is_any},
	{ONE(0xc0000082), MSR_PLAIN, FIELD(lstar), .valid = address_is_canonical},
	{ONE(0xc0000083), MSR_PLAIN, FIELD(cstar), .valid = address_is_canonical},
	{ONE(0xc0000084), MSR_PLAIN, FIELD(sfmask), .valid = is_low32},
	{ONE(0xc0000100), MSR_PLAIN, FIELD(seg[SEG_FS].base), .valid = address_is_canonical},
	{ONE(0xc0000101), MSR_PLAIN, FIELD(seg[SEG_GS].base), .valid = address_is_canonical},
	{ONE(0xc0000102), MSR_PLAIN, FIELD(kernel_gs_base), .valid = address_is_canonical},
	{ONE(0xc0000103), MSR_PLAIN, FIELD(tsc_aux), .valid = is_low32},
	{ONE(0xc0011029), MSR_DENIED}, /* AMD's DE_CFG, which Linux tries on every processor */
};

/* Variable MTRRs alternate between two arrays, which rows with a stride do not express. */
#define MSR_MTRR_BASE0 0x200u

static uint64_t *mtrr_variable(struct cpu *cpu, uint32_t msr)
{
	uint32_t n = msr - MSR_MTRR_BASE0;

	if (n >= 2 * MTRR_VARIABLE_COUNT)
		return NULL;
	return n % 2 ? &cpu->mtrr_mask[n / 2] : &cpu->mtrr_base[n / 2];
}

static const struct msr_row *find_row(uint32_t msr)
{
	for (unsigned i = 0; i < sizeof(msr_rows) / sizeof(msr_rows[0]); i++) {
		if (msr >= msr_rows[i].first && msr <= msr_rows[i].last)
			return &msr_rows[i];
	}
	return NULL;
}

static uint64_t *row_field(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
	return (uint64_t *)((char *)cpu + row->offset + (msr - row->first) * row->stride);
}

/* ---- x2APIC ---- */

/* Bit n: register 0x800 + n can be read, written (SDM 3A table 10-6). */
#define X2APIC_READABLE UINT64_C(0x43fd81ffffffa50c)
#define X2APIC_WRITABLE UINT64_C(0xc1fd810000008900)

/* What may be written to a register: all else is reserved and raises #GP (SDM 3A 10.12.1.3). */
static uint64_t x2apic_writable_bits(uint32_t msr)
{
	switch (msr) {
	case 0x808: /* task priority */
	case 0x83f: /* self IPI */
		return 0xff;
	case 0x80b: /* end of interrupt */
	case 0x828: /* error status */
		return 0;
	case 0x80f: /* spurious vector */
		return 0x1ff;
	case 0x830: /* command */
		return UINT64_MAX;
	case 0x832: /* timer */
		return 0x710ff;
	case 0x835: /* LINT0, LINT1: with what is read-only */
	case 0x836:
		return 0x1f7ff;
	case 0x837: /* error */
		return 0x110ff;
	case 0x83e: /* divide */
		return 0xf;
	default:
		return UINT32_MAX;
	}
}

static bool is_x2apic(uint32_t msr)
{
	return msr - MSR_X2APIC < 0x100;
}

static bool x2apic_allows(const struct cpu *cpu, uint32_t msr, uint64_t allowed)
{
	uint32_t n = msr - MSR_X2APIC;

	return (cpu->apic_base & APIC_BASE_EXTD) && n < 64 && (allowed >> n) & 1;
}

/* ---- access ---- */

static bool raise_unknown(struct cpu *cpu)
{
	cpu->machine->unknown_msrs++;
	return raise_gp(cpu, 0);
}

static bool read_row(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *ret_value)
{
	switch (row->kind) {
	case MSR_DEVICE:
		return cross_msr_read(cpu, msr, ret_value);
	case MSR_FIXED:
		*ret_value = row->value;
		return true;
	case MSR_DENIED:
		return raise_gp(cpu, 0);
	default:
		if (row->read)
			return row->read(cpu, ret_value);
		*ret_value = *row_field(cpu, row, msr);
		return true;
	}
}

static bool write_row(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	switch (row->kind) {
	case MSR_DEVICE:
		return cross_msr_write(cpu, msr, value);
	case MSR_EFFECT:
		return !row->write || row->write(cpu, value);
	case MSR_FIXED:
		return (row->valid && row->valid(value)) || raise_gp(cpu, 0);
	case MSR_PLAIN:
		if (!row->valid(value))
			return raise_gp(cpu, 0);
		*row_field(cpu, row, msr) = value;
		return true;
	default:
		return raise_gp(cpu, 0);
	}
}

bool msr_read(struct cpu *cpu, uint32_t msr, uint64_t *ret_value)
{
	const struct msr_row *row = find_row(msr);
	const uint64_t *variable = mtrr_variable(cpu, msr);

	if (row)
		return read_row(cpu, row, msr, ret_value);
	if (variable) {
		*ret_value = *variable;
		return true;
	}
	if (!is_x2apic(msr))
		return raise_unknown(cpu);
	if (!x2apic_allows(cpu, msr, X2APIC_READABLE))
		return raise_gp(cpu, 0);
	return cross_msr_read(cpu, msr, ret_value);
}

static bool write_mtrr_variable(struct cpu *cpu, uint32_t msr, uint64_t *variable, uint64_t value)
{
	if (!(msr % 2 ? msr_mtrr_mask_is_valid(value) : msr_mtrr_base_is_valid(value)))
		return raise_gp(cpu, 0);
	*variable = value;
	return true;
}

bool msr_write(struct cpu *cpu, uint32_t msr, uint64_t value)
{
	const struct msr_row *row = find_row(msr);
	uint64_t *variable = mtrr_variable(cpu, msr);

	if (row)
		return write_row(cpu, row, msr, value);
	if (variable)
		return write_mtrr_variable(cpu, msr, variable, value);
	if (!is_x2apic(msr))
		return raise_unknown(cpu);
	if (!x2apic_allows(cpu, msr, X2APIC_WRITABLE) || (value & ~x2apic_writable_bits(msr)))
		return raise_gp(cpu, 0);
	return cross_msr_write(cpu, msr, value);
}

bool exec_rdmsr(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value;

	if (!msr_read(cpu, (uint32_t)cpu->gpr[RCX], &value))
		return false;
	cpu->gpr[RAX] = (uint32_t)value;
	cpu->gpr[RDX] = value >> 32;
	return true;
}

bool exec_wrmsr(struct cpu *cpu, const struct insn *insn)
{
	return msr_write(cpu, (uint32_t)cpu->gpr[RCX],
			 cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX]);
}
