/* The header of a recording, filled in from a recorder. */
#ifndef REPRISE_RECORDER_LOG_HEADER_H
#define REPRISE_RECORDER_LOG_HEADER_H

#include "recorder/state.h"

struct log_header;

/* state: of the vCPUs, as machine_state_encode() gives it; borrowed, as is all that the recorder's
 * configuration names. Returns 0 or -ENOMEM. */
int log_header_create(const struct recorder *recorder, uint8_t *state,
		      struct log_header **ret_header);
void log_header_destroy(struct log_header *header);

const Reprise__Header *log_header_message(const struct log_header *header);

/* True when both describe the same machine, whatever its state. */
bool log_header_same_machine(const Reprise__Header *a, const Reprise__Header *b);

#endif
