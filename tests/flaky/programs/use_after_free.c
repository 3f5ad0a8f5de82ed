/* A reader takes a pointer that a writer replaces and frees. Fails when it is freed while the
 * reader looks at it. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 200

struct config {
	unsigned long magic;
	int level;
};

#define MAGIC 0x600dc0ffee5afe00UL

static struct config *volatile current;
static volatile int done;

static struct config *make(int level)
{
	struct config *config = malloc(sizeof(*config));

	config->magic = MAGIC;
	config->level = level;
	return config;
}

static void *replace(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct config *old = current;

		current = make(i);
		free(old);
	}
	done = 1;
	return arg;
}

static int read_level(void)
{
	struct config *config = current;

	if (config->magic != MAGIC) {
		fprintf(stderr, "the configuration is not one: %lx\n", config->magic);
		abort();
	}
	return config->level;
}

int main(void)
{
	pthread_t thread;
	long sum = 0;

	current = make(0);
	pthread_create(&thread, NULL, replace, NULL);
	for (int i = 0; i < ROUNDS && !done; i++)
		sum += read_level();
	pthread_join(thread, NULL);
	printf("sum %ld\n", sum);
	return 0;
}
