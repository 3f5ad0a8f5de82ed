/* Halts for good. */
#include "guest.h"

void guest_main(void)
{
	put_text("halted\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
