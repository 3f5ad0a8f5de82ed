#include "vmm/translate/translator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/cpu/flags.h"
#include "vmm/translate/translate.h"

/* Flags that translated code holds itself; the others stay in struct cpu. */
#define LIVE_FLAGS (FLAGS_ARITH | FLAG_DF)

/* ---- creation ---- */

static void on_code_write(void *ctx, uint64_t gpa, uint32_t n)
{
	struct translator *t = ctx;
	code_cache_on_write(t->cache, gpa, n);
}

static int open_area(struct translator *t)
{
	t->fd = memfd_create("reprise-runtime", MFD_CLOEXEC);
	if (t->fd < 0 || ftruncate(t->fd, RUNTIME_AREA_BYTES))
		return -errno;
	t->area = mmap(NULL, RUNTIME_AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		       t->fd, 0);
	if (t->area == MAP_FAILED) {
		t->area = NULL;
		return -errno;
	}
	t->context = (struct runtime_context *)t->area;
	t->context->bias = t->config.bias;
	t->context->minus_bias = -t->config.bias;
	return 0;
}

int translator_create(const struct translator_config *config, struct translator **ret_translator)
{
	struct translator *t = calloc(1, sizeof(*t));
	uint32_t bytes = config->cache_bytes ? config->cache_bytes : RUNTIME_CODE_BYTES;

	if (!t)
		return -ENOMEM;
	t->config = *config;
	t->hot.samples = config->hot_samples;
	t->writer = config->writer ? config->writer : &writer_mmu;
	if (!config->base)
		t->config.base = RUNTIME_BASE;
	if (!config->flag)
		t->config.flag = PAGE_TRANSLATED;
	int r = open_area(t);
	if (!r)
		r = code_cache_create(config->machine, t->config.flag, t->area, t->config.base,
				      bytes < RUNTIME_CODE_BYTES ? bytes : RUNTIME_CODE_BYTES,
				      &t->statistics, &t->cache);
	if (!r)
		r = spaces_create(t->area, &t->spaces);
	if (r) {
		translator_destroy(t);
		return r;
	}
	if (!config->distrust_host)
		host_flags_probe(&t->host);
	t->writer->trampolines(t->cache, config);
	code_cache_begin(t->cache);
	memory_set_code_listener(config->machine->memory, t->config.flag,
				 &(struct memory_code_listener){on_code_write, t});
	*ret_translator = t;
	return 0;
}

