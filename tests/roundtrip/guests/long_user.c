/* What the tasks of long.c do, at CPL 3. No function of the kernel's file can be called. */
#include "long.h"

#define USER_CODE __attribute__((section(".user.text"), noinline))
#define USER_DATA __attribute__((section(".user.data")))
#define COM1      0x3f8

#define WORDS       16384u /* of the heap: 16 pages */
#define ROUNDS      4u
#define PATCHES     200u
#define TEXT        ((uint8_t *)USER_HEAP + 0x100000)
#define TEXT_BYTES  6000u
#define BUSY_TICKS  3
#define KERNEL_HALF UINT64_C(0xffffffff81000000)

static char text_task[] USER_DATA = "task", text_busy[] USER_DATA = "busy",
			text_random[] USER_DATA = "random",
			text_time[] USER_DATA = "time went back\n", text_plan[] USER_DATA = "plan";
static volatile uint64_t busy USER_DATA;

USER_CODE static uint64_t call(uint64_t number, uint64_t first, uint64_t second)
{
	__asm__ volatile("syscall"
			 : "+a"(number)
			 : "D"(first), "S"(second)
			 : "rcx", "r11", "memory");
	return number;
}

/* Loads, stores and multiplications over pages that come into being on the way. */
USER_CODE static uint64_t compute(uint64_t task)
{
	uint32_t *words = (uint32_t *)USER_HEAP, x = (uint32_t)task * 77 + 1;

	for (unsigned i = 0; i < ROUNDS * WORDS; i++) {
		x = x * 1664525 + 1013904223;
		words[x >> 18] += x;
	}
	return words[x >> 18] ^ (uint64_t)x << 32;
}

/* The same in vector registers, which another task uses too; doubles keep every bit. */
USER_CODE static uint64_t vectors(uint64_t task)
{
	uint64_t count = 5000, low, bits;

	__asm__ volatile("movq %3, %%xmm6\n\t"
			 "pshufd $0x44, %%xmm6, %%xmm6\n\t"
			 "movdqa %%xmm6, %%xmm7\n\t"
			 "cvtsi2sd %3, %%xmm5\n\t"
			 "1: paddq %%xmm7, %%xmm6\n\t"
			 "pshufd $0x39, %%xmm6, %%xmm7\n\t"
			 "mov %k0, %%eax\n\t"
			 "cvtsi2sd %%rax, %%xmm4\n\t"
			 "addsd %%xmm4, %%xmm5\n\t"
			 "dec %0\n\t"
			 "jnz 1b\n\t"
			 "movq %%xmm6, %1\n\t"
			 "cvtsd2si %%xmm5, %2"
			 : "+r"(count), "=r"(low), "=r"(bits)
			 : "r"(task + 3)
			 : "rax", "cc");
	return low ^ bits << 20;
}

USER_CODE static void copy(uint8_t *to, const uint8_t *from, uint64_t n)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

/* Backwards: over itself. */
USER_CODE static void move_up(uint8_t *text, uint64_t n)
{
	const uint8_t *from = text + n - 1;
	uint8_t *to = text + n;

	__asm__ volatile("std; rep movsb; cld" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

USER_CODE static uint64_t strings(uint64_t task)
{
	uint8_t *to = TEXT, *found = TEXT + 2 * TEXT_BYTES;
	const uint8_t *a = TEXT, *b = TEXT + 2 * TEXT_BYTES;
	uint64_t count = TEXT_BYTES, left = TEXT_BYTES;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"('a' + task) : "memory");
	TEXT[TEXT_BYTES - 100] = 'z';
	copy(TEXT + 2 * TEXT_BYTES, TEXT, TEXT_BYTES);
	move_up(TEXT, TEXT_BYTES);
	__asm__ volatile("repne scasb" : "+D"(found), "+c"(left) : "a"('z') : "cc", "memory");
	count = TEXT_BYTES;
	__asm__ volatile("repe cmpsb" : "+S"(a), "+D"(b), "+c"(count) : : "cc", "memory");
	return left << 32 | count << 16 | *TEXT;
}

/* A function that is written anew before each call, beside code that runs. */
extern uint8_t patched_code[];
__asm__(".pushsection .user.text, \"ax\", @progbits\n"
	"patched_code: mov $0, %eax\n"
	"ret\n"
	".popsection");

USER_CODE static uint64_t patched(uint64_t task)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < PATCHES; i++) {
		uint32_t value;

		*(volatile uint32_t *)(patched_code + 1) = i * 3 + (uint32_t)task;
		__asm__ volatile("call *%1" : "=a"(value) : "r"(patched_code) : "memory");
		sum = sum * 5 + value;
	}
	return sum;
}

/* Reads where nothing can be read; says which exception that was. */
USER_CODE static uint64_t probe(uint64_t address)
{
	uint64_t rax = CALL_RECOVER;

	__asm__ volatile("lea 1f(%%rip), %%rdi\n\t"
			 "syscall\n\t"
			 "mov (%1), %0\n\t"
			 "1:"
			 : "+a"(rax)
			 : "b"(address)
			 : "rcx", "rdi", "r11", "memory");
	return rax;
}

USER_CODE static uint64_t faults(void)
{
	uint64_t sum = probe(KERNEL_HALF);

	sum = sum * 31 + probe(0x100000);                     /* the kernel's, present */
	sum = sum * 31 + probe(UINT64_C(0x800000000000));     /* not canonical */
	sum = sum * 31 + probe(UINT64_C(0xfffffffffffffff8)); /* the last word */
	*(uint32_t *)USER_HEAP = 7;
	call(CALL_UNMAP, USER_HEAP, 0);
	return sum * 31 + *(uint32_t *)USER_HEAP; /* zeros again */
}

/* What is different each time is put out, and kept out of the result. */
USER_CODE static void inputs(void)
{
	uint64_t sum = 0, before = rdtsc();

	for (unsigned i = 0; i < 100; i++) {
		uint64_t value, now;

		__asm__ volatile("rdrand %0" : "=r"(value) : : "cc");
		now = rdtsc();
		if (now <= before)
			call(CALL_TEXT, (uint64_t)text_time, 0);
		before = now;
		sum = sum * 7 + value + inb(COM1 + 5);
	}
	call(CALL_LINE, (uint64_t)text_random, sum);
}

/* Nothing but the timer ends this. */
USER_CODE static void spin(void)
{
	const volatile uint64_t *ticks = (const volatile uint64_t *)USER_SHARED;
	uint64_t until = *ticks + BUSY_TICKS;

	while (*ticks < until)
		busy++;
	call(CALL_LINE, (uint64_t)text_busy, busy);
}

USER_CODE static uint64_t work(uint64_t task)
{
	uint64_t sum = compute(task);

	sum = sum * 31 + vectors(task);
	sum = sum * 31 + strings(task);
	sum = sum * 31 + patched(task);
	call(CALL_YIELD, 0, 0);
	return sum * 31 + faults();
}

USER_CODE void user_main(uint64_t task)
{
	uint64_t sum = work(task);

	inputs();
	spin();
	call(CALL_SLEEP, 0, 0);
	if (!task)
		call(CALL_LINE, (uint64_t)text_plan, call(CALL_PLAN, 0, 0));
	sum = sum * 31 + work(task + 1);
	spin();
	call(CALL_LINE, (uint64_t)text_task, sum);
	call(CALL_EXIT, sum, 0);
	__builtin_unreachable();
}
