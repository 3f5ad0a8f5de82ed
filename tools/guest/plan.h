/* What the agent is to do, as the host told it over the channel. */
#ifndef REPRISE_TOOLS_GUEST_PLAN_H
#define REPRISE_TOOLS_GUEST_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct plan_list {
	char **item; /* NULL-terminated */
	size_t n, max;
};

struct plan {
	char *text; /* the strings point into it */
	const char *directory, *program, *host_name;
	struct plan_list arguments, environment, results;
	uid_t user;
	gid_t group;
	gid_t *groups;
	size_t n_groups;
	mode_t umask;
	struct rlimit limit[RLIM_NLIMITS];
	bool has_limit[RLIM_NLIMITS];
	unsigned terminal; /* AGENT_TERMINAL_ bits */
	unsigned short rows, columns;
	unsigned long personality;
	size_t stack_moved; /* bytes */
	uint64_t time_ns;   /* 0: none */
};

/* An element more; the list stays ended by NULL. */
void plan_list_add(struct plan_list *list, char *string);

/* Reads the plan from the channel; ends the guest when there is none. */
void plan_read(struct plan *plan);

#endif
