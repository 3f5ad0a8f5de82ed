/*
 * A timeline's state at N is that of a straight run to N, wherever it comes from; and a search
 * backwards finds what a search forwards finds.
 * Usage: timeline GUEST-FOLDER [FILE...]: the recordings of the suite's guests, or those given.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "replayer/timeline.h"
#include "tests/roundtrip/harness.h"
#include "tests/tap.h"

#define N_POINTS 24
#define N_MOVES  120

/* Everything there is to compare at a count. */
struct state {
	uint64_t icount;
	uint64_t registers; /* of the whole encoded state */
	uint64_t ram;       /* of every byte, page by page */
	struct digest digest;
};

static uint64_t rng = 12345;

static uint64_t random_below(uint64_t n)
{
	rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (rng >> 16) % n;
}

static int hash_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	static const uint8_t zeros[PAGE_BYTES];

	if (memcmp(page, zeros, PAGE_BYTES) != 0)
		*(uint64_t *)ctx = XXH3_64bits_withSeed(page, PAGE_BYTES, *(uint64_t *)ctx ^ gpa);
	return 0;
}

static void take_state(struct machine *machine, struct state *ret)
{
	size_t n = machine_state_bytes(machine);
	uint8_t *bytes = malloc(n);

	machine_state_encode(machine, bytes);
	*ret = (struct state){.icount = machine->icount, .registers = XXH3_64bits(bytes, n)};
	memory_each_page(machine->memory, hash_page, &ret->ram);
	machine_digest(machine, &ret->digest);
	free(bytes);
}

static bool same_state(const struct state *a, const struct state *b)
{
	if (a->icount == b->icount && a->registers == b->registers && a->ram == b->ram &&
	    !memcmp(&a->digest, &b->digest, sizeof(a->digest)))
		return true;
	tap_note("at %" PRIu64 ", expected %" PRIu64 "; registers %d, RAM %d, digest %d", b->icount,
		 a->icount, a->registers == b->registers, a->ram == b->ram,
		 !memcmp(&a->digest, &b->digest, sizeof(a->digest)));
	return false;
}

static struct log_reader *open_file(const char *path)
{
	struct log_reader *reader;
	struct log_error error;

	if (log_reader_open(path, &reader, &error)) {
		printf("Bail out! %s: %s\n", path, error.text);
		exit(99);
	}
	return reader;
}

