/*
 * The beginnings and ends of blocks. A block counts all its instructions as it begins, and leaves
 * there if they do not fit the budget; flags are in their slot at both ends.
 */
#include "vmm/jit/code.h"

#include <Zydis/Mnemonic.h>

#include "vmm/jit/loop.h"
#include "vmm/jit/share.h"
#include "vmm/mmu/mmu.h"
#include "vmm/translate/space.h"

/* ---- the beginning ---- */

bool jit_has_class(const struct plan *plan, enum insn_class cls)
{
	for (unsigned i = 0; i < plan->n; i++)
		if (plan->insns[i].effect.cls == cls)
			return true;
	return false;
}

/* Leads on through the deferred code of a kind if what was compared is not loaded. */
static void defer_load(struct generator *g, enum deferred_kind kind)
{
	struct deferred *load = generator_defer(g, kind, emit_jump_if(g->e, CC_Z));

	load->constant = g->e->at;
}

static void begin_block(struct generator *g)
{
	struct emitter *e = g->e;

	code_immediate(e, ALU_ADD, JIT_COUNT, (int32_t)g->plan->n, true);
	struct deferred *stop = generator_defer(g, DEFERRED_SLOW, emit_jump_if(e, CC_G));
	stop->n = (int8_t) - (int)g->plan->n;
	stop->site = generator_site(g, SITE_POLL, g->plan->linear);
	if (jit_has_class(g->plan, CLASS_X87)) {
		code_is_x87_loaded(e);
		defer_load(g, DEFERRED_X87);
	} else if (jit_has_class(g->plan, CLASS_VECTOR)) {
		code_is_loaded(e);
		defer_load(g, DEFERRED_STATE);
	}
}

/* ---- direct branches ---- */

void jit_jump_link(struct emitter *e, uint32_t link)
{
	uint32_t offset = (uint32_t)offsetof(struct runtime_space, link) + 8 * link;
	struct encoding jump = {.opcode = 0xff,
				.has_modrm = true,
				.memory = true,
				.reg = 4,
				.base = JIT_TEMP2,
				.index = GPR_ZERO,
				.disp = (int32_t)offset};

	emit_load(e, JIT_TEMP2, JIT_CONTEXT(space));
	emit_encoding(e, &jump);
}

/* Whether a branch that the block ends with may close a loop. */
static bool may_close_loop(const struct generator *g, uint64_t target)
{
	return g->loop_heat && !g->loop && branch_is_near(g, target) && target <= generator_rip(g);
}

/* Such a branch is counted; when it has been taken often enough the loop is translated as one. */
static void defer_heat(struct generator *g, uint64_t target, uint32_t patch)
{
	struct deferred *heat = generator_defer(g, DEFERRED_HEAT, patch);
	uint32_t code = branch_near_code(g, target);

	heat->constant = code;
	heat->other = code == NONE ? generator_site(g, SITE_NEAR, target) : NONE;
	heat->site = generator_site(g, SITE_LOOP, target);
	if (heat->site != NONE)
		g->cache->sites[heat->site].patch = patch;
}

static void jump_to(struct generator *g, uint64_t rip, bool near)
{
	uint32_t code = near ? branch_near_code(g, rip) : NONE;

	if (!near)
		jit_jump_link(g->e, branch_defer_far(g, rip, NONE));
	else if (code != NONE)
		emit_jump_to(g->e, code);
	else
		branch_defer_near(g, rip, emit_jump(g->e));
}

void jit_jump_to(struct generator *g, uint64_t rip)
{
	jump_to(g, rip, branch_is_near(g, rip));
}

static void write_conditional(struct generator *g)
{
	uint64_t target = branch_direct_target(g);

	code_load_flags(g);
	code_save_flags(g);
	uint32_t displacement = emit_jump_if(g->e, g->plan->insns[g->at].insn.opcode & 15);
	if (!branch_is_near(g, target)) {
		branch_defer_far(g, target, displacement);
		return;
	}
	if (may_close_loop(g, target)) {
		defer_heat(g, target, displacement);
		return;
	}
	uint32_t code = branch_near_code(g, target);
	if (code != NONE)
		emit_patch(g->e, displacement, code);
	else
		branch_defer_near(g, target, displacement);
}

void jit_write_next(struct generator *g)
{
	uint64_t rip = g->plan->linear + g->plan->bytes;

	jump_to(g, rip, branch_is_near(g, rip) && !g->plan->far_end);
}

/* mov qword [temp + disp], the return address */
static void store_return(struct generator *g, int32_t disp)
{
	uint64_t address = generator_next_rip(g);

	code_linear(g, JIT_TEMP2, address);
	code_memory(g->e, OP_STORE, JIT_TEMP2, JIT_TEMP, disp, true);
	generator_note_return(g, address);
}

