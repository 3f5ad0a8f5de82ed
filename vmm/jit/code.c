#include "vmm/jit/code.h"

#include "vmm/jit/loop.h"
#include "vmm/jit/share.h"
#include "vmm/mmu/mmu.h"

/* ---- host instructions ---- */

void code_memory(struct emitter *e, uint8_t opcode, unsigned reg, unsigned base, int32_t disp,
		 bool wide)
{
	struct encoding c = {.opcode = opcode,
			     .wide = wide,
			     .has_modrm = true,
			     .memory = true,
			     .reg = (uint8_t)reg,
			     .base = (uint8_t)base,
			     .index = GPR_ZERO,
			     .disp = disp};
	emit_encoding(e, &c);
}

void code_register(struct emitter *e, uint8_t opcode, unsigned reg, unsigned rm, bool wide)
{
	struct encoding c = {.opcode = opcode,
			     .wide = wide,
			     .has_modrm = true,
			     .reg = (uint8_t)reg,
			     .rm = (uint8_t)rm};
	emit_encoding(e, &c);
}

void code_immediate(struct emitter *e, unsigned extension, unsigned reg, int32_t value, bool wide)
{
	bool small = value == (int8_t)value;
	struct encoding c = {.opcode = small ? 0x83 : 0x81,
			     .wide = wide,
			     .has_modrm = true,
			     .reg = (uint8_t)extension,
			     .rm = (uint8_t)reg,
			     .n_imm = small ? 1 : 4};

	for (unsigned i = 0; i < c.n_imm; i++)
		c.imm[i] = (uint8_t)((uint32_t)value >> (8 * i));
	emit_encoding(e, &c);
}

void code_shift(struct emitter *e, unsigned extension, unsigned reg, uint8_t count, bool wide)
{
	struct encoding c = {.opcode = 0xc1,
			     .wide = wide,
			     .has_modrm = true,
			     .reg = (uint8_t)extension,
			     .rm = (uint8_t)reg,
			     .n_imm = 1,
			     .imm = {count}};
	emit_encoding(e, &c);
}

void code_bytes(struct emitter *e, const uint8_t *bytes, unsigned n)
{
	while (n--)
		emit8(e, *bytes++);
}

static void compare_zero(struct emitter *e, uint32_t address)
{
	struct encoding c = {.opcode = 0x80,
			     .has_modrm = true,
			     .memory = true,
			     .reg = ALU_CMP,
			     .base = GPR_ZERO,
			     .index = GPR_ZERO,
			     .disp = (int32_t)address,
			     .n_imm = 1};
	emit_encoding(e, &c);
}

void code_is_loaded(struct emitter *e)
{
	compare_zero(e, JIT_CONTEXT(loaded));
}

void code_is_x87_loaded(struct emitter *e)
{
	compare_zero(e, JIT_CONTEXT(x87_loaded));
}

void code_linear(struct generator *g, unsigned reg, uint64_t address)
{
	uint32_t home = (uint32_t)offsetof(struct runtime_space, home) + 8 * g->home;

	if (g->home == NO_HOME) {
		emit_constant(g->e, reg, address);
		return;
	}
	emit_load(g->e, reg, JIT_CONTEXT(space));
	code_memory(g->e, OP_LOAD, reg, reg, (int32_t)home, true);
	emit_lea(g->e, reg, reg, GPR_ZERO, (int32_t)address);
}

bool code_is_displaced(unsigned reg)
{
	return reg == JIT_TEMP || reg == JIT_TEMP2 || reg == JIT_COUNT;
}

/* ---- guest registers in temporaries ---- */

static const uint8_t temporaries[] = {JIT_TEMP, JIT_TEMP2};

unsigned code_home(const struct generator *g, unsigned reg)
{
	return g->loop && g->loop->moved_in ? g->loop->home[reg] : GPR_ZERO;
}

unsigned code_find_held(const struct generator *g, unsigned reg)
{
	if (code_home(g, reg) != GPR_ZERO)
		return code_home(g, reg);
	for (unsigned i = 0; i < 2 && g->held.at == g->e->at; i++)
		if (g->held.guest[i] == reg)
			return temporaries[i];
	return GPR_ZERO;
}

