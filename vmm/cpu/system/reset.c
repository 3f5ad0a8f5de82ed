/* Registers after RESET and INIT (SDM 3A table 9-1). */
#include <string.h>

#include "vmm/cpu/system/msr.h"
#include "vmm/cpu/system/system.h"

#define RESET_CR0       (UINT64_C(0x60000010))
#define RESET_RIP       0xfff0
#define RESET_CS        0xf000
#define RESET_CS_BASE   UINT64_C(0xffff0000)
#define RESET_PAT       UINT64_C(0x0007040600070406)
#define RESET_UCODE_REV (UINT64_C(0x1) << 32)
#define RESET_MXCSR     0x1f80u

static struct segment real_segment(uint16_t selector, uint64_t base, uint32_t attr)
{
	return (struct segment){.base = base, .limit = 0xffff, .attr = attr, .selector = selector};
}

static void reset_segments(struct cpu *cpu)
{
	for (unsigned i = 0; i < 6; i++)
		cpu->seg[i] = real_segment(0, 0, 0x93);
	cpu->seg[SEG_CS] = real_segment(RESET_CS, RESET_CS_BASE, 0x9b);
	cpu->seg[SEG_LDTR] = real_segment(0, 0, 0x82);
	cpu->seg[SEG_TR] = real_segment(0, 0, 0x8b);
	cpu->seg[SEG_ZERO] = (struct segment){.limit = UINT32_MAX, .attr = 0xc093};
	cpu->gdtr = (struct table_register){.limit = 0xffff};
	cpu->idtr = (struct table_register){.limit = 0xffff};
}

/* What both kinds set. */
static void reset_core(struct cpu *cpu)
{
	memset(cpu->gpr, 0, sizeof(cpu->gpr));
	cpu->gpr[RDX] = cpuid_signature();
	cpu->rip = RESET_RIP;
	reset_segments(cpu);
	cpu->cpl = 0;
	cpu->cr2 = 0;
	cpu->cr3 = 0;
	cpu->cr4 = 0;
	memset(cpu->dr, 0, sizeof(cpu->dr));
	cpu->dr6 = DR6_FIXED;
	cpu->dr7 = DR7_FIXED;
	memset(cpu->pdpte, 0, sizeof(cpu->pdpte));
	cpu->efer = 0;
	cpu->shadow = SHADOW_NONE;
	cpu->nmi_blocked = false;
	cpu->pending_db = 0;
	cpu->stop = CPU_STOP_NONE;
}

static void reset_fpu(struct cpu *cpu)
{
	memset(&cpu->fx, 0, sizeof(cpu->fx));
	cpu->fx.fcw = 0x40;
	cpu->fx.ftw = 0xff; /* every register holds +0 */
	cpu->fx.mxcsr = RESET_MXCSR;
	cpu->fx.mxcsr_mask = 0xffff;
	cpu->xcr0 = 1;
}

static void reset_msrs(struct cpu *cpu)
{
	cpu->star = cpu->lstar = cpu->cstar = cpu->sfmask = cpu->kernel_gs_base = 0;
	cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
	cpu->tsc_offset = 0;
	cpu->tsc_aux = 0;
	cpu->apic_base = APIC_BASE_GPA | APIC_BASE_EN | (cpu->index == 0 ? APIC_BASE_BSP : 0);
	cpu->pat = RESET_PAT;
	cpu->misc_enable = MISC_ENABLE_FIXED | MISC_ENABLE_FAST_STRINGS;
	cpu->spec_ctrl = 0;
	cpu->mtrr_def_type = 0;
	memset(cpu->mtrr_fixed, 0, sizeof(cpu->mtrr_fixed));
	memset(cpu->mtrr_base, 0, sizeof(cpu->mtrr_base));
	memset(cpu->mtrr_mask, 0, sizeof(cpu->mtrr_mask));
	cpu->ucode_rev = RESET_UCODE_REV;
}

void cpu_reset(struct cpu *cpu, bool init)
{
	/* INIT leaves the cache bits, FPU, most MSRs and the TSC alone. */
	cpu->cr0 = init ? (cpu->cr0 & (CR0_CD | CR0_NW)) | CR0_ET : RESET_CR0;
	reset_core(cpu);
	if (!init) {
		reset_fpu(cpu);
		reset_msrs(cpu);
	}
	/* Only the first vCPU starts by itself; the others wait for a start-up message. */
	cpu->activity = cpu->index == 0 ? ACTIVITY_RUNNING : ACTIVITY_WAIT_SIPI;
	cpu_set_rflags(cpu, 0);
}
