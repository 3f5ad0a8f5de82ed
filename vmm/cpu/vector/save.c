/*
 * Saving and restoring of the x87 and SSE state: LDMXCSR, STMXCSR, FXSAVE, FXRSTOR, XSAVE, XRSTOR,
 * XGETBV, XSETBV, and instructions that only hint or order. XSAVE knows the standard format with
 * the x87 and SSE components (SDM 1 13.4 to 13.8); both count as always in use.
 */
#include "vmm/cpu/vector/mxcsr.h"
#include "vmm/cpu/vector/operand.h"
#include "vmm/cpu/vector/x87.h"

#define XSTATE_X87 1u
#define XSTATE_SSE 2u
#define XSTATE_ALL (XSTATE_X87 | XSTATE_SSE)

/* What FXSAVE writes: up to the last XMM register of the mode. The rest of the 512 bytes stays. */
#define FXSAVE_BYTES      512
#define FXSAVE_WRITTEN_64 416
#define FXSAVE_WRITTEN_32 288

struct xsave_area {
	struct fx_state legacy;
	uint64_t xstate_bv;
	uint64_t xcomp_bv;
	uint64_t reserved[6];
};

bool exec_stmxcsr(struct cpu *cpu, const struct insn *insn)
{
	uint32_t value = mxcsr_read(cpu);

	return vector_write_memory(cpu, insn, 4, &value, false);
}

bool exec_ldmxcsr(struct cpu *cpu, const struct insn *insn)
{
	uint32_t value;

	if (!vector_read_unaligned(cpu, insn, 4, &value))
		return false;
	if (value & ~MXCSR_VALID)
		return raise_gp(cpu, 0);
	mxcsr_write(cpu, value);
	return true;
}

/* XMM8 to XMM15 exist in 64-bit mode only. */
static unsigned xmm_bytes(const struct cpu *cpu)
{
	return cpu_code64(cpu) ? 16 * 16 : 8 * 16;
}

static void save_x87(const struct cpu *cpu, struct fx_state *image)
{
	memcpy(image, &cpu->fx, offsetof(struct fx_state, mxcsr));
	memcpy(image->st, cpu->fx.st, sizeof(image->st));
	image->reserved = 0;
	image->fop = 0;
	image->fip = 0;
	image->fdp = 0;
}

static void save_sse(struct cpu *cpu, struct fx_state *image)
{
	image->mxcsr = mxcsr_read(cpu);
	image->mxcsr_mask = MXCSR_VALID;
	memcpy(image->xmm, cpu->fx.xmm, xmm_bytes(cpu));
}

static void restore_x87(struct cpu *cpu, const struct fx_state *image)
{
	cpu->fx.fsw = image->fsw;
	cpu->fx.ftw = image->ftw;
	for (unsigned i = 0; i < 8; i++)
		memcpy(cpu->fx.st[i], image->st[i], X87_REGISTER_BYTES);
	x87_set_control(cpu, image->fcw);
}

static bool area_linear(struct cpu *cpu, const struct insn *insn, unsigned size, unsigned alignment,
			enum access_kind kind, uint64_t *ret_linear)
{
	if (!insn_linear(cpu, insn, size, kind, ret_linear))
		return false;
	return *ret_linear & (alignment - 1) ? raise_gp(cpu, 0) : true;
}

/* FXSAVE, FXSAVE64: the pointers are 0 in either format. */
bool exec_fxsave(struct cpu *cpu, const struct insn *insn)
{
	unsigned n = cpu_code64(cpu) ? FXSAVE_WRITTEN_64 : FXSAVE_WRITTEN_32;
	struct fx_state image;
	uint64_t linear;

	if (!area_linear(cpu, insn, FXSAVE_BYTES, 16, ACCESS_WRITE, &linear) ||
	    !linear_probe(cpu, linear, FXSAVE_BYTES, ACCESS_WRITE, PRIVILEGE_CURRENT))
		return false;
	save_x87(cpu, &image);
	save_sse(cpu, &image);
	return linear_write(cpu, linear, &image, n, PRIVILEGE_CURRENT);
}

bool exec_fxrstor(struct cpu *cpu, const struct insn *insn)
{
	struct fx_state image;
	uint64_t linear;

	if (!area_linear(cpu, insn, FXSAVE_BYTES, 16, ACCESS_READ, &linear) ||
	    !linear_read(cpu, linear, &image, sizeof(image), PRIVILEGE_CURRENT))
		return false;
	if (image.mxcsr & ~MXCSR_VALID)
		return raise_gp(cpu, 0);
	restore_x87(cpu, &image);
	memcpy(cpu->fx.xmm, image.xmm, xmm_bytes(cpu));
	mxcsr_write(cpu, image.mxcsr);
	return true;
}

