#include <errno.h>
#include <stdio.h>

#include "bench/work/work.h"

#define LINE_WORDS 12

/* A turn: 1 MiB of text on standard output, of words that repeat about as often as in prose. */
int work_text(uint64_t n, uint64_t *ret_result)
{
	static const char *const words[] = {"the ",     "guest ",   "runs ",  "again ",
					    "event ",   "for ",     "clock ", "instruction ",
					    "machine ", "records ", "and ",   "page "};
	uint64_t state = 1, written = 0;

	while (written < n << 20) {
		for (int i = 0; i < LINE_WORDS; i++) {
			state = state * UINT64_C(6364136223846793005) + 1;
			int length = printf("%s", words[(state >> 33) % 12]);
			if (length < 0)
				return -EIO;
			written += (uint64_t)length;
		}
		int length = printf("%x\n", (unsigned)(state >> 40));
		if (length < 0)
			return -EIO;
		written += (uint64_t)length;
	}
	*ret_result = written;
	return fflush(stdout) ? -errno : 0;
}
