/* The machine: making it, events, digests, saved state. */
#include "vmm/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "vmm/cpu/exec.h"
#include "vmm/cpu/system/system.h"
#include "vmm/mmu/mmu.h"

/* ---- making ---- */

static bool config_is_valid(const struct machine_config *config)
{
	if (config->n_vcpus < 1 || config->n_vcpus > MACHINE_MAX_VCPUS ||
	    config->n_regions > MEMORY_MAX_REGIONS || config->n_ports > MACHINE_MAX_PORT_RANGES ||
	    !config->cpu_model || strcmp(config->cpu_model, cpu_model_name) != 0)
		return false;
	for (uint32_t i = 0; i < config->n_ports; i++) {
		if (config->ports[i].first + (uint32_t)config->ports[i].count > 0x10000)
			return false;
	}
	return true;
}

static void assign_ports(struct machine *machine)
{
	const struct machine_config *config = &machine->config;

	for (uint32_t i = 0; i < config->n_ports; i++) {
		uint32_t end = config->ports[i].first + (uint32_t)config->ports[i].count;
		for (uint32_t port = config->ports[i].first; port < end; port++)
			machine->port_assigned[port / 8] |= (uint8_t)(1u << (port % 8));
	}
}

static int create_vcpus(struct machine *machine)
{
	size_t bytes = machine->config.n_vcpus * sizeof(struct cpu);

	/* struct fx_state is aligned, and so every struct cpu's size with it. */
	machine->vcpu = aligned_alloc(_Alignof(struct cpu), bytes);
	if (!machine->vcpu)
		return -ENOMEM;
	memset(machine->vcpu, 0, bytes);
	for (uint32_t i = 0; i < machine->config.n_vcpus; i++) {
		machine->vcpu[i].machine = machine;
		machine->vcpu[i].index = i;
		cpu_reset(&machine->vcpu[i], false);
	}
	return 0;
}

static int create_parts(struct machine *machine)
{
	int r = memory_create(machine->config.regions, machine->config.n_regions, &machine->memory);

	if (r == 0)
		r = mmu_create(machine, &machine->mmu);
	if (r == 0)
		r = create_vcpus(machine);
	return r;
}

int machine_create(const struct machine_config *config, struct machine **ret_machine)
{
	struct machine *machine;
	int r;

	if (!config_is_valid(config))
		return -EINVAL;
	machine = calloc(1, sizeof(*machine));
	if (!machine)
		return -ENOMEM;
	machine->config = *config;
	machine->config.cpu_model = cpu_model_name; /* the caller's string may not last */
	assign_ports(machine);
	r = create_parts(machine);
	if (r < 0) {
		machine_destroy(machine);
		return r;
	}
	*ret_machine = machine;
	return 0;
}

void machine_destroy(struct machine *machine)
{
	if (!machine)
		return;
	free(machine->vcpu);
	mmu_destroy(machine->mmu);
	memory_destroy(machine->memory);
	free(machine);
}

/* ---- events ---- */

static const char *clock_misfit(const struct machine *machine, const struct event *event)
{
	return event->clock.base < machine_clock_now(machine) ? "clock would run backwards" : NULL;
}

static const char *memory_misfit(const struct machine *machine, const struct event *event)
{
	if (event->memory.bytes < 1 || event->memory.bytes > EVENT_MEMORY_MAX)
		return "impossible length of a memory write";
	if (!memory_is_ram(machine->memory, event->memory.gpa, event->memory.bytes))
		return "memory write outside RAM";
	return NULL;
}

static const char *output_misfit(const struct machine *machine, const struct event *event)
{
	if (event->output.bytes < 1 || event->output.bytes > EVENT_MEMORY_MAX)
		return "impossible length of output";
	if (!memory_is_ram(machine->memory, event->output.gpa, event->output.bytes))
		return "output from outside RAM";
	return NULL;
}

static const char *vcpu_misfit(const struct machine *machine, const struct event *event)
{
	return event->delivery.vcpu >= machine->config.n_vcpus ? "unknown vCPU" : NULL;
}

