#include "gdbstub/linux/history.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[HISTORY_POINTS] = {
	[HISTORY_FORK] = "wake_up_new_task", [HISTORY_EXEC] = "finalize_exec",
	[HISTORY_CORE_DUMP] = "do_coredump", [HISTORY_GROUP_EXIT] = "do_group_exit",
	[HISTORY_EXIT] = "do_exit",
};

bool history_init(struct history *history, const struct linux_guest *guest, struct reply *error)
{
	*history = (struct history){.guest = guest};
	for (unsigned i = 0; i < HISTORY_POINTS; i++) {
		if (kernel_symbol(guest->kernel, names[i], &history->address[i]) ||
		    i == HISTORY_CORE_DUMP)
			continue;
		reply_clear(error);
		reply_print(error, "the guest's kernel does not say where %s is", names[i]);
		return false;
	}
	return true;
}

void history_finish(struct history *history)
{
	free(history->record);
	*history = (struct history){0};
}

/* ---- taking note ---- */

/* The record of a process that is alive; NULL: it began before anything was noted. */
static struct process_record *find_alive(struct history *history, uint32_t pid)
{
	for (unsigned i = history->n; i--;) {
		struct process_record *record = &history->record[i];
		if (record->pid == pid)
			return record->ended || record->replaced ? NULL : record;
	}
	return NULL;
}

static struct process_record *append(struct history *history)
{
	if (history->n == history->max) {
		unsigned max = history->max ? history->max * 2 : 64;
		struct process_record *record = realloc(history->record, max * sizeof(*record));
		if (!record) {
			history->failed = true;
			return NULL;
		}
		history->record = record;
		history->max = max;
	}
	return &history->record[history->n++];
}

static void note_begin(struct history *history, const struct task *task, uint64_t icount, bool exec)
{
	struct process_record *record = append(history);

	if (!record)
		return;
	*record = (struct process_record){.pid = task->pid,
					  .leader = task->leader,
					  .mm = task->mm,
					  .pgd_gpa = task_pgd(history->guest, task->mm),
					  .first_icount = icount,
					  .by_exec = exec};
	memcpy(record->name, task->name, sizeof(record->name));
}

static void note_end(struct process_record *record, const struct task *task, uint64_t icount,
		     uint32_t status)
{
	record->ended = true;
	record->last_icount = icount;
	record->last_tid = task->tid;
	record->status = status;
}

static void note_fork(struct history *history, const struct cpu *cpu, uint64_t icount)
{
	struct task child;

	if (task_read(history->guest, cpu->gpr[RDI], &child) && child.mm && child.tid == child.pid)
		note_begin(history, &child, icount, false);
}

static void note_exec(struct history *history, const struct task *task, uint64_t icount)
{
	struct process_record *old = find_alive(history, task->pid);

	if (old) {
		old->replaced = true;
		old->last_icount = icount;
		old->last_tid = task->tid;
	}
	note_begin(history, task, icount, true);
}

/* A signal that dumps core: its thread comes here before it ends the others. */
static void note_core_dump(struct history *history, const struct cpu *cpu, const struct task *task,
			   uint64_t icount)
{
	struct process_record *record = find_alive(history, task->pid);
	uint32_t number = linux_read_u32(history->guest, cpu->gpr[RDI]); /* si_signo */

	if (record)
		note_end(record, task, icount, number);
}

/* The first thread that ends them all says how, unless a signal to all has. */
static void note_group_exit(struct history *history, const struct cpu *cpu, const struct task *task,
			    uint64_t icount)
{
	struct process_record *record = find_alive(history, task->pid);
	uint32_t status = task_group_exit_status(history->guest, task->address);

	if (record)
		note_end(record, task, icount, status ? status : (uint32_t)cpu->gpr[RDI]);
}

/* Threads may also end one by one. */
static void note_exit(struct history *history, const struct cpu *cpu, const struct task *task,
		      uint64_t icount)
{
	struct process_record *record = find_alive(history, task->pid);

	if (record && task_live_threads(history->guest, task->address) == 1)
		note_end(record, task, icount, (uint32_t)cpu->gpr[RDI]);
}

void history_note(struct history *history, uint32_t vcpu, uint64_t icount)
{
	const struct cpu *cpu = &history->guest->machine->vcpu[vcpu];
	struct task task;

	if (!task_read(history->guest, linux_current_task(history->guest, vcpu), &task))
		return;
	if (cpu->rip == history->address[HISTORY_FORK])
		note_fork(history, cpu, icount);
	else if (cpu->rip == history->address[HISTORY_EXEC])
		note_exec(history, &task, icount);
	else if (cpu->rip == history->address[HISTORY_CORE_DUMP])
		note_core_dump(history, cpu, &task, icount);
	else if (cpu->rip == history->address[HISTORY_GROUP_EXIT])
		note_group_exit(history, cpu, &task, icount);
	else if (cpu->rip == history->address[HISTORY_EXIT])
		note_exit(history, cpu, &task, icount);
}

/* ---- asking ---- */

unsigned process_record_signal(const struct process_record *record)
{
	return record->ended ? record->status & 0x7f : 0;
}

static bool is_meant(const struct process_record *record, const char *what, uint64_t pid)
{
	return pid ? record->pid == pid : !strncmp(record->name, what, sizeof(record->name) - 1);
}

/* What is more likely meant. */
static unsigned rank(const struct process_record *record)
{
	return 4u * (process_record_signal(record) != 0) + 2u * !record->replaced + record->by_exec;
}

const struct process_record *history_find(const struct history *history, const char *what)
{
	char *end;
	uint64_t pid = strtoull(what, &end, 10);
	const struct process_record *found = NULL;

	if (*end || end == what)
		pid = 0;
	for (unsigned i = 0; i < history->n; i++)
		if (is_meant(&history->record[i], what, pid) &&
		    (!found || rank(&history->record[i]) >= rank(found)))
			found = &history->record[i];
	return found;
}

static bool dumps_core(unsigned number)
{
	static const uint8_t signals[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGFPE,
					  SIGSEGV, SIGBUS, SIGSYS,  SIGXCPU, SIGXFSZ};

	for (size_t i = 0; i < sizeof(signals); i++)
		if (signals[i] == number)
			return true;
	return false;
}

const struct process_record *history_find_crashed(const struct history *history)
{
	const struct process_record *found = NULL;

	for (unsigned i = 0; i < history->n; i++) {
		const struct process_record *record = &history->record[i];
		if (dumps_core(process_record_signal(record)) &&
		    (!found || record->last_icount >= found->last_icount))
			found = record;
	}
	return found;
}
