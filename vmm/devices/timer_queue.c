/* A list sorted by deadline: a platform has about twenty timers, most of them not armed. */
#include "vmm/devices/timer_queue.h"

#include <errno.h>
#include <stdlib.h>

struct timer_queue {
	uint64_t now_ns;
	struct timer *first;
	uint32_t n_timers; /* that timer_init() has seen */
};

int timer_queue_create(struct timer_queue **ret_queue)
{
	struct timer_queue *queue = calloc(1, sizeof(*queue));
	if (!queue)
		return -ENOMEM;
	*ret_queue = queue;
	return 0;
}

void timer_queue_destroy(struct timer_queue *queue)
{
	free(queue);
}

uint64_t timer_queue_now(const struct timer_queue *queue)
{
	return queue->now_ns;
}

void timer_queue_set_now(struct timer_queue *queue, uint64_t now_ns)
{
	queue->now_ns = now_ns;
}

uint64_t timer_queue_deadline(const struct timer_queue *queue)
{
	return queue->first ? queue->first->deadline_ns : UINT64_MAX;
}

void timer_init(struct timer *timer, struct timer_queue *queue,
		void (*expired)(void *device, uint64_t now_ns), void *device)
{
	*timer = (struct timer){
		.deadline_ns = UINT64_MAX,
		.expired = expired,
		.device = device,
		.queue = queue,
		.order = queue->n_timers++,
	};
}

/* The order of expiry must not depend on the order of arming, which restoring does not repeat. */
static bool expires_before(const struct timer *a, const struct timer *b)
{
	if (a->deadline_ns != b->deadline_ns)
		return a->deadline_ns < b->deadline_ns;
	return a->order < b->order;
}

void timer_disarm(struct timer *timer)
{
	if (timer->deadline_ns == UINT64_MAX)
		return;
	struct timer **link = &timer->queue->first;
	while (*link && *link != timer)
		link = &(*link)->next;
	if (*link)
		*link = timer->next;
	timer->deadline_ns = UINT64_MAX;
	timer->next = NULL;
}

void timer_arm(struct timer *timer, uint64_t deadline_ns)
{
	timer_disarm(timer);
	if (deadline_ns == UINT64_MAX)
		return;
	timer->deadline_ns = deadline_ns;
	struct timer **link = &timer->queue->first;
	while (*link && expires_before(*link, timer))
		link = &(*link)->next;
	timer->next = *link;
	*link = timer;
}

void timer_queue_advance(struct timer_queue *queue, uint64_t now_ns)
{
	while (queue->first && queue->first->deadline_ns <= now_ns) {
		struct timer *timer = queue->first;
		if (timer->deadline_ns > queue->now_ns)
			queue->now_ns = timer->deadline_ns;
		timer_disarm(timer);
		timer->expired(timer->device, queue->now_ns);
	}
	if (now_ns > queue->now_ns)
		queue->now_ns = now_ns;
}
