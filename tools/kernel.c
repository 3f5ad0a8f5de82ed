#include "tools/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Linux Documentation/arch/x86/boot.rst: the setup header's magic, version and 64-bit entry flag.
 */
enum {
	HEADER_MAGIC = 0x202,
	HEADER_VERSION = 0x206,
	HEADER_XLOADFLAGS = 0x236,
	HEADER_END = 0x238
};
enum { VERSION_WITH_XLOADFLAGS = 0x020c, XLF_KERNEL_64 = 1 };

static uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

/* Returns 0, -ENOEXEC for another kind of file, or why it cannot be read. */
static int check_kernel(const char *path)
{
	uint8_t header[HEADER_END];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, header, sizeof(header));
	close(fd);
	if (n != (ssize_t)sizeof(header) || memcmp(header + HEADER_MAGIC, "HdrS", 4) ||
	    get_u16(header + HEADER_VERSION) < VERSION_WITH_XLOADFLAGS ||
	    !(get_u16(header + HEADER_XLOADFLAGS) & XLF_KERNEL_64))
		return -ENOEXEC;
	return 0;
}

static int is_kernel_name(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "vmlinuz-", 8);
}

/* Newest first. versionsort knows that 6.10 is newer than 6.9. */
static int newer_first(const struct dirent **a, const struct dirent **b)
{
	return versionsort(b, a);
}

static int check_entry(const char *directory, const char *name, char **ret_path)
{
	char *path;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		return -ENOMEM;
	int err = check_kernel(path);
	if (err)
		free(path);
	else
		*ret_path = path;
	return err;
}

int kernel_find_newest(const char *directory, char **ret_path)
{
	struct dirent **entries;
	int result = -ENOENT;
	int n = scandir(directory, &entries, is_kernel_name, newer_first);

	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		/* The first that fits decides; an unreadable one is worth telling about. */
		if (result && result != -ENOMEM) {
			int err = check_entry(directory, entries[i]->d_name, ret_path);
			if (!err || err == -EACCES || err == -ENOMEM)
				result = err;
		}
		free(entries[i]);
	}
	free(entries);
	return result;
}

char *kernel_modules_beside(const char *kernel_path)
{
	static const char name[] = "/boot/vmlinuz-";
	const char *at = strstr(kernel_path, name), *next;
	char *directory;

	while (at && (next = strstr(at + 1, name)))
		at = next;
	if (!at || strchr(at + sizeof(name) - 1, '/') ||
	    asprintf(&directory, "%.*s/lib/modules/%s", (int)(at - kernel_path), kernel_path,
		     at + sizeof(name) - 1) < 0)
		return NULL;
	if (!access(directory, R_OK))
		return directory;
	free(directory);
	return NULL;
}
