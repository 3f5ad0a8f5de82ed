/* Which engine runs the guest: what --engine names. */
#ifndef REPRISE_TOOLS_ENGINE_H
#define REPRISE_TOOLS_ENGINE_H

#include <stdbool.h>

#include "vmm/engine.h"

/* The names that --engine takes; index 0 is the default. NULL-terminated. */
extern const char *const engine_names[];

/* The environment variable that names the engine that auto stands for; unset: what pays. */
#define ENGINE_VARIABLE "REPRISE_ENGINE"

/* For --engine's help: what this build has. */
#ifdef REPRISE_KVM
#define ENGINE_HELP "How guest code runs (this build: auto, kvm, jit, interp)"
#else
#define ENGINE_HELP "How guest code runs (this build: jit, interp)"
#endif

/*
 * The engine that a value of --engine names, by its number. Reports one that this build or this
 * host has not, and returns NULL. auto without KVM is interp; a line says so unless quiet.
 */
const struct engine_ops *engine_choose(const char *command, unsigned number, bool quiet);

/* --verbose: a line on stderr for each part of the engine that ran something. */
void engine_print_uses(const struct engine_use *uses, unsigned n);

#endif
