/* bench-work NAME TURNS: does one piece of the bench's work and prints "RESULT NAME VALUE". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/work/work.h"

static const struct work {
	const char *name;
	work_run *run;
} works[] = {
	{"integer-memory", work_integer_memory},
	{"integer-order", work_integer_order},
	{"integer-vector", work_integer_vector},
	{"integer-registers", work_integer_registers},
	{"matrix", work_matrix},
	{"bodies", work_bodies},
	{"getppid", work_getppid},
	{"clock", work_clock},
	{"pipe", work_pipe},
	{"faults", work_faults},
	{"mutex", work_mutex},
	{"exec", work_exec},
	{"text", work_text},
};

static const struct work *find_work(const char *name)
{
	for (unsigned i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		if (!strcmp(works[i].name, name))
			return &works[i];
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct work *work = argc == 3 ? find_work(argv[1]) : NULL;
	uint64_t result;

	/* What the fork-and-exec work starts: no work at all. */
	if (argc == 1)
		return 0;
	if (!work) {
		fprintf(stderr, "usage: bench-work NAME TURNS\n");
		return 2;
	}
	int err = work->run(strtoull(argv[2], NULL, 10), &result);
	if (err) {
		fprintf(stderr, "bench-work: %s: %s\n", work->name, strerror(-err));
		return 1;
	}
	/* The text goes to standard output; its result goes where it does no harm. */
	fprintf(work->run == work_text ? stderr : stdout, "RESULT %s %" PRIx64 "\n", work->name,
		result);
	return 0;
}
