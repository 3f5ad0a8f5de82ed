/* Floods the console: a million characters in numbered lines, as fast as the port takes them. */
#include "tests/roundtrip/guests/guest.h"

#define LINES 15625 /* of 64 characters */

void guest_main(void)
{
	for (uint32_t line = 0; line < LINES; line++) {
		put_hex(line, 8);
		for (unsigned i = 0; i < 55; i++)
			put_char((char)('!' + (line + i) % 94));
		put_char('\n');
	}
	/* Once more without asking whether the port is ready. */
	for (unsigned i = 0; i < 100000; i++)
		outb(0x3f8, '.');
	put_text("\nflood done\n");
}
