/* The host's side of the guest's devices: console, channel, disks, random numbers, the time. */
#ifndef REPRISE_RECORDER_WORLD_H
#define REPRISE_RECORDER_WORLD_H

#include "recorder/chaos.h"
#include "recorder/console_gate.h"
#include "recorder/host_files.h"
#include "recorder/random.h"
#include "recorder/recorder.h"
#include "recorder/sink.h"
#include "recorder/source.h"
#include "vmm/devices/block_file.h"
#include "vmm/devices/platform.h"

struct world {
	struct input_source console_in, channel_in;
	struct output_sink console_out, channel_out, channel_err, channel_results;
	struct output_tail output_tail; /* of the command: channel_out and channel_err */
	struct console_gate gate;       /* holds console_in */
	struct random_source random;
	struct block_file *disk[PLATFORM_MAX_DISKS];
	unsigned n_disks;
	struct host_files *files; /* NULL: the guest has none of them */
};

/* Opens what the configuration names; chaos has a say in how input comes. Returns 0 or a negative
 * errno with *ret_error set; the world can be finished either way. */
int world_init(struct world *world, const struct recorder_config *config, struct chaos *chaos,
	       struct log_error *ret_error);
void world_finish(struct world *world);

/* The platform of this configuration on this world, which must outlive it. */
void world_platform_config(struct world *world, const struct recorder_config *config,
			   struct platform_config *ret_config);

/* Nanoseconds of CLOCK_MONOTONIC; the only clock the recorder reads while recording. */
uint64_t world_now_ns(void);

/* Guest time at which the next paced input arrives, UINT64_MAX when none is expected. */
uint64_t world_input_due(const struct world *world);

/* True when bytes have arrived that the guest has not taken. */
bool world_input_filled(const struct world *world);

/* True when anything can still arrive from the host. */
bool world_input_alive(const struct world *world);

/* True when a person may type: idle time then passes as on the host. */
bool world_is_interactive(const struct world *world);

/* Takes the paced input that is due at guest time now_ns; see input_source_fetch(). */
void world_fetch_due(struct world *world, uint64_t now_ns, bool (*stop)(void *ctx), void *ctx);

/* Takes what watched descriptors have, without waiting. */
void world_fetch_watched(struct world *world, uint64_t now_ns);

/* Sleeps for up to ns of host time, or until watched input can be read. */
void world_sleep(const struct world *world, uint64_t ns);

void world_flush(struct world *world);

#endif
