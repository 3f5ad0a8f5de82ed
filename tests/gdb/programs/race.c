/*
 * A data race: one thread takes away what another looks at between its check and its use. It ends
 * in SIGSEGV as soon as the scheduler comes in between.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct item {
	int value;
	char name[12];
};

static struct item only = {.value = 7, .name = "only"};
static struct item *volatile shared = &only;
static volatile long rounds;
static __thread int mine;
static volatile int held;
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

/* Blocks with known values in its registers: nothing of the C library comes in between. */
static void *hold(void *argument)
{
	static const double low[2] = {1.5, -2.25};
	static const unsigned long high[2] = {0x0123456789abcdef, 0x1122334455667788};
	long call = SYS_pause;

	__asm__ volatile("movupd %[low], %%xmm0\n\t"
			 "movdqu %[high], %%xmm8\n\t"
			 "fldpi\n\t"
			 "movl $1, %[held]\n\t"
			 "syscall\n\t"
			 "fstp %%st(0)"
			 : "+a"(call), [held] "=m"(held)
			 : [low] "m"(low), [high] "m"(high)
			 : "rcx", "r11", "memory", "xmm0", "xmm8", "st");
	return argument;
}

static void start_hold(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, hold, NULL);
	while (!held)
		sched_yield();
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
	start_hold();
	pthread_create(&thread, NULL, replace, &number);
	for (;;) {
		look();
		rounds++;
	}
}
