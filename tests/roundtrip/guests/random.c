/* RDRAND and RDSEED in every loop, folded into memory. */
#include "guest.h"

static uint32_t table[4096];

static uint32_t rdrand(void)
{
	uint32_t value;
	__asm__ volatile("rdrand %0" : "=r"(value) : : "cc");
	return value;
}

static uint16_t rdseed(void)
{
	uint16_t value;
	__asm__ volatile("rdseed %0" : "=r"(value) : : "cc");
	return value;
}

void guest_main(void)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < 2000; i++) {
		sum = sum * 31 + rdrand();
		table[sum % 4096] ^= rdseed();
	}
	for (unsigned i = 0; i < 4096; i++)
		sum = sum * 33 + table[i];
	put_line("sum", sum);
	put_text("random done\n");
}
