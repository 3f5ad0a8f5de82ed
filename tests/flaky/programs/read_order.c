/* Two threads read a file each, the second begins 10 ms later; the results are taken to come in
 * that order. Fails when the first file takes its time. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define HEAD_START_US 10000

static const char *const path[] = {"/etc/passwd", "/etc/group"};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int order[2], n_read;

static void *read_file(void *arg)
{
	int number = *(int *)arg, fd = open(path[number], O_RDONLY);
	char text[4096];

	while (read(fd, text, sizeof(text)) > 0)
		;
	close(fd);
	pthread_mutex_lock(&mutex);
	order[n_read++] = number;
	pthread_mutex_unlock(&mutex);
	return arg;
}

int main(void)
{
	int number[] = {0, 1};
	pthread_t thread[2];

	pthread_create(&thread[0], NULL, read_file, &number[0]);
	usleep(HEAD_START_US);
	pthread_create(&thread[1], NULL, read_file, &number[1]);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	printf("%s, then %s\n", path[order[0]], path[order[1]]);
	return order[0] == 0 ? 0 : 1;
}
