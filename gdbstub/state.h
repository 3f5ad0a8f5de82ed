/* The stub's inside, shared by its files. */
#ifndef REPRISE_GDBSTUB_STATE_H
#define REPRISE_GDBSTUB_STATE_H

#include <signal.h>

#include "gdbstub/connection.h"
#include "gdbstub/gdbstub.h"
#include "gdbstub/linux/guest.h"
#include "gdbstub/linux/kernel.h"
#include "gdbstub/points.h"
#include "gdbstub/text.h"
#include "gdbstub/view.h"
#include "gdbstub/watches.h"

struct process;
struct remote_file;
struct remote_files;

#define OPEN_FILES_MAX 64

/* The point that the last hit which counted was about. */
struct met_point {
	bool valid;
	uint8_t kind;                      /* enum point_kind */
	uint64_t address;                  /* watchpoints: of the access, inside what is watched */
	struct memory_watch_access access; /* of 0 bytes: what is mapped there changed */
};

struct gdbstub {
	struct log_reader *reader;
	struct log_reader *events; /* the same file again, for looking around */
	struct timeline *timeline;
	struct kernel *kernel;     /* NULL: not found yet */
	struct linux_guest *guest; /* of the machine view; NULL: not known */
	const struct view_ops *view;
	struct process *process;                             /* of the process view */
	struct remote_files *files;                          /* which gdb may open; NULL: none */
	const struct remote_file *open_file[OPEN_FILES_MAX]; /* by descriptor; NULL: free */
	struct remote_file *own_file[OPEN_FILES_MAX];        /* made for it; NULL: none */
	struct points points;
	struct watches watches;
	struct met_point met;
	bool physical; /* addresses are guest-physical */
	bool reading_absent;

	struct connection *connection;
	const volatile sig_atomic_t *quit;
	volatile sig_atomic_t interrupted;
	void (*progress)(void *ctx, uint64_t icount, uint64_t end_icount);
	void *progress_ctx;
	uint32_t g_thread; /* whose registers and memory are asked for */
	uint32_t c_thread; /* which steps and goes back; 0: any */
	uint32_t chosen;   /* by gdb's user: whose life was asked for, or who stopped last */
	bool refused;      /* a write to memory, and gdb has said only that it failed */
	uint64_t refused_address;
	bool tells_breaks; /* gdb understands swbreak and hwbreak */
	bool done, killed;
	struct reply reply, stop; /* of the packet at hand; of the last stop */
};

static inline struct machine *stub_machine(const struct gdbstub *stub)
{
	return timeline_machine(stub->timeline);
}

/* ---- gdbstub.c ---- */

/* Sees whether gdb wants what runs to stop, or is gone: stub->interrupted. The timeline asks by
 * itself, but hardly ever while it is taken along step by step. */
void stub_look_for_interrupt(struct gdbstub *stub);

/* ---- target.c: memory as the view has it ---- */

/* Reads up to n bytes at a linear (or, in physical mode, guest-physical) address; returns how many
 * could be read before the first that is not there. */
size_t target_read(struct gdbstub *stub, uint32_t thread, uint64_t address, void *buffer, size_t n);
/* Translates. Returns false when there is no mapping. */
bool target_translate(const struct gdbstub *stub, uint32_t thread, uint64_t address,
		      uint64_t *ret_gpa);
/* The linear address of the instruction that a vCPU executes next. */
uint64_t target_pc(const struct cpu *cpu);
/* That of a thread; 0 when there is none. */
uint64_t target_thread_pc(const struct gdbstub *stub, uint32_t thread);
/* "p1.2" for thread 2 of process 1; and back: "p1.2", "p1.-1", "1", "0", "-1". *ret_thread 0: no
 * particular one. Returns false for what is not a thread here. */
void target_print_thread(const struct gdbstub *stub, struct reply *reply, uint32_t thread);
bool target_take_thread(const struct gdbstub *stub, struct cursor *cursor, uint32_t *ret_thread);

/* ---- symbols.c ---- */

/* The address of a per-CPU variable of the vCPU; offset is the variable's. Returns false when the
 * guest has no kernel with such variables, or not yet. */
bool symbols_per_cpu(struct gdbstub *stub, uint32_t vcpu, uint64_t offset, uint64_t *ret_address);
/* Looks for what stub->guest is, unless it is there already. */
void symbols_find_guest(struct gdbstub *stub);

/* ---- packets.c ---- */

/* Handles one packet; stub->reply holds the answer (empty: not supported) unless it returns false.
 */
bool packets_handle(struct gdbstub *stub, const char *packet, size_t n);
/* Shows a line to the user. Only while gdb waits for a stop or for a monitor command. */
void packets_tell(struct gdbstub *stub, const char *text, size_t n);

/* ---- file_packets.c ---- */

void file_packets_close_all(struct gdbstub *stub);

/* ---- run.c: packets that move ---- */

bool run_continue(struct gdbstub *stub, struct cursor *cursor);
bool run_step(struct gdbstub *stub, struct cursor *cursor);
bool run_continue_back(struct gdbstub *stub, struct cursor *cursor);
bool run_step_back(struct gdbstub *stub, struct cursor *cursor);
bool run_vcont(struct gdbstub *stub, struct cursor *cursor);
/* Why it stands where it does: the last stop. */
bool run_why(struct gdbstub *stub, struct cursor *cursor);
/* The position was changed: the next "?" tells what is here now. */
void run_forget_stop(struct gdbstub *stub);

/* ---- monitor.c ---- */

/* Carries out a monitor command and puts its output into stub->reply as text. Returns false when it
 * is not understood; the text says why. */
bool monitor_command(struct gdbstub *stub, const char *text);

#endif
