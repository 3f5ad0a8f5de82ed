/*
 * Types of a kernel's global variables. Its own table of types has those of per-CPU variables only;
 * these are variables that people look at, as Linux declares them.
 */
#ifndef REPRISE_GDBSTUB_LINUX_VARIABLES_H
#define REPRISE_GDBSTUB_LINUX_VARIABLES_H

#include <stddef.h>

#include "gdbstub/linux/btf.h"

struct variable {
	const char *name;
	enum btf_kind kind; /* of the type named */
	const char *type;
	unsigned pointers; /* to it */
	unsigned array;    /* of as many as fit, at most this many; 0: none */
};

extern const struct variable variables[];
extern const size_t variables_count;

#endif
