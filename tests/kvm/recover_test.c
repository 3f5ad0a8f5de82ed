/*
 * What becomes of a recording when KVM stops with what it should not, and all that is to be had of
 * the guest is what KVM_GET_REGS and KVM_GET_XSAVE give: KVM is made to, below the engine, where
 * translated code has faulted. Linked with --wrap=ioctl. Usage: recover_test FOLDER-OF-GUESTS
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/roundtrip/check_twice.h"
#include "tests/tap.h"
#include "vmm/cpu/cpu.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/system_area.h"

/* Where the vCPU stands when KVM stops. */
enum stop {
	STOP_NOWHERE,
	STOP_AT_INSTRUCTION, /* that faulted, at CPL 3: the exception has not been delivered */
	STOP_ELSEWHERE,      /* at CPL 3, in code that is no guest instruction's */
	STOP_IN_STUB,        /* at CPL 0 */
};

static struct {
	enum stop stop;    /* to come */
	unsigned skip;     /* faults that come before it */
	uint32_t reason;   /* KVM_EXIT_* */
	uint8_t *system;   /* the VM's own pages */
	unsigned stops;    /* that were made */
	unsigned runs;     /* KVM_RUN since */
	unsigned get_regs; /* KVM_GET_REGS since */
} fake;

/* The linker's names. NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* The vCPU back at CPL 3, as it was when the exception came. */
static void undo_exception(int vcpu, const struct kvm_run *run, bool elsewhere)
{
	const struct kvm_system_area area = {.host = fake.system};
	const struct kvm_frame *frame = kvm_system_frame(&area);
	struct kvm_regs regs = run->s.regs.regs;
	struct kvm_sregs sregs;

	if (run->io.port == VECTOR_PF)
		regs.rax = kvm_system_fault_rax(&area);
	regs.rip = elsewhere ? KVM_USER_CODE : frame->rip;
	regs.rsp = frame->rsp;
	regs.rflags = frame->rflags;
	tap_ok(!__real_ioctl(vcpu, KVM_GET_SREGS, &sregs), "the VM stands in its stub");
	sregs.cs.selector = KVM_SELECTOR_CODE3;
	sregs.ss = sregs.ds;
	sregs.cs.dpl = sregs.ss.dpl = 3;
	tap_ok(!__real_ioctl(vcpu, KVM_SET_SREGS, &sregs) &&
		       !__real_ioctl(vcpu, KVM_SET_REGS, &regs),
	       "and is put back to where it was");
}

static void after_run(int vcpu)
{
	struct kvm_run *run = mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	if (run == MAP_FAILED)
		return;
	if (run->exit_reason == KVM_EXIT_IO && run->io.port < KVM_N_EXCEPTIONS && !fake.skip--) {
		if (fake.stop != STOP_IN_STUB)
			undo_exception(vcpu, run, fake.stop == STOP_ELSEWHERE);
		run->exit_reason = fake.reason;
		run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
		fake.stop = STOP_NOWHERE;
		fake.stops++;
		fake.runs = fake.get_regs = 0;
	}
	munmap(run, sizeof(*run));
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;

	va_start(list, request);
	void *argument = va_arg(list, void *);
	va_end(list);
	if (request == KVM_SET_USER_MEMORY_REGION) {
		const struct kvm_userspace_memory_region *slot = argument;
		if (slot->guest_phys_addr == KVM_SYSTEM_PHYSICAL && slot->memory_size)
			fake.system = (uint8_t *)(uintptr_t)slot->userspace_addr;
	}
	fake.runs += request == KVM_RUN;
	fake.get_regs += request == KVM_GET_REGS;
	int r = __real_ioctl(fd, request, argument);
	if (request == KVM_RUN && !r && fake.stop != STOP_NOWHERE)
		after_run(fd);
	return r;
}
/* NOLINTEND(bugprone-reserved-identifier) */

static enum stop wanted;

