/* Comparing what the host and the machine, or the machine and an engine, made of a case. */
#ifndef REPRISE_TESTS_CPU_VECTOR_COMPARE_H
#define REPRISE_TESTS_CPU_VECTOR_COMPARE_H

#include "tests/cpu/vector_case.h"

/* One side: the outcome, and the data as it was left. */
struct vector_side {
	struct vector_outcome *outcome;
	uint8_t *data;
};

/*
 * Takes out what the machine defines otherwise than hardware, or in which CPU models differ, by
 * giving both sides the same. Changes the host's side mostly.
 */
void vector_forgive(const struct vector_sequence *sequence, struct vector_side host,
		    struct vector_side machine);

/* The first thing in which two sides differ, or NULL. */
const char *vector_difference(struct vector_side a, struct vector_side b);

/* Makes the data of one side that of the other. */
void vector_copy_data(uint8_t *to, const uint8_t *from);

/* Prints the case and all in which the sides differ. */
void vector_note_difference(const struct vector_sequence *sequence, const char *what,
			    const char *names, struct vector_side a, struct vector_side b);

#endif
