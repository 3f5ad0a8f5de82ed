/* Building a machine from a recording and running it. */
#include "replayer/replayer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replayer/state.h"
#include "vmm/run.h"

static const char *const known_cpu_models[] = {"x86-64-v2"};

__attribute__((format(printf, 3, 4))) static int fail(struct log_error *error, int code,
						      const char *format, ...)
{
	va_list args;

	*error = (struct log_error){.code = code};
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return code;
}

/* ---- the machine of the header; nothing in it is trusted ---- */

static const char *find_cpu_model(const char *name)
{
	for (size_t i = 0; i < sizeof(known_cpu_models) / sizeof(known_cpu_models[0]); i++)
		if (!strcmp(known_cpu_models[i], name))
			return known_cpu_models[i];
	return NULL;
}

static int read_ports(const Reprise__Machine *message, struct machine_config *config,
		      struct log_error *ret_error)
{
	if (message->n_ports > MACHINE_MAX_PORT_RANGES)
		return fail(ret_error, -EBADMSG,
			    "the header lists %zu port ranges, at most %d are possible",
			    message->n_ports, MACHINE_MAX_PORT_RANGES);
	for (size_t i = 0; i < message->n_ports; i++) {
		const Reprise__PortRange *range = message->ports[i];

		if (range->first > 0xffff || range->count > 0x10000 - range->first)
			return fail(ret_error, -EBADMSG,
				    "port range %zu of the header is impossible", i);
		config->ports[i].first = (uint16_t)range->first;
		config->ports[i].count = (uint16_t)range->count;
	}
	config->n_ports = (uint32_t)message->n_ports;
	return 0;
}

static int read_regions(const Reprise__Machine *message, struct machine_config *config,
			struct log_error *ret_error)
{
	if (message->n_regions > MEMORY_MAX_REGIONS)
		return fail(ret_error, -EBADMSG,
			    "the header lists %zu memory regions, at most %d are possible",
			    message->n_regions, MEMORY_MAX_REGIONS);
	for (size_t i = 0; i < message->n_regions; i++) {
		const Reprise__Region *region = message->regions[i];

		if (region->kind < REPRISE__REGION_KIND__REGION_RAM ||
		    region->kind > REPRISE__REGION_KIND__REGION_DEVICE)
			return fail(ret_error, -EBADMSG,
				    "memory region %zu has the unknown kind %d", i,
				    (int)region->kind);
		config->regions[i] = (struct memory_region){
			.kind = (uint8_t)region->kind, /* the same numbers as enum region_kind */
			.gpa = region->gpa,
			.bytes = region->bytes,
		};
	}
	config->n_regions = (uint32_t)message->n_regions;
	return 0;
}

static int read_machine_config(const Reprise__Machine *message, struct machine_config *config,
			       struct log_error *ret_error)
{
	int error;

	config->cpu_model = find_cpu_model(message->cpu_model);
	if (!config->cpu_model)
		return fail(ret_error, -ENOTSUP,
			    "the recording needs a CPU model this tool does not have");
	if (message->n_vcpus < 1 || message->n_vcpus > MACHINE_MAX_VCPUS)
		return fail(ret_error, -EBADMSG,
			    "the header asks for %u vCPUs, 1 to %d are possible", message->n_vcpus,
			    MACHINE_MAX_VCPUS);
	config->n_vcpus = message->n_vcpus;
	error = read_ports(message, config, ret_error);
	return error ? error : read_regions(message, config, ret_error);
}

/* ---- the initial state ---- */

static int load_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	struct replayer *replayer = ctx;
	struct memory *memory = replayer->machine->memory;

	if (!memory_page(memory, gpa))
		return fail(&replayer->error, -EBADMSG,
			    "a page of initial memory lies outside RAM, at 0x%llx",
			    (unsigned long long)gpa);
	memory_load(memory, gpa, page, PAGE_BYTES);
	return 0;
}

/* vCPUs as in the header; what counts the machine's past stays. */
static int decode_initial_state(struct replayer *replayer)
{
	struct machine *machine = replayer->machine;
	const ProtobufCBinaryData *state =
		&log_reader_header(replayer->reader)->machine->initial_state;
	const struct machine_clock clock = machine->clock;
	const uint64_t icount = machine->icount, output_digest = machine->output_digest;

	if (machine_state_decode(machine, state->data, state->len) < 0)
		return fail(&replayer->error, -EBADMSG,
			    "the header's initial vCPU state is impossible");
	machine->clock = clock;
	machine->icount = icount;
	machine->output_digest = output_digest;
	return 0;
}

int replayer_load_initial(struct replayer *replayer)
{
	int error = log_reader_each_page(replayer->reader, load_page, replayer, &replayer->error);

	return error ? error : decode_initial_state(replayer);
}

/* ---- life ---- */

