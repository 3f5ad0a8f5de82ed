/* Where replay shows the guest's output streams: on stdout and stderr, filtered on terminals. */
#ifndef REPRISE_TOOLS_CONSOLE_H
#define REPRISE_TOOLS_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log-format/log.h"

struct console;

/*
 * One route for each stream of the header: to the host_fd that it names; a stream that has none is
 * shown on stderr when all is set, else not at all. raw: never filter. Returns 0 or -ENOMEM.
 */
int console_create(const Reprise__Header *header, bool all, bool raw, struct console **ret_console);
void console_destroy(struct console *console);

/* replayer_config.stream_output; ctx is the console. */
void console_output(void *ctx, unsigned stream, const uint8_t *data, size_t n);

/* Returns 0, or the first error of writing as a negative errno; output ends with it. */
int console_error(const struct console *console);

#endif
