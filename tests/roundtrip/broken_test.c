/* Recordings that were cut short or changed: what is complete replays, what was changed is found.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/roundtrip/check_twice.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	interrupted = 1;
}

static void check_replay(const char *what, const char *path, uint64_t at_least_icount)
{
	static struct replaying replaying;

	harness_replay(path, UINT64_MAX, &replaying);
	if (!tap_ok(replaying.status == REPLAY_AT_END || replaying.status == REPLAY_DAMAGED,
		    "%s: what is complete replays", what))
		tap_note("status %d: %s %s", replaying.status, replaying.divergence.what,
			 replaying.error.text);
	tap_ok(replaying.icount > at_least_icount && replaying.digests_checked >= 2,
	       "%s: up to %" PRIu64 ", %" PRIu64 " digests", what, replaying.icount,
	       replaying.digests_checked);
	check_twice(what, path);
}

/* True when the file, still being written, has events beyond the first digest. */
static bool has_progressed(const char *path)
{
	struct log_reader *reader;
	struct log_error error;
	bool progressed;

	if (log_reader_open(path, &reader, &error) < 0)
		return false;
	progressed = log_reader_last_icount(reader) > 0;
	log_reader_close(reader);
	return progressed;
}

/* Records in a child that is sent a signal once it has cut chunks. */
static int record_in_child(enum recorder_clock clock, int signal, const char *name,
			   char path[HARNESS_PATH_BYTES])
{
	struct recording_request request = {
		.guest = "work", .clock = clock, .interrupted = &interrupted};
	int status;
	pid_t child;

	harness_path(name, path);
	unlink(path);
	child = fork();
	if (child == 0) {
		static struct recording recording;

		harness_record(&request, name, &recording);
		_exit(recording.code || strcmp(recording.result.end_reason, "interrupted") ? 1 : 0);
	}
	for (int i = 0; i < 1200 && !has_progressed(path) && !waitpid(child, &status, WNOHANG); i++)
		usleep(50000);
	usleep(50000); /* not just after the cut */
	kill(child, signal);
	waitpid(child, &status, 0);
	return status;
}

static void test_kill(void)
{
	char path[HARNESS_PATH_BYTES];
	int status = record_in_child(RECORDER_CLOCK_HOST, SIGKILL, "killed.rpz", path);

	tap_ok(WIFSIGNALED(status), "kill -9: the recorder dies");
	check_replay("kill -9, host clock", path, 100000);
	record_in_child(RECORDER_CLOCK_VIRTUAL, SIGKILL, "killed.rpz", path);
	check_replay("kill -9, virtual clock", path, 100000);
}

static void test_interrupt(void)
{
	char path[HARNESS_PATH_BYTES];
	int status = record_in_child(RECORDER_CLOCK_HOST, SIGINT, "interrupted.rpz", path);
	struct log_reader *reader;
	struct log_error error;

	tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "SIGINT: ends in good order");
	check_replay("SIGINT", path, 100000);
	if (!log_reader_open(path, &reader, &error)) {
		const Reprise__Trailer *trailer = log_reader_trailer(reader);

		tap_ok(trailer && !strcmp(trailer->end_reason, "interrupted"),
		       "SIGINT: the file says so");
		log_reader_close(reader);
	}
}

static void test_full_disk(void)
{
	static struct recording recording;
	struct recording_request request = {.guest = "random", .clock = RECORDER_CLOCK_VIRTUAL};
	struct rlimit old, limit;

	request.guest = "entropy";
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = 5 << 20;
	setrlimit(RLIMIT_FSIZE, &limit);
	harness_record(&request, "full.rpz", &recording);
	setrlimit(RLIMIT_FSIZE, &old);
	if (!tap_ok(recording.code == -EFBIG, "full disk: the recording fails with the reason"))
		tap_note("%d %s", recording.code, recording.error.text);
	check_replay("full disk", recording.path, 10000);
}

/* ---- tampering ---- */

