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
}
