/* Making translations of guest code, and leading branches from one to the other. */
#include "vmm/translate/translate.h"

#include <string.h>

#define RUN_MAX_BLOCKS 16

/* The control word's bits that mask the six x87 exceptions. */
#define X87_MASKS 0x3fu

/* Beside enum mode_bits: RDTSC faults outside of CPL 0; an x87 exception may be pending. */
#define MODE_NO_TSC    (1u << (MODE_BITS + 1))
#define MODE_NO_X87    (1u << (MODE_BITS + 2))
#define MODE_KERNEL    (1u << (MODE_BITS + 3))
#define MODE_NO_VECTOR (1u << (MODE_BITS + 4)) /* not at all, or an exception may arise */

/* MXCSR's bits that mask the six SSE exceptions. */
#define MXCSR_MASKS 0x1f80u

uint32_t translate_mode(const struct translator *t, const struct cpu *cpu)
{
	uint32_t mode = cpu->mode;

	mode |= cpu->cr4 & CR4_TSD ? MODE_NO_TSC : 0;
	mode |= (cpu->fx.fcw & X87_MASKS) != X87_MASKS ? MODE_NO_X87 : 0;
	mode |= cpu->cpl == 0 ? MODE_KERNEL : 0;
	if (!(mode & MODE_SSE) ||
	    (t->writer->masked_only && (cpu->fx.mxcsr & MXCSR_MASKS) != MXCSR_MASKS))
		mode |= MODE_NO_VECTOR;
	return mode;
}

/* ---- code that is relative ---- */

/*
 * Programs and libraries that each process has elsewhere: of users, above what an absolute operand
 * reaches, and so far from both ends that no direct branch leads to an address that is none.
 */
#define RELATIVE_LOW  (UINT64_C(1) << 32)
#define RELATIVE_HIGH ((UINT64_C(1) << 47) - RELATIVE_LOW)

/* What translations of the code at linear are found by. */
struct key {
	uint64_t linear, base;
	uint32_t mode;
};

static struct key key_of(const struct translator *t, uint64_t linear, uint32_t mode)
{
	if (!t->writer->relative || (mode & MODE_KERNEL) || linear < RELATIVE_LOW ||
	    linear >= RELATIVE_HIGH)
		return (struct key){linear, 0, mode};
	return (struct key){linear % PAGE_BYTES, linear & PAGE_MASK, mode | MODE_RELATIVE};
}

uint32_t translate_lookup(const struct translator *t, uint64_t gpa, uint64_t linear, uint32_t mode)
{
	struct key key = key_of(t, linear, mode);

	return code_cache_lookup(t->cache, gpa, key.linear, key.mode);
}

/*
 * Has the page of a source lie where it is now, if its code is relative. What may not move does not
 * if something may lead to where it was. Returns false when that is so, or there is no home for it.
 */
static bool settle(struct translator *t, const struct source *source, bool move)
{
	uint32_t *home;

	if (!(source->mode & MODE_RELATIVE))
		return true;
	home = code_cache_home(t->cache, source->gpa);
	if (home && *home == NO_HOME)
		*home = spaces_add_home(t->spaces, source->gpa);
	return home && *home != NO_HOME && spaces_settle(t->spaces, *home, source->base, move);
}

static uint64_t base_of(const struct translator *t, const struct translation *translation)
{
	return translation->home == NO_HOME ? 0 : spaces_home(t->spaces, translation->home);
}

uint64_t translate_linear(const struct translator *t, uint32_t index)
{
	const struct translation *translation = &t->cache->translations[index];

	return base_of(t, translation) + translation->linear;
}

uint64_t translate_rip(const struct translator *t, const struct site *site)
{
	return base_of(t, &t->cache->translations[site->from]) + site->rip;
}

/* ---- translating ---- */

