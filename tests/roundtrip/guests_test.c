/* Every test guest, with both clocks: recorded, replayed, compared. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/roundtrip/check_twice.h"

struct guest_case {
	const char *guest;
	const char *end_reason;
	const char *console; /* must stand in the console's text */
	const char *input;
	uint32_t n_vcpus;
	bool disk;
	bool virtio_console;
	bool reset_on_shutdown;
	bool translated; /* has 64-bit user code: no engine leaves all of it to interp */
	uint64_t limit_icount;
};

static const struct guest_case cases[] = {
	{.guest = "time", .end_reason = "power-off", .console = "time done\n"},
	{.guest = "random", .end_reason = "power-off", .console = "random done\n"},
	{.guest = "echo",
	 .end_reason = "power-off",
	 .console = "polled: hello\ninterrupt: world\necho done\n",
	 .input = "hello\nworld\n"},
	{.guest = "reset", .end_reason = "power-off", .console = "reset done\n"},
	{.guest = "triple", .end_reason = "shutdown", .console = "triple\n"},
	{.guest = "triple",
	 .end_reason = "limit",
	 .console = "triple\ntriple\ntriple\n",
	 .reset_on_shutdown = true,
	 .limit_icount = 5000},
	{.guest = "halted", .end_reason = "deadlock", .console = "halted\n"},
	{.guest = "work", .end_reason = "limit", .console = "round", .limit_icount = 4000000},
	{.guest = "smp", .end_reason = "power-off", .console = "smp done\n", .n_vcpus = 2},
	{.guest = "console",
	 .end_reason = "power-off",
	 .console = "serial\nhello, hvc0\nworld\nserial again\nconsole done\n",
	 .input = "world\n",
	 .virtio_console = true},
	{.guest = "long",
	 .end_reason = "power-off",
	 .console = "kernel 0000000000000111\ntasks c06d025e00b4ca07\nlong done\n",
	 .translated = true},
	{.guest = "disk", .end_reason = "power-off", .console = "#\ndisk done\n", .disk = true},
};

static void make_disk(char path[HARNESS_PATH_BYTES])
{
	uint8_t image[8192] = {0};
	int fd;

	harness_path("disk.img", path);
	memcpy(image + 512, "0123456789abcdef", 16);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, image, sizeof(image)) != (ssize_t)sizeof(image))
		printf("Bail out! no disk image\n");
	close(fd);
}

/* Stops half way, then checks that going on gives what going through gives. */
static void check_halfway(const char *name, const char *path, uint64_t end_icount)
{
	static struct replaying first, second;

	harness_replay(path, end_icount / 2, &first);
	harness_replay(path, end_icount / 2, &second);
	tap_ok(first.status == REPLAY_AT_ICOUNT && first.icount == end_icount / 2,
	       "%s: replay stops exactly half way", name);
	tap_ok(!memcmp(&first.digest, &second.digest, sizeof(first.digest)),
	       "%s: the state there is the same each time", name);
}

/* What one of interp and the engine recorded, the other replays. */
static void check_engines(const char *name, const struct recording *recording,
			  const struct replaying *replaying, struct recording_request *request)
{
	static struct recording by_interp;
	static struct replaying other;

	tap_ok(harness_engine_ran(recording->result.uses, recording->result.n_uses) &&
		       harness_engine_ran(replaying->uses, replaying->n_uses),
	       "%s: the engine itself records and replays", name);
	harness_replay_by(&interp_engine_ops, recording->path, UINT64_MAX, &other);
	tap_ok(other.status == REPLAY_AT_END && other.icount == replaying->icount &&
		       !memcmp(&other.digest, &replaying->digest, sizeof(other.digest)),
	       "%s: interp replays it to the same state", name);
	request->engine = &interp_engine_ops;
	harness_record(request, "interp.rpz", &by_interp);
	harness_replay(by_interp.path, UINT64_MAX, &other);
	tap_ok(!by_interp.code && other.status == REPLAY_AT_END &&
		       other.icount == by_interp.result.icount && other.digests_checked >= 2 &&
		       harness_engine_ran(other.uses, other.n_uses),
	       "%s: the engine itself replays what interp records", name);
}

static void run_case(const struct guest_case *guest_case, enum recorder_clock clock)
{
	static struct recording recording;
	static struct replaying replaying;
	char name[64], disk[HARNESS_PATH_BYTES];
	struct recording_request request = {
		.guest = guest_case->guest,
		.clock = clock,
		.n_vcpus = guest_case->n_vcpus,
		.input = guest_case->input,
		.virtio_console = guest_case->virtio_console,
		.reset_on_shutdown = guest_case->reset_on_shutdown,
		.limit_icount = guest_case->limit_icount,
	};

	if (guest_case->disk) {
		make_disk(disk);
		request.disk = disk;
	}
	snprintf(name, sizeof(name), "%s, %s clock", guest_case->guest,
		 clock == RECORDER_CLOCK_HOST ? "host" : "virtual");
	harness_record(&request, "guest.rpz", &recording);
	if (request.disk)
		unlink(disk); /* replay must not need it */
	if (!tap_ok(recording.code == 0, "%s: records", name)) {
		tap_note("%d %s", recording.error.code, recording.error.text);
		return;
	}
	if (!tap_ok(!strcmp(recording.result.end_reason, guest_case->end_reason),
		    "%s: ends with %s", name, guest_case->end_reason))
		tap_note("ended with %s", recording.result.end_reason);
	if (!tap_ok(strstr(recording.console.text, guest_case->console) != NULL,
		    "%s: the guest says what it should", name))
		tap_note("it said: %s", recording.console.text);
	harness_replay(recording.path, UINT64_MAX, &replaying);
	if (!tap_ok(replaying.status == REPLAY_AT_END, "%s: replays to the end", name))
		tap_note("status %d at %llu: %s %s", replaying.status,
			 (unsigned long long)replaying.icount, replaying.divergence.what,
			 replaying.error.text);
	tap_ok(replaying.icount == recording.result.icount && replaying.digests_checked >= 2,
	       "%s: ends at the same count, digests checked", name);
	tap_ok(!strcmp(replaying.console.text, recording.console.text), "%s: same console", name);
	if (guest_case->translated)
		check_engines(name, &recording, &replaying, &request);
	check_halfway(name, recording.path, recording.result.icount);
	check_twice(name, recording.path);
}

int main(int argc, char **argv)
{
	harness_init(argc, argv);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (argc > 2 && strcmp(argv[2], cases[i].guest))
			continue;
		run_case(&cases[i], RECORDER_CLOCK_HOST);
		run_case(&cases[i], RECORDER_CLOCK_VIRTUAL);
	}
	harness_finish();
	return tap_done();
}
