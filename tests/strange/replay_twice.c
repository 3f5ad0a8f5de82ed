/*
 * Replays a recording twice and compares: straight, with stops at random counts, and with the
 *machine saved at some of them and restored into a new replayer of a newly opened file. At each
 *stop the digests must be equal, at the end the console too.
 *
 *	replay_twice FILE CONSOLE STOPS SAVES SEED
 *
 * CONSOLE is written with the first stream's bytes. Prints one line a comparison, TAP without a
 *plan.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replayer/replayer.h"

#define STOPS_MAX 1000

struct stop {
	uint64_t icount;
	struct digest digest;
};

struct test {
	const char *path;
	struct stop stop[STOPS_MAX]; /* ascending; the last is the end */
	unsigned n_stops, n_saves;
};

/* What a pass has put out. */
struct console {
	int fd; /* -1: only hashed */
	uint64_t bytes, hash;
};

/* One pass over the file. A save and restore replaces reader and replayer. */
struct pass {
	struct console console;
	struct log_reader *reader;
	struct replayer *replayer;
};

static unsigned n_failed;

__attribute__((format(printf, 2, 3))) static bool check(bool good, const char *format, ...)
{
	va_list args;

	printf("%s - ", good ? "ok" : "not ok");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	n_failed += !good;
	return good;
}

static void die(const char *what, const char *why)
{
	printf("Bail out! %s: %s\n", what, why);
	exit(99);
}

static void take_output(void *ctx, unsigned stream, const uint8_t *data, size_t n)
{
	struct console *console = ctx;

	if (stream != 0)
		return;
	if (console->fd >= 0 && write(console->fd, data, n) != (ssize_t)n)
		die("console", "cannot be written");
	/* Byte by byte: the pieces differ between passes. */
	for (size_t i = 0; i < n; i++)
		console->hash = (console->hash ^ data[i]) * UINT64_C(0x100000001b3);
	console->bytes += n;
}

static void open_pass(const char *path, struct pass *pass)
{
	const struct replayer_config config = {
		.engine = &interp_engine_ops,
		.stream_output = take_output,
		.stream_ctx = &pass->console,
	};
	struct log_error error;

	if (log_reader_open(path, &pass->reader, &error) < 0 ||
	    replayer_create(pass->reader, &config, &pass->replayer, &error) < 0)
		die(path, error.text);
}

static void close_pass(struct pass *pass)
{
	replayer_destroy(pass->replayer);
	log_reader_close(pass->reader);
}

/* The state goes through a snapshot into a replayer that has run nothing itself. */
static void save_and_restore(const char *path, struct pass *pass)
{
	struct replayer_snapshot *snapshot;

	if (replayer_save(pass->replayer, &snapshot) < 0)
		die(path, "cannot be saved");
	close_pass(pass);
	open_pass(path, pass);
	if (replayer_restore(pass->replayer, snapshot) < 0)
		die(path, replayer_error(pass->replayer)->text);
	replayer_snapshot_destroy(snapshot);
}

static bool run_to(struct pass *pass, const struct stop *stop, bool is_last, const char *name)
{
	enum replay_status status =
		replayer_run_until(pass->replayer, is_last ? UINT64_MAX : stop->icount);
	uint64_t icount = replayer_machine(pass->replayer)->icount;
	bool good =
		status == (is_last ? REPLAY_AT_END : REPLAY_AT_ICOUNT) && icount == stop->icount;

	if (!good)
		check(false, "%s: to %" PRIu64 ": status %d at %" PRIu64 ": %s%s", name,
		      stop->icount, status, icount, replayer_divergence(pass->replayer)->what,
		      replayer_error(pass->replayer)->text);
	return good;
}

