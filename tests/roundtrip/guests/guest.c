#include "guest.h"

#define COM1 0x3f8

void put_char(char c)
{
	while (!(inb(COM1 + 5) & 0x20))
		;
	outb(COM1, (uint8_t)c);
}

void put_text(const char *text)
{
	while (*text)
		put_char(*text++);
}

void put_hex(uint64_t value, unsigned digits)
{
	while (digits--)
		put_char("0123456789abcdef"[value >> 4 * digits & 15]);
}

void put_line(const char *name, uint64_t value)
{
	put_text(name);
	put_char(' ');
	put_hex(value, 16);
	put_char('\n');
}

void set_up_pics(uint16_t enabled)
{
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, 0x20);
	outb(0xa1, 0x28);
	outb(0x21, 0x04);
	outb(0xa1, 0x02);
	outb(0x21, 0x01);
	outb(0xa1, 0x01);
	outb(0x21, (uint8_t)~enabled);
	outb(0xa1, (uint8_t)(~enabled >> 8));
}

void end_of_interrupt(uint8_t irq)
{
	if (irq >= 8)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

void set_up_pit(uint32_t hz)
{
	uint32_t divisor = 1193182 / hz;

	outb(0x43, 0x34);
	outb(0x40, (uint8_t)divisor);
	outb(0x40, (uint8_t)(divisor >> 8));
}

/* ACPI: SLP_TYP 5 with SLP_EN in PM1 control. */
void guest_power_off(void)
{
	outw(0x604, 5 << 10 | 1 << 13);
	for (;;)
		__asm__ volatile("cli; hlt");
}
