/*
 * virtio-console over MMIO, polled: speaks on it and on the serial port in turn, echoes a line that
 * was typed into it. The text lies in two pieces, and is overwritten once the device has taken it.
 */
#include "virtio.h"

static struct queue queues[2]; /* receive, transmit */
static char text[2][64];
static char typed[64];

static uint32_t copy(char *to, const char *from)
{
	uint32_t n = 0;

	for (; from[n]; n++)
		to[n] = from[n];
	return n;
}

static void send(const char *first, const char *second)
{
	uint32_t n = copy(text[0], first), m = copy(text[1], second);

	queues[1].table[0] = (struct descriptor){(uint32_t)text[0], 0, n, NEXT, 1};
	queues[1].table[1] = (struct descriptor){(uint32_t)text[1], 0, m, 0, 0};
	virtio_do(&queues[1], 1);
	for (uint32_t i = 0; i < sizeof(text[0]); i++)
		text[0][i] = text[1][i] = '?';
}

/* Bytes come one or more at a time. */
static void receive_line(void)
{
	uint32_t n = 0;

	while (n == 0 || typed[n - 1] != '\n') {
		queues[0].table[0] = (struct descriptor){(uint32_t)(typed + n), 0,
							 (uint32_t)sizeof(typed) - 1 - n, WRITE, 0};
		n += virtio_do(&queues[0], 0);
	}
	typed[n] = '\0';
}

void guest_main(void)
{
	if (!virtio_find(VIRTIO_CONSOLE)) {
		put_text("no console\n");
		return;
	}
	put_text("serial\n");
	virtio_set_up(queues, 2);
	send("hello, ", "hvc0\n");
	receive_line();
	send(typed, "");
	put_text("serial again\n");
	send("console", " done\n");
}
