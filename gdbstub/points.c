#include "gdbstub/points.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POINTS_MAX      4096
#define CONDITIONS_MAX  64
#define WATCH_MAX_BYTES (UINT64_C(1) << 30) /* each of its pages is translated at every start */

static void clear_conditions(struct point *point)
{
	for (unsigned i = 0; i < point->n_conditions; i++)
		free(point->conditions[i].code);
	free(point->conditions);
	point->conditions = NULL;
	point->n_conditions = 0;
}

void points_clear(struct points *points)
{
	for (unsigned i = 0; i < points->n; i++)
		clear_conditions(&points->point[i]);
	free(points->point);
	*points = (struct points){0};
}

bool point_wants(const struct point *point, bool write)
{
	return point->kind == POINT_ACCESS || point->kind == (write ? POINT_WRITE : POINT_READ);
}

/* ---- parsing ---- */

static bool take_head(struct cursor *cursor, struct point *point)
{
	uint64_t kind;

	if (!cursor_hex(cursor, &kind) || kind >= POINT_KINDS || !cursor_take(cursor, ",") ||
	    !cursor_range(cursor, &point->address, &point->bytes))
		return false;
	point->kind = (uint8_t)kind;
	return !point_is_watch(point) || (point->bytes && point->bytes <= WATCH_MAX_BYTES &&
					  point->bytes <= UINT64_MAX - point->address);
}

/* One "Xlength,code". */
static int take_condition(struct cursor *cursor, struct point *point)
{
	struct condition *conditions;
	struct condition condition = {0};
	uint64_t n;

	if (!cursor_take(cursor, "X") || !cursor_hex(cursor, &n) || !cursor_take(cursor, ",") ||
	    n > cursor_left(cursor) / 2)
		return -EINVAL;
	if (point->n_conditions == CONDITIONS_MAX)
		return -E2BIG;
	condition.n = n;
	condition.code = malloc(n + 1);
	conditions = realloc(point->conditions, (point->n_conditions + 1) * sizeof(*conditions));
	if (conditions)
		point->conditions = conditions;
	if (!conditions || !condition.code) {
		free(condition.code);
		return -ENOMEM;
	}
	point->conditions[point->n_conditions++] = condition;
	return cursor_hex_bytes(cursor, condition.code, n) ? 0 : -EINVAL;
}

static int take_conditions(struct cursor *cursor, struct point *point)
{
	int error = 0;

	while (!error && cursor_left(cursor)) {
		if (cursor_take(cursor, ";cmds:")) /* commands run in gdb */
			break;
		cursor_take(cursor, ";");
		error = take_condition(cursor, point);
	}
	return error;
}

/* ---- the set ---- */

static struct point *find(const struct points *points, const struct point *like)
{
	for (unsigned i = 0; i < points->n; i++) {
		struct point *point = &points->point[i];
		if (point->kind == like->kind && point->address == like->address &&
		    point->bytes == like->bytes)
			return point;
	}
	return NULL;
}

static struct point *append(struct points *points)
{
	if (points->n == points->max) {
		unsigned max = points->max ? points->max * 2 : 16;
		struct point *point = realloc(points->point, max * sizeof(*point));
		if (!point)
			return NULL;
		points->point = point;
		points->max = max;
	}
	return &points->point[points->n++];
}

int points_add(struct points *points, struct cursor *cursor)
{
	struct point point = {0}, *place;
	int error = take_head(cursor, &point) ? take_conditions(cursor, &point) : -EINVAL;

	if (!error) {
		place = find(points, &point);
		if (place)
			clear_conditions(place);
		else if (points->n == POINTS_MAX)
			error = -E2BIG;
		else if (!(place = append(points)))
			error = -ENOMEM;
	}
	if (error)
		clear_conditions(&point);
	else
		*place = point;
	return error;
}

int points_remove(struct points *points, struct cursor *cursor)
{
	struct point like = {0}, *point;

	if (!take_head(cursor, &like))
		return -EINVAL;
	point = find(points, &like);
	if (!point)
		return 0;
	clear_conditions(point);
	*point = points->point[--points->n];
	return 0;
}
