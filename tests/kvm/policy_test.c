/* When the VM is entered, by made-up costs: an exit of 40 us, the rest at 1 ns an instruction. */
#include "tests/tap.h"
#include "vmm/kvm/policy.h"

static const struct kvm_policy_costs costs = {.exit_ns = 40e3, .fault_ns = 46e3, .page_ns = 1500};

static void start(struct kvm_policy *policy, bool forced)
{
	kvm_policy_init(policy, forced);
	kvm_policy_set_costs(policy, &costs);
	kvm_policy_select(policy, 3, 0x1000);
}

/* Samples until the space is entered; at most 10,000. */
static unsigned samples(struct kvm_policy *policy)
{
	unsigned n = 1;

	while (n < 10000 && !kvm_policy_after_sample(policy, 3))
		n++;
	return n;
}

static void test_paying(void)
{
	struct kvm_policy policy;

	start(&policy, false);
	tap_ok(kvm_policy_sample(&policy, 3) == 80000,
	       "a sample is worth two exits: %llu instructions",
	       (unsigned long long)kvm_policy_sample(&policy, 3));
	tap_ok(!policy.at_once[3] && samples(&policy) > 1,
	       "a new space is entered after samples that are worth its first fills");
	kvm_policy_slice(&policy, 3, 1000000, 3000000, false);
	tap_ok(policy.at_once[3], "after a long slice it is entered at once");
	for (unsigned i = 0; i < 200 && policy.at_once[3]; i++)
		kvm_policy_slice(&policy, 3, 60000, 4000, false);
	tap_ok(!policy.at_once[3], "after some short ones it is not");
	kvm_policy_select(&policy, 3, 0x1000);
	kvm_policy_slice(&policy, 3, 1000000, 3000000, false);
	tap_ok(policy.at_once[3], "a long one makes up for them");
	kvm_policy_select(&policy, 3, 0x2000);
	tap_ok(!policy.at_once[3], "another space begins anew");
}

/* Slices that never pay: what they lose is bounded against what interp runs in between. */
static void test_losing(void)
{
	struct kvm_policy policy;
	double lost = 0, rest = 0;

	start(&policy, false);
	while (rest < 1e9) {
		rest += samples(&policy) * (double)kvm_policy_sample(&policy, 3);
		kvm_policy_slice(&policy, 3, 100000, 2000, false);
		lost += 100000 - 2000;
	}
	tap_ok(lost / rest < 0.05, "of a second where it never pays %.1f %% is lost",
	       100 * lost / rest);
}

/* Slices of 100,000 instructions in 70 us. */
static void test_speeds(void)
{
	struct kvm_policy policy;

	start(&policy, false);
	for (unsigned i = 0; i < 100; i++) {
		kvm_policy_rest(&policy, 3, 40000, 80000);
		kvm_policy_slice(&policy, 3, 70000, 100000, false);
	}
	tap_ok(!policy.at_once[3], "where the rest is faster it stays with the rest");
	kvm_policy_select(&policy, 4, 0x3000);
	for (unsigned i = 0; i < 100; i++) {
		kvm_policy_rest(&policy, 4, 160000, 80000);
		kvm_policy_slice(&policy, 4, 70000, 100000, false);
	}
	tap_ok(policy.at_once[4], "where it is slower, though in another space it is not, it pays");
}

/* What has to be translated first, 10 ms of it, does not keep a space from KVM for long. */
static void test_learning(void)
{
	struct kvm_policy policy;
	double rest_ms = 0;
	unsigned dear = 100;

	start(&policy, false);
	while (!policy.at_once[3] && rest_ms < 1000) {
		rest_ms += samples(&policy) * (double)kvm_policy_sample(&policy, 3) / 1e6;
		if (dear)
			kvm_policy_slice(&policy, 3, 200000, 100000, true);
		else
			kvm_policy_slice(&policy, 3, 400000, 1000000, false);
		dear -= dear > 0;
	}
	tap_ok(policy.at_once[3] && rest_ms < 150,
	       "slices that translate for 10 ms: entered at once after %.0f ms", rest_ms);
}

/* The rest has become ten times as fast as it was when the space was entered, and no slice pays. */
static void test_trial(void)
{
	struct kvm_policy policy;
	unsigned slices = 0, n = 0;

	start(&policy, false);
	kvm_policy_rest(&policy, 3, 80000, 80000);
	kvm_policy_slice(&policy, 3, 1000000, 3000000, false);
	while (policy.at_once[3] && slices < 10000) {
		kvm_policy_slice(&policy, 3, 70000, 100000, false);
		slices++;
	}
	tap_ok(!policy.at_once[3] && policy.space[3].gain_ns > 0,
	       "what seems to pay is tried with the rest again, after %u slices", slices);
	do
		kvm_policy_rest(&policy, 3, 8000, 80000);
	while (!kvm_policy_after_sample(&policy, 3));
	for (; n < 10000 && (n < 2 || policy.at_once[3]); n++)
		kvm_policy_slice(&policy, 3, 70000, 100000, false);
	tap_ok(n < 100, "and left after %u more if it does not", n);
}

/* Samples until a new space is entered. */
static unsigned newcomer(struct kvm_policy *policy, uint64_t cr3)
{
	kvm_policy_select(policy, 3, cr3);
	return samples(policy);
}

static void test_newcomers(void)
{
	struct kvm_policy policy;

	start(&policy, false);
	unsigned first = samples(&policy);
	for (unsigned i = 0; i < 10; i++) {
		kvm_policy_slice(&policy, 3, 100000, 2000, true);
		kvm_policy_select(&policy, 3, 0x2000 + 0x1000 * i);
	}
	unsigned wary = newcomer(&policy, 0x100000);
	tap_ok(wary > first, "after spaces that ended too soon a new one waits longer: %u for %u",
	       wary, first);
	for (unsigned i = 0; i < 10; i++) {
		kvm_policy_slice(&policy, 3, 1000000, 3000000, true);
		kvm_policy_select(&policy, 3, 0x200000 + 0x1000 * i);
	}
	unsigned trusting = newcomer(&policy, 0x300000);
	tap_ok(trusting < first, "after spaces that paid less long: %u", trusting);
}

static void test_cold(void)
{
	struct kvm_policy policy;
	uint64_t cold = 0;

	start(&policy, true);
	tap_ok(policy.at_once[3], "forced: entered at once");
	for (unsigned i = 0; i < 20; i++)
		cold = kvm_policy_cold(&policy, 3, 10);
	tap_ok(cold == 40000, "new code that leaves soon: the rest runs an exit's worth, %llu",
	       (unsigned long long)cold);
	for (unsigned i = 0; i < 20; i++)
		cold = kvm_policy_cold(&policy, 3, 1000000);
	tap_ok(cold == 0, "new code after long stretches is entered at once");
}

int main(void)
{
	test_paying();
	test_losing();
	test_speeds();
	test_learning();
	test_trial();
	test_newcomers();
	test_cold();
	return tap_done();
}
