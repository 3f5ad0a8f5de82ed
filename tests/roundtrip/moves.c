#include "tests/roundtrip/moves.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "replayer/timeline.h"

#define CHECKPOINT_BYTES (UINT64_C(256) << 20)

static int hash_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	static const uint8_t zeros[PAGE_BYTES];

	if (memcmp(page, zeros, PAGE_BYTES) != 0)
		*(uint64_t *)ctx = XXH3_64bits_withSeed(page, PAGE_BYTES, *(uint64_t *)ctx ^ gpa);
	return 0;
}

void seen_state_take(struct machine *machine, struct seen_state *ret)
{
	size_t n = machine_state_bytes(machine);
	uint8_t *bytes = malloc(n);

	machine_state_encode(machine, bytes);
	*ret = (struct seen_state){.icount = machine->icount, .registers = XXH3_64bits(bytes, n)};
	memory_each_page(machine->memory, hash_page, &ret->ram);
	machine_digest(machine, &ret->digest);
	free(bytes);
}

/* The last one first: from there half of the way lies behind whatever comes. */
static unsigned choose(const struct moves *moves, unsigned move, uint64_t *random)
{
	*random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
	if (!move)
		return moves->n_seen - 1;
	if (move == 1)
		return 0;
	return (unsigned)((*random >> 33) % moves->n_seen);
}

static bool is_same(struct moves *moves, struct machine *machine, const struct seen_state *expected)
{
	struct seen_state state;

	seen_state_take(machine, &state);
	if (state.icount == expected->icount && state.registers == expected->registers &&
	    state.ram == expected->ram &&
	    !memcmp(&state.digest, &expected->digest, sizeof(state.digest)))
		return true;
	snprintf(moves->text, sizeof(moves->text),
		 "seek to %" PRIu64 ": at %" PRIu64 ", registers %s, RAM %s, digest %s",
		 expected->icount, state.icount,
		 state.registers == expected->registers ? "same" : "differ",
		 state.ram == expected->ram ? "same" : "differs",
		 memcmp(&state.digest, &expected->digest, sizeof(state.digest)) ? "differs"
										: "same");
	return false;
}

static bool move_around(struct moves *moves, struct timeline *timeline)
{
	uint64_t random = moves->seed, before = 0;
	unsigned forward = 0, back = 0;

	for (unsigned i = 0; i < moves->n_moves; i++) {
		const struct seen_state *to = &moves->seen[choose(moves, i, &random)];
		forward += to->icount > before;
		back += to->icount < before;
		before = to->icount;
		if (timeline_seek(timeline, to->icount) == TIMELINE_FAILED) {
			snprintf(moves->text, sizeof(moves->text), "seek to %" PRIu64 ": %.400s",
				 to->icount, timeline_error(timeline));
			return false;
		}
		if (!is_same(moves, timeline_machine(timeline), to))
			return false;
	}
	snprintf(moves->text, sizeof(moves->text),
		 "the same state behind %u seeks forwards and %u backwards", forward, back);
	return true;
}

void moves_run(struct moves *moves)
{
	const struct timeline_config config = {.engine = moves->engine,
					       .checkpoint_bytes = CHECKPOINT_BYTES};
	struct timeline *timeline = NULL;
	struct log_reader *reader = NULL;
	struct log_error error = {0};

	moves->good = false;
	if (log_reader_open(moves->path, &reader, &error) == 0 &&
	    timeline_create(reader, &config, &timeline, &error) == 0)
		moves->good = move_around(moves, timeline);
	else
		snprintf(moves->text, sizeof(moves->text), "%.500s", error.text);
	timeline_destroy(timeline);
	log_reader_close(reader);
}
