/*
 * Writes a cpio archive in the "newc" format that Linux unpacks as its initial RAM file system
 * (Linux Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root.
 */
#ifndef REPRISE_TOOLS_CPIO_H
#define REPRISE_TOOLS_CPIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cpio;

struct cpio_entry {
	const char *name; /* without a leading slash */
	mode_t mode;      /* type and permissions: S_IFREG, S_IFDIR or S_IFLNK */
	int64_t mtime_s;
	const void *data; /* a file's content, a link's target; NULL for a directory */
	size_t n;
};

/* Returns 0 or -ENOMEM. */
int cpio_create(struct cpio **ret_cpio);
void cpio_destroy(struct cpio *cpio);

/* Parents come before what is in them. Returns 0, -EFBIG above 4 GiB - 1 or -ENOMEM. */
int cpio_add(struct cpio *cpio, const struct cpio_entry *entry);

/* Ends the archive and hands its bytes over; they are the caller's to free. Returns 0 or -ENOMEM.
 */
int cpio_finish(struct cpio *cpio, uint8_t **ret_data, size_t *ret_n);

#endif
