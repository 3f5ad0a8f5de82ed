/*
 * The reprise command whose kvm engine runs all user code in the VM from its first visit on, where
 * the real one waits for what it has seen often (kvm_small_engine_ops).
 *
 * Linked with --wrap=kvm_engine_ops.
 */
#include "tools/reprise.h"
#include "vmm/kvm/kvm.h"

static int create(struct machine *machine, struct engine **ret_engine)
{
	return kvm_small_engine_ops.create(machine, ret_engine);
}

/* The linker's name. The engine that is made has functions of its own.
 * NOLINTBEGIN(bugprone-reserved-identifier) */
extern const struct engine_ops __wrap_kvm_engine_ops;
const struct engine_ops __wrap_kvm_engine_ops = {.name = "kvm", .create = create};
/* NOLINTEND(bugprone-reserved-identifier) */

int main(int argc, char **argv)
{
	return reprise_main(argc, argv);
}
