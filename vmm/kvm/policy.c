#include "vmm/kvm/policy.h"

/* Until the rest has been measured. */
#define REST_NS_GUESS 1.0

/* No host is faster. */
#define REST_NS_MIN 0.05

/* How much a sample says about its space, and about those that come after it. */
#define SPACE_WEIGHT (1.0 / 16)
#define ALL_WEIGHT   (1.0 / 64)

/* What a space may lose before it is left to the rest for a while: its first slices translate and
 * fill. After that less. */
#define LOSS_MAX_NS       2e6
#define LATER_LOSS_MAX_NS 1e6

/* It is then left to the rest for so many times LATER_LOSS_MAX_NS. */
#define RESPITE 8

/* From this gain on it is entered at once; more than the limit is forgotten, so that what was long
 * ago does not outweigh what is now. */
#define PAYS_NS     5e5
#define GAIN_MAX_NS 3e6

#define PENALTY_MAX 8

/* What a space needs filled before its code gets anywhere: its stack, data, libraries. */
#define FIRST_FILLS      4
#define FIRST_FILL_PAGES 16

/* A sample costs as much as two entries: waiting for it never doubles a slice's cost. */
#define SAMPLE_EXITS 2

static void choose_sample(struct kvm_policy *policy)
{
	double instructions = SAMPLE_EXITS * policy->costs.exit_ns / policy->rest_ns;

	policy->sample = instructions < 500 ? 500 : (uint64_t)instructions;
}

/* Samples that cost as much as a space's first fills. */
static uint32_t first_skip(const struct kvm_policy *policy)
{
	const struct kvm_policy_costs *costs = &policy->costs;
	double ns = FIRST_FILLS * (costs->fault_ns + FIRST_FILL_PAGES * costs->page_ns);

	return (uint32_t)(ns / (SAMPLE_EXITS * costs->exit_ns));
}

static void forget(struct kvm_policy *policy, unsigned space, uint64_t cr3)
{
	policy->space[space] = (struct kvm_policy_space){
		.cr3 = cr3, .rest_ns = policy->rest_ns, .penalty = 1, .skip = first_skip(policy)};
	policy->at_once[space] = policy->forced;
}

void kvm_policy_init(struct kvm_policy *policy, bool forced, const struct kvm_policy_costs *costs)
{
	*policy = (struct kvm_policy){.forced = forced, .costs = *costs, .rest_ns = REST_NS_GUESS};
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

/* Slices that translate or fill are dear, and will not be for ever: the space is given as much time
 * for them again and again. If it loses without them it waits longer each time. */
static void leave_to_rest(struct kvm_policy *policy, unsigned space)
{
	struct kvm_policy_space *s = &policy->space[space];
	double sample_ns = SAMPLE_EXITS * policy->costs.exit_ns;

	policy->at_once[space] = false;
	s->skip = (uint32_t)(RESPITE * LATER_LOSS_MAX_NS / sample_ns) * s->penalty;
	if (!s->learning && s->penalty < PENALTY_MAX)
		s->penalty *= 2;
	s->learning = false;
	s->gain_ns = LATER_LOSS_MAX_NS - LOSS_MAX_NS;
}

void kvm_policy_slice(struct kvm_policy *policy, unsigned space, uint64_t ns, uint64_t instructions,
		      bool learning)
{
	struct kvm_policy_space *s = &policy->space[space];

	if (policy->forced)
		return;
	s->learning |= learning;
	s->gain_ns += (double)instructions * s->rest_ns - (double)ns;
	if (s->gain_ns > GAIN_MAX_NS)
		s->gain_ns = GAIN_MAX_NS;
	if (s->gain_ns < -LOSS_MAX_NS) {
		leave_to_rest(policy, space);
	} else if (s->gain_ns > PAYS_NS) {
		policy->at_once[space] = true;
		s->penalty = 1;
	} else if (s->gain_ns < 0) {
		policy->at_once[space] = false;
	}
}

uint64_t kvm_policy_cold(struct kvm_policy *policy, unsigned space, uint64_t instructions)
{
	struct kvm_policy_space *s = &policy->space[space];
	uint64_t worth = (uint64_t)(policy->costs.exit_ns / s->rest_ns), least = worth / 16 + 1;

	if (instructions < worth)
		s->cold = s->cold ? 2 * s->cold : least;
	else if (instructions > 4 * worth)
		s->cold /= 2;
	if (s->cold > worth)
		s->cold = worth;
	if (s->cold < least)
		s->cold = 0;
	return s->cold;
}

void kvm_policy_rest(struct kvm_policy *policy, unsigned space, uint64_t ns, uint64_t instructions)
{
	struct kvm_policy_space *s = &policy->space[space];

	if (instructions < 1000)
		return;
	double measured = (double)ns / (double)instructions;
	if (measured < REST_NS_MIN)
		measured = REST_NS_MIN;
	s->rest_ns += (measured - s->rest_ns) * SPACE_WEIGHT;
	policy->rest_ns += (measured - policy->rest_ns) * ALL_WEIGHT;
	choose_sample(policy);
}
