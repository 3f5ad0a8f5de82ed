/*
 * The list of a vCPU's guest state. Each field stands here once: saving, restoring, hashing and
 * comparing follow it. Flags are stored as RFLAGS, so that their lazy form, of which several mean
 * the same, does not show.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/cpu/system/control.h"
#include "vmm/cpu/system/msr.h"
#include "vmm/cpu/system/rflags.h"
#include "vmm/cpu/system/system.h"

struct state_field {
	const char *name;
	uint16_t offset;
	uint16_t bytes; /* up to 8: a number, little-endian; more: bytes as they are */
};

#define F(name, member) X(name, member, sizeof(((struct cpu *)0)->member))
#define SEGMENT_FIELDS(name, n)                                                                    \
	F(name ".base", seg[n].base)                                                               \
	F(name ".limit", seg[n].limit)                                                             \
	F(name ".attr", seg[n].attr)                                                               \
	F(name, seg[n].selector)

/* An x87 register has 10 bytes; the 6 after it are padding. */
/* clang-format off */
#define STATE_FIELDS \
	F("rax", gpr[RAX]) \
	F("rcx", gpr[RCX]) \
	F("rdx", gpr[RDX]) \
	F("rbx", gpr[RBX]) \
	F("rsp", gpr[RSP]) \
	F("rbp", gpr[RBP]) \
	F("rsi", gpr[RSI]) \
	F("rdi", gpr[RDI]) \
	F("r8", gpr[R8]) \
	F("r9", gpr[R9]) \
	F("r10", gpr[R10]) \
	F("r11", gpr[R11]) \
	F("r12", gpr[R12]) \
	F("r13", gpr[R13]) \
	F("r14", gpr[R14]) \
	F("r15", gpr[R15]) \
	F("rip", rip) \
	SEGMENT_FIELDS("es", SEG_ES) \
	SEGMENT_FIELDS("cs", SEG_CS) \
	SEGMENT_FIELDS("ss", SEG_SS) \
	SEGMENT_FIELDS("ds", SEG_DS) \
	SEGMENT_FIELDS("fs", SEG_FS) \
	SEGMENT_FIELDS("gs", SEG_GS) \
	SEGMENT_FIELDS("ldtr", SEG_LDTR) \
	SEGMENT_FIELDS("tr", SEG_TR) \
	F("gdtr.base", gdtr.base) \
	F("gdtr.limit", gdtr.limit) \
	F("idtr.base", idtr.base) \
	F("idtr.limit", idtr.limit) \
	F("cpl", cpl) \
	F("cr0", cr0) \
	F("cr2", cr2) \
	F("cr3", cr3) \
	F("cr4", cr4) \
	F("xcr0", xcr0) \
	F("dr0", dr[0]) \
	F("dr1", dr[1]) \
	F("dr2", dr[2]) \
	F("dr3", dr[3]) \
	F("dr6", dr6) \
	F("dr7", dr7) \
	F("pdpte0", pdpte[0]) \
	F("pdpte1", pdpte[1]) \
	F("pdpte2", pdpte[2]) \
	F("pdpte3", pdpte[3]) \
	F("efer", efer) \
	F("star", star) \
	F("lstar", lstar) \
	F("cstar", cstar) \
	F("sfmask", sfmask) \
	F("kernel_gs_base", kernel_gs_base) \
	F("sysenter_cs", sysenter_cs) \
	F("sysenter_esp", sysenter_esp) \
	F("sysenter_eip", sysenter_eip) \
	F("tsc_offset", tsc_offset) \
	F("tsc_aux", tsc_aux) \
	F("apic_base", apic_base) \
	F("pat", pat) \
	F("misc_enable", misc_enable) \
	F("spec_ctrl", spec_ctrl) \
	F("ucode_rev", ucode_rev) \
	F("mtrr_def_type", mtrr_def_type) \
	F("mtrr_fix64k", mtrr_fixed[0]) \
	F("mtrr_fix16k_0", mtrr_fixed[1]) \
	F("mtrr_fix16k_1", mtrr_fixed[2]) \
	F("mtrr_fix4k_0", mtrr_fixed[3]) \
	F("mtrr_fix4k_1", mtrr_fixed[4]) \
	F("mtrr_fix4k_2", mtrr_fixed[5]) \
	F("mtrr_fix4k_3", mtrr_fixed[6]) \
	F("mtrr_fix4k_4", mtrr_fixed[7]) \
	F("mtrr_fix4k_5", mtrr_fixed[8]) \
	F("mtrr_fix4k_6", mtrr_fixed[9]) \
	F("mtrr_fix4k_7", mtrr_fixed[10]) \
	F("mtrr_base0", mtrr_base[0]) \
	F("mtrr_mask0", mtrr_mask[0]) \
	F("mtrr_base1", mtrr_base[1]) \
	F("mtrr_mask1", mtrr_mask[1]) \
	F("mtrr_base2", mtrr_base[2]) \
	F("mtrr_mask2", mtrr_mask[2]) \
	F("mtrr_base3", mtrr_base[3]) \
	F("mtrr_mask3", mtrr_mask[3]) \
	F("mtrr_base4", mtrr_base[4]) \
	F("mtrr_mask4", mtrr_mask[4]) \
	F("mtrr_base5", mtrr_base[5]) \
	F("mtrr_mask5", mtrr_mask[5]) \
	F("mtrr_base6", mtrr_base[6]) \
	F("mtrr_mask6", mtrr_mask[6]) \
	F("mtrr_base7", mtrr_base[7]) \
	F("mtrr_mask7", mtrr_mask[7]) \
	F("fcw", fx.fcw) \
	F("fsw", fx.fsw) \
	F("ftw", fx.ftw) \
	F("mxcsr", fx.mxcsr) \
	X("st0", fx.st[0], 10) \
	X("st1", fx.st[1], 10) \
	X("st2", fx.st[2], 10) \
	X("st3", fx.st[3], 10) \
	X("st4", fx.st[4], 10) \
	X("st5", fx.st[5], 10) \
	X("st6", fx.st[6], 10) \
	X("st7", fx.st[7], 10) \
	F("xmm0", fx.xmm[0]) \
	F("xmm1", fx.xmm[1]) \
	F("xmm2", fx.xmm[2]) \
	F("xmm3", fx.xmm[3]) \
	F("xmm4", fx.xmm[4]) \
	F("xmm5", fx.xmm[5]) \
	F("xmm6", fx.xmm[6]) \
	F("xmm7", fx.xmm[7]) \
	F("xmm8", fx.xmm[8]) \
	F("xmm9", fx.xmm[9]) \
	F("xmm10", fx.xmm[10]) \
	F("xmm11", fx.xmm[11]) \
	F("xmm12", fx.xmm[12]) \
	F("xmm13", fx.xmm[13]) \
	F("xmm14", fx.xmm[14]) \
	F("xmm15", fx.xmm[15]) \
	F("activity", activity) \
	F("shadow", shadow) \
	F("nmi_blocked", nmi_blocked) \
	F("pending_db", pending_db) \
	F("index", index)