static void run_straight(struct test *test, struct console *console)
{
	struct pass pass = {.console = *console};
	unsigned i;

	open_pass(test->path, &pass);
	for (i = 0; i < test->n_stops; i++) {
		struct stop *stop = &test->stop[i];

		if (!run_to(&pass, stop, i + 1 == test->n_stops, "straight"))
			break;
		machine_digest(replayer_machine(pass.replayer), &stop->digest);
	}
	check(i == test->n_stops && replayer_digests_checked(pass.replayer) > 0,
	      "straight: %u stops, %" PRIu64 " instructions, %" PRIu64 " recorded digests", i,
	      replayer_machine(pass.replayer)->icount, replayer_digests_checked(pass.replayer));
	close_pass(&pass);
	*console = pass.console;
}

static bool same_digest(struct pass *pass, const struct stop *stop, const char *when)
{
	struct digest digest;
	bool good;

	machine_digest(replayer_machine(pass->replayer), &digest);
	good = digest.registers == stop->digest.registers && digest.memory == stop->digest.memory &&
	       digest.output == stop->digest.output;
	if (!good)
		check(false, "%s: digest at %" PRIu64 ": registers %s, memory %s, output %s", when,
		      stop->icount, digest.registers == stop->digest.registers ? "same" : "differ",
		      digest.memory == stop->digest.memory ? "same" : "differs",
		      digest.output == stop->digest.output ? "same" : "differs");
	return good;
}

/* True for n_saves stops spread over all of them. */
static bool saves_here(const struct test *test, unsigned stop)
{
	return (uint64_t)(stop + 1) * test->n_saves / test->n_stops >
	       (uint64_t)stop * test->n_saves / test->n_stops;
}

static void run_with_saves(const struct test *test, struct console *console)
{
	struct pass pass = {.console = *console};
	unsigned n_saves = 0, i;

	open_pass(test->path, &pass);
	for (i = 0; i < test->n_stops; i++) {
		const struct stop *stop = &test->stop[i];

		if (!run_to(&pass, stop, i + 1 == test->n_stops, "with saves") ||
		    !same_digest(&pass, stop, "with saves"))
			break;
		if (!saves_here(test, i))
			continue;
		save_and_restore(test->path, &pass);
		n_saves++;
		if (!same_digest(&pass, stop, "restored"))
			break;
	}
	check(i == test->n_stops, "with saves: the same digests at %u stops, %u times restored", i,
	      n_saves);
	close_pass(&pass);
	*console = pass.console;
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

/* Stops at random counts up to the end, which is one of them. */
static void choose_stops(struct test *test, uint64_t seed)
{
	struct pass pass = {.console.fd = -1};
	uint64_t end;

	open_pass(test->path, &pass);
	end = log_reader_last_icount(pass.reader);
	if (log_reader_trailer(pass.reader))
		end = log_reader_trailer(pass.reader)->end_icount;
	close_pass(&pass);
	for (unsigned i = 0; i + 1 < test->n_stops; i++)
		test->stop[i].icount = next_random(&seed) % (end + 1);
	test->stop[test->n_stops - 1].icount = end;
	qsort(test->stop, test->n_stops, sizeof(test->stop[0]), by_icount);
}

int main(int argc, char **argv)
{
	static struct test test;
	struct console first = {.fd = -1}, second = {.fd = -1};

	if (argc != 6)
		die("usage", "replay_twice FILE CONSOLE STOPS SAVES SEED");
	test.path = argv[1];
	test.n_stops = (unsigned)strtoul(argv[3], NULL, 0) + 1;
	test.n_saves = (unsigned)strtoul(argv[4], NULL, 0);
	if (test.n_stops > STOPS_MAX || test.n_saves > test.n_stops)
		die(argv[3], "too many stops or saves");
	first.fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (first.fd < 0)
		die(argv[2], "cannot be written");
	choose_stops(&test, strtoull(argv[5], NULL, 0));
	run_straight(&test, &first);
	run_with_saves(&test, &second);
	check(first.bytes == second.bytes && first.hash == second.hash,
	      "the same console: %" PRIu64 " bytes", first.bytes);
	close(first.fd);
	return n_failed != 0;
}
