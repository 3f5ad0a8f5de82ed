#include "vmm/translate/generate.h"

#include <assert.h>
#include <string.h>

#include "vmm/translate/space.h"

/* ---- the count register ---- */

void generator_free_r11(struct generator *g)
{
	if (g->r11 != R11_COUNT)
		return;
	if (!g->count_saved)
		emit_store(g->e, CONTEXT(count), COUNT_REGISTER);
	g->count_saved = true;
	g->r11 = R11_OTHER;
}

void generator_restore_count(struct generator *g)
{
	if (g->r11 != R11_COUNT)
		emit_load(g->e, COUNT_REGISTER, CONTEXT(count));
	g->r11 = R11_COUNT;
}

void generator_load_guest_r11(struct generator *g)
{
	if (g->r11 == R11_GUEST)
		return;
	generator_free_r11(g);
	emit_load(g->e, COUNT_REGISTER, CONTEXT_GPR(R11));
	g->r11 = R11_GUEST;
}

void generator_spoil_r11(struct generator *g)
{
	generator_free_r11(g);
	g->r11 = R11_OTHER;
}

/* ---- marks and sites ---- */

uint64_t generator_rip(const struct generator *g)
{
	return g->plan->linear + g->plan->insns[g->at].offset;
}

uint64_t generator_next_rip(const struct generator *g)
{
	return generator_rip(g) + g->plan->insns[g->at].insn.length;
}

void generator_note_return(struct generator *g, uint64_t rip)
{
	if (branch_is_near(g, rip) && g->n_returns < MAX_RETURNS)
		g->returns[g->n_returns++] = g->base + rip;
}

void generator_mark(struct generator *g, uint8_t state)
{
	struct code_cache *cache = g->cache;

	if (cache->n_marks == cache->max_marks) {
		g->e->full = true;
		return;
	}
	cache->marks[cache->n_marks++] = (struct mark){
		.code = g->e->at,
		.offset = g->plan->insns[g->at].offset,
		.n = (uint8_t)g->at,
		.state = state | (g->r11 == R11_COUNT ? 0 : MARK_COUNT_SAVED) |
			 (g->ahead ? MARK_COUNT_AHEAD : 0),
	};
}

uint32_t generator_site(struct generator *g, enum site_kind kind, uint64_t rip)
{
	uint32_t site = code_cache_add_site(
		g->cache, &(struct site){.rip = rip, .kind = kind, .link = NONE, .from = g->index});

	g->e->full |= site == NONE;
	return site;
}

struct deferred *generator_defer(struct generator *g, enum deferred_kind kind, uint32_t patch)
{
	static struct deferred nowhere;

	if (g->n_deferred == MAX_DEFERRED) {
		g->e->full = true;
		return &nowhere;
	}
	struct deferred *deferred = &g->deferred[g->n_deferred++];
	*deferred = (struct deferred){.kind = kind, .patch = patch};
	return deferred;
}

/* ---- what was put off ---- */

static void emit_exit(struct generator *g, uint32_t site)
{
	if (site != NONE)
		code_cache_emit_exit(g->cache, g->e, site);
}

static void emit_count(struct generator *g, int n)
{
	if (n)
		emit_lea(g->e, COUNT_REGISTER, COUNT_REGISTER, GPR_ZERO, n);
}

static void finish_link(struct generator *g, const struct deferred *deferred)
{
	uint32_t link = (uint32_t)deferred->constant;

	if (deferred->patch != NONE) { /* jcc leads here: jmp [link] */
		emit_patch(g->e, deferred->patch, g->e->at);
		emit_jump_memory(g->e, space_link_address(link));
	}
	if (deferred->site == NONE)
		return;
	spaces_set_default(g->spaces, link, RUNTIME_BASE + g->e->at);
	emit_exit(g, deferred->site);
}

static void finish_constant(struct generator *g, const struct deferred *deferred)
{
	while (g->e->at % 8)
		emit8(g->e, 0xcc);
	uint32_t address = RUNTIME_BASE + g->e->at;
	if (!g->e->full)
		memcpy(g->e->base + deferred->patch, &address, sizeof(address));
	emit64(g->e, deferred->constant);
}

