#include "tools/guest/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/guest/agent.h"
#include "tools/guest/ports.h"
#include "vmm/devices/channel.h"

static void *grow(void *data, size_t bytes)
{
	void *grown = realloc(data, bytes);

	if (!grown)
		agent_fail("the plan", ENOMEM);
	return grown;
}

void plan_list_add(struct plan_list *list, char *string)
{
	if (list->n + 1 >= list->max) {
		list->max = list->max ? 2 * list->max : 64;
		list->item = grow(list->item, list->max * sizeof(char *));
	}
	list->item[list->n++] = string;
	list->item[list->n] = NULL;
}

static unsigned long long number(const char *text)
{
	return strtoull(text, NULL, 10);
}

static void add_group(struct plan *plan, const char *text)
{
	plan->groups = grow(plan->groups, (plan->n_groups + 1) * sizeof(gid_t));
	plan->groups[plan->n_groups++] = (gid_t)number(text);
}

static void set_limit(struct plan *plan, const char *text)
{
	unsigned long long soft, hard;
	unsigned resource;

	if (sscanf(text, "%u %llu %llu", &resource, &soft, &hard) != 3 || resource >= RLIM_NLIMITS)
		agent_fail("the plan", EINVAL);
	plan->limit[resource] = (struct rlimit){.rlim_cur = soft, .rlim_max = hard};
	plan->has_limit[resource] = true;
}

static void set_terminal(struct plan *plan, const char *text)
{
	if (sscanf(text, "%u %hu %hu", &plan->terminal, &plan->rows, &plan->columns) != 3)
		agent_fail("the plan", EINVAL);
}

static void take_string(struct plan *plan, char *string)
{
	char *rest = string + 1;

	switch (*string) {
	case AGENT_DIRECTORY:
		plan->directory = rest;
		break;
	case AGENT_PROGRAM:
		plan->program = rest;
		break;
	case AGENT_ARGUMENT:
		plan_list_add(&plan->arguments, rest);
		break;
	case AGENT_ENVIRONMENT:
		plan_list_add(&plan->environment, rest);
		break;
	case AGENT_RESULT:
		plan_list_add(&plan->results, rest);
		break;
	case AGENT_USER:
		plan->user = (uid_t)number(rest);
		break;
	case AGENT_GROUP:
		plan->group = (gid_t)number(rest);
		break;
	case AGENT_GROUPS:
		add_group(plan, rest);
		break;
	case AGENT_UMASK:
		plan->umask = (mode_t)number(rest);
		break;
	case AGENT_LIMIT:
		set_limit(plan, rest);
		break;
	case AGENT_TERMINAL:
		set_terminal(plan, rest);
		break;
	case AGENT_HOST_NAME:
		plan->host_name = rest;
		break;
	case AGENT_PERSONALITY:
		plan->personality = (unsigned long)number(rest);
		break;
	case AGENT_STACK_MOVED:
		plan->stack_moved = (size_t)number(rest);
		break;
	case AGENT_TIME:
		plan->time_ns = number(rest);
		break;
	default:
		agent_fail("the plan", EINVAL);
	}
}

/* Returns how long the strings are. */
static size_t fetch(struct plan *plan)
{
	uint8_t head[4];

	ports_get_many(CHANNEL_PLAN, head, sizeof(head));
	size_t n = head[0] | head[1] << 8 | head[2] << 16 | (size_t)head[3] << 24;
	if (!n || n > AGENT_PLAN_MAX)
		agent_fail("the plan", EINVAL);
	plan->text = grow(NULL, n + 1);
	ports_get_many(CHANNEL_PLAN, plan->text, n);
	plan->text[n] = 0;
	return n;
}

void plan_read(struct plan *plan)
{
	*plan = (struct plan){.umask = 022};
	/* The environment may be empty and is a list all the same. */
	plan_list_add(&plan->environment, NULL);
	plan->environment.n = 0;
	size_t n = fetch(plan);
	for (char *at = plan->text; at < plan->text + n; at += strlen(at) + 1)
		take_string(plan, at);
	if (!plan->directory || !plan->program || !plan->arguments.n)
		agent_fail("the plan", EINVAL);
}
