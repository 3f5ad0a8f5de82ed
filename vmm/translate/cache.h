/*
 * The code cache's books: which guest code has been translated to where, where translated code can
 * leave, and what the guest's state is at each host instruction that can fault.
 *
 * Translations are made in ascending order of their code and never freed one by one: a write to
 * their bytes drops them, which makes the first bytes of their code a jump to an exit, so that
 * whatever leads to them finds out. What seldom runs (misses, exits) lies in a second part of the
 * cache, behind them all, so that what does lies close together. When a part is full everything
 * goes at once.
 */
#ifndef REPRISE_VMM_TRANSLATE_CACHE_H
#define REPRISE_VMM_TRANSLATE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/machine.h"
#include "vmm/mmu/mmu.h"
#include "vmm/translate/emit.h"
#include "vmm/translate/space.h"
#include "vmm/translate/translator.h"

#define BLOCK_MAX_INSNS 64

/* The address of a field of the context, as translated code sees it. */
#define CONTEXT(field)     (RUNTIME_BASE + (uint32_t)offsetof(struct runtime_context, field))
#define CONTEXT_GPR(n)     (CONTEXT(gpr) + 8 * (n))
#define CONTEXT_SCRATCH(n) (CONTEXT(scratch) + 8 * (n))

/* No translation, no exit, no code. */
#define NONE UINT32_MAX

/*
 * A translated block: instructions in a row inside one page, or one instruction that lies across
 * two (crosses). Addresses of the guest stand in its code, so it is good for one linear address;
 * or, if it is relative, as offsets from the linear address of its page, which the code finds in
 * the tables of the space that it runs in: that code serves all processes, wherever each has it.
 */
struct translation {
	/* Looking it up reads these. */
	uint64_t gpa, linear; /* of its first byte; relative: its offset in the page */
	uint32_t mode;        /* what its decoding depended on */
	uint32_t hash_next;
	uint32_t home; /* of its page, if it is relative, or NO_HOME (space.h) */

	uint16_t bytes;
	uint8_t n_insns;
	bool valid, crosses;
	uint32_t code, code_end; /* offsets in the run-time area */
	uint32_t thunk;          /* where indirect branches enter, or NONE */
	uint32_t first_mark, n_marks;
	uint32_t page_next[2]; /* the lists of the pages of gpa and second_gpa */
	uint64_t second_gpa;   /* crosses: of the second page */
};

/* Beside enum mode_bits in its mode: its instructions share no look-ups. It does what the other one
 * does, and leads to what that leads to. */
#define MODE_ALONE (1u << (MODE_BITS + 5))

/* Likewise: a loop from its first instruction to the branch back, written as one; it leads to the
 * translation without for what it does not do itself. */
#define MODE_LOOP (1u << (MODE_BITS + 7))

/* Likewise: what is relative is another translation. */
#define MODE_RELATIVE (1u << (MODE_BITS + 6))

/* Where the guest's state is when the host instruction of a mark faults. */
enum mark_state {
	MARK_COUNT_SAVED = 1, /* the count is in context->count, not in R11 */
	MARK_RCX_SAVED = 2,   /* RCX is in context->scratch[SCRATCH_RCX] */
	MARK_COUNT_AHEAD = 4, /* the count is that of the block's end already */
	MARK_RDI_BIASED = 8,
	MARK_REPEATED = 16, /* RCX was context->scratch[SCRATCH_RCX]: an iteration counts each */
};

struct mark {
	uint32_t code;   /* offset of the host instruction */
	uint16_t offset; /* of the guest's, in its block */
	uint8_t n;       /* guest instructions before it in the block */
	uint8_t state;   /* enum mark_state */
};

/* Uses of context->scratch. */
enum scratch_slot { SCRATCH_RCX, SCRATCH_RAX, SCRATCH_FLAGS };

enum site_kind {
	SITE_POLL,
	SITE_INTERP,
	SITE_MISS,
	SITE_NEAR,  /* a direct branch inside the page; patch leads to it or to its exit */
	SITE_ALONE, /* on with the same instructions, translated without shared look-ups; as NEAR */
	SITE_LOOP,  /* a branch back that has been taken often; as NEAR */
	SITE_FAR,   /* a direct branch out of the page, or to an instruction that crosses: a link */
};

