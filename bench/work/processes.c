#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/work/work.h"

/* A turn: a child that executes this program anew, and its end awaited. */
int work_exec(uint64_t n, uint64_t *ret_result)
{
	static char *const argv[] = {"bench-work", NULL};
	static char *const envp[] = {NULL};
	uint64_t good = 0;

	for (uint64_t i = 0; i < n; i++) {
		int status;
		pid_t child = fork();
		if (child < 0)
			return -errno;
		if (!child) {
			execve("/proc/self/exe", argv, envp);
			_exit(127);
		}
		if (waitpid(child, &status, 0) != child)
			return -errno;
		good += status == 0;
	}
	*ret_result = good;
	return 0;
}

#define FAULT_BYTES (UINT64_C(32) << 20)
#define PAGE_BYTES  4096

/* A turn: 32 MiB of new memory, one byte of each page written, and given back. */
int work_faults(uint64_t n, uint64_t *ret_result)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint8_t *bytes = mmap(NULL, FAULT_BYTES, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (bytes == MAP_FAILED)
			return -errno;
		/* Pages of 4 KiB everywhere, whatever the kernel would like. */
		madvise(bytes, FAULT_BYTES, MADV_NOHUGEPAGE);
		for (uint64_t at = 0; at < FAULT_BYTES; at += PAGE_BYTES) {
			sum += bytes[at];
			bytes[at] = (uint8_t)i;
			sum += bytes[at];
		}
		munmap(bytes, FAULT_BYTES);
	}
	*ret_result = sum;
	return 0;
}

#define THREADS 4

struct shared {
	pthread_mutex_t mutex;
	uint64_t turns, count;
};

static void *count_up(void *opaque)
{
	struct shared *shared = opaque;

	for (uint64_t i = 0; i < shared->turns; i++) {
		pthread_mutex_lock(&shared->mutex);
		shared->count++;
		pthread_mutex_unlock(&shared->mutex);
	}
	return NULL;
}

/* A turn: each of four threads takes one mutex, adds 1 to a shared number and lets go. */
int work_mutex(uint64_t n, uint64_t *ret_result)
{
	struct shared shared = {.mutex = PTHREAD_MUTEX_INITIALIZER, .turns = n};
	pthread_t threads[THREADS];
	int started = 0, err = 0;

	while (started < THREADS && !err) {
		err = pthread_create(&threads[started], NULL, count_up, &shared);
		started += !err;
	}
	while (started)
		pthread_join(threads[--started], NULL);
	*ret_result = shared.count;
	return -err;
}
