/* Where gdb connects: a Unix socket or loopback TCP. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gdbstub/gdbstub.h"

static int bind_and_listen(int fd, const struct sockaddr *address, socklen_t bytes)
{
	if (fd < 0)
		return -errno;
	if (bind(fd, address, bytes) < 0 || listen(fd, 1) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

/* Only the user who started the server may connect. */
static int listen_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat info;
	mode_t mask;
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode))
		unlink(path);
	mask = umask(077);
	fd = bind_and_listen(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
			     (const struct sockaddr *)&address, sizeof(address));
	umask(mask);
	return fd;
}

static bool is_loopback(const struct addrinfo *info)
{
	if (info->ai_family == AF_INET) {
		const struct sockaddr_in *in =
			(const struct sockaddr_in *)(const void *)info->ai_addr;
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)info->ai_addr;
	return info->ai_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static int listen_tcp(const char *host, const char *port, bool anywhere)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
	};
	struct addrinfo *info;
	int fd, on = 1;

	if (getaddrinfo(host, port, &hints, &info))
		return -EINVAL;
	if (!anywhere && !is_loopback(info)) {
		freeaddrinfo(info);
		return -EPERM;
	}
	fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		/* Connections inherit it: packets are small, and each waits for the other. */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	fd = bind_and_listen(fd, info->ai_addr, info->ai_addrlen);
	freeaddrinfo(info);
	return fd;
}

int gdbstub_listen(const char *address, bool anywhere)
{
	char host[64] = "127.0.0.1";
	const char *colon = strrchr(address, ':');

	if (!strncmp(address, "unix:", 5))
		return listen_unix(address + 5);
	if (strchr(address, '/'))
		return listen_unix(address);
	if (!colon || (size_t)(colon - address) >= sizeof(host))
		return -EINVAL;
	if (colon != address) {
		size_t n = (size_t)(colon - address);
		bool brackets = address[0] == '[' && colon[-1] == ']' && n > 2;
		memcpy(host, address + brackets, n - 2 * brackets);
		host[n - 2 * brackets] = '\0';
		if (!strcmp(host, "localhost"))
			strcpy(host, "127.0.0.1");
	}
	return listen_tcp(host, colon + 1, anywhere);
}
