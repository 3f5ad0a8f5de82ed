/*
 * All encodings of instructions: each opcode map (legacy, 0F, 0F 38, 0F 3A, 3DNow!, VEX, EVEX, XOP)
 * with each mandatory prefix and LOCK, W, L, opcode and ModRM.reg, with registers and with memory.
 * What follows an opcode is 0.
 */
#ifndef REPRISE_TESTS_CPU_ENCODINGS_H
#define REPRISE_TESTS_CPU_ENCODINGS_H

#include <stdbool.h>
#include <stdint.h>

#define ENCODING_BYTES 15

typedef void (*encoding_visit)(void *ctx, const uint8_t bytes[ENCODING_BYTES]);

/* bits64: for 64-bit code, with REX.W too. */
void encodings_each(bool bits64, encoding_visit visit, void *ctx);

#endif
