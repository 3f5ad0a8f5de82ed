/*
 * A timeline's state at N is that of a straight run to N, wherever it comes from; and a search
 * backwards finds what a search forwards finds, which is what single steps see.
 * Usage: timeline GUEST-FOLDER FIDELITY-GUEST-FOLDER: the recordings of the suites' guests
 *        timeline --file MOVES FILE...: recordings that are there, so many moves in each
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "replayer/timeline.h"
#include "tests/roundtrip/check_twice.h"
#include "tests/roundtrip/moves.h"
#include "tests/tap.h"
#include "vmm/mmu/mmu.h"

#define N_POINTS 24
#define N_MOVES  120

/* Budgets: the usual one; one that holds few checkpoints and none of initial RAM; hardly any. */
#define PLENTY_BYTES 0
#define LITTLE_BYTES (UINT64_C(2) << 20)
#define TINY_BYTES   (UINT64_C(64) << 10)

static uint64_t rng = 12345;

static uint64_t random_below(uint64_t n)
{
	rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (rng >> 16) % n;
}

static bool same_state(const struct seen_state *a, const struct seen_state *b)
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

/* States at ascending counts by one straight run of a plain replayer, with interp. */
static void run_straight(const char *path, struct seen_state states[N_POINTS])
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
		seen_state_take(replayer_machine(replayer), &states[i]);
	}
	replayer_destroy(replayer);
	log_reader_close(reader);
}

static struct timeline *open_timeline(struct log_reader *reader, uint64_t bytes)
{
	const struct timeline_config config = {.engine = harness_engine(),
					       .checkpoint_bytes = bytes};
	struct timeline *timeline;
	struct log_error error;

	if (timeline_create(reader, &config, &timeline, &error)) {
		printf("Bail out! %s\n", error.text);
		exit(99);
	}
	return timeline;
}

static bool is_at(struct timeline *timeline, const struct seen_state *expected)
{
	struct seen_state state;

	seen_state_take(timeline_machine(timeline), &state);
	return same_state(expected, &state);
}

/* Steps back and forth around a known state. */
static bool step_around(struct timeline *timeline, const struct seen_state *expected)
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

static void test_seek(const char *name, const char *path, uint64_t bytes, unsigned n_moves)
{
	struct seen_state states[N_POINTS];
	struct log_reader *reader = open_file(path);
	struct timeline *timeline = open_timeline(reader, bytes);
	unsigned bad = 0, over = 0, n;
	uint64_t used;

	run_straight(path, states);
	for (unsigned i = 0; i < n_moves; i++) {
		const struct seen_state *expected = &states[random_below(N_POINTS)];
		if (timeline_seek(timeline, expected->icount) == TIMELINE_FAILED)
			tap_note("seek: %s", timeline_error(timeline));
		bad += !is_at(timeline, expected);
		if (i % 4 == 0)
			bad += !step_around(timeline, expected);
		if (i % 7 == 0)
			timeline_checkpoint(timeline);
		bad += !is_at(timeline, expected);
		timeline_checkpoint_size(timeline, &n, &used);
		over += used > (bytes ? bytes : TIMELINE_DEFAULT_BYTES) && n > 1;
	}
	tap_ok(!bad, "%s: the same state at N from everywhere, %u moves, %u checkpoints", name,
	       n_moves, n);
	tap_ok(!over, "%s: %" PRIu64 " KiB of checkpoints stay in their budget of %" PRIu64, name,
	       used >> 10, bytes >> 10);
	timeline_destroy(timeline);
	log_reader_close(reader);
}

/* ---- searching ---- */

#define MAX_HITS 200

struct found {
	unsigned n;
	uint64_t icount[MAX_HITS];
	bool watch[MAX_HITS];
};

/* All hits from the start on; of watchpoints, the position before the step. */
static void find_forward(struct timeline *timeline, struct found *found)
{
	timeline_seek(timeline, 0);
	found->n = 0;
	while (found->n < MAX_HITS && timeline_continue(timeline) == TIMELINE_HIT) {
		found->icount[found->n] = timeline_hit(timeline)->icount;
		found->watch[found->n++] = timeline_hit(timeline)->watch;
	}
}

