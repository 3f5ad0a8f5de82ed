/*
 * What stands in front of all translations: how they are entered, by a call from C, and left; and
 * what they have in common.
 */
#include "vmm/jit/code.h"

#include "vmm/cpu/cpu.h"
#include "vmm/mmu/mmu.h"

struct jit_offsets jit_offsets;

static const uint8_t callee_saved[] = {RBX, RBP, R12, R13, R14, R15};
#define N_CALLEE_SAVED sizeof(callee_saved)

static void emit_push_register(struct emitter *e, unsigned reg)
{
	struct encoding c = {.opcode = 0x50, .has_opcode_reg = true, .rm = (uint8_t)reg};
	emit_encoding(e, &c);
}

static void emit_pop_register(struct emitter *e, unsigned reg)
{
	struct encoding c = {.opcode = 0x58, .has_opcode_reg = true, .rm = (uint8_t)reg};
	emit_encoding(e, &c);
}

/* ---- SSE state ---- */

/* movups xmm, [base + disp] or the reverse */
static void emit_move_xmm(struct emitter *e, bool store, unsigned xmm, unsigned base, int32_t disp)
{
	struct encoding c = {.map = 1,
			     .opcode = store ? 0x11 : 0x10,
			     .has_modrm = true,
			     .memory = true,
			     .reg = (uint8_t)xmm,
			     .base = (uint8_t)base,
			     .index = GPR_ZERO,
			     .disp = disp};
	emit_encoding(e, &c);
}

/* LDMXCSR (2) and STMXCSR (3) */
static void emit_mxcsr(struct emitter *e, unsigned extension, unsigned base, int32_t disp)
{
	struct encoding c = {.map = 1,
			     .opcode = 0xae,
			     .has_modrm = true,
			     .memory = true,
			     .reg = (uint8_t)extension,
			     .base = (uint8_t)base,
			     .index = GPR_ZERO,
			     .disp = disp};
	emit_encoding(e, &c);
}

#define LDMXCSR 2
#define STMXCSR 3

/* All of it to or from struct fx_state; takes a register for the address. */
static void emit_state(struct emitter *e, bool store, unsigned temp)
{
	emit_load(e, temp, JIT_CONTEXT(fx));
	for (unsigned i = 0; i < 16; i++)
		emit_move_xmm(e, store, i, temp,
			      (int32_t)(offsetof(struct fx_state, xmm) + 16 * i));
	emit_mxcsr(e, store ? STMXCSR : LDMXCSR, temp, offsetof(struct fx_state, mxcsr));
}

/* 16 bytes of the image to struct fx_state at JIT_TEMP, or back. Takes XMM0. */
static void emit_copy_image(struct emitter *e, bool store, unsigned offset)
{
	int32_t image = (int32_t)(JIT_CONTEXT(image) + offset);

	emit_move_xmm(e, false, 0, store ? GPR_ZERO : JIT_TEMP, store ? image : (int32_t)offset);
	emit_move_xmm(e, true, 0, store ? JIT_TEMP : GPR_ZERO, store ? (int32_t)offset : image);
}

/* FXSAVE64 or FXRSTOR64 [image] */
static void emit_fx(struct emitter *e, bool store)
{
	struct encoding c = {.map = 1,
			     .opcode = 0xae,
			     .wide = true,
			     .has_modrm = true,
			     .memory = true,
			     .reg = store ? 0 : 1,
			     .base = GPR_ZERO,
			     .index = GPR_ZERO,
			     .disp = (int32_t)JIT_CONTEXT(image)};
	emit_encoding(e, &c);
}

/* A field of the image to struct fx_state at JIT_TEMP. Takes the other temporary. */
static void emit_store_field(struct emitter *e, unsigned offset, unsigned bytes)
{
	struct encoding store = {.opcode = bytes == 1 ? 0x88 : 0x89,
				 .has_modrm = true,
				 .memory = true,
				 .reg = JIT_TEMP2,
				 .base = JIT_TEMP,
				 .index = GPR_ZERO,
				 .disp = (int32_t)offset};

	code_memory(e, OP_LOAD, JIT_TEMP2, GPR_ZERO, (int32_t)(JIT_CONTEXT(image) + offset), false);
	emit_encoding(e, &store);
}

#define FX_REGISTERS offsetof(struct fx_state, st)
#define FX_END       offsetof(struct fx_state, unused)

/* x87 and SSE state to struct fx_state; FOP, FIP and FDP stay as they are. The host's code finds an
 * x87 as it expects it. */
