/*
 * Nothing counts: a channel keeps the tick at which it was started, and its count and output are
 * functions of the ticks elapsed since. A tick is one period of the 1.193182 MHz clock, numbered
 * from power-on, so that a periodic interrupt does not drift.
 */
#include "vmm/devices/pit8254.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/devices/devices.pb-c.h"

#define NS_PER_S    UINT64_C(1000000000)
#define N_CHANNELS  3
#define REG_CONTROL 3

#define ACCESS_LATCH 0
#define ACCESS_LOW   1
#define ACCESS_HIGH  2
#define ACCESS_BOTH  3

#define SELECT_READ_BACK     3
#define READ_BACK_NOT_COUNT  0x20
#define READ_BACK_NOT_STATUS 0x10

#define STATUS_OUT  0x80
#define STATUS_NULL 0x40

#define PORT_B_GATE    0x01
#define PORT_B_KEPT    0x0f
#define PORT_B_REFRESH 0x10
#define PORT_B_OUT     0x20
#define REFRESH_NS     15085 /* memory refresh toggles that often */

enum pit_mode {
	MODE_TERMINAL_COUNT,
	MODE_ONE_SHOT,
	MODE_RATE,
	MODE_SQUARE,
	MODE_SOFTWARE_STROBE,
	MODE_HARDWARE_STROBE,
	MODE_COUNT,
};

struct pit_channel {
	uint8_t mode;   /* enum pit_mode */
	uint8_t access; /* ACCESS_LOW to ACCESS_BOTH */
	bool bcd;
	bool gate;
	bool loaded;    /* a count was written since the control word */
	bool triggered; /* by the gate, in the modes that need it */
	uint32_t count; /* 1 to 65536 */
	uint64_t start_tick;
	uint64_t held_ticks; /* elapsed, while the gate holds the count in modes 0 and 4 */
	uint8_t write_low;   /* the first byte of two */
	bool write_high_next, read_high_next;
	uint8_t latched_bytes; /* of latched_count still to be read */
	uint16_t latched_count;
	bool status_latched;
	uint8_t latched_status;
};

struct pit8254 {
	struct pit_channel channel[N_CHANNELS];
	uint8_t port_b;
	struct irq_line irq;
	struct timer rise; /* the next rising edge of channel 0's output */
};

static uint64_t tick_at(uint64_t now_ns)
{
	return (unsigned __int128)now_ns * PIT8254_HZ / NS_PER_S;
}

/* The first nanosecond of a tick. */
static uint64_t tick_start_ns(uint64_t tick)
{
	return ((unsigned __int128)tick * NS_PER_S + PIT8254_HZ - 1) / PIT8254_HZ;
}

static uint64_t now_tick(const struct pit8254 *pit)
{
	return tick_at(timer_queue_now(pit->rise.queue));
}

static bool gate_holds(const struct pit_channel *channel)
{
	return !channel->gate &&
	       (channel->mode == MODE_TERMINAL_COUNT || channel->mode == MODE_SOFTWARE_STROBE);
}

static bool needs_trigger(const struct pit_channel *channel)
{
	return channel->mode == MODE_ONE_SHOT || channel->mode == MODE_HARDWARE_STROBE;
}

static uint64_t elapsed(const struct pit_channel *channel, uint64_t tick)
{
	return gate_holds(channel) ? channel->held_ticks : tick - channel->start_tick;
}

static bool output(const struct pit_channel *channel, uint64_t tick)
{
	uint64_t ticks = elapsed(channel, tick), count = channel->count;
	if (!channel->loaded)
		return channel->mode != MODE_TERMINAL_COUNT;
	switch ((enum pit_mode)channel->mode) {
	case MODE_TERMINAL_COUNT:
		return ticks >= count;
	case MODE_ONE_SHOT:
		return !channel->triggered || ticks >= count;
	case MODE_RATE:
		return !channel->gate || ticks % count != count - 1;
	case MODE_SQUARE:
		return !channel->gate || ticks % count < (count + 1) / 2;
	case MODE_SOFTWARE_STROBE:
		return ticks != count;
	case MODE_HARDWARE_STROBE:
		return !channel->triggered || ticks != count;
	default:
		return true;
	}
}

static uint16_t to_bcd(uint32_t value)
{
	return value % 10 | (value / 10 % 10) << 4 | (value / 100 % 10) << 8 |
	       (value / 1000 % 10) << 12;
}

