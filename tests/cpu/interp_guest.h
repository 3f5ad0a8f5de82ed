/*
 * A machine with page tables, an IDT and handlers that let a program go on after any fault; and a
 * driver that runs it from count to count with an engine, answering crossings and applying events
 * that depend on the count alone.
 */
#ifndef REPRISE_TESTS_CPU_INTERP_GUEST_H
#define REPRISE_TESTS_CPU_INTERP_GUEST_H

#include "vmm/engine.h"

/* Physical addresses; linear ones below 2 MiB are the same. */
enum {
	RIG_PT = 0x4000,       /* of the first 2 MiB */
	RIG_ALIAS_PT = 0x5000, /* of the next 2 MiB */
	RIG_IDT = 0x6000,
	RIG_GDT = 0xe000,
	RIG_TSS = 0xf000,
	RIG_HANDLERS = 0x10000, /* + 32 * vector */
	RIG_SLOTS = 0x12000,    /* 64 addresses: where a fault goes on, one after the other */
	RIG_COUNTERS = 0x13000, /* one 32-bit word a vector, of those whose handlers return: 1, 3,
				   0x50; the first is of system calls */
	RIG_CODE = 0x20000,
	RIG_CODE_BYTES = 0x4000,
	RIG_DATA = 0x30000,
	RIG_DATA_BYTES = 0x4000,
	RIG_STACK = 0x40000, /* its top */
	RIG_RAM = 0x200000,
	RIG_DEVICE = 0x10000000,
	RIG_PORT = 0x500,
};

/* Linear addresses of the second 2 MiB. */
enum {
	RIG_ALIAS_CODE = 0x200000, /* + 0x4000: the code again */
	RIG_ALIAS_DATA = 0x204000, /* + 0x4000: the data again */
	RIG_ALIAS_DEVICE = 0x208000,
	RIG_ALIAS_ABSENT = 0x209000,
	RIG_ALIAS_SPARE = 0x20a000, /* mapped by tests */
};

/* Where rig_map_high() has all of this again, for users. RIG_PT and RIG_ALIAS_PT are its tables
 * then, and the low addresses' have copies. */
#define RIG_HIGH UINT64_C(0x550000000000)

/* SYSCALL leads to code that returns by SYSRET, to CPL 3, or by IRET, to CPL 0. */

/* The handlers of vectors 1, 3 and RIG_VECTOR_SOFT count and return; all others, interrupts too, go
 * on at the next slot, so that no program is stuck for long. */
enum { RIG_VECTOR_SOFT = 0x50, RIG_VECTOR_IRQ = 0x40 };

enum rig_mode { RIG_KERNEL64, RIG_USER64, RIG_USER32, RIG_MODES };

struct rig {
	struct machine *machine;
	struct cpu *cpu;
	struct engine *engine;
	unsigned n_inputs;
	bool events;   /* apply events at counts that rig_event_due() names */
	bool halted;   /* the last run ended so */
	uint64_t hits; /* of watchpoints in rig_run(): a digest of all, with their counts */
	unsigned n_hits;
	unsigned spacing; /* events are so many counts apart, on average; 0: 61 */
	bool observed;    /* the state is looked at before each event and at each crossing */
	uint64_t seen;    /* a digest of all these states, with their counts */
	unsigned n_events, n_crossings; /* that were */
};

/* The engine of rigs made from here on; interp unless it is changed. */
extern const struct engine_ops *rig_engine;

/* Exits the test program when there is no memory. */
void rig_create(struct rig *rig, enum rig_mode mode);
void rig_destroy(struct rig *rig);

void rig_load(struct rig *rig, uint64_t gpa, const void *bytes, uint32_t n);
void rig_store64(struct rig *rig, uint64_t gpa, uint64_t value);
uint64_t rig_fetch(struct rig *rig, uint64_t gpa, unsigned size);

void rig_map_high(struct rig *rig);

/* One engine run to a count, with crossings answered; interrupts may be waited for. */
enum engine_exit rig_run_once(struct rig *rig, uint64_t until, bool window);

/* Runs to a count exactly, applying events, and on from hits of watchpoints; stops early when the
 * vCPU halts. */
void rig_run(struct rig *rig, uint64_t until, bool window);

/* Hash of the whole state. */
uint64_t rig_digest(struct rig *rig);

/* Likewise at a count, by an engine, of what start() begins in a rig that it makes. */
uint64_t rig_digest_at(void (*start)(struct rig *rig, const struct engine_ops *engine),
		       const struct engine_ops *engine, uint64_t count);

#endif
