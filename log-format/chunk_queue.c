#include "log-format/chunk_queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "log-format/quiet_thread.h"

/* Of a megabyte each. */
#define WAITING_MAX 64u

struct job {
	struct chunk chunk;
	struct column raw; /* given up once it is written */
};

struct chunk_queue {
	struct byte_sink *sink;
	int level;
	struct column stored; /* the thread's scratch */
	pthread_t thread;
	pthread_mutex_t mutex; /* guards what follows, but for the job that is under way */
	pthread_cond_t changed;
	struct job *jobs;
	uint64_t n_jobs, n_done, room;
	bool quit;
	int error; /* the first */
};

/* ---- the thread ---- */

/* Without the mutex: the array may move meanwhile. */
static int write_job(struct chunk_queue *queue, struct job *job)
{
	int error = chunk_write(queue->sink, &queue->stored, &job->chunk, job->raw.data,
				job->raw.bytes, queue->level);

	column_finish(&job->raw);
	return error;
}

static void write_next(struct chunk_queue *queue)
{
	struct job job = queue->jobs[queue->n_done];

	pthread_mutex_unlock(&queue->mutex);
	int error = write_job(queue, &job);
	pthread_mutex_lock(&queue->mutex);
	queue->error = error;
	queue->jobs[queue->n_done] = job;
	queue->n_done += !error;
	pthread_cond_broadcast(&queue->changed);
}

static void *queue_main(void *arg)
{
	struct chunk_queue *queue = arg;

	pthread_mutex_lock(&queue->mutex);
	while (!queue->error && (!queue->quit || queue->n_done < queue->n_jobs)) {
		if (queue->n_done < queue->n_jobs)
			write_next(queue);
		else
			pthread_cond_wait(&queue->changed, &queue->mutex);
	}
	pthread_mutex_unlock(&queue->mutex);
	return NULL;
}

/* ---- its user ---- */

int chunk_queue_create(struct byte_sink *sink, int level, struct chunk_queue **ret_queue)
{
	struct chunk_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return -ENOMEM;
	queue->sink = sink;
	queue->level = level;
	pthread_mutex_init(&queue->mutex, NULL);
	pthread_cond_init(&queue->changed, NULL);
	int error = quiet_thread_start(&queue->thread, queue_main, queue);
	if (error) {
		free(queue);
		return error;
	}
	*ret_queue = queue;
	return 0;
}

static int make_room(struct chunk_queue *queue)
{
	if (queue->n_jobs < queue->room)
		return 0;
	uint64_t room = queue->room ? 2 * queue->room : 64;
	struct job *jobs = realloc(queue->jobs, room * sizeof(*jobs));
	if (!jobs)
		return -ENOMEM;
	queue->jobs = jobs;
	queue->room = room;
	return 0;
}

int chunk_queue_push(struct chunk_queue *queue, const struct chunk *chunk, struct column *raw)
{
	pthread_mutex_lock(&queue->mutex);
	while (!queue->error && queue->n_jobs - queue->n_done >= WAITING_MAX)
		pthread_cond_wait(&queue->changed, &queue->mutex);
	int error = queue->error ? queue->error : make_room(queue);
	if (!error) {
		queue->jobs[queue->n_jobs++] = (struct job){*chunk, *raw};
		*raw = (struct column){0};
		pthread_cond_broadcast(&queue->changed);
	}
	pthread_mutex_unlock(&queue->mutex);
	return error;
}

uint64_t chunk_queue_count(const struct chunk_queue *queue)
{
	return queue->n_jobs; /* changed by who asks alone */
}

static void destroy(struct chunk_queue *queue)
{
	for (uint64_t i = queue->n_done; i < queue->n_jobs; i++)
		column_finish(&queue->jobs[i].raw);
	pthread_mutex_destroy(&queue->mutex);
	pthread_cond_destroy(&queue->changed);
	column_finish(&queue->stored);
	free(queue->jobs);
	free(queue);
}

int chunk_queue_finish(struct chunk_queue *queue,
		       int (*written)(void *ctx, const struct chunk *chunk), void *ctx)
{
	int error = 0;

	if (!queue)
		return 0;
	pthread_mutex_lock(&queue->mutex);
	queue->quit = true;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->mutex);
	pthread_join(queue->thread, NULL);
	for (uint64_t i = 0; i < queue->n_done && !error; i++)
		error = written(ctx, &queue->jobs[i].chunk);
	if (!error)
		error = queue->error;
	destroy(queue);
	return error;
}
