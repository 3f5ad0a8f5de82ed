#include "recorder/world.h"

#include "recorder/fuse_server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A serial line of about 115200 baud. */
#define CONSOLE_PIECE_BYTES 1
#define CONSOLE_PERIOD_NS   UINT64_C(100000)

/* Linux's driver of the virtio console drops what comes between its queue and its terminal. */
#define VIRTIO_CONSOLE_SETTLE_NS UINT64_C(100000000)

/* A person types no faster than this, even when pasting. */
#define TYPED_PIECE_BYTES 64

#define CHANNEL_PIECE_BYTES 4096
#define CHANNEL_PERIOD_NS   UINT64_C(1000000)

/* Of a sender that is slow, or sends a little at a time: up to 200 bytes, every 1 µs to 0.5 s, but
 * no longer than 8 s altogether. */
#define CHAOS_PIECE_BYTES      200
#define CHAOS_PERIOD_SHIFT_MIN 10
#define CHAOS_PERIOD_SHIFT_MAX 28
#define CHAOS_SLOW_NS          UINT64_C(8000000000)

/* Guest time from a disk request to its completion, under both clocks. */
#define DISK_LATENCY_NS UINT64_C(100000)

/* The clock chip's time at the start under the virtual clock: 2024-01-01 00:00:00 UTC. */
#define VIRTUAL_EPOCH_S INT64_C(1704067200)

/* How the command's standard input comes. */
static void pace_channel(const struct recorder_config *config, struct chaos *chaos,
			 struct input_source_config *channel)
{
	channel->piece_bytes = CHANNEL_PIECE_BYTES;
	channel->period_ns = CHANNEL_PERIOD_NS;
	if (!(chaos->strategies & CHAOS_IO) || config->channel_in_interactive)
		return;
	channel->piece_bytes = 1 + (uint32_t)chaos_below(chaos, CHAOS_PIECE_BYTES);
	channel->period_ns = chaos_power(chaos, CHAOS_PERIOD_SHIFT_MIN, CHAOS_PERIOD_SHIFT_MAX);
	channel->slow_pieces = CHAOS_SLOW_NS / channel->period_ns;
}

static void init_streams(struct world *world, const struct recorder_config *config,
			 struct chaos *chaos)
{
	bool waits = config->clock == RECORDER_CLOCK_VIRTUAL;
	bool interactive = config->console_in_interactive;
	const struct input_source_config console = {
		.fd = config->console_in_fd,
		.interactive = interactive,
		.waits = waits,
		.piece_bytes = interactive ? TYPED_PIECE_BYTES : CONSOLE_PIECE_BYTES,
		.period_ns = CONSOLE_PERIOD_NS,
		.settle_ns = config->virtio_console ? VIRTIO_CONSOLE_SETTLE_NS : CONSOLE_PERIOD_NS,
	};
	struct input_source_config channel = {
		.fd = config->channel ? config->channel_in_fd : -1,
		.interactive = config->channel && config->channel_in_interactive,
		.waits = waits,
	};

	pace_channel(config, chaos, &channel);
	input_source_init(&world->console_in, &console);
	input_source_init(&world->channel_in, &channel);
	input_source_hold(&world->console_in, true, 0);
	output_sink_init(&world->console_out, config->console_out_fd, NULL);
	output_sink_init(&world->channel_out, config->channel ? config->channel_out_fd : -1,
			 &world->output_tail);
	output_sink_init(&world->channel_err, config->channel ? config->channel_err_fd : -1,
			 &world->output_tail);
	output_sink_init(&world->channel_results, config->channel ? config->channel_results_fd : -1,
			 NULL);
}

static int open_disk(struct world *world, const struct recorder_disk *disk,
		     struct log_error *ret_error)
{
	int error = block_file_open(disk->path, disk->mode, &world->disk[world->n_disks]);

	if (!error) {
		world->n_disks++;
		return 0;
	}
	*ret_error = (struct log_error){.code = error};
	snprintf(ret_error->text, sizeof(ret_error->text), "disk %s: %s", disk->path,
		 block_file_error(error));
	return error;
}

static int open_files(struct world *world, const struct recorder_config *config,
		      struct log_error *ret_error)
{
	const struct host_files_config files = {
		.root = config->files_root,
		.denied = config->files_denied,
		.n_denied = config->n_files_denied,
		.steady = config->files_steady,
		.hidden_in = config->files_hidden_in,
		.hidden_names = config->files_hidden_names,
	};
	int error = config->files_root ? host_files_create(&files, &world->files) : 0;

	if (!error)
		return 0;
	*ret_error = (struct log_error){.code = error};
	snprintf(ret_error->text, sizeof(ret_error->text), "the guest's files below %.80s: %s",
		 config->files_root, strerror(-error));
	return error;
}

int world_init(struct world *world, const struct recorder_config *config, struct chaos *chaos,
	       struct log_error *ret_error)
{
	int error = 0;

