/*
 * Instructions whose results differ between CPU models: reciprocal and reciprocal square root
 * approximations, x87 transcendentals. Every engine calls these functions, so that one place
 * decides what they compute. Now it is the host's own instruction.
 */
#ifndef REPRISE_VMM_CPU_VECTOR_APPROXIMATE_H
#define REPRISE_VMM_CPU_VECTOR_APPROXIMATE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"

enum approximate_sse {
	APPROXIMATE_RCPPS,
	APPROXIMATE_RCPSS,
	APPROXIMATE_RSQRTPS,
	APPROXIMATE_RSQRTSS
};

/*
 * Computes the approximation of source (16 bytes aligned to 16; the scalar forms read 4) into
 * destination, which the scalar forms change in its low 4 bytes only. MXCSR has no effect but DAZ,
 * and no flag is raised.
 */
void approximate_sse_compute(enum approximate_sse which, void *destination, const void *source);

/* True for D9 F0 to FF codes that compute a transcendental function: ModRM of the instruction. */
bool approximate_x87_is(uint8_t modrm);

/*
 * Runs the transcendental D9 modrm (F2XM1, FYL2X, FPTAN, FPATAN, FYL2XP1, FSINCOS, FSIN, FCOS) on
 * an image under native_x87_run's rules, stack faults and exceptions included.
 */
void approximate_x87_compute(uint8_t modrm, struct fx_state *image);

#endif
