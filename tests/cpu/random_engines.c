#include "tests/cpu/native_engine.h"
#include "tests/cpu/random_engine.h"
#include "vmm/jit/jit.h"

/* Translated code, in blocks short enough to be run close to any count to stop at. */
static void vary_native(unsigned n)
{
	static const struct native_engine_options ways[] = {
		{.poll_often = true, .max_insns = 8},
		{.poll_often = true, .max_insns = 1},
		{.poll_often = true, .max_insns = 3, .distrust_host = true},
		{.poll_often = true, .max_insns = 24, .cache_bytes = 0xa0000},
	};

	native_engine_options = ways[n % 4];
}

static uint64_t native_translated(const struct engine *engine)
{
	return translator_statistics(native_engine_translator(engine))->counted;
}

static const char *native_missing(void)
{
	return native_engine_possible() ? NULL : "the host has no FSGSBASE";
}

/* As the product makes it, and with every block cut short. */
static void vary_jit(unsigned n)
{
	static const struct jit_options ways[] = {
		{.max_insns = 24, .loop_heat = 1, .hot_samples = 1, .extents_soon = true},
		{.max_insns = 1},
		{.max_insns = 5, .distrust_host = true, .loop_heat = 1},
		{.max_insns = 24, .cache_bytes = 0xa0000, .loop_heat = 2},
	};

	jit_options = ways[n % 4];
}

static uint64_t jit_translated(const struct engine *engine)
{
	struct engine_use uses[ENGINE_MAX_USES];

	engine->ops->uses(engine, uses);
	return uses[0].instructions;
}

const struct random_engine random_engines[] = {
	{.name = "interp", .ops = &interp_engine_ops},
	{.name = "native",
	 .ops = &native_engine_ops,
	 .missing = native_missing,
	 .vary = vary_native,
	 .translated = native_translated,
	 .least_percent = 14,
	 .user = true,
	 .unwatched = true},
	{.name = "jit",
	 .ops = &jit_engine_ops,
	 .vary = vary_jit,
	 .translated = jit_translated,
	 .least_percent = 40,
	 .no_user32 = true},
	{0},
};
