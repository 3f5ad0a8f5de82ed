/* A signal handler allocates memory. Hangs when the signal comes while malloc() holds its lock. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

/* Larger than what malloc() keeps for each thread without a lock. */
#define BYTES  3000
#define ROUNDS 3000

static void *volatile kept;

static void on_alarm(int number)
{
	(void)number;
	free(malloc(BYTES));
}

static void *idle(void *arg)
{
	return arg;
}

int main(void)
{
	const struct itimerval soon = {.it_value = {.tv_usec = 100}};
	pthread_t thread;

	/* With a second thread malloc() locks. */
	pthread_create(&thread, NULL, idle, NULL);
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &soon, NULL);
	volatile unsigned long sum = 0;
	for (int i = 0; i < ROUNDS; i++) {
		for (int k = 0; k < 60; k++)
			sum += (unsigned long)k;
		if (i % 8 == 0) {
			kept = malloc(BYTES);
			free(kept);
		}
	}
	pthread_join(thread, NULL);
	puts("done");
	return 0;
}
