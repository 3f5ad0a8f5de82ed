/* main() returns while a thread that nobody joins still writes to a table, which is freed at exit.
 * The thread has plenty of time to be done, as a rule. */
#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>

#define ENTRIES 2000

static int *volatile table;

static void forget(void)
{
	free((void *)table);
	table = NULL;
}

static void *fill(void *arg)
{
	for (int i = 0; i < ENTRIES; i++)
		table[i] = i;
	return arg;
}

int main(void)
{
	pthread_t thread;

	table = malloc(ENTRIES * sizeof(int));
	atexit(forget);
	pthread_create(&thread, NULL, fill, NULL);
	pthread_detach(thread);
	usleep(1000);
	puts("done");
	return 0;
}
