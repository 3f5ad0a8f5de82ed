/*
 * Bytes from the host on their way to the guest.
 *
 * A *paced* source (a file or a pipe) gives a piece every period of guest time, as a sender at a
 * fixed line rate would. Under the virtual clock the piece is waited for, so that when it arrives
 * does not depend on the host; under the host clock a piece that is not there is asked for again.
 * An *interactive* source gives bytes when they come. While a source is held, the guest is not
 * listening and nothing is taken from the host.
 */
#ifndef REPRISE_RECORDER_SOURCE_H
#define REPRISE_RECORDER_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOURCE_PIECE_MAX 4096

struct input_source_config {
	int fd; /* -1: none */
	bool interactive;
	bool waits;           /* a due piece is waited for (virtual clock) */
	uint32_t piece_bytes; /* 1 to SOURCE_PIECE_MAX */
	uint64_t period_ns;
	uint64_t
		slow_pieces; /* so many come like that, further ones whole and quickly; 0: all do */
	uint64_t settle_ns;  /* the first piece comes this much after the guest began to listen */
};

struct input_source {
	struct input_source_config config;
	bool ended; /* no more bytes will come from the host */
	bool held;
	bool starved; /* not waiting, and nothing was there when last asked */
	uint64_t due_ns;
	uint64_t n_pieces; /* that have come */
	uint32_t first, n; /* bytes that have arrived and not yet been read */
	uint8_t data[SOURCE_PIECE_MAX];
};

void input_source_init(struct input_source *source, const struct input_source_config *config);

/* Sets whether the guest listens; when it begins to, the first piece is due settle_ns
 * later. */
void input_source_hold(struct input_source *source, bool held, uint64_t now_ns);

/* Guest time at which a piece arrives; UINT64_MAX when none is expected at a given time. */
uint64_t input_source_due(const struct input_source *source);

/* True when bytes may come at any moment of host time: the descriptor is to be polled. */
bool input_source_watched(const struct input_source *source);

/* True when something can still arrive. */
bool input_source_alive(const struct input_source *source);

/* True when bytes have arrived that the guest has not taken. */
bool input_source_filled(const struct input_source *source);

/*
 * Takes the piece that is due at guest time now_ns. A source that waits calls stop(ctx) several
 * times a second meanwhile, and gives up when that says true.
 */
void input_source_fetch_due(struct input_source *source, uint64_t now_ns, bool (*stop)(void *ctx),
			    void *ctx);

/* Takes what the descriptor of a watched source has now; never waits. */
void input_source_fetch_watched(struct input_source *source, uint64_t now_ns);

/* struct char_backend's read and ended; source is a struct input_source. */
size_t input_source_read(void *source, uint8_t *data, size_t n);
bool input_source_ended(void *source);

#endif
