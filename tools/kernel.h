/* The kernel to boot when the user names none. */
#ifndef REPRISE_TOOLS_KERNEL_H
#define REPRISE_TOOLS_KERNEL_H

#define KERNEL_DIRECTORY "/boot"

/*
 * Finds the newest vmlinuz-* in the directory, by version, that can be read and is a 64-bit
 * bzImage. Returns 0 and *ret_path, the caller's to free; -EACCES when there are some but none can
 * be read; -ENOENT when there is none; another negative errno of opendir; -ENOMEM.
 */
int kernel_find_newest(const char *directory, char **ret_path);

/*
 * The directory of a kernel's modules when it lies as packages have it: of
 * ROOT/boot/vmlinuz-RELEASE it is ROOT/lib/modules/RELEASE. The caller frees it. NULL: there is
 * none.
 */
char *kernel_modules_beside(const char *kernel_path);

#endif
