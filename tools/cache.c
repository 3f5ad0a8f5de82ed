#include "tools/cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int cache_directory(char directory[PATH_MAX])
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n = -1;

	if (cache && cache[0] == '/')
		n = snprintf(directory, PATH_MAX, "%s", cache);
	else if (home && home[0] == '/')
		n = snprintf(directory, PATH_MAX, "%s/.cache", home);
	if (n < 0 || n > PATH_MAX - CACHE_NAME_MAX - 10)
		return -ENOENT;
	if (mkdir(directory, 0700) && errno != EEXIST)
		return -errno;
	strcat(directory, "/reprise");
	return mkdir(directory, 0700) && errno != EEXIST ? -errno : 0;
}
