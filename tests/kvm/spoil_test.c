/*
 * Guests that store where the kvm engine reads: whatever they store, a recording ends in order and
 * can be replayed. Usage: spoil_test FOLDER-OF-GUESTS
 */
#include <errno.h>
#include <string.h>

#include "tests/roundtrip/check_twice.h"
#include "tests/tap.h"
#include "vmm/kvm/kvm.h"

static void record(const char *guest, struct recording *ret)
{
	struct recording_request request = {.guest = guest,
					    .clock = RECORDER_CLOCK_VIRTUAL,
					    .seeded = true,
					    .engine = &kvm_small_engine_ops};

	harness_record(&request, guest, ret);
}

/* A count that cannot be: nothing from there on is believed. */
static void test_count(const char *guest, const char *said)
{
	static struct recording recording;
	static struct replaying replaying;

	record(guest, &recording);
	tap_ok(recording.code == -EIO && strstr(recording.error.text, said),
	       "%s: the recording fails: %s", guest, recording.error.text);
	tap_ok(recording.result.end_reason &&
		       !strcmp(recording.result.end_reason, "engine failure") &&
		       recording.result.uses[0].unexpected == 1 && recording.result.icount,
	       "at the last proven count, %llu", (unsigned long long)recording.result.icount);
	harness_replay(recording.path, UINT64_MAX, &replaying);
	tap_ok(replaying.status == REPLAY_AT_END && replaying.icount == recording.result.icount,
	       "interp replays it to there");
	check_twice(guest, recording.path);
}

/* The stores should have faulted (docs/kvm.md): the machine's state is wrong, and that is found. */
static void test_rest(void)
{
	static struct recording recording;
	static struct replaying replaying;

	record("spoil_rest", &recording);
	tap_ok(recording.result.end_reason && (!recording.code || recording.code == -EIO),
	       "all else is spoilt: the recording ends in order: %d, %s", recording.code,
	       recording.result.end_reason ? recording.result.end_reason : "");
	harness_replay(recording.path, UINT64_MAX, &replaying);
	tap_ok(replaying.status == REPLAY_AT_END || replaying.status == REPLAY_DIVERGED,
	       "interp replays it, or says where it diverges: at %llu of %llu",
	       (unsigned long long)replaying.icount, (unsigned long long)recording.result.icount);
}

int main(int argc, char **argv)
{
	struct kvm_vm_error error;

	if (kvm_engine_check(&error)) {
		printf("1..0 # SKIP %s\n", error.text);
		return 0;
	}
	harness_init(argc, argv);
	test_count("spoil_count", "cannot be");
	test_count("spoil_fault", "not explained");
	test_rest();
	harness_finish();
	return tap_done();
}
