/* Names of files in a Linux guest. */
#ifndef REPRISE_GDBSTUB_LINUX_PATHS_H
#define REPRISE_GDBSTUB_LINUX_PATHS_H

#include "gdbstub/linux/guest.h"

/* The path of an open file (the address of a struct file) from the guest's root. Returns false when
 * it cannot be made out. */
bool linux_file_path(const struct linux_guest *guest, uint64_t file, char *ret, size_t n);

#endif
