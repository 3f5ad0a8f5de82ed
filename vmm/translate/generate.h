/*
 * Making host code of one block.
 *
 * A block is planned first (plan.c): its instructions decoded and classified, which flags live
 * after each, where it polls. Then each instruction is written in order (generate.c, copy.c,
 * stack.c) and its end (branch.c). Code that is seldom run, and constants, are put off until the
 * run of blocks is written (deferred), and go to the cache's second part.
 *
 * R11 holds the count until an instruction needs it otherwise: for the guest's own R11, for the
 * guest's RSP without its bias, or for a constant address. The count then waits in context->count.
 * The guest's R11 in the context is never stale. The whole block is counted at once: where it
 * polls, or at its end.
 */
#ifndef REPRISE_VMM_TRANSLATE_GENERATE_H
#define REPRISE_VMM_TRANSLATE_GENERATE_H

#include "vmm/translate/cache.h"
#include "vmm/translate/classify.h"
#include "vmm/translate/lower.h"

/* Of all registers the one that compilers use least. */
#define COUNT_REGISTER R11

struct planned {
	struct insn insn;
	const uint8_t *bytes;
	struct insn_effect effect;
	uint16_t offset; /* in the block */
	uint32_t live;   /* flags that may be looked at after it before they are written again */
};

enum block_end {
	END_NEXT,   /* goes on behind the last instruction */
	END_INTERP, /* likewise, but interp is to run what stands there */
	END_BRANCH, /* the last instruction is a branch */
};

/* Where a block polls, if it does. */
enum poll_place {
	POLL_NONE,
	POLL_IN_FRONT, /* of the instruction poll_at, which sets all flags (but CF) */
	POLL_AT_END,   /* in front of the last instruction's effects, sparing the flags */
};

struct plan {
	struct planned insns[BLOCK_MAX_INSNS];
	unsigned n;
	uint64_t gpa, linear;
	uint16_t bytes;
	bool relative; /* addresses, linear among them, count from the page's */
	uint8_t end;   /* enum block_end */
	uint16_t left; /* END_INTERP: the mnemonic that is left to interp */
	bool crosses;  /* one instruction across two pages */
	bool far_end;  /* END_NEXT: what follows lies in another page, or crosses into one */
	bool loop;     /* as plan_loop() says */
	uint32_t live; /* flags that live in front of the first instruction */
	uint8_t poll;  /* enum poll_place */
	uint8_t poll_at;
};

enum r11_content { R11_COUNT, R11_GUEST, R11_CONSTANT, R11_OTHER };

enum deferred_kind {
	DEFERRED_EXIT,     /* the exit of a site, state in place */
	DEFERRED_POLL,     /* of a poll in front of an instruction: runs the instruction first */
	DEFERRED_RESTORE,  /* RCX and the count are put back, then the exit */
	DEFERRED_MISS,     /* the second lookup; then as DEFERRED_RESTORE */
	DEFERRED_REPEAT,   /* RCX and the flags are put back, then the exit */
	DEFERRED_LINK,     /* jumps through the link constant, which is new if it has a site */
	DEFERRED_CONSTANT, /* 8 bytes; patch is an absolute 32-bit address of them */
	/* Of the jit's writer (vmm/jit): */
	DEFERRED_SLOW,   /* the count as before the instruction, then the exit */
	DEFERRED_FILL,   /* a translation of the address is had, then on at constant; or as SLOW */
	DEFERRED_RANGE,  /* likewise for bytes in one page; or on at the site, alone */
	DEFERRED_EXTENT, /* a look-up in place of an extent, on at constant; or as then says */
	DEFERRED_STATE,  /* SSE state is loaded, then on at constant */
	DEFERRED_X87,    /* x87 state, too */
	DEFERRED_HEAT, /* counts; then on at constant, or if that is NONE by the other site; or the
			  exit of the site */
};