void code_load_guest(struct generator *g, unsigned temp, unsigned reg)
{
	unsigned held = code_find_held(g, reg);

	if (held == GPR_ZERO)
		emit_load(g->e, temp, CONTEXT_GPR(reg));
	else if (held != temp)
		emit_move(g->e, temp, held);
}

void code_hold(struct generator *g, unsigned in_temp, unsigned in_temp2)
{
	g->held = (struct held){.at = g->e->at, .guest = {(uint8_t)in_temp, (uint8_t)in_temp2}};
}

/* ---- flags ---- */

/* An encoding's members for the slot of the guest's flags as its operand. */
#define FLAGS_SLOT                                                                                 \
	.has_modrm = true, .memory = true, .base = GPR_ZERO, .index = GPR_ZERO,                    \
	.disp = (int32_t)CONTEXT_SCRATCH(SCRATCH_FLAGS)

void code_save_flags(struct generator *g)
{
	static const uint8_t lahf_seto_al[] = {0x9f, 0x0f, 0x90, 0xc0};
	struct encoding store = {.opcode = OP_STORE, .opsize = true, .reg = RAX, FLAGS_SLOT};

	if (g->flags_saved)
		return;
	emit_move(g->e, JIT_TEMP2, RAX);
	code_bytes(g->e, lahf_seto_al, sizeof(lahf_seto_al));
	emit_encoding(g->e, &store);
	emit_move(g->e, RAX, JIT_TEMP2);
	g->flags_saved = true;
}

void code_load_flags(struct generator *g)
{
	static const uint8_t add_al_sahf[] = {0x04, 0x7f, 0x9e};
	struct encoding load = {.map = 1, .opcode = 0xb7 /* movzx */, .reg = RAX, FLAGS_SLOT};

	if (g->flags_live)
		return;
	emit_move(g->e, JIT_TEMP2, RAX);
	emit_encoding(g->e, &load);
	code_bytes(g->e, add_al_sahf, sizeof(add_al_sahf));
	emit_move(g->e, RAX, JIT_TEMP2);
	g->flags_live = true;
}

void code_load_carry(struct generator *g)
{
	/* Of 16 bits, as the slot was written: a wider load waits until that is in the cache. */
	struct encoding bt = {.map = 1,
			      .opcode = 0xba,
			      .opsize = true,
			      .reg = 4,
			      FLAGS_SLOT,
			      .n_imm = 1,
			      .imm = {8} /* AH's bit 0 */};

	if (!g->flags_live)
		emit_encoding(g->e, &bt);
}

void code_lose_flags(struct generator *g)
{
	code_save_flags(g);
	g->flags_live = false;
}

/* ---- addresses ---- */

unsigned code_address_register(struct generator *g, unsigned reg, unsigned other, unsigned temp)
{
	if (reg == GPR_ZERO || !code_is_displaced(reg))
		return reg;
	if (code_home(g, reg) != GPR_ZERO)
		return code_home(g, reg);
	if (other == GPR_ZERO || !code_is_displaced(other)) { /* the other takes no temporary */
		unsigned held = code_find_held(g, reg);
		if (held != GPR_ZERO)
			return held;
	}
	emit_load(g->e, temp, CONTEXT_GPR(reg));
	return temp;
}

/* disp may be a bit less than 32 bits hold. */
void code_sum(struct generator *g, unsigned base, unsigned index, uint8_t scale, int64_t disp)
{
	int32_t near = disp < INT32_MIN ? INT32_MIN : (int32_t)disp;
	struct encoding lea = {.opcode = 0x8d,
			       .wide = true,
			       .has_modrm = true,
			       .memory = true,
			       .guest = true,
			       .reg = JIT_TEMP,
			       .scale = scale,
			       .disp = near};

	bool same = index == base;
	lea.base = (uint8_t)code_address_register(g, base, same ? GPR_ZERO : index, JIT_TEMP);
	lea.index = same ? lea.base : (uint8_t)code_address_register(g, index, base, JIT_TEMP2);
	emit_encoding(g->e, &lea);
	if (disp != near)
		emit_lea(g->e, JIT_TEMP, JIT_TEMP, GPR_ZERO, (int32_t)(disp - near));
}

