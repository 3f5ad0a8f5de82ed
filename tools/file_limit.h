/* The limit of files' sizes (setrlimit(2), RLIMIT_FSIZE): what passes it fails, and says so. */
#ifndef REPRISE_TOOLS_FILE_LIMIT_H
#define REPRISE_TOOLS_FILE_LIMIT_H

#include <stdint.h>

#define FILE_LIMIT_HINT_BYTES 80

/* From now on system calls fail with EFBIG past the limit, where SIGXFSZ would end the process. It
 * ends programs that are started from here, unless it did not before. */
void file_limit_survive(void);

/* In bytes; UINT64_MAX: none. */
uint64_t file_limit(void);

/* "files are limited to 1.05 MB by ulimit -f" when error is -EFBIG and there is a limit, else NULL.
 */
const char *file_limit_hint(int error, char buffer[FILE_LIMIT_HINT_BYTES]);

#endif
