/* Learning which processes a recording has, and choosing one. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/hits.h"
#include "gdbstub/linux/paths.h"
#include "gdbstub/process.h"

/* A kernel is looked for at such distances, once the machine has its system call entry. */
#define LOOK_ICOUNT UINT64_C(100000000)

static int say(struct reply *error, int code, const char *text)
{
	reply_clear(error);
	reply_print(error, "%s", text);
	return code;
}

/* A movement that came to nothing. */
static int tell_failure(struct gdbstub *stub, enum timeline_status status, struct reply *error)
{
	return status == TIMELINE_INTERRUPTED ? say(error, -EINTR, "interrupted")
					      : say(error, -EIO, timeline_error(stub->timeline));
}

/* ---- the way through the recording ---- */

/* Goes on until the guest runs a kernel that says of itself what is needed. */
static int find_guest(struct gdbstub *stub, struct process *process, struct reply *error)
{
	const struct machine *machine = stub_machine(stub);
	const struct kernel *kernel = NULL;
	enum timeline_status status;

	status = timeline_seek(stub->timeline, timeline_start(stub->timeline));
	while (status == TIMELINE_ARRIVED || status == TIMELINE_START) {
		if (machine->vcpu[machine->current].lstar)
			kernel = gdbstub_kernel(stub);
		if (kernel)
			break;
		status = timeline_seek(stub->timeline,
				       timeline_position(stub->timeline) + LOOK_ICOUNT);
	}
	if (status == TIMELINE_FAILED || status == TIMELINE_INTERRUPTED)
		return tell_failure(stub, status, error);
	if (!kernel)
		return say(error, -ENOENT, "there is no Linux kernel in this recording");
	return linux_guest_create(machine, kernel, &process->guest, error);
}

/* The hits of the way through: they are taken note of, none counts. */
static bool note_hit(struct gdbstub *stub, const struct timeline_hit *hit)
{
	if (!hit->watch)
		history_note(&stub->process->history, hit->vcpu, hit->icount);
	return false;
}

static int read_history(struct gdbstub *stub, struct process *process, struct reply *error)
{
	const struct view_ops noting = {.counts = note_hit}, *view = stub->view;
	enum timeline_status status;

	if (!history_init(&process->history, process->guest, error))
		return -ENOTSUP;
	if (timeline_set_breakpoints(stub->timeline, process->history.address, HISTORY_POINTS))
		return say(error, -ENOMEM, "no memory for breakpoints");
	stub->view = &noting;
	status = timeline_continue(stub->timeline);
	stub->view = view;
	timeline_set_breakpoints(stub->timeline, NULL, 0);
	if (status == TIMELINE_INTERRUPTED)
		return tell_failure(stub, status, error);
	/* What lies before a failure can be debugged. */
	return process->history.failed ? say(error, -ENOMEM, "no memory for all processes") : 0;
}

/* ---- choosing ---- */

static int tell_missing(const struct history *history, const char *what, struct reply *error)
{
	reply_clear(error);
	if (!what) {
		reply_print(error, "no process was ended by a signal that dumps core");
		return -ESRCH;
	}
	reply_print(error, "no process %s; the last ones were:", what);
	for (unsigned i = history->n > 8 ? history->n - 8 : 0; i < history->n; i++)
		reply_print(error, " %.15s (%u)", history->record[i].name, history->record[i].pid);
	return -ESRCH;
}

static void take_record(struct process *process, const struct process_record *record,
			uint64_t end_icount)
{
	process->pid = record->pid;
	memcpy(process->name, record->name, sizeof(process->name));
	process->leader = record->leader;
	process->mm = record->mm;
	process->pgd_gpa = record->pgd_gpa;
	process->signal = process_record_signal(record);
	process->ended = record->ended || record->replaced;
	process->last_icount = process->ended ? record->last_icount : end_icount;
	process->last_tid = process->ended ? record->last_tid : record->pid;
}

static void read_path(struct process *process)
{
	const struct linux_guest *guest = process->guest;
	uint64_t file = linux_read_u64(guest, process->mm + guest->at.mm_exe_file);
	char path[PATH_MAX];

	if (file && linux_file_path(guest, file, path, sizeof(path)))
		process->path = strdup(path);
}

/* To the process's first instruction, which is where its time begins, and then to its last moment.
 */
static int enclose(struct gdbstub *stub, const struct process_record *record, struct reply *error)
{
	struct process *process = stub->process;
	enum timeline_status status = timeline_seek(stub->timeline, record->first_icount);

	if (status == TIMELINE_ARRIVED &&
	    !crossings_find(process->guest, &process->crossings, error))
		return -ENOTSUP;
	process->first_icount = record->first_icount;
	if (status == TIMELINE_ARRIVED)
		status = process_run_to_user_mode(stub, process->leader);
	if (status != TIMELINE_ARRIVED && status != TIMELINE_END)
		return tell_failure(stub, status, error);
	process->first_icount = timeline_position(stub->timeline);
	if (process->first_icount >= process->last_icount) {
		say(error, -ESRCH, "that process ended before it executed an instruction");
		return -ESRCH;
	}
	read_path(process);
	timeline_limit(stub->timeline, process->first_icount, process->last_icount);
	status = timeline_seek(stub->timeline, process->last_icount);
	return status == TIMELINE_ARRIVED ? 0 : tell_failure(stub, status, error);
}

int process_open(struct gdbstub *stub, const char *what, struct reply *error)
{
	struct process *process = calloc(1, sizeof(*process));
	const struct process_record *record;
	int code;

	if (!process)
		return say(error, -ENOMEM, "no memory");
	stub->process = process;
	stub->interrupted = 0;
	code = find_guest(stub, process, error);
	if (!code)
		code = read_history(stub, process, error);
	if (code)
		return code;
	record = what ? history_find(&process->history, what)
		      : history_find_crashed(&process->history);
	if (!record)
		return tell_missing(&process->history, what, error);
	take_record(process, record, timeline_position(stub->timeline));
	stub->view = &process_view;
	return enclose(stub, record, error);
}

void process_destroy(struct process *process)
{
	if (!process)
		return;
	history_finish(&process->history);
	linux_guest_destroy(process->guest);
	free(process->path);
	free(process);
}
