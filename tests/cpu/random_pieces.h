/* What random programs are put together from. */
#ifndef REPRISE_TESTS_CPU_RANDOM_PIECES_H
#define REPRISE_TESTS_CPU_RANDOM_PIECES_H

#include "tests/cpu/random_program.h"

/* An instruction, or several that belong together. */
void put(struct writer *w, const void *bytes, unsigned n);
#define PUT(w, literal) put((w), (literal), sizeof(literal) - 1)
/* What belongs to the last one. */
void put32(struct writer *w, uint32_t value);

/* Registers that programs may spoil: RAX, RCX, RDX, RSI, RDI, R8, R9, R10. */
uint8_t scratch(struct writer *w);

void put_rounds(struct writer *w);
void put_x87(struct writer *w);

#endif
