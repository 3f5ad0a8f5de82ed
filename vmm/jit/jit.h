/*
 * The jit engine: translated code of guest kernels and users in the host's process, with guest
 * memory reached through the mmu's cached translations (docs/jit.md). Interp, which it contains,
 * runs what is not translated.
 *
 * Its code lies below 2 GiB, where there is room for JIT_MAX machines of a process; and
 * whoever handles signals in the thread that runs it must ask for SA_ONSTACK: the stack pointer is
 * the guest's.
 */
#ifndef REPRISE_VMM_JIT_JIT_H
#define REPRISE_VMM_JIT_JIT_H

#include "vmm/engine.h"

#define JIT_MAX 8

/* Creation fails with -EEXIST when there is no room. */
extern const struct engine_ops jit_engine_ops;

/* Makes a jit engine; where there is none to be had, interp. */
extern const struct engine_ops jit_or_interp_engine_ops;

/* For tests: how engines that are created from here on translate. */
struct jit_options {
	uint32_t cache_bytes; /* as in struct translator_config */
	uint32_t max_insns;   /* likewise */
	bool distrust_host;   /* likewise */
	uint8_t loop_heat;    /* likewise */
	uint8_t hot_samples;  /* likewise */
	uint32_t hot_insns;   /* likewise */
	bool extents_soon;    /* pages are given to extents at each miss */
};
extern struct jit_options jit_options;

#endif
