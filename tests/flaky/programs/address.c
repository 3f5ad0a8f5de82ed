/* A cache that is indexed by a hash of addresses and forgets to compare them. Fails when two
 * objects, one on the heap and one on the stack, fall into the same slot, as chance wants it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOTS 64

static const char *slot[SLOTS];

static unsigned slot_of(const void *object)
{
	return (unsigned)((uintptr_t)object >> 12) % SLOTS;
}

int main(void)
{
	char local = 0;
	char *object = malloc(64);

	slot[slot_of(object)] = "object";
	if (slot[slot_of(&local)]) {
		fprintf(stderr, "the local variable is said to be an %s\n", slot[slot_of(&local)]);
		return 1;
	}
	slot[slot_of(&local)] = "local";
	puts("two entries");
	free(object);
	return 0;
}
