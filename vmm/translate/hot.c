#include "vmm/translate/hot.h"

#include <string.h>

#define REWRITES_MAX 8

static uint64_t line_of(uint64_t gpa)
{
	return gpa & ~(HOT_LINE_BYTES - 1);
}

static unsigned slot_of(uint64_t line)
{
	return (unsigned)(line / HOT_LINE_BYTES * UINT64_C(0x9e3779b97f4a7c15) >> 40) % HOT_LINES;
}

static bool is_hot(const struct hot *hot, const struct hot_line *line)
{
	return hot->samples && line->samples >= hot->samples;
}

/* What is hot stays. */
static bool give_way(const struct hot *hot, struct hot_line *line)
{
	if (is_hot(hot, line))
		return false;
	if (line->samples)
		line->samples--;
	return !line->samples;
}

static bool rewrite(struct hot_line *line)
{
	if (!line->stale || line->rewrites == REWRITES_MAX)
		return false;
	line->stale = false;
	line->rewrites++;
	return true;
}

bool hot_sample(struct hot *hot, uint64_t gpa, uint32_t whose)
{
	uint64_t at = line_of(gpa);
	struct hot_line *line = &hot->line[slot_of(at)];

	if (line->gpa != at || !line->samples) {
		if (!give_way(hot, line))
			return false;
		*line = (struct hot_line){.gpa = at};
	}
	if (is_hot(hot, line))
		return rewrite(line);
	if (line->whose != whose)
		line->samples = 0;
	line->whose = whose;
	line->samples++;
	return is_hot(hot, line);
}

void hot_stale(struct hot *hot, uint64_t gpa)
{
	struct hot_line *line = &hot->line[slot_of(line_of(gpa))];

	if (line->gpa == line_of(gpa))
		line->stale = true;
}

bool hot_is(const struct hot *hot, uint64_t gpa)
{
	const struct hot_line *line = &hot->line[slot_of(line_of(gpa))];

	return line->gpa == line_of(gpa) && is_hot(hot, line);
}

void hot_forget(struct hot *hot)
{
	memset(hot->line, 0, sizeof(hot->line));
}
