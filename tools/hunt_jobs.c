/*
 * The parent: it loads a booted guest, forks a child for each run, and collects what they report.
 * It has no threads, so that a child is a whole copy of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/hunt.h"
#include "tools/interrupt.h"
#include "tools/message.h"
#include "tools/warm_state.h"

#define POLL_MS 250

/* Seeds that start from one booted guest before it is another's turn. Each guest has to be booted
 * once for the cache, and loaded at each turn; but what only one of them fails at waits for it. */
#define RUNS_A_VARIANT_SHIFT 4

/* Runs that come to nothing one after the other, for reasons of our own. */
#define BROKEN_MAX 3

struct job {
	pid_t pid; /* 0: free */
	int fd;
	uint64_t seed;
	char *path;
};

struct jobs {
	struct hunt *hunt;
	struct job *job;
	struct pollfd *poll_fd;
	unsigned n, n_running, n_broken;
	int status; /* why there are to be no more runs */
};

uint64_t hunt_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* ---- the booted guest ---- */

static int load(struct hunt *hunt, unsigned variant)
{
	const struct recording_options *values = &hunt->values->guest.recording;
	struct log_error error;

	recorder_image_destroy(hunt->image);
	hunt->image = NULL;
	hunt->loaded = true;
	hunt->variant = variant;
	int status = guest_run_warm(&hunt->guest, variant, !values->quiet);
	if (status || !hunt->guest.saved_path)
		return status;
	if (!recorder_image_load(&hunt->guest.recording.config, &hunt->image, &error))
		return STATUS_OK;
	message("hunt: %s", error.text);
	if (!unlink(hunt->guest.saved_path))
		message("hunt: it was removed from the cache; run the command again");
	return STATUS_FAILED;
}

/* The state is a function of the seed, so that the seed alone makes a run again. */
static int choose_guest(struct hunt *hunt, uint64_t seed)
{
	unsigned variant = (unsigned)((seed >> RUNS_A_VARIANT_SHIFT) % hunt->values->states.value);

	if (hunt->loaded && hunt->variant == variant)
		return STATUS_OK;
	return load(hunt, variant);
}

/* ---- starting a run ---- */

__attribute__((noreturn)) static void run_child(struct hunt *hunt, const struct job *job, int fd)
{
	struct hunt_outcome outcome;

	/* The parent decides when a run is to end; without it there is nobody to report to. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	hunt_run(hunt, job->seed, job->path, &outcome);
	ssize_t put = write(fd, &outcome, sizeof(outcome));
	_exit(put == (ssize_t)sizeof(outcome) ? STATUS_OK : STATUS_FAILED);
}

/* Beside the recording that it may become. */
static char *make_path(const struct hunt *hunt, uint64_t seed)
{
	const char *path = hunt->guest.recording.output_path, *slash = strrchr(path, '/');
	char *made;

	if (asprintf(&made, "%.*s.reprise-hunt-%ld-%llu.part", slash ? (int)(slash + 1 - path) : 0,
		     path, (long)getpid(), (unsigned long long)seed) < 0)
		return NULL;
	return made;
}

static int fork_child(struct hunt *hunt, struct job *job)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	job->pid = fork();
	if (!job->pid) {
		close(fds[0]);
		run_child(hunt, job, fds[1]);
	}
	int error = job->pid < 0 ? -errno : 0;
	close(fds[1]);
	job->fd = fds[0];
	if (error)
		close(fds[0]);
	return error;
}

static int start_run(struct jobs *jobs, struct job *job)
{
	struct hunt *hunt = jobs->hunt;

	job->seed = hunt->first_seed + hunt->n_started * hunt->seed_step;
	int status = choose_guest(hunt, job->seed);
	if (status)
		return status;
	job->path = make_path(hunt, job->seed);
	int error = job->path ? fork_child(hunt, job) : -ENOMEM;
	if (error) {
		message("hunt: a run cannot be started: %s; try fewer --jobs", strerror(-error));
		free(job->path);
		job->path = NULL;
		job->pid = 0;
		return STATUS_FAILED;
	}
	hunt->n_started++;
	jobs->n_running++;
	return STATUS_OK;
}

/* ---- the end of a run ---- */

static void free_job(struct jobs *jobs, struct job *job)
{
	close(job->fd);
	free(job->path);
	*job = (struct job){0};
	jobs->n_running--;
}

