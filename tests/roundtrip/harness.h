/* Recording and replaying the test guests, for the programs of this suite. */
#ifndef REPRISE_TESTS_ROUNDTRIP_HARNESS_H
#define REPRISE_TESTS_ROUNDTRIP_HARNESS_H

#include "recorder/recorder.h"
#include "replayer/replayer.h"

#define HARNESS_CONSOLE_BYTES 65536
#define HARNESS_PATH_BYTES    256
#define HARNESS_REPORT_BYTES  1024

struct console_text {
	size_t n;
	char text[HARNESS_CONSOLE_BYTES]; /* always terminated */
};

/* How a guest is recorded; what is 0 gets a plain default. */
struct recording_request {
	const char *guest; /* name of a guest program */
	enum recorder_clock clock;
	bool seeded;
	uint64_t seed;
	uint32_t n_vcpus;
	const char *input; /* typed into the console by a pipe */
	const char *disk;
	bool virtio_console; /* the input is typed into it */
	bool reset_on_shutdown;
	uint64_t limit_icount;
	const volatile sig_atomic_t *interrupted;
	bool channel;     /* `run`'s device */
	const char *plan; /* what the guest reads there */
	const char *save,
		*saved; /* the guest's state: where it is saved, where it is gone on from */
	const struct engine_ops *engine; /* NULL: harness_engine() */
};

struct recording {
	char path[HARNESS_PATH_BYTES];
	int code;
	struct recorder_result result;
	struct log_error error;
	struct console_text console;
};

struct replaying {
	enum replay_status status;
	uint64_t icount, digests_checked;
	struct digest digest; /* of the machine where the replay stopped */
	struct engine_use uses[ENGINE_MAX_USES];
	unsigned n_uses;
	struct divergence divergence;
	struct log_error error;
	struct console_text console;
};

/* What records and replays: interp; programs that are linked with another function of this name,
 * what that says. */
const struct engine_ops *harness_engine(void);

/* Sets where guests are read from and files are written to: argv[1] and a fresh folder. */
void harness_init(int argc, char **argv);
/* Removes the folder. */
void harness_finish(void);

/* A path in the suite's folder. */
void harness_path(const char *name, char path[HARNESS_PATH_BYTES]);

/* Records into the file of this name in the suite's folder. */
void harness_record(const struct recording_request *request, const char *name,
		    struct recording *ret);

/* Whether the part of the engine that it has its name from ran something, and nothing unexpected
 * came up. True for interp, which has no parts. */
bool harness_engine_ran(const struct engine_use *uses, unsigned n);

/*
 * Replays twice (twice.h) and writes to report what was compared, or what failed. True when all was
 * equal.
 */
bool harness_replay_twice(const char *path, char report[HARNESS_REPORT_BYTES]);

/* Replays up to icount (UINT64_MAX: to the end). */
void harness_replay(const char *path, uint64_t icount, struct replaying *ret);
/* The same with another engine than harness_engine(). */
void harness_replay_by(const struct engine_ops *engine, const char *path, uint64_t icount,
		       struct replaying *ret);

#endif