static void push_return(struct generator *g)
{
	store_return(g, code_stack(g, RSP, -8, true, 8));
	emit_lea(g->e, RSP, RSP, GPR_ZERO, -8);
}

static void write_direct(struct generator *g, bool call)
{
	uint64_t target = branch_direct_target(g);

	if (call)
		push_return(g);
	code_save_flags(g);
	if (!call && may_close_loop(g, target))
		defer_heat(g, target, emit_jump(g->e));
	else
		jit_jump_to(g, target);
}

/* ---- indirect branches ---- */

#define LOOKUP_CODE ((int32_t)offsetof(struct runtime_space, code))

/* JIT_TEMP: the target. JIT_TEMP2 + LOOKUP_CODE is where its translation's address stands; or
 * interp runs the branch. */
static void look_up(struct generator *g)
{
	struct encoding low = {
		.map = 1, .opcode = 0xb7, .has_modrm = true, .reg = JIT_TEMP2, .rm = JIT_TEMP};

	code_lose_flags(g);
	emit_encoding(g->e, &low); /* movzx r10d, r11w */
	code_shift(g->e, SHIFT_LEFT, JIT_TEMP2, 3, false);
	code_memory(g->e, OP_ADD, JIT_TEMP2, GPR_ZERO, (int32_t)JIT_CONTEXT(space), true);
	code_memory(g->e, OP_ADD, JIT_TEMP, JIT_TEMP2, offsetof(struct runtime_space, minus_rip),
		    true);
	code_defer_slow(g, emit_jump_if(g->e, CC_NZ));
}

static void jump_found(struct generator *g)
{
	struct encoding jump = {.opcode = 0xff,
				.has_modrm = true,
				.memory = true,
				.reg = 4,
				.base = JIT_TEMP2,
				.index = GPR_ZERO,
				.disp = LOOKUP_CODE};
	emit_encoding(g->e, &jump);
}

static void write_return(struct generator *g)
{
	const struct insn *insn = &g->plan->insns[g->at].insn;
	int32_t popped = 8 + (insn->n_operands ? (int32_t)(insn->imm & 0xffff) : 0);

	int32_t disp = code_stack(g, RSP, 0, false, 8);
	code_memory(g->e, OP_LOAD, JIT_TEMP, JIT_TEMP, disp, true);
	look_up(g);
	emit_lea(g->e, RSP, RSP, GPR_ZERO, popped);
	jump_found(g);
}

static void load_target(struct generator *g, const struct insn *insn)
{
	const struct operand *operand = &insn->operand[0];

	if (operand->kind == OPERAND_MEM) {
		code_address(g, insn);
		code_translate(g, false, 8, false);
		code_memory(g->e, OP_LOAD, JIT_TEMP, JIT_TEMP, 0, true);
	} else if (code_is_displaced(operand->reg)) {
		emit_load(g->e, JIT_TEMP, CONTEXT_GPR(operand->reg));
	} else {
		emit_move(g->e, JIT_TEMP, operand->reg);
	}
}

static void write_indirect(struct generator *g, bool call)
{
	load_target(g, &g->plan->insns[g->at].insn);
	look_up(g);
	if (!call) {
		jump_found(g);
		return;
	}
	code_memory(g->e, OP_LOAD, JIT_TEMP2, JIT_TEMP2, LOOKUP_CODE, true);
	emit_store(g->e, JIT_CONTEXT(target), JIT_TEMP2);
	push_return(g);
	emit_jump_memory(g->e, JIT_CONTEXT(target));
}

/* ---- into kernels and out of them ---- */

static void leave_in_front(struct generator *g)
{
	uint32_t site = generator_site(g, SITE_INTERP, generator_rip(g));

	if (site == NONE)
		return;
	g->cache->sites[site].mnemonic = g->plan->insns[g->at].insn.mnemonic;
	emit_lea(g->e, JIT_COUNT, JIT_COUNT, GPR_ZERO, -1);
	code_cache_emit_exit(g->cache, g->e, site);
}

/* Called, and left in front of if that fails. */
static void write_transfer(struct generator *g)
{
	struct emitter *e = g->e;

	code_save_flags(g);
	code_linear(g, JIT_TEMP, generator_next_rip(g));
	emit_store(e, JIT_CONTEXT(next_rip), JIT_TEMP);
	emit_store_imm(e, JIT_CONTEXT(mnemonic), g->plan->insns[g->at].insn.mnemonic);
	emit_store_imm(e, JIT_CONTEXT(slow), 0);
	uint32_t immediate = e->at - 4;
	emit_jump_to(e, jit_offsets.transfer);
	emit_patch_address(e, immediate);
	leave_in_front(g);
}

/* ---- ends ---- */

