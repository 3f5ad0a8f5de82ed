/*
 * Who writes a block's code. Planning, the code cache, linking and the tables of the address spaces
 * are the same for all; how guest memory is reached, and with it where registers, flags and the
 * count are kept, is the writer's.
 */
#ifndef REPRISE_VMM_TRANSLATE_WRITER_H
#define REPRISE_VMM_TRANSLATE_WRITER_H

#include "vmm/translate/generate.h"

struct translator_config;

/* All functions are mandatory, but for those of loops. */
struct writer {
	const char *name;
	/* Whether it can write an instruction at linear; otherwise interp runs it. */
	bool (*possible)(const struct planned *planned, uint64_t linear);
	/* Writes a block's code, but not what it falls through to. */
	void (*block)(struct generator *g, const struct plan *plan);
	/* Whether it writes the loop as one; and writes it. code: of the block that it begins with,
	 * which does the rounds that the loop leaves to it. NULL: it writes none. */
	bool (*loop_is_possible)(const struct plan *plan);
	void (*loop)(struct generator *g, const struct plan *plan, uint32_t code);
	/* What the block falls through to does not follow: a jump there. */
	void (*next)(struct generator *g);
	/* Writes what was put off. */
	void (*finish)(struct generator *g);
	/* A jump through a link. */
	void (*jump_link)(struct emitter *e, uint32_t link);
	/* What stands in front of all translations; sets cache->leave. */
	void (*trampolines)(struct code_cache *cache, const struct translator_config *config);
	/* Indirect branches leave RCX in its slot, so that they enter through a thunk. */
	bool thunks;
	/* SSE state is the guest's only where its exceptions are masked. */
	bool masked_only;
	/* It writes code that is relative too. */
	bool relative;
	/* Undefined flags can be put right whatever registers an instruction names. */
	bool any_register;
};

/* Guest memory behind the hardware MMU, at a constant bias: the kvm engine's. */
extern const struct writer writer_mmu;

#endif
