/* The parts of the jit engine, for each other. */
#ifndef REPRISE_VMM_JIT_ENGINE_H
#define REPRISE_VMM_JIT_ENGINE_H

#include "vmm/engine.h"
#include "vmm/jit/context.h"
#include "vmm/jit/extent.h"
#include "vmm/jit/step.h"
#include "vmm/mmu/mmu.h"
#include "vmm/translate/translator.h"

/* A kernel whose code in SHARED_TABLE serves several spaces (table.c). */
struct shared_kernel {
	uint64_t entry;
	uint64_t cr0, cr4, efer;
};

struct jit_engine {
	struct engine engine;
	struct engine *interp;
	struct translator *translator;
	struct jit_context *context;
	struct jit_stepper *stepper;
	struct extents *extents;
	struct tlb_entry beside;     /* of the last access beside watchpoints */
	bool protected;              /* a page could be written past the mmu, and can no longer */
	struct shared_kernel kernel; /* in SHARED_TABLE */
	uint64_t top_gpa;            /* of the top-level table that was looked at last */
	const uint8_t *top;          /* and where it is in the host */
	bool selected;               /* the mmu has been asked to look at AC in this slice */
	const struct run_control *control; /* of the present run */
	uint8_t *area;                     /* where the run-time area runs */
	struct engine_use in_jit, in_interp;
};

/* ---- which translations serve (table.c) ---- */

/* The translator's tables of a space of the mmu, and its extents. */
void jit_drop_low(struct jit_engine *jit, unsigned space);
void jit_drop_space(struct jit_engine *jit, unsigned space);
void jit_drop_page(struct jit_engine *jit, unsigned space, uint64_t linear);

/* Has the translator look in the table for cpu's RIP and privilege, and translated code in it and
 * in the mmu's cached translations. */
void jit_select_table(struct jit_engine *jit, const struct cpu *cpu);

/* ---- whether translated code may go on (engine.c) ---- */

bool jit_window_is_open(const struct cpu *cpu, const struct run_control *control);
/* User code that whoever contains this engine wants to run itself. */
bool jit_is_others(const struct cpu *cpu, const struct run_control *control);
/*
 * RF alone changes nothing while no breakpoint is enabled. Dropped as the next instruction begins,
 * it lets what was left in the middle of a repeat go on here (interp does the same).
 */
void jit_drop_resume_flag(const struct jit_engine *jit, struct cpu *cpu,
			  const struct run_control *control);

/* ---- flags: RFLAGS from and to what LAHF and SETO give in AX ---- */

#define JIT_FLAGS_OF_AH 0xd5u

static inline uint64_t jit_pack_flags(uint64_t rflags)
{
	return ((rflags & JIT_FLAGS_OF_AH) | FLAG_FIXED) << 8 | (rflags & FLAG_OF ? 1 : 0);
}

static inline uint64_t jit_unpack_flags(uint64_t slot)
{
	return (slot >> 8 & JIT_FLAGS_OF_AH) | (slot & 1 ? FLAG_OF : 0);
}

/* ---- what translated code calls ---- */

jit_transfer_fn jit_transfer;

#endif
