/*
 * Both are the kernel's own accounts, so nothing of the command's is in the way: its log, in which
 * print-fatal-signals (Linux Documentation/admin-guide/sysctl/kernel.rst) has a line for each such
 * signal, and the counters of packets and connections for which there was no route (Linux
 * Documentation/networking/snmp_counter.rst).
 */
#include "tools/guest/notes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/guest/ports.h"
#include "vmm/devices/channel.h"

#define FATAL_SIGNALS "/proc/sys/kernel/print-fatal-signals"
#define FATAL_SIGNAL  "potentially unexpected fatal signal"

static int log_fd = -1, ipv4_fd = -1, ipv6_fd = -1;
static uint64_t routes_missed;

static void have_crashes_told(void)
{
	int fd = open(FATAL_SIGNALS, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	/* Where that fails, crashes are not told, and nothing else is lost. */
	ssize_t n = write(fd, "1", 1);
	(void)n;
	close(fd);
}

/* ---- the network ---- */

/* The n-th word of a line, counted from 0; NULL: it has fewer. */
static const char *word(const char *line, unsigned n)
{
	while (line && n--) {
		line = strpbrk(line, " \n");
		line = line && *line == ' ' ? line + 1 : NULL;
	}
	return line;
}

/* In a pair of lines "Ip: NAME NAME …", "Ip: VALUE VALUE …". */
static uint64_t find_in_columns(const char *text, const char *name)
{
	const char *names = strstr(text, "Ip: "), *values = names ? strchr(names, '\n') : NULL;
	size_t n = strlen(name);

	for (unsigned i = 1; values; i++) {
		const char *at = word(names, i);
		if (!at || at > values)
			break;
		if (!strncmp(at, name, n) && (at[n] == ' ' || at[n] == '\n')) {
			const char *value = word(values + 1, i);
			return value ? strtoull(value, NULL, 10) : 0;
		}
	}
	return 0;
}

/* In lines "NAME VALUE". */
static uint64_t find_in_lines(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static const char *read_again(int fd, char *text, size_t n)
{
	ssize_t got = fd < 0 ? -1 : pread(fd, text, n - 1, 0);

	text[got < 0 ? 0 : got] = '\0';
	return text;
}

static uint64_t count_missed_routes(void)
{
	char text[8192];
	uint64_t n = find_in_columns(read_again(ipv4_fd, text, sizeof(text)), "OutNoRoutes");

	return n + find_in_lines(read_again(ipv6_fd, text, sizeof(text)), "Ip6OutNoRoutes");
}

/* ---- crashes ---- */

/* Each read gives one record (Linux Documentation/ABI/testing/dev-kmsg). */
static bool log_tells_of_crash(void)
{
	char record[8192];
	ssize_t n;

	while (log_fd >= 0) {
		n = read(log_fd, record, sizeof(record) - 1);
		if (n < 0 && (errno == EPIPE || errno == EINTR)) /* some were overwritten */
			continue;
		if (n <= 0)
			break;
		record[n] = '\0';
		if (strstr(record, FATAL_SIGNAL))
			return true;
	}
	return false;
}

/* ---- */

void notes_begin(void)
{
	have_crashes_told();
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log_fd >= 0)
		lseek(log_fd, 0, SEEK_END);
	ipv4_fd = open("/proc/self/net/snmp", O_RDONLY | O_CLOEXEC);
	ipv6_fd = open("/proc/self/net/snmp6", O_RDONLY | O_CLOEXEC);
	routes_missed = count_missed_routes();
}

void notes_send(void)
{
	uint8_t notes = 0;

	if (log_tells_of_crash())
		notes |= CHANNEL_NOTE_CRASH;
	if (count_missed_routes() > routes_missed)
		notes |= CHANNEL_NOTE_NETWORK;
	if (notes)
		ports_put(CHANNEL_NOTE, &notes, 1);
}
