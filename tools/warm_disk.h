/* The scratch disk as a booted guest has left it, beside that guest's state: the guest that goes on
 * from the state has it mounted already. */
#ifndef REPRISE_TOOLS_WARM_DISK_H
#define REPRISE_TOOLS_WARM_DISK_H

#include <stdbool.h>

#include "recorder/recorder.h"

/* All are about the configuration's first disk, and do nothing where it has none. Returned is 0 or
 * a negative errno. state: the path of the guest's state. */

/* Makes the file system, of a variant of scratch_disk.h's. */
int warm_disk_format(const struct recorder_config *config, unsigned variant);

/* Keeps a copy of it, or makes it such a copy. */
int warm_disk_save(const struct recorder_config *config, const char *state);
int warm_disk_load(const struct recorder_config *config, const char *state);

/* Whether there is a copy. */
bool warm_disk_is_there(const struct recorder_config *config, const char *state);

void warm_disk_remove(const char *state);

#endif