/* less: what is taken off the address. */
static void address(struct generator *g, const struct insn *insn, unsigned less)
{
	int64_t disp = (int64_t)(int32_t)insn->disp - less;

	code_lose_flags(g);
	if (insn->base == INSN_BASE_RIP)
		code_linear(g, JIT_TEMP, insn_rip_relative(insn, generator_rip(g)) - less);
	else if (insn->base == GPR_ZERO && insn->index == GPR_ZERO)
		emit_constant(g->e, JIT_TEMP, (uint64_t)disp);
	else
		code_sum(g, insn->base, insn->index, insn->scale, disp);
	if (insn->seg == SEG_FS)
		code_memory(g->e, OP_ADD, JIT_TEMP, GPR_ZERO, (int32_t)CONTEXT(fs_base), true);
	else if (insn->seg == SEG_GS)
		code_memory(g->e, OP_ADD, JIT_TEMP, GPR_ZERO, (int32_t)JIT_CONTEXT(gs_base), true);
}

void code_address(struct generator *g, const struct insn *insn)
{
	address(g, insn, 0);
}

void code_stack_address(struct generator *g, unsigned reg, int32_t disp)
{
	code_lose_flags(g);
	emit_lea(g->e, JIT_TEMP, reg, GPR_ZERO, disp);
}

/* ---- translation ---- */

/* What is to be added to the count to have that of the present instruction. */
static int8_t count_back(const struct generator *g)
{
	return (int8_t)((int)g->at - (int)g->plan->n);
}

static struct deferred *defer(struct generator *g, enum deferred_kind kind, uint32_t patch)
{
	uint32_t site = generator_site(g, kind == DEFERRED_RANGE ? SITE_ALONE : SITE_INTERP,
				       generator_rip(g));
	struct deferred *deferred = generator_defer(g, kind, patch);

	deferred->n = count_back(g);
	deferred->site = site;
	if (site != NONE)
		g->cache->sites[site].mnemonic = g->plan->insns[g->at].insn.mnemonic;
	return deferred;
}

void code_defer_slow(struct generator *g, uint32_t patch)
{
	defer(g, DEFERRED_SLOW, patch);
}

_Static_assert(sizeof(struct tlb_entry) == 16, "as indexed below");

#define ENTRY_SHIFT 4

uint32_t code_find_entry(struct emitter *e, bool write, unsigned size)
{
	uint32_t array = write ? JIT_CONTEXT(tlb_write) : JIT_CONTEXT(tlb_read);

	code_register(e, OP_LOAD, JIT_TEMP2, JIT_TEMP, false);
	code_shift(e, SHIFT_RIGHT, JIT_TEMP2, PAGE_SHIFT - ENTRY_SHIFT, false);
	code_immediate(e, ALU_AND, JIT_TEMP2, (TLB_ENTRIES - 1) << ENTRY_SHIFT, false);
	code_memory(e, OP_ADD, JIT_TEMP2, GPR_ZERO, (int32_t)array, true);
	code_memory(e, OP_SUB, JIT_TEMP, JIT_TEMP2, offsetof(struct tlb_entry, tag), true);
	code_immediate(e, ALU_CMP, JIT_TEMP, (int32_t)(PAGE_BYTES - size), true);
	return emit_jump_if(e, CC_A);
}

/* What a look-up's miss asks for; with an entry it goes on behind the branch that was taken. */
static void note_access(struct deferred *deferred, bool write, unsigned size,
			const struct emitter *e)
{
	deferred->write = write;
	deferred->bytes = (uint16_t)size;
	deferred->constant = e->at;
}

void code_find_page(struct generator *g, bool write)
{
	uint32_t miss = code_find_entry(g->e, write, 1);

	note_access(defer(g, DEFERRED_FILL, miss), write, 0, g->e);
}

void code_add_host(struct emitter *e)
{
	code_memory(e, OP_ADD, JIT_TEMP, JIT_TEMP2, offsetof(struct tlb_entry, host), true);
}

