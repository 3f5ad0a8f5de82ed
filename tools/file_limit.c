#include "tools/file_limit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "tools/text.h"

static void on_passed(int number)
{
	(void)number;
}

/* A handler, since programs that are started would inherit that it is ignored. */
void file_limit_survive(void)
{
	struct sigaction action = {.sa_handler = on_passed, .sa_flags = SA_ONSTACK | SA_RESTART};
	struct sigaction old;

	sigemptyset(&action.sa_mask);
	if (!sigaction(SIGXFSZ, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(SIGXFSZ, &action, NULL);
}

uint64_t file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

const char *file_limit_hint(int error, char buffer[FILE_LIMIT_HINT_BYTES])
{
	const uint64_t limit = file_limit();
	char bytes[TEXT_NUMBER_BYTES];

	if (error != -EFBIG || limit == UINT64_MAX)
		return NULL;
	snprintf(buffer, FILE_LIMIT_HINT_BYTES, "files are limited to %s by ulimit -f",
		 text_bytes(bytes, limit));
	return buffer;
}
