/*
 * The processes of a recording, as they come and go while it is replayed once: made by fork, made
 * anew by exec, ended by exit or a signal.
 */
#ifndef REPRISE_GDBSTUB_LINUX_HISTORY_H
#define REPRISE_GDBSTUB_LINUX_HISTORY_H

#include "gdbstub/linux/tasks.h"

/* From a fork or exec on to the next exec or to its end. */
struct process_record {
	uint32_t pid;
	char name[TASK_NAME_BYTES];
	uint64_t leader, mm, pgd_gpa; /* as it begins */
	uint64_t first_icount;        /* still inside the kernel */
	bool by_exec;
	bool replaced; /* by an exec of its own */
	bool ended;
	uint64_t last_icount; /* replaced or ended: the last moment at which it is whole */
	uint32_t last_tid;    /* of the thread that ended it */
	uint32_t status;      /* ended: as wait() tells it */
};

/* The functions of the kernel in which that is seen. */
enum history_point {
	HISTORY_FORK,
	HISTORY_EXEC,
	HISTORY_CORE_DUMP, /* optional: kernels may be built without it */
	HISTORY_GROUP_EXIT,
	HISTORY_EXIT,
	HISTORY_POINTS
};

struct history {
	const struct linux_guest *guest;
	uint64_t address[HISTORY_POINTS];
	struct process_record *record; /* in the order in which they began */
	unsigned n, max;
	bool failed; /* no memory for all */
};

/* Returns false with a line in error when the kernel lacks one of the functions. */
bool history_init(struct history *history, const struct linux_guest *guest, struct reply *error);
void history_finish(struct history *history);

/* A vCPU stands at one of the functions, before its first instruction. */
void history_note(struct history *history, uint32_t vcpu, uint64_t icount);

/*
 * The record that a user means by a name or a number: of several one that a signal ended before
 * others, a program that was started before a fork of it, and then the last. NULL: there is none.
 */
const struct process_record *history_find(const struct history *history, const char *what);

/* The last that a signal ended whose default is to dump core (signal(7)); NULL: there is none. */
const struct process_record *history_find_crashed(const struct history *history);

/* The signal that ended it, or 0. */
unsigned process_record_signal(const struct process_record *record);

#endif
