/* reprise hunt: a host command again and again, each time in a guest, until it fails. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/hunt.h"
#include "tools/hunt_files.h"
#include "tools/interrupt.h"
#include "tools/message.h"
#include "tools/warm_state.h"

#define NS_PER_S UINT64_C(1000000000)

#define DEFAULT_TIMEOUT_S 600
#define DEFAULT_STATES    4
#define JOBS_MAX          256

#define STATUS_FOUND 1

/* Seeds that are made up are short enough to be typed. */
#define SEED_MASK UINT32_MAX

#define FIELD(member) offsetof(struct hunt_options, member)

static const struct option options[] = {
	{.name = "runs",
	 .letter = 'n',
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(runs),
	 .argument = "N",
	 .min = 1,
	 .help = "Stop after so many runs (default: never)"},
	{.name = "time",
	 .letter = 't',
	 .kind = OPTION_TIME,
	 .offset = FIELD(time_s),
	 .argument = "TIME",
	 .min = 1,
	 .max = UINT64_MAX / NS_PER_S,
	 .help = "Stop after this time: 90s, 10m, 2h (default: never)"},
	{.name = "jobs",
	 .letter = 'j',
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(jobs),
	 .argument = "N",
	 .min = 1,
	 .max = JOBS_MAX,
	 .help = "Runs at the same time (default: one for each processor)"},
	{.name = "chaos",
	 .kind = OPTION_MAYBE,
	 .offset = FIELD(chaos),
	 .argument = "NAME,…",
	 .help = "Provoke failures: preempt,atomics,starve,clock,disk,io,memory (all)"},
	{.name = "fail-if",
	 .kind = OPTION_STRING,
	 .offset = FIELD(fail_if),
	 .argument = "REGEX",
	 .help = "A run whose output this matches has failed too"},
	{.name = "timeout",
	 .kind = OPTION_TIME,
	 .offset = FIELD(timeout_s),
	 .argument = "TIME",
	 .min = 1,
	 .max = 1000000,
	 .help = "A run of more guest time has failed (default: 10m)"},
	{.name = "keep-going",
	 .letter = 'k',
	 .kind = OPTION_FLAG,
	 .offset = FIELD(keep_going),
	 .help = "Do not stop at the first failure: collect one of each kind"},
	{.name = "shard",
	 .kind = OPTION_STRING,
	 .offset = FIELD(shard),
	 .argument = "I/N",
	 .help = "This is the Ith of N hunts with the same --seed: no run is made twice"},
	{.name = "states",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(states),
	 .argument = "N",
	 .min = 1,
	 .max = WARM_STATE_VARIANTS,
	 .help = "Booted guests that runs start from in turn (default: 4)"},
	{.name = "json",
	 .kind = OPTION_STRING,
	 .offset = FIELD(json),
	 .argument = "FILE",
	 .help = "Write a summary as JSON"},
	{.name = "junit",
	 .kind = OPTION_STRING,
	 .offset = FIELD(junit),
	 .argument = "FILE",
	 .help = "Write a summary as JUnit XML"},
};

