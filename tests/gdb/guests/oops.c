/* A small 64-bit kernel that dies of a page fault of its own and tells so as Linux does. */
#include <stdint.h>

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, attributes;
	uint16_t offset_middle;
	uint32_t offset_high, zero;
} __attribute__((packed));

static struct gate idt[32];

static void put_char(char c)
{
	__asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((uint16_t)0x3f8));
}

static void put_text(const char *text)
{
	while (*text)
		put_char(*text++);
}

static volatile uint64_t handled;

struct frame {
	uint64_t rip, cs, rflags, rsp, ss;
};

/* The first fault is one that the kernel provokes and handles; the second is its end. */
static __attribute__((interrupt)) void on_page_fault(struct frame *frame, uint64_t error)
{
	(void)error;
	if (!handled++) {
		frame->rip += 3;
		return;
	}
	put_text(
		"[    0.000001] BUG: kernel NULL pointer dereference, address: 0000000070000000\n");
	put_text("[    0.000002] Kernel panic - not syncing: Fatal exception\n");
	__asm__ volatile("outw %0, %1"
			 :
			 : "a"((uint16_t)(1 << 13 | 5 << 10)), "Nd"((uint16_t)0x604));
}

/* The loads are three bytes long each. */
__asm__(".globl probe, fatal\n"
	"probe: mov (%rdi), %rax\n"
	"	ret\n"
	"fatal: mov (%rdi), %rdx\n"
	"	ret\n");
void probe(uint64_t address);
void fatal(uint64_t address);

void guest_main(void)
{
	uint64_t handler = (uint64_t)on_page_fault;
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)idt};

	idt[14] = (struct gate){(uint16_t)handler,         0x08, 0, 0x8e, (uint16_t)(handler >> 16),
				(uint32_t)(handler >> 32), 0};
	__asm__ volatile("lidt %0" : : "m"(pointer));
	put_text("[    0.000000] a line before\n");
	probe(0x70000000);
	for (volatile unsigned i = 0; i < 1000; i++)
		;
	fatal(0x70000000);
}
