/* Interrupt gates of the 32-bit guests. */
#include "guest.h"

struct gate {
	uint16_t offset_low, selector;
	uint8_t zero, attributes;
	uint16_t offset_high;
} __attribute__((packed));

static struct gate idt[256];

void set_handler(uint8_t vector, void (*handler)(struct frame *frame))
{
	uint32_t address = (uint32_t)handler;
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint32_t)idt};

	idt[vector] = (struct gate){(uint16_t)address, 0x08, 0, 0x8e, (uint16_t)(address >> 16)};
	__asm__ volatile("lidt %0" : : "m"(pointer));
}
