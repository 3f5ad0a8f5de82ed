#include "vmm/translate/trampoline.h"

#include "vmm/translate/generate.h"

#define STACK_TOP (CONTEXT(stack) + (uint32_t)sizeof(((struct runtime_context *)0)->stack))

static void emit_bytes(struct emitter *e, const uint8_t *bytes, unsigned n)
{
	while (n--)
		emit8(e, *bytes++);
}

/* Flags first, since moves leave them alone; RSP and the jump last. */
static void emit_enter(struct emitter *e, bool load_fs_base)
{
	static const uint8_t wrfsbase_rax[] = {0xf3, 0x48, 0x0f, 0xae, 0xd0};

	if (load_fs_base) {
		emit_load(e, RAX, CONTEXT(fs_base));
		emit_bytes(e, wrfsbase_rax, sizeof(wrfsbase_rax));
	}
	emit_constant(e, RSP, STACK_TOP);
	emit_push_memory(e, CONTEXT(rflags));
	emit8(e, 0x9d); /* popf */
	for (unsigned reg = RAX; reg <= R15; reg++)
		if (reg != RSP && reg != COUNT_REGISTER)
			emit_load(e, reg, CONTEXT_GPR(reg));
	emit_load(e, COUNT_REGISTER, CONTEXT(count));
	emit_load(e, RSP, CONTEXT_GPR(RSP));
	emit_jump_memory(e, CONTEXT(entry));
}

static void emit_leave(struct emitter *e, const struct translator_config *config)
{
	for (unsigned reg = RAX; reg <= R15; reg++)
		if (reg != COUNT_REGISTER)
			emit_store(e, CONTEXT_GPR(reg), reg);
	emit_store(e, CONTEXT(count), COUNT_REGISTER);
	emit_constant(e, RSP, STACK_TOP);
	emit8(e, 0x9c); /* pushf */
	emit_pop_memory(e, CONTEXT(rflags));
	if (config->leave == RUNTIME_LEAVE_JUMP) {
		emit_jump_memory(e, CONTEXT(leave));
		return;
	}
	emit8(e, 0xe6); /* out imm8, al */
	emit8(e, config->leave_port);
	emit_jump_to(e, RUNTIME_CODE);
}

_Static_assert(sizeof(((struct runtime_space *)0)->victim[0]) == 8 * 16, "as indexed below");

static struct encoding victim_operand(unsigned way, uint32_t field)
{
	uint32_t at = RUNTIME_SPACE + (uint32_t)offsetof(struct runtime_space, victim);

	return (struct encoding){
		.opcode = 0x8b,
		.wide = true,
		.has_modrm = true,
		.memory = true,
		.reg = RCX,
		.base = GPR_ZERO,
		.index = RAX,
		.scale = 3,
		.disp = (int32_t)(RUNTIME_BASE + at + way * sizeof(struct runtime_victim) + field),
	};
}

/*
 * The target is in R11. Goes on at context->hit with the address of its translation in RCX, or at
 * context->miss.
 */
static void emit_second_lookup(struct emitter *e)
{
	static const uint8_t set_number[] = {
		0x44, 0x89, 0xd9,                         /* mov ecx, r11d */
		0x0f, 0xb6, 0xcd,                         /* movzx ecx, ch */
		0x8d, 0x04, 0xcd, 0x00, 0x00, 0x00, 0x00, /* lea eax, [rcx * 8] */
		0x8d, 0x04, 0x00,                         /* lea eax, [rax + rax] */
	};
	uint32_t found[RUNTIME_VICTIM_WAYS];

	emit_store(e, CONTEXT_SCRATCH(SCRATCH_RAX), RAX);
	emit_bytes(e, set_number, sizeof(set_number));
	for (unsigned way = 0; way < RUNTIME_VICTIM_WAYS; way++) {
		struct encoding c = victim_operand(way, offsetof(struct runtime_victim, minus_rip));
		emit_encoding(e, &c);
		emit_lea(e, RCX, RCX, COUNT_REGISTER, 0);
		found[way] = emit_short(e, EMIT_JRCXZ);
	}
	emit_load(e, RAX, CONTEXT_SCRATCH(SCRATCH_RAX));
	emit_jump_memory(e, CONTEXT(miss));
	uint32_t after[RUNTIME_VICTIM_WAYS];
	for (unsigned way = 0; way < RUNTIME_VICTIM_WAYS; way++) {
		struct encoding c = victim_operand(way, offsetof(struct runtime_victim, code));
		emit_patch_short(e, found[way]);
		emit_encoding(e, &c);
		after[way] = emit_short(e, EMIT_JMP);
	}
	for (unsigned way = 0; way < RUNTIME_VICTIM_WAYS; way++)
		emit_patch_short(e, after[way]);
	emit_load(e, RAX, CONTEXT_SCRATCH(SCRATCH_RAX));
	emit_jump_memory(e, CONTEXT(hit));
}

void trampolines_emit(struct code_cache *cache, const struct translator_config *config)
{
	struct emitter *e = &cache->emitter;
	uint32_t jumps[RUNTIME_EXIT_COUNT];

	emit_enter(e, config->load_fs_base);
	for (unsigned kind = RUNTIME_EXIT_NONE; kind < RUNTIME_EXIT_COUNT; kind++) {
		cache->leave[kind] = e->at;
		emit_store_imm(e, CONTEXT(exit), (int32_t)kind);
		jumps[kind] = emit_jump(e);
	}
	for (unsigned kind = RUNTIME_EXIT_NONE; kind < RUNTIME_EXIT_COUNT; kind++)
		emit_patch(e, jumps[kind], e->at);
	emit_leave(e, config);
	cache->second_lookup = e->at;
	emit_second_lookup(e);
}
