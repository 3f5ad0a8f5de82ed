/*
 * reprise hunt: a command is run in one guest after another until it fails. The parent process
 * schedules, each run is a child of its own that is forked from the loaded state of a booted guest
 * and reports what came of it through a pipe.
 */
#ifndef REPRISE_TOOLS_HUNT_H
#define REPRISE_TOOLS_HUNT_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/guest_run.h"

struct hunt_options {
	struct guest_options guest;
	struct option_number runs, time_s, jobs, timeout_s, states;
	bool keep_going;
	const char *chaos; /* NULL: none; "": all strategies; else their names */
	const char *shard, *fail_if, *json, *junit;
};

/* How a run came to fail. */
enum hunt_failure {
	HUNT_PASSED,
	HUNT_EXIT,    /* the command's status was not 0 */
	HUNT_SIGNAL,  /* a signal killed it, or its last child, as a shell tells it */
	HUNT_OUTPUT,  /* --fail-if matched */
	HUNT_TIMEOUT, /* --timeout */
	HUNT_KERNEL,  /* the guest's kernel reported an error of its own */
	HUNT_GUEST,   /* the guest ended without the command's status */
	HUNT_BROKEN,  /* nothing about the command: reprise itself could not go on */
};

/* "exit", "signal", …: as --json has it. */
const char *hunt_failure_name(enum hunt_failure failure);

#define HUNT_TAIL_BYTES 1500

/* What a child tells its parent, in one write: no larger than PIPE_BUF. */
struct hunt_outcome {
	uint64_t seed;
	uint8_t failure; /* enum hunt_failure */
	int exit_status; /* -1: none */
	uint64_t icount, guest_ns, file_bytes;
	int engine_instead;         /* as in struct engine */
	char what[160];             /* "exit status 3" */
	char process[32];           /* that died; "": not known */
	char where[200];            /* in it; "": not known */
	char tail[HUNT_TAIL_BYTES]; /* the end of the command's output */
};

/* A failure of a kind that was not seen before. */
struct hunt_found {
	struct hunt_outcome outcome;
	uint64_t run; /* number, from 1 */
	uint64_t host_ns, times;
	char *path; /* of its recording */
};

struct hunt {
	const struct hunt_options *values;
	struct guest_run guest;
	char *const *arguments; /* as the user gave them, up to the command; NULL-terminated */
	unsigned strategies;    /* enum chaos_strategy bits */
	uint64_t first_seed, seed_step;
	regex_t fail_if; /* when values->fail_if */
	bool has_regex;

	char *output_directory; /* where recordings come and go, without links */

	struct recorder_image *image;
	unsigned variant; /* of the booted state that is loaded */
	bool loaded;

	uint64_t started_ns, ended_ns;
	uint64_t n_started, n_done, n_failed, n_broken;
	bool told_instead; /* what runs in the engine's place */
	struct hunt_found *found;
	unsigned n_found;
	char broken[160]; /* why the last run came to nothing */
};

/* ---- hunt_chaos.c ---- */

/* Returns the strategies' bits, or 0 after a line was printed. */
unsigned hunt_chaos_parse(const char *names);
/* "preempt,atomics"; the buffer is large enough for all. */
#define HUNT_CHAOS_BYTES 64
void hunt_chaos_print(unsigned strategies, char buffer[HUNT_CHAOS_BYTES]);

/* What chaos adds to the plan of a run. The strings live as long as the struct. */
struct hunt_chaos {
	struct option_list environment;
	int64_t time_ns; /* 0: as without */
	struct command_layout layout;
	char perturb[32];
};
void hunt_chaos_plan(const struct hunt *hunt, uint64_t seed, struct hunt_chaos *ret);

/* ---- hunt_run.c ---- */

/* In a child: makes one run, leaves the recording of a failure at path, and fills in the outcome.
 */
void hunt_run(struct hunt *hunt, uint64_t seed, const char *path, struct hunt_outcome *ret);

/* ---- hunt_jobs.c ---- */

/* Makes runs until there is reason to stop. Returns STATUS_OK or another status after a line was
 * printed. */
int hunt_jobs(struct hunt *hunt);

/* ---- hunt_leftovers.c ---- */

/* Removes from a directory what hunts that were killed an hour ago or more left there of their
 * runs. What cannot be removed stays. */
void hunt_leftovers_remove(const char *path);

/* ---- hunt_report.c ---- */

/* Takes a run's outcome in; its recording, at path, gets its name or is removed. */
void hunt_report_take(struct hunt *hunt, const struct hunt_outcome *outcome, const char *path);

/* A line about the present state, when it is time for one. */
void hunt_report_progress(struct hunt *hunt);

/* What was found and what to do next, on stderr; the files that were asked for. Returns STATUS_OK
 * or STATUS_FAILED after a line was printed. */
int hunt_report_end(struct hunt *hunt);

/* The command line of a hunt that makes just this run again. The caller frees it. */
char *hunt_report_again(const struct hunt *hunt, uint64_t seed);

uint64_t hunt_now_ns(void);

#endif
