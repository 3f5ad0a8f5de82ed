/*
 * The user's terminal as the guest's console: raw mode, and a thread that carries what is typed to
 * a pipe and keeps the escape key for itself. Ctrl-A x quits; Ctrl-A a sends a Ctrl-A.
 */
#ifndef REPRISE_TOOLS_TERMINAL_H
#define REPRISE_TOOLS_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

struct terminal;

/*
 * Puts the terminal at fd into raw mode (output processing stays on) and starts the thread.
 * Returns 0 or a negative errno: -ENOTTY when fd is no terminal, -EIO when the process is in its
 * background.
 */
int terminal_open(int fd, struct terminal **ret_terminal);

/* Where the guest's input is read; stays the terminal's. */
int terminal_input_fd(const struct terminal *terminal);

/* recorder_config.resized; ctx is the terminal: true when its size is another than at the last
 * call, or at its opening. */
bool terminal_resized(void *terminal, uint16_t *ret_rows, uint16_t *ret_columns);

/* Stops the thread and sets the terminal back. Accepts NULL. */
void terminal_close(struct terminal *terminal);

#endif