static void emit_store_x87(struct emitter *e)
{
	emit_fx(e, true);
	emit8(e, 0xdb); /* fninit */
	emit8(e, 0xe3);
	emit_load(e, JIT_TEMP, JIT_CONTEXT(fx));
	emit_store_field(e, offsetof(struct fx_state, fcw), 4); /* and FSW */
	emit_store_field(e, offsetof(struct fx_state, ftw), 1);
	emit_store_field(e, offsetof(struct fx_state, mxcsr), 4);
	for (unsigned at = FX_REGISTERS; at < FX_END; at += 16)
		emit_copy_image(e, true, at);
}

/* A short branch over what follows if SSE state is not loaded; changes flags. */
static uint32_t emit_skip_unless_loaded(struct emitter *e)
{
	code_is_loaded(e);
	return emit_jump_if(e, CC_Z);
}

static void emit_load_state(struct emitter *e)
{
	jit_offsets.load_state = e->at;
	emit_mxcsr(e, STMXCSR, GPR_ZERO, (int32_t)JIT_CONTEXT(host_mxcsr));
	emit_state(e, false, JIT_TEMP);
	emit_store_imm(e, JIT_CONTEXT(loaded), 1);
	emit_jump_memory(e, JIT_CONTEXT(retry));
}

/* All of it, by an image, once what SSE state is loaded is where C finds it. */
static void emit_load_x87(struct emitter *e)
{
	jit_offsets.load_x87 = e->at;
	code_is_loaded(e);
	uint32_t loaded = emit_jump_if(e, CC_NZ);
	emit_mxcsr(e, STMXCSR, GPR_ZERO, (int32_t)JIT_CONTEXT(host_mxcsr));
	emit_load(e, JIT_TEMP, JIT_CONTEXT(fx));
	uint32_t goes_on = emit_jump(e);
	emit_patch(e, loaded, e->at);
	emit_state(e, true, JIT_TEMP);
	emit_patch(e, goes_on, e->at);
	for (unsigned at = 0; at < FX_END; at += 16)
		emit_copy_image(e, false, at);
	emit_fx(e, false);
	emit_store_imm(e, JIT_CONTEXT(loaded), 1);
	emit_store_imm(e, JIT_CONTEXT(x87_loaded), 1);
	emit_jump_memory(e, JIT_CONTEXT(retry));
}

/* x87 and SSE state back to where C finds it. */
static void emit_unload_state(struct emitter *e)
{
	uint32_t over = emit_skip_unless_loaded(e);

	code_is_x87_loaded(e);
	uint32_t without = emit_jump_if(e, CC_Z);
	emit_store_x87(e);
	emit_store_imm(e, JIT_CONTEXT(x87_loaded), 0);
	uint32_t stored = emit_jump(e);
	emit_patch(e, without, e->at);
	emit_state(e, true, JIT_TEMP);
	emit_patch(e, stored, e->at);
	emit_mxcsr(e, LDMXCSR, GPR_ZERO, (int32_t)JIT_CONTEXT(host_mxcsr));
	emit_store_imm(e, JIT_CONTEXT(loaded), 0);
	emit_patch(e, over, e->at);
}

/* ---- in and out ---- */

static void emit_enter(struct emitter *e)
{
	for (unsigned i = 0; i < N_CALLEE_SAVED; i++)
		emit_push_register(e, callee_saved[i]);
	emit_lea(e, RSP, RSP, GPR_ZERO, -8); /* aligned for calls from here */
	emit_store(e, JIT_CONTEXT(host_rsp), RSP);
	for (unsigned reg = RAX; reg <= R15; reg++)
		if (reg != RSP && !code_is_displaced(reg))
			emit_load(e, reg, CONTEXT_GPR(reg));
	emit_load(e, JIT_COUNT, CONTEXT(count));
	emit_load(e, RSP, CONTEXT_GPR(RSP));
	emit_jump_memory(e, CONTEXT(entry));
}

static void emit_leave(struct emitter *e)
{
	for (unsigned reg = RAX; reg <= R15; reg++)
		if (!code_is_displaced(reg))
			emit_store(e, CONTEXT_GPR(reg), reg);
	emit_store(e, CONTEXT(count), JIT_COUNT);
	emit_unload_state(e);
	emit_load(e, RSP, JIT_CONTEXT(host_rsp));
	emit_lea(e, RSP, RSP, GPR_ZERO, 8);
	for (unsigned i = N_CALLEE_SAVED; i-- > 0;)
		emit_pop_register(e, callee_saved[i]);
	emit8(e, 0xc3);
}

/* ---- calls ---- */

static const uint8_t caller_saved[] = {RAX, RCX, RDX, RSI, RDI, R8, R9, RSP};

