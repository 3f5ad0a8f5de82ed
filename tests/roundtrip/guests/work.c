/* Works for ever: memory, arithmetic, the timer, a line now and then. */
#include "guest.h"

static uint32_t words[65536];
static volatile uint32_t ticks;

static __attribute__((interrupt)) void on_tick(struct frame *frame)
{
	ticks++;
	end_of_interrupt(0);
}

void guest_main(void)
{
	uint32_t x = 1;

	set_handler(0x20, on_tick);
	set_up_pics(1 << 0);
	set_up_pit(100);
	__asm__ volatile("sti");
	for (uint32_t round = 0;; round++) {
		for (unsigned i = 0; i < 200000; i++) {
			x = x * 1664525 + 1013904223;
			words[x >> 16] += x ^ ticks;
		}
		put_line("round", (uint64_t)round << 32 | words[round & 65535]);
	}
}
