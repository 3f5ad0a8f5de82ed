#include "log-format/sync.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "log-format/quiet_thread.h"

struct log_sync {
	int fd;
	pthread_t thread;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t changed;
	bool requested, quit;
	int error;
};

static void *sync_main(void *arg)
{
	struct log_sync *sync = arg;
	pthread_mutex_lock(&sync->mutex);
	while (!sync->quit) {
		if (!sync->requested) {
			pthread_cond_wait(&sync->changed, &sync->mutex);
			continue;
		}
		sync->requested = false;
		pthread_mutex_unlock(&sync->mutex);
		int error = fdatasync(sync->fd) < 0 ? -errno : 0;
		pthread_mutex_lock(&sync->mutex);
		/* Linux reports a failed write-back once: keep it. */
		if (error && !sync->error)
			sync->error = error;
	}
	pthread_mutex_unlock(&sync->mutex);
	return NULL;
}

int log_sync_create(int fd, struct log_sync **ret_sync)
{
	struct log_sync *sync = calloc(1, sizeof(*sync));
	if (!sync)
		return -ENOMEM;
	sync->fd = fd;
	pthread_mutex_init(&sync->mutex, NULL);
	pthread_cond_init(&sync->changed, NULL);
	int error = quiet_thread_start(&sync->thread, sync_main, sync);
	if (error) {
		free(sync);
		return error;
	}
	*ret_sync = sync;
	return 0;
}

int log_sync_request(struct log_sync *sync)
{
	pthread_mutex_lock(&sync->mutex);
	int error = sync->error;
	sync->requested = true;
	pthread_cond_signal(&sync->changed);
	pthread_mutex_unlock(&sync->mutex);
	return error;
}

int log_sync_destroy(struct log_sync *sync)
{
	if (!sync)
		return 0;
	pthread_mutex_lock(&sync->mutex);
	sync->quit = true;
	pthread_cond_signal(&sync->changed);
	pthread_mutex_unlock(&sync->mutex);
	pthread_join(sync->thread, NULL);
	pthread_mutex_destroy(&sync->mutex);
	pthread_cond_destroy(&sync->changed);
	int error = sync->error;
	free(sync);
	return error;
}
