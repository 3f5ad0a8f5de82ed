/*
 * The initial RAM file system of a `reprise run` guest: the agent and the kernel modules that it
 * needs to reach the host's files. It depends on the kernel only, not on the command.
 */
#ifndef REPRISE_TOOLS_GUEST_IMAGE_H
#define REPRISE_TOOLS_GUEST_IMAGE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Makes it for a kernel. modules: the directory of its modules; NULL: the one that the kernel's
 * release names. *ret_data is the caller's to free. Returns STATUS_OK, or STATUS_FAILED after a
 * line was printed.
 */
int guest_image_make(const uint8_t *kernel, size_t kernel_bytes, const char *modules,
		     uint8_t **ret_data, size_t *ret_n);

#endif