static uint32_t from_bcd(uint16_t value)
{
	return (value & 0xf) + (value >> 4 & 0xf) * 10 + (value >> 8 & 0xf) * 100 +
	       (value >> 12) * 1000;
}

/* It counts by two, from an even count, in each half of the period; where the count is odd the
 * first half has one tick more. */
static uint32_t square_counter(const struct pit_channel *channel, uint64_t ticks)
{
	uint32_t count = channel->count, half = (count + 1) / 2;
	uint32_t at = channel->gate ? ticks % count : 0;

	return (count & ~1u) - 2 * (at < half ? at : at - half);
}

/* What the counter shows, as it is read. */
static uint16_t counter(const struct pit_channel *channel, uint64_t tick)
{
	uint64_t ticks = elapsed(channel, tick), count = channel->count;
	uint32_t modulus = channel->bcd ? 10000 : 65536;
	uint32_t value;
	if (!channel->loaded || (needs_trigger(channel) && !channel->triggered))
		value = count;
	else if (channel->mode == MODE_RATE)
		value = count - (channel->gate ? ticks % count : 0);
	else if (channel->mode == MODE_SQUARE)
		value = square_counter(channel, ticks);
	else
		value = (count + modulus - ticks % modulus) % modulus;
	value %= modulus;
	return channel->bcd ? to_bcd(value) : value;
}

/* The tick of channel 0's next rising edge after tick, UINT64_MAX when there is none. */
static uint64_t next_rise(const struct pit_channel *channel, uint64_t tick)
{
	uint64_t ticks = tick - channel->start_tick, count = channel->count;
	if (!channel->loaded)
		return UINT64_MAX;
	switch ((enum pit_mode)channel->mode) {
	case MODE_TERMINAL_COUNT:
		return ticks < count ? channel->start_tick + count : UINT64_MAX;
	case MODE_RATE:
	case MODE_SQUARE:
		return channel->start_tick + (ticks / count + 1) * count;
	case MODE_SOFTWARE_STROBE:
		return ticks <= count ? channel->start_tick + count + 1 : UINT64_MAX;
	default:
		return UINT64_MAX; /* channel 0's gate never moves: never triggered */
	}
}

static void arm_rise(struct pit8254 *pit)
{
	uint64_t rise = next_rise(&pit->channel[0], now_tick(pit));
	timer_arm(&pit->rise, rise == UINT64_MAX ? UINT64_MAX : tick_start_ns(rise));
}

/* The output falls before it rises; nothing needs to see it low in between. */
static void output_rises(void *device, uint64_t now_ns)
{
	struct pit8254 *pit = device;
	irq_line_set(&pit->irq, false);
	irq_line_set(&pit->irq, true);
	arm_rise(pit);
}

static void update_irq(struct pit8254 *pit)
{
	irq_line_set(&pit->irq, output(&pit->channel[0], now_tick(pit)));
	arm_rise(pit);
}

static void load(struct pit_channel *channel, uint16_t written, uint64_t tick)
{
	uint32_t count = channel->bcd ? from_bcd(written) : written;
	if (!count)
		count = channel->bcd ? 10000 : 65536;
	/* 1 is not allowed in the periodic modes. */
	if (count == 1 && (channel->mode == MODE_RATE || channel->mode == MODE_SQUARE))
		count = 2;
	channel->count = count;
	channel->loaded = true;
	channel->held_ticks = 0;
	if (!needs_trigger(channel))
		channel->start_tick = tick;
}

static void write_count(struct pit_channel *channel, uint8_t byte, uint64_t tick)
{
	if (channel->access == ACCESS_LOW) {
		load(channel, byte, tick);
	} else if (channel->access == ACCESS_HIGH) {
		load(channel, byte << 8, tick);
	} else if (!channel->write_high_next) {
		channel->write_low = byte;
		channel->write_high_next = true;
		if (channel->mode == MODE_TERMINAL_COUNT)
			channel->loaded = false; /* the first byte stops the count */
	} else {
		channel->write_high_next = false;
		load(channel, byte << 8 | channel->write_low, tick);
	}
}

static void latch_count(struct pit_channel *channel, uint64_t tick)
{
	if (channel->latched_bytes)
		return;
	channel->latched_count = counter(channel, tick);
	channel->latched_bytes = channel->access == ACCESS_BOTH ? 2 : 1;
}

