#include "tools/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

bool progress_wanted(bool quiet)
{
	return !quiet && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
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
