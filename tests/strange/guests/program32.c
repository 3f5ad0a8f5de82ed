/*
 * A 32-bit program for a 64-bit Linux, without a C library: system calls by INT 0x80 and by what
 * the kernel offers at AT_SYSINFO, signals, fork, thread-local storage, a 64-bit excursion through
 * a far jump, arithmetic of 32-bit code. Prints a line each and exits with 42.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYS_exit            1
#define SYS_fork            2
#define SYS_write           4
#define SYS_waitpid         7
#define SYS_getpid          20
#define SYS_kill            37
#define SYS_munmap          91
#define SYS_uname           122
#define SYS_rt_sigaction    174
#define SYS_mmap2           192
#define SYS_set_thread_area 243
#define SYS_clock_gettime   265

#define AT_NULL    0
#define AT_SYSINFO 32

#define SIGILL     4
#define SIGFPE     8
#define SIGUSR1    10
#define SIGSEGV    11
#define SA_SIGINFO 4u

/* Registers in the order of struct sigcontext of the i386 ABI, behind siginfo and ucontext's head.
 */
struct context {
	uint32_t flags, link;
	uint32_t stack[3];
	uint32_t gs, fs, es, ds, edi, esi, ebp, esp, ebx, edx, ecx, eax, trap, error, eip, cs;
};

struct action {
	void (*handler)(int number, void *info, struct context *context);
	uint32_t flags;
	void *restorer;
	uint32_t mask[2];
};

struct user_desc {
	uint32_t entry, base, limit, flags;
};

struct auxv {
	uint32_t type, value;
};

static uint32_t sysinfo;
static volatile uint32_t signals[32];

static long call_int80(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory");
	return result;
}

static long call_sysinfo(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("call *%1"
			 : "=a"(result)
			 : "m"(sysinfo), "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory");
	return result;
}

static void say(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	call_int80(SYS_write, 1, (long)text, (long)n);
}

static void tell(const char *what, bool good)
{
	say(what);
	say(good ? ": good\n" : ": BAD\n");
}

/* ---- signals: each handler steps over the instruction, whose length is known ---- */

static void on_fault(int number, void *info, struct context *context)
{
	(void)info;
	signals[number]++;
	context->eip += 2;
}

static void on_signal(int number, void *info, struct context *context)
{
	(void)info;
	(void)context;
	signals[number]++;
}

static void handle(int number, void (*handler)(int, void *, struct context *))
{
	struct action action = {.handler = handler, .flags = SA_SIGINFO};
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(SYS_rt_sigaction), "b"(number), "c"(&action), "d"(0), "S"(8)
			 : "memory");
}

static bool test_signals(void)
{
	handle(SIGUSR1, on_signal);
	handle(SIGFPE, on_fault);
	handle(SIGILL, on_fault);
	handle(SIGSEGV, on_fault);
	for (int i = 0; i < 100; i++) {
		call_int80(SYS_kill, call_int80(SYS_getpid, 0, 0, 0), SIGUSR1, 0);
		__asm__ volatile("div %b0" : : "a"(0x101), "q"(0) : "cc"); /* quotient of zero */
		__asm__ volatile("ud2");
		__asm__ volatile("mov (%0), %%cl" : : "a"(16) : "ecx");
	}
	return signals[SIGUSR1] == 100 && signals[SIGFPE] == 100 && signals[SIGILL] == 100 &&
	       signals[SIGSEGV] == 100;
}

/* ---- the rest ---- */

static bool test_sysinfo(void)
{
	long pid = call_int80(SYS_getpid, 0, 0, 0);

	if (!sysinfo)
		return false;
	for (int i = 0; i < 1000; i++)
		if (call_sysinfo(SYS_getpid, 0, 0, 0) != pid)
			return false;
	return pid > 0;
}

static bool test_fork(void)
{
	for (int i = 0; i < 20; i++) {
		long child = call_int80(SYS_fork, 0, 0, 0);
		int status = 0;

		if (child == 0)
			call_int80(SYS_exit, 100 + i, 0, 0);
		if (call_sysinfo(SYS_waitpid, child, (long)&status, 0) != child ||
		    status != (100 + i) << 8)
			return false;
	}
	return true;
}

static bool test_thread_area(void)
{
	static uint32_t area[4] = {1, 22, 333, 4444};
	struct user_desc desc = {
		.entry = UINT32_MAX, .base = (uint32_t)area, .limit = sizeof(area) - 1, .flags = 1};
	uint32_t value;

	if (call_int80(SYS_set_thread_area, (long)&desc, 0, 0) < 0)
		return false;
	__asm__ volatile("mov %w1, %%gs; mov %%gs:12, %0" : "=r"(value) : "r"(desc.entry * 8 + 3));
	signals[SIGSEGV] = 0;
	/* mov %gs:(%eax), %cl is 3 bytes: a NOP is left of it after the handler's two. */
	__asm__ volatile(".byte 0x65, 0x8a, 0x08; nop" : : "a"(16) : "ecx");
	return value == 4444;
}

