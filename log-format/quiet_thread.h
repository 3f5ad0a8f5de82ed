/* Threads beside the program's own, which leave signals to those: their waits end on them. */
#ifndef REPRISE_LOG_FORMAT_QUIET_THREAD_H
#define REPRISE_LOG_FORMAT_QUIET_THREAD_H

#include <pthread.h>
#include <signal.h>

/* Starts one with all signals blocked. Returns 0 or a negative errno. */
static inline int quiet_thread_start(pthread_t *ret_thread, void *(*run)(void *arg), void *arg)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int error = pthread_create(ret_thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -error;
}

#endif
