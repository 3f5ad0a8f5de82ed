/* A consumer looks at a flag before it takes the lock. Hangs when the flag is set and signalled in
 * between. */
#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static volatile int ready;
static volatile long work;

static void *produce(void *arg)
{
	for (int i = 0; i < 3000; i++)
		work += i;
	pthread_mutex_lock(&mutex);
	ready = 1;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&mutex);
	return arg;
}

int main(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, produce, NULL);
	while (!ready) {
		pthread_mutex_lock(&mutex);
		pthread_cond_wait(&changed, &mutex);
		pthread_mutex_unlock(&mutex);
	}
	pthread_join(thread, NULL);
	puts("woken");
	return 0;
}
