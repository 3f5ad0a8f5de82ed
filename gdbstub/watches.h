/*
 * Watchpoints where they lie in physical memory.
 *
 * gdb watches linear addresses, the machine physical ones. A view that follows mappings has the
 * entries of the page tables watched too that decide what is mapped there: written, they lead to
 * watches_follow(), which looks again.
 */
#ifndef REPRISE_GDBSTUB_WATCHES_H
#define REPRISE_GDBSTUB_WATCHES_H

#include <stdbool.h>
#include <stdint.h>

struct gdbstub;
struct memory_watch;
struct memory_watch_access;

/* A part of a watchpoint inside one page. */
struct point_range {
	unsigned point; /* index in points */
	bool mapped;    /* gpa is where it lies now */
	uint64_t address, gpa, bytes;
};

/* What a range held when it was last mapped, for as long as it is not. */
#define WATCH_CONTENT_BYTES 64
struct watch_content {
	uint64_t address;
	uint32_t bytes;
	uint8_t data[WATCH_CONTENT_BYTES];
};

/* Where a watched page was last seen mapped: going back, a time comes when it was not yet. */
#define KNOWN_PAGES_MAX 256
struct known_page {
	bool valid;
	uint64_t linear, gpa;
};

#define WATCH_CONTENTS_MAX 16
struct watches {
	struct point_range *range;
	unsigned n_ranges, max_ranges;
	struct memory_watch *table; /* entries of page tables */
	unsigned n_tables, max_tables;
	struct watch_content content[WATCH_CONTENTS_MAX];
	unsigned n_contents;
	struct known_page known[KNOWN_PAGES_MAX]; /* by hash of the linear page */
};

void watches_finish(struct watches *watches);

/* Hands stub->points' watchpoints to the timeline as they are mapped here. Returns 0 or -ENOMEM. */
int watches_arm(struct gdbstub *stub);

/*
 * Entries of page tables may have changed in the last step: arms again where it matters. Returns
 * true when the content behind a watchpoint became another by it; *ret_point: its index. removes:
 * what is mapped no longer counts as such, because somebody wants it gone.
 */
bool watches_follow(struct gdbstub *stub, bool removes, unsigned *ret_point);

/* Whether the access touches the range where it lies now; *ret_address: the first linear address at
 * which it does. */
bool watches_meet(const struct point_range *range, const struct memory_watch_access *access,
		  uint64_t *ret_address);

/* Of the accesses that were just made, the linear address at which a watchpoint is first met by a
 * write. Returns false when none is. */
bool watches_written_address(const struct gdbstub *stub, uint64_t *ret_address);

/* Whether a watchpoint can be set at the address: something is mapped there or was known to be, or
 * the view follows what will be. */
bool watches_can_set(struct gdbstub *stub, uint64_t address);

#endif
