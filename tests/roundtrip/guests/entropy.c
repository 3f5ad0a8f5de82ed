/* RDRAND for ever: a log that grows fast and does not compress. */
#include "guest.h"

void guest_main(void)
{
	uint32_t value;

	put_text("entropy\n");
	for (;;)
		__asm__ volatile("rdrand %0" : "=r"(value) : : "cc");
}
