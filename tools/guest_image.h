/*
 * The root file system of a `reprise run` guest: host files at the paths they have on the host,
 * with every symbolic link on the way, packed as an initial RAM file system.
 */
#ifndef REPRISE_TOOLS_GUEST_IMAGE_H
#define REPRISE_TOOLS_GUEST_IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct guest_image;

/* Returns 0 or -ENOMEM. */
int guest_image_create(struct guest_image **ret_image);
void guest_image_destroy(struct guest_image *image);

/*
 * Adds the host's file, or directory with all that is in it, at an absolute path; of ELF files,
 * also the shared libraries that ldd names. What is there already is left alone; so are the file
 * systems that the guest has of its own (/dev, /proc, /sys), and devices, sockets and FIFOs.
 * Returns 0 or a negative errno, with the path that failed in guest_image_failed_path().
 */
int guest_image_add_host(struct guest_image *image, const char *path);

/* Adds the directories that lead to path, and path itself, as they are on the host. */
int guest_image_add_directory(struct guest_image *image, const char *path);

/* Adds a file of our own: path is absolute, mode its permissions. */
int guest_image_add_file(struct guest_image *image, const char *path, mode_t mode, const void *data,
			 size_t n);

/* The path that an error is about; valid until the next call. */
const char *guest_image_failed_path(const struct guest_image *image);

/* Ends the image: its bytes are the caller's to free. Returns 0 or -ENOMEM. */
int guest_image_finish(struct guest_image *image, uint8_t **ret_data, size_t *ret_n);

#endif
