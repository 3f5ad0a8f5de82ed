/* A message in two parts over TCP on the loopback; the receiver believes that one read gives it
 * all. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in address = {.sin_family = AF_INET};

static void *send_message(void *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) ||
	    write(fd, "length 5\n", 9) != 9 || write(fd, "hello", 5) != 5)
		perror("send");
	close(fd);
	return arg;
}

int main(void)
{
	socklen_t n = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	char message[64];
	pthread_t thread;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (const struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&address, &n))
		return 2;
	pthread_create(&thread, NULL, send_message, NULL);
	int fd = accept(listener, NULL, NULL);
	usleep(200);
	ssize_t got = read(fd, message, sizeof(message));
	pthread_join(thread, NULL);
	printf("%zd bytes\n", got);
	return got == 14 ? 0 : 1;
}
