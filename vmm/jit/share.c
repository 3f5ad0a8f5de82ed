#include "vmm/jit/share.h"

#include "vmm/jit/track.h"

/* Gives those ranges a slot that more than one access shares. */
static void give_slots(struct share *share, const struct tracker *t, uint8_t slots[BLOCK_MAX_INSNS])
{
	uint8_t n = 0;

	for (unsigned i = 0; i < t->n_ranges; i++) {
		const struct range *range = &t->ranges[i];
		slots[i] = SHARE_NONE;
		if (range->n < 2 || n == JIT_SLOTS)
			continue;
		share->range[n] = (struct share_range){
			.bytes = (uint16_t)(range->end - range->first),
			.write = range->write,
			.aligned = 16,
		};
		slots[i] = n++;
	}
}

void share_nothing(struct share *share)
{
	for (unsigned i = 0; i < BLOCK_MAX_INSNS; i++)
		share->access[i].range = SHARE_NONE;
}

void share_plan(struct share *share, const struct plan *plan)
{
	struct tracker t;
	uint8_t slots[BLOCK_MAX_INSNS];
	bool found[BLOCK_MAX_INSNS] = {false};

	share_nothing(share);
	track_plan(&t, plan);
	give_slots(share, &t, slots);
	for (unsigned i = 0; i < plan->n; i++) {
		unsigned range = t.access[i].range;
		if (range == TRACK_NONE || slots[range] == SHARE_NONE)
			continue;
		share->access[i] = (struct share_access){
			.range = slots[range],
			.first = !found[range],
			.at = (uint16_t)(t.access[i].plus - t.ranges[range].first),
		};
		found[range] = true;
	}
}
