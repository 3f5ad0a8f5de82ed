/*
 * The host's side: registers are loaded and saved by signal frames. An INT3 enters the handler,
 * which puts the case's registers into the frame it returns through; the instruction's fault, or
 * the INT3 behind it, enters the handler again, which reads the result and restores the first
 * frame. CS and SS are in the frame too, so compatibility-mode and 16-bit code runs the same way.
 */
#include "tests/cpu/oracle.h"

#include <asm/ldt.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define HWCAP2_FSGSBASE 2 /* Linux's asm/hwcap2.h */

#define USER_CS64  0x33
#define USER_CS32  0x23
#define USER_DS    0x2b
#define LDT_CODE16 (1 << 3 | 7)
#define LDT_DATA16 (2 << 3 | 7)

const uint8_t oracle_pages[ORACLE_BYTES / 4096] = {
	[1] = ORACLE_PAGE_CODE, [3] = ORACLE_PAGE_RW, [4] = ORACLE_PAGE_RW,
	[5] = ORACLE_PAGE_RO,   [7] = ORACLE_PAGE_RW,
};

static const int reg_of_gpr[16] = {
	[RAX] = REG_RAX, [RCX] = REG_RCX, [RDX] = REG_RDX, [RBX] = REG_RBX,
	[RSP] = REG_RSP, [RBP] = REG_RBP, [RSI] = REG_RSI, [RDI] = REG_RDI,
	[R8] = REG_R8,   [R9] = REG_R9,   [R10] = REG_R10, [R11] = REG_R11,
	[R12] = REG_R12, [R13] = REG_R13, [R14] = REG_R14, [R15] = REG_R15,
};

static struct {
	uint8_t *alias;
	enum oracle_mode mode;
	bool inside;
	bool has_gs_base;
	const struct oracle_state *in;
	struct oracle_state *out;
	gregset_t outer;
} native;

/* SDM 3A table 6-1. */
static bool vector_has_error(uint8_t vector)
{
	return vector == VECTOR_AC || vector == VECTOR_DF ||
	       (vector >= VECTOR_TS && vector <= VECTOR_PF);
}

static void load_frame(greg_t *gregs)
{
	uint64_t cs = native.mode == ORACLE_64   ? USER_CS64
		      : native.mode == ORACLE_32 ? USER_CS32
						 : LDT_CODE16;
	uint64_t ss = native.mode == ORACLE_16 ? LDT_DATA16 : USER_DS;

	memcpy(native.outer, gregs, sizeof(native.outer));
	for (unsigned i = 0; i < 16; i++)
		gregs[reg_of_gpr[i]] = (greg_t)native.in->gpr[i];
	gregs[REG_RIP] = (greg_t)native.in->rip;
	gregs[REG_EFL] = (gregs[REG_EFL] & ~(greg_t)ORACLE_FLAGS) | native.in->flags;
	gregs[REG_CSGSFS] =
		(greg_t)(((uint64_t)gregs[REG_CSGSFS] & 0x0000ffffffff0000u) | cs | ss << 48);
}

static void save_frame(greg_t *gregs)
{
	struct oracle_state *out = native.out;

	/* In compatibility mode the upper halves of RAX to RDI mean nothing. */
	for (unsigned i = 0; i < 16; i++)
		out->gpr[i] = native.mode != ORACLE_64 && i < 8 ? (uint32_t)gregs[reg_of_gpr[i]]
								: (uint64_t)gregs[reg_of_gpr[i]];
	out->rip = (uint64_t)gregs[REG_RIP];
	out->flags = (uint32_t)gregs[REG_EFL] & ORACLE_FLAGS;
	out->vector = (uint8_t)gregs[REG_TRAPNO];
	out->error = (uint32_t)gregs[REG_ERR];
	out->address = (uint64_t)gregs[REG_CR2];
	if (!vector_has_error(out->vector))
		out->error = 0;
	if (out->vector != VECTOR_PF)
		out->address = 0;
	if (native.has_gs_base)
		__asm__ volatile("rdgsbase %0" : "=r"(out->gs_base));
	__asm__ volatile("mov %%es, %0" : "=rm"(out->selector[SEG_ES]));
	__asm__ volatile("mov %%ds, %0" : "=rm"(out->selector[SEG_DS]));
	out->selector[SEG_CS] = (uint16_t)gregs[REG_CSGSFS];
	out->selector[SEG_SS] = (uint16_t)((uint64_t)gregs[REG_CSGSFS] >> 48);
	if (out->vector == VECTOR_BP) {
		out->vector = ORACLE_RETIRED;
		out->rip--;
	}
	memcpy(gregs, native.outer, sizeof(native.outer));
}

