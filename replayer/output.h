/* What a guest has written to a stream, by instruction count. */
#ifndef REPRISE_REPLAYER_OUTPUT_H
#define REPRISE_REPLAYER_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

struct output;

/* NULL without memory. */
struct output *output_create(void);
void output_destroy(struct output *output);

/* Bytes that the step from icount on writes; what is not behind all before is known already. Bytes
 * for which there is no memory are lost. */
void output_add(struct output *output, uint64_t icount, const uint8_t *data, size_t n);

/* All steps before icount have been seen. */
void output_seen(struct output *output, uint64_t icount);

/* All bytes, and how many of them were written by steps before icount. */
const uint8_t *output_before(const struct output *output, uint64_t icount, size_t *ret_n);

/* The count that byte n, which is there, was added with. */
uint64_t output_icount(const struct output *output, size_t n);

#endif
