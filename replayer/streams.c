#include "replayer/streams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_MAX   32
#define STREAM_BUFFER 4096

/* Registers of a 16550 (PC16550D data sheet, table 2), offsets from its first port. */
#define UART_THR          0
#define UART_LCR          3
#define UART_MCR          4
#define UART_PORTS        8
#define UART_LCR_DLAB     0x80
#define UART_MCR_LOOPBACK 0x10

struct stream {
	uint16_t first_port, n_ports;
	bool is_uart, in_memory; /* neither: a port */
	uint8_t lcr, mcr;
};

struct replay_streams {
	stream_output_fn *output;
	void *ctx;
	struct stream stream[STREAMS_MAX];
	unsigned n_streams;
	unsigned pending_stream; /* whose bytes are held back */
	size_t n_pending;
	uint8_t pending[STREAM_BUFFER];
};

static int add_stream(struct replay_streams *streams, const Reprise__Stream *message)
{
	bool in_memory = message->kind == REPRISE__STREAM_KIND__STREAM_MEMORY;
	bool is_uart = message->kind == REPRISE__STREAM_KIND__STREAM_UART16550;
	uint32_t n_ports = in_memory ? 0 : is_uart ? UART_PORTS : 1;

	if (!is_uart && !in_memory && message->kind != REPRISE__STREAM_KIND__STREAM_PORT)
		return -EINVAL;
	if (message->port > 0x10000 - n_ports)
		return -EINVAL;
	streams->stream[streams->n_streams++] = (struct stream){
		.first_port = (uint16_t)message->port,
		.n_ports = (uint16_t)n_ports,
		.is_uart = is_uart,
		.in_memory = in_memory,
	};
	return 0;
}

int replay_streams_create(const Reprise__Header *header, stream_output_fn *output, void *ctx,
			  struct replay_streams **ret_streams)
{
	struct replay_streams *streams;
	int error = 0;

	if (header->n_streams > STREAMS_MAX)
		return -EINVAL;
	streams = calloc(1, sizeof(*streams));
	if (!streams)
		return -ENOMEM;
	streams->output = output;
	streams->ctx = ctx;
	for (size_t i = 0; i < header->n_streams && !error; i++)
		error = add_stream(streams, header->streams[i]);
	if (error) {
		free(streams);
		return error;
	}
	*ret_streams = streams;
	return 0;
}

void replay_streams_destroy(struct replay_streams *streams)
{
	free(streams);
}

void replay_streams_flush(struct replay_streams *streams)
{
	if (streams->n_pending && streams->output)
		streams->output(streams->ctx, streams->pending_stream, streams->pending,
				streams->n_pending);
	streams->n_pending = 0;
}

void replay_streams_reset(struct replay_streams *streams)
{
	for (unsigned i = 0; i < streams->n_streams; i++)
		streams->stream[i].lcr = streams->stream[i].mcr = 0;
}

void replay_streams_copy_state(struct replay_streams *to, const struct replay_streams *from)
{
	memcpy(to->stream, from->stream, sizeof(to->stream));
}

static void emit(struct replay_streams *streams, unsigned n, uint8_t byte)
{
	if (streams->pending_stream != n || streams->n_pending == STREAM_BUFFER)
		replay_streams_flush(streams);
	streams->pending_stream = n;
	streams->pending[streams->n_pending++] = byte;
}

/* Follows a write to a UART's register; returns true when the byte is transmitted. */
static bool uart_write(struct stream *uart, unsigned offset, uint8_t value)
{
	if (offset == UART_LCR)
		uart->lcr = value;
	if (offset == UART_MCR)
		uart->mcr = value;
	return offset == UART_THR && !(uart->lcr & UART_LCR_DLAB) &&
	       !(uart->mcr & UART_MCR_LOOPBACK);
}

static void write_byte(struct replay_streams *streams, uint64_t port, uint8_t value)
{
	for (unsigned i = 0; i < streams->n_streams; i++) {
		struct stream *stream = &streams->stream[i];
		uint64_t offset = port - stream->first_port;

		if (offset >= stream->n_ports)
			continue;
		if (!stream->is_uart || uart_write(stream, (unsigned)offset, value))
			emit(streams, i, value);
	}
}

/* The devices have byte-wide ports: a wider write goes to them byte by byte. */
void replay_streams_write(struct replay_streams *streams, const struct crossing_request *request)
{
	if (request->kind != CROSSING_PORT_WRITE)
		return;
	for (unsigned i = 0; i < request->size; i++)
		write_byte(streams, request->address + i, (uint8_t)(request->value >> 8 * i));
}

bool replay_streams_take(struct replay_streams *streams, const struct event *event,
			 const struct memory *memory)
{
	uint32_t n = event->output.stream;
	uint8_t byte;

	if (n >= streams->n_streams || !streams->stream[n].in_memory)
		return false;
	for (uint32_t i = 0; i < event->output.bytes; i++) {
		memory_read(memory, event->output.gpa + i, &byte, 1);
		emit(streams, n, byte);
	}
	return true;
}
