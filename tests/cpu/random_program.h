/*
 * Random programs for the rig (interp_guest.h). They write their own code and page tables, use the
 * code through two mappings, cross pages, repeat strings, fault, read ports, devices and the clock,
 * single-step themselves, set breakpoints, and at CPL 0 write MSRs and control registers.
 */
#ifndef REPRISE_TESTS_CPU_RANDOM_PROGRAM_H
#define REPRISE_TESTS_CPU_RANDOM_PROGRAM_H

#include "tests/cpu/interp_guest.h"

struct writer {
	uint8_t code[RIG_CODE_BYTES + 64];
	uint32_t n;
	uint32_t starts[RIG_CODE_BYTES]; /* offsets of instructions */
	uint32_t n_starts;
	uint32_t patchable[4096]; /* offsets of immediates that may be overwritten */
	uint32_t n_patchable;
	uint64_t seed;
	enum rig_mode mode;
	bool quiet;  /* no events */
	bool rounds; /* more loops that go through memory than else */
	bool high;   /* the program begins at RIG_HIGH */
};

/* A random number below n, from the writer's seed. */
uint32_t any(struct writer *w, uint32_t n);

/* mode: where it is to run. */
void write_program(struct writer *w, uint64_t seed, enum rig_mode mode);

/* Puts the program into a fresh rig, and addresses inside it into the slots. */
void load_program(struct rig *rig, const struct writer *w);

#endif
