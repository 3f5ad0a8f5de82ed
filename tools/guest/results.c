#include "tools/guest/results.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/guest/agent.h"
#include "tools/guest/ports.h"
#include "vmm/devices/channel.h"

static void put_le(uint8_t *at, uint64_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static void send_head(const char *path, const struct stat *st)
{
	uint8_t head[AGENT_RESULT_HEAD_BYTES];
	uint64_t mtime_ns =
		(uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec;

	put_le(head, st->st_mode, 4);
	put_le(head + 4, strlen(path), 4);
	put_le(head + 8, S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size, 8);
	put_le(head + 16, mtime_ns, 8);
	ports_put(CHANNEL_RESULTS, head, sizeof(head));
	ports_put(CHANNEL_RESULTS, path, strlen(path));
}

/* Exactly as many bytes as the head said; a file that has shrunk meanwhile is filled up. */
static void send_content(int fd, uint64_t bytes)
{
	static char buffer[65536];

	while (bytes) {
		size_t n = bytes < sizeof(buffer) ? (size_t)bytes : sizeof(buffer);
		ssize_t got = read(fd, buffer, n);

		if (got <= 0) {
			memset(buffer, 0, n);
			got = (ssize_t)n;
		}
		ports_put(CHANNEL_RESULTS, buffer, (size_t)got);
		bytes -= (uint64_t)got;
	}
}

static void send_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0)
		return;
	if (!fstat(fd, &st)) {
		send_head(path, &st);
		send_content(fd, (uint64_t)st.st_size);
	}
	close(fd);
}

static void send_link(const char *path, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target));

	if (n < 0)
		return;
	struct stat measured = *st;
	measured.st_size = n;
	send_head(path, &measured);
	ports_put(CHANNEL_RESULTS, target, (size_t)n);
}

static void send_path(const char *path);

static void send_entries(const char *directory)
{
	struct dirent **entries;
	char path[PATH_MAX];
	int n = scandir(directory, &entries, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		if (strcmp(name, ".") && strcmp(name, "..") &&
		    snprintf(path, sizeof(path), "%s/%s", directory, name) < PATH_MAX)
			send_path(path);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

static void send_path(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return;
	if (S_ISREG(st.st_mode)) {
		send_file(path);
	} else if (S_ISLNK(st.st_mode)) {
		send_link(path, &st);
	} else if (S_ISDIR(st.st_mode)) {
		send_head(path, &st);
		send_entries(path);
	}
}

void results_send(const struct plan *plan)
{
	static const uint8_t end[AGENT_RESULT_HEAD_BYTES];

	if (!plan->results.n)
		return;
	/* The command may have removed its directory; an absolute path needs none. */
	bool here = !chdir(plan->directory);
	for (size_t i = 0; i < plan->results.n; i++)
		if (here || plan->results.item[i][0] == '/')
			send_path(plan->results.item[i]);
	ports_put(CHANNEL_RESULTS, end, sizeof(end));
}