/* clang-format on */

#define X(name, member, bytes) {name, offsetof(struct cpu, member), bytes},
static const struct state_field fields[] = {STATE_FIELDS};
#undef X

#define X(name, member, bytes) +(bytes)
enum { FIELDS_BYTES = 0 STATE_FIELDS };
#undef X

#define N_FIELDS     (sizeof(fields) / sizeof(fields[0]))
#define RFLAGS_BYTES 8 /* first */

const uint32_t cpu_state_bytes = RFLAGS_BYTES + FIELDS_BYTES;

/* ---- numbers ---- */

static void put_number(uint8_t *to, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_number(const uint8_t *from, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)from[i] << (8 * i);
	return value;
}

static uint64_t load_field(const void *field, unsigned bytes)
{
	switch (bytes) {
	case 1:
		return *(const uint8_t *)field;
	case 2:
		return *(const uint16_t *)field;
	case 4:
		return *(const uint32_t *)field;
	default:
		return *(const uint64_t *)field;
	}
}

static void store_field(void *field, uint64_t value, unsigned bytes)
{
	switch (bytes) {
	case 1:
		*(uint8_t *)field = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)field = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)field = (uint32_t)value;
		break;
	default:
		*(uint64_t *)field = value;
		break;
	}
}

/* ---- encoding ---- */

void cpu_state_encode(const struct cpu *cpu, uint8_t *buffer)
{
	put_number(buffer, cpu_rflags(cpu), RFLAGS_BYTES);
	buffer += RFLAGS_BYTES;
	for (unsigned i = 0; i < N_FIELDS; i++) {
		const uint8_t *field = (const uint8_t *)cpu + fields[i].offset;
		if (fields[i].bytes > 8)
			memcpy(buffer, field, fields[i].bytes);
		else
			put_number(buffer, load_field(field, fields[i].bytes), fields[i].bytes);
		buffer += fields[i].bytes;
	}
}

/* ---- checking ---- */

static bool control_is_valid(const struct cpu *cpu)
{
	bool lma = cpu->efer & EFER_LMA;
	bool should = (cpu->efer & EFER_LME) && (cpu->cr0 & CR0_PG);

	return !(cpu->cr0 & ~CR0_BITS) && cr0_is_consistent(cpu->cr0) && !(cpu->cr4 & ~CR4_BITS) &&
	       !(cpu->efer & ~EFER_BITS) && lma == should && (!lma || (cpu->cr4 & CR4_PAE)) &&
	       (!lma || !(cpu->cr3 & ~CR3_BITS)) && (cpu->xcr0 == 1 || cpu->xcr0 == 3);
}

static bool debug_is_valid(const struct cpu *cpu)
{
	return (cpu->dr6 & ~DR6_BITS) == DR6_FIXED && (cpu->dr7 & ~DR7_BITS) == DR7_FIXED &&
	       !(cpu->pending_db & ~DR6_BITS);
}

static bool segments_are_valid(const struct cpu *cpu)
{
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		if ((cpu->seg[i].attr & ~(0xf0ffu | SEG_ATTR_NULL)) ||
		    !address_is_canonical(cpu->seg[i].base))
			return false;
	}
	return address_is_canonical(cpu->gdtr.base) && address_is_canonical(cpu->idtr.base);
}

