/*
 * A guest's state, saved and gone on from: with the virtual clock it ends as it would have without
 * the break, and the recording replays from its file alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/roundtrip/check_twice.h"
#include "tests/tap.h"

/* Both become ready for a plan; the second one has user code. */
static const char *const guests[] = {"ready", "long"};
static const char *guest;

static struct recording whole, saved, went_on, again;
static struct replaying replay_whole, replay_on;

static char state_path[HARNESS_PATH_BYTES];

static void record(const struct recording_request *differences, const char *name,
		   struct recording *ret)
{
	struct recording_request request = *differences;

	request.guest = guest;
	request.clock = RECORDER_CLOCK_VIRTUAL;
	request.seeded = true;
	request.seed = 5;
	request.channel = true;
	harness_record(&request, name, ret);
}

static void test_same_end(void)
{
	record(&(struct recording_request){.plan = "p"}, "whole.rpz", &whole);
	tap_ok(!whole.code && whole.result.has_exit_status && whole.result.exit_status == 5,
	       "the guest runs to its end");
	record(&(struct recording_request){.save = state_path}, "saved.rpz", &saved);
	tap_ok(!saved.code && !strcmp(saved.result.end_reason, "saved"), "its state is saved");
	record(&(struct recording_request){.plan = "p", .saved = state_path}, "on.rpz", &went_on);
	tap_ok(!went_on.code && went_on.result.exit_status == 5, "it goes on from there");
	tap_note("%s", went_on.error.text);
	tap_ok(saved.console.n + went_on.console.n == whole.console.n && went_on.console.n &&
		       !strncmp(whole.console.text, saved.console.text, saved.console.n) &&
		       !strcmp(whole.console.text + saved.console.n, went_on.console.text),
	       "and says the same");
	tap_ok(went_on.result.icount + saved.result.icount == whole.result.icount &&
		       went_on.result.guest_ns == whole.result.guest_ns,
	       "after as many instructions and as long");
}

static void test_digests(void)
{
	harness_replay(whole.path, UINT64_MAX, &replay_whole);
	harness_replay(went_on.path, UINT64_MAX, &replay_on);
	tap_ok(replay_whole.status == REPLAY_AT_END && replay_on.status == REPLAY_AT_END,
	       "both replay");
	tap_ok(replay_on.digest.memory == replay_whole.digest.memory, "to the same memory");
	tap_ok(!strcmp(replay_on.console.text, went_on.console.text), "and the same console");
	if (!strcmp(guest, "long"))
		tap_ok(harness_engine_ran(went_on.result.uses, went_on.result.n_uses) &&
			       harness_engine_ran(replay_on.uses, replay_on.n_uses),
		       "by the engine itself");
	check_twice("up to the saved state", saved.path);
	check_twice("without a break", whole.path);
	unlink(state_path);
	harness_replay(went_on.path, UINT64_MAX, &replay_on);
	tap_ok(replay_on.status == REPLAY_AT_END, "without the saved state too");
	check_twice("from the saved state on", went_on.path);
	record(&(struct recording_request){.plan = "p", .saved = state_path}, "again.rpz", &again);
	tap_ok(again.code == -ENOENT, "what is not there cannot be gone on from");
}

static void test_end_of_saved(void)
{
	record(&(struct recording_request){.save = state_path}, "saved.rpz", &saved);
	record(&(struct recording_request){.plan = "r", .saved = state_path}, "reset.rpz", &again);
	tap_ok(!again.code && !strcmp(again.result.end_reason, "reset"), "a reset is its end");
	harness_replay(again.path, UINT64_MAX, &replay_on);
	tap_ok(replay_on.status == REPLAY_AT_END, "which replays");
	check_twice("a reset", again.path);
	record(&(struct recording_request){.plan = "p", .saved = state_path, .n_vcpus = 2},
	       "other.rpz", &again);
	tap_ok(again.code == -EINVAL && strstr(again.error.text, "another machine"),
	       "another machine does not go on from it");
	tap_note("%s", again.error.text);
}

/* No damage to a saved state is met with anything but an error. */
static void test_damage(void)
{
	unsigned refused = 0, n = 0;
	struct stat st;
	int fd = open(state_path, O_RDWR);

	fstat(fd, &st);
	for (off_t at = 20; at < st.st_size; at += st.st_size / 40 + 1, n++) {
		uint8_t good, bad;

		if (pread(fd, &good, 1, at) != 1)
			break;
		bad = good ^ 0x10;
		if (pwrite(fd, &bad, 1, at) != 1)
			break;
		record(&(struct recording_request){.plan = "p", .saved = state_path}, "damaged.rpz",
		       &again);
		refused += again.code != 0;
		if (pwrite(fd, &good, 1, at) != 1)
			break;
	}
	close(fd);
	/* The index and footer can be made anew. */
	tap_ok(n >= 30 && refused >= n - 3, "damage is refused: %u of %u", refused, n);
}

int main(int argc, char **argv)
{
	harness_init(argc, argv);
	harness_path("state.rpz", state_path);
	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		guest = guests[i];
		tap_note("%s", guest);
		test_same_end();
		test_digests();
		test_end_of_saved();
	}
	test_damage();
	harness_finish();
	return tap_done();
}
