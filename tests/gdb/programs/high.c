/* A program in a guest whose free memory lies above 4 GiB: one entry of a table is written wrongly.
 */
#include <stdio.h>

static volatile long table[1 << 16];

static void fill(void)
{
	for (long i = 0; i < 1 << 16; i++)
		table[i] = i;
}

static void spoil(void)
{
	table[777] = -1; /* the wrong write */
}

int main(void)
{
	long sum = 0;

	fill();
	spoil();
	for (long i = 0; i < 1 << 16; i++)
		sum += table[i];
	printf("%ld\n", sum);
	return 0;
}