static uint32_t begin_translation(struct translator *t, const struct source *source,
				  const struct plan *plan)
{
	struct code_cache *cache = t->cache;
	uint32_t index = cache->n_translations;

	if (index == cache->max_translations) {
		cache->emitter.full = true;
		return NONE;
	}
	cache->n_translations++;
	cache->translations[index] = (struct translation){
		.gpa = plan->gpa,
		.linear = plan->linear,
		.second_gpa = source->second_gpa,
		.mode = source->mode,
		.home = t->generator.home,
		.bytes = plan->bytes,
		.n_insns = (uint8_t)plan->n,
		.crosses = source->crosses,
		.code = cache->emitter.at,
		.thunk = NONE,
		.first_mark = cache->n_marks,
	};
	code_cache_add(cache, index);
	return index;
}

static unsigned max_insns(const struct translator *t)
{
	uint32_t max = t->config.max_insns;
	return max && max < BLOCK_MAX_INSNS ? max : BLOCK_MAX_INSNS;
}

/* A forward way through a page, and the blocks in which it begins and ends. */
uint32_t translator_poll_bound(const struct translator *t)
{
	return t->config.poll_often ? 2 * max_insns(t) : RUNTIME_POLL_BOUND;
}

static struct plan_rules rules_of(const struct translator *t, const struct source *source)
{
	return (struct plan_rules){
		.host = &t->host,
		.breakpoints = &t->breakpoints,
		.max_insns = max_insns(t),
		.poll_always = t->config.poll_often,
		.no_tsc = source->mode & MODE_NO_TSC,
		.no_x87 = (source->mode & MODE_NO_X87) || !(source->mode & MODE_SSE),
		.any_register = t->writer->any_register,
		.kernel = source->mode & MODE_KERNEL,
		.no_vector = source->mode & MODE_NO_VECTOR,
		.possible = t->writer->possible,
	};
}

static void place(struct plan *plan, const struct source *source, uint32_t offset)
{
	plan->gpa = source->gpa + offset;
	plan->linear = source->linear + offset;
	plan->crosses = source->crosses;
	plan->relative = source->mode & MODE_RELATIVE;
}

static bool plan_at(struct translator *t, const struct source *source, uint32_t offset,
		    struct plan *plan)
{
	const struct plan_rules rules = rules_of(t, source);

	place(plan, source, offset);
	return plan_block(plan, source->code + offset, source->n - offset, source->mode, &rules);
}

/* What is written from here on is the translation's, which is begun. */
static uint32_t begin_writing(struct translator *t, const struct source *source,
			      const struct plan *plan)
{
	uint32_t index = begin_translation(t, source, plan);

	if (index == NONE)
		return NONE;
	t->generator.index = index;
	t->generator.translation = &t->cache->translations[index];
	return index;
}

/* One block's code, without what follows it. */
static uint32_t emit_one(struct translator *t, const struct source *source, const struct plan *plan)
{
	uint32_t index = begin_writing(t, source, plan);
	bool hot = hot_is(&t->hot, plan->gpa) && !(source->mode & MODE_KERNEL);

	t->generator.extents = hot ? t->config.extents : NULL;
	if (index != NONE)
		t->writer->block(&t->generator, plan);
	return index;
}

static void end_translation(struct translator *t, const struct plan *plan)
{
	struct code_cache *cache = t->cache;
	struct translation *translation = t->generator.translation;

	translation->code_end = cache->emitter.at;
	translation->n_marks = cache->n_marks - translation->first_mark;
	t->statistics.blocks++;
	t->statistics.guest_bytes += plan->bytes;
}

/* Whether the run goes on with the block behind this one, so that no jump leads there. */
static bool run_goes_on(struct translator *t, const struct source *source, const struct plan *plan,
			uint32_t next, unsigned n_blocks)
{
	return !plan->far_end && !source->crosses && !(source->mode & MODE_ALONE) &&
	       next < source->n && n_blocks < RUN_MAX_BLOCKS &&
	       code_cache_lookup(t->cache, source->gpa + next, source->linear + next,
				 source->mode) == NONE;
}

