/*
 * twice.h as a command, for recordings that other suites made:
 *
 *	replay_twice FILE CONSOLE STOPS SAVES SEED
 *
 * CONSOLE is written with the first stream's bytes; "-": it is not kept. Straight by interp, or by
 * jit where REPRISE_ENGINE says so; with saves by harness_engine(); seeks by jit. Prints one line a
 * comparison, TAP without a plan. Exit status 0 when everything was equal.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/roundtrip/harness.h"
#include "tests/roundtrip/twice.h"
#include "vmm/jit/jit.h"

#define STOPS_MAX 1000

static void print(void *ctx, bool good, const char *text)
{
	printf("%s - %s\n", good ? "ok" : "not ok", text);
}

/* Sanitizers make interp, whose every access they check, too slow for whole kernels. */
static const struct engine_ops *straight_engine(void)
{
	const char *name = getenv("REPRISE_ENGINE");

	return name && !strcmp(name, "jit") ? &jit_engine_ops : &interp_engine_ops;
}

static int bail_out(const char *what)
{
	printf("Bail out! %s\n", what);
	return 99;
}

int main(int argc, char **argv)
{
	struct twice_request request = {.engine = straight_engine(),
					.second = harness_engine(),
					.seeks = &jit_engine_ops,
					.console_fd = -1,
					.report = print};
	bool same;

	if (argc != 6)
		return bail_out("usage: replay_twice FILE CONSOLE STOPS SAVES SEED");
	request.path = argv[1];
	request.n_stops = (unsigned)strtoul(argv[3], NULL, 0);
	request.n_saves = (unsigned)strtoul(argv[4], NULL, 0);
	request.seed = strtoull(argv[5], NULL, 0);
	if (request.n_stops < 1 || request.n_stops > STOPS_MAX || request.n_saves < 1 ||
	    request.n_saves > request.n_stops)
		return bail_out("no such number of stops or saves");
	if (strcmp(argv[2], "-")) {
		request.console_fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (request.console_fd < 0)
			return bail_out("the console's file cannot be written");
	}
	same = twice_replay(&request);
	if (request.console_fd >= 0)
		close(request.console_fd);
	return !same;
}
