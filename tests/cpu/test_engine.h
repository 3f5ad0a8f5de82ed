/* Engines that the programs of the cpu suite compare with when told to by --engine. */
#ifndef REPRISE_TESTS_CPU_TEST_ENGINE_H
#define REPRISE_TESTS_CPU_TEST_ENGINE_H

#include <string.h>

#include "vmm/engine.h"

struct test_engine {
	const char *name;
	const struct engine_ops *ops;
	/* Why this host cannot run it, or NULL. Optional. */
	const char *(*missing)(void);
	/* Says how much it ran of what it is for; true when that is a fair part. Optional. */
	bool (*report)(struct engine *engine, char *text, size_t n);
};

/* Those of the program; the last has no name. */
extern const struct test_engine test_engines[];

static inline const struct test_engine *test_engine_find(const char *name)
{
	const struct test_engine *engine = test_engines;

	while (engine->name && strcmp(engine->name, name))
		engine++;
	return engine->name ? engine : NULL;
}

#endif
