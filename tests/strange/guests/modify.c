/*
 * Writes its own code in every way there is: the next instruction, a function, an instruction that
 * crosses a page, by REP over itself, on the stack, through another mapping of the same page, and
 * page tables under running code. Each way knows what must come out.
 */
#include "tests/roundtrip/guests/guest.h"

#define ROUNDS 20000

typedef uint32_t code_fn(void);

/* Room for generated code: two pages. */
static uint8_t room[8192] __attribute__((aligned(4096)));
static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));

/* mov $value, %eax; ret */
static void put_function(volatile uint8_t *at, uint32_t value)
{
	at[0] = 0xb8;
	for (unsigned i = 0; i < 4; i++)
		at[1 + i] = (uint8_t)(value >> 8 * i);
	at[5] = 0xc3;
}

static uint32_t call(const volatile void *at)
{
	return ((code_fn *)at)();
}

/* The store changes the immediate of the instruction right behind it. */
static uint32_t next_instruction(void)
{
	uint32_t bad = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t got;

		__asm__ volatile("movl %1, 1f + 1\n1: movl $0x11111111, %0"
				 : "=a"(got)
				 : "r"(i)
				 : "memory");
		bad += got != i;
	}
	return bad;
}

static uint32_t function_body(void)
{
	uint32_t bad = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		put_function(room, i * 2654435761u);
		bad += call(room) != i * 2654435761u;
	}
	return bad;
}

/* The function lies across the page boundary; only its part in one page changes. */
static uint32_t page_crossing(void)
{
	uint32_t bad = 0;

	for (unsigned before = 1; before < 6; before++) {
		uint8_t *at = room + 4096 - before;

		put_function(at, 0);
		bad += call(at) != 0;
		for (unsigned i = 1; i < 5; i++) {
			*(volatile uint8_t *)(at + i) = 0x5a;
			bad += call(at) != UINT32_C(0x5a5a5a5a) >> 8 * (4 - i);
		}
	}
	return bad;
}

/* Generated at an address that wanders. */
static uint32_t wandering(void)
{
	uint32_t bad = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint8_t *at = room + i * 7 % (sizeof(room) - 8);

		put_function(at, i ^ 0xdeadbeef);
		bad += call(at) != (i ^ 0xdeadbeef);
	}
	return bad;
}

static uint32_t on_the_stack(void)
{
	uint32_t bad = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint8_t code[8];

		put_function(code, i + 3);
		bad += call(code) != i + 3;
	}
	return bad;
}

/* REP STOSB fills what follows it, and itself, with INC EAX: it stops being a REP when it is
 * reached. */
static uint32_t rep_over_itself(void)
{
	static const uint8_t code[] = {
		0x57,                /* push %edi */
		0xbf, 0,    0, 0, 0, /* mov $fill, %edi */
		0xb9, 16,   0, 0, 0, /* mov $16, %ecx */
		0xb8, 0x40, 0, 0, 0, /* mov $0x40, %eax */
		0xf3, 0xaa,          /* rep stosb, at offset 16 */
	};
	uint32_t bad = 0;

	for (unsigned before = 0; before < 3; before++) {
		uint32_t fill = (uint32_t)(room + 16 - before);

		for (unsigned i = 0; i < 64; i++)
			room[i] = i < sizeof(code) ? code[i] : 0x90;
		for (unsigned i = 0; i < 4; i++)
			room[2 + i] = (uint8_t)(fill >> 8 * i);
		room[40] = 0x5f; /* pop %edi */
		room[41] = 0xc3;
		/*
		 * before 0: the first iteration writes over the prefix, so the bytes 40 aa run
		 * next: INC EAX, STOSB with AL = 0x41. before 1, 2: an iteration or two come first.
		 */
		bad += call(room) != 0x41 || room[16] != 0x40 || room[16 - before] != 0x40;
	}
	return bad;
}

/* The page at room is seen at 0x80000000 too: written there, run here, and the other way round. */
static uint32_t through_alias(void)
{
	volatile uint8_t *alias = (volatile uint8_t *)0x80000000u;
	uint32_t bad = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		put_function(alias + 64, i + 5);
		bad += call(room + 64) != i + 5;
		put_function(room + 64, i + 7);
		bad += call(alias + 64) != i + 7;
	}
	return bad;
}

/* One linear address, two pages: the table's entry decides which code runs. */
static uint32_t through_table(void)
{
	volatile uint8_t *window = (volatile uint8_t *)0x80000000u;
	uint32_t bad = 0;

	put_function(room, 1);
	put_function(room + 4096, 2);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		((volatile uint32_t *)table)[0] = ((uint32_t)room + i % 2 * 4096) | 3;
		__asm__ volatile("invlpg (%0)" : : "r"(window) : "memory");
		bad += call(window) != 1 + i % 2;
	}
	return bad;
}

/* Identity up to 1 GiB in 4 MiB pages; the table's pages from 0x80000000 on. */
static void set_up_paging(void)
{
	uint32_t value;

	for (uint32_t i = 0; i < 256; i++)
		directory[i] = i << 22 | 0x83;
	directory[512] = (uint32_t)table | 3;
	table[0] = (uint32_t)room | 3;
	__asm__ volatile("mov %%cr4, %0; or $0x10, %0; mov %0, %%cr4" : "=&r"(value));
	__asm__ volatile("mov %0, %%cr3" : : "r"(directory) : "memory");
	__asm__ volatile("mov %%cr0, %0; or $0x80010000, %0; mov %0, %%cr0"
			 : "=&r"(value)
			 :
			 : "memory");
}

void guest_main(void)
{
	set_up_paging();
	put_line("next instruction", next_instruction());
	put_line("function body", function_body());
	put_line("page crossing", page_crossing());
	put_line("wandering", wandering());
	put_line("on the stack", on_the_stack());
	put_line("rep over itself", rep_over_itself());
	put_line("through an alias", through_alias());
	put_line("through the table", through_table());
	put_text("modify done\n");
}
