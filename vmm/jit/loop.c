#include "vmm/jit/loop.h"

#include "vmm/mmu/mmu.h"
#include "vmm/translate/translator.h"

/* Fewer are not worth what stands in front of them; more are asked for again. */
#define ROUNDS_MIN 4
#define ROUNDS_MAX 1024

/* What a loop that came to enough rounds is credited with; it costs 1 each time it is entered. */
#define CREDIT 2

/* ---- counters ---- */

/* op byte [counter], with an immediate or without */
static void counter_op(struct emitter *e, uint8_t opcode, unsigned extension, uint32_t counter,
		       int value)
{
	struct encoding c = {.opcode = opcode,
			     .has_modrm = true,
			     .memory = true,
			     .reg = (uint8_t)extension,
			     .base = GPR_ZERO,
			     .index = GPR_ZERO,
			     .disp = (int32_t)counter,
			     .n_imm = value < 0 ? 0 : 1,
			     .imm = {(uint8_t)value}};
	emit_encoding(e, &c);
}

void loop_count_down(struct emitter *e, uint32_t counter)
{
	counter_op(e, 0xfe, 1, counter, -1);
}

void loop_set_counter(struct emitter *e, uint32_t counter, uint8_t value)
{
	counter_op(e, 0xc6, 0, counter, value);
}

static uint32_t credit_of(const struct generator *g)
{
	return JIT_CONTEXT(credit) + g->index % LOOP_COUNTERS;
}

static void write_credit(struct generator *g)
{
	counter_op(g->e, 0x80, ALU_ADD, credit_of(g), CREDIT);
	uint32_t over = emit_jump_if(g->e, CC_NO);
	loop_set_counter(g->e, credit_of(g), INT8_MAX);
	emit_patch(g->e, over, g->e->at);
}

/* ---- operands ---- */

static uint32_t slot_of(unsigned range)
{
	return JIT_CONTEXT(slots) + 8u * range;
}

/* lea JIT_TEMP, [JIT_TEMP + (reg << scale)] */
static void add_scaled(struct emitter *e, unsigned reg, uint8_t scale)
{
	struct encoding lea = {.opcode = 0x8d,
			       .wide = true,
			       .has_modrm = true,
			       .memory = true,
			       .reg = JIT_TEMP,
			       .base = JIT_TEMP,
			       .index = (uint8_t)reg,
			       .scale = scale};
	emit_encoding(e, &lea);
}

/* JIT_TEMP += guest register << scale; RSP has no scale. Takes the other. */
static void add_guest(struct generator *g, unsigned reg, uint8_t scale)
{
	if (reg == RSP) {
		emit_lea(g->e, JIT_TEMP, RSP, JIT_TEMP, 0);
		return;
	}
	if (code_is_displaced(reg)) {
		emit_load(g->e, JIT_TEMP2, CONTEXT_GPR(reg));
		reg = JIT_TEMP2;
	}
	add_scaled(g->e, reg, scale);
}

struct host_operand loop_operand(struct generator *g)
{
	const struct loop_access *access = &g->loop->access[g->at];
	const struct loop_range *range = &g->loop->range[access->range];
	struct host_operand operand = code_at_temp(access->disp);
	unsigned moving = access->moving;

	if (range->host != GPR_ZERO)
		operand.base = range->host;
	else
		emit_load(g->e, JIT_TEMP, slot_of(access->range));
	if (!range->stride)
		return operand;
	if (code_is_displaced(moving) && g->loop->home[moving] != GPR_ZERO)
		moving = g->loop->home[moving];
	else if (code_is_displaced(moving)) { /* the slot is in the temporary */
		add_guest(g, moving, access->scale);
		return operand;
	}
	operand.index = (uint8_t)moving;
	operand.scale = access->scale;
	if (moving == RSP) { /* cannot be an index */
		operand.index = operand.base;
		operand.base = RSP;
	}
	return operand;
}

/* ---- in front of the rounds ---- */

/* Branches to the block that the loop begins with. */
struct ways_back {
	uint32_t patch[4 + 2 * LOOP_RANGES];
	unsigned n;
};

static void go_back_if(struct ways_back *back, uint32_t patch)
{
	back->patch[back->n++] = patch;
}