static void latch_status(struct pit_channel *channel, uint64_t tick)
{
	if (channel->status_latched)
		return;
	channel->status_latched = true;
	channel->latched_status = (output(channel, tick) ? STATUS_OUT : 0) |
				  (channel->loaded ? 0 : STATUS_NULL) | channel->access << 4 |
				  channel->mode << 1 | channel->bcd;
}

static void set_control(struct pit_channel *channel, uint8_t value)
{
	uint8_t mode = value >> 1 & 7;
	*channel = (struct pit_channel){
		.mode = mode < MODE_COUNT ? mode : mode - 4, /* 6 and 7 are 2 and 3 */
		.access = value >> 4 & 3,
		.bcd = value & 1,
		.gate = channel->gate,
		.count = channel->count,
		.start_tick = channel->start_tick,
	};
}

static void read_back(struct pit8254 *pit, uint8_t value)
{
	for (unsigned i = 0; i < N_CHANNELS; i++) {
		if (!(value & 2u << i))
			continue;
		if (!(value & READ_BACK_NOT_COUNT))
			latch_count(&pit->channel[i], now_tick(pit));
		if (!(value & READ_BACK_NOT_STATUS))
			latch_status(&pit->channel[i], now_tick(pit));
	}
}

static void write_control(struct pit8254 *pit, uint8_t value)
{
	unsigned select = value >> 6;
	if (select == SELECT_READ_BACK)
		read_back(pit, value);
	else if ((value >> 4 & 3) == ACCESS_LATCH)
		latch_count(&pit->channel[select], now_tick(pit));
	else
		set_control(&pit->channel[select], value);
}

static void pit8254_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pit8254 *pit = device;
	if (offset == REG_CONTROL)
		write_control(pit, value);
	else
		write_count(&pit->channel[offset], value, now_tick(pit));
	update_irq(pit);
}

static uint8_t read_count(struct pit_channel *channel, uint64_t tick)
{
	uint16_t value = channel->latched_bytes ? channel->latched_count : counter(channel, tick);
	bool high = channel->access == ACCESS_HIGH;
	if (channel->access == ACCESS_BOTH) {
		high = channel->read_high_next;
		channel->read_high_next = !high;
	}
	if (channel->latched_bytes)
		channel->latched_bytes--;
	return high ? value >> 8 : value;
}

static uint64_t pit8254_read(void *device, uint64_t offset, unsigned size)
{
	struct pit8254 *pit = device;
	if (offset == REG_CONTROL)
		return 0xff; /* write-only */
	struct pit_channel *channel = &pit->channel[offset];
	if (channel->status_latched) {
		channel->status_latched = false;
		return channel->latched_status;
	}
	return read_count(channel, now_tick(pit));
}

static void set_gate(struct pit_channel *channel, bool gate, uint64_t tick)
{
	if (gate == channel->gate)
		return;
	if (!gate) {
		channel->held_ticks = tick - channel->start_tick;
	} else if (channel->mode == MODE_TERMINAL_COUNT || channel->mode == MODE_SOFTWARE_STROBE) {
		channel->start_tick = tick - channel->held_ticks;
	} else {
		channel->start_tick = tick; /* a rising gate starts the other modes anew */
		channel->triggered = channel->loaded;
	}
	channel->gate = gate;
}

static uint64_t port_b_read(void *device, uint64_t offset, unsigned size)
{
	struct pit8254 *pit = device;
	bool refresh = timer_queue_now(pit->rise.queue) / REFRESH_NS & 1;
	return pit->port_b | (refresh ? PORT_B_REFRESH : 0) |
	       (output(&pit->channel[2], now_tick(pit)) ? PORT_B_OUT : 0);
}

static void port_b_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pit8254 *pit = device;
	pit->port_b = value & PORT_B_KEPT;
	set_gate(&pit->channel[2], value & PORT_B_GATE, now_tick(pit));
}

const struct window_ops pit8254_window_ops = {.read = pit8254_read, .write = pit8254_write};
const struct window_ops pit8254_port_b_ops = {.read = port_b_read, .write = port_b_write};

void pit8254_reset(struct pit8254 *pit)
{
	for (unsigned i = 0; i < N_CHANNELS; i++)
		pit->channel[i] = (struct pit_channel){
			.mode = MODE_TERMINAL_COUNT,
			.access = ACCESS_BOTH,
			.gate = i != 2,
			.count = 65536,
			.start_tick = now_tick(pit),
		};
	pit->port_b = 0;
	update_irq(pit);
}