static void take_outcome(struct jobs *jobs, struct job *job)
{
	struct hunt_outcome outcome;
	ssize_t n = read(job->fd, &outcome, sizeof(outcome));
	int status = 0;

	if (n < 0 && errno == EINTR)
		return;
	waitpid(job->pid, &status, 0);
	if (n != (ssize_t)sizeof(outcome)) {
		outcome = (struct hunt_outcome){.seed = job->seed, .failure = HUNT_BROKEN};
		snprintf(outcome.what, sizeof(outcome.what),
			 WIFSIGNALED(status) ? "its process was ended by signal %d"
					     : "its process ended with status %d",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	jobs->n_broken = outcome.failure == HUNT_BROKEN ? jobs->n_broken + 1 : 0;
	hunt_report_take(jobs->hunt, &outcome, job->path);
	free_job(jobs, job);
}

/* What a run that was ended leaves: its recording, which for a moment has another name (bytes.c).
 */
static void remove_files(const struct job *job)
{
	char *interim;

	unlink(job->path);
	if (asprintf(&interim, "%s.%ld.part", job->path, (long)job->pid) < 0)
		return;
	unlink(interim);
	free(interim);
}

/* Runs that are not wanted any more leave nothing behind. */
static void kill_all(struct jobs *jobs)
{
	for (unsigned i = 0; i < jobs->n; i++) {
		struct job *job = &jobs->job[i];
		if (!job->pid)
			continue;
		kill(job->pid, SIGKILL);
		waitpid(job->pid, NULL, 0);
		remove_files(job);
		free_job(jobs, job);
	}
}

static void wait_for_outcomes(struct jobs *jobs)
{
	for (unsigned i = 0; i < jobs->n; i++)
		jobs->poll_fd[i] = (struct pollfd){.fd = jobs->job[i].pid ? jobs->job[i].fd : -1,
						   .events = POLLIN};
	if (poll(jobs->poll_fd, jobs->n, POLL_MS) <= 0)
		return;
	for (unsigned i = 0; i < jobs->n; i++)
		if (jobs->job[i].pid && jobs->poll_fd[i].revents)
			take_outcome(jobs, &jobs->job[i]);
}

/* ---- */

static bool is_over(struct jobs *jobs)
{
	const struct hunt *hunt = jobs->hunt;
	const struct hunt_options *values = hunt->values;
	uint64_t limit_ns = values->time_s.value * UINT64_C(1000000000);

	if (jobs->n_broken >= BROKEN_MAX) {
		message("hunt: %s", hunt->broken);
		jobs->status = STATUS_FAILED;
	}
	return jobs->status || *interrupt_flag() || (hunt->n_failed && !values->keep_going) ||
	       (values->time_s.given && hunt_now_ns() - hunt->started_ns >= limit_ns);
}

static bool is_more_to_start(const struct hunt *hunt)
{
	return !hunt->values->runs.given || hunt->n_started < hunt->values->runs.value;
}

static void make_runs(struct jobs *jobs)
{
	while (!is_over(jobs)) {
		for (unsigned i = 0; i < jobs->n && is_more_to_start(jobs->hunt) && !jobs->status;
		     i++)
			if (!jobs->job[i].pid)
				jobs->status = start_run(jobs, &jobs->job[i]);
		if (!jobs->n_running)
			break;
		wait_for_outcomes(jobs);
		hunt_report_progress(jobs->hunt);
	}
}

int hunt_jobs(struct hunt *hunt)
{
	struct jobs jobs = {.hunt = hunt, .n = (unsigned)hunt->values->jobs.value};

	jobs.job = calloc(jobs.n, sizeof(*jobs.job));
	jobs.poll_fd = calloc(jobs.n, sizeof(*jobs.poll_fd));
	hunt->started_ns = hunt_now_ns();
	if (jobs.job && jobs.poll_fd) {
		make_runs(&jobs);
		kill_all(&jobs);
	}
	hunt->ended_ns = hunt_now_ns();
	recorder_image_destroy(hunt->image);
	hunt->image = NULL;
	free(jobs.job);
	free(jobs.poll_fd);
	return jobs.job && jobs.poll_fd ? jobs.status : STATUS_FAILED;
}