enum tamper { TAMPER_INPUT, TAMPER_DROP_INPUT, TAMPER_INTERRUPT, TAMPER_MOVE, TAMPER_NONE };

static int copy_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	return log_writer_add_page(ctx, gpa, page);
}

/* Changes the event if it is the one; returns false to leave it out. */
static bool tamper_event(enum tamper tamper, struct event *event, bool *done)
{
	if (*done || event->icount < 2000)
		return true;
	if (tamper == TAMPER_INTERRUPT && event->kind == EVENT_INTERRUPT)
		event->delivery.vector ^= 1;
	else if (tamper == TAMPER_MOVE && event->kind == EVENT_INTERRUPT)
		event->icount += 1;
	else if (tamper == TAMPER_INPUT && event->kind == EVENT_INPUT)
		event->input.value ^= 1;
	else if (tamper != TAMPER_DROP_INPUT || event->kind != EVENT_INPUT)
		return true;
	*done = true;
	return tamper != TAMPER_DROP_INPUT;
}

static bool copy_tampered(const char *from, const char *to, enum tamper tamper)
{
	struct log_reader *reader;
	struct log_writer *writer;
	struct log_error error;
	struct event event;
	Reprise__Trailer trailer;
	bool done = false;

	if (log_reader_open(from, &reader, &error) ||
	    log_writer_create(to, log_reader_header(reader), false, &writer, &error) ||
	    log_reader_each_page(reader, copy_page, writer, &error) ||
	    log_reader_seek(reader, 0, &error))
		return false;
	while (log_reader_next(reader, &event, &error) > 0)
		if (tamper_event(tamper, &event, &done))
			log_writer_append(writer, &event);
	trailer = *log_reader_trailer(reader);
	log_writer_finish(writer, &trailer);
	log_writer_destroy(writer);
	log_reader_close(reader);
	return done || tamper == TAMPER_NONE;
}

static void test_tampered(void)
{
	static const struct {
		const char *what, *guest;
		enum tamper tamper;
		const char *found; /* part of the divergence's text */
	} cases[] = {
		{"nothing changed", "time", TAMPER_NONE, ""},
		{"changed random value", "random", TAMPER_INPUT, "digest"},
		{"missing input", "random", TAMPER_DROP_INPUT, "RDRAND"},
		{"changed vector", "time", TAMPER_INTERRUPT, ""},
		{"interrupt moved", "time", TAMPER_MOVE, "stands still"},
	};
	static struct recording recording;
	static struct replaying replaying;
	char path[HARNESS_PATH_BYTES];

	harness_path("tampered.rpz", path);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct recording_request request = {.guest = cases[i].guest,
						    .clock = RECORDER_CLOCK_VIRTUAL};
		enum replay_status expected =
			cases[i].tamper == TAMPER_NONE ? REPLAY_AT_END : REPLAY_DIVERGED;

		harness_record(&request, "good.rpz", &recording);
		tap_ok(copy_tampered(recording.path, path, cases[i].tamper), "%s: made",
		       cases[i].what);
		harness_replay(path, UINT64_MAX, &replaying);
		tap_ok(replaying.status == expected &&
			       strstr(replaying.divergence.what, cases[i].found),
		       "%s: %s", cases[i].what, replaying.divergence.what);
		if (expected == REPLAY_DIVERGED)
			tap_ok(replaying.divergence.proven_icount < replaying.divergence.icount &&
				       replaying.divergence.icount <= recording.result.icount,
			       "%s: between %" PRIu64 " and %" PRIu64, cases[i].what,
			       replaying.divergence.proven_icount, replaying.divergence.icount);
	}
}

int main(int argc, char **argv)
{
	signal(SIGINT, on_signal);
	signal(SIGXFSZ, SIG_IGN);
	harness_init(argc, argv);
	test_kill();
	test_interrupt();
	test_full_disk();
	test_tampered();
	harness_finish();
	return tap_done();
}