static int create_machine(struct replayer *replayer)
{
	const Reprise__Header *header = log_reader_header(replayer->reader);
	struct machine_config config = {0};
	int error;

	if (!header->machine)
		return fail(&replayer->error, -EBADMSG, "the header describes no machine");
	error = read_machine_config(header->machine, &config, &replayer->error);
	if (error)
		return error;
	error = machine_create(&config, &replayer->machine);
	if (error == -EINVAL)
		return fail(&replayer->error, -EBADMSG, "the header's memory map is impossible");
	if (error)
		return fail(&replayer->error, error, "no memory for the guest's RAM");
	error = replayer_load_initial(replayer);
	if (!error)
		memory_use_large_pages(replayer->machine->memory);
	return error;
}

static int create_parts(struct replayer *replayer)
{
	const struct replayer_config *config = &replayer->config;
	int error = create_machine(replayer);

	if (error)
		return error;
	error = replay_streams_create(log_reader_header(replayer->reader), config->stream_output,
				      config->stream_ctx, &replayer->streams);
	if (error)
		return fail(&replayer->error, error == -EINVAL ? -EBADMSG : error,
			    "the header's output streams are impossible");
	error = engine_create(config->engine, replayer->machine, &replayer->engine);
	if (error)
		return fail(&replayer->error, error, "engine %s cannot start: %s",
			    config->engine->name, strerror(-error));
	return log_reader_seek(replayer->reader, 0, &replayer->error);
}

int replayer_create(struct log_reader *reader, const struct replayer_config *config,
		    struct replayer **ret_replayer, struct log_error *ret_error)
{
	struct replayer *replayer = calloc(1, sizeof(*replayer));
	const Reprise__Trailer *trailer = log_reader_trailer(reader);
	int error;

	if (!replayer)
		return fail(ret_error, -ENOMEM, "no memory for a replay");
	replayer->config = *config;
	replayer->reader = reader;
	replayer->end_icount = log_reader_last_icount(reader);
	if (trailer && trailer->end_icount > replayer->end_icount)
		replayer->end_icount = trailer->end_icount;
	error = create_parts(replayer);
	if (error) {
		*ret_error = replayer->error;
		replayer_destroy(replayer);
		return error;
	}
	*ret_replayer = replayer;
	return 0;
}

void replayer_destroy(struct replayer *replayer)
{
	if (!replayer)
		return;
	engine_destroy(replayer->engine);
	replay_streams_destroy(replayer->streams);
	machine_destroy(replayer->machine);
	free(replayer);
}

/* ---- running ---- */

enum replay_status replayer_run_until(struct replayer *replayer, uint64_t icount)
{
	const struct boundary boundary = {.ops = &replayer_boundary_ops, .ctx = replayer};

	replayer->target_icount = icount;
	replayer->upkeep_icount = 0;
	replayer->stopping = false;
	memory_clear_watch_hit(replayer->machine->memory);
	replayer->status = REPLAY_FAILED;
	run_machine(replayer->engine, &boundary);
	replay_streams_flush(replayer->streams);
	if (replayer->engine->failed && !replayer->error.code) {
		const struct engine_ops *ops = replayer->engine->ops;

		fail(&replayer->error, -EIO, "%s",
		     ops->failure ? ops->failure(replayer->engine) : "the engine failed");
	}
	if (replayer->status == REPLAY_FAILED && !replayer->error.code)
		fail(&replayer->error, -EINVAL, "an instruction crosses the boundary too often");
	return replayer->status;
}

int replayer_set_breakpoints(struct replayer *replayer, const uint64_t *linear, unsigned n)
{
	return replayer->engine->ops->set_breakpoints(replayer->engine, linear, n);
}

int replayer_set_watches(struct replayer *replayer, const struct memory_watch *watches, unsigned n)
{
	int error = memory_set_watches(replayer->machine->memory, watches, n);

	if (!error)
		replayer->engine->ops->flush(replayer->engine);
	return error;
}

uint64_t replayer_end_icount(const struct replayer *replayer)
{
	return replayer->end_icount;
}

struct machine *replayer_machine(struct replayer *replayer)
{
	return replayer->machine;
}

const struct divergence *replayer_divergence(const struct replayer *replayer)
{
	return &replayer->divergence;
}

const struct log_error *replayer_error(const struct replayer *replayer)
{
	return &replayer->error;
}

uint64_t replayer_digests_checked(const struct replayer *replayer)
{
	return replayer->n_digests;
}

int replayer_engine_instead(const struct replayer *replayer)
{
	return replayer->engine->instead;
}

unsigned replayer_engine_uses(const struct replayer *replayer,
			      struct engine_use ret_uses[ENGINE_MAX_USES])
{
	const struct engine_ops *ops = replayer->engine->ops;

	return ops->uses ? ops->uses(replayer->engine, ret_uses) : 0;
}
