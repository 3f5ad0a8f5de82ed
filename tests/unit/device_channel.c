/* The channel of `reprise run`. */
#include "tests/unit/device_fixture.h"

#include "vmm/devices/channel.h"

static struct channel *channel;
static struct terminal streams[CHANNEL_STREAMS];
static unsigned exits;

static void exited(void *ctx)
{
	exits++;
}

static uint8_t in(unsigned offset)
{
	return channel_window_ops.read(channel, offset, 1);
}

static void out(unsigned offset, uint8_t value)
{
	channel_window_ops.write(channel, offset, 1, value);
}

static void test_streams(void)
{
	is_equal(in(CHANNEL_ID), CHANNEL_ID_VALUE, "identification");
	out(CHANNEL_STDOUT, 'o');
	out(CHANNEL_STDERR, 'e');
	tap_ok(streams[1].n_output == 1 && streams[1].output[0] == 'o', "stdout");
	tap_ok(streams[2].n_output == 1 && streams[2].output[0] == 'e', "stderr");

	terminal_type(&streams[0], "xy");
	is_equal(in(CHANNEL_STATUS), 0, "nothing waits before the poll");
	channel_poll_input(channel);
	is_equal(in(CHANNEL_STATUS), CHANNEL_STATUS_READY, "a byte waits");
	is_equal(in(CHANNEL_AVAILABLE), 2, "two of them");
	is_equal(in(CHANNEL_STDIN), 'x', "first");
	is_equal(in(CHANNEL_STATUS), CHANNEL_STATUS_READY, "not ended while one waits");
	is_equal(in(CHANNEL_STDIN), 'y', "second");
	is_equal(in(CHANNEL_STATUS), CHANNEL_STATUS_END, "then the end");
	is_equal(in(CHANNEL_STDIN), 0, "nothing left");
}

static void test_plan(void)
{
	tap_ok(!channel_ready(channel), "not ready for the plan");
	is_equal(in(CHANNEL_PLAN), 'p', "first byte of the plan");
	out(CHANNEL_READY, 1);
	tap_ok(channel_ready(channel), "ready");
	is_equal(in(CHANNEL_PLAN), 'p', "then the plan begins anew");
	is_equal(in(CHANNEL_PLAN), 'q', "goes on");
	is_equal(in(CHANNEL_PLAN), 0, "and ends");
	out(CHANNEL_RESULTS, 'r');
	tap_ok(streams[3].n_output == 1 && streams[3].output[0] == 'r', "results");
}

static void test_exit(void)
{
	int status = -1;
	tap_ok(!channel_exited(channel, &status) && status == -1, "not ended");
	out(CHANNEL_EXIT, 7);
	tap_ok(channel_exited(channel, &status) && status == 7, "exit status");
	out(CHANNEL_EXIT, 8);
	tap_ok(channel_exited(channel, &status) && status == 7, "the first counts");
	is_equal(exits, 1, "and is told once");
	channel_reset(channel);
	out(CHANNEL_EXIT_SIGNAL, 11);
	tap_ok(channel_exited(channel, &status) && status == 139, "died by signal 11");
}

static void test_notes(void)
{
	out(CHANNEL_NOTE, CHANNEL_NOTE_CRASH);
	out(CHANNEL_NOTE, CHANNEL_NOTE_NETWORK);
	is_equal(channel_notes(channel), CHANNEL_NOTE_CRASH | CHANNEL_NOTE_NETWORK, "notes add up");
	channel_reset(channel);
	is_equal(channel_notes(channel), 0, "until a reset");
}

static void test_size(void)
{
	static const uint8_t expected[] = {0x2c, 0x01, 80, 0};
	bool same = true;

	is_equal(in(CHANNEL_STATUS)&CHANNEL_STATUS_SIZE, 0, "no size is new");
	is_equal(in(CHANNEL_SIZE), 0, "and none is read");
	channel_resize(channel, 24, 80);
	in(CHANNEL_SIZE);
	channel_resize(channel, 300, 80);
	for (unsigned i = 0; i < sizeof(expected); i++) {
		is_equal(in(CHANNEL_STATUS)&CHANNEL_STATUS_SIZE, CHANNEL_STATUS_SIZE,
			 "a size waits");
		same &= in(CHANNEL_SIZE) == expected[i];
	}
	tap_ok(same, "the newest size, from its start");
	is_equal(in(CHANNEL_STATUS)&CHANNEL_STATUS_SIZE, 0, "read to its end");
}

int main(void)
{
	struct channel_config config = {
		.plan = (const uint8_t *)"pq", .plan_bytes = 2, .exited = exited};
	for (unsigned i = 0; i < CHANNEL_STREAMS; i++)
		config.stream[i] = terminal_backend(&streams[i]);
	channel_create(&config, &channel);
	test_streams();
	test_plan();
	test_exit();
	test_notes();
	test_size();
	channel_destroy(channel);
	return tap_done();
}
