/*
 * The translator: guest code of CPL 3 in 64-bit mode made into host code that counts its
 * instructions (docs/translator.md). It does not run the code: an engine does.
 *
 * How an engine uses it:
 *
 *	entry = translator_find(t, cpu);             0: let interp run at least one instruction
 *	translator_enter(t, cpu, entry, budget);     registers go into the context
 *	do {
 *		run at translator_enter_address(t) until translated code leaves or faults
 *		translator_has_left(t), where guest code could store into the context
 *	} while (left by RUNTIME_EXIT_LINK && translator_continue(t, cpu));
 *	translator_leave(t, cpu)  or, at a fault,  translator_fault(t, &registers, cpu)
 *
 * After the last the machine's count, and cpu's general registers, RIP and flags, are exact; at a
 * fault they are those before the instruction that faulted, and interp is to run it and derive the
 * fault. After RUNTIME_EXIT_INTERP and RUNTIME_EXIT_MISS interp is to run one instruction too. x87
 * and SSE state is the engine's own affair.
 *
 * Addresses that translated code was found at hold as long as the page that they were found
 * through: the engine calls translator_drop_page() when a cached translation for fetches goes,
 * translator_drop_space() when all of them do.
 */
#ifndef REPRISE_VMM_TRANSLATE_TRANSLATOR_H
#define REPRISE_VMM_TRANSLATE_TRANSLATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/machine.h"
#include "vmm/translate/runtime.h"

/* How translated code leaves. */
struct writer;

enum runtime_leave {
	RUNTIME_LEAVE_OUT,  /* OUT to leave_port; when it goes on there it enters anew */
	RUNTIME_LEAVE_JUMP, /* a jump to context->leave */
};

struct translator_config {
	struct machine *machine; /* outlives the translator */
	uint64_t bias;           /* added to guest addresses; bits 0 to 31 are 0 */
	enum runtime_leave leave;
	uint8_t leave_port;
	bool load_fs_base;           /* the enter trampoline loads the FS base from the context */
	const struct writer *writer; /* NULL: writer_mmu */
	bool kernel;                 /* code of CPL 0 too */
	uint32_t base;               /* where the area runs; 0: RUNTIME_BASE */
	enum page_flags flag;        /* of pages with translated code; 0: PAGE_TRANSLATED */
	uint32_t cache_bytes; /* bound of the code cache, at least 520 KiB; 0: all there is */
	/* Runs of blocks that are translated ahead when one is asked for: to leave for them is
	 * worse the dearer leaving is. */
	unsigned ahead;
	/* A branch back is taken so often before what it closes is translated as a loop, if the
	 * writer does that; 0: never. */
	uint8_t loop_heat;
	/* User code is seen running so often (translator_sample()), so many instructions apart at
	 * least, before it is written with extents, if the writer does that; 0: never. */
	uint8_t hot_samples;
	uint32_t hot_insns;
	struct extents *extents; /* vmm/jit/extent.h; outlives the translator */
	uint32_t max_insns; /* tests: instructions in a block; 0: as many as there is room for */
	bool poll_often;    /* tests: every block polls */
	bool distrust_host; /* tests: take the host's undefined flags to be different everywhere */
};

struct translator;

/* Registers itself as a code listener of the machine's memory. Returns 0 or a negative errno. */
int translator_create(const struct translator_config *config, struct translator **ret_translator);
void translator_destroy(struct translator *translator);

/* The run-time area: its memfd, and where it is mapped for reading and writing. */
int translator_runtime_fd(const struct translator *translator);
uint8_t *translator_runtime(const struct translator *translator);
struct runtime_context *translator_context(const struct translator *translator);

/* Linear address at which code is entered; constant. */
uint64_t translator_enter_address(const struct translator *translator);
/* Where translated code leaves for a reason that has no site. */
uint64_t translator_leave_address(const struct translator *translator, enum runtime_exit exit);

/*
 * True when translated code may run now: CPL 3 with AC = 0 and SSE enabled, or what the config
 * adds; 64-bit code, running, TF = RF = 0, no breakpoint enabled in DR7, nothing pending, no
 * debugger's watchpoint.
 */
bool translator_may_run(const struct translator *translator, const struct cpu *cpu);

/*
 * The translation of the code at cpu's RIP, made if need be; or 0: interp is to run. Fetches as
 * the machine does (accessed bits), and notes the address in the selected space, so that indirect
 * branches find it. May drop every translation when the cache is full. Never leaves
 * a fault recorded.
 */