/* By an extent, if the instruction has one. miss: what a look-up's is. */
static bool find_in_extent(struct generator *g, enum deferred_kind miss, bool write, unsigned size)
{
	struct emitter *e = g->e;
	uint32_t number = NONE;

	if (g->extents && size <= EXTENT_ACCESS_MAX)
		number = extents_take(g->extents, g->plan->gpa + g->plan->insns[g->at].offset,
				      write);
	if (number == NONE)
		return false;
	emit_load(e, JIT_TEMP2, JIT_CONTEXT(extents));
	code_memory(e, OP_SUB, JIT_TEMP, JIT_TEMP2, EXTENT_FIELD(number, first), true);
	code_memory(e, OP_CMP, JIT_TEMP, JIT_TEMP2, EXTENT_FIELD(number, bytes), true);
	struct deferred *deferred = defer(g, miss, emit_jump_if(e, CC_AE));
	deferred->kind = DEFERRED_EXTENT;
	deferred->then = (uint8_t)miss;
	deferred->other = number;
	code_memory(e, OP_ADD, JIT_TEMP, JIT_TEMP2, EXTENT_FIELD(number, host), true);
	note_access(deferred, write, size, e);
	return true;
}

/* The host address of size bytes at JIT_TEMP in JIT_TEMP. miss: DEFERRED_FILL or DEFERRED_RANGE. */
static void find_bytes(struct generator *g, enum deferred_kind miss, bool write, unsigned size)
{
	if (find_in_extent(g, miss, write, size))
		return;
	uint32_t patch = code_find_entry(g->e, write, size);
	note_access(defer(g, miss, patch), write, size, g->e);
	code_add_host(g->e);
}

void code_translate(struct generator *g, bool write, unsigned size, bool aligned)
{
	static const uint8_t test_r11b_15[] = {0x41, 0xf6, 0xc3, 0x0f};

	if (aligned) {
		code_bytes(g->e, test_r11b_15, sizeof(test_r11b_15));
		code_defer_slow(g, emit_jump_if(g->e, CC_NZ));
	}
	find_bytes(g, DEFERRED_FILL, write, size);
}

/* ---- shared look-ups ---- */

static const struct share_access *shared(const struct generator *g)
{
	return &g->share->access[g->at];
}

bool code_is_shared(const struct generator *g)
{
	return shared(g)->range != SHARE_NONE;
}

bool code_is_found(const struct generator *g)
{
	return code_is_shared(g) && !shared(g)->first;
}

/* What lies across pages, or cannot be had, is looked up one by one by another translation. */
static void find_range(struct generator *g, const struct share_range *range, uint32_t slot)
{
	find_bytes(g, DEFERRED_RANGE, range->write, range->bytes);
	emit_store(g->e, slot, JIT_TEMP);
}

/* Leaves unless the address at JIT_TEMP + offset is a multiple of 16. */
static void check_alignment(struct generator *g, struct share_range *range, unsigned offset)
{
	static const uint8_t test_r10b_15[] = {0x41, 0xf6, 0xc2, 0x0f};

	if (range->aligned == offset % 16)
		return;
	code_lose_flags(g);
	emit_lea(g->e, JIT_TEMP2, JIT_TEMP, GPR_ZERO, (int32_t)offset);
	code_bytes(g->e, test_r10b_15, sizeof(test_r10b_15));
	code_defer_slow(g, emit_jump_if(g->e, CC_NZ));
	range->aligned = offset % 16;
}

int32_t code_translate_shared(struct generator *g, bool aligned)
{
	const struct share_access *access = shared(g);
	struct share_range *range = &g->share->range[access->range];
	uint32_t slot = JIT_CONTEXT(slots) + 8u * access->range;

	if (access->first)
		find_range(g, range, slot);
	else
		emit_load(g->e, JIT_TEMP, slot);
	if (aligned)
		check_alignment(g, range, access->at);
	return access->at;
}

struct host_operand code_operand(struct generator *g, const struct insn *insn, bool write,
				 unsigned size, bool aligned)
{
	if (g->loop)
		return loop_operand(g);
	if (!code_is_shared(g)) {
		address(g, insn, 0);
		code_translate(g, write, size, aligned);
		return code_at_temp(0);
	}
	if (!code_is_found(g))
		address(g, insn, shared(g)->at);
	return code_at_temp(code_translate_shared(g, aligned));
}

int32_t code_stack(struct generator *g, unsigned reg, int32_t disp, bool write, unsigned size)
{
	if (!code_is_shared(g)) {
		code_stack_address(g, reg, disp);
		code_translate(g, write, size, false);
		return 0;
	}
	if (!code_is_found(g))
		code_stack_address(g, reg, disp - shared(g)->at);
	return code_translate_shared(g, false);
}
