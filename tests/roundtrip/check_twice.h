/* One check of a test program: a recording replays twice the same (twice.h). */
#ifndef REPRISE_TESTS_ROUNDTRIP_CHECK_TWICE_H
#define REPRISE_TESTS_ROUNDTRIP_CHECK_TWICE_H

#include "tests/roundtrip/harness.h"
#include "tests/tap.h"

static inline void check_twice(const char *name, const char *path)
{
	char report[HARNESS_REPORT_BYTES];

	if (!tap_ok(harness_replay_twice(path, report),
		    "%s: digests at random counts, the machine saved and restored", name))
		tap_note("%s", report);
}

#endif