/* JIT_TEMP /= stride, for what is less than a page. */
static void divide(struct emitter *e, uint32_t stride)
{
	struct encoding imul = {.opcode = 0x69,
				.wide = true,
				.has_modrm = true,
				.reg = JIT_TEMP,
				.rm = JIT_TEMP,
				.n_imm = 4};

	if (!(stride & (stride - 1))) { /* a power of two */
		if (stride > 1)
			code_shift(e, SHIFT_RIGHT, JIT_TEMP, (uint8_t)__builtin_ctz(stride), true);
		return;
	}
	uint32_t reciprocal = ((1u << 24) + stride - 1) / stride;
	for (unsigned i = 0; i < 4; i++)
		imul.imm[i] = (uint8_t)(reciprocal >> (8 * i));
	emit_encoding(e, &imul);
	code_shift(e, SHIFT_RIGHT, JIT_TEMP, 24, true);
}

static void negate(struct emitter *e)
{
	static const uint8_t neg_r11[] = {0x49, 0xf7, 0xdb};

	code_bytes(e, neg_r11, sizeof(neg_r11));
}

/* JIT_TEMP is where the range begins in its page: at most as many rounds as stay there. */
static void limit_rounds(struct generator *g, const struct loop_range *range)
{
	struct emitter *e = g->e;

	if (range->stride > 0) {
		negate(e);
		emit_lea(e, JIT_TEMP, JIT_TEMP, GPR_ZERO, (int32_t)(PAGE_BYTES - range->bytes));
		divide(e, (uint32_t)range->stride);
	} else {
		divide(e, (uint32_t)-range->stride);
	}
	code_memory(e, OP_CMP, JIT_TEMP, GPR_ZERO, (int32_t)JIT_CONTEXT(further_rounds), true);
	uint32_t over = emit_jump_if(e, CC_AE);
	emit_store(e, JIT_CONTEXT(further_rounds), JIT_TEMP);
	emit_patch(e, over, e->at);
}

static void write_begin(struct generator *g, const struct loop_range *range)
{
	if (range->at.base != GPR_ZERO || range->at.index != GPR_ZERO)
		code_sum(g, range->at.base, range->at.index, range->at.scale, range->first);
	else if (range->in_page)
		code_linear(g, JIT_TEMP, (uint64_t)range->first);
	else
		emit_constant(g->e, JIT_TEMP, (uint64_t)range->first);
}

/* JIT_TEMP2 points to the page's entry: what is added to linear addresses in it, and with it what
 * is folded. */
static void load_distance(struct generator *g, const struct loop_range *range)
{
	struct emitter *e = g->e;

	code_memory(e, OP_LOAD, JIT_TEMP, JIT_TEMP2, offsetof(struct tlb_entry, host), true);
	code_memory(e, OP_SUB, JIT_TEMP, JIT_TEMP2, offsetof(struct tlb_entry, tag), true);
	if (range->folded.base != GPR_ZERO)
		add_guest(g, range->folded.base, 0);
	else if (range->folded.index != GPR_ZERO)
		add_guest(g, range->folded.index, range->folded.scale);
}

static void find_range(struct generator *g, struct ways_back *back, unsigned n)
{
	static const uint8_t test_r11b_15[] = {0x41, 0xf6, 0xc3, 0x0f};
	const struct loop_range *range = &g->loop->range[n];
	struct emitter *e = g->e;

	g->held.at = NONE;
	write_begin(g, range);
	go_back_if(back, code_find_entry(e, range->write, range->bytes));
	if (range->aligned) {
		code_bytes(e, test_r11b_15, sizeof(test_r11b_15));
		go_back_if(back, emit_jump_if(e, CC_NZ));
	}
	if (range->stride) {
		limit_rounds(g, range);
		load_distance(g, range);
	} else {
		code_add_host(e);
	}
	emit_store(e, slot_of(n), JIT_TEMP);
}

static void test_temp2(struct emitter *e)
{
	static const uint8_t test_r10_r10[] = {0x4d, 0x85, 0xd2};

	code_bytes(e, test_r10_r10, sizeof(test_r10_r10));
}

/* JIT_TEMP = the instructions of all rounds, JIT_TEMP2 = the count behind them; the fewest rounds
 * where more do not fit the budget. */
