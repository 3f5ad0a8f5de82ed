/* The serial port: interrupts and their order, FIFO, loopback as Linux's autoconfig tests it. */
#include "tests/unit/device_fixture.h"

#include "vmm/devices/devices.pb-c.h"
#include "vmm/devices/uart16550.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static struct timer_queue *timers;
static struct uart16550 *uart;
static struct terminal terminal;
static struct wire wire;

static uint8_t in(unsigned offset)
{
	return uart16550_window_ops.read(uart, offset, 1);
}

static void out(unsigned offset, uint8_t value)
{
	uart16550_window_ops.write(uart, offset, 1, value);
}

static void set_up(uint8_t fcr, uint8_t ier)
{
	uart16550_reset(uart);
	memset(&terminal, 0, sizeof(terminal));
	memset(&wire, 0, sizeof(wire));
	out(LCR, 0x83);
	out(DATA, 1); /* 115200 baud */
	out(IER, 0);
	out(LCR, 0x03);
	out(MCR, 0x0b);
	out(IIR, fcr);
	out(IER, ier);
}

static void test_registers(void)
{
	set_up(0, 0);
	is_equal(in(LSR), 0x60, "transmitter is empty");
	is_equal(in(MSR)&0xf0, 0xb0, "carrier, data set ready, clear to send");
	out(SCR, 0xa5);
	is_equal(in(SCR), 0xa5, "scratch register");
	out(LCR, 0x83);
	is_equal(in(DATA) | in(IER) << 8, 1, "divisor latch");
	out(LCR, 0x03);
	out(IER, 0xff);
	is_equal(in(IER), 0x0f, "only four interrupt enables (autoconfig)");
	out(IER, 0);
	is_equal(in(IIR), 0x01, "no interrupt, no FIFO");
	out(IIR, 0x01);
	is_equal(in(IIR), 0xc1, "FIFO enabled: a 16550A");
}

static void test_transmit(void)
{
	set_up(0xc1, 0);
	out(DATA, 'x');
	tap_ok(terminal.n_output == 1 && terminal.output[0] == 'x', "a byte reaches the host");
	tap_ok(!wire.level, "no interrupt while it is not enabled");
	out(IER, 0x02);
	tap_ok(wire.level, "enabling the transmitter's interrupt raises it");
	is_equal(in(IIR), 0xc2, "IIR: transmitter empty");
	tap_ok(!wire.level, "reading IIR takes it away");
	is_equal(in(IIR), 0xc1, "and it does not come back by itself");
	out(IER, 0);
	out(IER, 0x02);
	is_equal(in(IIR), 0xc2, "enabled again it is back (UART_BUG_THRE test)");
	unsigned rises = wire.rises;
	out(DATA, 'y');
	out(DATA, 'z');
	is_equal(wire.rises, rises + 2, "every byte makes an edge");
	out(MCR, 0x03);
	tap_ok(!wire.level, "OUT2 gates the line");
	out(MCR, 0x0b);
	tap_ok(wire.level, "and lets it through");
}

static void test_receive(void)
{
	char byte;
	set_up(0x81, 0x01); /* trigger level 8 */
	terminal_type(&terminal, "0123456789abcdefghij");
	uart16550_poll_input(uart);
	is_equal(terminal.n_input, 4, "the FIFO takes 16 bytes, no more");
	is_equal(in(IIR), 0xc4, "IIR: data available");
	for (unsigned i = 0; i < 9; i++)
		byte = in(DATA);
	tap_ok(byte == '8', "bytes come in order");
	is_equal(in(IIR), 0xc1, "below the trigger level no interrupt");
	timer_queue_advance(timers, timer_queue_now(timers) + 400000);
	is_equal(in(IIR), 0xcc, "after four character times: time-out");
	tap_ok(wire.level, "with the line high");
	in(DATA);
	is_equal(in(IIR), 0xc1, "a read ends it");
	uart16550_poll_input(uart);
	is_equal(terminal.n_input, 0, "room again: the rest arrives");
	out(IIR, 0x83);
	is_equal(in(LSR)&1, 0, "FIFO control clears the receiver");
	is_equal(timer_queue_deadline(timers), UINT64_MAX, "and the time-out");

	set_up(0, 0x01);
	terminal_type(&terminal, "ab");
	uart16550_poll_input(uart);
	is_equal(terminal.n_input, 1, "without FIFO one byte is taken");
	is_equal(in(IIR), 0x04, "at once available");
	is_equal(in(DATA), 'a', "and read");
}

static void test_priority(void)
{
	static const struct {
		uint8_t expected;
		const char *what;
	} order[] = {
		{0xc6, "line status first"}, {0xc4, "then received data"},
		{0xc2, "then transmitter"},  {0xc0, "then modem status"},
		{0xc1, "then none"},
	};
	set_up(0x01, 0);
	out(MCR, 0x10); /* loopback, all outputs off: modem inputs change */
	for (unsigned i = 0; i < 17; i++)
		out(DATA, 'a' + i); /* one too many: overrun */
	out(IER, 0x0f);
	for (unsigned i = 0; i < sizeof(order) / sizeof(*order); i++) {
		is_equal(in(IIR), order[i].expected, order[i].what);
		if (i == 0)
			is_equal(in(LSR)&0x02, 0x02, "overrun is shown once");
		if (i == 1)
			for (unsigned j = 0; j < 16; j++)
				in(DATA);
		if (i == 3)
			in(MSR);
	}
	is_equal(in(LSR), 0x60, "nothing is left");
	is_equal(terminal.n_output, 0, "loopback sends nothing to the host");
}

static void test_loopback(void)
{
	set_up(0, 0);
	out(MCR, 0x1a); /* as autoconfig: LOOP | OUT2 | RTS */
	is_equal(in(MSR)&0xf0, 0x90, "autoconfig's loopback test");
	out(MCR, 0x14);
	is_equal(in(MSR)&0xf0, 0x40, "OUT1 shows as ring");
	out(MCR, 0x10);
	is_equal(in(MSR)&0x04, 0x04, "trailing edge of ring");
	out(IER, 0x02);
	out(MCR, 0x18);
	tap_ok(!wire.level, "the line is dead in loopback");
	terminal_type(&terminal, "a");
	uart16550_poll_input(uart);
	is_equal(terminal.n_input, 1, "input waits during loopback");
}

static void test_save(void)
{
	Reprise__UartState state;
	set_up(0x81, 0x01);
	terminal_type(&terminal, "hello");
	uart16550_poll_input(uart);
	uart16550_save(uart, &state);
	size_t n = reprise__uart_state__get_packed_size(&state);
	uint8_t *bytes = malloc(n);
	reprise__uart_state__pack(&state, bytes);
	Reprise__UartState *copy = reprise__uart_state__unpack(NULL, n, bytes);
	uart16550_reset(uart);
	is_equal(uart16550_restore(uart, copy), 0, "a saved state is restored");
	is_equal(in(DATA), 'h', "with what was received");
	copy->line_errors = 0x20;
	is_equal(uart16550_restore(uart, copy), (uint64_t)-22, "an impossible one is refused");
	reprise__uart_state__free_unpacked(copy, NULL);
	free(bytes);
}

int main(void)
{
	struct char_backend backend = terminal_backend(&terminal);
	timer_queue_create(&timers);
	uart16550_create(&backend, wire_line(&wire), timers, &uart);
	test_registers();
	test_transmit();
	test_receive();
	test_priority();
	test_loopback();
	test_save();
	uart16550_destroy(uart);
	timer_queue_destroy(timers);
	return tap_done();
}
