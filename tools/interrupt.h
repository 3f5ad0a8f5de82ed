/*
 * Signals that end a recording or a replay in good order. The first SIGINT, SIGTERM or SIGHUP
 * raises the flag; a second one ends the process at once. SIGPIPE, when nobody reads the console
 * any more, raises it too. In all cases, and when the tool crashes or is stopped by SIGTSTP, the
 * terminal is set back first.
 */
#ifndef REPRISE_TOOLS_INTERRUPT_H
#define REPRISE_TOOLS_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>
#include <termios.h>

/* Installs the handlers. Call once, before other threads start. */
void interrupt_install(void);

/* Non-zero once such a signal came: the number of the first. Lives as long as the process. */
const volatile sig_atomic_t *interrupt_flag(void);

/* Raises the flag as SIGINT would: the user asked to quit. Wakes system calls of the main thread.
 */
void interrupt_request(void);

/*
 * From now on, and until interrupt_release_terminal(), the handlers set the terminal at fd to
 * normal before the process ends or stops, and to raw when it continues.
 */
void interrupt_guard_terminal(int fd, const struct termios *normal, const struct termios *raw);
void interrupt_release_terminal(void);

#endif
