/* System calls that do next to nothing, so that the way into the kernel and back is what counts. */
#include <errno.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/work/work.h"

/* A turn: one getppid, which the C library cannot answer itself. */
int work_getppid(uint64_t n, uint64_t *ret_result)
{
	long first = syscall(SYS_getppid);
	uint64_t same = 0;

	for (uint64_t i = 0; i < n; i++)
		same += syscall(SYS_getppid) == first;
	*ret_result = same;
	return 0;
}

/* A turn: one clock_gettime, in user mode where the kernel's clock source lets it. */
int work_clock(uint64_t n, uint64_t *ret_result)
{
	struct timespec before = {0}, now;
	uint64_t forward = 0;

	for (uint64_t i = 0; i < n; i++) {
		if (clock_gettime(CLOCK_MONOTONIC, &now))
			return -errno;
		forward += now.tv_sec > before.tv_sec ||
			   (now.tv_sec == before.tv_sec && now.tv_nsec >= before.tv_nsec);
		before = now;
	}
	*ret_result = forward;
	return 0;
}

/* Answers each byte with the next one, until the other end closes. */
static void answer(int in, int out)
{
	uint8_t byte;

	while (read(in, &byte, 1) == 1) {
		byte++;
		if (write(out, &byte, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static int play(uint64_t n, int in, int out, uint64_t *ret_result)
{
	uint64_t sum = 0;
	uint8_t byte = 0;

	for (uint64_t i = 0; i < n; i++) {
		if (write(out, &byte, 1) != 1 || read(in, &byte, 1) != 1)
			return -EIO;
		sum += byte;
	}
	*ret_result = sum;
	return 0;
}

/* A turn: one byte to another process and one back, with a switch of processes each way. */
int work_pipe(uint64_t n, uint64_t *ret_result)
{
	int there[2], back[2];

	if (pipe(there))
		return -errno;
	if (pipe(back))
		return -errno;
	pid_t child = fork();
	if (child < 0)
		return -errno;
	if (!child) {
		close(there[1]);
		answer(there[0], back[1]);
	}
	int err = play(n, back[0], there[1], ret_result);
	close(there[1]);
	waitpid(child, NULL, 0);
	return err;
}
