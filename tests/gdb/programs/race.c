/*
 * A data race: one thread takes away what another looks at between its check and its use. It ends
 * in SIGSEGV as soon as the scheduler comes in between.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct item {
	int value;
	char name[12];
};

static struct item only = {.value = 7, .name = "only"};
static struct item *volatile shared = &only;
static volatile long rounds;
static __thread int mine;
/* Nothing reads so far into the file: these pages get into no RAM. */
const char far[8 << 20] = {[6 << 20] = 'f', 'a', 'r'};

static void wait_a_little(int n)
{
	for (volatile int i = 0; i < n; i++)
		;
}

static void *replace(void *argument)
{
	mine = *(int *)argument;
	for (;;) {
		shared = NULL; /* the racing write */
		wait_a_little(50);
		shared = &only; /* and back */
		wait_a_little(50);
	}
	return NULL;
}

static int look(void)
{
	int sum = 0;

	if (shared) {
		wait_a_little(20);
		sum += shared->value; /* the crash */
	}
	return sum;
}

int main(void)
{
	pthread_t thread;
	int number = 42;
	char text[32] = "";
	ssize_t n = read(STDIN_FILENO, text, sizeof(text) - 1);

	printf("%zd bytes: %s\n", n, text);
	fflush(stdout);
	mine = 1;
	pthread_create(&thread, NULL, replace, &number);
	for (;;) {
		look();
		rounds++;
	}
}