int pit8254_create(struct irq_line irq, struct timer_queue *timers, struct pit8254 **ret_pit)
{
	struct pit8254 *pit = calloc(1, sizeof(*pit));
	if (!pit)
		return -ENOMEM;
	pit->irq = irq;
	timer_init(&pit->rise, timers, output_rises, pit);
	pit8254_reset(pit);
	*ret_pit = pit;
	return 0;
}

void pit8254_destroy(struct pit8254 *pit)
{
	if (!pit)
		return;
	timer_disarm(&pit->rise);
	free(pit);
}

static void channel_save(const struct pit_channel *channel, Reprise__PitChannelState *ret_state)
{
	reprise__pit_channel_state__init(ret_state);
	ret_state->mode = channel->mode;
	ret_state->access = channel->access;
	ret_state->bcd = channel->bcd;
	ret_state->gate = channel->gate;
	ret_state->loaded = channel->loaded;
	ret_state->triggered = channel->triggered;
	ret_state->count = channel->count;
	ret_state->start_tick = channel->start_tick;
	ret_state->held_ticks = channel->held_ticks;
	ret_state->write_low = channel->write_low;
	ret_state->write_high_next = channel->write_high_next;
	ret_state->read_high_next = channel->read_high_next;
	ret_state->latched_bytes = channel->latched_bytes;
	ret_state->latched_count = channel->latched_count;
	ret_state->status_latched = channel->status_latched;
	ret_state->latched_status = channel->latched_status;
}

void pit8254_save(const struct pit8254 *pit, Reprise__PitState *ret_state,
		  Reprise__PitChannelState *ret_channels)
{
	reprise__pit_state__init(ret_state);
	for (unsigned i = 0; i < N_CHANNELS; i++)
		channel_save(&pit->channel[i], &ret_channels[i]);
	ret_state->channel_0 = &ret_channels[0];
	ret_state->channel_1 = &ret_channels[1];
	ret_state->channel_2 = &ret_channels[2];
	ret_state->port_b = pit->port_b;
}

static bool channel_possible(const Reprise__PitChannelState *state, uint64_t tick)
{
	bool periodic = state && (state->mode == MODE_RATE || state->mode == MODE_SQUARE);
	return state && state->mode < MODE_COUNT && state->access >= ACCESS_LOW &&
	       state->access <= ACCESS_BOTH &&
	       state->count >= (periodic && state->loaded ? 2 : 1) && state->count <= 65536 &&
	       state->start_tick <= tick && state->held_ticks <= tick && state->write_low <= 0xff &&
	       state->latched_bytes <= 2 && state->latched_count <= 0xffff &&
	       state->latched_status <= 0xff;
}

static void channel_restore(struct pit_channel *channel, const Reprise__PitChannelState *state)
{
	*channel = (struct pit_channel){
		.mode = state->mode,
		.access = state->access,
		.bcd = state->bcd,
		.gate = state->gate,
		.loaded = state->loaded,
		.triggered = state->triggered,
		.count = state->count,
		.start_tick = state->start_tick,
		.held_ticks = state->held_ticks,
		.write_low = state->write_low,
		.write_high_next = state->write_high_next,
		.read_high_next = state->read_high_next,
		.latched_bytes = state->latched_bytes,
		.latched_count = state->latched_count,
		.status_latched = state->status_latched,
		.latched_status = state->latched_status,
	};
}

int pit8254_restore(struct pit8254 *pit, const Reprise__PitState *state)
{
	const Reprise__PitChannelState *channels[N_CHANNELS] = {state->channel_0, state->channel_1,
								state->channel_2};
	for (unsigned i = 0; i < N_CHANNELS; i++)
		if (!channel_possible(channels[i], now_tick(pit)))
			return -EINVAL;
	/* Only channel 2 has a gate that moves. */
	if (!channels[0]->gate || !channels[1]->gate || (state->port_b & ~PORT_B_KEPT) ||
	    !channels[2]->gate != !(state->port_b & PORT_B_GATE))
		return -EINVAL;
	for (unsigned i = 0; i < N_CHANNELS; i++)
		channel_restore(&pit->channel[i], channels[i]);
	pit->port_b = state->port_b;
	arm_rise(pit);
	return 0;
}
