/* Running vector instructions on the host; a fault's signal says what it was. */
#include "tests/cpu/native_state.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

struct native_state native_state;

void native_state_run(void);
void native_state_back(void);

_Static_assert(offsetof(struct native_state, gpr) == 512, "native_state.S");
_Static_assert(offsetof(struct native_state, rflags) == 640, "native_state.S");
_Static_assert(offsetof(struct native_state, code) == 648, "native_state.S");
_Static_assert(offsetof(struct native_state, stack) == 656, "native_state.S");

static const int reg_of_gpr[16] = {
	[RAX] = REG_RAX, [RCX] = REG_RCX, [RDX] = REG_RDX, [RBX] = REG_RBX,
	[RSP] = REG_RSP, [RBP] = REG_RBP, [RSI] = REG_RSI, [RDI] = REG_RDI,
	[R8] = REG_R8,   [R9] = REG_R9,   [R10] = REG_R10, [R11] = REG_R11,
	[R12] = REG_R12, [R13] = REG_R13, [R14] = REG_R14, [R15] = REG_R15,
};

static uint8_t *data_view;
static struct vector_outcome *outcome;
static sigjmp_buf out;

/* SDM 3A table 6-1. */
static bool vector_has_error(unsigned vector)
{
	return vector == VECTOR_AC || (vector >= VECTOR_TS && vector <= VECTOR_PF);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	const greg_t *gregs = uc->uc_mcontext.gregs;
	struct vector_state *state = &outcome->state;

	memcpy(&state->fx, uc->uc_mcontext.fpregs, sizeof(state->fx));
	for (unsigned i = 0; i < 16; i++)
		state->gpr[i] = (uint64_t)gregs[reg_of_gpr[i]];
	state->rip = (uint64_t)gregs[REG_RIP] - VECTOR_CODE;
	state->flags = (uint32_t)gregs[REG_EFL] & FLAGS_ARITH;
	outcome->vector = (unsigned)gregs[REG_TRAPNO];
	outcome->error = vector_has_error(outcome->vector) ? (uint32_t)gregs[REG_ERR] : 0;
	outcome->cr2 = outcome->vector == VECTOR_PF ? (uint64_t)gregs[REG_CR2] : 0;
	siglongjmp(out, 1);
}

static int map_pages(void)
{
	static const int protection[] = {
		[VECTOR_PAGE_ABSENT] = PROT_NONE,
		[VECTOR_PAGE_RW] = PROT_READ | PROT_WRITE,
		[VECTOR_PAGE_RO] = PROT_READ,
	};
	int fd = memfd_create("vector", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, VECTOR_DATA_BYTES) < 0)
		return -errno;
	data_view = mmap(NULL, VECTOR_DATA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (data_view == MAP_FAILED)
		return -errno;
	memset(data_view, 0, VECTOR_DATA_BYTES);
	for (unsigned i = 0; i < VECTOR_PAGES; i++) {
		void *page = (void *)(uintptr_t)(VECTOR_DATA + i * 4096);
		if (mmap(page, 4096, protection[vector_pages[i]],
			 MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, i * 4096) != page)
			return -errno;
	}
	return 0;
}

int native_state_init(void)
{
	static const int signals[] = {SIGFPE, SIGSEGV, SIGBUS, SIGILL};
	static uint8_t stack[65536];
	const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	const struct sigaction action = {.sa_sigaction = on_signal,
					 .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
	void *code = (void *)(uintptr_t)VECTOR_CODE;
	int error = map_pages();

	if (error)
		return error;
	if (mmap(code, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != code)
		return -ENOMEM;
	if (sigaltstack(&alternate, NULL) < 0)
		return -errno;
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigaction(signals[i], &action, NULL))
			return -errno;
	return 0;
}

uint8_t *native_state_data(void)
{
	return data_view;
}

static void load(const struct vector_state *in)
{
	native_state.fx = in->fx;
	memcpy(native_state.gpr, in->gpr, sizeof(in->gpr));
	native_state.rflags = in->flags | FLAG_FIXED | FLAG_IF;
	native_state.code = (const void *)(uintptr_t)VECTOR_CODE;
}

/* The code, and JMP to native_state_back by the address behind it. */
static void put_code(const uint8_t *code, size_t n)
{
	uint8_t *to = (uint8_t *)(uintptr_t)VECTOR_CODE;
	uint64_t back = (uint64_t)(uintptr_t)native_state_back;

	memcpy(to, code, n);
	memcpy(to + n, "\xff\x25\0\0\0", 6);
	memcpy(to + n + 6, &back, sizeof(back));
}

void native_state_execute(const struct vector_state *in, const uint8_t *code, size_t n,
			  struct vector_outcome *ret_outcome)
{
	outcome = ret_outcome;
	memset(outcome, 0, sizeof(*outcome));
	if (sigsetjmp(out, 0))
		return;
	put_code(code, n);
	load(in);
	native_state_run();
	outcome->state.fx = native_state.fx;
	memcpy(outcome->state.gpr, native_state.gpr, sizeof(in->gpr));
	outcome->state.rip = n;
	outcome->state.flags = (uint32_t)native_state.rflags & FLAGS_ARITH;
	outcome->vector = VECTOR_RETIRED;
}
