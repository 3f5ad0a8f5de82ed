#include "tools/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_NS 100000000u

bool progress_wanted(bool quiet)
{
	return !quiet && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
}

bool progress_due(struct progress *progress)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	if (now_ns - progress->shown_ns < INTERVAL_NS)
		return false;
	progress->shown_ns = now_ns;
	return true;
}

/* ECMA-48: EL, erase to the end of the line. */
void progress_show(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\033[K\r", stderr);
}

void progress_clear(void)
{
	fputs("\033[K", stderr);
}
