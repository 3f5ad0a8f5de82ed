/*
 * The boundary: everything that can reach the machine from outside, and nothing else.
 *
 * Two vocabularies stand here. A *crossing* is what the machine asks in program order (port, MMIO
 * and device-MSR accesses, random numbers). An *event* is what is written to the log: the answer to
 * a crossing that reads, or something that happens to the machine at an instruction count. The
 * recorder and the replayer each implement struct boundary_ops; run.c drives either.
 */
#ifndef REPRISE_VMM_BOUNDARY_H
#define REPRISE_VMM_BOUNDARY_H

#include <stdbool.h>
#include <stdint.h>

struct machine;

enum crossing_kind {
	CROSSING_UNSPECIFIED,
	CROSSING_PORT_READ,
	CROSSING_PORT_WRITE,
	CROSSING_MMIO_READ,
	CROSSING_MMIO_WRITE,
	CROSSING_MSR_READ,
	CROSSING_MSR_WRITE,
	CROSSING_CR8_READ,
	CROSSING_CR8_WRITE,
	CROSSING_RDRAND,
	CROSSING_RDSEED,
	CROSSING_KIND_COUNT,
};

struct crossing_request {
	uint8_t kind;     /* enum crossing_kind */
	uint8_t size;     /* bytes: 1, 2, 4 or 8 */
	uint64_t address; /* port, guest-physical address or MSR number; 0 where there is none */
	uint64_t value;   /* writes: the value, zero-extended */
};

static inline bool crossing_is_read(uint8_t kind)
{
	return kind == CROSSING_PORT_READ || kind == CROSSING_MMIO_READ ||
	       kind == CROSSING_MSR_READ || kind == CROSSING_CR8_READ || kind == CROSSING_RDRAND ||
	       kind == CROSSING_RDSEED;
}

enum event_kind {
	EVENT_UNSPECIFIED,
	EVENT_INPUT,     /* the answer to a crossing that reads */
	EVENT_CLOCK,     /* new base and ratio of the clock */
	EVENT_MEMORY,    /* a device wrote to RAM */
	EVENT_INTERRUPT, /* maskable interrupt taken by the vCPU that runs */
	EVENT_NMI,
	EVENT_INIT,   /* vCPU event.vcpu */
	EVENT_SIPI,   /* vCPU event.vcpu, start page event.vector */
	EVENT_SWITCH, /* vCPU event.vcpu runs from here */
	EVENT_RESET,  /* vCPUs and RAM as at the start; icount goes on */
	EVENT_POWER_OFF,
	EVENT_DIGEST, /* what the machine's digest is here; changes nothing */
	EVENT_OUTPUT, /* a device took bytes of an output stream from RAM; hashed as output */
	EVENT_KIND_COUNT,
};

/* Digest of the machine at an instruction count; see machine_digest(). */
struct digest {
	uint64_t registers; /* all vCPUs, the clock, which vCPU runs */
	uint64_t memory;    /* sum over pages of hash(page number, content) */
	uint64_t output;    /* all crossings that wrote and output events, since the start */
};

struct event {
	uint8_t kind; /* enum event_kind */
	uint64_t icount;
	union {
		struct {
			uint8_t kind; /* enum crossing_kind */
			uint8_t size;
			uint64_t address;
			uint64_t value;
		} input;
		struct {
			uint64_t base;  /* machine clock at this icount, in TSC ticks (ns) */
			uint64_t ratio; /* ticks per instruction, 32.32 fixed point */
		} clock;
		struct {
			uint64_t gpa;
			uint32_t bytes;      /* 1 to EVENT_MEMORY_MAX */
			const uint8_t *data; /* borrowed; valid until the next call to its giver */
		} memory;
		struct {
			uint32_t vcpu;
			uint8_t vector;
		} delivery; /* INTERRUPT NMI INIT SIPI SWITCH */
		struct digest digest;
		struct {
			uint64_t gpa;
			uint32_t bytes;  /* 1 to EVENT_MEMORY_MAX */
			uint32_t stream; /* number among the header's streams */
		} output;
	};
};

/* The most bytes of one memory or output event; what is larger is several events at the same count.
 */
#define EVENT_MEMORY_MAX 65536u

enum boundary_result {
	BOUNDARY_GO,       /* run on, up to the plan's limit */
	BOUNDARY_END,      /* the recording ends here (power-off, end of log, --until) */
	BOUNDARY_DIVERGED, /* replay only: the log does not fit the machine; details with the
			      replayer */
	BOUNDARY_FAILED,   /* an error outside the machine; details with the implementation */
};

/* What the run loop is told by boundary_ops.events. */
struct boundary_plan {
	uint64_t until_icount; /* run no further than this */
	bool interrupt_window; /* come back as soon as an interrupt could be delivered */
	bool nmi_window;       /* … an NMI */
};

struct boundary_ops {
	/*
	 * Called between instructions: at the start, whenever the plan's limit or window is
	 * reached, when the vCPU halted or shut down, and after every crossing once its instruction
	 * retired. Applies, with machine_apply_event, what is due at machine->icount, and sets
	 * *ret_plan. When the vCPU cannot run (halted, waiting for SIPI, shut down) it must bring
	 * an event, wait for one, or end. Must not touch the machine in any other way. Mandatory.
	 */
	enum boundary_result (*events)(void *ctx, struct machine *machine,
				       struct boundary_plan *ret_plan);
	/* Answers a crossing that reads. Called inside an instruction: must not touch the machine.
	 */
	enum boundary_result (*input)(void *ctx, const struct machine *machine,
				      const struct crossing_request *request, uint64_t *ret_value);
	/* Takes a crossing that writes. As above. */
	enum boundary_result (*output)(void *ctx, const struct machine *machine,
				       const struct crossing_request *request);
	/*
	 * The engine met a breakpoint of its own (watch false: the instruction that would be next
	 * has one) or a watchpoint of the memory's (watch true: memory_watch_hit() says which
	 * access of the last step). BOUNDARY_GO goes on, over the breakpoint. Must not touch the
	 * machine. Optional: without it both are passed over.
	 */
	enum boundary_result (*stopped)(void *ctx, const struct machine *machine, bool watch);
};

struct boundary {
	const struct boundary_ops *ops;
	void *ctx;
};

#endif
