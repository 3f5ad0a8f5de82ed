/* Two recordings with the virtual clock, one seed and one input are equal event for event. */
#include <stdlib.h>
#include <string.h>

#include "tests/roundtrip/check_twice.h"

static bool same_event(const struct event *a, const struct event *b)
{
	if (a->kind != b->kind || a->icount != b->icount)
		return false;
	switch (a->kind) {
	case EVENT_INPUT:
		return a->input.kind == b->input.kind && a->input.size == b->input.size &&
		       a->input.address == b->input.address && a->input.value == b->input.value;
	case EVENT_CLOCK:
		return a->clock.base == b->clock.base && a->clock.ratio == b->clock.ratio;
	case EVENT_MEMORY:
		return a->memory.gpa == b->memory.gpa && a->memory.bytes == b->memory.bytes &&
		       !memcmp(a->memory.data, b->memory.data, a->memory.bytes);
	case EVENT_DIGEST:
		return a->digest.registers == b->digest.registers &&
		       a->digest.memory == b->digest.memory && a->digest.output == b->digest.output;
	case EVENT_OUTPUT:
		return a->output.gpa == b->output.gpa && a->output.bytes == b->output.bytes &&
		       a->output.stream == b->output.stream;
	default:
		return a->delivery.vcpu == b->delivery.vcpu &&
		       a->delivery.vector == b->delivery.vector;
	}
}

/* Events compared until the end or the first that differs; *ret_n counts them. */
static bool same_events(const char *path_a, const char *path_b, uint64_t *ret_n)
{
	struct log_reader *a = NULL, *b = NULL;
	struct log_error error;
	struct event event_a, event_b;
	bool same = !log_reader_open(path_a, &a, &error) && !log_reader_open(path_b, &b, &error);

	*ret_n = 0;
	while (same) {
		int got_a = log_reader_next(a, &event_a, &error);
		int got_b = log_reader_next(b, &event_b, &error);

		same = got_a == got_b && got_a >= 0;
		if (got_a <= 0 || !same)
			break;
		same = same_event(&event_a, &event_b);
		if (!same)
			tap_note("event %llu: kind %u at %llu, kind %u at %llu",
				 (unsigned long long)*ret_n, event_a.kind,
				 (unsigned long long)event_a.icount, event_b.kind,
				 (unsigned long long)event_b.icount);
		++*ret_n;
	}
	log_reader_close(a);
	log_reader_close(b);
	return same;
}

static const struct recording_request requests[] = {
	{.guest = "time"},
	{.guest = "random"},
	{.guest = "echo", .input = "hello\nworld\n"},
	{.guest = "smp", .n_vcpus = 2},
	{.guest = "long"},
	{.guest = "console", .virtio_console = true, .input = "world\n"},
	{.guest = "work", .limit_icount = 3000000},
};

int main(int argc, char **argv)
{
	static struct recording first, second;

	harness_init(argc, argv);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct recording_request request = requests[i];
		uint64_t n;

		request.clock = RECORDER_CLOCK_VIRTUAL;
		request.seeded = true;
		request.seed = 7;
		harness_record(&request, "first.rpz", &first);
		harness_record(&request, "second.rpz", &second);
		tap_ok(!first.code && !second.code, "%s: records twice", request.guest);
		bool same = same_events(first.path, second.path, &n);
		tap_ok(same && n > 2, "%s: all %llu events are equal", request.guest,
		       (unsigned long long)n);
		tap_ok(!strcmp(first.console.text, second.console.text), "%s: same console",
		       request.guest);
		check_twice(request.guest, first.path); /* the second is the same */
	}
	struct recording_request other = {
		.guest = "random", .clock = RECORDER_CLOCK_VIRTUAL, .seeded = true, .seed = 8};
	harness_record(&other, "second.rpz", &second);
	other.seed = 7;
	harness_record(&other, "first.rpz", &first);
	tap_ok(strcmp(first.console.text, second.console.text) != 0,
	       "another seed gives another run");
	harness_finish();
	return tap_done();
}
