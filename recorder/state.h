/* The recorder's inside, shared by its files. */
#ifndef REPRISE_RECORDER_STATE_H
#define REPRISE_RECORDER_STATE_H

#include "recorder/chaos.h"
#include "recorder/guest_clock.h"
#include "recorder/recorder.h"
#include "recorder/world.h"
#include "vmm/boundary.h"
#include "vmm/devices/platform.h"
#include "vmm/machine.h"

struct recorder {
	const struct recorder_config *config;
	struct machine *machine;
	struct engine *engine;
	struct platform *platform;
	struct world world;
	struct guest_clock clock;
	struct chaos chaos;
	struct log_writer *writer;

	struct boot_config boot; /* config->boot with the ACPI tables */
	uint8_t *acpi;
	uint8_t *initial_state;   /* vCPUs before the first instruction */
	struct log_reader *saved; /* what the guest starts from; NULL: it boots */
	uint64_t saved_guest_ns;

	bool started;           /* the first clock event is out */
	uint64_t end_ns;        /* guest time at which the recording ends; UINT64_MAX: no limit */
	uint64_t host_ns;       /* the host's time when it was last looked at */
	uint64_t upkeep_icount; /* the next look at the host: its time, its signals, its terminal */
	uint64_t looked_icount, looked_host_ns; /* when the last was */
	uint64_t slice_ns, slice_icount; /* from that to the next: host clock, virtual clock */
	uint64_t cut_icount;             /* virtual clock: the next digest and cut */
	uint64_t cut_host_ns;            /* host clock: likewise */
	uint64_t progress_host_ns;
	uint64_t poll_host_ns;

	/* The count of the next timer or input, and what it was worked out from. */
	uint64_t due_icount, due_ns;
	struct machine_clock due_clock;

	uint64_t switch_icount; /* UINT64_MAX: no turn runs; else: the vCPU that runs has had its
				   turn */
	uint16_t nmi_pending;   /* bit n: for vCPU n */

	uint64_t dead_icount, dead_since_ns; /* all vCPUs have halted with interrupts off */

	uint64_t n_events;
	const char *end_reason; /* set: the recording ends */
	int exit_status;
	bool has_exit_status;
	struct log_error error; /* code set: the recording fails */
	bool file_failed;       /* the error is the log writer's */
	bool saved_failed;      /* the error is the saved state's */
};

/* The virtio console's number among the header's streams; ttyS0 is the first. */
#define RECORDER_STREAM_HVC 1u

/* The boundary that is answered from platform and world; ctx is a struct recorder. */
extern const struct boundary_ops recorder_boundary_ops;

/* Fails the recording: the first reason stands. Returns BOUNDARY_FAILED. */
enum boundary_result recorder_fail(struct recorder *recorder, int code, const char *text);

/* Ends the recording in good order. Returns BOUNDARY_END. */
enum boundary_result recorder_end(struct recorder *recorder, const char *reason);

/* True when the user wants it to end. ctx is a struct recorder. */
bool recorder_stop_requested(void *recorder);

/* ---- recorder_log.c ---- */

/* Creates the file: header and initial RAM. Returns 0 or a negative errno with recorder->error set.
 */
int recorder_log_create(struct recorder *recorder);

/* Stamps the event with the present count, applies it to the machine and appends it to the log. */
enum boundary_result recorder_emit(struct recorder *recorder, struct event *event);

/* Appends a digest; the next is due, with a cut, when as much as a chunk holds has passed. */
enum boundary_result recorder_log_start_pace(struct recorder *recorder);

/* Appends a digest and cuts the chunk when that is due. */
enum boundary_result recorder_log_keep_pace(struct recorder *recorder);

/* What the engine's parts did; returns how many. */
unsigned recorder_engine_uses(const struct recorder *recorder,
			      struct engine_use ret_uses[ENGINE_MAX_USES]);

/* Final digest, if the state is proven, trailer, end of file. Returns 0 or a negative errno with
 * recorder->error set. */
int recorder_log_finish(struct recorder *recorder, bool proven);

/* ---- recorder_saved.c ---- */

/*
 * A guest's state in a file: a recording without events, whose initial RAM and vCPUs are those of
 * the moment, and the devices' state in an attachment.
 */

/* Loads what config->saved_path names; its memory only if it is not there yet. Returns 0 or a
 * negative errno with recorder->error set. */
int recorder_load_saved(struct recorder *recorder);

/* Writes config->save_path and ends the recording. */
enum boundary_result recorder_save(struct recorder *recorder);

/* ---- recorder_image.c ---- */

/* Takes over the machine and the file that were loaded in advance. */
void recorder_take_image(struct recorder *recorder);

/* Makes a machine, and the file's initial RAM its own. */
int recorder_create_machine(struct recorder *recorder,
			    const struct platform_config *platform_config);
int recorder_load_memory(struct recorder *recorder);

/* ---- recorder_chaos.c ---- */

/* Lets time pass where chaos wants it to. */
enum boundary_result recorder_chaos(struct recorder *recorder);

/* ---- recorder_dma.c ---- */

/* Guest RAM for devices; ctx is a struct recorder. Every write is logged. */
struct dma recorder_dma(struct recorder *recorder);

/* ---- recorder_schedule.c ---- */

/* True when the vCPU runs, or an interrupt or NMI that waits would make it. */
bool recorder_vcpu_ready(const struct recorder *recorder, uint32_t vcpu);

/*
 * Picks the vCPU that runs: the next one that is ready when the present one has had its turn or
 * cannot go on. Sets *ret_ready: false when none can. Sets *ret_until: when to ask again.
 */
enum boundary_result recorder_schedule(struct recorder *recorder, bool *ret_ready,
				       uint64_t *ret_until);

/* Another vCPU was sent something: the present one's turn ends soon. */
void recorder_hurry_switch(struct recorder *recorder);

/* ---- recorder_idle.c ---- */

/* No vCPU can run: lets time pass until something is due, or ends the recording. */
enum boundary_result recorder_idle(struct recorder *recorder);

/* ---- recorder_upkeep.c ---- */

/* Emits the clock event that is due, if any, at the host's time now. */
enum boundary_result recorder_sync_clock(struct recorder *recorder, uint64_t host_ns);

/* Looks at the host when it is time for it; sets when the next time is. */
enum boundary_result recorder_upkeep(struct recorder *recorder);

/* ---- recorder_reset.c ---- */

/* Loads the guest into cleared RAM. Returns 0 or a negative errno with recorder->error set. */
int recorder_load_guest(struct recorder *recorder);

/* The guest's reset: machine and platform start anew, count and time go on. */
enum boundary_result recorder_reset(struct recorder *recorder);

#endif