static void setup_generator(struct translator *t, const struct source *source)
{
	struct generator *g = &t->generator;

	g->cache = t->cache;
	g->e = &t->cache->emitter;
	g->lowering = &lowering_mmu;
	g->writer = t->writer;
	g->spaces = t->spaces;
	g->home = source->mode & MODE_RELATIVE ? *code_cache_home(t->cache, source->gpa) : NO_HOME;
	g->base = source->base;
	g->n_deferred = 0;
	g->loop = NULL;
	g->extents = NULL;
	g->loop_heat = t->config.loop_heat;
}

/* Writes what was put off to the other part of the cache. before: where the code began. */
static void finish(struct translator *t, uint32_t before)
{
	t->statistics.code_bytes += t->cache->emitter.at - before;
	code_cache_turn(t->cache);
	before = t->cache->emitter.at;
	t->writer->finish(&t->generator);
	t->statistics.code_bytes += t->cache->emitter.at - before;
	code_cache_turn(t->cache);
}

/* A run of blocks, each the one that the last falls through to. Returns the first, or NONE. */
static uint32_t translate_run(struct translator *t, const struct source *source)
{
	struct generator *g = &t->generator;
	struct plan *plan = &t->plans[0], *next_plan = &t->plans[1];
	uint32_t offset = 0, first = NONE, before = t->cache->emitter.at;

	setup_generator(t, source);
	if (!plan_at(t, source, offset, plan))
		return NONE;
	uint32_t thunk = g->e->at;
	if (source->returned_to && t->writer->thunks)
		emit_load(g->e, RCX, CONTEXT_SCRATCH(SCRATCH_RCX));
	for (unsigned n = 1; !g->e->full; n++) {
		uint32_t index = emit_one(t, source, plan);
		if (first == NONE && index != NONE && source->returned_to)
			t->cache->translations[index].thunk = thunk;
		first = first == NONE ? index : first;
		offset += plan->bytes;
		bool falls = branch_falls_through(plan);
		bool goes_on = falls && run_goes_on(t, source, plan, offset, n) &&
			       plan_at(t, source, offset, next_plan);
		if (falls && !goes_on)
			t->writer->next(g);
		end_translation(t, plan);
		if (!goes_on)
			break;
		struct plan *done = plan;
		plan = next_plan;
		next_plan = done;
	}
	finish(t, before);
	return g->e->full ? NONE : first;
}

/* ---- loops ---- */

static uint32_t write_loop(struct translator *t, const struct source *source, uint32_t code)
{
	struct plan *plan = &t->plans[0];
	struct plan_rules rules = rules_of(t, source);
	uint32_t before = t->cache->emitter.at;

	rules.max_insns = BLOCK_MAX_INSNS;
	place(plan, source, 0);
	if (!plan_loop(plan, source->code, source->n, source->mode, &rules) ||
	    !t->writer->loop_is_possible(plan))
		return NONE;
	setup_generator(t, source);
	uint32_t index = begin_writing(t, source, plan);
	if (index == NONE)
		return NONE;
	t->writer->loop(&t->generator, plan, code);
	end_translation(t, plan);
	finish(t, before);
	t->statistics.loops++;
	return index;
}

uint32_t translate_loop(struct translator *t, const struct cpu *cpu, uint32_t index)
{
	const struct translation *first = &t->cache->translations[index];
	struct source source;

	if (first->crosses || !t->writer->loop || !code_cache_has_room(t->cache) ||
	    !translate_find_source(t, cpu, first->gpa, cpu->rip, &source))
		return NONE;
	source.mode |= MODE_LOOP;
	uint32_t loop = code_cache_lookup(t->cache, source.gpa, source.linear, source.mode);
	if (loop == NONE)
		loop = write_loop(t, &source, first->code);
	if (!t->cache->emitter.full)
		return loop;
	t->statistics.flushes++;
	translator_flush(t);
	return NONE;
}

/* ---- linking ---- */

uint64_t translate_address(const struct translator *t, uint32_t index)
{
	return t->config.base + t->cache->translations[index].code;
}

