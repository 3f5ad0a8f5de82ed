/* A test that gives its server 10 ms to answer; it takes 1 or 2. */
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_MS 10

static void serve(int fd)
{
	volatile long sum = 0;

	for (int i = 0; i < 300000; i++)
		sum += i;
	if (write(fd, "ready\n", 6) != 6)
		_exit(1);
	_exit(0);
}

int main(void)
{
	int fds[2];

	if (pipe(fds))
		return 2;
	if (!fork())
		serve(fds[1]);
	struct pollfd wait_for = {.fd = fds[0], .events = POLLIN};
	int n = poll(&wait_for, 1, TIMEOUT_MS);
	puts(n == 1 ? "the server is ready" : "the server does not answer");
	wait(NULL);
	return n == 1 ? 0 : 1;
}