struct deferred {
	uint8_t kind;
	uint8_t then;             /* DEFERRED_EXTENT: its look-up's miss */
	int8_t n;                 /* to be added to the count */
	uint16_t bytes;           /* of the access: DEFERRED_FILL, _RANGE, _EXTENT; 0: not known */
	bool write;               /* likewise: some are written */
	uint32_t patch;           /* what is to lead here */
	uint32_t site, other;     /* DEFERRED_EXTENT: other is its number */
	uint64_t constant;        /* where it goes on: a code address; or as its kind says */
	struct encoding encoding; /* DEFERRED_POLL */
};

/* One run of blocks puts off at most this much. */
#define MAX_DEFERRED 2048

/* Return addresses that are translated ahead. */
#define MAX_RETURNS 64

/* Guest registers that lie in the jit's two temporaries too, for code that is written at an offset;
 * whatever is written in between may have changed them. */
struct held {
	uint32_t at;      /* NONE: nothing is known */
	uint8_t guest[2]; /* GPR_ZERO: none */
};

struct generator {
	struct code_cache *cache;
	struct emitter *e;
	const struct lowering *lowering;
	const struct writer *writer;
	struct spaces *spaces;
	struct translation *translation;
	uint32_t index; /* of the translation */
	uint32_t home;  /* of what is relative, or NO_HOME */
	uint64_t base;  /* what its addresses count from here and now, or 0 */
	const struct plan *plan;
	unsigned at; /* which instruction of the plan */
	uint8_t r11; /* enum r11_content */
	bool count_saved;
	bool ahead;          /* the count is that of the block's end already */
	bool flags_live;     /* jit: the guest's flags are in the host's */
	bool flags_saved;    /* jit: and, or, in their slot */
	struct share *share; /* jit: which look-ups are shared (vmm/jit/share.h) */
	struct loop *loop;   /* jit: the one whose rounds are written (vmm/jit/loop.h), or NULL */
	uint8_t loop_heat;   /* struct translator_config's */
	struct extents *extents; /* jit: for code that runs much (vmm/jit/extent.h), or NULL */
	struct held held;        /* jit: what is in its temporaries */
	uint64_t r11_constant;
	uint32_t
		stop; /* 8-bit displacement that is to lead to a jump to the poll's exit, or NONE */
	struct deferred deferred[MAX_DEFERRED];
	unsigned n_deferred;
	uint64_t returns[MAX_RETURNS]; /* where calls will return to here and now */
	unsigned n_returns;
};

/* ---- the count register ---- */

/* Makes R11 free for other use. */
void generator_free_r11(struct generator *g);
/* Makes R11 the block's first count again. */
void generator_restore_count(struct generator *g);
/* Loads the guest's R11 into R11, if it is not there. */
void generator_load_guest_r11(struct generator *g);
/* R11 now holds something of no further use. */
void generator_spoil_r11(struct generator *g);

/* ---- marks, sites, code put off ---- */

/* The host instruction that is emitted next can fault. state: enum mark_state beside where the
 * count is. */
void generator_mark(struct generator *g, uint8_t state);
uint64_t generator_rip(const struct generator *g);      /* of the present instruction */
uint64_t generator_next_rip(const struct generator *g); /* of the one behind it */
/* A call will return to rip, which is worth to be translated ahead. */
void generator_note_return(struct generator *g, uint64_t rip);
struct deferred *generator_defer(struct generator *g, enum deferred_kind kind, uint32_t patch);
uint32_t generator_site(struct generator *g, enum site_kind kind, uint64_t rip);

/* Emits all that was put off. */
void generator_finish(struct generator *g);

/* ---- instructions (copy.c, stack.c, fix.c) ---- */

/* Whether the translator can write it: an instruction that it cannot is left to interp. linear: its
 * address. */
bool copy_possible(const struct planned *planned, uint64_t linear);
/* Whether a register operand may be changed; whether the first one is written whole and not read.
 */