static bool privilege_is_valid(const struct cpu *cpu, uint64_t rflags)
{
	if (cpu->cpl > 3 || (rflags & ~(RFLAGS_WRITABLE | FLAG_FIXED)) || !(rflags & FLAG_FIXED))
		return false;
	if (!(cpu->cr0 & CR0_PE))
		return cpu->cpl == 0 && !(rflags & FLAG_VM);
	return !(rflags & FLAG_VM) || (cpu->cpl == 3 && !(cpu->efer & EFER_LMA));
}

static bool pointers_are_canonical(const struct cpu *cpu)
{
	return address_is_canonical(cpu->rip) && address_is_canonical(cpu->lstar) &&
	       address_is_canonical(cpu->cstar) && address_is_canonical(cpu->kernel_gs_base) &&
	       address_is_canonical(cpu->sysenter_esp) && address_is_canonical(cpu->sysenter_eip);
}

static bool mtrrs_are_valid(const struct cpu *cpu)
{
	if (!msr_mtrr_def_type_is_valid(cpu->mtrr_def_type))
		return false;
	for (unsigned i = 0; i < sizeof(cpu->mtrr_fixed) / sizeof(cpu->mtrr_fixed[0]); i++) {
		if (!msr_mtrr_fixed_is_valid(cpu->mtrr_fixed[i]))
			return false;
	}
	for (unsigned i = 0; i < MTRR_VARIABLE_COUNT; i++) {
		if (!msr_mtrr_base_is_valid(cpu->mtrr_base[i]) ||
		    !msr_mtrr_mask_is_valid(cpu->mtrr_mask[i]))
			return false;
	}
	return true;
}

static bool msrs_are_valid(const struct cpu *cpu)
{
	return pointers_are_canonical(cpu) && msr_pat_is_valid(cpu->pat) && mtrrs_are_valid(cpu) &&
	       msr_apic_base_is_valid(cpu->apic_base) && cpu->sfmask <= UINT32_MAX &&
	       cpu->tsc_aux <= UINT32_MAX && cpu->sysenter_cs <= UINT32_MAX &&
	       cpu->spec_ctrl == 0 &&
	       (cpu->misc_enable & ~MISC_ENABLE_FAST_STRINGS) == MISC_ENABLE_FIXED;
}

static bool is_valid(const struct cpu *cpu, uint64_t rflags)
{
	return control_is_valid(cpu) && debug_is_valid(cpu) && segments_are_valid(cpu) &&
	       privilege_is_valid(cpu, rflags) && msrs_are_valid(cpu) &&
	       !(cpu->fx.mxcsr & 0xffff0000) && cpu->activity <= ACTIVITY_SHUTDOWN &&
	       cpu->shadow <= SHADOW_SS;
}

/* ---- decoding ---- */

static void drop_derived(struct cpu *cpu)
{
	cpu->seg[SEG_ZERO] = (struct segment){.limit = UINT32_MAX, .attr = 0xc093};
	cpu->gpr[GPR_ZERO] = 0;
	cpu->fx.mxcsr_mask = 0xffff;
	cpu->stop = CPU_STOP_NONE;
}

int cpu_state_decode(struct cpu *cpu, const uint8_t *buffer)
{
	struct cpu read = *cpu;
	uint64_t rflags = get_number(buffer, RFLAGS_BYTES);

	buffer += RFLAGS_BYTES;
	for (unsigned i = 0; i < N_FIELDS; i++) {
		uint8_t *field = (uint8_t *)&read + fields[i].offset;
		if (fields[i].bytes > 8) {
			memcpy(field, buffer, fields[i].bytes);
		} else {
			uint64_t value = get_number(buffer, fields[i].bytes);
			/* A bool must not hold anything else, not even for a moment. */
			if (fields[i].offset == offsetof(struct cpu, nmi_blocked) && value > 1)
				return -EINVAL;
			store_field(field, value, fields[i].bytes);
		}
		buffer += fields[i].bytes;
	}
	if (read.index != cpu->index || !is_valid(&read, rflags))
		return -EINVAL;
	drop_derived(&read);
	*cpu = read;
	cpu_set_rflags(cpu, rflags);
	return 0;
}

/* ---- comparing ---- */

static unsigned number_bytes(unsigned bytes)
{
	return bytes > 8 ? 8 : bytes;
}

bool cpu_state_difference(const uint8_t *a, const uint8_t *b, const char **ret_name,
			  uint64_t *ret_a, uint64_t *ret_b)
{
	const char *name = "rflags";
	unsigned bytes = RFLAGS_BYTES;

	for (unsigned i = 0; memcmp(a, b, bytes) == 0; i++) {
		if (i == N_FIELDS)
			return false;
		a += bytes;
		b += bytes;
		name = fields[i].name;
		bytes = fields[i].bytes;
	}
	*ret_name = name;
	*ret_a = get_number(a, number_bytes(bytes));
	*ret_b = get_number(b, number_bytes(bytes));
	return true;
}
