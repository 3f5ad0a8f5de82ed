/* What a guest of `reprise run` is not told unless it is asked for: a recording is made to be sent
 * to others, and it holds all that the guest has read. */
#ifndef REPRISE_TOOLS_GUEST_SECRETS_H
#define REPRISE_TOOLS_GUEST_SECRETS_H

#include <stdbool.h>

#include "tools/options.h"

/* True when a variable's name ("NAME" or "NAME=VALUE") is like those that hold secrets. */
bool guest_secrets_is_variable(const char *variable);

struct guest_secrets {
	char **path; /* absolute, without links */
	unsigned n;
};

/*
 * The files that the guest may not read: our list, and what deny names, without what allow names or
 * has below it. Returns STATUS_OK; STATUS_USAGE when allow names something inside of what is
 * denied, or STATUS_FAILED; a line was then printed. To be finished in any case.
 */
int guest_secrets_find(const struct option_list *deny, const struct option_list *allow,
		       struct guest_secrets *ret_secrets);
void guest_secrets_finish(struct guest_secrets *secrets);

#endif