static void decide_rounds(struct generator *g, struct ways_back *back)
{
	struct emitter *e = g->e;
	int32_t n = (int32_t)g->plan->n;
	struct encoding imul = {.opcode = 0x6b,
				.wide = true,
				.has_modrm = true,
				.reg = JIT_TEMP,
				.rm = JIT_TEMP,
				.n_imm = 1,
				.imm = {(uint8_t)n}};

	emit_load(e, JIT_TEMP, JIT_CONTEXT(further_rounds));
	code_immediate(e, ALU_CMP, JIT_TEMP, ROUNDS_MIN - 1, true);
	go_back_if(back, emit_jump_if(e, CC_B));
	emit_encoding(e, &imul);
	emit_lea(e, JIT_TEMP, JIT_TEMP, GPR_ZERO, n);
	emit_lea(e, JIT_TEMP2, JIT_COUNT, JIT_TEMP, 0);
	test_temp2(e);
	uint32_t fits = emit_jump_if(e, CC_LE);
	emit_constant(e, JIT_TEMP, (uint64_t)(ROUNDS_MIN * n));
	emit_lea(e, JIT_TEMP2, JIT_COUNT, JIT_TEMP, 0);
	test_temp2(e);
	go_back_if(back, emit_jump_if(e, CC_G));
	emit_patch(e, fits, e->at);
}

/* Registers are borrowed, and given to what lives in memory otherwise. No flags change, here and
 * below. */
static void move_in(struct generator *g)
{
	struct loop *loop = g->loop;

	for (unsigned reg = 0; reg < 16; reg++)
		if (loop->borrowed >> reg & 1)
			emit_store(g->e, CONTEXT_GPR(reg), reg);
	for (unsigned reg = 0; reg < 16; reg++)
		if (loop->home[reg] != GPR_ZERO)
			emit_load(g->e, loop->home[reg], CONTEXT_GPR(reg));
	for (unsigned i = 0; i < loop->n_ranges; i++)
		if (loop->range[i].host != GPR_ZERO)
			emit_load(g->e, loop->range[i].host, slot_of(i));
	loop->moved_in = true;
}

static void move_out(struct generator *g)
{
	const struct loop *loop = g->loop;

	for (unsigned reg = 0; reg < 16; reg++)
		if (loop->home[reg] != GPR_ZERO)
			emit_store(g->e, CONTEXT_GPR(reg), loop->home[reg]);
	for (unsigned reg = 0; reg < 16; reg++)
		if (loop->borrowed >> reg & 1)
			emit_load(g->e, reg, CONTEXT_GPR(reg));
}

/* The count becomes what is left of the rounds, negative. */
static void begin_rounds(struct generator *g)
{
	struct emitter *e = g->e;

	emit_store(e, JIT_CONTEXT(rounds_end), JIT_TEMP2);
	emit_store(e, JIT_CONTEXT(rounds_insns), JIT_TEMP);
	negate(e);
	emit_move(e, JIT_COUNT, JIT_TEMP);
	g->flags_live = false;
	g->flags_saved = true;
	if (g->plan->live)
		code_load_flags(g);
	move_in(g);
}

/* What has not been worth it for long enough leads to the block from then on. */
static void write_entry(struct generator *g)
{
	struct emitter *e = g->e;
	uint32_t onward = emit_jump(e);

	emit_patch(e, onward, e->at);
	loop_count_down(e, credit_of(g));
	branch_defer_near(g, g->plan->linear, emit_jump_if(e, CC_Z));
	uint32_t site = g->deferred[g->n_deferred - 1].site;
	if (site != NONE)
		g->cache->sites[site].patch = onward;
}

static void write_front(struct generator *g, uint32_t code)
{
	struct emitter *e = g->e;
	struct ways_back back = {.n = 0};

	write_entry(g);
	if (jit_has_class(g->plan, CLASS_VECTOR)) {
		code_is_loaded(e);
		go_back_if(&back, emit_jump_if(e, CC_Z));
	}
	emit_store_imm(e, JIT_CONTEXT(further_rounds), ROUNDS_MAX - 1);
	for (unsigned i = 0; i < g->loop->n_ranges; i++)
		find_range(g, &back, i);
	decide_rounds(g, &back);
	begin_rounds(g);
	for (unsigned i = 0; i < back.n; i++)
		emit_patch(e, back.patch[i], code);
}

/* ---- rounds ---- */

/* The flags are the guest's, in the host's. */
static void flags_are_live(struct generator *g)
{
	g->flags_live = true;
	g->flags_saved = false;
}

static void note_exit(struct generator *g, uint32_t patch, bool counted)
{
	struct loop *loop = g->loop;

	loop->exits[loop->n_exits++] =
		(struct loop_exit){.patch = patch, .at = (uint8_t)g->at, .counted = counted};
}