static const struct option_table option_table = {
	.title = "Hunt",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

/* ---- options that need more than parsing ---- */

/* "2/8" */
static bool split_shard(const char *text, uint64_t *ret_i, uint64_t *ret_n)
{
	const char *slash = strchr(text, '/');
	char i[32];

	if (!slash || slash - text >= (ptrdiff_t)sizeof(i))
		return false;
	memcpy(i, text, (size_t)(slash - text));
	i[slash - text] = 0;
	return !options_parse_number(i, ret_i) && !options_parse_number(slash + 1, ret_n) &&
	       *ret_i && *ret_i <= *ret_n;
}

static int parse_shard(struct hunt *hunt)
{
	const char *text = hunt->values->shard;
	uint64_t i, n;

	hunt->seed_step = 1;
	if (!text)
		return STATUS_OK;
	if (!split_shard(text, &i, &n)) {
		message("hunt: --shard: '%s' is not I/N with I from 1 to N, for example 2/8", text);
		return STATUS_USAGE;
	}
	hunt->first_seed += i - 1;
	hunt->seed_step = n;
	return STATUS_OK;
}

static void choose_seed(struct hunt *hunt)
{
	const struct option_number *seed = &hunt->values->guest.recording.seed;

	hunt->first_seed = seed->value;
	if (!seed->given && getrandom(&hunt->first_seed, sizeof(hunt->first_seed), 0) < 0)
		hunt->first_seed = (uint64_t)getpid();
	if (!seed->given)
		hunt->first_seed &= SEED_MASK;
}

static int compile_regex(struct hunt *hunt)
{
	char text[128];

	if (!hunt->values->fail_if)
		return STATUS_OK;
	int error = regcomp(&hunt->fail_if, hunt->values->fail_if, REG_EXTENDED | REG_NEWLINE);
	hunt->has_regex = !error;
	if (!error)
		return STATUS_OK;
	regerror(error, &hunt->fail_if, text, sizeof(text));
	message("hunt: --fail-if: %s", text);
	return STATUS_USAGE;
}

static int check_options(struct hunt *hunt)
{
	const struct hunt_options *values = hunt->values;

	if (values->chaos) {
		hunt->strategies = hunt_chaos_parse(values->chaos);
		if (!hunt->strategies)
			return STATUS_USAGE;
	}
	choose_seed(hunt);
	int status = parse_shard(hunt);
	return status ? status : compile_regex(hunt);
}

/* ---- */

static void tell_start(const struct hunt *hunt)
{
	const struct recorder_config *config = &hunt->guest.recording.config;
	char chaos[HUNT_CHAOS_BYTES], rate[64] = "the host's clock";

	if (hunt->values->guest.recording.quiet)
		return;
	hunt_chaos_print(hunt->strategies, chaos);
	if (config->clock == RECORDER_CLOCK_VIRTUAL)
		snprintf(rate, sizeof(rate), "virtual clock, %" PRIu64 " ns for 1000 instructions",
			 config->virtual_ps_per_instruction);
	message("hunting with seed %" PRIu64 ", %" PRIu64 " job%s, %s%s%s", hunt->first_seed,
		hunt->values->jobs.value, hunt->values->jobs.value == 1 ? "" : "s", rate,
		chaos[0] ? ", chaos: " : "", chaos);
}

static int find_output_directory(struct hunt *hunt)
{
	hunt->output_directory = recording_find_directory(&hunt->guest.recording);
	if (!hunt->output_directory)
		message("hunt: the directory of %s, where recordings are to go: %s",
			hunt->guest.recording.output_path, strerror(errno));
	return hunt->output_directory ? STATUS_OK : STATUS_FAILED;
}

/* What is found is renamed to this, which would take the place of a device, too. */
static int check_output(const char *path)
{
	struct stat st;

	if (!path || stat(path, &st) || S_ISREG(st.st_mode))
		return STATUS_OK;
	message("hunt: --output: %s is %s; name a file", path,
		S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
	return STATUS_FAILED;
}

static int prepare(struct hunt *hunt, char *const *argv)
{
	const struct hunt_options *values = hunt->values;
	int status = check_options(hunt);

	if (!status)
		status = guest_run_check_epoch("hunt", &values->guest, false);
	if (!status)
		status = check_output(values->guest.recording.output);
	if (!status)
		status = guest_run_init(&hunt->guest, "hunt", &values->guest, argv,
					guest_run_command_line(true));
	if (!status)
		status = find_output_directory(hunt);
	if (!status)
		hunt_leftovers_remove(hunt->output_directory);
	if (!status && values->json)
		status = hunt_files_prepare(values->json);
	if (!status && values->junit)
		status = hunt_files_prepare(values->junit);
	return status;
}

static int hunt_command(struct hunt *hunt, char *const *argv)
{
	int status = prepare(hunt, argv);

	if (status)
		return status;
	interrupt_install();
	tell_start(hunt);
	status = hunt_jobs(hunt);
	int reported = hunt_report_end(hunt);
	if (hunt->n_failed)
		return STATUS_FOUND;
	if (*interrupt_flag()) /* whatever that broke off */
		return STATUS_SIGNAL_BASE + *interrupt_flag();
	if (!status)
		status = reported;
	/* Whether those would have failed, nobody knows. */
	return !status && hunt->n_broken ? STATUS_FAILED : status;
}

static void finish(struct hunt *hunt)
{
	for (unsigned i = 0; i < hunt->n_found; i++)
		free(hunt->found[i].path);
	free(hunt->found);
	free(hunt->output_directory);
	if (hunt->has_regex)
		regfree(&hunt->fail_if);
	guest_run_finish(&hunt->guest);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct hunt_options values = {
		.timeout_s.value = DEFAULT_TIMEOUT_S,
		.states.value = DEFAULT_STATES,
	};
	struct hunt hunt = {.values = &values, .guest.scratch_fd = -1};
	char **arguments = calloc((size_t)argc + 1, sizeof(char *));
	long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct operands operands;

	if (!arguments)
		return STATUS_FAILED;
	memcpy(arguments, argv, (size_t)argc * sizeof(char *));
	hunt.arguments = arguments;
	values.jobs.value = n_cpus > 0 && n_cpus <= JOBS_MAX ? (uint64_t)n_cpus : 1;
	guest_options_init(&values.guest);
	values.guest.recording.clock = RECORDER_CLOCK_VIRTUAL;
	enum options_result parsed = options_parse(command, argc, argv, &values, &operands);
	int status = parsed == OPTIONS_DONE ? STATUS_OK : STATUS_USAGE;
	if (parsed == OPTIONS_OK) {
		/* What is left of the copy is what stood before the command. */
		arguments[argc - operands.n] = NULL;
		status = hunt_command(&hunt, operands.item);
	}
	finish(&hunt);
	free(arguments);
	return status;
}

const struct command command_hunt = {
	.name = "hunt",
	.operands = "-- COMMAND…",
	.summary = "Run a command until it fails, and keep that recording",
	.details = "Each run is one of `reprise run` with a seed of its own; those that pass leave "
		   "no\n"
		   "file. A run has failed when its exit status is not 0, a signal killed it, it "
		   "took\n"
		   "longer than --timeout, its kernel reported an error, or --fail-if matched. "
		   "Standard\n"
		   "input is read anew by each run where it is a file, and empty otherwise.\n"
		   "Exit status: 1 when a failure was found, 0 when there was none.",
	.tables = {&option_table, &guest_option_table, &recording_option_table},
	.takes_command = true,
	.min_operands = 1,
	.max_operands = INT_MAX,
	.run = run,
};