/* #UD without CR4.OSXSAVE, #NM with CR0.TS (SDM 2D); the rows have no ROW_FPU or ROW_SSE. */
static bool xsave_check(struct cpu *cpu)
{
	if (!(cpu->cr4 & CR4_OSXSAVE))
		return raise_ud(cpu);
	return cpu->cr0 & CR0_TS ? raise_fault(cpu, VECTOR_NM) : true;
}

/* The components an instruction acts on: XCR0 AND EDX:EAX. */
static uint64_t requested_components(const struct cpu *cpu)
{
	return cpu->xcr0 & ((cpu->gpr[RDX] << 32) | (uint32_t)cpu->gpr[RAX]);
}

/* XSAVE, XSAVE64. Reads the area first: what is not asked for keeps its bytes. */
bool exec_xsave(struct cpu *cpu, const struct insn *insn)
{
	uint64_t components = requested_components(cpu), linear;
	struct xsave_area area;

	if (!xsave_check(cpu) || !area_linear(cpu, insn, sizeof(area), 64, ACCESS_WRITE, &linear) ||
	    !linear_probe(cpu, linear, sizeof(area), ACCESS_WRITE, PRIVILEGE_CURRENT) ||
	    !linear_read(cpu, linear, &area, sizeof(area), PRIVILEGE_CURRENT))
		return false;
	if (components & XSTATE_X87)
		save_x87(cpu, &area.legacy);
	if (components & XSTATE_SSE)
		save_sse(cpu, &area.legacy);
	area.xstate_bv |= components;
	return linear_write(cpu, linear, &area, sizeof(area), PRIVILEGE_CURRENT);
}

/* The header checks of the standard form (SDM 1 13.8.1). */
static bool xrstor_check(struct cpu *cpu, const struct xsave_area *area, uint64_t components)
{
	if ((area->xstate_bv & ~cpu->xcr0) || area->xcomp_bv || area->reserved[0])
		return raise_gp(cpu, 0);
	if ((components & XSTATE_SSE) && (area->legacy.mxcsr & ~MXCSR_VALID))
		return raise_gp(cpu, 0);
	return true;
}

/* XRSTOR, XRSTOR64: a component whose bit in the header is clear gets its initial state. */
bool exec_xrstor(struct cpu *cpu, const struct insn *insn)
{
	uint64_t components = requested_components(cpu), linear;
	struct xsave_area area;

	if (!xsave_check(cpu) || !area_linear(cpu, insn, sizeof(area), 64, ACCESS_READ, &linear) ||
	    !linear_read(cpu, linear, &area, sizeof(area), PRIVILEGE_CURRENT) ||
	    !xrstor_check(cpu, &area, components))
		return false;
	if (components & XSTATE_X87) {
		if (area.xstate_bv & XSTATE_X87) {
			restore_x87(cpu, &area.legacy);
		} else {
			x87_initialize(cpu);
			memset(cpu->fx.st, 0, sizeof(cpu->fx.st));
		}
	}
	if (components & XSTATE_SSE) {
		if (area.xstate_bv & XSTATE_SSE)
			memcpy(cpu->fx.xmm, area.legacy.xmm, xmm_bytes(cpu));
		else
			memset(cpu->fx.xmm, 0, xmm_bytes(cpu));
		mxcsr_write(cpu, area.legacy.mxcsr);
	}
	return true;
}

bool exec_xgetbv(struct cpu *cpu, const struct insn *insn)
{
	if (!(cpu->cr4 & CR4_OSXSAVE))
		return raise_ud(cpu);
	if ((uint32_t)cpu->gpr[RCX] != 0)
		return raise_gp(cpu, 0);
	cpu->gpr[RAX] = (uint32_t)cpu->xcr0;
	cpu->gpr[RDX] = cpu->xcr0 >> 32;
	return true;
}

bool exec_xsetbv(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value = (cpu->gpr[RDX] << 32) | (uint32_t)cpu->gpr[RAX];

	if (!(cpu->cr4 & CR4_OSXSAVE))
		return raise_ud(cpu);
	if ((uint32_t)cpu->gpr[RCX] != 0 || !(value & XSTATE_X87) ||
	    (value & ~(uint64_t)XSTATE_ALL))
		return raise_gp(cpu, 0);
	cpu->xcr0 = value;
	return true;
}

/* PAUSE, fences, prefetches: nothing that the machine could notice. */
bool exec_hint(struct cpu *cpu, const struct insn *insn)
{
	return true;
}

/* CLFLUSH is checked like a load of one byte (SDM 2A). */
bool exec_clflush(struct cpu *cpu, const struct insn *insn)
{
	uint64_t linear;

	return insn_linear(cpu, insn, 1, ACCESS_READ, &linear) &&
	       linear_probe(cpu, linear, 1, ACCESS_READ, PRIVILEGE_CURRENT);
}