/* Registers that C may change, and RSP, into the context; from here on RSP is the host's. */
static void emit_save_registers(struct emitter *e)
{
	for (unsigned i = 0; i < sizeof(caller_saved); i++)
		emit_store(e, CONTEXT_GPR(caller_saved[i]), caller_saved[i]);
	emit_load(e, RSP, JIT_CONTEXT(host_rsp));
}

static void emit_restore_registers(struct emitter *e)
{
	for (unsigned i = 0; i < sizeof(caller_saved); i++)
		emit_load(e, caller_saved[i], CONTEXT_GPR(caller_saved[i]));
}

static void emit_call_memory(struct emitter *e, uint32_t address)
{
	struct encoding c = {.opcode = 0xff,
			     .has_modrm = true,
			     .memory = true,
			     .reg = 2,
			     .base = GPR_ZERO,
			     .index = GPR_ZERO,
			     .disp = (int32_t)address};
	emit_encoding(e, &c);
}

/* Calls what the context says for the linear address in JIT_TEMP, SSE state kept; its result is in
 * JIT_TEMP2, the address in JIT_TEMP again. */
static void emit_call_for_linear(struct emitter *e, uint32_t function)
{
	emit_store(e, JIT_CONTEXT(linear), JIT_TEMP);
	emit_save_registers(e);
	uint32_t over = emit_skip_unless_loaded(e);
	emit_state(e, true, RAX);
	emit_patch(e, over, e->at);
	emit_load(e, RDI, JIT_CONTEXT(engine));
	emit_load(e, RSI, JIT_CONTEXT(linear));
	emit_call_memory(e, function);
	emit_move(e, JIT_TEMP2, RAX);
	over = emit_skip_unless_loaded(e);
	emit_state(e, false, RAX);
	emit_patch(e, over, e->at);
	emit_restore_registers(e);
	emit_load(e, JIT_TEMP, JIT_CONTEXT(linear));
}

/* JIT_TEMP holds the address less the entry's tag, JIT_TEMP2 the entry's address (code.c). */
static void emit_fill(struct emitter *e)
{
	jit_offsets.fill = e->at;
	code_memory(e, OP_ADD, JIT_TEMP, JIT_TEMP2, offsetof(struct tlb_entry, tag), true);
	jit_offsets.refill = e->at;
	emit_call_for_linear(e, JIT_CONTEXT(fill));
	code_register(e, 0x85, JIT_TEMP2, JIT_TEMP2, true); /* test */
	uint32_t no = emit_jump_if(e, CC_Z);
	code_memory(e, OP_SUB, JIT_TEMP, JIT_TEMP2, offsetof(struct tlb_entry, tag), true);
	emit_jump_memory(e, JIT_CONTEXT(retry));
	emit_patch(e, no, e->at);
	emit_jump_memory(e, JIT_CONTEXT(slow));
}

/* JIT_TEMP holds the address that an extent missed. */
static void emit_ask(struct emitter *e)
{
	jit_offsets.ask = e->at;
	emit_store(e, CONTEXT(count), JIT_COUNT);
	emit_call_for_linear(e, JIT_CONTEXT(ask));
	emit_jump_memory(e, JIT_CONTEXT(slow));
}

/* Kernels seldom use the SSE state of who called them: it is loaded when somebody does. */
static void emit_transfer(struct emitter *e)
{
	jit_offsets.transfer = e->at;
	emit_save_registers(e);
	emit_store(e, CONTEXT(count), JIT_COUNT);
	emit_unload_state(e);
	emit_load(e, RDI, JIT_CONTEXT(engine));
	emit_call_memory(e, JIT_CONTEXT(transfer));
	emit_store(e, JIT_CONTEXT(retry), RAX);
	emit_restore_registers(e);
	emit_jump_memory(e, JIT_CONTEXT(retry));
}

void jit_trampolines(struct code_cache *cache, const struct translator_config *config)
{
	struct emitter *e = &cache->emitter;
	uint32_t jumps[RUNTIME_EXIT_COUNT];

	(void)config;
	emit_enter(e);
	for (unsigned kind = RUNTIME_EXIT_NONE; kind < RUNTIME_EXIT_COUNT; kind++) {
		cache->leave[kind] = e->at;
		emit_store_imm(e, CONTEXT(exit), (int32_t)kind);
		jumps[kind] = emit_jump(e);
	}
	for (unsigned kind = RUNTIME_EXIT_NONE; kind < RUNTIME_EXIT_COUNT; kind++)
		emit_patch(e, jumps[kind], e->at);
	emit_leave(e);
	emit_load_state(e);
	emit_load_x87(e);
	emit_fill(e);
	emit_ask(e);
	emit_transfer(e);
}
