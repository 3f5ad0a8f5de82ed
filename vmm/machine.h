/*
 * The deterministic machine: vCPU registers, guest RAM, an instruction count. Its next state
 * depends on its state alone; everything else comes through events and crossings (boundary.h).
 */
#ifndef REPRISE_VMM_MACHINE_H
#define REPRISE_VMM_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/boundary.h"
#include "vmm/cpu/cpu.h"
#include "vmm/memory/memory.h"

#define MACHINE_MAX_VCPUS       16
#define MACHINE_MAX_PORT_RANGES 64

/* The machine clock counts nanoseconds: the guest's TSC runs at 1 GHz. */
#define MACHINE_TSC_HZ UINT64_C(1000000000)

struct port_range {
	uint16_t first;
	uint16_t count;
};

/* What a machine is made from; stands in the log's header. */
struct machine_config {
	uint32_t n_vcpus;
	const char *cpu_model; /* "x86-64-v2" */
	struct memory_region regions[MEMORY_MAX_REGIONS];
	uint32_t n_regions;
	/* Ports that cross the boundary; all others read as ones and drop writes. */
	struct port_range ports[MACHINE_MAX_PORT_RANGES];
	uint32_t n_ports;
};

/* The clock: base + (icount - base_icount) * ratio. */
struct machine_clock {
	uint64_t base;
	uint64_t base_icount;
	uint64_t ratio; /* 32.32 */
};

/*
 * Crossings of the instruction in progress. An exec function that needs its k-th answer finds it in
 * answers[k], or leaves its request and stops; the run loop fills in the answer and the instruction
 * runs again from its start. Empty between instructions.
 */
#define CROSSING_MAX_ANSWERS 1024
struct crossing {
	struct crossing_request request; /* valid while the engine has stopped for a crossing */
	uint32_t n_answers, n_used;
	uint64_t answers[CROSSING_MAX_ANSWERS]; /* 0 for a write: taken */
};

struct mmu;

struct machine {
	struct machine_config config;
	struct memory *memory;
	struct mmu *mmu; /* cached translations: derived state */
	uint64_t icount;
	struct machine_clock clock;
	struct cpu *vcpu; /* config.n_vcpus of them */
	uint32_t current; /* the one that runs */
	struct crossing crossing;
	uint8_t port_assigned[65536 / 8]; /* bit set: the port crosses */
	uint64_t output_digest;
	uint64_t unknown_msrs; /* accesses to unlisted MSRs: #GP, counted */
};

/* Returns 0 or -EINVAL, -ENOMEM. The machine has cleared RAM and vCPUs in their reset state. */
int machine_create(const struct machine_config *config, struct machine **ret_machine);
void machine_destroy(struct machine *machine);

static inline struct cpu *machine_current(struct machine *machine)
{
	return &machine->vcpu[machine->current];
}

/* The machine clock now, in TSC ticks. */
uint64_t machine_clock_now(const struct machine *machine);

/*
 * Applies an event at machine->icount == event->icount. Returns 0, or -EINVAL when the state cannot
 * take it (interrupt with IF=0 or in a shadow, address outside RAM, unknown vCPU, clock running
 * backwards, …); the machine is then unchanged. EVENT_INPUT is not applied here but by the run
 * loop; EVENT_RESET does the vCPUs and clears RAM: its caller then loads the initial image.
 * EVENT_DIGEST compares nothing and changes nothing.
 */
int machine_apply_event(struct machine *machine, const struct event *event);

/* Why machine_apply_event would refuse the event, in a few words for a message; NULL if it fits. */
const char *machine_event_misfit(const struct machine *machine, const struct event *event);

void machine_digest(struct machine *machine, struct digest *ret_digest);

/* Bytes of machine_state_encode's output for this machine. */
size_t machine_state_bytes(const struct machine *machine);

/* All vCPUs, icount, clock, current vCPU, output digest; RAM not included. */
void machine_state_encode(const struct machine *machine, uint8_t *buffer);

/* Returns 0, or -EINVAL when n is not the right size or a field is impossible. */
int machine_state_decode(struct machine *machine, const uint8_t *buffer, size_t n);

#endif
