/* Running one instruction on the host; a signal that it raises is caught and reported. */
#include "tests/cpu/native_state.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct native_state native_state;

void native_state_run(void);

_Static_assert(offsetof(struct native_state, gpr) == 512, "native_state.S");
_Static_assert(offsetof(struct native_state, rflags) == 640, "native_state.S");
_Static_assert(offsetof(struct native_state, code) == 648, "native_state.S");

static uint8_t *code_page;
static sigjmp_buf out;

static void on_signal(int number, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;

	memcpy(&native_state.fx, uc->uc_mcontext.fpregs, sizeof(native_state.fx));
	siglongjmp(out, number);
}

int native_state_init(void *data, size_t data_bytes)
{
	static const int signals[] = {SIGFPE, SIGSEGV, SIGBUS, SIGILL};
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};

	if (mmap(data, data_bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != data)
		return -ENOMEM;
	code_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code_page == MAP_FAILED)
		return -ENOMEM;
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigaction(signals[i], &action, NULL))
			return -errno;
	return 0;
}

int native_state_execute(const uint8_t *bytes, size_t n)
{
	int signal_number = sigsetjmp(out, 0);

	if (signal_number)
		return signal_number;
	memcpy(code_page, bytes, n);
	code_page[n] = 0xc3;
	native_state.code = code_page;
	native_state_run();
	return 0;
}
