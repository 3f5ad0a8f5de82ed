#include "tests/cpu/random_engine.h"
#include "vmm/kvm/kvm.h"

static const char *missing(void)
{
	static struct kvm_vm_error error;

	return kvm_engine_check(&error) ? error.text : NULL;
}

/* As tests/cpu/random_engines.c does; every block polls. */
static void vary(unsigned n)
{
	static const struct kvm_small_options ways[] = {
		{.max_insns = 8, .jit = true},
		{.max_insns = 1},
		{.max_insns = 3, .distrust_host = true},
		{.max_insns = 1, .cache_bytes = 0xa0000, .jit = true},
	};

	kvm_small_options = ways[n % 4];
}

static uint64_t translated(const struct engine *engine)
{
	struct engine_use uses[ENGINE_MAX_USES];

	engine->ops->uses(engine, uses);
	return uses[0].unexpected ? 0 : uses[0].instructions;
}

const struct random_engine random_engines[] = {
	{.name = "kvm",
	 .ops = &kvm_small_engine_ops,
	 .missing = missing,
	 .vary = vary,
	 .translated = translated,
	 .least_percent = 18,
	 .user = true,
	 .unwatched = true},
	{0},
};
