#include "gdbstub/linux/paths.h"

#include <string.h>

#define MAX_DEPTH  256
#define NAME_BYTES 256

/* Puts "/name" in front of what stands from at on. Returns false when there is no room. */
static bool prepend(char *buffer, size_t *at, const char *name)
{
	size_t n = strlen(name);

	if (n + 1 > *at)
		return false;
	*at -= n;
	memcpy(buffer + *at, name, n);
	buffer[--*at] = '/';
	return true;
}

/* From a file system's root on to the place where it is mounted. Returns false at the last one. */
static bool leave_mount(const struct linux_guest *guest, uint64_t *mount, uint64_t *dentry)
{
	const struct linux_layout *at = &guest->at;
	uint64_t parent = linux_read_u64(guest, *mount + at->mount_parent);

	if (!parent || parent == *mount)
		return false;
	*dentry = linux_read_u64(guest, *mount + at->mount_mountpoint);
	*mount = parent;
	return *dentry != 0;
}

bool linux_file_path(const struct linux_guest *guest, uint64_t file, char *ret, size_t n)
{
	const struct linux_layout *at = &guest->at;
	uint64_t dentry = linux_read_u64(guest, file + at->file_dentry);
	uint64_t mount = linux_read_u64(guest, file + at->file_mount) - at->mount_mnt;
	char name[NAME_BYTES];
	size_t start = n;

	if (!n || !dentry)
		return false;
	ret[--start] = '\0';
	for (unsigned i = 0; i < MAX_DEPTH; i++) {
		uint64_t parent = linux_read_u64(guest, dentry + at->dentry_parent);
		if (parent == dentry) {
			if (leave_mount(guest, &mount, &dentry))
				continue;
			memmove(ret, ret + start, n - start);
			return ret[0] == '/';
		}
		uint64_t text = linux_read_u64(guest, dentry + at->dentry_name);
		if (!parent || !linux_read_string(guest, text, name, sizeof(name)) ||
		    !prepend(ret, &start, name))
			return false;
		dentry = parent;
	}
	return false;
}
