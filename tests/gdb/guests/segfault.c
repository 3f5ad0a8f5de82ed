/* Works a little, then writes to an address at which nothing is. */
#include <stdio.h>
#include <string.h>

void write_to(volatile int *where);

__attribute__((noinline)) void write_to(volatile int *where)
{
	*where = 1;
}

int main(int argc, char **argv)
{
	int here = 0;

	(void)argv;
	printf("before\n");
	fflush(stdout);
	write_to(&here);
	write_to((int *)(long)(argc * 16));
	return 0;
}
