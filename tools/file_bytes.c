#include "tools/file_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads until the end or until capacity is full; a file that shrinks gives less. */
static int read_all(int fd, uint8_t *data, size_t capacity, size_t *ret_n)
{
	size_t n = 0;

	while (n < capacity) {
		ssize_t got = read(fd, data + n, capacity - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		n += (size_t)got;
	}
	*ret_n = n;
	return 0;
}

static int read_file(int fd, struct file_bytes *ret_bytes)
{
	struct stat st;
	struct file_bytes bytes = {0};

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	bytes.data = malloc((size_t)st.st_size + 1);
	if (!bytes.data)
		return -ENOMEM;
	int err = read_all(fd, bytes.data, (size_t)st.st_size, &bytes.n);
	if (err)
		free(bytes.data);
	else
		*ret_bytes = bytes;
	return err;
}

/* An empty file has nothing to map. */
static int map_file(int fd, struct file_bytes *ret_bytes)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return read_file(fd, ret_bytes);
	void *data = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_NORESERVE, fd, 0);
	if (data == MAP_FAILED)
		return read_file(fd, ret_bytes);
	*ret_bytes = (struct file_bytes){.data = data, .n = (size_t)st.st_size, .mapped = true};
	return 0;
}

static int open_and(int (*take)(int fd, struct file_bytes *ret_bytes), const char *path,
		    struct file_bytes *ret_bytes)
{
	/* Non-blocking so that opening a FIFO does not wait for its writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	int err = take(fd, ret_bytes);
	close(fd);
	return err;
}

int file_bytes_read(const char *path, struct file_bytes *ret_bytes)
{
	return open_and(read_file, path, ret_bytes);
}

int file_bytes_map(const char *path, struct file_bytes *ret_bytes)
{
	return open_and(map_file, path, ret_bytes);
}

void file_bytes_finish(struct file_bytes *bytes)
{
	if (bytes->mapped)
		munmap(bytes->data, bytes->n);
	else
		free(bytes->data);
	*bytes = (struct file_bytes){0};
}
