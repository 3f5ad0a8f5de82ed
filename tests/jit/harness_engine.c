/* In place of the roundtrip suite's own: all user code in KVM. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/roundtrip/harness.h"
#include "vmm/jit/jit.h"

const struct engine_ops *harness_engine(void)
{
	struct kvm_vm_error error;

	if (kvm_engine_check(&error)) {
		printf("1..0 # SKIP %s\n", error.text);
		exit(0);
	}
	return &jit_engine_ops;
}