const char *machine_event_misfit(const struct machine *machine, const struct event *event)
{
	const struct cpu *cpu = &machine->vcpu[machine->current];

	if (event->icount != machine->icount)
		return "event of another instruction count";
	switch (event->kind) {
	case EVENT_CLOCK:
		return clock_misfit(machine, event);
	case EVENT_MEMORY:
		return memory_misfit(machine, event);
	case EVENT_OUTPUT:
		return output_misfit(machine, event);
	case EVENT_INTERRUPT:
		return cpu_can_take_interrupt(cpu) ? NULL
						   : "interrupt while interrupts are held off";
	case EVENT_NMI:
		return cpu_can_take_nmi(cpu) ? NULL : "NMI while NMIs are held off";
	case EVENT_INIT:
	case EVENT_SIPI:
	case EVENT_SWITCH:
		return vcpu_misfit(machine, event);
	case EVENT_RESET:
	case EVENT_POWER_OFF:
	case EVENT_DIGEST:
		return NULL;
	case EVENT_INPUT:
		return "input without a crossing";
	default:
		return "unknown kind of event";
	}
}

static void set_clock(struct machine *machine, const struct event *event)
{
	machine->clock = (struct machine_clock){
		.base = event->clock.base,
		.base_icount = machine->icount,
		.ratio = event->clock.ratio,
	};
}

/* SDM 3A 8.4.3: the vector is the page at which real-mode execution starts. Others ignore it. */
static void start_up(struct cpu *cpu, uint8_t vector)
{
	if (cpu->activity != ACTIVITY_WAIT_SIPI)
		return;
	cpu->seg[SEG_CS].selector = (uint16_t)(vector << 8);
	cpu->seg[SEG_CS].base = (uint64_t)vector << 12;
	cpu->rip = 0;
	cpu->activity = ACTIVITY_RUNNING;
	cpu_update_mode(cpu);
}

static void reset(struct machine *machine)
{
	mmu_flush(machine->mmu); /* first: clearing page tables would drop them one by one */
	memory_clear(machine->memory);
	machine->current = 0;
	machine->crossing.n_answers = 0;
	machine->crossing.n_used = 0;
	for (uint32_t i = 0; i < machine->config.n_vcpus; i++)
		cpu_reset(&machine->vcpu[i], false);
}

/* Chains the bytes into the digest of everything the machine has put out. */
static void hash_output(struct machine *machine, const struct event *event)
{
	uint64_t gpa = event->output.gpa;
	uint32_t left = event->output.bytes;
	uint8_t piece[PAGE_BYTES];
	const uint64_t words[] = {event->kind | (uint64_t)event->output.stream << 8, gpa, left};

	machine->output_digest = XXH64(words, sizeof(words), machine->output_digest);
	while (left) {
		uint32_t n = left < PAGE_BYTES ? left : PAGE_BYTES;

		memory_read(machine->memory, gpa, piece, n);
		machine->output_digest = XXH64(piece, n, machine->output_digest);
		gpa += n;
		left -= n;
	}
}

static void apply(struct machine *machine, const struct event *event)
{
	switch (event->kind) {
	case EVENT_CLOCK:
		set_clock(machine, event);
		break;
	case EVENT_MEMORY:
		memory_write(machine->memory, event->memory.gpa, event->memory.data,
			     event->memory.bytes);
		break;
	case EVENT_OUTPUT:
		hash_output(machine, event);
		break;
	case EVENT_INTERRUPT:
		interrupt_deliver(machine_current(machine), event->delivery.vector, false);
		break;
	case EVENT_NMI:
		interrupt_deliver(machine_current(machine), VECTOR_NMI, true);
		break;
	case EVENT_INIT:
		cpu_reset(&machine->vcpu[event->delivery.vcpu], true);
		break;
	case EVENT_SIPI:
		start_up(&machine->vcpu[event->delivery.vcpu], event->delivery.vector);
		break;
	case EVENT_SWITCH:
		machine->current = event->delivery.vcpu;
		break;
	case EVENT_RESET:
		reset(machine);
		break;
	default: /* POWER_OFF and DIGEST change nothing */
		break;
	}
}

int machine_apply_event(struct machine *machine, const struct event *event)
{
	if (machine_event_misfit(machine, event))
		return -EINVAL;
	/* The address space of a vCPU that has not run last may be selected no longer. */
	if (event->kind == EVENT_INTERRUPT || event->kind == EVENT_NMI)
		cpu_update_mode(machine_current(machine));
	apply(machine, event);
	return 0;
}

/* ---- state ---- */

