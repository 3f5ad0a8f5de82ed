#include "tests/roundtrip/harness.h"

const struct engine_ops *harness_engine(void)
{
	return &interp_engine_ops;
}
