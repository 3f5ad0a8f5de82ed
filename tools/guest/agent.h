/* What `reprise run` and the agent in its guest agree on, beside the channel. */
#ifndef REPRISE_TOOLS_GUEST_AGENT_H
#define REPRISE_TOOLS_GUEST_AGENT_H

/*
 * The plan, read from the channel: its length as 4 bytes, little-endian, then strings, each ended
 * by a zero byte, each with one of these letters in front. Numbers are decimal.
 */
#define AGENT_DIRECTORY   'd' /* where the command starts; once */
#define AGENT_PROGRAM     'p' /* the file that is executed; once */
#define AGENT_ARGUMENT    'a' /* one for each, argv[0] first */
#define AGENT_ENVIRONMENT 'e' /* NAME=VALUE, one for each */
#define AGENT_USER        'u' /* user id */
#define AGENT_GROUP       'g' /* group id */
#define AGENT_GROUPS      'G' /* one for each supplementary group */
#define AGENT_UMASK       'm'
#define AGENT_LIMIT       'l' /* "RESOURCE SOFT HARD" (setrlimit), one for each */
#define AGENT_TERMINAL    't' /* "BITS ROWS COLUMNS": AGENT_TERMINAL_ bits; no terminal without */
#define AGENT_HOST_NAME   'h'
#define AGENT_TIME        'w' /* nanoseconds since 1970 at the moment at which READY was written */
#define AGENT_PERSONALITY 'y' /* as personality() takes it */
#define AGENT_STACK_MOVED 's' /* the bytes by which the command's stack begins lower */
#define AGENT_RESULT      'o' /* a path that goes back to the host at the end; one for each */

#define AGENT_PLAN_MAX (8u << 20)

/* The disk of the upper layer, an ext4 file system; without one it lies in RAM. */
#define AGENT_SCRATCH_DEVICE "/dev/vda"

/* Which of the command's descriptors are a terminal: bit n for descriptor n. */
#define AGENT_TERMINAL_IN  1
#define AGENT_TERMINAL_OUT 2
#define AGENT_TERMINAL_ERR 4

/* Modules in the initial RAM file system, inserted in the order of their names. */
#define AGENT_MODULES "modules"

/* The tag of the virtio file system with the host's files. */
#define AGENT_FILES_TAG "reprise"

/*
 * A result: a head of AGENT_RESULT_HEAD_BYTES: le32 mode (a whole st_mode), le32 length of the
 * path, le64 bytes of content, le64 time of modification in ns, which may be negative; the path;
 * the content (of a link, where it leads). A head of zeros ends the results.
 */
#define AGENT_RESULT_HEAD_BYTES 24

/* On the kernel's command line: the guest is saved once it is ready, so its state is to be small.
 */
#define AGENT_SAVED_OPTION "reprise.saved"

/* Exit statuses that are not the command's own. */
#define AGENT_STATUS_FAILED         125
#define AGENT_STATUS_NOT_EXECUTABLE 126
#define AGENT_STATUS_NOT_FOUND      127

#endif
