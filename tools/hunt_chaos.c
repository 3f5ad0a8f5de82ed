/* Strategies by name, and what they change in what the command is given. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "tools/hunt.h"
#include "tools/message.h"
#include "vmm/memory/memory.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define DAY_S        INT64_C(86400)
#define FOUR_YEARS_S (1461 * DAY_S)
#define LEAP_DAY_S   INT64_C(1582977600) /* 2020-02-29 12:00:00 UTC */

/* By how much the stack is moved: each page of it is copied at every exec. */
#define STACK_PAGES_MOVED 64
#define STACK_PART        32 /* of the stack's limit, one part at most */

static const struct strategy {
	const char *name;
	unsigned bit;
} strategies[] = {
	{"preempt", CHAOS_PREEMPT}, {"atomics", CHAOS_ATOMICS}, {"starve", CHAOS_STARVE},
	{"clock", CHAOS_CLOCK},     {"disk", CHAOS_DISK},       {"io", CHAOS_IO},
	{"memory", CHAOS_MEMORY},
};

static unsigned find_strategy(const char *name, size_t n)
{
	for (size_t i = 0; i < LENGTH(strategies); i++)
		if (strlen(strategies[i].name) == n && !strncmp(strategies[i].name, name, n))
			return strategies[i].bit;
	return 0;
}

unsigned hunt_chaos_parse(const char *names)
{
	char all[HUNT_CHAOS_BYTES];
	unsigned bits = 0, every = 0;

	for (size_t i = 0; i < LENGTH(strategies); i++)
		every |= strategies[i].bit;
	if (!*names)
		return every;
	for (const char *at = names;; at++) {
		size_t n = strcspn(at, ",");
		unsigned bit = find_strategy(at, n);
		if (!bit) {
			hunt_chaos_print(every, all);
			message("hunt: --chaos: '%.*s' is not one of %s", (int)n, at, all);
			return 0;
		}
		bits |= bit;
		at += n;
		if (!*at)
			return bits;
	}
}

void hunt_chaos_print(unsigned bits, char buffer[HUNT_CHAOS_BYTES])
{
	size_t n = 0;

	buffer[0] = '\0';
	for (size_t i = 0; i < LENGTH(strategies); i++)
		if (bits & strategies[i].bit)
			n += (size_t)snprintf(buffer + n, HUNT_CHAOS_BYTES - n, "%s%s",
					      n ? "," : "", strategies[i].name);
}

/* ---- the date ---- */

static int64_t local_time(struct tm *local)
{
	local->tm_isdst = -1;
	return mktime(local);
}

/* The local midnight in which the day of a time begins, of the month or the year. */
static int64_t beginning(int64_t time_s, bool month, bool year)
{
	const time_t time = time_s;
	struct tm local;

	if (!localtime_r(&time, &local))
		return time_s;
	local.tm_hour = local.tm_min = local.tm_sec = 0;
	if (month || year)
		local.tm_mday = 1;
	if (year)
		local.tm_mon = 0;
	return local_time(&local);
}

/* The first of March of that year, or rather of one with a 29th of February: the end of a February.
 */
static int64_t march(struct chaos *chaos, int64_t time_s)
{
	if (chaos_below(chaos, 4))
		time_s = LEAP_DAY_S + (int64_t)chaos_below(chaos, 3) * FOUR_YEARS_S;
	const time_t time = time_s;
	struct tm local;

	if (!localtime_r(&time, &local))
		return time_s;
	local.tm_hour = local.tm_min = local.tm_sec = 0;
	local.tm_mday = 1;
	local.tm_mon = 2;
	return local_time(&local);
}

/* The hour in which clocks are changed next; the time itself where they never are. */
static int64_t clock_change(int64_t time_s)
{
	time_t time = time_s - time_s % 3600, next;
	struct tm now, then;

	for (int hour = 0; hour < 366 * 24; hour++, time = next) {
		next = time + 3600;
		if (!localtime_r(&time, &now) || !localtime_r(&next, &then))
			break;
		if (now.tm_isdst != then.tm_isdst)
			return next;
	}
	return time_s;
}

/* A time within ten years from 2020 on, more often than not a few seconds before one at which dates
 * change. */
static int64_t choose_time_ns(struct chaos *chaos)
{
	int64_t time_s = 1577836800 + (int64_t)chaos_below(chaos, 3652 * DAY_S);

	switch (chaos_below(chaos, 7)) {
	case 0:
		time_s = beginning(time_s, false, false);
		break;
	case 1:
		time_s = beginning(time_s, true, false);
		break;
	case 2:
		time_s = beginning(time_s, false, true);
		break;
	case 3:
	case 4:
		time_s = march(chaos, time_s) - (int64_t)chaos_below(chaos, 2) * DAY_S;
		break;
	case 5:
		time_s = clock_change(time_s);
		break;
	default:
		break;
	}
	return time_s * INT64_C(1000000000) - (int64_t)chaos_power(chaos, 20, 31);
}

/* ---- the plan ---- */

/* Unless the user says what the variable is, or that it is none. */
static void add(struct option_list *list, const char *variable)
{
	const size_t n = strcspn(variable, "=");

	for (unsigned i = 0; i < list->n; i++)
		if (strcspn(list->item[i], "=") == n && !strncmp(list->item[i], variable, n))
			return;
	if (list->n < OPTION_LIST_MAX)
		list->item[list->n++] = variable;
}

/* The stack begins elsewhere in its page, and what malloc() gives is not what was there before. */
static void change_memory(struct chaos *chaos, struct hunt_chaos *ret)
{
	ret->layout.stack_moved = (uint32_t)chaos_below(chaos, PAGE_BYTES);
	snprintf(ret->perturb, sizeof(ret->perturb), "MALLOC_PERTURB_=%u",
		 1 + (unsigned)chaos_below(chaos, 255));
	add(&ret->environment, ret->perturb);
}

/* A stack of an unusually small limit is not filled with padding. */
static uint64_t most_pages_moved(void)
{
	struct rlimit stack;
	uint64_t most = STACK_PAGES_MOVED;

	if (!getrlimit(RLIMIT_STACK, &stack) && stack.rlim_cur / STACK_PART / PAGE_BYTES < most)
		most = stack.rlim_cur / STACK_PART / PAGE_BYTES;
	return most ? most : 1;
}

/*
 * Every other run leaves the addresses to the guest's kernel, by chance. In those between nothing
 * is random, and each moves the stack by a page more against the heap: distances at which
 * addresses collide are come across one after the other, as chance would not. It hides nothing
 * that other strategies provoke, so no run's choice of them leaves it out.
 */
static void explore_addresses(uint64_t seed, struct command_layout *ret)
{
	ret->fixed = seed % 2 == 0;
	if (ret->fixed)
		ret->stack_moved = (uint32_t)(seed / 2 % most_pages_moved() * PAGE_BYTES);
}

void hunt_chaos_plan(const struct hunt *hunt, uint64_t seed, struct hunt_chaos *ret)
{
	/* A stream of its own: the recorder's draws do not depend on these. */
	const struct chaos_config config = {.strategies = hunt->strategies, .seed = seed};
	struct chaos chaos;

	*ret = (struct hunt_chaos){.environment = hunt->values->guest.environment};
	chaos_init(&chaos, &config);
	if (chaos.strategies & CHAOS_CLOCK && hunt->guest.recording.config.epoch_s < 0)
		ret->time_ns = choose_time_ns(&chaos);
	if (chaos.strategies & CHAOS_MEMORY)
		change_memory(&chaos, ret);
	if (hunt->strategies & CHAOS_MEMORY)
		explore_addresses(seed, &ret->layout);
}
