/* What a hunt has come to: its recordings, its progress, its end. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/engine.h"
#include "tools/hunt.h"
#include "tools/hunt_files.h"
#include "tools/message.h"
#include "tools/progress.h"
#include "tools/text.h"

#define NS_PER_S UINT64_C(1000000000)

/* Where nobody looks at a line that is rewritten: one now and then. */
#define LINE_INTERVAL_NS (30 * NS_PER_S)
#define LIVE_INTERVAL_NS (NS_PER_S / 4)

#define EXTENSION ".rpz"

/* Recordings of one seed that are told apart. */
#define NAMES_MAX 1000

/* ---- taking outcomes in ---- */

static bool is_same(const struct hunt_outcome *a, const struct hunt_outcome *b)
{
	return a->failure == b->failure && a->exit_status == b->exit_status &&
	       !strcmp(a->what, b->what) && !strcmp(a->process, b->process) &&
	       !strcmp(a->where, b->where);
}

static struct hunt_found *find_same(struct hunt *hunt, const struct hunt_outcome *outcome)
{
	for (unsigned i = 0; i < hunt->n_found; i++)
		if (is_same(&hunt->found[i].outcome, outcome))
			return &hunt->found[i];
	return NULL;
}

/* The user's name for the first, with a number for the others. */
static char *make_given_name(const struct hunt *hunt, const char *given)
{
	size_t length = strlen(given), extension = strlen(EXTENSION);
	bool has = length > extension && !strcmp(given + length - extension, EXTENSION);
	char *name;
	int n;

	if (!hunt->n_found)
		n = asprintf(&name, "%s", given);
	else
		n = asprintf(&name, "%.*s-%u%s", (int)(has ? length - extension : length), given,
			     hunt->n_found + 1, has ? EXTENSION : "");
	return n < 0 ? NULL : name;
}

