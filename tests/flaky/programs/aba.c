/* A lock-free stack without counters in its pointers: ABA. Fails when a thread is interrupted
 * between reading a node's next pointer and the compare-and-swap, and the node comes back. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define NODES  4
#define ROUNDS 300

struct node {
	_Atomic(struct node *) next;
	atomic_int owned;
};

static _Atomic(struct node *) top;
static struct node nodes[NODES];

static void push(struct node *node)
{
	struct node *old = atomic_load(&top);

	do
		atomic_store(&node->next, old);
	while (!atomic_compare_exchange_weak(&top, &old, node));
}

static struct node *pop(void)
{
	struct node *old = atomic_load(&top);

	while (old && !atomic_compare_exchange_weak(&top, &old, atomic_load(&old->next)))
		;
	return old;
}

static void take(struct node *node)
{
	if (atomic_exchange(&node->owned, 1)) {
		fputs("a node was popped twice\n", stderr);
		abort();
	}
}

static void give(struct node *node)
{
	atomic_store(&node->owned, 0);
	push(node);
}

static void *use(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct node *a = pop(), *b = pop();

		if (a)
			take(a);
		if (b)
			take(b);
		if (a)
			give(a);
		if (b)
			give(b);
	}
	return arg;
}

int main(void)
{
	pthread_t thread[2];

	for (int i = 0; i < NODES; i++)
		push(&nodes[i]);
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, use, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	int n = 0;
	while (pop())
		n++;
	printf("%d of %d nodes are left\n", n, NODES);
	return n == NODES ? 0 : 1;
}
