/*
 * A data race that an assertion notices: one thread takes money out of the till and puts it back
 * while another counts.
 */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>

static volatile int till = 100;
static volatile long rounds, turns;

static void wait_a_little(int n)
{
	for (volatile int i = 0; i < n; i++)
		;
}

static void *borrow(void *argument)
{
	for (;;) {
		till -= 10; /* the racing write */
		wait_a_little(40);
		till += 10; /* and back */
		turns++;
		wait_a_little(60);
	}
	return argument;
}

/* The other thread runs when this one, always in user mode, is preempted. */
static void be_preempted(void)
{
	long seen = turns;

	while (turns == seen)
		;
}

static void count(void)
{
	int counted = till;

	assert(counted == 100); /* the assertion */
}

int main(void)
{
	pthread_t thread;

	wait_a_little(4000000); /* long enough for a ^C to come in between */
	pthread_create(&thread, NULL, borrow, NULL);
	be_preempted();
	rounds = 0; /* both have run */
	for (;;) {
		count();
		rounds++;
	}
}