/* Where a file system cannot tell in one step whether a name is free, two have to do. */
static int rename_to_free(const char *path, const char *name)
{
	if (!renameat2(AT_FDCWD, path, AT_FDCWD, name, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (!access(name, F_OK))
		return -EEXIST;
	return rename(path, name) ? -errno : 0;
}

/* A name made of the seed that no file has, in the same directory: an earlier hunt's recording
 * stays. */
static int name_by_seed(const char *path, uint64_t seed, char **ret_name)
{
	const char *slash = strrchr(path, '/');
	int error = -EEXIST;

	for (unsigned i = 1; error == -EEXIST && i <= NAMES_MAX; i++) {
		char suffix[16] = "", *name;
		if (i > 1)
			snprintf(suffix, sizeof(suffix), "-%u", i);
		if (asprintf(&name, "%.*shunt-%" PRIu64 "%s" EXTENSION,
			     slash ? (int)(slash + 1 - path) : 0, path, seed, suffix) < 0)
			return -ENOMEM;
		error = rename_to_free(path, name);
		if (error)
			free(name);
		else
			*ret_name = name;
	}
	return error;
}

/* Returns the name that the recording has from now on: the one it had, if there is no other. */
static char *name_recording(const struct hunt *hunt, const char *path, uint64_t seed)
{
	const char *given = hunt->values->guest.recording.output;
	char *wanted = given ? make_given_name(hunt, given) : NULL, *name = NULL;
	int error = 0;

	if (wanted && !rename(path, wanted))
		return wanted;
	if (given)
		error = wanted ? -errno : -ENOMEM;
	int error_by_seed = name_by_seed(path, seed, &name);
	if (error_by_seed)
		name = strdup(path);
	if (error || error_by_seed)
		message("hunt: the recording cannot be named %s: %s; it is kept as %s",
			wanted ? wanted : "hunt-SEED" EXTENSION,
			strerror(error ? -error : -error_by_seed), name ? name : path);
	free(wanted);
	return name;
}

static void add_found(struct hunt *hunt, const struct hunt_outcome *outcome, const char *path)
{
	struct hunt_found *found =
		reallocarray(hunt->found, hunt->n_found + 1, sizeof(*hunt->found));
	char *name = name_recording(hunt, path, outcome->seed);

	if (!found) {
		free(name);
		return;
	}
	hunt->found = found;
	found[hunt->n_found++] = (struct hunt_found){
		.outcome = *outcome,
		.run = (outcome->seed - hunt->first_seed) / hunt->seed_step + 1,
		.host_ns = hunt_now_ns() - hunt->started_ns,
		.times = 1,
		.path = name,
	};
}

/* Once: it is hardly another for the next run. */
static void tell_instead(struct hunt *hunt, int instead)
{
	if (!instead || hunt->told_instead)
		return;
	hunt->told_instead = true;
	if (isatty(STDERR_FILENO))
		progress_clear();
	engine_print_instead(instead, hunt->values->guest.recording.quiet);
}

void hunt_report_take(struct hunt *hunt, const struct hunt_outcome *outcome, const char *path)
{
	hunt->n_done++;
	tell_instead(hunt, outcome->engine_instead);
	if (outcome->failure == HUNT_BROKEN) {
		hunt->n_broken++;
		memcpy(hunt->broken, outcome->what, sizeof(hunt->broken));
	}
	if (outcome->failure == HUNT_PASSED || outcome->failure == HUNT_BROKEN) {
		unlink(path);
		return;
	}
	struct hunt_found *same = find_same(hunt, outcome);
	/* Of runs that fail while the first one's end is awaited, one is enough. */
	bool wanted = !same && (hunt->values->keep_going || !hunt->n_failed);
	hunt->n_failed++;
	if (same)
		same->times++;
	if (wanted)
		add_found(hunt, outcome, path);
	else
		unlink(path);
}

/* ---- progress ---- */

static double seconds(uint64_t ns)
{
	return (double)ns / (double)NS_PER_S;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

void hunt_report_progress(struct hunt *hunt)
{
	static uint64_t shown_ns;
	const bool live = isatty(STDERR_FILENO);
	uint64_t now_ns = hunt_now_ns(), passed_ns = now_ns - hunt->started_ns;
	char runs[TEXT_NUMBER_BYTES], failures[TEXT_NUMBER_BYTES], text[4 * TEXT_NUMBER_BYTES];

	if (hunt->values->guest.recording.quiet)
		return;
	if (now_ns - (shown_ns ? shown_ns : hunt->started_ns) <
	    (live ? LIVE_INTERVAL_NS : LINE_INTERVAL_NS))
		return;
	shown_ns = now_ns;
	text_count(runs, hunt->n_done);
	text_count(failures, hunt->n_failed);
	snprintf(text, sizeof(text), "hunting: %s run%s, %s failure%s, %.1f runs/s, %.0f s", runs,
		 plural(hunt->n_done), failures, plural(hunt->n_failed),
		 (double)hunt->n_done / seconds(passed_ns), seconds(passed_ns));
	if (live)
		progress_show("%s", text);
	else
		message("%s", text);
}

/* ---- the command line of a run ---- */

/* Options that say how long and how often, or where to put what: not part of a run. */
static bool is_about_the_hunt(const char *argument, bool *ret_has_value)
{
	static const char *const names[] = {"--runs",  "--time", "--jobs",  "--seed",
					    "--shard", "--json", "--junit", "--output",
					    "-n",      "-t",     "-j",      "-o"};

	*ret_has_value = false;
	if (!strcmp(argument, "--keep-going") || !strcmp(argument, "-k"))
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i]);
		if (strncmp(argument, names[i], n))
			continue;
		if (!argument[n])
			*ret_has_value = true;
		if (!argument[n] || argument[n] == '=' || n == 2)
			return true;
	}
	return false;
}

static bool is_plain(const char *text)
{
	return *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789-_=./,:+@%")];
}

/* True when a terminal shows each character of it and does nothing else. */
static bool is_shown(const char *text)
{
	size_t left = strlen(text);

	while (left) {
		uint32_t code;
		int n = text_decode_utf8((const uint8_t *)text, left, &code);
		if (n <= 0 || text_is_control(code))
			return false;
		text += n;
		left -= (size_t)n;
	}
	return true;
}

/* For a word that is not shown: each byte that could be part of the reason becomes a number. */
static void put_word_by_numbers(FILE *out, const char *word)
{
	fputs(" $'", out);
	for (; *word; word++) {
		if (*word < ' ' || *word > '~')
			fprintf(out, "\\%03o", (unsigned)(uint8_t)*word);
		else if (*word == '\'' || *word == '\\')
			fprintf(out, "\\%c", *word);
		else
			fputc(*word, out);
	}
	fputc('\'', out);
}

