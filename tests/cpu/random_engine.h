/* Engines whose runs of random programs interp_random_test.c compares with single steps. */
#ifndef REPRISE_TESTS_CPU_RANDOM_ENGINE_H
#define REPRISE_TESTS_CPU_RANDOM_ENGINE_H

#include "vmm/engine.h"

struct random_engine {
	const char *name;
	const struct engine_ops *ops;
	/* Why this host cannot run it, or NULL. Optional. */
	const char *(*missing)(void);
	/* Program n is translated in this way by engines that are made from here on. Optional. */
	void (*vary)(unsigned n);
	/* Steps of the engine that were translated code's. Optional. */
	uint64_t (*translated)(const struct engine *engine);
	/* They are at least so many per cent of all programs' steps; of none they are 0. */
	unsigned least_percent;
	bool user;      /* translates 64-bit user code alone: all programs are that */
	bool no_user32; /* leaves 32-bit code to interp: no program is that */
	bool unwatched; /* translates nothing where memory is watched */
};

/* Those of the program; the last has no name. */
extern const struct random_engine random_engines[];

#endif
