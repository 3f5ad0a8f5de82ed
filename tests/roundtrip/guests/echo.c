/* Reads the console by polling, then by interrupt, and says it back; a line each. */
#include "guest.h"

#define COM1 0x3f8

static volatile char line[64];
static volatile unsigned length;

static __attribute__((interrupt)) void on_uart(struct frame *frame)
{
	while (inb(COM1 + 5) & 1) {
		char c = (char)inb(COM1);
		if (length < sizeof(line))
			line[length++] = c;
	}
	end_of_interrupt(4);
}

static void say_line(const char *how)
{
	put_text(how);
	for (unsigned i = 0; i < length; i++)
		put_char(line[i]);
	length = 0;
}

void guest_main(void)
{
	outb(COM1 + 2, 0x07); /* FIFOs on and cleared: what came too early is lost */
	do {
		while (!(inb(COM1 + 5) & 1))
			;
		line[length++] = (char)inb(COM1);
	} while (line[length - 1] != '\n');
	say_line("polled: ");

	set_handler(0x24, on_uart);
	set_up_pics(1 << 4);
	outb(COM1 + 4, 0x0b); /* DTR, RTS, OUT2 */
	outb(COM1 + 1, 0x01);
	while (!length || line[length - 1] != '\n')
		halt();
	say_line("interrupt: ");
	put_text("echo done\n");
}