/*
 * A branch inside the page to an instruction that crosses into the next: through a link of its own.
 * What has been dropped goes on by such a branch, and other links may lead there: by one of those
 * it would go round in circles.
 */
static void make_far(struct translator *t, struct site *site)
{
	struct emitter *e = &t->cache->emitter;
	const struct translation *from = &t->cache->translations[site->from];
	uint32_t link = spaces_add_link(t->spaces, site->rip, from->home), thunk = e->at;

	if (link == UINT32_MAX)
		return;
	site->kind = SITE_FAR;
	site->link = link;
	t->writer->jump_link(e, link);
	spaces_set_default(t->spaces, link, t->config.base + e->at);
	code_cache_emit_exit(t->cache, e, (uint32_t)(site - t->cache->sites));
	emit_patch(e, site->patch, thunk);
}

/* A link leads to its target in this space; and it is remembered which page that was. */
static void lead(struct translator *t, const struct site *site, uint32_t target)
{
	uint64_t rip = translate_rip(t, site);
	uint32_t home = t->cache->translations[target].home;

	if (rip < t->lowest || rip != translate_linear(t, target) ||
	    !spaces_link_is_usable(t->spaces, site->link))
		return;
	if (home != NO_HOME)
		spaces_set_target(t->spaces, site->link, home);
	spaces_set_link(t->spaces, site->link, translate_address(t, target));
}

void translate_link(struct translator *t, struct site *site, uint32_t target)
{
	const struct translation *from = &t->cache->translations[site->from];
	const struct translation *to = &t->cache->translations[target];

	if (site->kind != SITE_FAR) {
		if ((from->gpa ^ to->gpa) & PAGE_MASK ||
		    ((from->mode ^ to->mode) & ~(MODE_ALONE | MODE_LOOP)))
			return;
		if (!to->crosses) {
			emit_patch(&t->cache->emitter, site->patch, to->code);
			return;
		}
		make_far(t, site);
	}
	if (site->kind == SITE_FAR)
		lead(t, site, target);
}

void translate_note(struct translator *t, uint64_t rip, uint32_t index)
{
	struct translation *translation = &t->cache->translations[index];
	struct emitter *e = &t->cache->emitter;

	if (rip < t->lowest)
		return;
	if (!t->writer->thunks)
		translation->thunk = translation->code;
	if (translation->thunk == NONE) {
		if (!code_cache_has_room(t->cache))
			return;
		translation->thunk = e->at;
		emit_load(e, RCX, CONTEXT_SCRATCH(SCRATCH_RCX));
		emit_jump_to(e, translation->code);
	}
	spaces_note(t->spaces, rip, t->config.base + translation->thunk);
}

bool translate_find_source(struct translator *t, const struct cpu *cpu, uint64_t gpa,
			   uint64_t linear, struct source *ret_source)
{
	const uint8_t *page = memory_page(t->config.machine->memory, gpa);
	struct key key = key_of(t, linear, translate_mode(t, cpu));

	if (!page)
		return false;
	*ret_source = (struct source){
		.gpa = gpa,
		.linear = key.linear,
		.base = key.base,
		.mode = key.mode,
		.code = page + gpa % PAGE_BYTES,
		.n = PAGE_BYTES - gpa % PAGE_BYTES,
	};
	return true;
}

/* The code at another address of the same page, which counts as the source's. */
static struct source source_at(const struct source *source, uint64_t rip)
{
	struct source other = *source;
	uint32_t offset = rip % PAGE_BYTES;

	other.mode &= ~MODE_ALONE;

	other.gpa = (source->gpa & PAGE_MASK) | offset;
	other.linear = rip;
	other.code = source->code - source->linear % PAGE_BYTES + offset;
	other.n = PAGE_BYTES - offset;
	other.returned_to = false;
	return other;
}

