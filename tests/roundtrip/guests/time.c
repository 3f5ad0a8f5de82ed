/* Reads every clock there is, and takes timer interrupts both halted and busy. */
#include "guest.h"

static volatile uint32_t ticks;
static volatile uint64_t busy;

static __attribute__((interrupt)) void on_tick(struct frame *frame)
{
	ticks++;
	end_of_interrupt(0);
}

static uint8_t rtc(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static uint16_t pit_count(void)
{
	uint8_t low;

	outb(0x43, 0x00);
	low = inb(0x40);
	return (uint16_t)(low | inb(0x40) << 8);
}

void guest_main(void)
{
	put_line("rtc", (uint64_t)rtc(9) << 40 | (uint64_t)rtc(8) << 32 | rtc(7) << 24 |
				rtc(4) << 16 | rtc(2) << 8 | rtc(0));
	set_handler(0x20, on_tick);
	set_up_pics(1 << 0);
	set_up_pit(1000);
	for (int i = 0; i < 20; i++) {
		halt();
		put_line("halted", rdtsc());
		put_line("pit", pit_count());
		put_line("pm", inl(0x608));
	}
	__asm__ volatile("sti");
	while (ticks < 40)
		busy++;
	__asm__ volatile("cli");
	put_line("busy", busy);
	put_line("tsc", rdtsc());
	put_text("time done\n");
}
