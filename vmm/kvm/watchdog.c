#include "vmm/kvm/watchdog.h"

#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

/* glibc has the name since 2.39 only. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static int signal_number(void)
{
	return SIGRTMAX - 1;
}

static void make_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, signal_number());
}

/* The signal is open inside KVM_RUN only, so that it needs no handler. */
static int open_inside(struct kvm_vm *vm)
{
	sigset_t ours, others;
	int r;

	make_set(&ours);
	r = pthread_sigmask(SIG_BLOCK, &ours, &others);
	if (r)
		return -r;
	sigdelset(&others, signal_number());
	return kvm_vm_set_signal_mask(vm, &others);
}

int kvm_watchdog_init(struct kvm_watchdog *watchdog, struct kvm_vm *vm)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
				 .sigev_signo = signal_number(),
				 .sigev_value.sival_ptr = watchdog};
	int r = open_inside(vm);

	*watchdog = (struct kvm_watchdog){0};
	if (r)
		return r;
	event.sigev_notify_thread_id = gettid();
	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &watchdog->timer))
		return -errno;
	watchdog->set = true;
	return kvm_watchdog_set_period(watchdog, KVM_WATCHDOG_NS);
}

void kvm_watchdog_finish(struct kvm_watchdog *watchdog)
{
	if (watchdog->set)
		timer_delete(watchdog->timer);
	watchdog->set = false;
}

int kvm_watchdog_set_period(struct kvm_watchdog *watchdog, uint64_t ns)
{
	struct timespec period = {.tv_sec = (time_t)(ns / 1000000000),
				  .tv_nsec = (long)(ns % 1000000000)};
	struct itimerspec times = {.it_interval = period, .it_value = period};

	return timer_settime(watchdog->timer, 0, &times, NULL) ? -errno : 0;
}

/* Takes the signals that wait. Returns whether this watchdog's was among them. */
static bool rang(const struct kvm_watchdog *watchdog)
{
	const struct timespec now = {0};
	bool found = false;
	siginfo_t info;
	sigset_t ours;

	make_set(&ours);
	while (sigtimedwait(&ours, &info, &now) > 0)
		found |= info.si_value.sival_ptr == watchdog;
	return found;
}

bool kvm_watchdog_barks(struct kvm_watchdog *watchdog, uint64_t stretch)
{
	if (!rang(watchdog))
		return false;
	if (watchdog->stretch == stretch)
		return true;
	watchdog->stretch = stretch;
	return false;
}