/* Far into 64-bit code, where REX prefixes are, and back. */
static bool test_long_mode(void)
{
	uint32_t low, high;

	__asm__ volatile("ljmp $0x33, $1f\n"
			 ".code64\n"
			 "1: movabs $0x123456789abcdef0, %%rax\n"
			 "add $0x10, %%rax\n"
			 "mov %%rax, %%rdx\n"
			 "shr $32, %%rdx\n"
			 "push $0x23\n"
			 "lea 2f(%%rip), %%rcx\n"
			 "push %%rcx\n"
			 "lretq\n"
			 ".code32\n"
			 "2:\n"
			 : "=a"(low), "=d"(high)
			 :
			 : "ecx", "memory");
	return low == 0x9abcdf00 && high == 0x12345678;
}

/* What 64-bit code has no instructions for. */
static bool test_old_instructions(void)
{
	static uint32_t pushed;
	uint32_t ax, bx;
	uint16_t bounds[2] = {5, 10};

	__asm__ volatile("mov $0x0f, %%al; add $0x09, %%al; daa; aam" : "=a"(ax) : "a"(0) : "cc");
	__asm__ volatile("push $7; pusha; mov 32(%%esp), %%eax; mov %%eax, %0; popa; pop %%edx"
			 : "=m"(pushed)
			 :
			 : "eax", "edx", "memory");
	__asm__ volatile("bound %w1, %2; xor %0, %0; into; mov $3, %0; push %%es; pop %%es; push "
			 "%%ds; pop %%ds"
			 : "=&r"(bx)
			 : "r"(7), "m"(bounds)
			 : "cc");
	return (ax & 0xffff) == 0x0300 && pushed == 7 && bx == 3;
}

static bool test_mapping(void)
{
	uint8_t *page;

	__asm__ volatile("push %%ebp; xor %%ebp, %%ebp; int $0x80; pop %%ebp"
			 : "=a"(page)
			 : "a"(SYS_mmap2), "b"(0), "c"(1 << 20), "d"(7), "S"(0x22), "D"(-1)
			 : "memory");
	for (uint32_t i = 0; i < 1 << 20; i += 512)
		page[i] = (uint8_t)(i >> 9);
	page[0] = 0xb0; /* mov $42, %al; ret */
	page[1] = 42;
	page[2] = 0xc3;
	return (((uint32_t(*)(void))page)() & 0xff) == 42 && page[512 * 77] == 77 &&
	       call_int80(SYS_munmap, (long)page, 1 << 20, 0) == 0;
}

/* sqrt(2) by Newton's steps on the x87, long multiplications and divisions in the integer unit. */
static bool test_arithmetic(void)
{
	volatile long double x = 1;
	uint64_t product = 1;

	for (int i = 0; i < 10; i++)
		x = (x + 2 / x) / 2;
	for (uint32_t i = 1; i < 1000; i++)
		product = product * 6364136223846793005u + i;
	return x * x > 1.999999999999999999L && x * x < 2.000000000000000001L &&
	       (uint32_t)(product >> 32) != 0;
}

static bool test_clock(void)
{
	long time[2] = {0}, later[2] = {0};

	call_sysinfo(SYS_clock_gettime, 1, (long)time, 0);
	call_int80(SYS_clock_gettime, 1, (long)later, 0);
	return later[0] > time[0] || (later[0] == time[0] && later[1] >= time[1]);
}

__attribute__((used)) static void run(const uint32_t *stack)
{
	const uint32_t *at = stack + 1 + stack[0] + 1;
	char name[390];

	while (*at++)
		; /* the environment */
	for (const struct auxv *auxv = (const void *)at; auxv->type != AT_NULL; auxv++)
		if (auxv->type == AT_SYSINFO)
			sysinfo = auxv->value;
	call_int80(SYS_uname, (long)name, 0, 0);
	say("32-bit program on ");
	say(name + 65 * 4);
	say("\n");
	tell("system calls by AT_SYSINFO", test_sysinfo());
	tell("signals", test_signals());
	tell("fork", test_fork());
	tell("thread area", test_thread_area());
	tell("long mode and back", test_long_mode());
	tell("old instructions", test_old_instructions());
	tell("mapping", test_mapping());
	tell("arithmetic", test_arithmetic());
	tell("clock", test_clock());
	call_int80(SYS_exit, 42, 0, 0);
}

__asm__(".globl _start\n_start: mov %esp, %eax\nand $-16, %esp\nsub $12, %esp\npush %eax\ncall "
	"run\n");