/* Not what lies across two pages: the second one has not been looked at. */
static uint32_t find_or_translate(struct translator *t, const struct source *source)
{
	if (!settle(t, source, false))
		return NONE;
	uint32_t index = code_cache_lookup(t->cache, source->gpa, source->linear, source->mode);
	if (index != NONE)
		return t->cache->translations[index].crosses ? NONE : index;
	if (!code_cache_has_room(t->cache))
		return NONE;
	t->ahead++;
	return translate_run(t, source);
}

static void link_ahead(struct translator *t, const struct source *source, uint32_t site)
{
	struct source target = source_at(source, t->cache->sites[site].rip);
	uint32_t index = find_or_translate(t, &target);

	if (index != NONE && !t->cache->emitter.full)
		translate_link(t, &t->cache->sites[site], index);
}

/* A page whose fetch translation is cached: finding it changes nothing. */
static bool peek_fetch(const struct cpu *cpu, uint64_t linear, uint64_t *ret_gpa)
{
	const struct tlb_exec_entry *entry = tlb_exec_slot(cpu->tlb, linear);

	*ret_gpa = entry->gpa | linear % PAGE_BYTES;
	return entry->tag == (linear & PAGE_MASK);
}

static void link_ahead_far(struct translator *t, const struct cpu *cpu, uint32_t site)
{
	struct source target;
	uint64_t gpa, rip = translate_rip(t, &t->cache->sites[site]);

	if (!peek_fetch(cpu, rip, &gpa) || !translate_find_source(t, cpu, gpa, rip, &target))
		return;
	uint32_t index = find_or_translate(t, &target);
	if (index != NONE && !t->cache->emitter.full)
		translate_link(t, &t->cache->sites[site], index);
}

/* Where a call will return to. */
static void note_ahead(struct translator *t, const struct cpu *cpu, uint64_t rip)
{
	struct source target;
	uint64_t gpa;

	if (!peek_fetch(cpu, rip, &gpa) || !translate_find_source(t, cpu, gpa, rip, &target))
		return;
	target.returned_to = true;
	uint32_t index = find_or_translate(t, &target);
	if (index != NONE && !t->cache->emitter.full)
		translate_note(t, rip, index);
}

static void ahead_of_site(struct translator *t, const struct cpu *cpu, const struct source *source,
			  uint32_t site)
{
	const struct site *s = &t->cache->sites[site];
	const struct translation *from = &t->cache->translations[s->from];
	bool same = !((from->gpa ^ source->gpa) & PAGE_MASK) &&
		    !((from->linear ^ source->linear) & PAGE_MASK);

	if (s->kind == SITE_NEAR && same)
		link_ahead(t, source, site);
	else if (s->kind == SITE_FAR)
		link_ahead_far(t, cpu, site);
}

/* Translates what the new code's branches lead to, and links them. */
static void translate_ahead(struct translator *t, const struct cpu *cpu,
			    const struct source *source, uint32_t site)
{
	struct code_cache *cache = t->cache;
	unsigned returns = 0;

	t->ahead = 0;
	while (t->ahead < t->config.ahead && !cache->emitter.full) {
		if (site < cache->n_sites) {
			ahead_of_site(t, cpu, source, site++);
		} else if (returns < t->generator.n_returns) {
			note_ahead(t, cpu, t->generator.returns[returns++]);
		} else {
			break;
		}
	}
}

uint32_t translate_source(struct translator *t, const struct cpu *cpu, const struct source *source)
{
	uint32_t first_site;

	if (!code_cache_has_room(t->cache)) {
		t->statistics.flushes++;
		translator_flush(t);
	}
	first_site = t->cache->n_sites;
	t->generator.n_returns = 0;
	uint32_t index = NONE;
	if (settle(t, source, true))
		index = translate_run(t, source);
	else
		t->cache->emitter.full = true; /* there is no home left */
	if (index != NONE && !source->crosses)
		translate_ahead(t, cpu, source, first_site);
	if (t->cache->emitter.full) {
		t->statistics.flushes++;
		translator_flush(t);
		return NONE;
	}
	return index;
}
