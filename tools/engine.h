/* Which engine runs the guest: what --engine names. */
#ifndef REPRISE_TOOLS_ENGINE_H
#define REPRISE_TOOLS_ENGINE_H

#include <stdbool.h>

#include "vmm/engine.h"

/* The names that --engine takes; index 0 is the default. NULL-terminated. */
extern const char *const engine_names[];

/* The environment variable that names the engine that auto stands for; unset: what pays. */
#define ENGINE_VARIABLE "REPRISE_ENGINE"

#ifdef REPRISE_KVM
#define ENGINES_OF_BUILD "auto, kvm, jit, interp"
#else
#define ENGINES_OF_BUILD "auto, jit, interp"
#endif

/* A struct option's members but .offset. */
#define ENGINE_OPTION                                                                              \
	.name = "engine", .kind = OPTION_CHOICE, .choices = engine_names,                          \
	.argument = "auto|interp|kvm|jit",                                                         \
	.help = "How guest code runs (this build: " ENGINES_OF_BUILD ")"

/*
 * The engine that a value of --engine names, by its number. Reports one that this build or this
 * host has not, and returns NULL. auto without KVM is jit; a line says so unless quiet.
 */
const struct engine_ops *engine_choose(const char *command, unsigned number, bool quiet);

/* The same line, unless quiet, when auto has run without KVM, which was there and could not start
 * (struct engine's instead). */
void engine_print_instead(int instead, bool quiet);

/* --verbose: a line on stderr for each part of the engine that ran something. */
void engine_print_uses(const struct engine_use *uses, unsigned n);

#endif
