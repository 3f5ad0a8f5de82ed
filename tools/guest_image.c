#include "tools/guest_image.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cpio.h"
#include "tools/file_bytes.h"
#include "tools/libraries.h"

#define MAX_LINKS 40 /* as the kernel's limit for one path */

struct guest_image {
	struct cpio *cpio;
	void *paths; /* tsearch tree of what is in the archive */
	char failed[PATH_MAX];
};

/* A path on its way through the host's directories. */
struct walk {
	char done[PATH_MAX]; /* without links, no slash at the end; "" is the root */
	char rest[PATH_MAX]; /* what follows */
	struct stat st;      /* of done */
	int links;
};

static int compare_paths(const void *a, const void *b)
{
	return strcmp(a, b);
}

int guest_image_create(struct guest_image **ret_image)
{
	struct guest_image *image = calloc(1, sizeof(*image));

	if (!image || cpio_create(&image->cpio)) {
		free(image);
		return -ENOMEM;
	}
	*ret_image = image;
	return 0;
}

void guest_image_destroy(struct guest_image *image)
{
	if (!image)
		return;
	tdestroy(image->paths, free);
	cpio_destroy(image->cpio);
	free(image);
}

const char *guest_image_failed_path(const struct guest_image *image)
{
	return image->failed;
}

static int fail(struct guest_image *image, const char *path, int err)
{
	if (err)
		snprintf(image->failed, sizeof(image->failed), "%s", path);
	return err;
}

/* Returns 1 when the path is new, 0 when it is in the archive, or -ENOMEM. */
static int claim(struct guest_image *image, const char *path)
{
	if (tfind(path, &image->paths, compare_paths))
		return 0;
	char *copy = strdup(path);
	if (!copy || !tsearch(copy, &image->paths, compare_paths)) {
		free(copy);
		return -ENOMEM;
	}
	return 1;
}

static int add_entry(struct guest_image *image, const char *path, mode_t mode, int64_t mtime_s,
		     const void *data, size_t n)
{
	int fresh = claim(image, path);

	if (fresh <= 0)
		return fail(image, path, fresh);
	return fail(image, path,
		    cpio_add(image->cpio, &(struct cpio_entry){.name = path + 1,
							       .mode = mode,
							       .mtime_s = mtime_s,
							       .data = data,
							       .n = n}));
}

static bool is_guests_own(const char *path)
{
	static const char *const own[] = {"/dev", "/proc", "/sys"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		size_t n = strlen(own[i]);
		if (!strncmp(path, own[i], n) && (!path[n] || path[n] == '/'))
			return true;
	}
	return false;
}

/* ---- walking a path ---- */

/* Moves the first component of rest to done. Returns false when there is none left. */
static bool next_component(struct walk *walk)
{
	char *start = walk->rest + strspn(walk->rest, "/");
	size_t n = strcspn(start, "/");
	char *last = strrchr(walk->done, '/');

	if (!n)
		return false;
	if (n == 2 && !strncmp(start, "..", 2)) {
		if (last)
			*last = 0;
	} else if (n != 1 || *start != '.') {
		size_t used = strlen(walk->done);
		snprintf(walk->done + used, sizeof(walk->done) - used, "/%.*s", (int)n, start);
	}
	memmove(walk->rest, start + n, strlen(start + n) + 1);
	return true;
}

/* done is a link: adds it and goes where it points. */
static int follow_link(struct guest_image *image, struct walk *walk)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t n = readlink(walk->done, target, sizeof(target) - 1);

	if (n < 0)
		return fail(image, walk->done, -errno);
	target[n] = 0;
	int err =
		add_entry(image, walk->done, S_IFLNK | 0777, walk->st.st_mtime, target, (size_t)n);
	if (err)
		return err;
	if (++walk->links > MAX_LINKS)
		return fail(image, walk->done, -ELOOP);
	if (snprintf(rest, sizeof(rest), "%s/%s", target, walk->rest) >= (int)sizeof(rest))
		return fail(image, walk->done, -ENAMETOOLONG);
	memcpy(walk->rest, rest, strlen(rest) + 1);
	if (target[0] == '/')
		walk->done[0] = 0;
	else
		*strrchr(walk->done, '/') = 0;
	return 0;
}

