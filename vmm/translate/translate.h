/* The translator's inside: what finds guest code (translator.c) asks for its translation here. */
#ifndef REPRISE_VMM_TRANSLATE_TRANSLATE_H
#define REPRISE_VMM_TRANSLATE_TRANSLATE_H

#include <Zydis/Mnemonic.h>

#include "vmm/cpu/breakpoints.h"
#include "vmm/translate/generate.h"
#include "vmm/translate/hot.h"
#include "vmm/translate/space.h"
#include "vmm/translate/translator.h"
#include "vmm/translate/writer.h"

struct translator {
	struct translator_config config;
	const struct writer *writer;
	int fd;
	uint8_t *area;
	struct runtime_context *context;
	struct code_cache *cache;
	struct spaces *spaces;
	struct host_flags host;
	uint64_t generation;                 /* counts flushes */
	uint64_t entered;                    /* count when translated code was entered */
	uint64_t budget;                     /* what R11 is less than the count by */
	unsigned selected;                   /* space */
	uint64_t lowest;                     /* address that is noted there */
	uint32_t noted_mode[RUNTIME_TABLES]; /* in which what is noted in each was translated */
	unsigned ahead;                      /* runs translated because others lead there */
	struct translator_statistics statistics;
	uint64_t interp_exits[INSN_MNEMONIC_COUNT];
	struct breakpoints breakpoints;
	struct hot hot;
	uint64_t sampled; /* the count at the last sample */
	struct generator generator;
	struct plan plans[2];
};

/* Guest code to be translated, as found by a fetch. */
struct source {
	uint64_t gpa, second_gpa;
	uint64_t linear; /* as struct translation's */
	uint64_t base;   /* what that counts from here and now */
	uint32_t mode;
	const uint8_t *code;
	uint32_t n;
	bool crosses;
	bool returned_to; /* indirect branches enter at the first block */
};

/* What a translation depends on. */
uint32_t translate_mode(const struct translator *t, const struct cpu *cpu);

/* The code that is fetched from gpa at linear. False when there is no memory. */
bool translate_find_source(struct translator *t, const struct cpu *cpu, uint64_t gpa,
			   uint64_t linear, struct source *ret_source);

/* Translates the code, and ahead what it leads to. Returns the translation's index, or NONE. May
 * flush. */
uint32_t translate_source(struct translator *t, const struct cpu *cpu, const struct source *source);

/* The translation of the code that is fetched from gpa at linear, or NONE. mode: as
 * translate_mode() says, and MODE_ALONE. */
uint32_t translate_lookup(const struct translator *t, uint64_t gpa, uint64_t linear, uint32_t mode);

/*
 * The loop that begins where a translation does, at cpu's RIP, as one; made if it can be, else
 * NONE. May flush.
 */
uint32_t translate_loop(struct translator *t, const struct cpu *cpu, uint32_t index);

/* In the selected space: where a translation begins, and where a site goes on. */
uint64_t translate_linear(const struct translator *t, uint32_t index);
uint64_t translate_rip(const struct translator *t, const struct site *site);

/* Where a translation is entered. */
uint64_t translate_address(const struct translator *t, uint32_t index);

/* Leads a branch to a translation, where the branch may be led there. */
void translate_link(struct translator *t, struct site *site, uint32_t target);

/* Where an indirect branch to rip enters: RCX is put back first. */
void translate_note(struct translator *t, uint64_t rip, uint32_t index);

#endif
