/* A table is replaced in two steps, and for a moment there is none. Fails when a reader looks just
 * then. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 300

struct table {
	int version;
};

static struct table *volatile table;

static void renew(int version)
{
	struct table *old = table;

	table = NULL; /* the racing write */
	old->version = version;
	table = old;
}

static void *renew_often(void *arg)
{
	for (int i = 1; i <= ROUNDS; i++)
		renew(i);
	return arg;
}

static int look(void)
{
	return table->version; /* the crash */
}

int main(void)
{
	pthread_t thread;
	long sum = 0;

	table = malloc(sizeof(*table));
	table->version = 0;
	pthread_create(&thread, NULL, renew_often, NULL);
	for (int i = 0; i < ROUNDS; i++)
		sum += look();
	pthread_join(thread, NULL);
	printf("sum %ld\n", sum);
	return 0;
}