/* A breakpoint where a watchpoint has just stopped does not count on the way forward. */
static bool is_behind_watch(const struct found *found, unsigned n, const struct timeline_hit *hit)
{
	return n && !hit->watch && found->watch[n - 1] && hit->icount == found->icount[n - 1] + 1;
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
		if (is_behind_watch(found, n, timeline_hit(timeline)))
			continue;
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

/* Far enough for intervals that grow with the way (timeline.c). */
#define LONG_ICOUNT UINT64_C(130000000)

/* From the end of a long recording back to what is only met at its beginning. */
static void test_long_way(const char *name, const char *path)
{
	static const uint64_t early[] = {5, 60};
	static struct found found;
	struct log_reader *reader = open_file(path);
	struct timeline *timeline = open_timeline(reader, 0);
	uint64_t linear[2];

	for (unsigned i = 0; i < 2; i++) {
		timeline_seek(timeline, early[i]);
		linear[i] = machine_current(timeline_machine(timeline))->rip;
	}
	timeline_set_breakpoints(timeline, linear, 2);
	find_forward(timeline, &found);
	uint64_t end = timeline_position(timeline);
	tap_ok(end >= LONG_ICOUNT && found.n >= 2 && found.icount[found.n - 1] < end / 100 &&
		       find_backward(timeline, &found),
	       "%s: %u hits at the beginning, the same from %" PRIu64 " back", name, found.n, end);
	timeline_destroy(timeline);
	log_reader_close(reader);
}

/* ---- single steps as the oracle ---- */

#define WINDOW_STEPS   20000
#define WINDOW_POINTS  3
#define WINDOW_WATCHES 2
#define WATCH_BYTES    16

/* What is known of a step: its vCPU and that one's program counter before it. */
struct step {
	uint32_t vcpu;
	uint64_t pc;
	bool executes;  /* false: an interrupt was delivered, or the vCPU was started or reset */
	bool repeating; /* inside a repeated string instruction */
	bool changes;   /* watched memory */
};

/* For each count, of which vCPU the log has something that comes before the step's instruction. */
#define DELIVERS_NOTHING 255
#define DELIVERS_TO_ANY  254

static uint8_t delivers_to(const struct event *event)
{
	if (event->kind == EVENT_INIT || event->kind == EVENT_SIPI)
		return (uint8_t)event->delivery.vcpu;
	return DELIVERS_TO_ANY;
}

static uint8_t *read_deliveries(const char *path, uint64_t first)
{
	uint8_t *delivers = malloc(WINDOW_STEPS + 1);
	struct log_reader *reader = open_file(path);
	struct log_error error;
	struct event event;

	memset(delivers, DELIVERS_NOTHING, WINDOW_STEPS + 1);
	log_reader_seek(reader, first, &error);
	while (log_reader_next(reader, &event, &error) > 0 && event.icount < first + WINDOW_STEPS)
		if (event.kind >= EVENT_INTERRUPT && event.kind != EVENT_SWITCH &&
		    event.kind != EVENT_DIGEST)
			delivers[event.icount - first] = delivers_to(&event);
	log_reader_close(reader);
	return delivers;
}

/* RF between iterations of a string instruction with a repeat prefix. */
static bool is_repeating(const struct machine *machine, const struct cpu *cpu)
{
	uint8_t code[16], i = 0;
	bool repeat = false;
	uint64_t gpa;

	if (!(cpu_rflags(cpu) & FLAG_RF) || !mmu_peek(cpu, cpu_linear_rip(cpu), &gpa))
		return false;
	memory_read(machine->memory, gpa, code, sizeof(code));
	for (; i < sizeof(code) && (code[i] == 0xf2 || code[i] == 0xf3 || code[i] == 0x66 ||
				    code[i] == 0x67 || (code[i] & 0xf0) == 0x40);
	     i++)
		repeat |= code[i] == 0xf2 || code[i] == 0xf3;
	return repeat && i < sizeof(code) &&
	       ((code[i] >= 0xa4 && code[i] <= 0xaf && (code[i] & 0xfe) != 0xa8) ||
		(code[i] & 0xfc) == 0x6c);
}

struct window {
	uint64_t first, n;
	uint64_t linear[WINDOW_POINTS];
	uint64_t gpa[WINDOW_WATCHES];
	struct step step[WINDOW_STEPS];
};

static void read_watched(const struct machine *machine, const struct window *window,
			 uint8_t bytes[WINDOW_WATCHES * WATCH_BYTES])
{
	for (unsigned i = 0; i < WINDOW_WATCHES; i++)
		memory_read(machine->memory, window->gpa[i], bytes + i * WATCH_BYTES, WATCH_BYTES);
}

static bool observe_step(struct timeline *timeline, const struct window *window, uint8_t delivers,
			 struct step *ret)
{
	const struct machine *machine = timeline_machine(timeline);
	uint8_t before[WINDOW_WATCHES * WATCH_BYTES], after[WINDOW_WATCHES * WATCH_BYTES];
	struct step seen[MACHINE_MAX_VCPUS];

	for (uint32_t i = 0; i < machine->config.n_vcpus; i++) {
		const struct cpu *cpu = &machine->vcpu[i];
		seen[i] = (struct step){
			.vcpu = i,
			.pc = cpu_linear_rip(cpu),
			.executes = delivers != i && delivers != DELIVERS_TO_ANY &&
				    cpu->activity == ACTIVITY_RUNNING,
			.repeating = is_repeating(machine, cpu),
		};
	}
	read_watched(machine, window, before);
	if (timeline_step(timeline) != TIMELINE_ARRIVED)
		return false;
	read_watched(machine, window, after);
	*ret = seen[machine->current];
	ret->changes = memcmp(before, after, sizeof(before)) != 0;
	return true;
}

/* Goes through the window step by step. */
static void observe(struct timeline *timeline, const char *path, struct window *window)
{
	uint8_t *delivers = read_deliveries(path, window->first);

	timeline_seek(timeline, window->first);
	window->n = 0;
	while (window->n < WINDOW_STEPS &&
	       observe_step(timeline, window, delivers[window->n], &window->step[window->n]))
		window->n++;
	free(delivers);
}

static bool has_breakpoint(const struct window *window, const struct step *step)
{
	for (unsigned i = 0; i < WINDOW_POINTS; i++)
		if (step->executes && !step->repeating && step->pc == window->linear[i])
			return true;
	return false;
}

/* Breakpoints on what the window executes, watches where its stack is. */
static void choose_points(struct timeline *timeline, struct window *window)
{
	for (unsigned i = 0; i < WINDOW_POINTS; i++)
		window->linear[i] = window->step[random_below(window->n)].pc;
	for (unsigned i = 0; i < WINDOW_WATCHES; i++) {
		const struct cpu *cpu = machine_current(timeline_machine(timeline));
		uint64_t linear, gpa = 0;
		timeline_seek(timeline, window->first + random_below(window->n));
		linear = cpu->seg[SEG_SS].base + cpu->gpr[RSP] - 16 * random_below(3);
		mmu_peek(cpu, linear, &gpa);
		window->gpa[i] = gpa & ~(uint64_t)(WATCH_BYTES - 1);
	}
}

static bool breakpoint_was_missed(const struct window *window, uint64_t from, uint64_t end)
{
	for (uint64_t n = from; n < end && n < window->n; n++)
		if (has_breakpoint(window, &window->step[n])) {
			tap_note("breakpoint at %" PRIu64 " passed over", window->first + n);
			return true;
		}
	return false;
}

/* All breakpoints that a search meets in the window are those that steps saw. */
static bool check_breakpoints(struct timeline *timeline, const struct window *window)
{
	uint64_t n = 0;

	timeline_seek(timeline, window->first);
	/* What stands on the position itself does not count. */
	n += window->n && has_breakpoint(window, &window->step[0]) &&
	     window->step[0].vcpu == timeline_machine(timeline)->current;
	while (timeline_continue(timeline) == TIMELINE_HIT) {
		const struct timeline_hit *hit = timeline_hit(timeline);
		uint64_t at = hit->icount - window->first;
		if (at >= window->n)
			break;
		if (breakpoint_was_missed(window, n, at))
			return false;
		if (!has_breakpoint(window, &window->step[at]) ||
		    window->step[at].vcpu != hit->vcpu) {
			tap_note("a breakpoint at %" PRIu64 " that is none", hit->icount);
			return false;
		}
		n = at + 1;
	}
	return !breakpoint_was_missed(window, n, window->n);
}

static bool change_was_missed(const struct window *window, uint64_t from, uint64_t end)
{
	for (uint64_t n = from; n < end && n < window->n; n++)
		if (window->step[n].changes) {
			tap_note("a change by the step from %" PRIu64 " passed over",
				 window->first + n);
			return true;
		}
	return false;
}

/* No change of watched memory is passed over. */
static bool check_watches(struct timeline *timeline, const struct window *window)
{
	uint64_t n = 0;

	timeline_seek(timeline, window->first);
	while (timeline_continue(timeline) == TIMELINE_HIT) {
		uint64_t at = timeline_hit(timeline)->icount - window->first;
		if (at >= window->n)
			break;
		if (change_was_missed(window, n, at))
			return false;
		n = at + 1;
	}
	return !change_was_missed(window, n, window->n);
}

static void arm_points(struct timeline *timeline, const struct window *window, bool breakpoints)
{
	struct memory_watch watches[WINDOW_WATCHES];

	for (unsigned i = 0; i < WINDOW_WATCHES; i++)
		watches[i] = (struct memory_watch){window->gpa[i], WATCH_BYTES, false, true};
	timeline_set_breakpoints(timeline, window->linear, breakpoints ? WINDOW_POINTS : 0);
	timeline_set_watches(timeline, watches, breakpoints ? 0 : WINDOW_WATCHES);
}

static void test_steps(const char *name, const char *path)
{
	static struct window window;
	struct log_reader *reader = open_file(path);
	struct timeline *timeline = open_timeline(reader, PLENTY_BYTES);
	uint64_t end = timeline_end(timeline);
	bool breakpoints, watches;

	memset(&window, 0, sizeof(window));
	window.first = end > WINDOW_STEPS ? random_below(end - WINDOW_STEPS) : 0;
	observe(timeline, path, &window); /* what it executes */
	choose_points(timeline, &window);
	observe(timeline, path, &window);
	arm_points(timeline, &window, true);
	breakpoints = check_breakpoints(timeline, &window);
	arm_points(timeline, &window, false);
	watches = check_watches(timeline, &window);
	tap_ok(breakpoints, "%s: breakpoints are met where steps see them", name);
	tap_ok(watches, "%s: watchpoints miss no change that steps see", name);
	timeline_destroy(timeline);
	log_reader_close(reader);
}

/* ---- the recordings ---- */

static void test_file(const char *name, const char *path)
{
	test_seek(name, path, PLENTY_BYTES, N_MOVES);
	test_seek(name, path, LITTLE_BYTES, N_MOVES);
	test_seek(name, path, TINY_BYTES, N_MOVES / 4);
	test_search(name, path, 1, 0);
	test_search(name, path, 3, 0);
	test_search(name, path, 0, 2);
	test_search(name, path, 2, 2);
	test_steps(name, path);
}

/* Where the guest has its repeat. */
#define ACROSS_LINEAR UINT64_C(0x400fff)

/* A breakpoint on a repeat counts before its first iteration, though it lies across two pages. */
static void test_across(const char *name, const char *path)
{
	static struct found found;
	const uint64_t linear = ACROSS_LINEAR;
	struct log_reader *reader = open_file(path);
	struct timeline *timeline = open_timeline(reader, 0);

	timeline_set_breakpoints(timeline, &linear, 1);
	find_forward(timeline, &found);
	tap_ok(found.n == 1 && find_backward(timeline, &found), "%s: %u hit, the same backwards",
	       name, found.n);
	timeline_destroy(timeline);
	log_reader_close(reader);
}

/* Copies a recording, with one event more. */
static bool copy_with(const char *path, const char *copy, const struct event *more)
{
	struct log_reader *reader = open_file(path);
	struct log_writer *writer;
	struct log_error error;
	struct event event;
	bool put = false, good;

	if (log_writer_create(copy, log_reader_header(reader), false, &writer, &error))
		return false;
	good = !log_writer_copy_image(writer, reader);
	while (good && log_reader_next(reader, &event, &error) > 0) {
		if (!put && event.icount >= more->icount) {
			good = !log_writer_append(writer, more);
			put = true;
		}
		good &= !log_writer_append(writer, &event);
	}
	good &= put && !log_writer_finish(writer, log_reader_trailer(reader));
	log_writer_destroy(writer);
	log_reader_close(reader);
	return good;
}

/* Right behind an instruction's write a device writes the same byte again: the first counts. */
static void test_device_behind(const char *name, const char *path)
{
	char copy[HARNESS_PATH_BYTES];
	const uint64_t linear = ACROSS_LINEAR;
	struct log_reader *reader = open_file(path);
	struct timeline *timeline = open_timeline(reader, 0);

	timeline_set_breakpoints(timeline, &linear, 1);
	timeline_continue(timeline);
	const struct cpu *cpu = machine_current(timeline_machine(timeline));
	uint64_t before = timeline_position(timeline);
	struct memory_watch watch = {cpu->gpr[RDI], 1, false, true};
	uint8_t byte;
	memory_read(timeline_machine(timeline)->memory, cpu->gpr[RSI], &byte, 1);
	struct event again = {.kind = EVENT_MEMORY, .icount = before + 1};
	again.memory.gpa = watch.gpa;
	again.memory.bytes = 1;
	again.memory.data = &byte;
	timeline_destroy(timeline);
	log_reader_close(reader);

	harness_path("behind.rpz", copy);
	tap_ok(copy_with(path, copy, &again), "%s: a device writes, too", name);
	reader = open_file(copy);
	timeline = open_timeline(reader, 0);
	timeline_set_watches(timeline, &watch, 1);
	enum timeline_status status = timeline_continue(timeline);
	tap_ok(status == TIMELINE_HIT && !timeline_hit(timeline)->device &&
		       timeline_hit(timeline)->icount == before,
	       "%s: the instruction's write is the hit", name);
	timeline_destroy(timeline);
	log_reader_close(reader);
	check_twice("a device behind an instruction", copy);
}

static void test_repeat(const char *name, const char *path)
{
	test_across(name, path);
	test_device_behind(name, path);
}

static const struct recording_request across_requests[] = {
	{.guest = "across"},
};

static const struct recording_request long_requests[] = {
	{.guest = "work", .limit_icount = LONG_ICOUNT},
};

/* One of many: less of everything. */
static void test_file_briefly(const char *name, const char *path)
{
	test_seek(name, path, PLENTY_BYTES, N_MOVES / 4);
	test_seek(name, path, TINY_BYTES, N_MOVES / 8);
	test_search(name, path, 2, 2);
	test_steps(name, path);
}

/* A large recording that is there already. */
static void test_given(const char *path, unsigned n_moves)
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;

	test_seek(name, path, PLENTY_BYTES, n_moves);
	test_seek(name, path, UINT64_C(64) << 20, n_moves / 4 + 1);
	test_search(name, path, 1, 1);
	test_steps(name, path);
	test_steps(name, path);
}

