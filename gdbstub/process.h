/* The one process that the process view shows, and how it is moved along. */
#ifndef REPRISE_GDBSTUB_PROCESS_H
#define REPRISE_GDBSTUB_PROCESS_H

#include <limits.h>

#include "gdbstub/linux/crossings.h"
#include "gdbstub/linux/history.h"
#include "gdbstub/state.h"

/* What the machine is being run to, beside gdb's points. */
enum process_goal {
	GOAL_NONE,
	GOAL_USER_MODE, /* goal_task is about to return to user mode */
	GOAL_KERNEL,    /* goal_task has just entered the kernel from user mode, or was just made */
};

struct process {
	struct linux_guest *guest;
	struct history history;
	struct crossings crossings;

	uint32_t pid;
	char name[TASK_NAME_BYTES];
	uint64_t leader, mm, pgd_gpa;
	uint64_t first_icount,
		last_icount; /* in user mode for the first time; whole for the last */
	uint32_t last_tid;
	unsigned signal; /* that ended it, or 0 */
	bool ended;
	char *path; /* of its executable; NULL: not known */

	enum process_goal goal;
	uint64_t goal_task;
	bool goal_met;  /* by the last hit that counted */
	bool goal_born; /* it was the task's making */

	/* The last hit that counted. */
	uint32_t hit_tid;
	bool hit_in_kernel; /* on behalf of hit_tid */
	char remark[160];   /* somebody else did it; empty: nothing to say */
};

/* The process's thread that the vCPU which runs is at, in the kernel or not. */
bool process_current(const struct gdbstub *stub, struct task *ret);
/* Whether the thread executes in user mode right here. */
bool process_runs_here(const struct gdbstub *stub, uint32_t tid);

/* ---- process_hits.c ---- */

bool process_counts(struct gdbstub *stub, const struct timeline_hit *hit);

/* ---- process_run.c: movements; view.h says what they do ---- */

enum timeline_status process_step(struct gdbstub *stub, uint32_t tid, struct view_stop *ret);
enum timeline_status process_step_back(struct gdbstub *stub, uint32_t tid, struct view_stop *ret);
enum timeline_status process_go_on(struct gdbstub *stub, struct view_stop *ret);
enum timeline_status process_go_back(struct gdbstub *stub, struct view_stop *ret);

/* On to where a task is in user mode for the next time. ARRIVED, or why not. */
enum timeline_status process_run_to_user_mode(struct gdbstub *stub, uint64_t task);

/* ---- process_open.c ---- */

/*
 * Replays the recording once to learn which processes there are, and chooses the one meant by a
 * name or number, or NULL: the last that crashed: stub->process and stub->view, at its last moment.
 * Returns 0 or a negative errno with a line in error.
 */
int process_open(struct gdbstub *stub, const char *what, struct reply *error);
void process_destroy(struct process *process);

/* ---- modules.c ---- */

/* The executable, or a library that the dynamic linker has loaded. */
struct module {
	uint64_t bias; /* added to the addresses in the file */
	uint64_t head; /* address of its ELF header */
	uint64_t link_map;
	char path[PATH_MAX];
};

typedef bool module_fn(void *ctx, const struct module *module);

/* Calls fn for each, the executable first and the others in the order in which they were loaded,
 * until it returns false. */
void process_each_module(const struct gdbstub *stub, module_fn *fn, void *ctx);

/* Memory of the process that is in RAM. */
bool process_read_user(const struct gdbstub *stub, uint64_t address, void *buffer, size_t n);

/* A module's first page, in RAM or not: its headers and notes lie in it. */
#define MODULE_HEAD_BYTES 4096
bool process_read_head(struct gdbstub *stub, uint64_t address, uint8_t head[MODULE_HEAD_BYTES]);

/* remote_files_build_id_fn: of the executable or a library, as it lies in the process's memory; ctx
 * is the stub. */
size_t process_build_id(void *ctx, const char *path, uint8_t *ret, size_t max);
/* remote_files_load_fn: a file that the process has mapped, from the guest's page cache; ctx is the
 * stub. */
bool process_load_cached(void *ctx, const char *path, uint8_t **ret_data, size_t *ret_bytes);
/* view_ops.read_absent: pages of files that the process has mapped and not touched. */
size_t process_read_absent(struct gdbstub *stub, uint64_t address, void *buffer, size_t n);
/* view_ops.read_proc_file: maps. */
bool process_read_proc_file(const struct gdbstub *stub, const char *path, struct reply *ret);

/* ---- thread_local.c ---- */

/* view_ops.find_thread_local, of programs with glibc. */
bool process_find_thread_local(struct gdbstub *stub, uint32_t tid, uint64_t offset,
			       uint64_t link_map, uint64_t *ret_address);

#endif