/* A place where translated code leaves. */
struct site {
	uint64_t rip;      /* of the guest, after leaving; as from's linear */
	uint8_t kind;      /* enum site_kind */
	uint16_t mnemonic; /* SITE_INTERP: of the instruction at rip */
	uint32_t patch;    /* SITE_NEAR, _ALONE, _LOOP: offset of the branch's displacement */
	uint32_t link;     /* SITE_FAR: its slot in struct runtime_space */
	uint32_t from;     /* the translation that it belongs to */
};

struct code_page {
	uint32_t first; /* translation, or NONE */
	uint32_t lines; /* bit n: bytes [128 n, 128 n + 128) hold translated instructions */
	uint32_t home;  /* of what is relative in it, or NO_HOME */
};

#define CACHE_BUCKETS 262144u

struct code_cache {
	struct machine *machine;
	enum page_flags flag;           /* of pages that hold what is translated */
	struct emitter emitter;         /* the rest of the part that is being written */
	uint32_t start, end;            /* of the cache, behind what is always there */
	uint32_t seldom_start;          /* of the second part */
	uint32_t seldom_at, seldom_end; /* the rest of the part that is not being written */
	struct translation *translations;
	struct mark *marks;
	struct site *sites;
	uint32_t n_translations, n_marks, n_sites;
	uint32_t max_translations, max_marks, max_sites;
	struct code_page *pages;            /* by page number */
	uint32_t leave[RUNTIME_EXIT_COUNT]; /* code that sites' exits jump to */
	uint32_t second_lookup;             /* code that looks among the victims */
	bool overfull;                      /* dropping found no room: flush before anything runs */
	struct translator_statistics *statistics;
	uint32_t buckets[CACHE_BUCKETS];
};

/*
 * area: the run-time area as mapped for writing. base: where it runs. bytes: bound of the cache.
 * Returns 0 or a negative errno. The memory's listener is the caller's to register:
 * code_cache_on_write().
 */
int code_cache_create(struct machine *machine, enum page_flags flag, uint8_t *area, uint32_t base,
		      uint32_t bytes, struct translator_statistics *statistics,
		      struct code_cache **ret_cache);
void code_cache_destroy(struct code_cache *cache);

/* Drops all translations; code in front of start (the trampolines) stays. */
void code_cache_flush(struct code_cache *cache);

/* From here on translations go behind what has been emitted. */
void code_cache_begin(struct code_cache *cache);

/* The emitter goes on in the other part of the cache: from blocks to what seldom runs, which would
 * keep them apart, and back. */
void code_cache_turn(struct code_cache *cache);

/* Whether there is room for another run of translations. */
bool code_cache_has_room(const struct code_cache *cache);

uint32_t code_cache_lookup(const struct code_cache *cache, uint64_t gpa, uint64_t linear,
			   uint32_t mode);

/* The home of a page; NULL when there is no memory. */
uint32_t *code_cache_home(const struct code_cache *cache, uint64_t gpa);

/* Lists a translation that is complete. */
void code_cache_add(struct code_cache *cache, uint32_t index);

/* The translations that have bytes in a page: the first, and the one after another; dropped ones
 * may be among them. */
uint32_t code_cache_first_in_page(const struct code_cache *cache, uint64_t gpa);
uint32_t code_cache_next_in_page(const struct code_cache *cache, uint32_t index, uint64_t gpa);

/* Drops one that no longer is what would be fetched. */
void code_cache_drop(struct code_cache *cache, uint32_t index);

/* Drops those that hold any of n bytes at gpa, inside one page, but not in these modes. */
void code_cache_drop_bytes(struct code_cache *cache, uint64_t gpa, uint32_t n, uint32_t but);

/* Drops those that an answer says so of. */
void code_cache_drop_if(struct code_cache *cache,
			bool (*goes)(const void *ctx, const struct translation *translation),
			const void *ctx);

/* n bytes at gpa, inside one page, are about to change. */
void code_cache_on_write(struct code_cache *cache, uint64_t gpa, uint32_t n);

/* The translation and mark of a faulting host instruction at an offset of the area, or NULL. */
const struct mark *code_cache_find_mark(const struct code_cache *cache, uint32_t code,
					const struct translation **ret_translation);

/* A new site; NONE when there is no room. */
uint32_t code_cache_add_site(struct code_cache *cache, const struct site *site);

/* How translated code leaves at a site. */
enum runtime_exit code_cache_exit(const struct site *site);

/* Emits the exit of a site at the emitter's place. */
void code_cache_emit_exit(struct code_cache *cache, struct emitter *e, uint32_t site);

#endif