static void set_flags(uint64_t rflags)
{
	__asm__ volatile("push %0\n\tpopfq" : : "r"(rflags) : "cc", "memory");
}

/* NT and ID stay for the case to find. */
static void clear_alignment_check(void)
{
	__asm__ volatile("pushfq\n\tandq %0, (%%rsp)\n\tpopfq" : : "i"(~FLAG_AC) : "cc", "memory");
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;

	clear_alignment_check(); /* the kernel leaves it */
	if (!native.in)
		_exit(2); /* a fault of the test's own */
	if (!native.inside)
		load_frame(frame->uc_mcontext.gregs);
	else
		save_frame(frame->uc_mcontext.gregs);
	native.inside = !native.inside;
}

static int map_sandbox(void)
{
	static const int protection[] = {
		[ORACLE_PAGE_NONE] = PROT_NONE,
		[ORACLE_PAGE_CODE] = PROT_READ | PROT_EXEC,
		[ORACLE_PAGE_RW] = PROT_READ | PROT_WRITE,
		[ORACLE_PAGE_RO] = PROT_READ,
	};
	int fd = memfd_create("oracle", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, ORACLE_BYTES) < 0)
		return -errno;
	native.alias = mmap(NULL, ORACLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (native.alias == MAP_FAILED)
		return -errno;
	memset(native.alias, 0, ORACLE_BYTES);
	memset(native.alias + ORACLE_CODE_PAGE, 0xcc, 4096);
	for (unsigned i = 0; i < ORACLE_BYTES / 4096; i++) {
		void *page = (void *)(uintptr_t)(ORACLE_BASE + i * 4096);
		if (mmap(page, 4096, protection[oracle_pages[i]],
			 MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, i * 4096) != page)
			return -errno;
	}
	return 0;
}

int native_open(void)
{
	static const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	static uint8_t stack[65536];
	const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	const struct sigaction action = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};
	int error = map_sandbox();

	native.has_gs_base = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
	if (error)
		return error;
	if (sigaltstack(&alternate, NULL) < 0)
		return -errno;
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigaction(signals[i], &action, NULL) < 0)
			return -errno;
	return 0;
}

bool native_has_gs_base(void)
{
	return native.has_gs_base;
}

uint8_t *native_memory(void)
{
	return native.alias;
}

static bool make_segments16(void)
{
	struct user_desc code = {
		.entry_number = LDT_CODE16 >> 3,
		.base_addr = ORACLE_BASE,
		.limit = ORACLE_SEGMENT16_LIMIT,
		.contents = MODIFY_LDT_CONTENTS_CODE,
		.useable = 1,
	};
	struct user_desc data = code;

	data.entry_number = LDT_DATA16 >> 3;
	data.limit = 0xffff;
	data.contents = MODIFY_LDT_CONTENTS_DATA;
	return syscall(SYS_modify_ldt, 1, &code, sizeof(code)) == 0 &&
	       syscall(SYS_modify_ldt, 1, &data, sizeof(data)) == 0;
}

/* 64-bit code ignores what DS and ES hold. */
static void load_data_segments(void)
{
	uint32_t selector = native.mode == ORACLE_16 ? LDT_DATA16 : USER_DS;

	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(selector));
}

bool native_set_mode(enum oracle_mode mode)
{
	struct oracle_state in = {.rip = ORACLE_BASE + ORACLE_CODE_PAGE}, out;

	if (mode == ORACLE_16) {
		if (!make_segments16())
			return false;
		in.rip = ORACLE_CODE_PAGE;
	}
	native.mode = mode;
	load_data_segments();
	native_run(&in, &out); /* an INT3 */
	return out.vector == ORACLE_RETIRED && out.rip == in.rip;
}

void native_run(const struct oracle_state *in, struct oracle_state *ret_out)
{
	native.in = in;
	native.out = ret_out;
	/* Linux's sigreturn leaves NT and ID as they are; AC comes with the frame. */
	if (native.has_gs_base)
		__asm__ volatile("wrgsbase %0" : : "r"(in->gs_base));
	set_flags(in->flags & (FLAG_NT | FLAG_ID));
	__asm__ volatile("int3" : : : "memory");
	set_flags(0);
	if (ret_out->selector[SEG_DS] != ret_out->selector[SEG_ES] || ret_out->selector[SEG_DS] < 4)
		load_data_segments();
	native.in = NULL;
}
