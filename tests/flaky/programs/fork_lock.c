/* A process forks while its other thread may hold a lock, and the child wants it. */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile long n_lines;

static void log_line(void)
{
	pthread_mutex_lock(&log_mutex);
	n_lines++;
	pthread_mutex_unlock(&log_mutex);
}

static void *work(void *arg)
{
	volatile long sum = 0;

	for (int i = 0; i < 200; i++) {
		for (int k = 0; k < 200; k++)
			sum += k;
		log_line();
	}
	return arg;
}

int main(void)
{
	pthread_t thread;
	int status;

	pthread_create(&thread, NULL, work, NULL);
	for (volatile int i = 0; i < 3000; i++)
		;
	pid_t child = fork();
	if (!child) {
		log_line();
		_exit(0);
	}
	pthread_join(thread, NULL);
	waitpid(child, &status, 0);
	puts("done");
	return 0;
}
