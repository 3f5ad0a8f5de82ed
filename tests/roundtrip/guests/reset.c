/* Resets itself until guest time has come far enough; RAM must be as new each time. */
#include "guest.h"

static uint32_t mark = 0x600d;

void guest_main(void)
{
	put_line(mark == 0x600d ? "fresh" : "stale", mark);
	mark = 0xbad;
	while (rdtsc() < 3000000) {
		uint64_t later = rdtsc() + 1100000;

		while (rdtsc() < later)
			;
		outb(0xcf9, 6);
	}
	put_text("reset done\n");
}
