/* Two vCPUs: started by INIT and SIPI, a lock, messages by interrupt. */
#include "guest.h"

#define LAPIC 0xfee00000

extern const uint8_t ap_start[], ap_end[];

static volatile uint32_t lock, shared, ap_rounds, ap_up, pings;

static void lapic_write(uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)(LAPIC + reg) = value;
}

static __attribute__((interrupt)) void on_ping(struct frame *frame)
{
	pings++;
	lapic_write(0xb0, 0);
}

static void take(volatile uint32_t *word)
{
	while (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE))
		__asm__ volatile("pause");
}

static void work(unsigned rounds, uint32_t step)
{
	while (rounds--) {
		take(&lock);
		shared = shared * 7 + step;
		__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	}
}

void guest_ap_main(void)
{
	set_handler(0x30, on_ping);
	lapic_write(0xf0, 0x1ff);
	ap_up = 1;
	while (pings < 3)
		halt();
	work(20000, 3);
	ap_rounds = 1;
}

static void send(uint32_t command)
{
	lapic_write(0x310, 1 << 24);
	lapic_write(0x300, command);
}

static void wait_ns(uint64_t ns)
{
	uint64_t until = rdtsc() + ns;

	while (rdtsc() < until)
		;
}

void guest_main(void)
{
	uint8_t *trampoline = (uint8_t *)0x8000;

	for (size_t i = 0; i < (size_t)(ap_end - ap_start); i++)
		trampoline[i] = ap_start[i];
	lapic_write(0xf0, 0x1ff);
	send(0x4500);
	wait_ns(10000);
	send(0x4608);
	while (!ap_up)
		__asm__ volatile("pause");
	put_text("second vCPU is up\n");
	for (uint32_t i = 1; i <= 3; i++) {
		send(0x4030);
		while (pings < i)
			__asm__ volatile("pause");
	}
	work(20000, 5);
	while (!ap_rounds)
		__asm__ volatile("pause");
	put_line("shared", shared);
	put_text("smp done\n");
}
