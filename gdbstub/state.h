/* The stub's inside, shared by its files. */
#ifndef REPRISE_GDBSTUB_STATE_H
#define REPRISE_GDBSTUB_STATE_H

#include <signal.h>

#include "gdbstub/connection.h"
#include "gdbstub/gdbstub.h"
#include "gdbstub/linux/kernel.h"
#include "gdbstub/points.h"
#include "gdbstub/text.h"

/* Where a watched page was last seen mapped: going back, a time comes when it was not yet. */
#define KNOWN_PAGES_MAX 256
struct known_page {
	bool valid;
	uint64_t linear, gpa;
};

struct gdbstub {
	struct log_reader *reader;
	struct log_reader *events; /* the same file again, for looking around */
	struct timeline *timeline;
	struct kernel *kernel; /* NULL: not found yet */
	struct points points;
	struct known_page known[KNOWN_PAGES_MAX]; /* by hash of the linear page */
	bool taking_any_hit;                      /* last-write: conditions do not matter */
	bool physical;                            /* addresses are guest-physical */

	struct connection *connection;
	const volatile sig_atomic_t *quit;
	volatile sig_atomic_t interrupted;
	void (*progress)(void *ctx, uint64_t icount, uint64_t end_icount);
	void *progress_ctx;
	uint32_t g_vcpu;   /* whose registers and memory are asked for */
	bool tells_breaks; /* gdb understands swbreak and hwbreak */
	bool done, killed;
	struct reply reply, stop; /* of the packet at hand; of the last stop */
};

static inline struct machine *stub_machine(const struct gdbstub *stub)
{
	return timeline_machine(stub->timeline);
}

/* ---- target.c: memory and registers as the view has them ---- */

/* Reads up to n bytes at a linear (or, in physical mode, guest-physical) address; returns how many
 * could be read before the first that is not mapped to RAM or ROM. */
size_t target_read(const struct gdbstub *stub, uint32_t vcpu, uint64_t address, void *buffer,
		   size_t n);
/* Translates. Returns false when there is no mapping. */
bool target_translate(const struct gdbstub *stub, uint32_t vcpu, uint64_t address,
		      uint64_t *ret_gpa);
/* As above, or else where it was last mapped when this was asked, for watchpoints. */
bool target_translate_known(struct gdbstub *stub, uint64_t address, uint64_t *ret_gpa);
/* The linear address of the instruction that a vCPU executes next. */
uint64_t target_pc(const struct cpu *cpu);
/* "p1.2" for vCPU 1; and back: "p1.2", "p1.-1", "1", "0", "-1". any: no particular one. */
void target_print_thread(struct reply *reply, uint32_t vcpu);
bool target_take_thread(const struct gdbstub *stub, struct cursor *cursor, bool *ret_any,
			uint32_t *ret_vcpu);

/* ---- symbols.c ---- */

/* The address of a per-CPU variable of the vCPU; offset is the variable's. Returns false when the
 * guest has no kernel with such variables, or not yet. */
bool symbols_per_cpu(struct gdbstub *stub, uint32_t vcpu, uint64_t offset, uint64_t *ret_address);

/* ---- packets.c ---- */

/* Handles one packet; stub->reply holds the answer (empty: not supported) unless it returns false.
 */
bool packets_handle(struct gdbstub *stub, const char *packet, size_t n);
/* Shows a line to the user. Only while gdb waits for a stop or for a monitor command. */
void packets_tell(struct gdbstub *stub, const char *text, size_t n);

/* ---- run.c: packets that move ---- */

bool run_continue(struct gdbstub *stub, struct cursor *cursor);
bool run_step(struct gdbstub *stub, struct cursor *cursor);
bool run_continue_back(struct gdbstub *stub, struct cursor *cursor);
bool run_step_back(struct gdbstub *stub, struct cursor *cursor);
bool run_vcont(struct gdbstub *stub, struct cursor *cursor);
/* Why it stands where it does: the last stop. */
bool run_why(struct gdbstub *stub, struct cursor *cursor);
/* The next "?" tells a plain trap. */
void run_forget_stop(struct gdbstub *stub);

/* ---- monitor.c ---- */

/* Carries out a monitor command and puts its output into stub->reply as text. Returns false when it
 * is not understood; the text says why. */
bool monitor_command(struct gdbstub *stub, const char *text);

#endif
