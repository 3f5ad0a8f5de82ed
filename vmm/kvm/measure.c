#include "vmm/kvm/measure.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "vmm/kvm/layout.h"

/* How often each is measured; odd numbers. The first touch of pages takes a millisecond on some
 * hosts. */
#define EXIT_MEASUREMENTS 15
#define FILL_MEASUREMENTS 5

/* Pages that are touched, out of what every guest's RAM has. */
#define PROBED_PAGES 32

uint64_t kvm_thread_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Runs on and times that. Returns 0, or -ENOTSUP when it does not come back as it should. */
static int time_run(struct kvm_runner *runner, enum kvm_runner_exit wanted, uint64_t *ret_ns)
{
	uint64_t begin = kvm_thread_ns();

	if (kvm_runner_run(runner, 0) != wanted)
		return -ENOTSUP;
	*ret_ns = kvm_thread_ns() - begin;
	return 0;
}

static double median(uint64_t *times, unsigned n)
{
	const unsigned middle = n / 2;

	qsort(times, n, sizeof(times[0]), compare_times);
	return (double)times[middle];
}

/* Enters code that leaves at once. */
static int measure_exit(struct kvm_runner *runner, const struct fx_state *fx,
			struct kvm_policy_costs *costs)
{
	uint64_t times[EXIT_MEASUREMENTS];
	int r = 0;

	for (unsigned i = 0; i < EXIT_MEASUREMENTS && !r; i++) {
		kvm_runner_enter(runner, KVM_USER_CODE, fx);
		r = time_run(runner, KVM_RUNNER_LEFT, &times[i]);
	}
	if (!r)
		costs->exit_ns = median(times, EXIT_MEASUREMENTS);
	return r;
}

/* Enters code that reads pages, which are not there at first. */
static int measure_fill(struct kvm_runner *runner, const struct fx_state *fx,
			struct kvm_policy_costs *costs)
{
	uint64_t faults[FILL_MEASUREMENTS], pages[FILL_MEASUREMENTS];
	int r = 0;

	for (unsigned i = 0; i < FILL_MEASUREMENTS && !r; i++) {
		uint64_t entry = kvm_system_probe(&runner->area, KVM_TABLES_PROBE(i), PROBED_PAGES);
		kvm_runner_enter(runner, entry, fx);
		r = time_run(runner, KVM_RUNNER_FAULT, &faults[i]);
		kvm_tables_probe(runner->tables, i, PROBED_PAGES);
		if (!r)
			r = time_run(runner, KVM_RUNNER_LEFT, &pages[i]);
	}
	kvm_tables_flush(runner->tables);
	if (r)
		return r;
	costs->fault_ns = median(faults, FILL_MEASUREMENTS);
	costs->page_ns = (median(pages, FILL_MEASUREMENTS) - costs->exit_ns) / PROBED_PAGES;
	if (costs->page_ns < 0)
		costs->page_ns = 0;
	return 0;
}

int kvm_try(struct kvm_runner *runner, const struct fx_state *fx)
{
	kvm_runner_enter(runner, KVM_USER_CODE, fx);
	return kvm_runner_run(runner, 0) == KVM_RUNNER_LEFT ? 0 : -ENOTSUP;
}

int kvm_measure(struct kvm_runner *runner, const struct fx_state *fx,
		struct kvm_policy_costs *ret_costs)
{
	struct kvm_policy_costs costs = {0};
	int r = measure_exit(runner, fx, &costs);

	if (!r)
		r = measure_fill(runner, fx, &costs);
	if (!r)
		*ret_costs = costs;
	return r;
}
