#include "replayer/divergence.h"

#include <inttypes.h>
#include <stdio.h>

/* How a crossing is named: before its address, if it has one. */
static const struct {
	const char *text;
	bool has_address;
} crossing_name[CROSSING_KIND_COUNT] = {
	[CROSSING_UNSPECIFIED] = {"unspecified crossing", false},
	[CROSSING_PORT_READ] = {"read of port", true},
	[CROSSING_PORT_WRITE] = {"write to port", true},
	[CROSSING_MMIO_READ] = {"read of device memory at", true},
	[CROSSING_MMIO_WRITE] = {"write to device memory at", true},
	[CROSSING_MSR_READ] = {"read of MSR", true},
	[CROSSING_MSR_WRITE] = {"write to MSR", true},
	[CROSSING_CR8_READ] = {"read of CR8", false},
	[CROSSING_CR8_WRITE] = {"write to CR8", false},
	[CROSSING_RDRAND] = {"RDRAND", false},
	[CROSSING_RDSEED] = {"RDSEED", false},
};

static const char *const event_name[EVENT_KIND_COUNT] = {
	[EVENT_UNSPECIFIED] = "unspecified event",
	[EVENT_INPUT] = "input",
	[EVENT_CLOCK] = "clock",
	[EVENT_MEMORY] = "memory write",
	[EVENT_INTERRUPT] = "interrupt",
	[EVENT_NMI] = "NMI",
	[EVENT_INIT] = "INIT",
	[EVENT_SIPI] = "SIPI",
	[EVENT_SWITCH] = "vCPU switch",
	[EVENT_RESET] = "reset",
	[EVENT_POWER_OFF] = "power-off",
	[EVENT_DIGEST] = "digest",
	[EVENT_OUTPUT] = "output",
};

void divergence_describe_crossing(uint8_t kind, uint8_t size, uint64_t address, char *text,
				  size_t n)
{
	if (kind >= CROSSING_KIND_COUNT)
		kind = CROSSING_UNSPECIFIED;
	if (crossing_name[kind].has_address)
		snprintf(text, n, "%u-byte %s 0x%" PRIx64, size, crossing_name[kind].text, address);
	else
		snprintf(text, n, "%u-byte %s", size, crossing_name[kind].text);
}

void divergence_describe_event(const struct event *event, char *text, size_t n)
{
	const char *name = event_name[event->kind < EVENT_KIND_COUNT ? event->kind : 0];

	switch (event->kind) {
	case EVENT_INPUT:
		divergence_describe_crossing(event->input.kind, event->input.size,
					     event->input.address, text, n);
		break;
	case EVENT_CLOCK:
		snprintf(text, n, "%s base %" PRIu64, name, event->clock.base);
		break;
	case EVENT_MEMORY:
		snprintf(text, n, "%s of %u bytes at 0x%" PRIx64, name, event->memory.bytes,
			 event->memory.gpa);
		break;
	case EVENT_OUTPUT:
		snprintf(text, n, "%s of %u bytes from 0x%" PRIx64 " to stream %u", name,
			 event->output.bytes, event->output.gpa, event->output.stream);
		break;
	case EVENT_INTERRUPT:
		snprintf(text, n, "%s 0x%02x", name, event->delivery.vector);
		break;
	case EVENT_INIT:
	case EVENT_SIPI:
	case EVENT_SWITCH:
		snprintf(text, n, "%s, vCPU %u", name, event->delivery.vcpu);
		break;
	default:
		snprintf(text, n, "%s", name);
	}
}

bool divergence_check_digest(const struct digest *recorded, const struct digest *replayed,
			     struct divergence *ret)
{
	const struct {
		const char *name;
		uint64_t recorded, replayed;
	} parts[] = {
		{"registers", recorded->registers, replayed->registers},
		{"memory", recorded->memory, replayed->memory},
		{"output", recorded->output, replayed->output},
	};
	const size_t n_parts = sizeof(parts) / sizeof(parts[0]);
	size_t used = 0;

	for (size_t i = 0; i < n_parts; i++) {
		if (parts[i].recorded == parts[i].replayed || used >= sizeof(ret->what))
			continue;
		used += (size_t)snprintf(
			ret->what + used, sizeof(ret->what) - used,
			"%s%s digest: recorded 0x%016" PRIx64 ", replayed 0x%016" PRIx64,
			used ? "; " : "", parts[i].name, parts[i].recorded, parts[i].replayed);
	}
	return used == 0;
}
