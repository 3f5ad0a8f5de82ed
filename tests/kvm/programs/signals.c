/*
 * Signals of all kinds, many of them: sent, of faults that a handler puts right or steps over, of a
 * timer that interrupts computing. Prints what does not depend on time, and exits with 1 when
 * something is wrong.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define SENT   20000
#define FAULTS 5000
#define TICKS  20

static volatile uint64_t sent, faults, divisions, illegal, ticks, sum;
static uint8_t *page;

static void on_sent(int number)
{
	(void)number;
	sent++;
	sum = sum * 31 + sent;
}

/* Makes the page accessible, so that the access is made again. */
static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	faults++;
	sum = sum * 31 + (uint64_t)((uint8_t *)info->si_addr - page);
	if (mprotect(page, 4096, PROT_READ | PROT_WRITE))
		_exit(3);
}

/* Steps over the DIV, which has two bytes, with a result of its own. */
static void on_division(int number, siginfo_t *info, void *context)
{
	greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)number;
	(void)info;
	divisions++;
	gregs[REG_RIP] += 2;
	gregs[REG_RAX] = 42;
}

/* Steps over the UD2. */
static void on_illegal(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	illegal++;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

static void on_tick(int number)
{
	(void)number;
	ticks++;
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigaction(number, &action, NULL);
}

static uint32_t divide_by_zero(void)
{
	uint32_t result = 7, high = 0, zero = 0;

	__asm__ volatile("div %2" : "+a"(result), "+d"(high) : "c"(zero) : "cc");
	return result;
}

static void faulting(void)
{
	for (unsigned i = 0; i < FAULTS; i++) {
		if (mprotect(page, 4096, i % 2 ? PROT_NONE : PROT_READ))
			_exit(4);
		page[i % 4096] = (uint8_t)i; /* faults, is made again */
		if (page[i % 4096] != (uint8_t)i || divide_by_zero() != 42)
			_exit(5);
		__asm__ volatile("ud2");
	}
}

static uint64_t compute(void)
{
	uint64_t a = 1, bits;
	double b = 1;

	for (unsigned i = 0; i < 100000; i++) {
		a = a * 6364136223846793005u + 1442695040888963407u;
		b = b * 0.999 + 1;
	}
	memcpy(&bits, &b, sizeof(bits));
	return a ^ bits;
}

/* A computation that the timer must not disturb. Returns how often it did. */
static uint64_t compute_until_ticks(void)
{
	struct itimerval timer = {.it_interval.tv_usec = 4000, .it_value.tv_usec = 4000};
	uint64_t wrong = 0, right = compute();

	setitimer(ITIMER_REAL, &timer, NULL);
	while (ticks < TICKS)
		wrong += compute() != right;
	timer = (struct itimerval){0};
	setitimer(ITIMER_REAL, &timer, NULL);
	return wrong;
}

int main(void)
{
	stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};

	page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || !stack.ss_sp || sigaltstack(&stack, NULL))
		return 2;
	signal(SIGUSR1, on_sent);
	signal(SIGALRM, on_tick);
	handle(SIGSEGV, on_fault);
	handle(SIGFPE, on_division);
	handle(SIGILL, on_illegal);
	for (unsigned i = 0; i < SENT; i++)
		kill(getpid(), SIGUSR1);
	faulting();
	uint64_t wrong = compute_until_ticks();
	printf("%llu sent, %llu faults, %llu divisions, %llu illegal, sum %llx, %llu wrong\n",
	       (unsigned long long)sent, (unsigned long long)faults, (unsigned long long)divisions,
	       (unsigned long long)illegal, (unsigned long long)sum, (unsigned long long)wrong);
	return wrong != 0;
}
