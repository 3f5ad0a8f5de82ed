/* In place of the roundtrip suite's own. */
#include "tests/roundtrip/harness.h"
#include "vmm/jit/jit.h"

const struct engine_ops *harness_engine(void)
{
	return &jit_engine_ops;
}
