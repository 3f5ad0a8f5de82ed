#include "tools/warm_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "tools/scratch_disk.h"

#define PATH_BYTES (PATH_MAX + 64)

static void make_path(char path[PATH_BYTES], const char *state, const char *suffix)
{
	snprintf(path, PATH_BYTES, "%.*s.disk%s", PATH_MAX, state, suffix);
}

static int copy(const char *from, const char *to, int flags)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = in < 0 ? -1 : open(to, O_RDWR | O_CLOEXEC | flags, 0600);
	int error = in < 0 || out < 0 ? -errno : scratch_disk_copy(in, out);

	if (in >= 0)
		close(in);
	if (out >= 0 && close(out) && !error)
		error = -errno;
	return error;
}

int warm_disk_format(const struct recorder_config *config, unsigned variant)
{
	if (!config->n_disks)
		return 0;
	int fd = open(config->disks[0].path, O_RDWR | O_CLOEXEC);
	int error = fd < 0 ? -errno : scratch_disk_format(fd, variant);
	if (fd >= 0)
		close(fd);
	return error;
}

int warm_disk_save(const struct recorder_config *config, const char *state)
{
	char path[PATH_BYTES], new[PATH_BYTES];

	if (!config->n_disks)
		return 0;
	make_path(path, state, "");
	make_path(new, state, ".new");
	int error = copy(config->disks[0].path, new, O_CREAT);
	if (!error && rename(new, path))
		error = -errno;
	if (error)
		unlink(new);
	return error;
}

int warm_disk_load(const struct recorder_config *config, const char *state)
{
	char path[PATH_BYTES];

	if (!config->n_disks)
		return 0;
	make_path(path, state, "");
	return copy(path, config->disks[0].path, 0);
}

bool warm_disk_is_there(const struct recorder_config *config, const char *state)
{
	char path[PATH_BYTES];

	make_path(path, state, "");
	return !config->n_disks || !access(path, R_OK);
}

void warm_disk_remove(const char *state)
{
	char path[PATH_BYTES];

	make_path(path, state, "");
	unlink(path);
}
