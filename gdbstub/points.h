/* The breakpoints and watchpoints that gdb has set, with their conditions. */
#ifndef REPRISE_GDBSTUB_POINTS_H
#define REPRISE_GDBSTUB_POINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gdbstub/text.h"
#include "vmm/memory/memory.h"

/* The digit of Z and z packets. */
enum point_kind {
	POINT_SOFTWARE,
	POINT_HARDWARE,
	POINT_WRITE,
	POINT_READ,
	POINT_ACCESS,
	POINT_KINDS
};

struct condition {
	uint8_t *code;
	size_t n;
};

struct point {
	uint8_t kind;                 /* enum point_kind */
	uint64_t address, bytes;      /* breakpoints: bytes is gdb's "kind" */
	struct condition *conditions; /* any of them; none: always */
	unsigned n_conditions;
};

struct points {
	struct point *point;
	unsigned n, max;
};

void points_clear(struct points *points);

/*
 * Adds what stands in a packet behind "Z": kind, address, length and conditions; one that is there
 * already gets the new conditions. Returns 0, -EINVAL or -ENOMEM, -E2BIG.
 */
int points_add(struct points *points, struct cursor *cursor);
/* Takes away what stands behind "z". Returns 0 or -EINVAL; one that is not there is no error. */
int points_remove(struct points *points, struct cursor *cursor);

static inline bool point_is_watch(const struct point *point)
{
	return point->kind >= POINT_WRITE;
}

/* Whether an access of this sort is what the watchpoint waits for. */
bool point_wants(const struct point *point, bool write);

#endif