/* As a shell reads it back, and without what a terminal would not show: $'…' is what bash, ksh, zsh
 * and POSIX from 2024 on have for that (XCU 2.2.4). */
static void put_word(FILE *out, const char *word)
{
	if (is_plain(word)) {
		fprintf(out, " %s", word);
		return;
	}
	if (!is_shown(word)) {
		put_word_by_numbers(out, word);
		return;
	}
	fputs(" '", out);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else
			fputc(*word, out);
	}
	fputc('\'', out);
}

char *hunt_report_again(const struct hunt *hunt, uint64_t seed)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		return NULL;
	fprintf(out, "reprise hunt --seed %" PRIu64 " --runs 1", seed);
	for (char *const *at = hunt->arguments + 1; *at; at++) {
		bool has_value;
		if (!strcmp(*at, "--"))
			break;
		if (!is_about_the_hunt(*at, &has_value))
			put_word(out, *at);
		else if (has_value && at[1])
			at++;
	}
	fputs(" --", out);
	for (char *const *word = hunt->guest.argv; *word; word++)
		put_word(out, *word);
	return fclose(out) ? NULL : text;
}

/* ---- the end ---- */

static void tell_tail(const char *tail)
{
	char copy[HUNT_TAIL_BYTES], *rest = copy, *line;

	snprintf(copy, sizeof(copy), "%s", tail);
	while ((line = strsep(&rest, "\r\n")))
		if (*line)
			message("  | %s", line);
}

/* The way to the failure in a debugger. */
static void tell_debug(const struct hunt_found *found)
{
	const struct hunt_outcome *outcome = &found->outcome;
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		return;
	fputs("reprise gdb", out);
	if (outcome->failure == HUNT_SIGNAL && outcome->process[0]) {
		fputs(" --process", out);
		put_word(out, outcome->process);
	} else if (outcome->failure == HUNT_KERNEL) {
		fputs(" --at crash", out);
	}
	put_word(out, found->path);
	if (!fclose(out))
		message_verbatim("  debug it: %s", text);
	free(text);
}

static void tell_found(const struct hunt *hunt, const struct hunt_found *found)
{
	const struct hunt_outcome *outcome = &found->outcome;
	char *again = hunt_report_again(hunt, outcome->seed);
	bool crashed = outcome->failure == HUNT_SIGNAL && outcome->process[0];

	message("run %" PRIu64 " failed after %.1f s (seed %" PRIu64 "): %s%s%s%s%s", found->run,
		seconds(found->host_ns), outcome->seed, outcome->what, crashed ? " in " : "",
		crashed ? outcome->process : "", outcome->where[0] ? ", " : "", outcome->where);
	if (found->times > 1)
		message("  it failed in this way %" PRIu64 " times", found->times);
	tell_tail(outcome->tail);
	if (found->path)
		tell_debug(found);
	if (again && hunt->guest.recording.config.clock == RECORDER_CLOCK_VIRTUAL)
		message_verbatim("  run it again: %s", again);
	free(again);
}

static void tell_all(const struct hunt *hunt)
{
	double took = seconds(hunt->ended_ns - hunt->started_ns);

	if (isatty(STDERR_FILENO))
		progress_clear();
	for (unsigned i = 0; i < hunt->n_found; i++)
		tell_found(hunt, &hunt->found[i]);
	if (!hunt->values->guest.recording.quiet)
		message("%" PRIu64 " run%s in %.1f s (%.1f a second), %" PRIu64 " failed",
			hunt->n_done, plural(hunt->n_done), took,
			took > 0 ? (double)hunt->n_done / took : 0, hunt->n_failed);
	if (hunt->n_broken)
		message("hunt: %" PRIu64
			" run%s came to nothing, the last one: %s; recordings go to %s",
			hunt->n_broken, plural(hunt->n_broken), hunt->broken,
			hunt->output_directory);
}

int hunt_report_end(struct hunt *hunt)
{
	const struct hunt_options *values = hunt->values;
	int status = STATUS_OK;

	tell_all(hunt);
	if (values->json)
		status = hunt_files_write(hunt, values->json, hunt_files_json);
	if (values->junit && hunt_files_write(hunt, values->junit, hunt_files_junit))
		status = STATUS_FAILED;
	return status;
}
