/*
 * What `run` and `hunt` share: the options about the guest of a host command, and all that has to
 * be there before it can start: kernel, initial RAM file system, the host's files, scratch disk,
 * booted state, plan.
 */
#ifndef REPRISE_TOOLS_GUEST_RUN_H
#define REPRISE_TOOLS_GUEST_RUN_H

#include <limits.h>

#include "tools/guest_command.h"
#include "tools/guest_environment.h"
#include "tools/guest_secrets.h"
#include "tools/recording.h"

/* The first member of the structs that the commands' options are parsed into. */
struct guest_options {
	struct recording_options recording;
	struct option_list environment, allow, deny;
	bool clean_environment;
	struct option_number scratch_bytes;
	const char *rootfs, *modules;
};

extern const struct option_table guest_option_table;

/* Before the options are parsed. */
void guest_options_init(struct guest_options *options);

struct guest_run {
	const char *command; /* ours, for messages: "run" */
	const struct guest_options *values;
	char *const *argv; /* the command, NULL-terminated */
	struct recording recording;
	struct guest_secrets secrets;
	struct guest_environment environment;
	uint8_t *initrd, *plan;
	char *rootfs;             /* NULL: the host's */
	char *saved_path;         /* of the booted guest that this one starts as; NULL: it boots */
	int scratch_fd;           /* -1: none */
	struct rlimit open_files; /* before ours was raised */
	char scratch_path[32];
	char program[PATH_MAX], directory[PATH_MAX];
};

/*
 * Each returns STATUS_OK, or another exit status after a line was printed; the run is to be
 * finished in any case. They come in this order.
 */

/* Whether the guest can have the date that the user names. cold: it is to boot. */
int guest_run_check_epoch(const char *command, const struct guest_options *values, bool cold);

/* Everything that does not depend on how the guest starts. command_line: the kernel's. */
int guest_run_init(struct guest_run *run, const char *command, const struct guest_options *values,
		   char *const *argv, const char *command_line);
void guest_run_finish(struct guest_run *run);

/* What the kernel is told; quiet: it keeps what it has to say off its console. */
const char *guest_run_command_line(bool quiet);

/* Finds a booted state, or boots one, and makes it what the guest starts from. variant: of several
 * that differ in what a kernel draws when it boots. tell: with a line about that. */
int guest_run_warm(struct guest_run *run, unsigned variant, bool tell);

/* The guest boots: its scratch disk is made. */
int guest_run_cold(struct guest_run *run);

/* What the plan says beside the command itself. */
struct guest_plan {
	const struct option_list *environment; /* --env, and more */
	const struct option_list *results;     /* paths that go back to the host */
	unsigned terminal;                     /* AGENT_TERMINAL_ bits */
	struct command_layout layout;
	int64_t time_ns; /* since 1970 when a guest that was saved starts; 0: the configuration's */
};

/* Makes the plan anew. */
int guest_run_plan(struct guest_run *run, const struct guest_plan *plan);

#endif