void translator_destroy(struct translator *t)
{
	if (!t)
		return;
	memory_set_code_listener(t->config.machine->memory, t->config.flag, NULL);
	spaces_destroy(t->spaces);
	code_cache_destroy(t->cache);
	breakpoints_finish(&t->breakpoints);
	if (t->area)
		munmap(t->area, RUNTIME_AREA_BYTES);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

int translator_runtime_fd(const struct translator *t)
{
	return t->fd;
}

uint8_t *translator_runtime(const struct translator *t)
{
	return t->area;
}

struct runtime_context *translator_context(const struct translator *t)
{
	return t->context;
}

uint64_t translator_enter_address(const struct translator *t)
{
	return t->config.base + RUNTIME_CODE;
}

uint64_t translator_leave_address(const struct translator *t, enum runtime_exit exit)
{
	return t->config.base + t->cache->leave[exit];
}

const struct translator_statistics *translator_statistics(const struct translator *t)
{
	return &t->statistics;
}

uint64_t translator_interp_exits(const struct translator *t, uint16_t mnemonic)
{
	return mnemonic < INSN_MNEMONIC_COUNT ? t->interp_exits[mnemonic] : 0;
}

/* ---- dropping ---- */

void translator_flush(struct translator *t)
{
	code_cache_flush(t->cache);
	spaces_flush(t->spaces);
	hot_forget(&t->hot);
	t->generation++;
}

void translator_select_shared(struct translator *t, unsigned space, uint64_t lowest)
{
	t->selected = space;
	t->lowest = lowest;
	spaces_select(t->spaces, space);
}

void translator_select_space(struct translator *t, unsigned space)
{
	translator_select_shared(t, space, 0);
}

struct runtime_space *translator_selected_space(const struct translator *t)
{
	return (struct runtime_space *)(t->area + RUNTIME_SPACE_FILE(t->selected));
}

void translator_drop_space(struct translator *t, unsigned space)
{
	spaces_drop(t->spaces, space);
}

void translator_drop_page(struct translator *t, unsigned space, uint64_t linear)
{
	spaces_drop_page(t->spaces, space, linear);
}

/* It lies on an instruction of the translation, or did, and that ends before it. */
static bool depends_on_breakpoints(const void *ctx, const struct translation *translation)
{
	uint64_t first = translation->linear, last = first + translation->bytes;

	return translation->mode & MODE_RELATIVE ? breakpoints_lie_in_pages(ctx, first, last)
						 : breakpoints_lie_in(ctx, first, last);
}

int translator_set_breakpoints(struct translator *t, const uint64_t *linear, unsigned n)
{
	struct breakpoints next, different;
	int r = breakpoints_init(&next, linear, n);

	if (r)
		return r;
	r = breakpoints_compare(&t->breakpoints, &next, &different);
	if (r) {
		breakpoints_finish(&next);
		return r;
	}
	if (different.n)
		code_cache_drop_if(t->cache, depends_on_breakpoints, &different);
	breakpoints_finish(&different);
	breakpoints_finish(&t->breakpoints);
	t->breakpoints = next;
	return 0;
}

bool translator_has_breakpoint(const struct translator *t, uint64_t linear)
{
	return breakpoints_lie_in(&t->breakpoints, linear, linear);
}

/* ---- fetching ---- */

/* Where code is that may be fetched without setting accessed bits: interp sets them, with all that
 * follows where they are watched. */
static bool fetch(struct cpu *cpu, uint64_t linear, uint64_t *ret_gpa)
{
	const struct tlb_exec_entry *entry = tlb_exec_slot(cpu->tlb, linear);

	if (entry->tag == (linear & PAGE_MASK)) {
		*ret_gpa = entry->gpa | linear % PAGE_BYTES;
		return true;
	}
	return mmu_fetch_plain(cpu, linear, ret_gpa);
}

/* Whether the instruction at the code runs over the page's end. */
static bool reaches_over(const uint8_t *code, uint32_t n, uint32_t mode)
{
	struct insn insn;

	return n < INSN_MAX_BYTES && insn_decode(code, n, mode, &insn) == INSN_TRUNCATED;
}

static uint32_t translate_crossing(struct translator *t, const struct cpu *cpu,
				   struct source *source, const uint8_t *second)
{
	uint8_t bytes[INSN_MAX_BYTES];

	memcpy(bytes, source->code, source->n);
	memcpy(bytes + source->n, second, sizeof(bytes) - source->n);
	source->crosses = true;
	source->code = bytes;
	source->n = sizeof(bytes);
	return translate_source(t, cpu, source);
}

/* The page of a fetch's second half; NULL when there is none or it holds no code. */
static const uint8_t *fetch_second(struct translator *t, struct cpu *cpu, uint64_t linear,
				   uint64_t *ret_gpa)
{
	if (!fetch(cpu, (linear & PAGE_MASK) + PAGE_BYTES, ret_gpa))
		return NULL;
	return memory_page(t->config.machine->memory, *ret_gpa);
}

static uint32_t make_translation(struct translator *t, struct cpu *cpu, uint64_t gpa,
				 uint32_t alone)
{
	struct source source;

	if (!translate_find_source(t, cpu, gpa, cpu->rip, &source))
		return NONE;
	source.mode |= alone;
	if (!reaches_over(source.code, source.n, source.mode))
		return translate_source(t, cpu, &source);
	const uint8_t *second = fetch_second(t, cpu, cpu->rip, &source.second_gpa);
	return second ? translate_crossing(t, cpu, &source, second) : NONE;
}

/* A found translation that crosses is good only if its second page is where it was. */
static bool second_page_holds(struct translator *t, struct cpu *cpu, uint32_t index)
{
	struct translation *translation = &t->cache->translations[index];
	uint64_t gpa;

	if (!translation->crosses)
		return true;
	if (!fetch_second(t, cpu, cpu->rip, &gpa))
		return false;
	if (gpa == translation->second_gpa)
		return true;
	code_cache_drop(t->cache, index);
	return false;
}

/* The translation of cpu's RIP; made if it is missing. alone: MODE_ALONE or 0. */
static uint32_t find(struct translator *t, struct cpu *cpu, uint32_t alone)
{
	uint64_t gpa;

	if (t->cache->overfull)
		translator_flush(t);
	if (!fetch(cpu, cpu->rip, &gpa))
		return NONE;
	uint32_t index = translate_lookup(t, gpa, cpu->rip, translate_mode(t, cpu) | alone);
	if (index == NONE || !second_page_holds(t, cpu, index))
		return make_translation(t, cpu, gpa, alone);
	uint32_t home = t->cache->translations[index].home;
	if (home != NO_HOME)
		spaces_settle(t->spaces, home, cpu->rip & PAGE_MASK, true);
	return index;
}

/* ---- running ---- */

/* A kernel's AC lifts SMAP, which is the mmu's affair. */
static bool privilege_may_run(const struct translator *t, const struct cpu *cpu)
{
	if (!t->config.kernel && !(cpu->mode & MODE_SSE))
		return false;
	return cpu->cpl == 3 ? !(cpu->rflags_rest & FLAG_AC) : t->config.kernel && cpu->cpl == 0;
}

bool translator_may_run(const struct translator *t, const struct cpu *cpu)
{
	return privilege_may_run(t, cpu) && cpu_code64(cpu) && !cpu->attention &&
	       cpu->activity == ACTIVITY_RUNNING && cpu->shadow == SHADOW_NONE &&
	       !cpu->pending_db && !(cpu->dr7 & 0xff) && !(cpu->rflags_rest & (FLAG_TF | FLAG_RF));
}

/* Leads a link to the page at linear, if it leads there and its target is translated. */
static void warm_link(struct translator *t, uint32_t link, uint64_t gpa_page, uint64_t linear)
{
	uint64_t rip = spaces_link_rip(t->spaces, link);
	uint32_t mode = t->noted_mode[t->selected];

	if ((rip ^ linear) & PAGE_MASK || !spaces_link_is_usable(t->spaces, link) ||
	    spaces_link_is_set(t->spaces, link))
		return;
	uint32_t index = translate_lookup(t, gpa_page | rip % PAGE_BYTES, rip, mode);
	if (index != NONE && !t->cache->translations[index].crosses)
		spaces_set_link(t->spaces, link, translate_address(t, index));
}

/* Links what leads to a page that is used for the first time in this space. */
static void warm_links(struct translator *t, uint64_t gpa_page, uint64_t linear)
{
	uint32_t link = spaces_first_link(t->spaces, linear);

	for (; link != UINT32_MAX; link = spaces_next_link(t->spaces, link))
		warm_link(t, link, gpa_page, linear);
}

/* Likewise from and to pages that are translated for all spaces. */
static void warm_home(struct translator *t, uint32_t home)
{
	uint64_t gpa_page = spaces_home_gpa(t->spaces, home);
	uint64_t linear = spaces_home(t->spaces, home);
	uint32_t link;

	for (link = spaces_first_to(t->spaces, home); link != UINT32_MAX;
	     link = spaces_next_to(t->spaces, link))
		warm_link(t, link, gpa_page, linear);
	for (link = spaces_first_from(t->spaces, home); link != UINT32_MAX;
	     link = spaces_next_from(t->spaces, link)) {
		uint32_t to = spaces_link_target(t->spaces, link);
		if (to != NO_HOME && spaces_home_is_warm(t->spaces, to))
			warm_link(t, link, spaces_home_gpa(t->spaces, to),
				  spaces_home(t->spaces, to));
	}
}

static void warm_lookups(struct translator *t, const struct translation *found)
{
	uint64_t gpa_page = found->gpa & PAGE_MASK;
	uint32_t index = code_cache_first_in_page(t->cache, gpa_page);

	for (; index != NONE; index = code_cache_next_in_page(t->cache, index, gpa_page)) {
		const struct translation *other = &t->cache->translations[index];
		if (other->valid && other->mode == found->mode && !other->crosses &&
		    other->thunk != NONE && !((other->linear ^ found->linear) & PAGE_MASK))
			translate_note(t, translate_linear(t, index), index);
	}
}

/* What is known of the page of a translation that was found serves this space too. */
static void warm_page(struct translator *t, uint32_t index)
{
	const struct translation *translation = &t->cache->translations[index];
	uint64_t linear = translate_linear(t, index);

	if (linear < t->lowest || spaces_page_is_warm(t->spaces, linear, translation->home))
		return;
	warm_links(t, translation->gpa & PAGE_MASK, linear);
	if (translation->home != NO_HOME)
		warm_home(t, translation->home);
	warm_lookups(t, translation);
}

/* What was noted holds in one mode. */
static void keep_mode(struct translator *t, const struct cpu *cpu)
{
	uint32_t mode = translate_mode(t, cpu);

	if (mode == t->noted_mode[t->selected])
		return;
	spaces_drop(t->spaces, t->selected);
	t->noted_mode[t->selected] = mode;
}

uint64_t translator_noted(struct translator *t, const struct cpu *cpu)
{
	/* Thunks are for translated code alone. */
	if (t->writer->thunks || t->cache->overfull || !translator_may_run(t, cpu))
		return 0;
	keep_mode(t, cpu);
	return spaces_noted(t->spaces, cpu->rip);
}

uint64_t translator_find(struct translator *t, struct cpu *cpu)
{
	if (!translator_may_run(t, cpu))
		return 0;
	keep_mode(t, cpu);
	uint32_t index = find(t, cpu, 0);
	if (index == NONE)
		return 0;
	warm_page(t, index);
	translate_note(t, cpu->rip, index);
	return translate_address(t, index);
}

void translator_enter(struct translator *t, const struct cpu *cpu, uint64_t entry, uint64_t budget)
{
	struct runtime_context *context = t->context;
	const struct machine *machine = t->config.machine;

	memcpy(context->gpr, cpu->gpr, sizeof(context->gpr));
	context->gpr[RSP] += t->config.bias;
	context->rflags = (cpu_rflags(cpu) & LIVE_FLAGS) | FLAG_FIXED;
	if (budget - machine->icount > RUNTIME_BUDGET_MAX)
		budget = machine->icount + RUNTIME_BUDGET_MAX;
	context->count = machine->icount - budget;
	context->entry = entry;
	context->tsc_base = machine->clock.base + cpu->tsc_offset;
	context->tsc_count = budget - machine->clock.base_icount;
	context->tsc_ratio = machine->clock.ratio;
	context->tsc_aux = (uint32_t)cpu->tsc_aux;
	context->fs_base = cpu->seg[SEG_FS].base + t->config.bias;
	context->exit = RUNTIME_EXIT_NONE;
	t->entered = machine->icount;
	t->budget = budget;
}

static void take_flags(struct cpu *cpu, uint64_t rflags)
{
	flags_set_arith(cpu, rflags & FLAGS_ARITH);
	cpu->rflags_rest = (cpu->rflags_rest & ~(uint64_t)FLAG_DF) | (rflags & FLAG_DF);
}

static void take_count(struct translator *t, uint64_t count)
{
	t->statistics.counted += count - t->entered;
	t->entered = count;
	t->config.machine->icount = count;
}

uint64_t translator_count(const struct translator *t)
{
	return t->context->count + t->budget;
}

/* What translated code can have counted to since it was entered. */
static bool count_is_possible(const struct translator *t, uint64_t count)
{
	uint64_t end = t->budget + translator_poll_bound(t);

	return count - t->entered < end - t->entered;
}

bool translator_has_left(const struct translator *t)
{
	const struct runtime_context *context = t->context;
	uint64_t site = context->exit_arg;

	return site < t->cache->n_sites &&
	       code_cache_exit(&t->cache->sites[site]) == context->exit &&
	       count_is_possible(t, context->count + t->budget);
}

uint64_t translator_target(const struct translator *t)
{
	return translate_rip(t, &t->cache->sites[(uint32_t)t->context->exit_arg]);
}

bool translator_continue(struct translator *t, struct cpu *cpu)
{
	uint32_t number = (uint32_t)t->context->exit_arg;
	uint64_t generation = t->generation;

	t->statistics.exits[RUNTIME_EXIT_LINK]++;
	/* Before finding, which may drop the site, or have its page lie elsewhere. */
	cpu->rip = translator_target(t);
	bool alone = t->cache->sites[number].kind == SITE_ALONE;
	uint32_t index = find(t, cpu, alone ? MODE_ALONE : 0);
	if (index == NONE)
		return false;
	if (!alone)
		warm_page(t, index);
	if (generation == t->generation && t->cache->sites[number].kind == SITE_LOOP) {
		uint32_t loop = translate_loop(t, cpu, index);
		if (generation != t->generation)
			return false;
		index = loop == NONE ? index : loop;
	}
	if (generation == t->generation)
		translate_link(t, &t->cache->sites[number], index);
	t->context->entry = translate_address(t, index);
	return true;
}

void translator_leave(struct translator *t, struct cpu *cpu)
{
	const struct runtime_context *context = t->context;

	memcpy(cpu->gpr, context->gpr, sizeof(context->gpr));
	cpu->gpr[RSP] -= t->config.bias;
	take_flags(cpu, context->rflags);
	take_count(t, context->count + t->budget);
	if (context->exit == RUNTIME_EXIT_LINK || context->exit == RUNTIME_EXIT_HERE)
		return; /* RIP is known */
	const struct site *site = &t->cache->sites[context->exit_arg];
	cpu->rip = translate_rip(t, site);
	t->statistics.exits[context->exit]++;
	if (site->kind == SITE_INTERP)
		t->interp_exits[site->mnemonic]++;
}

void translator_sample(struct translator *t, uint32_t whose)
{
	const struct site *site = &t->cache->sites[t->context->exit_arg];
	uint64_t gpa = t->cache->translations[site->from].gpa;
	uint64_t icount = t->config.machine->icount;

	if (icount - t->sampled < t->config.hot_insns)
		return;
	t->sampled = icount;
	if (hot_sample(&t->hot, gpa, whose))
		code_cache_drop_bytes(t->cache, gpa & ~(HOT_LINE_BYTES - 1), HOT_LINE_BYTES,
				      MODE_LOOP);
}

void translator_rewrite(struct translator *t, uint64_t gpa)
{
	hot_stale(&t->hot, gpa);
}

/* The count in front of the instruction of a mark. */
static uint64_t count_at(const struct translator *t, const struct runtime_registers *registers,
			 const struct translation *translation, const struct mark *mark)
{
	const struct runtime_context *context = t->context;
	uint64_t count = mark->state & MARK_COUNT_SAVED ? context->count : registers->gpr[R11];
	uint64_t rcx = registers->gpr[RCX];

	if (mark->state & MARK_RCX_SAVED)
		rcx = context->scratch[SCRATCH_RCX];
	if (mark->state & MARK_COUNT_AHEAD)
		count -= translation->n_insns;
	if (mark->state & MARK_REPEATED)
		count += context->scratch[SCRATCH_RCX] - rcx;
	return count + t->budget + mark->n;
}

bool translator_fault(struct translator *t, const struct runtime_registers *registers,
		      struct cpu *cpu)
{
	const struct runtime_context *context = t->context;
	const struct translation *translation;
	uint64_t code = registers->rip - t->config.base;
	const struct mark *mark = code < RUNTIME_LINEAR_BYTES
					  ? code_cache_find_mark(t->cache, code, &translation)
					  : NULL;

	if (!mark)
		return false;
	uint64_t count = count_at(t, registers, translation, mark);
	if (!count_is_possible(t, count))
		return false;
	t->statistics.faults++;
	memcpy(cpu->gpr, registers->gpr, sizeof(registers->gpr));
	cpu->gpr[RSP] -= t->config.bias;
	cpu->gpr[R11] = context->gpr[R11];
	if (mark->state & MARK_RCX_SAVED)
		cpu->gpr[RCX] = context->scratch[SCRATCH_RCX];
	if (mark->state & MARK_RDI_BIASED)
		cpu->gpr[RDI] -= t->config.bias;
	take_count(t, count);
	take_flags(cpu, registers->rflags);
	cpu->rip = translate_linear(t, (uint32_t)(translation - t->cache->translations)) +
		   mark->offset;
	return true;
}
