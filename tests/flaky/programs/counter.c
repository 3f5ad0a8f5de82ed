/* Two threads count without a lock. Fails when one is interrupted between load and store. */
#include <pthread.h>
#include <stdio.h>

#define ROUNDS 400

static volatile long counter;

static void *count(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		counter = counter + 1;
	return arg;
}

int main(void)
{
	pthread_t a, b;

	pthread_create(&a, NULL, count, NULL);
	pthread_create(&b, NULL, count, NULL);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	printf("counted %ld of %d\n", counter, 2 * ROUNDS);
	return counter == 2 * ROUNDS ? 0 : 1;
}
