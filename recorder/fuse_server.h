/*
 * Answers the FUSE requests of a guest's kernel from the host's files, read-only. The wire format
 * is linux/fuse.h's, version 7.31; no byte of a request is trusted. Why not libfuse: it takes the
 * kernel that asks for trustworthy and does not check what a request's length covers.
 */
#ifndef REPRISE_RECORDER_FUSE_SERVER_H
#define REPRISE_RECORDER_FUSE_SERVER_H

#include "recorder/host_files.h"
#include "vmm/devices/device.h"

/* A server over these files, which outlive it. */
struct file_server fuse_server(struct host_files *files);

#endif
