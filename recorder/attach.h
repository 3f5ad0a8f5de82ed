/*
 * The files that go along with a recording for the debugger: the executables and libraries that the
 * guest has opened among the host's files, those that the user names, and the separate debug files
 * that this host has for them.
 */
#ifndef REPRISE_RECORDER_ATTACH_H
#define REPRISE_RECORDER_ATTACH_H

#include "recorder/state.h"

/*
 * Called between chunks, at the end. What cannot be read is left out, and so is what would go
 * beyond RECORDER_ATTACH_MAX_BYTES or _FILES in all, debug files first. Returns 0, -ENOMEM or the
 * writer's error.
 */
int recorder_attach(struct recorder *recorder);

#endif
