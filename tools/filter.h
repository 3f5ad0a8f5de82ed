/*
 * Makes a guest's console output safe for a terminal: a recording may come from anyone, and escape
 * sequences can retitle windows, answer as if typed, or worse. What passes: text, line feed,
 * carriage return, tab, backspace, and sequences that set colours (ECMA-48: CSI … m). All else is
 * dropped; bytes that are not UTF-8 become '?'.
 */
#ifndef REPRISE_TOOLS_FILTER_H
#define REPRISE_TOOLS_FILTER_H

#include <stddef.h>
#include <stdint.h>

#define FILTER_PENDING_MAX 32

struct filter {
	uint8_t state;                       /* private to filter.c */
	uint8_t pending[FILTER_PENDING_MAX]; /* the beginning of a sequence or of a character */
	uint8_t n_pending;
};

static inline void filter_init(struct filter *filter)
{
	*filter = (struct filter){0};
}

/*
 * Filters n bytes; sequences may be split over calls. out has room for n + FILTER_PENDING_MAX
 * bytes. Returns how many were put there.
 */
size_t filter_apply(struct filter *filter, const uint8_t *data, size_t n, uint8_t *out);

#endif
