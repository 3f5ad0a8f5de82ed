#include <stdio.h>

#include "tests/cpu/test_engine.h"
#include "vmm/kvm/kvm.h"

static const char *missing(void)
{
	static struct kvm_vm_error error;

	return kvm_engine_check(&error) ? error.text : NULL;
}

static bool report(struct engine *engine, char *text, size_t n)
{
	struct engine_use uses[ENGINE_MAX_USES];

	engine->ops->uses(engine, uses);
	snprintf(text, n, "%llu of %llu instructions in KVM, %llu entries, %llu unexpected",
		 (unsigned long long)uses[0].instructions,
		 (unsigned long long)engine->machine->icount, (unsigned long long)uses[0].entries,
		 (unsigned long long)uses[0].unexpected);
	return uses[0].instructions * 50 > engine->machine->icount && !uses[0].unexpected;
}

const struct test_engine test_engines[] = {
	{.name = "interp", .ops = &interp_engine_ops},
	{.name = "kvm", .ops = &kvm_small_engine_ops, .missing = missing, .report = report},
	{0},
};
