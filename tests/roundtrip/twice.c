#include "tests/roundtrip/twice.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "replayer/replayer.h"
#include "tests/roundtrip/moves.h"

#define TEXT_BYTES 512
#define SPREAD     4            /* stops before the end whose whole state is kept, for seeks */
#define SEEN_MAX   (SPREAD + 1) /* … and the last count */
#define MOVES      6

struct stop {
	uint64_t icount;
	struct digest digest;
};

struct twice {
	const struct twice_request *request;
	struct stop *stop; /* ascending; the last is the end */
	unsigned n_stops;
	struct seen_state seen[SEEN_MAX];
	unsigned n_seen;
	bool whole; /* the recording ended in good order */
	bool failed;
};

/* What a pass has put out, on all streams. */
struct console {
	int fd; /* -1: only hashed */
	bool failed;
	uint64_t bytes, hash;
};

/* One pass over the file. A save and restore replaces reader and replayer. */
struct pass {
	const struct engine_ops *engine;
	struct console console;
	struct log_reader *reader;
	struct replayer *replayer;
};

__attribute__((format(printf, 3, 4))) static bool check(struct twice *twice, bool good,
							const char *format, ...)
{
	char text[TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	twice->request->report(twice->request->ctx, good, text);
	twice->failed |= !good;
	return good;
}

static void take_output(void *ctx, unsigned stream, const uint8_t *data, size_t n)
{
	struct console *console = ctx;

	if (stream == 0 && console->fd >= 0 && write(console->fd, data, n) != (ssize_t)n)
		console->failed = true;
	/* Byte by byte: the pieces differ between passes. */
	for (size_t i = 0; i < n; i++)
		console->hash = (console->hash ^ data[i] ^ stream << 8) * UINT64_C(0x100000001b3);
	console->bytes += n;
}

static void close_pass(struct pass *pass)
{
	replayer_destroy(pass->replayer);
	log_reader_close(pass->reader);
	pass->replayer = NULL;
	pass->reader = NULL;
}

static bool open_pass(struct twice *twice, struct pass *pass)
{
	const struct replayer_config config = {
		.engine = pass->engine,
		.stream_output = take_output,
		.stream_ctx = &pass->console,
	};
	struct log_error error;

	pass->reader = NULL;
	pass->replayer = NULL;
	if (log_reader_open(twice->request->path, &pass->reader, &error) == 0 &&
	    replayer_create(pass->reader, &config, &pass->replayer, &error) == 0)
		return true;
	close_pass(pass);
	return check(twice, false, "%s: %s", twice->request->path, error.text);
}

/* The state goes through a snapshot into a replayer that has run nothing itself. */
static bool save_and_restore(struct twice *twice, struct pass *pass)
{
	struct replayer_snapshot *snapshot;
	bool restored;

	if (replayer_save(pass->replayer, &snapshot) < 0)
		return check(twice, false, "no memory to save the machine");
	close_pass(pass);
	restored = open_pass(twice, pass);
	if (restored && replayer_restore(pass->replayer, snapshot) < 0)
		restored =
			check(twice, false, "restoring: %s", replayer_error(pass->replayer)->text);
	replayer_snapshot_destroy(snapshot);
	return restored;
}

/* A recording that was cut short may end inside a chunk, which is found when its end is reached. */
static bool is_end(const struct twice *twice, enum replay_status status)
{
	return status == REPLAY_AT_END || (status == REPLAY_DAMAGED && !twice->whole);
}

static bool run_to(struct twice *twice, struct pass *pass, unsigned n, const char *name)
{
	const struct stop *stop = &twice->stop[n];
	bool is_last = n + 1 == twice->n_stops;
	enum replay_status status =
		replayer_run_until(pass->replayer, is_last ? UINT64_MAX : stop->icount);
	uint64_t icount = replayer_machine(pass->replayer)->icount;

	if (icount == stop->icount &&
	    (is_last ? is_end(twice, status) : status == REPLAY_AT_ICOUNT))
		return true;
	return check(twice, false, "%s: to %" PRIu64 ": status %d at %" PRIu64 ": %s%s", name,
		     stop->icount, status, icount, replayer_divergence(pass->replayer)->what,
		     replayer_error(pass->replayer)->text);
}

/* True for SPREAD stops, or all there are, spread over those before the end. */
static bool is_seen(const struct twice *twice, unsigned stop)
{
	unsigned n = twice->n_stops - 1;

	return stop < n && (stop + 1) * SPREAD / n > stop * SPREAD / n;
}

static void take_stop(struct twice *twice, unsigned n, struct machine *machine)
{
	machine_digest(machine, &twice->stop[n].digest);
	if (is_seen(twice, n))
		seen_state_take(machine, &twice->seen[twice->n_seen++]);
}

/* The state that a seek to the last count finds: what is delivered there is behind it. Of a
 * recording that was cut short it may not be reached. */
static bool take_last_count(struct twice *twice, struct pass *pass)
{
	uint64_t end = twice->stop[twice->n_stops - 1].icount;
	enum replay_status status;

	if (!twice->whole)
		return true;
	status = replayer_run_until(pass->replayer, end);
	if (status != REPLAY_AT_ICOUNT && status != REPLAY_AT_END)
		return check(twice, false, "straight: the last count, %" PRIu64 ", is not reached",
			     end);
	seen_state_take(replayer_machine(pass->replayer), &twice->seen[twice->n_seen++]);
	return true;
}

static void run_straight(struct twice *twice, struct console *console)
{
	struct pass pass = {.engine = twice->request->engine, .console = *console};
	unsigned i;

	if (!open_pass(twice, &pass))
		return;
	for (i = 0; i < twice->n_stops; i++) {
		if (i + 1 == twice->n_stops && !take_last_count(twice, &pass))
			break;
		if (!run_to(twice, &pass, i, "straight"))
			break;
		take_stop(twice, i, replayer_machine(pass.replayer));
	}
	check(twice,
	      i == twice->n_stops && (replayer_digests_checked(pass.replayer) > 0 || !twice->whole),
	      "straight: %u stops, %" PRIu64 " instructions, %" PRIu64 " recorded digests", i,
	      replayer_machine(pass.replayer)->icount, replayer_digests_checked(pass.replayer));
	close_pass(&pass);
	*console = pass.console;
}

static bool same_digest(struct twice *twice, struct pass *pass, unsigned n, const char *when)
{
	const struct stop *stop = &twice->stop[n];
	struct digest digest;

	machine_digest(replayer_machine(pass->replayer), &digest);
	if (digest.registers == stop->digest.registers && digest.memory == stop->digest.memory &&
	    digest.output == stop->digest.output)
		return true;
	return check(twice, false, "%s: digest at %" PRIu64 ": registers %s, memory %s, output %s",
		     when, stop->icount,
		     digest.registers == stop->digest.registers ? "same" : "differ",
		     digest.memory == stop->digest.memory ? "same" : "differs",
		     digest.output == stop->digest.output ? "same" : "differs");
}

/* True for n_saves stops spread over all of them; the end is one only of a whole recording. */
static bool saves_here(const struct twice *twice, unsigned stop)
{
	uint64_t n_saves = twice->request->n_saves, n = twice->n_stops - !twice->whole;

	return stop < n && (stop + 1) * n_saves / n > stop * n_saves / n;
}

static void run_with_saves(struct twice *twice, struct console *console)
{
	const struct twice_request *request = twice->request;
	struct pass pass = {.engine = request->second ? request->second : request->engine,
			    .console = *console};
	unsigned n_saves = 0, i;

	if (!open_pass(twice, &pass))
		return;
	for (i = 0; i < twice->n_stops; i++) {
		if (!run_to(twice, &pass, i, "with saves") ||
		    !same_digest(twice, &pass, i, "with saves"))
			break;
		if (!saves_here(twice, i))
			continue;
		if (!save_and_restore(twice, &pass) || !same_digest(twice, &pass, i, "restored"))
			break;
		n_saves++;
	}
	check(twice, i == twice->n_stops && n_saves == request->n_saves,
	      "with saves: the same digests at %u stops, %u times restored", i, n_saves);
	close_pass(&pass);
	*console = pass.console;
}

/* ---- seeks ---- */

static void *run_moves(void *moves)
{
	moves_run(moves);
	return NULL;
}

/* The way with saves and the seeks need nothing of each other: side by side they take less time. */
static void run_again(struct twice *twice, struct console *console)
{
	struct moves moves = {
		.path = twice->request->path,
		.engine = twice->request->seeks ? twice->request->seeks : twice->request->engine,
		.seen = twice->seen,
		.n_seen = twice->n_seen,
		.n_moves = MOVES,
		.seed = twice->request->seed,
	};
	bool beside;
	pthread_t thread;

	if (!twice->n_seen)
		return;
	beside = pthread_create(&thread, NULL, run_moves, &moves) == 0;
	run_with_saves(twice, console);
	if (beside)
		pthread_join(thread, NULL);
	else
		moves_run(&moves);
	check(twice, moves.good, "seeks: %s", moves.text);
}

static int by_icount(const void *a, const void *b)
{
	const struct stop *x = a, *y = b;

	return x->icount < y->icount ? -1 : x->icount > y->icount;
}

/* A step of splitmix64 (Steele, Lea, Flood, 2014). */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Stops at random counts in front of the end, and there. */
static bool choose_stops(struct twice *twice)
{
	struct pass pass = {.engine = twice->request->engine, .console.fd = -1};
	uint64_t seed = twice->request->seed, end;

	if (!open_pass(twice, &pass))
		return false;
	end = replayer_end_icount(pass.replayer);
	twice->whole = log_reader_trailer(pass.reader);
	close_pass(&pass);
	for (unsigned i = 0; i + 1 < twice->n_stops; i++)
		twice->stop[i].icount = next_random(&seed) % (end ? end : 1);
	twice->stop[twice->n_stops - 1].icount = end;
	qsort(twice->stop, twice->n_stops, sizeof(twice->stop[0]), by_icount);
	return true;
}

bool twice_replay(const struct twice_request *request)
{
	struct twice twice = {.request = request, .n_stops = request->n_stops + 1};
	struct console first = {.fd = request->console_fd}, second = {.fd = -1};

	twice.stop = calloc(twice.n_stops, sizeof(*twice.stop));
	if (!twice.stop)
		return check(&twice, false, "no memory for %u stops", twice.n_stops);
	if (choose_stops(&twice)) {
		run_straight(&twice, &first);
		run_again(&twice, &second);
		check(&twice,
		      !first.failed && first.bytes == second.bytes && first.hash == second.hash,
		      "the same console: %" PRIu64 " bytes", first.bytes);
	}
	free(twice.stop);
	return !twice.failed;
}
