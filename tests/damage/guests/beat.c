/* Says a line at each of 80 timer ticks, 20 a second, and sleeps in between: a recording of few
 * instructions that takes four seconds and so has several chunks. */
#include "tests/roundtrip/guests/guest.h"

#define BEATS 80

static __attribute__((interrupt)) void on_tick(struct frame *frame)
{
	end_of_interrupt(0);
}

void guest_main(void)
{
	set_handler(0x20, on_tick);
	set_up_pics(1 << 0);
	set_up_pit(20);
	for (int i = 0; i < BEATS; i++) {
		halt();
		put_line("beat", rdtsc());
	}
	put_text("beat done\n");
}