/*
 * Layout, little-endian: clock base, base_icount, ratio; number of the current vCPU; each vCPU's
 * state. A saved state has icount and output digest before that, which the digest leaves out: one
 * names the state and the other stands beside it.
 */
#define CLOCK_WORDS    3
#define NUMBERED_WORDS (CLOCK_WORDS + 1)
#define PREFIX_WORDS   2

static void put_words(uint8_t *to, const uint64_t *words, unsigned n)
{
	for (unsigned i = 0; i < 8 * n; i++)
		to[i] = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
}

static void get_words(const uint8_t *from, uint64_t *ret_words, unsigned n)
{
	memset(ret_words, 0, n * sizeof(*ret_words));
	for (unsigned i = 0; i < 8 * n; i++)
		ret_words[i / 8] |= (uint64_t)from[i] << (8 * (i % 8));
}

static size_t registers_bytes(const struct machine *machine)
{
	return sizeof(uint64_t) * NUMBERED_WORDS +
	       (size_t)machine->config.n_vcpus * cpu_state_bytes;
}

static void encode_registers(const struct machine *machine, uint8_t *buffer)
{
	const uint64_t words[NUMBERED_WORDS] = {machine->clock.base, machine->clock.base_icount,
						machine->clock.ratio, machine->current};

	put_words(buffer, words, NUMBERED_WORDS);
	buffer += sizeof(words);
	for (uint32_t i = 0; i < machine->config.n_vcpus; i++, buffer += cpu_state_bytes)
		cpu_state_encode(&machine->vcpu[i], buffer);
}

/* One vCPU at a time, so that hashing needs no memory that could be missing. */
static uint64_t digest_registers(const struct machine *machine)
{
	const uint64_t words[NUMBERED_WORDS] = {machine->clock.base, machine->clock.base_icount,
						machine->clock.ratio, machine->current};
	uint8_t buffer[cpu_state_bytes];
	uint64_t digest;

	put_words(buffer, words, NUMBERED_WORDS);
	digest = XXH3_64bits(buffer, sizeof(words));
	for (uint32_t i = 0; i < machine->config.n_vcpus; i++) {
		cpu_state_encode(&machine->vcpu[i], buffer);
		digest = XXH3_64bits_withSeed(buffer, cpu_state_bytes, digest);
	}
	return digest;
}

void machine_digest(struct machine *machine, struct digest *ret_digest)
{
	*ret_digest = (struct digest){
		.registers = digest_registers(machine),
		.memory = memory_digest(machine->memory),
		.output = machine->output_digest,
	};
}

size_t machine_state_bytes(const struct machine *machine)
{
	return sizeof(uint64_t) * PREFIX_WORDS + registers_bytes(machine);
}

void machine_state_encode(const struct machine *machine, uint8_t *buffer)
{
	const uint64_t words[PREFIX_WORDS] = {machine->icount, machine->output_digest};

	put_words(buffer, words, PREFIX_WORDS);
	encode_registers(machine, buffer + sizeof(words));
}

static int decode_vcpus(struct cpu *vcpus, uint32_t n, const uint8_t *buffer)
{
	for (uint32_t i = 0; i < n; i++, buffer += cpu_state_bytes) {
		int r = cpu_state_decode(&vcpus[i], buffer);
		if (r < 0)
			return r;
	}
	return 0;
}

int machine_state_decode(struct machine *machine, const uint8_t *buffer, size_t n)
{
	uint64_t words[PREFIX_WORDS + NUMBERED_WORDS];
	uint64_t now;
	int r;

	if (n != machine_state_bytes(machine))
		return -EINVAL;
	get_words(buffer, words, PREFIX_WORDS + NUMBERED_WORDS);
	now = words[0];
	if (words[5] >= machine->config.n_vcpus || words[3] > now)
		return -EINVAL;
	r = decode_vcpus(machine->vcpu, machine->config.n_vcpus, buffer + sizeof(words));
	if (r < 0)
		return r;
	machine->icount = now;
	machine->output_digest = words[1];
	machine->clock = (struct machine_clock){words[2], words[3], words[4]};
	machine->current = (uint32_t)words[5];
	machine->crossing.n_answers = 0;
	machine->crossing.n_used = 0;
	mmu_flush(machine->mmu);
	for (uint32_t i = 0; i < machine->config.n_vcpus; i++)
		cpu_update_mode(&machine->vcpu[i]);
	return 0;
}
