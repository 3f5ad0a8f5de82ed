#include "vmm/kvm/policy.h"

/* Until interp has been measured. */
#define INTERP_NS_GUESS 5.0

/* Costs of less are not judged: the first slices translate and fill. */
#define JUDGED_NS 3e6

/* Costs older than this count half. */
#define HALVED_NS 50e6

#define PENALTY_MAX 256

/* A sample costs as much as two entries: waiting for it never doubles a slice's cost. */
static void choose_sample(struct kvm_policy *policy)
{
	double instructions = 2 * policy->exit_ns / policy->interp_ns;

	policy->sample = instructions < 500 ? 500 : (uint64_t)instructions;
}

static void forget(struct kvm_policy *policy, unsigned space, uint64_t cr3)
{
	policy->space[space] = (struct kvm_policy_space){.cr3 = cr3, .penalty = 1};
	policy->at_once[space] = policy->forced;
}

void kvm_policy_init(struct kvm_policy *policy, bool forced, double exit_ns)
{
	*policy = (struct kvm_policy){
		.forced = forced, .exit_ns = exit_ns, .interp_ns = INTERP_NS_GUESS};
	choose_sample(policy);
	for (unsigned i = 0; i < MMU_SPACES; i++)
		forget(policy, i, 0);
}

void kvm_policy_select(struct kvm_policy *policy, unsigned space, uint64_t cr3)
{
	if (policy->space[space].cr3 != cr3)
		forget(policy, space, cr3);
}

bool kvm_policy_after_sample(struct kvm_policy *policy, unsigned space)
{
	struct kvm_policy_space *s = &policy->space[space];

	if (!s->skip)
		return true;
	s->skip--;
	return false;
}

static void judge(struct kvm_policy *policy, unsigned space)
{
	struct kvm_policy_space *s = &policy->space[space];

	if (s->ns < s->instructions * policy->interp_ns) {
		policy->at_once[space] = true;
		s->penalty = 1;
	} else {
		policy->at_once[space] = false;
		s->skip = s->penalty;
		s->penalty = s->penalty < PENALTY_MAX ? 2 * s->penalty : PENALTY_MAX;
		s->ns = s->instructions = 0;
	}
}

void kvm_policy_slice(struct kvm_policy *policy, unsigned space, uint64_t ns, uint64_t instructions)
{
	struct kvm_policy_space *s = &policy->space[space];

	if (policy->forced)
		return;
	s->ns += (double)ns;
	s->instructions += (double)instructions;
	if (s->ns >= JUDGED_NS)
		judge(policy, space);
	if (s->ns >= HALVED_NS) {
		s->ns /= 2;
		s->instructions /= 2;
	}
}

void kvm_policy_interp(struct kvm_policy *policy, uint64_t ns, uint64_t instructions)
{
	if (instructions < 1000)
		return;
	policy->interp_ns += ((double)ns / (double)instructions - policy->interp_ns) / 64;
	if (policy->interp_ns < 0.5)
		policy->interp_ns = 0.5;
	choose_sample(policy);
}
