/*
 * A vCPU with hand-made descriptor tables, in any mode, that runs single instructions by their exec
 * functions. Faults are reported, not delivered, unless a test asks for it.
 */
#ifndef REPRISE_TESTS_CPU_SYSTEM_GUEST_H
#define REPRISE_TESTS_CPU_SYSTEM_GUEST_H

#include "tests/tap.h"
#include "vmm/cpu/exec.h"
#include "vmm/cpu/system/system.h"
#include "vmm/machine.h"

/* Where things lie; memory is mapped one to one where there is paging. */
enum guest_layout {
	GUEST_IVT = 0,
	GUEST_GDT = 0x1000,
	GUEST_IDT = 0x2000,
	GUEST_TSS = 0x3000,
	GUEST_LDT = 0x3800,
	GUEST_TSS2 = 0x4000,
	GUEST_STACK = 0x8000,  /* RSP at the start */
	GUEST_STACK0 = 0x9000, /* the TSS's stacks */
	GUEST_STACK1 = 0xa000,
	GUEST_IST1 = 0xb000,
	GUEST_TABLES = 0x10000,
	GUEST_CODE = 0x20000, /* RIP at the start; real mode: 0x2000:0 */
	GUEST_DATA = 0x30000,
	GUEST_HANDLER = 0x40000, /* + 16 * vector */
	GUEST_RAM = 0x400000,
};

/* Selectors of the GDT. The limit of every segment is 4 GiB unless said otherwise. */
enum guest_selector {
	SEL_CODE0 = 0x08,
	SEL_DATA0 = 0x10,
	SEL_CODE3 = 0x18,
	SEL_DATA3 = 0x20,
	SEL_LONG0 = 0x28,
	SEL_DATA0_LONG = 0x30, /* follows SEL_LONG0: for SYSCALL */
	SEL_LONG3 = 0x38,
	SEL_CONFORMING0 = 0x40,
	SEL_ABSENT_DATA0 = 0x48,
	SEL_EXECUTE_ONLY0 = 0x50,
	SEL_READ_ONLY0 = 0x58,
	SEL_DATA1 = 0x60,
	SEL_CODE1 = 0x68,
	SEL_CODE16 = 0x70, /* limit 0xffff */
	SEL_DATA16 = 0x78, /* limit 0xffff */
	SEL_ABSENT_CODE0 = 0x80,
	SEL_DOWN0 = 0x88,       /* expand-down, limit 0xfff */
	SEL_FRESH_DATA0 = 0x90, /* accessed bit clear */
	SEL_FRESH_CODE0 = 0x98,
	SEL_LDT = 0xa0, /* 16 bytes in long mode */
	SEL_TSS = 0xb0,
	SEL_TSS2 = 0xc0, /* available */
	SEL_GATE = 0xd0, /* a call gate, made by the test */
	SEL_TASK_GATE = 0xe0,
	SEL_ABSENT_DATA3 = 0xe8,
	SEL_TSS16 = 0xf0, /* available */
	SEL_END = 0x100,
};

enum guest_mode {
	GUEST_REAL,
	GUEST_V8086,
	GUEST_PROTECTED0, /* 32-bit, no paging */
	GUEST_PROTECTED3,
	GUEST_LONG0,
	GUEST_LONG3,
	GUEST_COMPAT0,
	GUEST_COMPAT3,
};

struct guest {
	struct machine *machine;
	struct cpu *cpu;
	uint64_t answer;                 /* given to every crossing that reads */
	unsigned n_crossings;            /* of the last instruction */
	struct crossing_request crossed; /* its last one */
};

#define RETIRED 0x100

/* What an instruction did: RETIRED, or a fault. */
struct outcome {
	unsigned vector;
	uint32_t error; /* 0 without one */
};

/* A machine in the given mode; n_vcpus 1. Bails out of the test program when there is no memory. */
void guest_create(struct guest *guest, enum guest_mode mode);
void guest_destroy(struct guest *guest);

/* Runs one instruction at RIP. */
struct outcome guest_run(struct guest *guest, const void *bytes, unsigned n);
#define RUN(guest, literal) guest_run((guest), (literal), sizeof(literal) - 1)

/* Runs one, and checks what it did. Here, because tap.h counts per source file. */
static inline bool guest_expect(struct guest *guest, const void *bytes, unsigned n, unsigned vector,
				uint32_t error, const char *name)
{
	struct outcome outcome = guest_run(guest, bytes, n);
	bool ok = outcome.vector == vector && outcome.error == error;

	tap_ok(ok, "%s", name);
	if (!ok)
		tap_note("vector 0x%x error 0x%x, expected 0x%x 0x%x", outcome.vector,
			 outcome.error, vector, error);
	return ok;
}
#define EXPECT(guest, literal, vector, error, name)                                                \
	guest_expect((guest), (literal), sizeof(literal) - 1, (vector), (error), (name))

/* Memory by physical address. */
uint64_t guest_load(struct guest *guest, uint64_t gpa, unsigned size);
void guest_store(struct guest *guest, uint64_t gpa, uint64_t value, unsigned size);

/* One descriptor of the GDT; access: P, DPL, S, type; flags: G, D/B, L, AVL (the upper four bits).
 */
void guest_descriptor(struct guest *guest, unsigned selector, uint32_t base, uint32_t limit,
		      uint8_t access, uint8_t flags);

/* A gate in the IDT or GDT; the long form is written in long mode. */
void guest_gate(struct guest *guest, uint64_t gpa, uint16_t selector, uint64_t offset,
		uint8_t access, uint8_t extra);
#define GUEST_IDT_GATE(guest, vector)                                                              \
	(GUEST_IDT + (vector) * (cpu_long_mode((guest)->cpu) ? 16 : 8))

#endif
