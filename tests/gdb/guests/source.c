/*
 * A small 64-bit program without a kernel, for debugging at the level of its source. The comments
 * at the ends of lines are names by which the test finds them.
 */
#include <stdint.h>

struct account {
	long balance;
	unsigned changes;
};

struct account accounts[4];
volatile double average;
volatile long double exact;
char unaligned[8192] __attribute__((aligned(4096)));

static inline void put_char(char c)
{
	__asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((uint16_t)0x3f8));
}

void put_text(const char *text)
{
	while (*text)
		put_char(*text++);
}

long deposit(struct account *account, long amount)
{
	account->balance += amount; /* deposit: balance */
	account->changes++;         /* deposit: changes */
	return account->balance;    /* deposit: return */
}

long deposit_all(unsigned round)
{
	long total = 0; /* all: total */

	for (unsigned i = 0; i < 4; i++)                        /* all: loop */
		total += deposit(&accounts[i], round * 10 + i); /* all: call */
	return total;                                           /* all: return */
}

/* Writes over the end of a page, at no address that anything is aligned to. */
void write_across(unsigned round)
{
	*(volatile uint64_t *)(unaligned + 4093) = round; /* across: write */
}

void measure(unsigned round)
{
	long total = deposit_all(round); /* measure: all */

	average = (double)total / 4; /* measure: average */
	exact = total;
	exact /= 4;
	write_across(round);
}

/* Registers with known values, for as long as the debugger looks. */
void hold_registers(void)
{
	__asm__ volatile("mov %0, %%cr2" : : "r"(0x123456789a));
	__asm__ volatile("fld1\n\tfldpi");              /* hold: load */
	__asm__ volatile("fstp %st(0)\n\tfstp %st(0)"); /* hold: drop */
}

void guest_main(void)
{
	for (unsigned round = 1; round <= 10; round++) /* main: loop */
		measure(round);                        /* main: measure */
	hold_registers();
	put_text("source done\n"); /* main: done */
}
