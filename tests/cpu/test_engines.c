#include "tests/cpu/native_engine.h"
#include "tests/cpu/test_engine.h"

const struct test_engine test_engines[] = {
	{.name = "interp", .ops = &interp_engine_ops},
	{.name = "native", .ops = &native_engine_ops, .report = native_engine_report},
	{0},
};
