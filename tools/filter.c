/*
 * States and what leads from one to the next (ECMA-48 5.4 and 5.6; CSI parameters are 0x30 to 0x3f,
 * intermediate bytes 0x20 to 0x2f, final bytes 0x40 to 0x7e):
 *
 *   TEXT    ESC → ESCAPE
 *   ESCAPE  '[' → CSI;  ']' 'P' 'X' '^' '_' → STRING;  intermediate: stays;  else: TEXT
 *   CSI     parameter, intermediate: stays;  final: TEXT, passed on when it is 'm';  else: TEXT
 *   STRING  BEL, ESC, line feed, CAN, SUB: TEXT (the '\' behind ESC by way of ESCAPE)
 */
#include "tools/filter.h"

#include <stdbool.h>
#include <string.h>

#include "tools/text.h"

enum { BEL = 0x07, CAN = 0x18, SUB = 0x1a, ESC = 0x1b };

enum filter_state { STATE_TEXT, STATE_ESCAPE, STATE_CSI, STATE_STRING };

static void enter(struct filter *filter, enum filter_state state)
{
	filter->state = (uint8_t)state;
	filter->n_pending = 0;
}

static bool passes(uint32_t c)
{
	return c == '\n' || c == '\r' || c == '\t' || c == '\b' || !text_is_control(c);
}

/* A byte of a character. One that cannot continue what is pending is taken as a first byte again.
 */
static size_t in_text(struct filter *filter, uint8_t byte, uint8_t *out)
{
	uint32_t c = 0;

	if (byte == ESC) {
		bool cut = filter->n_pending;
		enter(filter, STATE_ESCAPE);
		out[0] = '?';
		return cut;
	}
	filter->pending[filter->n_pending++] = byte;
	int length = text_decode_utf8(filter->pending, filter->n_pending, &c);
	if (length < 0)
		return 0;
	unsigned n = filter->n_pending;
	filter->n_pending = 0;
	if (length > 0) {
		memcpy(out, filter->pending, n);
		return passes(c) ? n : 0;
	}
	out[0] = '?';
	return n > 1 ? 1 + in_text(filter, byte, out + 1) : 1;
}

static void in_escape(struct filter *filter, uint8_t byte)
{
	if (byte == '[') {
		enter(filter, STATE_CSI);
		filter->pending[0] = ESC;
		filter->pending[1] = '[';
		filter->n_pending = 2;
	} else if (byte && strchr("]PX^_", byte)) {
		enter(filter, STATE_STRING);
	} else if (byte != ESC && (byte < 0x20 || byte > 0x2f)) {
		enter(filter, STATE_TEXT);
	}
}

static size_t in_csi(struct filter *filter, uint8_t byte, uint8_t *out)
{
	size_t n_out = 0;

	if (byte == ESC) {
		enter(filter, STATE_ESCAPE);
	} else if (byte >= 0x20 && byte <= 0x3f) {
		/* One too long to keep is read to its end; the full buffer says that it is dropped.
		 */
		if (filter->n_pending < FILTER_PENDING_MAX)
			filter->pending[filter->n_pending++] = byte;
	} else {
		if (byte == 'm' && filter->n_pending < FILTER_PENDING_MAX) {
			n_out = filter->n_pending;
			memcpy(out, filter->pending, n_out);
			out[n_out++] = 'm';
		}
		enter(filter, STATE_TEXT);
	}
	return n_out;
}

static size_t in_string(struct filter *filter, uint8_t byte, uint8_t *out)
{
	if (byte == ESC)
		enter(filter, STATE_ESCAPE);
	else if (byte == BEL || byte == CAN || byte == SUB || byte == '\n')
		enter(filter, STATE_TEXT);
	out[0] = byte;
	return byte == '\n';
}

size_t filter_apply(struct filter *filter, const uint8_t *data, size_t n, uint8_t *out)
{
	size_t n_out = 0;

	for (size_t i = 0; i < n; i++) {
		switch ((enum filter_state)filter->state) {
		case STATE_TEXT:
			n_out += in_text(filter, data[i], out + n_out);
			break;
		case STATE_ESCAPE:
			in_escape(filter, data[i]);
			break;
		case STATE_CSI:
			n_out += in_csi(filter, data[i], out + n_out);
			break;
		case STATE_STRING:
			n_out += in_string(filter, data[i], out + n_out);
			break;
		}
	}
	return n_out;
}
