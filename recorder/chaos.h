/*
 * Chaos: what makes unreliable programs fail, done to a guest on purpose and from a seed.
 *
 * Nothing here can do what a real host would not: time may pass between any two instructions (the
 * host was busy), at any rate, and devices may take their time. A guest's kernel takes the
 * processor from a thread when its clock says so; letting time pass right there is how a thread is
 * interrupted at an instruction of our choice. All of it reaches the machine as ordinary clock
 * events and device replies, so that replay knows nothing of chaos.
 */
#ifndef REPRISE_RECORDER_CHAOS_H
#define REPRISE_RECORDER_CHAOS_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/random.h"
#include "vmm/cpu/cpu.h"

/* docs/hunt.md says what each does, and what it finds. */
enum chaos_strategy {
	CHAOS_PREEMPT = 1, /* threads are interrupted at random instructions */
	CHAOS_ATOMICS = 2, /* … around atomic instructions and system calls */
	CHAOS_STARVE = 4,  /* some threads hardly run for a while */
	CHAOS_CLOCK = 8,   /* the processor's speed differs, time jumps */
	CHAOS_DISK = 16,   /* disk and files answer late and out of order */
	CHAOS_IO = 32,     /* standard input comes in small pieces */
	CHAOS_MEMORY = 64, /* what the command is given: nothing is done here */
};

struct chaos_config {
	unsigned strategies; /* bits of enum chaos_strategy; 0: no chaos */
	uint64_t seed;
};

#define CHAOS_MAX_THREADS 64

/* The counts are of the next time; UINT64_MAX: never. */
struct chaos {
	struct random_source random;
	unsigned strategies; /* those of this run */
	uint64_t own_space;  /* the agent's page tables: it is left in peace */
	bool begun;          /* the command was seen to run */
	uint64_t budget_ns;  /* what may still pass to interrupt threads */
	uint64_t alone_ns;   /* of that, while there is only one */
	uint64_t alone;      /* which is interrupted so many times more rarely */
	uint64_t jumps_ns;   /* what may still pass in jumps of time */

	uint64_t preempt_icount;
	unsigned preempt_shift; /* the mean distance, as a power of two */
	uint64_t burst;         /* the mean number of interruptions between two times of peace */

	uint64_t walk_icount; /* atomics: the next instruction is looked at */
	unsigned walk_steps;  /* how many more */
	unsigned walk_shift;  /* the mean distance between walks, as a power of two */
	unsigned walk_shift_least;
	bool walk_found; /* the instruction before was one */

	uint64_t starve_icount, window_icount;
	unsigned starve_shift;
	uint64_t thread[CHAOS_MAX_THREADS]; /* known by their thread pointer and page tables */
	unsigned n_threads;
	uint64_t starved; /* bit n: thread n */

	uint64_t jump_icount;
};

/* Chooses what this run does: of several strategies each run takes some. */
void chaos_init(struct chaos *chaos, const struct chaos_config *config);

/* The guest is about to run from a count; cpu is the agent's. */
void chaos_start(struct chaos *chaos, const struct cpu *cpu, uint64_t icount);

/* The next count at which chaos_due_ns() is to be asked; UINT64_MAX: never. */
uint64_t chaos_icount(const struct chaos *chaos);

/*
 * How much time passes at this count, 0 for none. tick_ns: how much would make the guest's kernel
 * take the processor from a thread.
 */
uint64_t chaos_due_ns(struct chaos *chaos, const struct cpu *cpu, uint64_t icount,
		      uint64_t tick_ns);

/* The processor's time for an instruction in this run (32.32), from what it would be. */
uint64_t chaos_ratio(struct chaos *chaos, uint64_t ratio);

/* The latency of a device's reply, in ns. */
uint64_t chaos_latency_ns(void *chaos);

/* A whole number from 0 to n - 1, n > 0. */
uint64_t chaos_below(struct chaos *chaos, uint64_t n);

/* A number near 2 to the power of a number from low to high. */
uint64_t chaos_power(struct chaos *chaos, unsigned low, unsigned high);

#endif
