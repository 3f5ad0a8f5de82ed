#include "vmm/kvm/policy.h"

/* Until the rest has been measured; and at most, of a space that has not run yet: what has run so
 * far may have been code that was translated just then. */
#define REST_NS_GUESS 1.0

/* No host is faster. */
#define REST_NS_MIN 0.05

/* How much a sample says about its space, and about those that come after it. A slow one may have
 * translated code, which it does once; so the fast ones say more. */
#define SPACE_FASTER (1.0 / 2)
#define SPACE_SLOWER (1.0 / 8)
#define ALL_FASTER   (1.0 / 8)
#define ALL_SLOWER   (1.0 / 64)

/* What a space may lose before it is left to the rest for a while: its first slices translate and
 * fill. After that less. */
#define LOSS_MAX_NS       2e6
#define LATER_LOSS_MAX_NS 1e6

/* It is then left to the rest for so many times LATER_LOSS_MAX_NS: fewer while the loss may have
 * been what it takes to get to know the space, which is not lost a second time, but not for ever.
 */
#define RESPITE          8
#define LEARNING_RESPITE 2
#define LESSONS_MAX      100

/* From this gain on it is entered at once; more than the limit is forgotten, so that what was long
 * ago does not outweigh what is now. */
#define PAYS_NS     5e5
#define GAIN_MAX_NS 3e6

#define PENALTY_MAX 8

/* A space that is entered at once runs some samples again after so much time in KVM, later after
 * more: the rest may have become faster, or its speed may never have been what the first samples
 * said. */
#define TRIAL_FIRST_NS 4e6
#define TRIAL_MAX_NS   2.5e8
#define TRIAL_SAMPLES  4

/* Where the new spaces of late have lost, or ended before they paid, the next wait longer. */
#define WARINESS_FIRST 4
#define WARINESS_MAX   16

/* What a space needs filled before its code gets anywhere: its stack, data, libraries. */
#define FIRST_FILLS      4
#define FIRST_FILL_PAGES 16

/* A sample costs as much as two entries: waiting for it never doubles a slice's cost. */
#define SAMPLE_EXITS 2

/* What is shorter says little: it begins with what the host's caches do not hold. */
#define SAMPLE_MIN 30000

uint64_t kvm_policy_sample(const struct kvm_policy *policy, unsigned space)
{
	double instructions = SAMPLE_EXITS * policy->costs.exit_ns / policy->space[space].rest_ns;

	return instructions < SAMPLE_MIN ? SAMPLE_MIN : (uint64_t)instructions;
}

/* Samples that cost as much as a space's first fills. */
static uint32_t first_skip(const struct kvm_policy *policy)
{
	const struct kvm_policy_costs *costs = &policy->costs;
	double ns = FIRST_FILLS * (costs->fault_ns + FIRST_FILL_PAGES * costs->page_ns);

	return (uint32_t)(ns / (SAMPLE_EXITS * costs->exit_ns)) * policy->wariness;
}

/* What has become of a newcomer. */
static void judge(struct kvm_policy *policy, unsigned space, bool paid)
{
	struct kvm_policy_space *s = &policy->space[space];

	if (!s->newcomer)
		return;
	s->newcomer = false;
	if (paid && policy->wariness > 1)
		policy->wariness /= 2;
	else if (!paid && policy->wariness < WARINESS_MAX)
		policy->wariness *= 2;
}

static void forget(struct kvm_policy *policy, unsigned space, uint64_t cr3)
{
	double rest_ns = policy->rest_ns < REST_NS_GUESS ? policy->rest_ns : REST_NS_GUESS;

	policy->space[space] = (struct kvm_policy_space){.cr3 = cr3,
							 .rest_ns = rest_ns,
							 .trial_ns = TRIAL_FIRST_NS,
							 .penalty = 1,
							 .skip = first_skip(policy),
							 .newcomer = true};
	policy->at_once[space] = policy->forced;
}

void kvm_policy_init(struct kvm_policy *policy, bool forced)
{
	static const struct kvm_policy_costs slow = {.exit_ns = 35e3, .fault_ns = 45e3};

	*policy = (struct kvm_policy){.forced = forced,
				      .costs = slow,
				      .rest_ns = REST_NS_GUESS,
				      .wariness = WARINESS_FIRST};
	for (unsigned i = 0; i < MMU_SPACES; i++)
		forget(policy, i, 0);
}

void kvm_policy_set_costs(struct kvm_policy *policy, const struct kvm_policy_costs *costs)
{
	policy->costs = *costs;
	for (unsigned i = 0; i < MMU_SPACES; i++)
		policy->space[i].skip = first_skip(policy);
}

void kvm_policy_select(struct kvm_policy *policy, unsigned space, uint64_t cr3)
{
	if (policy->space[space].cr3 == cr3)
		return;
	if (policy->space[space].gain_ns < 0)
		judge(policy, space, false);
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

	judge(policy, space, false);
	policy->at_once[space] = false;
	if (s->learning && s->lessons < LESSONS_MAX) {
		s->skip = (uint32_t)(LEARNING_RESPITE * LATER_LOSS_MAX_NS / sample_ns);
		s->lessons++;
	} else {
		s->skip = (uint32_t)(RESPITE * LATER_LOSS_MAX_NS / sample_ns) * s->penalty;
	}
	if (!s->learning && s->penalty < PENALTY_MAX)
		s->penalty *= 2;
	s->learning = false;
	s->gain_ns = LATER_LOSS_MAX_NS - LOSS_MAX_NS;
}

/* The rest's speed is measured anew before the space is entered again. */
static void begin_trial(struct kvm_policy *policy, unsigned space)
{
	struct kvm_policy_space *s = &policy->space[space];

	policy->at_once[space] = false;
	s->skip = TRIAL_SAMPLES;
	s->unproven_ns = 0;
	s->trial_ns = s->trial_ns < TRIAL_MAX_NS ? 2 * s->trial_ns : TRIAL_MAX_NS;
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
		judge(policy, space, true);
		policy->at_once[space] = true;
		s->penalty = 1;
	} else if (s->gain_ns < 0) {
		policy->at_once[space] = false;
	}
	s->unproven_ns = policy->at_once[space] ? s->unproven_ns + (double)ns : 0;
	if (s->unproven_ns > s->trial_ns)
		begin_trial(policy, space);
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

static void follow(double *known, double measured, double faster, double slower)
{
	*known += (measured - *known) * (measured < *known ? faster : slower);
}

void kvm_policy_rest(struct kvm_policy *policy, unsigned space, uint64_t ns, uint64_t instructions)
{
	struct kvm_policy_space *s = &policy->space[space];

	if (instructions < 1000)
		return;
	double measured = (double)ns / (double)instructions;
	if (measured < REST_NS_MIN)
		measured = REST_NS_MIN;
	follow(&s->rest_ns, measured, SPACE_FASTER, SPACE_SLOWER);
	follow(&policy->rest_ns, measured, ALL_FASTER, ALL_SLOWER);
}
