/* Packets over a stream: framing, checksums, acknowledgement (RSP: overview). */
#ifndef REPRISE_GDBSTUB_CONNECTION_H
#define REPRISE_GDBSTUB_CONNECTION_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest packet that is taken, as qSupported says. */
#define CONNECTION_PACKET_MAX 16384

struct connection;

/* Takes over the file descriptor. quit, where not NULL: raised, the connection counts as gone. NULL
 * without memory. */
struct connection *connection_create(int fd, const volatile sig_atomic_t *quit);
/* Closes it. Accepts NULL. */
void connection_destroy(struct connection *connection);

/*
 * Waits for the next packet with a right checksum. Returns its content, unescaped and followed by a
 * zero, valid until the next call; NULL when the other side is gone.
 */
const char *connection_receive(struct connection *connection, size_t *ret_n);

/* Sends a packet; escapes where needed. What cannot be sent shows at the next receive. */
void connection_send(struct connection *connection, const void *data, size_t n);

/* From the next packet on nothing is acknowledged. */
void connection_stop_acks(struct connection *connection);

/* True when ^C came, or the other side is gone. Does not wait. */
bool connection_interrupted(struct connection *connection);

#endif