static const struct recording_request requests[] = {
	{.guest = "time"},
	{.guest = "time", .clock = RECORDER_CLOCK_VIRTUAL},
	{.guest = "random"},
	{.guest = "entropy", .limit_icount = 1000000},
	{.guest = "echo", .input = "hello\nworld\n"},
	{.guest = "reset"},
	{.guest = "triple", .reset_on_shutdown = true, .limit_icount = 5000},
	{.guest = "triple"},
	{.guest = "halted"},
	{.guest = "work", .limit_icount = 3000000},
	{.guest = "smp", .n_vcpus = 2},
	{.guest = "disk", .disk = "disk.img"},
	{.guest = "across"},
	{.guest = "long"},
};

/* Those of the fidelity suite: every mode, shadows, repeats, single steps, nested faults. */
static const struct recording_request fidelity_requests[] = {
	{.guest = "rep"},
	{.guest = "shadow"},
	{.guest = "single_step"},
	{.guest = "breakpoint"},
	{.guest = "nmi"},
	{.guest = "paging"},
	{.guest = "paging_long"},
	{.guest = "double_fault"},
	{.guest = "triple_fault"},
	{.guest = "task"},
	{.guest = "v86"},
	{.guest = "self_modify"},
	{.guest = "cross_modify", .n_vcpus = 2},
	{.guest = "apic"},
	{.guest = "timer"},
	{.guest = "ioapic"},
	{.guest = "real"},
	{.guest = "transfer"},
	{.guest = "privilege"},
	{.guest = "fault_priority"},
};

