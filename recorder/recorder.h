/*
 * The recorder: machine + platform + world, writing the log. One call records one guest from its
 * first instruction to its end.
 */
#ifndef REPRISE_RECORDER_RECORDER_H
#define REPRISE_RECORDER_RECORDER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "log-format/log.h"
#include "recorder/chaos.h"
#include "vmm/boot/boot.h"
#include "vmm/devices/block_file.h"
#include "vmm/engine.h"

enum recorder_clock { RECORDER_CLOCK_HOST, RECORDER_CLOCK_VIRTUAL };

struct recorder_disk {
	const char *path;
	enum block_file_mode mode; /* where what the guest writes goes */
};

/* What attached files may come to in all. */
#define RECORDER_ATTACH_MAX_BYTES (UINT64_C(256) << 20)
#define RECORDER_ATTACH_MAX_FILES 1000

/* What is known of a `run` when its command has ended. */
struct recorder_ending {
	const char *path; /* of the recording, which can be read and lacks only its end */
	int exit_status;  /* the command's */
	bool has_exit_status;
	uint8_t notes;              /* CHANNEL_NOTE_ bits */
	const uint8_t *output_tail; /* the last that it put out */
	size_t output_tail_bytes;
};

struct recorder_result;

/* A saved state's machine, loaded in advance. */
struct recorder_image;

struct recorder_config {
	const char *output_path; /* NULL: the log is made and thrown away */
	bool sync;

	uint32_t n_vcpus;
	uint64_t ram_bytes;
	const struct engine_ops *engine;
	enum recorder_clock clock;
	uint64_t virtual_ps_per_instruction; /* virtual clock's rate */
	int64_t epoch_s; /* RTC at the start; -1: the host's time (host clock), a constant (virtual)
			  */
	bool seeded;
	uint64_t seed;
	bool reset_on_shutdown; /* a triple fault resets the guest, as a PC does; else it ends it */
	uint64_t limit_icount;  /* end the recording here; 0: no limit */
	uint64_t limit_ns;      /* … after this much guest time; 0: no limit */
	uint64_t start_delay_ns; /* guest time that passes before the first instruction */
	struct chaos_config chaos;

	/*
	 * Start from the state that this file holds instead of booting; it must be of the same
	 * machine. A guest that resets itself then ends the recording. NULL: boot.
	 */
	const char *saved_path;
	struct recorder_image *image; /* of saved_path, used up by the recording; NULL: load it */
	/* Save the guest's state to this file when its agent is ready for its plan, and end. NULL:
	 * go on. */
	const char *save_path;

	struct boot_config boot;
	const char *kernel_path; /* for the header */
	struct recorder_disk disks[8];
	unsigned n_disks;

	bool virtio_console; /* hvc0 beside ttyS0; the console's input is its, both are shown */
	int console_in_fd;   /* bytes for ttyS0, or for hvc0; -1: none */
	bool console_in_interactive; /* a terminal: exempt from the virtual clock's input rate */
	int console_out_fd;          /* bytes of ttyS0 and hvc0; -1: thrown away */
	/* `run`: the channel's streams; -1 where there is none. channel false: no channel device.
	 */
	bool channel;
	int channel_in_fd, channel_out_fd, channel_err_fd, channel_results_fd;
	bool channel_in_interactive; /* as console_in_interactive */
	const uint8_t *plan;         /* for the guest's agent; NULL: none */
	uint32_t plan_bytes;
	/* The host's files below this directory are the guest's, read-only; NULL: none. */
	const char *files_root, *files_tag;
	const char *const *files_denied; /* absolute paths that the guest may not read */
	unsigned n_files_denied;
	bool files_steady;                     /* as in struct host_files_config */
	const char *files_hidden_in;           /* likewise */
	const char *const *files_hidden_names; /* likewise */
	/* Files that go along for the debugger: host paths that the user names, and what the guest
	 * has opened of programs among the host's files. */
	const char *const *attached;
	unsigned n_attached;
	bool attach_programs;
	/* For the header; NULL-terminated, or NULL: none. */
	const char *const *command, *const *environment, *const *withheld;
	const char *directory; /* likewise: where the command begins */
	/*
	 * `run`, optional: called before the file's end is written, to add attachments about how
	 * the command ended. What goes wrong there but in the writer is no failure of the
	 * recording.
	 */
	void (*add_evidence)(void *ctx, const struct recorder_ending *ending,
			     struct log_writer *writer);
	void *evidence_ctx;
	/* `run`, optional: asked where interrupted is for the size of the terminal; true: it has
	 * changed. */
	bool (*resized)(void *ctx, uint16_t *ret_rows, uint16_t *ret_columns);
	void *resized_ctx;

	const volatile sig_atomic_t *interrupted; /* non-zero: end the recording in good order */
	bool (*quit_requested)(void *ctx);        /* optional: asked where interrupted is */
	void *quit_ctx;
	/* Optional: called about ten times a second with the progress so far. */
	void (*progress)(void *ctx, uint64_t icount, uint64_t guest_ns, uint64_t log_bytes);
	void *progress_ctx;
	/*
	 * Optional: asked when a recording has ended in good order, before its file is whole,
	 * whether it is wanted. When it is not, the file stays without its initial RAM and its end,
	 * for the caller to remove.
	 */
	bool (*keep)(void *ctx, const struct recorder_result *result);
	void *keep_ctx;
};

struct recorder_result {
	uint64_t icount;
	uint64_t guest_ns;
	uint64_t n_events;
	uint64_t file_bytes, event_bytes; /* the whole file; its event chunks */
	uint64_t unknown_msrs;
	const char *end_reason; /* as in the trailer; a static string */
	int exit_status;        /* `run`: the guest command's */
	bool has_exit_status;
	uint8_t notes; /* `run`: CHANNEL_NOTE_ bits that the guest has written */
	/* Negative errno: from there on the output of this stream was thrown away. */
	int console_out_error, channel_out_error, channel_err_error;
	bool file_failed;  /* after a failure: it was about the output file */
	bool saved_failed; /* … about the saved state that the guest was to start from */
	struct engine_use uses[ENGINE_MAX_USES]; /* what the engine's parts did */
	unsigned n_uses;
	int engine_instead; /* as in struct engine */
};

/*
 * Loads what config->saved_path names, for one recorder_run() with the same configuration; it may
 * be in another process, after a fork(): the memory is then shared until it is written. Destroying
 * accepts NULL, and is for images that no recording has used up. Returns 0 or a negative errno with
 * *ret_error set.
 */
int recorder_image_load(const struct recorder_config *config, struct recorder_image **ret_image,
			struct log_error *ret_error);
void recorder_image_destroy(struct recorder_image *image);

/* The guest's date at the start, seconds since 1970 UTC. */
uint64_t recorder_epoch_s(const struct recorder_config *config);

/*
 * Records. Returns 0 when the recording ended in good order (power-off, shutdown, interrupted,
 * limit); otherwise a negative errno with *ret_error: what failed, and ret_result->file_failed.
 * What was written until then replays.
 */
int recorder_run(const struct recorder_config *config, struct recorder_result *ret_result,
		 struct log_error *ret_error);

#endif