static int compare_counts(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* States at ascending counts by one straight run of a plain replayer. */
static void run_straight(const char *path, struct state states[N_POINTS])
{
	const struct replayer_config config = {.engine = &interp_engine_ops};
	struct log_reader *reader = open_file(path);
	struct replayer *replayer;
	struct log_error error;
	uint64_t icount[N_POINTS];

	if (replayer_create(reader, &config, &replayer, &error)) {
		printf("Bail out! %s\n", error.text);
		exit(99);
	}
	uint64_t end = replayer_end_icount(replayer);
	for (unsigned i = 0; i < N_POINTS; i++)
		icount[i] = random_below(end + 1);
	icount[0] = 0;
	icount[1] = end;
	icount[2] = end - 1;
	icount[3] = icount[4] + 1;
	qsort(icount, N_POINTS, sizeof(icount[0]), compare_counts);
	for (unsigned i = 0; i < N_POINTS; i++) {
		replayer_run_until(replayer, icount[i]);
		take_state(replayer_machine(replayer), &states[i]);
	}
	replayer_destroy(replayer);
	log_reader_close(reader);
}

static struct timeline *open_timeline(struct log_reader *reader, uint64_t bytes)
{
	const struct timeline_config config = {.engine = &interp_engine_ops,
					       .checkpoint_bytes = bytes};
	struct timeline *timeline;
	struct log_error error;

	if (timeline_create(reader, &config, &timeline, &error)) {
		printf("Bail out! %s\n", error.text);
		exit(99);
	}
	return timeline;
}

static bool is_at(struct timeline *timeline, const struct state *expected)
{
	struct state state;

	take_state(timeline_machine(timeline), &state);
	return same_state(expected, &state);
}

/* Steps back and forth around a known state. */
static bool step_around(struct timeline *timeline, const struct state *expected)
{
	unsigned back = 0;

	while (back < 5 && timeline_step_back(timeline) == TIMELINE_ARRIVED)
		back++;
	if (timeline_position(timeline) != expected->icount - back)
		return false;
	for (; back; back--)
		timeline_step(timeline);
	return is_at(timeline, expected);
}

static void test_seek(const char *name, const char *path, uint64_t bytes)
{
	struct state states[N_POINTS];
	struct log_reader *reader = open_file(path);
	struct timeline *timeline = open_timeline(reader, bytes);
	unsigned bad = 0, n;
	uint64_t used;

	run_straight(path, states);
	for (unsigned i = 0; i < N_MOVES; i++) {
		const struct state *expected = &states[random_below(N_POINTS)];
		if (timeline_seek(timeline, expected->icount) == TIMELINE_FAILED)
			tap_note("seek: %s", timeline_error(timeline));
		bad += !is_at(timeline, expected);
		if (i % 4 == 0)
			bad += !step_around(timeline, expected);
		if (i % 7 == 0)
			timeline_checkpoint(timeline);
		bad += !is_at(timeline, expected);
	}
	tap_ok(!bad, "%s: the same state at N from everywhere, %u moves", name, N_MOVES);
	timeline_checkpoint_size(timeline, &n, &used);
	tap_ok(!bytes || used <= bytes || n <= 2, "%s: %u checkpoints stay in their budget", name,
	       n);
	timeline_destroy(timeline);
	log_reader_close(reader);
}

/* ---- searching ---- */

#define MAX_HITS 200

struct found {
	unsigned n;
	uint64_t icount[MAX_HITS];
};

/* All hits from the start on; of watchpoints, the position before the step. */
static void find_forward(struct timeline *timeline, struct found *found)
{
	timeline_seek(timeline, 0);
	found->n = 0;
	while (found->n < MAX_HITS && timeline_continue(timeline) == TIMELINE_HIT)
		found->icount[found->n++] = timeline_hit(timeline)->icount;
}

static bool find_backward(struct timeline *timeline, const struct found *found)
{
	unsigned n = found->n;
	uint64_t last = UINT64_MAX;

	/* The way forward may have ended on a breakpoint. */
	while (n && found->icount[n - 1] >= timeline_position(timeline))
		n--;
	while (timeline_continue_back(timeline) == TIMELINE_HIT) {
		uint64_t icount = timeline_position(timeline);
		if (icount == last)
			return false;
		last = icount;
		while (n > 1 && found->icount[n - 1] == found->icount[n - 2])
			n--; /* a breakpoint and a watchpoint of one instruction */
		if (!n || found->icount[n - 1] != icount) {
			tap_note("back at %" PRIu64 ", forward %" PRIu64, icount,
				 n ? found->icount[n - 1] : 0);
			return false;
		}
		n--;
	}
	return !n && timeline_position(timeline) == timeline_start(timeline);
}

/* Breakpoints where the program is at random counts, watches where its stack was. */
static void set_stops(struct timeline *timeline, unsigned n_breakpoints, unsigned n_watches)
{
	uint64_t linear[4];
	struct memory_watch watches[4];

	for (unsigned i = 0; i < n_breakpoints; i++) {
		timeline_seek(timeline, random_below(timeline_end(timeline)));
		linear[i] = machine_current(timeline_machine(timeline))->rip;
	}
	for (unsigned i = 0; i < n_watches; i++) {
		timeline_seek(timeline, random_below(timeline_end(timeline)));
		watches[i] = (struct memory_watch){
			machine_current(timeline_machine(timeline))->gpr[RSP] - 16, 16, i & 1,
			true};
	}
	timeline_set_breakpoints(timeline, linear, n_breakpoints);
	timeline_set_watches(timeline, watches, n_watches);
}

static void test_search(const char *name, const char *path, unsigned n_breakpoints,
			unsigned n_watches)
{
	static struct found found, again;
	struct log_reader *reader = open_file(path);
	struct timeline *timeline = open_timeline(reader, 0);
	bool good = true;
	unsigned n = 0;

	for (unsigned round = 0; round < 2 && good; round++) {
		set_stops(timeline, n_breakpoints, n_watches);
		find_forward(timeline, &found);
		n += found.n;
		good &= find_backward(timeline, &found);
		find_forward(timeline, &again);
		good &= again.n == found.n &&
			!memcmp(again.icount, found.icount, found.n * sizeof(found.icount[0]));
	}
	tap_ok(good, "%s: %u breakpoints and %u watchpoints, %u hits, the same backwards", name,
	       n_breakpoints, n_watches, n);
	timeline_destroy(timeline);
	log_reader_close(reader);
}

static void test_file(const char *name, const char *path)
{
	test_seek(name, path, 0);
	test_seek(name, path, 4 << 20);
	test_search(name, path, 1, 0);
	test_search(name, path, 3, 0);
	test_search(name, path, 0, 2);
	test_search(name, path, 2, 2);
}

static const struct recording_request requests[] = {
	{.guest = "time"},
	{.guest = "random"},
	{.guest = "echo", .input = "hello\nworld\n"},
	{.guest = "reset"},
	{.guest = "triple", .reset_on_shutdown = true, .limit_icount = 5000},
	{.guest = "work", .limit_icount = 3000000},
	{.guest = "smp", .n_vcpus = 2},
};

int main(int argc, char **argv)
{
	static struct recording recording;

	for (int i = 2; i < argc; i++) {
		test_seek(argv[i], argv[i], 0);
		test_seek(argv[i], argv[i], 64 << 20);
		test_search(argv[i], argv[i], 1, 1);
	}
	if (argc > 2)
		return tap_done();
	harness_init(argc, argv);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		harness_record(&requests[i], "guest.rpz", &recording);
		if (tap_ok(!recording.code, "%s: records", requests[i].guest))
			test_file(requests[i].guest, recording.path);
	}
	harness_finish();
	return tap_done();
}
