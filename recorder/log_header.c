#include "recorder/log_header.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "vmm/devices/channel.h"
#include "vmm/devices/layout.h"

#define HOST_CPU_BYTES    49
#define HOST_SYSTEM_BYTES 256
#define MAX_STREAMS       4

struct log_header {
	Reprise__Header message;
	Reprise__Machine machine;
	Reprise__Region region[MEMORY_MAX_REGIONS], *region_list[MEMORY_MAX_REGIONS];
	Reprise__PortRange port[MACHINE_MAX_PORT_RANGES], *port_list[MACHINE_MAX_PORT_RANGES];
	Reprise__Stream stream[MAX_STREAMS], *stream_list[MAX_STREAMS];
	char host_cpu[HOST_CPU_BYTES], host_system[HOST_SYSTEM_BYTES];
};

/* The processor's brand string (SDM 2A CPUID, leaves 0x80000002 to 0x80000004). */
static void read_host_cpu(char text[HOST_CPU_BYTES])
{
	uint32_t words[12] = {0};

	for (uint32_t i = 0; i < 3; i++)
		__get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
			    &words[4 * i + 3]);
	memcpy(text, words, sizeof(words));
	text[HOST_CPU_BYTES - 1] = '\0';
}

static void fill_machine(struct log_header *header, const struct recorder *recorder, uint8_t *state)
{
	const struct machine_config *config = &recorder->machine->config;

	reprise__machine__init(&header->machine);
	header->machine.n_vcpus = config->n_vcpus;
	header->machine.cpu_model = (char *)config->cpu_model;
	for (uint32_t i = 0; i < config->n_regions; i++) {
		reprise__region__init(&header->region[i]);
		header->region[i].kind = (Reprise__RegionKind)config->regions[i].kind;
		header->region[i].gpa = config->regions[i].gpa;
		header->region[i].bytes = config->regions[i].bytes;
		header->region_list[i] = &header->region[i];
	}
	header->machine.n_regions = config->n_regions;
	header->machine.regions = header->region_list;
	for (uint32_t i = 0; i < config->n_ports; i++) {
		reprise__port_range__init(&header->port[i]);
		header->port[i].first = config->ports[i].first;
		header->port[i].count = config->ports[i].count;
		header->port_list[i] = &header->port[i];
	}
	header->machine.n_ports = config->n_ports;
	header->machine.ports = header->port_list;
	header->machine.initial_state.data = state;
	header->machine.initial_state.len = machine_state_bytes(recorder->machine);
	header->message.machine = &header->machine;
}

static void add_stream(struct log_header *header, Reprise__StreamKind kind, uint32_t port,
		       uint32_t host_fd, const char *name)
{
	size_t n = header->message.n_streams++;

	reprise__stream__init(&header->stream[n]);
	header->stream[n].kind = kind;
	header->stream[n].port = port;
	header->stream[n].host_fd = host_fd;
	header->stream[n].name = (char *)name;
	header->stream_list[n] = &header->stream[n];
	header->message.streams = header->stream_list;
}

/* `run` shows the command's two streams; the serial port then is for --verbose only. */
static void fill_streams(struct log_header *header, const struct recorder_config *config)
{
	add_stream(header, REPRISE__STREAM_KIND__STREAM_UART16550, LAYOUT_UART0_PORT,
		   config->channel ? 0 : 1, "ttyS0");
	if (config->virtio_console)
		add_stream(header, REPRISE__STREAM_KIND__STREAM_MEMORY, 0, 1, "hvc0");
	if (!config->channel)
		return;
	add_stream(header, REPRISE__STREAM_KIND__STREAM_PORT, LAYOUT_CHANNEL_PORT + CHANNEL_STDOUT,
		   1, "stdout");
	add_stream(header, REPRISE__STREAM_KIND__STREAM_PORT, LAYOUT_CHANNEL_PORT + CHANNEL_STDERR,
		   2, "stderr");
}

/* The host's distribution (os-release(5)) and kernel. */
static void read_host_system(char text[HOST_SYSTEM_BYTES])
{
	char line[200], name[128] = "Linux";
	struct utsname system = {0};
	FILE *release = fopen("/etc/os-release", "re");

	while (release && fgets(line, sizeof(line), release))
		if (sscanf(line, "PRETTY_NAME=\"%127[^\"]\"", name) == 1)
			break;
	if (release)
		fclose(release);
	uname(&system);
	snprintf(text, HOST_SYSTEM_BYTES, "%s, %s %s", name, system.sysname, system.release);
}

static size_t count(const char *const *strings)
{
	size_t n = 0;

	while (strings && strings[n])
		n++;
	return n;
}

static void fill_header(struct log_header *header, const struct recorder *recorder, uint8_t *state)
{
	const struct recorder_config *config = recorder->config;
	Reprise__Header *message = &header->message;

	reprise__header__init(message);
	message->format_version = 1;
	message->tool_version = (char *)REPRISE_VERSION;
	message->created_unix_s = (uint64_t)time(NULL);
	read_host_cpu(header->host_cpu);
	message->host_cpu = header->host_cpu;
	read_host_system(header->host_system);
	message->clock_mode = REPRISE__CLOCK_MODE__CLOCK_HOST;
	if (config->clock == RECORDER_CLOCK_VIRTUAL) {
		message->clock_mode = REPRISE__CLOCK_MODE__CLOCK_VIRTUAL;
		message->virtual_ns_per_1000_instructions = config->virtual_ps_per_instruction;
	}
	message->seeded = config->seeded;
	message->seed = config->seeded ? config->seed : 0;
	message->command = (char **)config->command;
	message->n_command = count(config->command);
	message->environment = (char **)config->environment;
	message->n_environment = count(config->environment);
	message->withheld = (char **)config->withheld;
	message->n_withheld = count(config->withheld);
	if (config->directory)
		message->directory = (char *)config->directory;
	message->host_system = header->host_system;
	if (config->kernel_path)
		message->kernel_path = (char *)config->kernel_path;
	if (config->boot.command_line)
		message->kernel_command_line = (char *)config->boot.command_line;
	message->is_run = config->channel;
	message->saved_guest_ns = recorder->saved_guest_ns;
	fill_machine(header, recorder, state);
	fill_streams(header, config);
}

int log_header_create(const struct recorder *recorder, uint8_t *state,
		      struct log_header **ret_header)
{
	struct log_header *header = calloc(1, sizeof(*header));

	if (!header)
		return -ENOMEM;
	fill_header(header, recorder, state);
	*ret_header = header;
	return 0;
}

void log_header_destroy(struct log_header *header)
{
	free(header);
}

const Reprise__Header *log_header_message(const struct log_header *header)
{
	return &header->message;
}

/* Packed without the state, for comparison. The caller frees it; NULL: no memory. */
static uint8_t *pack_machine(const Reprise__Machine *machine, size_t *ret_n)
{
	Reprise__Machine bare = *machine;

	bare.initial_state = (ProtobufCBinaryData){0};
	*ret_n = reprise__machine__get_packed_size(&bare);
	uint8_t *bytes = malloc(*ret_n + 1);
	if (bytes)
		reprise__machine__pack(&bare, bytes);
	return bytes;
}

bool log_header_same_machine(const Reprise__Header *a, const Reprise__Header *b)
{
	size_t n_a, n_b;
	uint8_t *bytes_a = pack_machine(a->machine, &n_a),
		*bytes_b = pack_machine(b->machine, &n_b);
	bool same = bytes_a && bytes_b && n_a == n_b && !memcmp(bytes_a, bytes_b, n_a);

	free(bytes_a);
	free(bytes_b);
	return same;
}
