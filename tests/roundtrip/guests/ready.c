/* Says that it is ready for its plan, as the agent of `reprise run` does, and works on afterwards.
 */
#include "guest.h"

#define CHANNEL 0x510
#define PLAN    (CHANNEL + 7)

static volatile uint32_t ticks;
static volatile uint32_t table[4096]; /* what was there when the state was saved */

static __attribute__((interrupt)) void on_tick(struct frame *frame)
{
	ticks++;
	end_of_interrupt(0);
}

void guest_main(void)
{
	uint32_t sum = 0;
	uint8_t n;

	set_handler(0x20, on_tick);
	set_up_pics(1 << 0);
	set_up_pit(1000);
	halt(); /* a timer runs when the state is saved */
	for (uint32_t i = 0; i < 4096; i++)
		table[i] = i * 2654435761u;
	outb(PLAN, 0);
	n = inb(PLAN);
	put_line("plan", n);
	for (uint32_t i = 0; i < 4096; i++)
		sum += table[i];
	put_line("table", sum);
	for (uint32_t k = ticks; ticks < k + 3;)
		halt();
	if (n == 'r')
		outb(0xcf9, 6);
	put_line("time", rdtsc() > 1000000);
	outb(CHANNEL + 5, 5);
}
