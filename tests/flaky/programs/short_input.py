#!/usr/bin/env python3
"""Reads a request from standard input with one read, which gives what is there and not what is meant."""
import os

request = os.read(0, 65536)
assert request.endswith(b"end\n"), f"only {len(request)} bytes: {request[-20:]!r}"
print("a whole request")
