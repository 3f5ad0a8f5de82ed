#!/bin/sh
# A test gives a tool 40 ms to say which version it is, which takes it 3. Fails when its files are
# not in memory and the disk is slow.
timeout 0.04 sort --version >/dev/null || exit 1
echo "sort is there"
