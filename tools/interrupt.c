#include "tools/interrupt.h"

#include <unistd.h>

/*
 * Handlers get no context, so what they need stands here. The terminal's members are written while
 * the signals are blocked.
 */
static struct {
	volatile sig_atomic_t flag;
	volatile sig_atomic_t guarded;
	int fd;
	struct termios normal, raw;
} state;

static const int end_signals[] = {SIGINT, SIGTERM, SIGHUP};
static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT};

/* Not one that the user sends to end the process, which counts how often it came. */
#define WAKE_SIGNAL SIGUSR1

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void restore_terminal(void)
{
	if (state.guarded)
		tcsetattr(state.fd, TCSANOW, &state.normal);
}

static void end_at_once(int number)
{
	restore_terminal();
	signal(number, SIG_DFL);
	raise(number);
}

static void on_end(int number)
{
	if (state.flag)
		end_at_once(number);
	state.flag = number;
}

/* Whoever read the console has gone; every further byte gives one more of these. */
static void on_pipe(int number)
{
	if (!state.flag)
		state.flag = number;
}

/* Does nothing but end the system call that waits. */
static void on_wake(int number)
{
	(void)number;
}

static void on_stop(int number)
{
	(void)number;
	restore_terminal();
	raise(SIGSTOP);
	if (state.guarded)
		tcsetattr(state.fd, TCSANOW, &state.raw);
}

static void install_always(int number, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};

	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

/* What the parent ignores (nohup) stays ignored. */
static void install(int number, void (*handler)(int))
{
	struct sigaction old;

	if (!sigaction(number, NULL, &old) && old.sa_handler != SIG_IGN)
		install_always(number, handler);
}

void interrupt_install(void)
{
	for (size_t i = 0; i < LENGTH(end_signals); i++)
		install(end_signals[i], on_end);
	/* Where the parent ignores it (CI does), a guest that nobody reads must end all the same.
	 */
	install_always(SIGPIPE, on_pipe);
	install(WAKE_SIGNAL, on_wake);
}

const volatile sig_atomic_t *interrupt_flag(void)
{
	return &state.flag;
}

void interrupt_request(void)
{
	if (!state.flag)
		state.flag = SIGINT;
	kill(getpid(), WAKE_SIGNAL);
}

void interrupt_guard_terminal(int fd, const struct termios *normal, const struct termios *raw)
{
	state.fd = fd;
	state.normal = *normal;
	state.raw = *raw;
	state.guarded = 1;
	for (size_t i = 0; i < LENGTH(crash_signals); i++)
		install(crash_signals[i], end_at_once);
	install(SIGTSTP, on_stop);
}

void interrupt_release_terminal(void)
{
	state.guarded = 0;
	signal(SIGTSTP, SIG_DFL);
}
