/*
 * Two processes that run the same code at the same addresses, by turns; in each there are two
 * threads, of which either may take the turn. What they do differs in the numbers only that they
 * hand over.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 4

static int to_child[2], to_parent[2];
static int in, out;
static volatile int met, runs;
static volatile int child;
static pthread_barrier_t last;

/* Where the breakpoints are: the first argument tells who is there and when. */
static __attribute__((noinline)) void meet(int number)
{
	met = number;
}

static void take_turn(int number)
{
	char turn;

	if (read(in, &turn, 1) != 1)
		_exit(1);
	meet(number);
	if (write(out, &turn, 1) != 1)
		_exit(1);
}

/* Tens for the rounds, the unit for the thread. */
static void *run(void *argument)
{
	int number = *(int *)argument;

	for (int round = 0; round < ROUNDS; round++)
		take_turn(number + 10 * round);
	return NULL;
}

static void *run_second(void *argument)
{
	runs = 1;
	run(argument);
	pthread_barrier_wait(&last);
	return NULL;
}

static void run_twice(int base, int from, int to)
{
	int first = base + 1, second = base + 2;
	pthread_t thread;

	in = from;
	out = to;
	pthread_barrier_init(&last, NULL, 2);
	pthread_create(&thread, NULL, run_second, &second);
	while (!runs) /* both are there before the first turn */
		sched_yield();
	run(&first);
	pthread_barrier_wait(&last); /* and behind the last */
	pthread_join(thread, NULL);
}

int main(void)
{
	if (pipe(to_child) || pipe(to_parent))
		return 1;
	child = fork();
	if (!child) {
		run_twice(200, to_child[0], to_parent[1]);
		_exit(0);
	}
	if (write(to_parent[1], "x", 1) != 1)
		return 1;
	run_twice(100, to_parent[0], to_child[1]);
	wait(NULL);
	return 0;
}
