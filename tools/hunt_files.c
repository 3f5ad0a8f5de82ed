#include "tools/hunt_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/json.h"
#include "tools/message.h"
#include "tools/text.h"

#define NS_PER_MS 1000000

/* ---- JSON ---- */

static void put_failure(struct json *json, const struct hunt *hunt, const struct hunt_found *found)
{
	const struct hunt_outcome *outcome = &found->outcome;
	char *again = hunt_report_again(hunt, outcome->seed);

	json_begin_object(json, NULL);
	json_string(json, "kind", hunt_failure_name(outcome->failure));
	json_string(json, "what", outcome->what);
	if (outcome->exit_status >= 0)
		json_signed(json, "exit_status", outcome->exit_status);
	if (outcome->failure == HUNT_SIGNAL)
		json_signed(json, "signal", outcome->exit_status - STATUS_SIGNAL_BASE);
	json_string(json, "process", outcome->process[0] ? outcome->process : NULL);
	json_string(json, "where", outcome->where[0] ? outcome->where : NULL);
	json_number(json, "seed", outcome->seed);
	json_number(json, "run", found->run);
	json_number(json, "after_ms", found->host_ns / NS_PER_MS);
	json_number(json, "times", found->times);
	json_string(json, "recording", found->path);
	json_number(json, "recording_bytes", outcome->file_bytes);
	json_number(json, "instructions", outcome->icount);
	json_number(json, "guest_ns", outcome->guest_ns);
	json_string(json, "output", outcome->tail);
	json_string(json, "again", again);
	json_end_object(json);
	free(again);
}

void hunt_files_json(const struct hunt *hunt, FILE *out)
{
	char chaos[HUNT_CHAOS_BYTES];
	struct json json;

	hunt_chaos_print(hunt->strategies, chaos);
	json_init(&json, out);
	json_begin_object(&json, NULL);
	json_begin_array(&json, "command");
	for (char *const *word = hunt->guest.argv; *word; word++)
		json_string(&json, NULL, *word);
	json_end_array(&json);
	json_number(&json, "seed", hunt->first_seed);
	json_number(&json, "seed_step", hunt->seed_step);
	json_string(&json, "chaos", chaos[0] ? chaos : NULL);
	json_number(&json, "jobs", hunt->values->jobs.value);
	json_number(&json, "runs", hunt->n_done);
	json_number(&json, "failed", hunt->n_failed);
	json_number(&json, "broken", hunt->n_broken);
	json_number(&json, "ms", (hunt->ended_ns - hunt->started_ns) / NS_PER_MS);
	json_begin_array(&json, "failures");
	for (unsigned i = 0; i < hunt->n_found; i++)
		put_failure(&json, hunt, &hunt->found[i]);
	json_end_array(&json);
	json_end_object(&json);
	json_end_line(&json);
}

/* ---- JUnit ---- */

/* Characters that XML 1.0 has no place for become '?'. */
static void put_xml(FILE *out, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		uint32_t code = '?';
		int n = text_decode_utf8((const uint8_t *)text, left, &code);
		bool good = n > 0 && (code >= ' ' || code == '\n' || code == '\t') &&
			    code != 0xfffe && code != 0xffff;

		if (n <= 0)
			n = 1;
		if (!good)
			fputc('?', out);
		else if (code == '<')
			fputs("&lt;", out);
		else if (code == '>')
			fputs("&gt;", out);
		else if (code == '&')
			fputs("&amp;", out);
		else if (code == '"')
			fputs("&quot;", out);
		else if (code == '\n' || code == '\t')
			fprintf(out, "&#%u;", (unsigned)code);
		else
			fwrite(text, 1, (size_t)n, out);
		text += n;
		left -= (size_t)n;
	}
}

static void put_command(FILE *out, const struct hunt *hunt)
{
	for (char *const *word = hunt->guest.argv; *word; word++) {
		put_xml(out, *word);
		if (word[1])
			fputc(' ', out);
	}
}

