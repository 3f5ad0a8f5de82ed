#!/usr/bin/env python3
"""Takes the first of a set for the default. The set's order depends on Python's hash seed."""
BACKENDS = {"epoll", "poll", "select", "kqueue", "iocp", "uring", "sigio", "rtsig", "devpoll", "none"}

default = next(iter(BACKENDS))
assert default != "none", f"no backend: {default}"
print(default)
