/*
 * What becomes of a recording when KVM does what it should not: made-up exits while a guest of the
 * cpu suite, most of it short pieces of user code, is recorded. Usage: injection_test
 * FOLDER-OF-GUESTS
 */
#include <errno.h>
#include <string.h>

#include "tests/roundtrip/check_twice.h"
#include "tests/tap.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/runner.h"

static enum kvm_runner_injection injection;

static int create_injected(struct machine *machine, struct engine **ret_engine)
{
	int r = kvm_small_engine_ops.create(machine, ret_engine);

	if (!r)
		kvm_engine_inject(*ret_engine, injection);
	return r;
}

static void record_guest(const char *guest, enum kvm_runner_injection what, const char *name,
			 struct recording *ret)
{
	static struct engine_ops ops;
	struct recording_request request = {
		.guest = guest, .clock = RECORDER_CLOCK_VIRTUAL, .seeded = true, .engine = &ops};

	injection = what;
	ops = kvm_small_engine_ops;
	ops.create = create_injected;
	harness_record(&request, name, ret);
}

static void record(enum kvm_runner_injection what, const char *name, struct recording *ret)
{
	record_guest("wild", what, name, ret);
}

static void check_replay(const struct recording *recording, const char *what)
{
	static struct replaying replaying;

	harness_replay(recording->path, UINT64_MAX, &replaying);
	if (replaying.status != REPLAY_AT_END)
		tap_note("%s %s", replaying.divergence.what, replaying.error.text);
	tap_ok(replaying.status == REPLAY_AT_END && replaying.icount == recording->result.icount,
	       "%s: interp replays it to its end, %llu", what,
	       (unsigned long long)replaying.icount);
	check_twice(what, recording->path);
}

static void test_none(struct recording *recording)
{
	record(KVM_INJECT_NOTHING, "none", recording);
	tap_ok(!recording->code && recording->result.uses[0].instructions &&
		       !recording->result.uses[0].unexpected,
	       "nothing injected: the guest ends, %llu instructions in KVM",
	       (unsigned long long)recording->result.uses[0].instructions);
	check_replay(recording, "nothing injected");
}

static void test_explained(struct recording *recording, uint64_t icount)
{
	record(KVM_INJECT_EXPLAINED, "explained", recording);
	tap_ok(!recording->code && recording->result.icount == icount,
	       "an exit that an instruction explains: the recording goes on to the same end");
	tap_ok(recording->result.uses[0].unexpected == 1,
	       "it is counted, and the space stays with interp");
	check_replay(recording, "explained");
}

static void test_unexplained(struct recording *recording)
{
	record(KVM_INJECT_UNEXPLAINED, "unexplained", recording);
	tap_ok(recording->code == -EIO && strstr(recording->error.text, "KVM"),
	       "an exit that nothing explains: the recording fails: %s", recording->error.text);
	tap_ok(recording->result.end_reason &&
		       !strcmp(recording->result.end_reason, "engine failure") &&
		       recording->result.uses[0].unexpected == 1,
	       "at the last proven count");
	check_replay(recording, "unexplained");
}

/* Relative to the folder of guests. */
#define SPIN "../../kvm/spin"

/* Code that does not poll, in a loop that does not end: what the watchdog is for. */
static void test_endless(struct recording *recording)
{
	record_guest(SPIN, KVM_INJECT_ENDLESS, "endless", recording);
	tap_ok(recording->code == -EIO && strstr(recording->error.text, "does not come back"),
	       "translated code that never leaves: the recording fails: %s", recording->error.text);
	tap_ok(recording->result.end_reason &&
		       !strcmp(recording->result.end_reason, "engine failure") &&
		       recording->result.uses[0].unexpected == 1 && recording->result.icount,
	       "at the last proven count");
	check_replay(recording, "endless");
}

int main(int argc, char **argv)
{
	static struct recording recording;
	struct kvm_vm_error error;

	if (kvm_engine_check(&error)) {
		printf("1..0 # SKIP %s\n", error.text);
		return 0;
	}
	harness_init(argc, argv);
	test_none(&recording);
	test_explained(&recording, recording.result.icount);
	test_unexplained(&recording);
	test_endless(&recording);
	harness_finish();
	return tap_done();
}