static void write_branch(struct generator *g)
{
	const struct planned *last = &g->plan->insns[g->at];
	bool call = last->effect.cls == CLASS_CALL;

	if (last->effect.cls == CLASS_JCC)
		write_conditional(g);
	else if (last->effect.cls == CLASS_RET)
		write_return(g);
	else if (last->effect.cls == CLASS_STRING)
		jit_write_repeat(g, &last->insn);
	else if (last->effect.cls == CLASS_TRANSFER)
		write_transfer(g);
	else if (last->insn.operand[0].kind == OPERAND_IMM)
		write_direct(g, call);
	else
		write_indirect(g, call);
}

static void write_interp_exit(struct generator *g)
{
	struct deferred *deferred = generator_defer(g, DEFERRED_EXIT, emit_jump(g->e));

	deferred->site = generator_site(g, SITE_INTERP, g->plan->linear + g->plan->bytes);
	if (deferred->site != NONE)
		g->cache->sites[deferred->site].mnemonic = g->plan->left;
}

void jit_write_end(struct generator *g)
{
	if (g->plan->end == END_BRANCH) {
		write_branch(g);
		return;
	}
	code_save_flags(g);
	if (g->plan->end == END_INTERP)
		write_interp_exit(g);
}

/* ---- what was put off ---- */

static void emit_exit(struct generator *g, uint32_t site)
{
	if (site != NONE)
		code_cache_emit_exit(g->cache, g->e, site);
}

static void finish_slow(struct generator *g, const struct deferred *deferred)
{
	emit_lea(g->e, JIT_COUNT, JIT_COUNT, GPR_ZERO, deferred->n);
	emit_exit(g, deferred->site);
}

/* Asks the trampoline for a translation. The code behind is where it goes on without one. */
static void ask(struct emitter *e, const struct deferred *deferred, uint32_t fill)
{
	const struct jit_miss miss = {
		.retry = (uint32_t)(e->linear + deferred->constant),
		.bytes = deferred->bytes,
		.write = deferred->write,
	};

	emit_jump_to(e, fill);
	code_bytes(e, (const uint8_t *)&miss, sizeof(miss));
}

static void finish_fill(struct generator *g, const struct deferred *deferred)
{
	emit_store_imm(g->e, JIT_CONTEXT(slow), 0);
	uint32_t immediate = g->e->at - 4;
	ask(g->e, deferred, jit_offsets.fill);
	emit_patch_address(g->e, immediate);
	finish_slow(g, deferred);
}

/* add r11, the entry's tag; and whether the range from there lies across pages: jnz. */
static void test_one_page(struct emitter *e, uint16_t bytes)
{
	code_memory(e, OP_ADD, JIT_TEMP, JIT_TEMP2, offsetof(struct tlb_entry, tag), true);
	emit_lea(e, JIT_TEMP2, JIT_TEMP, GPR_ZERO, bytes - 1);
	code_register(e, OP_XOR, JIT_TEMP2, JIT_TEMP, true);
	code_shift(e, SHIFT_RIGHT, JIT_TEMP2, PAGE_SHIFT, true);
}

static void finish_range(struct generator *g, const struct deferred *deferred)
{
	struct emitter *e = g->e;

	emit_store_imm(e, JIT_CONTEXT(slow), 0);
	uint32_t immediate = e->at - 4;
	test_one_page(e, deferred->bytes);
	uint32_t across = emit_jump_if(e, CC_NZ);
	ask(e, deferred, jit_offsets.refill);
	emit_patch(e, across, e->at);
	emit_patch_address(e, immediate);
	emit_lea(e, JIT_COUNT, JIT_COUNT, GPR_ZERO, deferred->n);
	uint32_t onward = emit_jump(e);
	emit_patch(e, onward, e->at);
	if (deferred->site != NONE)
		g->cache->sites[deferred->site].patch = onward;
	emit_exit(g, deferred->site);
}

/* dec qword [JIT_TEMP2 + count]; it asks when that is 0. */
static void count_miss(struct emitter *e, uint32_t number)
{
	struct encoding dec = {.opcode = 0xff,
			       .wide = true,
			       .has_modrm = true,
			       .memory = true,
			       .reg = 1,
			       .base = JIT_TEMP2,
			       .index = GPR_ZERO,
			       .disp = EXTENT_FIELD(number, count)};

	emit_encoding(e, &dec);
	uint32_t over = emit_jump_if(e, CC_NZ);
	emit_store_imm(e, JIT_CONTEXT(slow), 0);
	uint32_t immediate = e->at - 4;
	emit_jump_to(e, jit_offsets.ask);
	code_bytes(e, (const uint8_t *)&number, sizeof(number));
	emit_patch_address(e, immediate);
	emit_patch(e, over, e->at);
}

