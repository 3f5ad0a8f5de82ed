/*
 * Whether this host's processor sets the flags that the manuals leave undefined as the machine
 * defines them (docs/undefined-flags.md). Where it does not, the translator puts them right; so the
 * answer changes how fast translated code is, never what it does.
 */
#ifndef REPRISE_VMM_TRANSLATE_HOST_FLAGS_H
#define REPRISE_VMM_TRANSLATE_HOST_FLAGS_H

#include <stdbool.h>

struct host_flags {
	bool shift;        /* AF after SHL, SHR, SAR */
	bool double_shift; /* AF after SHLD, SHRD */
	bool overflow;     /* OF after SHL, SHR, SHLD, SHRD and rotates by more than 1 */
	bool sar_overflow; /* OF after SAR by more than 1 */
	bool multiply;     /* SF, ZF, AF, PF after MUL, IMUL */
	bool divide;       /* all six after DIV, IDIV */
	bool scan;         /* CF, OF, SF, AF, PF after BSF, BSR */
};

/* Runs each on a few hundred operands. */
void host_flags_probe(struct host_flags *ret_flags);

#endif