static void make_disk(char path[HARNESS_PATH_BYTES])
{
	static const uint8_t image[8192];
	FILE *out;

	harness_path("disk.img", path);
	out = fopen(path, "wb");
	if (!out || fwrite(image, sizeof(image), 1, out) != 1)
		printf("Bail out! no disk image\n");
	if (out)
		fclose(out);
}

static void test_guests(char *folder, const struct recording_request *request, size_t n,
			void (*test)(const char *name, const char *path))
{
	static struct recording recording;
	char *arguments[] = {NULL, folder};
	char disk[HARNESS_PATH_BYTES];

	harness_init(2, arguments);
	make_disk(disk);
	for (size_t i = 0; i < n; i++) {
		struct recording_request made = request[i];
		if (made.disk)
			made.disk = disk;
		harness_record(&made, "guest.rpz", &recording);
		if (tap_ok(!recording.code, "%s: records", made.guest)) {
			test(made.guest, recording.path);
			check_twice(made.guest, recording.path);
		}
	}
	harness_finish();
}

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "--file")) {
		for (int i = 3; i < argc; i++)
			test_given(argv[i], (unsigned)atoi(argv[2]));
	} else if (argc == 3) {
		test_guests(argv[1], across_requests, COUNT_OF(across_requests), test_repeat);
		test_guests(argv[1], long_requests, COUNT_OF(long_requests), test_long_way);
		test_guests(argv[1], requests, COUNT_OF(requests), test_file);
		test_guests(argv[2], fidelity_requests, COUNT_OF(fidelity_requests),
			    test_file_briefly);
	}
	return tap_done();
}