/* Instructions from the first on, to where the last begins. */
static void write_insns(struct generator *g, unsigned first, unsigned last, bool counted)
{
	for (g->at = first; g->at < last; g->at++) {
		const struct planned *planned = &g->plan->insns[g->at];
		if (planned->effect.cls == CLASS_JCC)
			note_exit(g, emit_jump_if(g->e, planned->insn.opcode & 15), counted);
		else
			jit_write_insn(g, planned);
	}
}

/* Returns the branch that is taken when all rounds have been counted. */
static uint32_t write_rounds(struct generator *g)
{
	struct emitter *e = g->e;
	const struct plan *plan = g->plan;
	const struct planned *last = &plan->insns[plan->n - 1];
	uint32_t top = e->at;

	g->held.at = NONE;
	flags_are_live(g);
	write_insns(g, 0, plan->poll_at, false);
	code_immediate(e, ALU_ADD, JIT_COUNT, (int32_t)plan->n, true);
	uint32_t over = emit_jump_if(e, CC_Z);
	write_insns(g, plan->poll_at, plan->n - 1, true);
	g->at = plan->n - 1;
	if (last->effect.cls == CLASS_JMP) {
		emit_jump_to(e, top);
		return over;
	}
	emit_patch(e, emit_jump_if(e, last->insn.opcode & 15), top);
	note_exit(g, emit_jump(e), true);
	return over;
}

/* ---- behind the rounds ---- */

/* Whether it came to enough rounds. The flags are free. */
static void credit_if_enough(struct generator *g)
{
	struct emitter *e = g->e;

	emit_load(e, JIT_TEMP2, JIT_CONTEXT(rounds_insns));
	code_register(e, OP_ADD, JIT_TEMP2, JIT_COUNT, true);
	code_immediate(e, ALU_CMP, JIT_TEMP2, ROUNDS_MIN * (int32_t)g->plan->n, true);
	uint32_t over = emit_jump_if(e, CC_B);
	write_credit(g);
	emit_patch(e, over, e->at);
}

/* Where a branch out of the loop leads; behind the branch back that is not taken. */
static uint64_t exit_target(const struct generator *g)
{
	return g->at == g->plan->n - 1 ? generator_next_rip(g) : branch_direct_target(g);
}

static void write_exit(struct generator *g, const struct loop_exit *exit)
{
	struct emitter *e = g->e;
	int32_t ahead = (int32_t)exit->at + 1 - (exit->counted ? (int32_t)g->plan->n : 0);

	g->at = exit->at;
	emit_patch(e, exit->patch, e->at);
	flags_are_live(g);
	move_out(g);
	code_save_flags(g);
	credit_if_enough(g);
	code_memory(e, OP_ADD, JIT_COUNT, GPR_ZERO, (int32_t)JIT_CONTEXT(rounds_end), true);
	if (ahead)
		emit_lea(e, JIT_COUNT, JIT_COUNT, GPR_ZERO, ahead);
	jit_jump_to(g, exit_target(g));
}

/* The rest of the last round, which has been counted; then the loop begins anew. */
static void write_last(struct generator *g, uint32_t over)
{
	struct emitter *e = g->e;
	const struct plan *plan = g->plan;
	const struct planned *last = &plan->insns[plan->n - 1];

	emit_patch(e, over, e->at);
	write_credit(g);
	g->held.at = NONE;
	flags_are_live(g);
	write_insns(g, plan->poll_at, plan->n - 1, true);
	g->at = plan->n - 1;
	move_out(g);
	code_save_flags(g);
	emit_load(e, JIT_COUNT, JIT_CONTEXT(rounds_end));
	if (last->effect.cls == CLASS_JMP) {
		emit_jump_to(e, g->translation->code);
		return;
	}
	emit_patch(e, emit_jump_if(e, last->insn.opcode & 15), g->translation->code);
	jit_jump_to(g, exit_target(g));
}

void loop_write(struct generator *g, const struct plan *plan, uint32_t code)
{
	struct loop loop;

	loop_plan(&loop, plan);
	loop_give_registers(&loop, plan);
	loop.moved_in = false;
	g->loop = &loop;
	g->plan = plan;
	g->at = 0;
	g->held.at = NONE;
	write_front(g, code);
	uint32_t over = write_rounds(g);
	write_last(g, over);
	for (unsigned i = 0; i < loop.n_exits; i++)
		write_exit(g, &loop.exits[i]);
	g->loop = NULL;
}
