/*
 * Which guest code runs much: what was running each time the budget was used up, counted by lines
 * of 128 bytes. What is remembered is bounded; a line that meets another in its place takes that
 * only when it has been seen as often.
 */
#ifndef REPRISE_VMM_TRANSLATE_HOT_H
#define REPRISE_VMM_TRANSLATE_HOT_H

#include <stdbool.h>
#include <stdint.h>

#define HOT_LINE_BYTES UINT64_C(128)
#define HOT_LINES      1024u

struct hot_line {
	uint64_t gpa;     /* of its first byte */
	uint32_t whose;   /* who was seen running there last */
	uint8_t samples;  /* and how often in a row, until it is hot; 0: the entry is free */
	uint8_t rewrites; /* since then */
	bool stale;
};

struct hot {
	uint8_t samples; /* from so many on a line is hot; 0: none ever is */
	struct hot_line line[HOT_LINES];
};

/* Somebody, by a number, was running at gpa. Returns true when the line's code is to be written
 * anew: it has become hot, or has been said to be stale. */
bool hot_sample(struct hot *hot, uint64_t gpa, uint32_t whose);

/* A hot line's code would be written otherwise now. It is not told more than a few times. */
void hot_stale(struct hot *hot, uint64_t gpa);

bool hot_is(const struct hot *hot, uint64_t gpa);

/* Nothing is hot any more. */
void hot_forget(struct hot *hot);

#endif