/* R11 holds the target, the count is in the context. */
static void finish_miss(struct generator *g, const struct deferred *deferred)
{
	emit_patch(g->e, deferred->patch, g->e->at);
	emit_store_imm(g->e, CONTEXT(hit), (int32_t)(RUNTIME_BASE + deferred->constant));
	emit_store_imm(g->e, CONTEXT(miss), 0);
	uint32_t immediate = g->e->at - 4;
	emit_jump_to(g->e, g->cache->second_lookup);
	uint32_t miss = RUNTIME_BASE + g->e->at;
	if (!g->e->full)
		memcpy(g->e->base + immediate, &miss, sizeof(miss));
	emit_load(g->e, RCX, CONTEXT_SCRATCH(SCRATCH_RCX));
	emit_load(g->e, COUNT_REGISTER, CONTEXT(count));
	emit_count(g, deferred->n);
	emit_exit(g, deferred->site);
}

static void finish_one(struct generator *g, const struct deferred *deferred)
{
	switch ((enum deferred_kind)deferred->kind) {
	case DEFERRED_EXIT:
		emit_patch(g->e, deferred->patch, g->e->at);
		emit_exit(g, deferred->site);
		break;
	case DEFERRED_POLL:
		emit_patch(g->e, deferred->patch, g->e->at);
		emit_encoding(g->e, &deferred->encoding);
		emit_count(g, deferred->n);
		emit_exit(g, deferred->site);
		break;
	case DEFERRED_RESTORE:
		emit_patch(g->e, deferred->patch, g->e->at);
		emit_load(g->e, RCX, CONTEXT_SCRATCH(SCRATCH_RCX));
		emit_count(g, deferred->n);
		emit_exit(g, deferred->site);
		break;
	case DEFERRED_REPEAT:
		emit_patch(g->e, deferred->patch, g->e->at);
		emit_load(g->e, RCX, CONTEXT_SCRATCH(SCRATCH_RCX));
		flags_restore(g);
		emit_exit(g, deferred->site);
		break;
	case DEFERRED_MISS:
		finish_miss(g, deferred);
		break;
	case DEFERRED_LINK:
		finish_link(g, deferred);
		break;
	case DEFERRED_CONSTANT:
		finish_constant(g, deferred);
		break;
	case DEFERRED_SLOW:
	case DEFERRED_FILL:
	case DEFERRED_RANGE:
	case DEFERRED_EXTENT:
	case DEFERRED_STATE:
	case DEFERRED_X87:
	case DEFERRED_HEAT:
		assert(!"put off by this writer");
	}
}

void generator_finish(struct generator *g)
{
	for (unsigned i = 0; i < g->n_deferred && !g->e->full; i++)
		finish_one(g, &g->deferred[i]);
	g->n_deferred = 0;
}

/* ---- one block ---- */

static void emit_insn(struct generator *g, const struct planned *planned)
{
	switch ((enum insn_class)planned->effect.cls) {
	case CLASS_COPY:
	case CLASS_VECTOR:
	case CLASS_X87:
		copy_emit(g, planned);
		break;
	case CLASS_NOTHING:
		break;
	case CLASS_LEA:
		lea_emit(g, planned);
		break;
	case CLASS_PUSH:
		push_emit(g, planned);
		break;
	case CLASS_POP:
		pop_emit(g, planned);
		break;
	case CLASS_LEAVE:
		leave_emit(g, planned);
		break;
	case CLASS_STRING:
		string_emit(g, planned);
		break;
	case CLASS_TSC:
		tsc_emit(g, planned);
		break;
	default:
		assert(!"planned what cannot be written");
	}
}

void generate_block(struct generator *g, const struct plan *plan)
{
	unsigned n = plan->end == END_BRANCH ? plan->n - 1 : plan->n;

	g->plan = plan;
	g->r11 = R11_COUNT;
	g->count_saved = false;
	g->ahead = false;
	g->stop = NONE;
	for (g->at = 0; g->at < n; g->at++) {
		if (plan->poll == POLL_IN_FRONT && plan->poll_at == g->at)
			poll_emit(g);
		emit_insn(g, &plan->insns[g->at]);
	}
	g->at = plan->n - 1;
	branch_emit(g);
}
