/* A program reads from one child while another ends: SIGCHLD has a handler, and read() is not begun
 * anew. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_child(int number)
{
	(void)number;
}

static void spin(long n)
{
	for (volatile long i = 0; i < n; i++)
		;
}

int main(void)
{
	struct sigaction action = {.sa_handler = on_child};
	char text[8];
	int fds[2];

	sigaction(SIGCHLD, &action, NULL);
	if (pipe(fds))
		return 2;
	if (!fork())
		_exit(0); /* before anyone reads, as a rule */
	spin(300000);
	pid_t sender = fork();
	if (!sender) {
		spin(200000);
		if (write(fds[1], "hello", 5) != 5)
			_exit(1);
		pause();
	}
	ssize_t n = read(fds[0], text, sizeof(text));
	if (n < 0)
		perror("read");
	kill(sender, SIGKILL);
	while (wait(NULL) > 0)
		;
	return n == 5 ? 0 : 1;
}