/* The look-up goes on where the extent would have; its own miss is put off once more. */
static void finish_extent(struct generator *g, const struct deferred *deferred)
{
	struct emitter *e = g->e;

	code_memory(e, OP_ADD, JIT_TEMP, JIT_TEMP2, EXTENT_FIELD(deferred->other, first), true);
	count_miss(e, deferred->other);
	uint32_t patch = code_find_entry(e, deferred->write, deferred->bytes);
	struct deferred *miss = generator_defer(g, (enum deferred_kind)deferred->then, patch);
	miss->n = deferred->n;
	miss->site = deferred->site;
	miss->write = deferred->write;
	miss->bytes = deferred->bytes;
	miss->constant = e->at;
	code_add_host(e);
	emit_jump_to(e, (uint32_t)deferred->constant);
}

/* load: the trampoline. */
static void finish_state(struct generator *g, const struct deferred *deferred, uint32_t load)
{
	emit_store_imm(g->e, JIT_CONTEXT(retry), (int32_t)(g->e->linear + deferred->constant));
	emit_jump_to(g->e, load);
}

static void finish_link(struct generator *g, const struct deferred *deferred)
{
	uint32_t link = (uint32_t)deferred->constant;

	if (deferred->patch != NONE)
		jit_jump_link(g->e, link);
	if (deferred->site == NONE)
		return;
	spaces_set_default(g->spaces, link, g->e->linear + g->e->at);
	emit_exit(g, deferred->site);
}

static void finish_heat(struct generator *g, const struct deferred *deferred)
{
	struct emitter *e = g->e;
	uint32_t code = (uint32_t)deferred->constant, other = deferred->other;
	uint32_t heat = JIT_CONTEXT(heat) + deferred->site % LOOP_COUNTERS;

	loop_count_down(e, heat);
	uint32_t hot = emit_jump_if(e, CC_Z);
	if (code != NONE) {
		emit_jump_to(e, code);
	} else if (other != NONE) {
		uint32_t onward = emit_jump(e);
		emit_patch(e, onward, e->at);
		g->cache->sites[other].patch = onward;
		emit_exit(g, other);
	}
	emit_patch(e, hot, e->at);
	loop_set_counter(e, heat, g->loop_heat);
	emit_exit(g, deferred->site);
}

static void finish_one(struct generator *g, const struct deferred *deferred)
{
	if (deferred->patch != NONE)
		emit_patch(g->e, deferred->patch, g->e->at);
	switch ((enum deferred_kind)deferred->kind) {
	case DEFERRED_EXIT:
		emit_exit(g, deferred->site);
		break;
	case DEFERRED_SLOW:
		finish_slow(g, deferred);
		break;
	case DEFERRED_FILL:
		finish_fill(g, deferred);
		break;
	case DEFERRED_RANGE:
		finish_range(g, deferred);
		break;
	case DEFERRED_EXTENT:
		finish_extent(g, deferred);
		break;
	case DEFERRED_STATE:
		finish_state(g, deferred, jit_offsets.load_state);
		break;
	case DEFERRED_X87:
		finish_state(g, deferred, jit_offsets.load_x87);
		break;
	case DEFERRED_LINK:
		finish_link(g, deferred);
		break;
	case DEFERRED_HEAT:
		finish_heat(g, deferred);
		break;
	default:
		break; /* is none of this writer's */
	}
}

static void jit_finish(struct generator *g)
{
	for (unsigned i = 0; i < g->n_deferred && !g->e->full; i++)
		finish_one(g, &g->deferred[i]);
	g->n_deferred = 0;
}

/* ---- the whole block ---- */

static void jit_block(struct generator *g, const struct plan *plan)
{
	unsigned n = plan->end == END_BRANCH ? plan->n - 1 : plan->n;
	struct share share;

	if (plan->crosses || (g->translation->mode & MODE_ALONE))
		share_nothing(&share);
	else
		share_plan(&share, plan);
	g->share = &share;
	g->plan = plan;
	g->flags_live = false;
	g->flags_saved = true;
	g->held.at = NONE;
	begin_block(g);
	for (g->at = 0; g->at < n;) {
		unsigned row = jit_write_row(g, n);
		if (!row)
			jit_write_insn(g, &plan->insns[g->at]);
		g->at += row ? row : 1;
	}
	g->at = plan->n - 1;
	jit_write_end(g);
	g->share = NULL;
}

const struct writer jit_writer = {
	.name = "tlb",
	.possible = jit_possible,
	.block = jit_block,
	.loop_is_possible = loop_is_possible,
	.loop = loop_write,
	.next = jit_write_next,
	.finish = jit_finish,
	.jump_link = jit_jump_link,
	.trampolines = jit_trampolines,
	.masked_only = true,
	.relative = true,
	.any_register = true,
};