uint64_t translator_find(struct translator *translator, struct cpu *cpu);

/* Likewise, but nothing is fetched or made: what indirect branches to cpu's RIP would find. For
 * writers without thunks. */
uint64_t translator_noted(struct translator *translator, const struct cpu *cpu);

/* Translated code that was entered with count < budget leaves with count < budget + this: at most
 * RUNTIME_POLL_BOUND. */
uint32_t translator_poll_bound(const struct translator *translator);

/*
 * Moves cpu's registers and the count into the context. Translated code leaves at the first poll at
 * which the count of its block's end reaches the budget.
 */
void translator_enter(struct translator *translator, const struct cpu *cpu, uint64_t entry,
		      uint64_t budget);

/*
 * After translated code has left by itself, by one of its sites: whether the context says so of one
 * that there is, with a count that it can have come to. Everything below relies on it; if it is
 * false the guest's state is lost. Registers may be anything: they are the guest's.
 */
bool translator_has_left(const struct translator *translator);

/* What the context's count means: the instructions that there will have been. */
uint64_t translator_count(const struct translator *translator);

/* After RUNTIME_EXIT_LINK: the target of the branch. */
uint64_t translator_target(const struct translator *translator);

/*
 * After RUNTIME_EXIT_LINK: finds the branch's target, links it, and sets context->entry. Returns
 * false when interp is to run there. Registers stay in the context.
 */
bool translator_continue(struct translator *translator, struct cpu *cpu);

/* After translated code has left by itself: registers, RIP and count go to cpu and the machine.
 * After RUNTIME_EXIT_LINK and RUNTIME_EXIT_HERE cpu's RIP is right already: from
 * translator_continue(), whatever it returned, from translator_target(), or from who was called. */
void translator_leave(struct translator *translator, struct cpu *cpu);

/*
 * After RUNTIME_EXIT_POLL and translator_leave(): user code of somebody, by a number, was running
 * where the budget ended. What is seen often enough, and nobody else there meanwhile, is written
 * anew as code that runs much (hot.h).
 */
void translator_sample(struct translator *translator, uint32_t whose);
/* Such code at gpa is to be written anew once more, when it has been seen next. */
void translator_rewrite(struct translator *translator, uint64_t gpa);

/*
 * After a fault in translated code at registers->rip. Returns false when no guest instruction
 * explains the address, or the count is none that it can have come to: registers and count are then
 * unknown, and cpu and the machine as they were.
 */
bool translator_fault(struct translator *translator, const struct runtime_registers *registers,
		      struct cpu *cpu);

/* ---- address spaces ---- */

/* The runtime_space, of RUNTIME_TABLES, that RIPs are noted in from here on; the engine maps it
 * into the window, or has translated code find it. */
void translator_select_space(struct translator *translator, unsigned space);
/* Likewise; addresses below lowest are not noted there. */
void translator_select_shared(struct translator *translator, unsigned space, uint64_t lowest);
struct runtime_space *translator_selected_space(const struct translator *translator);
/* Forgets all addresses noted in the space. */
void translator_drop_space(struct translator *translator, unsigned space);
/* Forgets the addresses noted in the space that lie in this linear page. */
void translator_drop_page(struct translator *translator, unsigned space, uint64_t linear);

/* ---- all of them ---- */

/* Drops every translation. */
void translator_flush(struct translator *translator);

/*
 * Linear addresses at which a debugger wants to stop: no translated block holds an instruction at
 * one of them. Drops the translations that new ones, or ones that are gone, make a difference to.
 * Returns 0 or -ENOMEM (the old set then stands).
 */
int translator_set_breakpoints(struct translator *translator, const uint64_t *linear, unsigned n);
bool translator_has_breakpoint(const struct translator *translator, uint64_t linear);

struct translator_statistics {
	uint64_t blocks;      /* translated */
	uint64_t guest_bytes; /* of their instructions */
	uint64_t code_bytes;  /* made of them */
	uint64_t flushes;     /* because the cache was full */
	uint64_t loops;       /* of the blocks: loops as one */
	uint64_t dropped;     /* blocks whose bytes were written */
	uint64_t exits[RUNTIME_EXIT_COUNT];
	uint64_t faults;
	uint64_t counted; /* instructions run by translated code */
};

const struct translator_statistics *translator_statistics(const struct translator *translator);

/* The guest instruction at which translated code left most often to have it run by interp, by
 * mnemonic (ZydisMnemonic): for reports. Returns the count. */
uint64_t translator_interp_exits(const struct translator *translator, uint16_t mnemonic);

#endif
