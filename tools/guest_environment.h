/* The variables of the command of `reprise run`: which it gets, and which it does not. */
#ifndef REPRISE_TOOLS_GUEST_ENVIRONMENT_H
#define REPRISE_TOOLS_GUEST_ENVIRONMENT_H

#include "tools/options.h"

/* Lists that end with NULL. */
struct guest_environment {
	char **given;    /* NAME=VALUE, for the command */
	char **shown;    /* the same for people: values like secrets are replaced */
	char **withheld; /* names that were left out because they are like those of secrets */
};

/*
 * Chooses from this process's environment. added: NAME=VALUE, or NAME to pass one that would be
 * left out; clean: only what any program needs, beside these. Returns 0 or -ENOMEM; to be finished
 * in any case.
 */
int guest_environment_init(struct guest_environment *environment, const struct option_list *added,
			   bool clean);
void guest_environment_finish(struct guest_environment *environment);

#endif
