#include <stdio.h>
#include <sys/mman.h>

#include "tests/cpu/test_engine.h"
#include "vmm/jit/jit.h"
#include "vmm/translate/runtime.h"

/*
 * Nothing lies at the engine's addresses while it does not run: what the host runs natively may
 * jump there by itself.
 */
static struct engine_ops hidden_ops;

static void show(bool visible)
{
	mprotect((void *)(uintptr_t)(RUNTIME_BASE + RUNTIME_CODE), RUNTIME_CODE_BYTES,
		 visible ? PROT_READ | PROT_EXEC : PROT_NONE);
	mprotect((void *)(uintptr_t)RUNTIME_BASE, 2 * PAGE_BYTES,
		 visible ? PROT_READ | PROT_WRITE : PROT_NONE);
}

static enum engine_exit hidden_run(struct engine *engine, const struct run_control *control)
{
	show(true);
	enum engine_exit exit = jit_engine_ops.run(engine, control);
	show(false);
	return exit;
}

static int hidden_create(struct machine *machine, uint32_t max_insns, struct engine **ret_engine)
{
	jit_options = (struct jit_options){.max_insns = max_insns};
	int r = jit_engine_ops.create(machine, ret_engine);

	if (r)
		return r;
	hidden_ops = jit_engine_ops;
	hidden_ops.run = hidden_run;
	(*ret_engine)->ops = &hidden_ops;
	show(false);
	return 0;
}

static int create_single(struct machine *machine, struct engine **ret_engine)
{
	return hidden_create(machine, 1, ret_engine);
}

/* As many as the product's: flags that nobody reads are not made, look-ups are shared. */
static int create_blocks(struct machine *machine, struct engine **ret_engine)
{
	return hidden_create(machine, 24, ret_engine);
}

static const struct engine_ops single_ops = {.name = "jit", .create = create_single};
static const struct engine_ops blocks_ops = {.name = "jit", .create = create_blocks};

static bool report(struct engine *engine, char *text, size_t n)
{
	struct engine_use uses[ENGINE_MAX_USES];

	engine->ops->uses(engine, uses);
	snprintf(text, n, "%llu of %llu instructions translated",
		 (unsigned long long)uses[0].instructions,
		 (unsigned long long)engine->machine->icount);
	return uses[0].instructions * 50 > engine->machine->icount;
}

const struct test_engine test_engines[] = {
	{.name = "interp", .ops = &interp_engine_ops},
	{.name = "jit", .ops = &single_ops, .report = report},
	{.name = "jit-blocks", .ops = &blocks_ops, .report = report},
	{0},
};