	memset(world, 0, sizeof(*world));
	init_streams(world, config, chaos);
	random_source_init(&world->random, config->seeded, config->seed);
	for (unsigned i = 0; i < config->n_disks && !error; i++)
		error = open_disk(world, &config->disks[i], ret_error);
	return error ? error : open_files(world, config, ret_error);
}

void world_finish(struct world *world)
{
	world_flush(world);
	for (unsigned i = 0; i < world->n_disks; i++)
		block_file_close(world->disk[i]);
	world->n_disks = 0;
	host_files_destroy(world->files);
	world->files = NULL;
}

uint64_t recorder_epoch_s(const struct recorder_config *config)
{
	if (config->epoch_s >= 0)
		return (uint64_t)config->epoch_s;
	if (config->clock == RECORDER_CLOCK_VIRTUAL)
		return (uint64_t)VIRTUAL_EPOCH_S;
	return (uint64_t)time(NULL);
}

/* The two directions of the serial port and the virtio console. */

static void write_console(void *ctx, const uint8_t *data, size_t n)
{
	output_sink_write(&((struct world *)ctx)->console_out, data, n);
}

static size_t read_console(void *ctx, uint8_t *data, size_t n)
{
	return input_source_read(&((struct world *)ctx)->console_in, data, n);
}

void world_platform_config(struct world *world, const struct recorder_config *config,
			   struct platform_config *ret_config)
{
	*ret_config = (struct platform_config){
		.n_vcpus = config->n_vcpus,
		.ram_bytes = config->ram_bytes,
		.epoch_s = recorder_epoch_s(config),
		.uart[0] = {.write = write_console,
			    .read = config->virtio_console ? NULL : read_console,
			    .ctx = world},
		.virtio_console = config->virtio_console,
		.console = {.write = write_console, .read = read_console, .ctx = world},
		.virtio_rng = true,
		.random = {.fill = random_source_fill, .ctx = &world->random},
		.n_disks = world->n_disks,
		.disk_latency_ns = DISK_LATENCY_NS,
		.channel = config->channel,
		.channel_stream =
			{
				{.read = input_source_read,
				 .ended = input_source_ended,
				 .ctx = &world->channel_in},
				{.write = output_sink_write, .ctx = &world->channel_out},
				{.write = output_sink_write, .ctx = &world->channel_err},
				{.write = output_sink_write, .ctx = &world->channel_results},
			},
		.channel_plan = config->plan,
		.channel_plan_bytes = config->plan_bytes,
	};
	for (unsigned i = 0; i < world->n_disks; i++)
		ret_config->disk[i] = block_file_backend(world->disk[i]);
	if (world->files) {
		ret_config->files_tag = config->files_tag;
		ret_config->files = fuse_server(world->files);
	}
}

uint64_t world_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t world_input_due(const struct world *world)
{
	uint64_t console = input_source_due(&world->console_in);
	uint64_t channel = input_source_due(&world->channel_in);

	return console < channel ? console : channel;
}

bool world_input_filled(const struct world *world)
{
	return input_source_filled(&world->console_in) || input_source_filled(&world->channel_in);
}

bool world_input_alive(const struct world *world)
{
	return input_source_alive(&world->console_in) || input_source_alive(&world->channel_in);
}

bool world_is_interactive(const struct world *world)
{
	return (world->console_in.config.interactive && !world->console_in.ended) ||
	       (world->channel_in.config.interactive && !world->channel_in.ended);
}

void world_fetch_due(struct world *world, uint64_t now_ns, bool (*stop)(void *ctx), void *ctx)
{
	input_source_fetch_due(&world->console_in, now_ns, stop, ctx);
	input_source_fetch_due(&world->channel_in, now_ns, stop, ctx);
}

void world_fetch_watched(struct world *world, uint64_t now_ns)
{
	input_source_fetch_watched(&world->console_in, now_ns);
	input_source_fetch_watched(&world->channel_in, now_ns);
}

void world_sleep(const struct world *world, uint64_t ns)
{
	const struct input_source *const sources[] = {&world->console_in, &world->channel_in};
	struct timespec timeout = {.tv_sec = (time_t)(ns / UINT64_C(1000000000)),
				   .tv_nsec = (long)(ns % UINT64_C(1000000000))};
	struct pollfd fds[2];
	nfds_t n = 0;

	for (int i = 0; i < 2; i++)
		if (input_source_watched(sources[i]))
			fds[n++] = (struct pollfd){.fd = sources[i]->config.fd, .events = POLLIN};
	ppoll(fds, n, &timeout, NULL);
}

void world_flush(struct world *world)
{
	output_sink_flush(&world->console_out);
	output_sink_flush(&world->channel_out);
	output_sink_flush(&world->channel_err);
	output_sink_flush(&world->channel_results);
}
