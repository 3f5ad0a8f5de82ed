/* The channel's ports as the agent uses them, and how it ends. */
#ifndef REPRISE_TOOLS_GUEST_PORTS_H
#define REPRISE_TOOLS_GUEST_PORTS_H

#include <stddef.h>
#include <stdint.h>

/* Gets access to the ports. Returns 0, or -1 when there is no channel. */
int ports_open(void);

/* Writes n bytes to the port, one after another. */
void ports_put(unsigned offset, const void *data, size_t n);
uint8_t ports_get(unsigned offset);
/* Reads n bytes from the port, one after another. */
void ports_get_many(unsigned offset, void *data, size_t n);

/* Ends the guest with a byte to CHANNEL_EXIT or CHANNEL_EXIT_SIGNAL. */
__attribute__((noreturn)) void agent_end(unsigned offset, uint8_t value);

/* Says on the command's stderr what failed, and ends the guest. */
__attribute__((noreturn)) void agent_fail(const char *what, int error);

#endif