/* What measures the host at the start is left alone. */
static int create_then_stop(struct machine *machine, struct engine **ret_engine)
{
	int r = kvm_small_engine_ops.create(machine, ret_engine);

	fake.stop = wanted;
	return r;
}

static void record(const char *guest, enum stop stop, unsigned skip, uint32_t reason,
		   struct recording *ret)
{
	static struct engine_ops ops;
	struct recording_request request = {
		.guest = guest, .clock = RECORDER_CLOCK_VIRTUAL, .seeded = true, .engine = &ops};

	ops = kvm_small_engine_ops;
	ops.create = create_then_stop;
	wanted = stop;
	fake.skip = skip;
	fake.reason = reason;
	fake.stops = 0;
	harness_record(&request, "recover", ret);
	fake.stop = STOP_NOWHERE;
}

static void check_replay(const struct recording *recording, const char *what)
{
	static struct replaying replaying;

	harness_replay(recording->path, UINT64_MAX, &replaying);
	tap_ok(replaying.status == REPLAY_AT_END && replaying.icount == recording->result.icount,
	       "%s: interp replays it to its end, %llu", what,
	       (unsigned long long)replaying.icount);
	check_twice(what, recording->path);
}

/* The guest goes on from what KVM says. */
static void test_stop(const char *guest, unsigned skip, uint32_t reason, uint64_t icount)
{
	static struct recording recording;

	record(guest, STOP_AT_INSTRUCTION, skip, reason, &recording);
	tap_ok(fake.stops == 1 && fake.get_regs == 1, "%s, exit %u after %u faults", guest, reason,
	       skip);
	tap_ok(!recording.code && recording.result.icount == icount,
	       "the recording goes on to the same end: %d %s", recording.code,
	       recording.error.text);
	tap_ok(recording.result.uses[0].unexpected == 1, "it is counted");
	tap_ok(!fake.runs, "the space is left to the rest: KVM ran it %u times since", fake.runs);
	check_replay(&recording, guest);
}

/* wild depends on its integer registers, pages on an SSE register too. */
static void test_recovered(const char *guest)
{
	static struct recording recording;

	record(guest, STOP_NOWHERE, 0, 0, &recording);
	tap_ok(!recording.code && !recording.result.uses[0].unexpected,
	       "%s: nothing is made up, and the guest ends", guest);
	for (unsigned skip = 0; skip < 4; skip++)
		test_stop(guest, skip, skip % 2 ? KVM_EXIT_SHUTDOWN : KVM_EXIT_INTERNAL_ERROR,
			  recording.result.icount);
}

static void test_lost(enum stop stop, uint32_t reason, const char *what, const char *said)
{
	static struct recording recording;

	record("wild", stop, 1, reason, &recording);
	tap_ok(fake.stops == 1 && recording.code == -EIO && strstr(recording.error.text, said),
	       "%s: the recording fails: %s", what, recording.error.text);
	tap_ok(recording.result.end_reason &&
		       !strcmp(recording.result.end_reason, "engine failure") &&
		       recording.result.uses[0].unexpected == 1 && recording.result.icount,
	       "at the last proven count");
	check_replay(&recording, what);
}

/* Relative to the folder of guests. */
#define PAGES "../../kvm/pages"

int main(int argc, char **argv)
{
	struct kvm_vm_error error;

	if (kvm_engine_check(&error)) {
		printf("1..0 # SKIP %s\n", error.text);
		return 0;
	}
	harness_init(argc, argv);
	test_recovered("wild");
	test_recovered(PAGES);
	test_lost(STOP_ELSEWHERE, KVM_EXIT_INTERNAL_ERROR, "where no guest instruction is",
		  "internal error of KVM, suberror 1 at 0x70000000 in KVM is not explained");
	test_lost(STOP_IN_STUB, KVM_EXIT_SHUTDOWN, "at CPL 0", "KVM stopped: shutdown of the VM");
	harness_finish();
	return tap_done();
}