static void put_seconds(FILE *out, uint64_t ns)
{
	fprintf(out, "%" PRIu64 ".%03u", ns / 1000 / NS_PER_MS, (unsigned)(ns / NS_PER_MS % 1000));
}

/* The rest of a case: one that has passed, unless there are runs of which that is not known. */
static void put_without_failure(FILE *out, const struct hunt *hunt)
{
	if (!hunt->n_broken) {
		fputs("\"/>\n", out);
		return;
	}
	fprintf(out,
		"\">\n    <error type=\"broken\" message=\"%" PRIu64 " of %" PRIu64
		" runs came to nothing, the last one: ",
		hunt->n_broken, hunt->n_done);
	put_xml(out, hunt->broken);
	fputs("; recordings go to ", out);
	put_xml(out, hunt->output_directory);
	fputs("\"/>\n  </testcase>\n", out);
}

static void put_case(FILE *out, const struct hunt *hunt, const struct hunt_found *found)
{
	uint64_t took_ns = found ? found->host_ns : hunt->ended_ns - hunt->started_ns;

	fputs("  <testcase classname=\"reprise.hunt\" name=\"", out);
	put_command(out, hunt);
	if (found)
		fprintf(out, " (seed %" PRIu64 ")", found->outcome.seed);
	fputs("\" time=\"", out);
	put_seconds(out, took_ns);
	if (!found) {
		put_without_failure(out, hunt);
		return;
	}
	fprintf(out, "\">\n    <failure type=\"%s\" message=\"",
		hunt_failure_name(found->outcome.failure));
	put_xml(out, found->outcome.what);
	fputs("\">", out);
	if (found->outcome.where[0]) {
		put_xml(out, found->outcome.where);
		fputs("&#10;", out);
	}
	if (found->path) {
		fputs("recording: ", out);
		put_xml(out, found->path);
		fputs("&#10;", out);
	}
	put_xml(out, found->outcome.tail);
	fputs("</failure>\n  </testcase>\n", out);
}

void hunt_files_junit(const struct hunt *hunt, FILE *out)
{
	unsigned n = hunt->n_found ? hunt->n_found : 1;

	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n", out);
	fprintf(out,
		"<testsuite name=\"reprise hunt\" tests=\"%u\" failures=\"%u\" errors=\"%u\" "
		"time=\"",
		n, hunt->n_found, !hunt->n_found && hunt->n_broken);
	put_seconds(out, hunt->ended_ns - hunt->started_ns);
	fprintf(out,
		"\">\n  <properties>\n    <property name=\"runs\" value=\"%" PRIu64
		"\"/>\n    <property name=\"seed\" value=\"%" PRIu64 "\"/>\n  </properties>\n",
		hunt->n_done, hunt->first_seed);
	if (!hunt->n_found)
		put_case(out, hunt, NULL);
	for (unsigned i = 0; i < hunt->n_found; i++)
		put_case(out, hunt, &hunt->found[i]);
	fputs("</testsuite>\n</testsuites>\n", out);
}

static int tell_unwritable(const char *path)
{
	message("%s: cannot be written: %s", path, strerror(errno));
	return STATUS_FAILED;
}

int hunt_files_prepare(const char *path)
{
	struct stat st;

	if (!strcmp(path, "-"))
		return STATUS_OK;
	/* A pipe's reader would take its being closed for the end. */
	if (!stat(path, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return access(path, W_OK) ? tell_unwritable(path) : STATUS_OK;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return tell_unwritable(path);
	close(fd);
	return STATUS_OK;
}

int hunt_files_write(const struct hunt *hunt, const char *path,
		     void (*put)(const struct hunt *hunt, FILE *out))
{
	bool to_stdout = !strcmp(path, "-");
	FILE *out = to_stdout ? stdout : fopen(path, "we");
	bool good = out;

	if (out) {
		put(hunt, out);
		good = !ferror(out);
	}
	if (out && (to_stdout ? fflush(out) : fclose(out)))
		good = false;
	return good ? STATUS_OK : tell_unwritable(path);
}