bool insn_writes_operand(const struct insn *insn, unsigned n);
bool insn_only_writes(const struct insn *insn);
void copy_emit(struct generator *g, const struct planned *planned);
/* The bare encoding of an instruction that copy_is_plain(). */
bool copy_is_plain(const struct planned *planned);

void lea_emit(struct generator *g, const struct planned *planned);
void push_emit(struct generator *g, const struct planned *planned);
void pop_emit(struct generator *g, const struct planned *planned);
void leave_emit(struct generator *g, const struct planned *planned);

/* MOVS and STOS; repeated ones end their block. */
bool string_possible(const struct insn *insn);
void string_emit(struct generator *g, const struct planned *planned);
void string_emit_repeated(struct generator *g);
void tsc_emit(struct generator *g, const struct planned *planned);

/* All flags to their slot and back, through RAX, which is kept (fix.c). */
void flags_save(struct generator *g);
void flags_restore(struct generator *g);

/* Whether undefined flags that live can be put right; and the code around the instruction.
 * any_register: R11 and RSP can be tested too. encoding: the instruction's, as it was emitted. */
bool fix_possible(const struct planned *planned, bool any_register);
void fix_before(struct generator *g, const struct planned *planned);
void fix_after(struct generator *g, const struct planned *planned, const struct encoding *encoding);

/* ---- the whole block ---- */

/* What planning keeps to. */
struct plan_rules {
	const struct host_flags *host;
	const struct breakpoints *breakpoints;
	unsigned max_insns;
	bool poll_always;
	bool no_tsc, no_x87, no_vector; /* RDTSC; x87 and MMX; SSE: left to interp */
	bool kernel;                    /* the code is of CPL 0 */
	bool any_register;              /* for fix_possible() */
	/* What can be written: struct writer's. */
	bool (*possible)(const struct planned *planned, uint64_t linear);
};

/*
 * Plans the block at plan->gpa and plan->linear, whose page has n more bytes (plan->crosses: they
 * reach into the next). Returns false when there is nothing to translate.
 */
bool plan_block(struct plan *plan, const uint8_t *code, uint32_t n, uint32_t mode,
		const struct plan_rules *rules);

/*
 * Plans a round of the loop that begins there: its last instruction branches back to the first,
 * others branch out of it and are not taken while it goes on. Flags are looked at where it is left,
 * nowhere else; poll_at is the last instruction that sets them all. Returns false when there is no
 * such loop, or one that has more instructions than a plan, or no instruction of that kind.
 */
bool plan_loop(struct plan *plan, const uint8_t *code, uint32_t n, uint32_t mode,
	       const struct plan_rules *rules);

/* Writes the block's code. */
void generate_block(struct generator *g, const struct plan *plan);

/* Whether the branch at linear can be translated. target_possible: whether an operand that holds
 * its target can be. */
bool branch_is_possible(const struct insn *insn, uint64_t linear,
			bool (*target_possible)(const struct insn *insn, uint64_t linear));
/* Writes the block's end: count, poll, branch (branch.c). */
void branch_emit(struct generator *g);
/* Whether the block goes on behind its last instruction: the next block follows at once, or a jump
 * there. */
bool branch_falls_through(const struct plan *plan);
void branch_emit_next(struct generator *g);
/* Whether a direct branch to rip stays inside the block's page. */
bool branch_is_near(const struct generator *g, uint64_t rip);
/* Where a translation of the same page begins, or NONE. */
uint32_t branch_near_code(const struct generator *g, uint64_t rip);
/* patch: the displacement that is to lead to rip, in the same page. */
void branch_defer_near(struct generator *g, uint64_t rip, uint32_t patch);
/* patch: of the branch that is to lead to the link, or NONE. Returns the link. */
uint32_t branch_defer_far(struct generator *g, uint64_t rip, uint32_t patch);
/* Of the branch that ends the block. */
uint64_t branch_direct_target(const struct generator *g);
/* A poll in front of the instruction plan->poll_at. */
void poll_emit(struct generator *g);

#endif
