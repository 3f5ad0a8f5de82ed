/* A buffered way out to a file descriptor of the host, for bytes the guest puts out. */
#ifndef REPRISE_RECORDER_SINK_H
#define REPRISE_RECORDER_SINK_H

#include <stddef.h>
#include <stdint.h>

#define SINK_BUFFER_BYTES 4096
#define OUTPUT_TAIL_BYTES 4096

/* The last bytes of what several sinks took, as it came. */
struct output_tail {
	uint64_t n; /* taken in all; byte k lies at k % OUTPUT_TAIL_BYTES */
	uint8_t data[OUTPUT_TAIL_BYTES];
};

/* Copies them out, the oldest first. Returns how many. */
size_t output_tail_read(const struct output_tail *tail, uint8_t ret_data[OUTPUT_TAIL_BYTES]);

struct output_sink {
	int fd;    /* -1: thrown away, also once writing has failed */
	int error; /* negative errno of the write that failed; 0: none has */
	size_t n;
	struct output_tail *tail; /* NULL: none */
	uint8_t buffer[SINK_BUFFER_BYTES];
};

void output_sink_init(struct output_sink *sink, int fd, struct output_tail *tail);

/* Takes n bytes; sink is a struct output_sink (struct char_backend.write). */
void output_sink_write(void *sink, const uint8_t *data, size_t n);

/* Writes out what is buffered, waiting for the reader if need be. */
void output_sink_flush(struct output_sink *sink);

#endif
