/* A thread that brings a file to disk at the pace of requests, so that its writer need not wait. */
#ifndef REPRISE_LOG_FORMAT_SYNC_H
#define REPRISE_LOG_FORMAT_SYNC_H

struct log_sync;

/* fd is borrowed and must stay open until log_sync_destroy(). Returns 0 or -errno. */
int log_sync_create(int fd, struct log_sync **ret_sync);
/* Asks for all that is written now; does not wait. Returns 0 or an earlier fdatasync's -errno. */
int log_sync_request(struct log_sync *sync);
/* Waits for the fdatasync in progress and ends the thread. Returns 0 or the first fdatasync's
 * -errno that failed. Accepts NULL. */
int log_sync_destroy(struct log_sync *sync);

#endif
