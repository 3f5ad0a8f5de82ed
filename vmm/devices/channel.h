/*
 * The channel: what to run, byte streams and an exit status between `reprise run` and its guest, by
 * single port reads and writes, so that the guest's agent needs no driver. Every register is one
 * byte wide; REP INSB and REP OUTSB work on the data ports. The first part of this file is for the
 * guest as well.
 */
#ifndef REPRISE_VMM_DEVICES_CHANNEL_H
#define REPRISE_VMM_DEVICES_CHANNEL_H

/* Offsets from LAYOUT_CHANNEL_PORT. */
#define CHANNEL_ID          0 /* read: CHANNEL_ID_VALUE */
#define CHANNEL_NOTE        0 /* write: CHANNEL_NOTE_ bits, for the host; they add up */
#define CHANNEL_STDOUT      1 /* write: a byte for the host's stdout */
#define CHANNEL_AVAILABLE   1 /* read: bytes of stdin that wait, at most 255 */
#define CHANNEL_STDERR      2 /* write: a byte for the host's stderr */
#define CHANNEL_STATUS      3 /* read: CHANNEL_STATUS_ bits */
#define CHANNEL_RESULTS     3 /* write: a byte of the files that go back to the host */
#define CHANNEL_STDIN       4 /* read: the next byte of stdin, 0 when none waits */
#define CHANNEL_SIZE        5 /* read: the terminal's rows and columns, 2 bytes each, low first */
#define CHANNEL_EXIT        5 /* write: the command's exit status; ends the run */
#define CHANNEL_EXIT_SIGNAL 6 /* write: the signal that killed the command; ends the run */
#define CHANNEL_PLAN        7 /* read: the plan's next byte, 0 behind its end */
#define CHANNEL_READY       7 /* write: the guest is ready for its plan, from its start */
#define CHANNEL_PORTS       8

#define CHANNEL_ID_VALUE 0xc5

#define CHANNEL_STATUS_READY 0x01 /* a byte of stdin waits */
#define CHANNEL_STATUS_END   0x02 /* stdin has ended and every byte was read */
#define CHANNEL_STATUS_SIZE  0x04 /* the terminal has a size that was not read yet */

#define CHANNEL_NOTE_NETWORK 0x01 /* something wanted to reach more than the loopback interface */
#define CHANNEL_NOTE_CRASH   0x02 /* a signal that dumps core has ended a process */

/* Added to a signal's number to make an exit status, as a shell does. */
#define CHANNEL_SIGNAL_BASE 128

#ifdef REPRISE_VMM_DEVICES_DEVICE_H

struct Reprise__ChannelState;
struct channel;

#define CHANNEL_STREAMS 4

struct channel_config {
	/* stdin (read, ended), stdout, stderr, results (write); copied */
	struct char_backend stream[CHANNEL_STREAMS];
	const uint8_t *plan; /* borrowed; outlives the channel */
	uint32_t plan_bytes;
	void (*exited)(void *ctx); /* the guest wrote an exit status; optional */
	void *ctx;
};

/* Returns 0 or -ENOMEM. */
int channel_create(const struct channel_config *config, struct channel **ret_channel);
void channel_destroy(struct channel *channel);
void channel_reset(struct channel *channel);

/* CHANNEL_PORTS bytes of ports. */
extern const struct window_ops channel_window_ops;

/* Takes bytes of stdin that have arrived, as far as the buffer has room. */
void channel_poll_input(struct channel *channel);

/* True when the guest has written an exit status; sets *ret_status, a signal as 128 + number. */
bool channel_exited(const struct channel *channel, int *ret_status);

/* What the guest has written to CHANNEL_NOTE. */
uint8_t channel_notes(const struct channel *channel);

/* The host's terminal has another size. */
void channel_resize(struct channel *channel, uint16_t rows, uint16_t columns);

/* True once the guest has written CHANNEL_READY. */
bool channel_ready(const struct channel *channel);

/* The message borrows from the channel until its next change. */
void channel_save(const struct channel *channel, struct Reprise__ChannelState *ret_state);
/* Returns 0, or -EINVAL for an impossible state. */
int channel_restore(struct channel *channel, const struct Reprise__ChannelState *state);

#endif
#endif