/* Walks to the path's end, adding links and directories; done and st then say what is there. */
static int walk_path(struct guest_image *image, const char *path, struct walk *ret_walk)
{
	struct walk *walk = ret_walk;

	*walk = (struct walk){.st.st_mode = S_IFDIR | 0755};
	if (snprintf(walk->rest, sizeof(walk->rest), "%s", path) >= (int)sizeof(walk->rest))
		return fail(image, path, -ENAMETOOLONG);
	while (next_component(walk)) {
		int err = 0;
		if (!walk->done[0])
			continue;
		if (lstat(walk->done, &walk->st))
			return fail(image, walk->done, -errno);
		if (S_ISLNK(walk->st.st_mode))
			err = follow_link(image, walk);
		else if (S_ISDIR(walk->st.st_mode))
			err = add_entry(image, walk->done, S_IFDIR | (walk->st.st_mode & 07777),
					walk->st.st_mtime, NULL, 0);
		else if (walk->rest[strspn(walk->rest, "/")])
			err = fail(image, walk->done, -ENOTDIR);
		if (err)
			return err;
	}
	/* A path that ends in ".." or in "/" was not looked at last. */
	return stat(walk->done[0] ? walk->done : "/", &walk->st) ? fail(image, path, -errno) : 0;
}

/* ---- adding files ---- */

static int add_host(struct guest_image *image, const char *path, bool in_tree);

static int add_library(void *ctx, const char *path)
{
	return guest_image_add_host(ctx, path);
}

/* A regular file at a path without links. */
static int add_regular(struct guest_image *image, const char *path, const struct stat *st)
{
	struct file_bytes bytes;

	if (tfind(path, &image->paths, compare_paths))
		return 0;
	int err = file_bytes_read(path, &bytes);
	if (err)
		return fail(image, path, err);
	bool elf = bytes.n >= 4 && !memcmp(bytes.data, "\177ELF", 4);
	err = add_entry(image, path, S_IFREG | (st->st_mode & 07777), st->st_mtime, bytes.data,
			bytes.n);
	file_bytes_finish(&bytes);
	return err || !elf ? err : libraries_each(path, add_library, image);
}

static int add_tree(struct guest_image *image, const char *directory)
{
	struct dirent **entries;
	int err = 0;
	/* Sorted, so that the same files give the same image. */
	int n = scandir(directory[0] ? directory : "/", &entries, NULL, alphasort);

	if (n < 0)
		return fail(image, directory, -errno);
	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		char path[PATH_MAX];
		bool fits = snprintf(path, sizeof(path), "%s/%s", directory, name) < PATH_MAX;
		if (!err && strcmp(name, ".") && strcmp(name, ".."))
			err = fits ? add_host(image, path, true)
				   : fail(image, directory, -ENAMETOOLONG);
		/* A link that leads nowhere does so in the guest too. */
		if (err == -ENOENT)
			err = 0;
		free(entries[i]);
	}
	free(entries);
	return err;
}

/* In a tree, a link to a directory is not followed: it may lead out of the tree, or in circles. */
static int add_host(struct guest_image *image, const char *path, bool in_tree)
{
	struct walk walk;

	if (is_guests_own(path))
		return 0;
	int err = walk_path(image, path, &walk);
	if (err || is_guests_own(walk.done))
		return err;
	if (S_ISDIR(walk.st.st_mode))
		return in_tree && walk.links ? 0 : add_tree(image, walk.done);
	return S_ISREG(walk.st.st_mode) ? add_regular(image, walk.done, &walk.st) : 0;
}

int guest_image_add_host(struct guest_image *image, const char *path)
{
	return add_host(image, path, false);
}

int guest_image_add_directory(struct guest_image *image, const char *path)
{
	struct walk walk;
	int err = walk_path(image, path, &walk);

	if (!err && !S_ISDIR(walk.st.st_mode))
		err = fail(image, path, -ENOTDIR);
	return err;
}

/* Parents of our own files are plain directories. */
static int add_parents(struct guest_image *image, const char *path)
{
	char parent[PATH_MAX];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
		int err = add_entry(image, parent, S_IFDIR | 0755, 0, NULL, 0);
		if (err)
			return err;
	}
	return 0;
}

int guest_image_add_file(struct guest_image *image, const char *path, mode_t mode, const void *data,
			 size_t n)
{
	int err = add_parents(image, path);

	return err ? err : add_entry(image, path, S_IFREG | mode, 0, data, n);
}

int guest_image_finish(struct guest_image *image, uint8_t **ret_data, size_t *ret_n)
{
	return fail(image, "the guest's image", cpio_finish(image->cpio, ret_data, ret_n));
}
