/*
 * An engine carries the machine from one instruction count towards another. Engines are
 * interchangeable between any two instructions and hold no pointer to the boundary: they run until
 * a limit or an exit, and the run loop (run.c) completes the exit.
 */
#ifndef REPRISE_VMM_ENGINE_H
#define REPRISE_VMM_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/machine.h"

enum engine_exit {
	ENGINE_LIMIT,      /* icount == until_icount */
	ENGINE_CROSSING,   /* machine->crossing.request waits; the instruction has not retired */
	ENGINE_RETIRED,    /* the instruction that crossed has retired */
	ENGINE_HALTED,     /* the current vCPU is not running (enum activity says how) */
	ENGINE_WINDOW,     /* an interrupt or NMI that was waited for could be taken now */
	ENGINE_BREAKPOINT, /* a breakpoint lies on the instruction that would be next */
	ENGINE_WATCHPOINT, /* the last step touched watched memory: memory_watch_hit() */
	ENGINE_USER,       /* user code is next in a space that run_control.user_stop names */
	/* The engine lost the machine's state: icount is the last count that is proven. Guest
	 * memory may be that of a later one. It runs no more. */
	ENGINE_FAILED,
};

struct run_control {
	uint64_t until_icount;
	bool interrupt_window;
	bool nmi_window;
	bool skip_breakpoint; /* a breakpoint on the very first instruction does not count */
	/* For engines inside engines: by mmu space, whether to stop where user code is next (at a
	 * return of a kernel, mostly). NULL: nowhere. */
	const bool *user_stop;
	bool skip_user; /* user code that is the very first instruction does not count */
};

/* What a part of an engine has done so far, for reports. */
struct engine_use {
	const char *name;
	uint64_t instructions;
	uint64_t entries;    /* times it was entered */
	uint64_t ns;         /* host time in it and in parts whose own is 0; 0: not measured */
	uint64_t unexpected; /* what should not have happened, and did no harm */
};

#define ENGINE_MAX_USES 4

struct engine;

struct engine_ops {
	const char *name;
	/* Returns 0 or a negative errno. The machine must outlive the engine. Mandatory. */
	int (*create)(struct machine *machine, struct engine **ret_engine);
	void (*destroy)(struct engine *engine);
	/*
	 * Runs the current vCPU. Exact: on return machine->icount counts what has retired or been
	 * delivered, and is never above until_icount. Mandatory.
	 */
	enum engine_exit (*run)(struct engine *engine, const struct run_control *control);
	/* RAM or vCPUs were changed wholesale (state restored, reset): drop every cache. Mandatory.
	 */
	void (*flush)(struct engine *engine);
	/*
	 * Replaces the set of breakpoints: linear addresses of instructions, in whatever address
	 * space. They come before a fault that fetching the instruction raises. Guest memory is
	 * not touched. Returns 0 or -ENOMEM (the old set then stands).
	 * Mandatory. After memory_set_watches() callers call flush.
	 */
	int (*set_breakpoints)(struct engine *engine, const uint64_t *linear, unsigned n);
	/* Fills in what its parts have done; returns how many. Optional. */
	unsigned (*uses)(const struct engine *engine, struct engine_use ret_uses[ENGINE_MAX_USES]);
	/* Why it returned ENGINE_FAILED, in a line. Optional. */
	const char *(*failure)(const struct engine *engine);
};

struct engine {
	const struct engine_ops *ops;
	struct machine *machine;
	bool failed; /* ENGINE_FAILED was returned */
	/* Not 0: made in place of the engine that was asked for and could not start: why, as a
	 * negative errno. */
	int instead;
};

/* The reference engine. */
extern const struct engine_ops interp_engine_ops;

static inline int engine_create(const struct engine_ops *ops, struct machine *machine,
				struct engine **ret_engine)
{
	return ops->create(machine, ret_engine);
}

static inline void engine_destroy(struct engine *engine)
{
	if (engine)
		engine->ops->destroy(engine);
}

#endif
