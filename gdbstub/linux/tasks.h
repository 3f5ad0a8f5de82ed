/* Tasks of a Linux guest: what the kernel calls a thread, and the user-mode registers of each. */
#ifndef REPRISE_GDBSTUB_LINUX_TASKS_H
#define REPRISE_GDBSTUB_LINUX_TASKS_H

#include "gdbstub/linux/guest.h"
#include "gdbstub/registers.h"

#define TASK_NAME_BYTES 16

struct task {
	uint64_t address;
	uint32_t tid, pid;
	uint64_t leader, mm; /* mm 0: a kernel thread, or one that is ending */
	char name[TASK_NAME_BYTES];
};

/* Returns false when there is none at the address. */
bool task_read(const struct linux_guest *guest, uint64_t address, struct task *ret);

/* Calls fn for each living thread of the leader's process until it returns false. */
void task_each(const struct linux_guest *guest, uint64_t leader,
	       bool (*fn)(void *ctx, const struct task *task), void *ctx);

/* The thread of that number; false: there is none. */
bool task_find_thread(const struct linux_guest *guest, uint64_t leader, uint32_t tid,
		      struct task *ret);

/* The vCPU whose current task it is, or -1. */
int task_vcpu(const struct linux_guest *guest, uint64_t task);

/* A task is in user mode when its vCPU executes at CPL 3. */
bool task_in_user_mode(const struct linux_guest *guest, uint64_t task);

/* It waits for something that signals do not end (TASK_UNINTERRUPTIBLE). */
bool task_waits_firmly(const struct linux_guest *guest, uint64_t task);

/*
 * The registers that a thread has in user mode: the vCPU's where it runs there, else what the
 * kernel saved. pgd_gpa: the root of its page tables. In the first and last instructions of a stay
 * in the kernel what is saved is not whole. Returns false when it cannot be read.
 */
bool task_registers(const struct linux_guest *guest, uint64_t task, uint64_t pgd_gpa,
		    struct thread_registers *ret);

/* A vCPU's state by which user addresses of the space are walked. */
void task_space(const struct linux_guest *guest, uint64_t pgd_gpa, struct cpu *ret);

/* The guest-physical address of an address space's root table; 0: none. */
uint64_t task_pgd(const struct linux_guest *guest, uint64_t mm);

/* What its process is ending with, as wait() tells it; 0: nothing yet. */
uint32_t task_group_exit_status(const struct linux_guest *guest, uint64_t task);
/* How many threads its process has that have not ended. */
uint32_t task_live_threads(const struct linux_guest *guest, uint64_t task);

/* Prints a line on what a vCPU is at: "in NAME, process N, thread N"; nothing when that is not
 * known. */
void task_describe_current(const struct linux_guest *guest, uint32_t vcpu, struct reply *reply);

#endif
