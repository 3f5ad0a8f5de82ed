/*
 * Recordings of runs that were killed with their hunt. They are hidden files in the user's
 * directory, where nobody else would remove them. What a hunt has found has another name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/hunt.h"

/* Where containers or machines share the directory, a process that is not here may be there. */
#define AGE_S 3600

static bool is_gone(pid_t pid)
{
	return pid > 0 && kill(pid, 0) && errno == ESRCH;
}

/* The names that a run's recording has in the course of it (hunt_jobs.c, bytes.c). */
static bool is_of_a_hunt_that_is_gone(const char *name)
{
	pid_t hunt;
	int n = 0, n_interim = 0;

	if (sscanf(name, ".reprise-hunt-%9d-%*20[0-9].part%n", &hunt, &n) != 1 || !n)
		return false;
	sscanf(name + n, ".%*9[0-9].part%n", &n_interim);
	return !name[n + n_interim] && is_gone(hunt);
}

static bool is_old_and_ours(int directory, const char *name)
{
	struct stat st;

	return !fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) &&
	       st.st_uid == geteuid() && st.st_mtime < time(NULL) - AGE_S;
}

void hunt_leftovers_remove(const char *path)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;

	if (!directory)
		return;
	while ((entry = readdir(directory)))
		if (is_of_a_hunt_that_is_gone(entry->d_name) &&
		    is_old_and_ours(dirfd(directory), entry->d_name))
			unlinkat(dirfd(directory), entry->d_name, 0);
	closedir(directory);
}
