/* Describing how a replay differs from its recording. */
#ifndef REPRISE_REPLAYER_DIVERGENCE_H
#define REPRISE_REPLAYER_DIVERGENCE_H

#include "replayer/replayer.h"
#include "vmm/boundary.h"

/* Bytes that hold any description written here. */
#define DIVERGENCE_TEXT_BYTES 80

/* "1-byte read of port 0x3f8"; n bytes at text, always terminated. */
void divergence_describe_crossing(uint8_t kind, uint8_t size, uint64_t address, char *text,
				  size_t n);

/* "interrupt 0x30", "memory write of 512 bytes at 0x1000", …; for events at their icount. */
void divergence_describe_event(const struct event *event, char *text, size_t n);

/* Compares two digests. Returns false and fills in ret->what when they differ. */
bool divergence_check_digest(const struct digest *recorded, const struct digest *replayed,
			     struct divergence *ret);

#endif
