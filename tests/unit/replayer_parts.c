/* The replayer's parts that need no guest: streams and the words of a divergence. */
#include <stdlib.h>
#include <string.h>

#include "replayer/divergence.h"
#include "replayer/streams.h"
#include "tests/tap.h"

struct seen {
	char text[3][64];
	size_t n[3];
};

static void take(void *ctx, unsigned stream, const uint8_t *data, size_t n)
{
	struct seen *seen = ctx;

	memcpy(seen->text[stream] + seen->n[stream], data, n);
	seen->n[stream] += n;
}

static void put(struct replay_streams *streams, uint8_t kind, uint16_t port, uint8_t value)
{
	replay_streams_write(streams, &(struct crossing_request){kind, 1, port, value});
}

static void test_streams(void)
{
	Reprise__Header header = REPRISE__HEADER__INIT;
	Reprise__Stream uart = REPRISE__STREAM__INIT, port = REPRISE__STREAM__INIT;
	Reprise__Stream *list[] = {&uart, &port};
	struct replay_streams *streams;
	struct seen seen = {0};

	uart.kind = REPRISE__STREAM_KIND__STREAM_UART16550;
	uart.port = 0x3f8;
	port.kind = REPRISE__STREAM_KIND__STREAM_PORT;
	port.port = 0x511;
	header.n_streams = 2;
	header.streams = list;
	tap_ok(!replay_streams_create(&header, take, &seen, &streams), "streams are made");
	put(streams, CROSSING_PORT_WRITE, 0x3f8, 'a');
	put(streams, CROSSING_PORT_WRITE, 0x3fb, 0x83); /* DLAB */
	put(streams, CROSSING_PORT_WRITE, 0x3f8, 1);
	put(streams, CROSSING_PORT_WRITE, 0x3fb, 0x03);
	put(streams, CROSSING_PORT_WRITE, 0x3fc, 0x10); /* loopback */
	put(streams, CROSSING_PORT_WRITE, 0x3f8, 'x');
	put(streams, CROSSING_PORT_WRITE, 0x3fc, 0x00);
	put(streams, CROSSING_PORT_WRITE, 0x3f8, 'b');
	put(streams, CROSSING_PORT_WRITE, 0x511, 'c');
	put(streams, CROSSING_PORT_WRITE, 0x510, 'y');
	put(streams, CROSSING_MMIO_WRITE, 0x511, 'z');
	put(streams, CROSSING_PORT_WRITE, 0x3fc, 0x10);
	replay_streams_reset(streams);
	put(streams, CROSSING_PORT_WRITE, 0x3f8, 'd');
	replay_streams_write(streams,
			     &(struct crossing_request){CROSSING_PORT_WRITE, 2, 0x510, 0x6500});
	replay_streams_flush(streams);
	tap_ok(!strcmp(seen.text[0], "abd"),
	       "the serial port's bytes, not its divisor or loopback");
	tap_ok(!strcmp(seen.text[1], "ce"), "the port's bytes, of wide writes too");
	replay_streams_destroy(streams);

	port.port = 0x10000;
	tap_ok(replay_streams_create(&header, take, &seen, &streams) < 0,
	       "a port beyond the last is refused");
	port.port = 1;
	uart.port = 0xfff9;
	tap_ok(replay_streams_create(&header, take, &seen, &streams) < 0,
	       "a serial port that does not fit is refused");
	uart.port = 0x3f8;
	port.kind = (Reprise__StreamKind)9;
	tap_ok(replay_streams_create(&header, take, &seen, &streams) < 0,
	       "an unknown kind of stream is refused");
}

static void test_streams_in_memory(void)
{
	Reprise__Header header = REPRISE__HEADER__INIT;
	Reprise__Stream uart = REPRISE__STREAM__INIT, memory_stream = REPRISE__STREAM__INIT;
	Reprise__Stream *list[] = {&uart, &memory_stream};
	const struct memory_region ram = {REGION_RAM, 0, 2 * PAGE_BYTES};
	struct event event = {.kind = EVENT_OUTPUT,
			      .output = {.gpa = PAGE_BYTES - 3, .bytes = 5, .stream = 1}};
	struct replay_streams *streams;
	struct memory *memory;
	struct seen seen = {0};

	uart.kind = REPRISE__STREAM_KIND__STREAM_UART16550;
	uart.port = 0x3f8;
	memory_stream.kind = REPRISE__STREAM_KIND__STREAM_MEMORY;
	header.n_streams = 2;
	header.streams = list;
	if (memory_create(&ram, 1, &memory) ||
	    replay_streams_create(&header, take, &seen, &streams))
		abort();
	memory_write(memory, PAGE_BYTES - 3, "hello", 5);
	put(streams, CROSSING_PORT_WRITE, 0x3f8, 'a');
	put(streams, CROSSING_PORT_WRITE, 0, 'x');
	tap_ok(replay_streams_take(streams, &event, memory), "bytes of a stream in memory");
	event.output.stream = 0;
	tap_ok(!replay_streams_take(streams, &event, memory), "a serial port's are not there");
	event.output.stream = 2;
	tap_ok(!replay_streams_take(streams, &event, memory), "nor are those of no stream");
	replay_streams_flush(streams);
	tap_ok(!strcmp(seen.text[0], "a") && !strcmp(seen.text[1], "hello"),
	       "streams in memory and on ports");
	replay_streams_destroy(streams);
	memory_destroy(memory);
}

static void test_words(void)
{
	struct digest a = {1, 2, 3}, b = {1, 2, 3};
	struct divergence divergence = {0};
	char text[DIVERGENCE_TEXT_BYTES];
	struct event event = {.kind = EVENT_INTERRUPT, .delivery = {.vector = 0x30}};

	tap_ok(divergence_check_digest(&a, &b, &divergence), "equal digests");
	b.memory = 5;
	tap_ok(!divergence_check_digest(&a, &b, &divergence) &&
		       !strcmp(divergence.what, "memory digest: recorded 0x0000000000000002, "
						"replayed 0x0000000000000005"),
	       "%s", divergence.what);
	b = (struct digest){7, 8, 9};
	tap_ok(!divergence_check_digest(&a, &b, &divergence) &&
		       strstr(divergence.what, "registers") && strstr(divergence.what, "memory") &&
		       strlen(divergence.what) < sizeof(divergence.what),
	       "all three differ: %s", divergence.what);
	divergence_describe_event(&event, text, sizeof(text));
	tap_ok(!strcmp(text, "interrupt 0x30"), "%s", text);
	for (unsigned kind = 0; kind < 256; kind++) {
		event.kind = (uint8_t)kind;
		divergence_describe_event(&event, text, sizeof(text));
		divergence_describe_crossing((uint8_t)kind, 4, 0x3f8, text, sizeof(text));
	}
	divergence_describe_crossing(CROSSING_PORT_READ, 1, 0x3f8, text, sizeof(text));
	tap_ok(!strcmp(text, "1-byte read of port 0x3f8"), "%s", text);
}

int main(void)
{
	test_streams();
	test_streams_in_memory();
	test_words();
	return tap_done();
}
