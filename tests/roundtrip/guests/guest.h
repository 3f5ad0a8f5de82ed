/* What the test guests share: ports, console, interrupts, power. Freestanding; 32-bit, but for
 * long.c. */
#ifndef REPRISE_TESTS_ROUNDTRIP_GUEST_H
#define REPRISE_TESTS_ROUNDTRIP_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void guest_main(void);
void guest_ap_main(void);
void guest_power_off(void) __attribute__((noreturn));

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;
	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline void halt(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* ---- guest.c ---- */

void put_char(char c);
void put_text(const char *text);
void put_hex(uint64_t value, unsigned digits);
/* "name value\n" */
void put_line(const char *name, uint64_t value);

/* PICs at vectors 0x20 and 0x28, only the IRQs of mask enabled (bit n: IRQ n). */
void set_up_pics(uint16_t enabled);
void end_of_interrupt(uint8_t irq);

/* PIT channel 0 as a rate generator. */
void set_up_pit(uint32_t hz);

/* ---- gates.c: 32-bit ---- */

/* Interrupt frame of a handler without error code. */
struct frame;
void set_handler(uint8_t vector, void (*handler)(struct frame *frame));

#endif
