/* Timers expire in order, each at its own time. */
#include "tests/unit/device_fixture.h"

struct probe {
	struct timer timer;
	char name;
	uint64_t period_ns; /* 0: once */
};

static char trace[64];
static size_t n_trace;
static uint64_t last_ns;

static void expired(void *device, uint64_t now_ns)
{
	struct probe *probe = device;
	if (n_trace < sizeof(trace) - 1)
		trace[n_trace++] = probe->name;
	last_ns = now_ns;
	if (probe->period_ns)
		timer_arm(&probe->timer, now_ns + probe->period_ns);
}

static void clear_trace(void)
{
	memset(trace, 0, sizeof(trace));
	n_trace = 0;
}

int main(void)
{
	struct timer_queue *queue;
	struct probe a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c', .period_ns = 10};
	timer_queue_create(&queue);
	timer_init(&a.timer, queue, expired, &a);
	timer_init(&b.timer, queue, expired, &b);
	timer_init(&c.timer, queue, expired, &c);

	is_equal(timer_queue_deadline(queue), UINT64_MAX, "nothing armed: no deadline");
	timer_arm(&a.timer, 300);
	timer_arm(&b.timer, 100);
	is_equal(timer_queue_deadline(queue), 100, "deadline is the earliest");
	timer_queue_advance(queue, 99);
	tap_ok(!strcmp(trace, ""), "nothing expires early");
	timer_queue_advance(queue, 500);
	tap_ok(!strcmp(trace, "ba"), "order of deadlines, not of arming");
	is_equal(last_ns, 300, "a timer sees its deadline as the time");
	is_equal(timer_queue_now(queue), 500, "time arrives where it was sent");

	clear_trace();
	timer_arm(&b.timer, 600);
	timer_arm(&a.timer, 600);
	timer_queue_advance(queue, 600);
	tap_ok(!strcmp(trace, "ab"), "equal deadlines: order of creation");

	clear_trace();
	timer_arm(&c.timer, 610);
	timer_arm(&a.timer, 625);
	timer_queue_advance(queue, 645);
	tap_ok(!strcmp(trace, "ccacc"), "a periodic timer catches up in order");
	is_equal(timer_queue_deadline(queue), 650, "and goes on without drift");

	timer_disarm(&c.timer);
	timer_disarm(&c.timer);
	is_equal(timer_queue_deadline(queue), UINT64_MAX, "disarming twice is harmless");
	timer_arm(&a.timer, 700);
	timer_arm(&a.timer, 800);
	is_equal(timer_queue_deadline(queue), 800, "arming again replaces");
	timer_queue_advance(queue, 10);
	is_equal(timer_queue_now(queue), 645, "time never runs backwards");
	timer_queue_destroy(queue);
	return tap_done();
}
