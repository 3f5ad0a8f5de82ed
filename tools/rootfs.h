/* The guest's root directory instead of the host's: a directory, or an archive of one. */
#ifndef REPRISE_TOOLS_ROOTFS_H
#define REPRISE_TOOLS_ROOTFS_H

#include <stdbool.h>

/*
 * The directory for --rootfs. An archive (whatever tar(1) unpacks) is unpacked in the cache once
 * for each content; tell: with a line about that. The owners of files are kept where this is root.
 * *ret_path is the caller's to free. Returns STATUS_OK, or STATUS_FAILED after a line was printed.
 */
int rootfs_find(const char *given, bool tell, char **ret_path);

#endif
