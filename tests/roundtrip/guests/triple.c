/* A triple fault: an exception without an interrupt table. */
#include "guest.h"

void guest_main(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) pointer = {0, 0};

	put_text("triple\n");
	__asm__ volatile("lidt %0; int3" : : "m"(pointer));
}
