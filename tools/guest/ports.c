#include "tools/guest/ports.h"

#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "tools/guest/agent.h"
#include "vmm/devices/channel.h"
#include "vmm/devices/layout.h"

static uint16_t port(unsigned offset)
{
	return (uint16_t)(LAYOUT_CHANNEL_PORT + offset);
}

int ports_open(void)
{
	if (ioperm(LAYOUT_CHANNEL_PORT, CHANNEL_PORTS, 1))
		return -1;
	return ports_get(CHANNEL_ID) == CHANNEL_ID_VALUE ? 0 : -1;
}

void ports_put(unsigned offset, const void *data, size_t n)
{
	__asm__ volatile("rep outsb" : "+S"(data), "+c"(n) : "d"(port(offset)) : "memory");
}

uint8_t ports_get(unsigned offset)
{
	return inb(port(offset));
}

void ports_get_many(unsigned offset, void *data, size_t n)
{
	__asm__ volatile("rep insb" : "+D"(data), "+c"(n) : "d"(port(offset)) : "memory");
}

void agent_end(unsigned offset, uint8_t value)
{
	ports_put(offset, &value, 1);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

void agent_fail(const char *what, int error)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "reprise: in the guest: %s: %s\n", what,
			 strerror(error));

	ports_put(CHANNEL_STDERR, line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
	agent_end(CHANNEL_EXIT, AGENT_STATUS_FAILED);
}
