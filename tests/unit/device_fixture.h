/* What tests of single devices share: a wire that counts, a terminal, register accesses. */
#ifndef REPRISE_TESTS_UNIT_DEVICE_FIXTURE_H
#define REPRISE_TESTS_UNIT_DEVICE_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"
#include "vmm/devices/device.h"
#include "vmm/devices/timer_queue.h"

/* A wire into nothing: its level and how often it rose. */
struct wire {
	bool level;
	unsigned rises;
};

static inline void wire_set(void *ctx, unsigned pin, bool level)
{
	struct wire *wire = ctx;
	wire->rises += level && !wire->level;
	wire->level = level;
}

static inline struct irq_line wire_line(struct wire *wire)
{
	return (struct irq_line){wire_set, wire, 0};
}

/* A host that has typed `input` and keeps what it is sent. */
struct terminal {
	const char *input;
	size_t n_input;
	char output[256];
	size_t n_output;
};

static inline void terminal_write(void *ctx, const uint8_t *data, size_t n)
{
	struct terminal *terminal = ctx;
	for (size_t i = 0; i < n && terminal->n_output < sizeof(terminal->output); i++)
		terminal->output[terminal->n_output++] = (char)data[i];
}

static inline size_t terminal_read(void *ctx, uint8_t *data, size_t n)
{
	struct terminal *terminal = ctx;
	if (n > terminal->n_input)
		n = terminal->n_input;
	if (n)
		memcpy(data, terminal->input, n);
	terminal->input += n;
	terminal->n_input -= n;
	return n;
}

static inline bool terminal_ended(void *ctx)
{
	return !((struct terminal *)ctx)->n_input;
}

static inline struct char_backend terminal_backend(struct terminal *terminal)
{
	return (struct char_backend){terminal_write, terminal_read, terminal_ended, terminal};
}

static inline void terminal_type(struct terminal *terminal, const char *text)
{
	terminal->input = text;
	terminal->n_input = strlen(text);
}

/* Prints both values when they differ. */
static inline bool is_equal(uint64_t got, uint64_t expected, const char *what)
{
	bool ok = tap_ok(got == expected, "%s", what);
	if (!ok)
		tap_note("got 0x%llx, expected 0x%llx", (unsigned long long)got,
			 (unsigned long long)expected);
	return ok;
}

#endif
