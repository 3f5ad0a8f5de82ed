/*
 * Memory that changes in other ways than by a store to its address: through a mapping that another
 * process shares, through another of its own, by a system call, by a disk, by a copy on write, by
 * another page in its place.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int copied = 1;
static int *shared;
static char *page;
static char received[16];
static int *file, *alias; /* two mappings of one page */
static int file_fd;
static _Alignas(4096) char sector[4096];
/* Nothing reads so far into the file: these pages get into no RAM. */
const char far[8 << 20] = {[6 << 20] = 'f', 'a', 'r'};

static void *map_file(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file_fd, 0);
}

static void *map(void *at, int flags)
{
	return mmap(at, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
}

static void child(void)
{
	int *own = map_file();

	*shared = 2; /* the child's write */
	copied = 77;
	*own = 12; /* the child's write to the file */
	_exit(0);
}

static void receive(void)
{
	int ends[2];

	if (pipe(ends) || write(ends[1], "message", 7) != 7)
		_exit(1);
	if (read(ends[0], received, sizeof(received)) != 7) /* the kernel's write */
		_exit(1);
}

static void read_disk(void)
{
	int fd = open("direct", O_CREAT | O_RDWR | O_DIRECT, 0600);

	memset(sector, 'd', sizeof(sector));
	if (pwrite(fd, sector, sizeof(sector), 0) != sizeof(sector))
		_exit(2);
	memset(sector, 'm', sizeof(sector));
	if (pread(fd, sector, sizeof(sector), 0) != sizeof(sector)) /* the disk's write */
		_exit(2);
}

int main(void)
{
	file_fd = memfd_create("file", 0);
	if (ftruncate(file_fd, 4096))
		_exit(3);
	file = map_file();
	alias = map_file();
	*file = 10;  /* the write */
	*alias = 11; /* the write through the other mapping */
	shared = map(NULL, MAP_SHARED);
	*shared = 1; /* the parent's write */
	page = map(NULL, MAP_PRIVATE);
	strcpy(page, "old");
	if (!fork())
		child();
	wait(NULL);
	copied = 3;                         /* the copy on write */
	map(page, MAP_PRIVATE | MAP_FIXED); /* something else there */
	receive();
	read_disk();
	printf("%d %d %d %s %.4s\n", *shared, *file, copied, received, sector);
	return 0;
}
