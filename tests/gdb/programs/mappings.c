/*
 * Memory that changes in other ways than by a store of its process: through a mapping that another
 * process shares, by a system call, by a copy on write, by another page in its place.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int copied = 1;
static int *shared;
static char *page;
static char received[16];

static void *map(void *at, int flags)
{
	return mmap(at, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
}

static void child(void)
{
	*shared = 2; /* the child's write */
	copied = 77;
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

int main(void)
{
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
	printf("%d %d %s\n", *shared, copied, received);
	return 0;
}
