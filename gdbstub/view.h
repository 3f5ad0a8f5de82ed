/*
 * A view decides what gdb sees of a recording: which threads there are, what their registers and
 * memory are, which hits count, and what a step is. It is chosen once, before gdb connects. Packets
 * and monitor commands know no more than this.
 */
#ifndef REPRISE_GDBSTUB_VIEW_H
#define REPRISE_GDBSTUB_VIEW_H

#include "gdbstub/registers.h"
#include "replayer/timeline.h"

struct gdbstub;

/* Threads have numbers from 1 on; 0 is none in particular. */
struct view_thread {
	uint32_t number;
	unsigned core; /* the vCPU that it runs on, or ran on last */
	char name[32]; /* may hold anything: a guest chose it */
	const char *state;
};

typedef void view_thread_fn(void *ctx, const struct view_thread *thread);

/* What a movement came to, beside its status. */
struct view_stop {
	uint32_t thread;
	unsigned signal;    /* of Linux; 0: none, a trap */
	const char *remark; /* shown to the user; NULL: nothing to say */
};

/*
 * All are mandatory but for those marked. None moves but the four movements, which go on to a hit
 * that counts, an end, or what they are about, and fill in the stop.
 */
struct view_ops {
	enum register_set registers;
	/* Where the entries of page tables are watched too, so that a watchpoint stays with its
	 * linear address whatever is mapped there. */
	bool follows_mappings;

	/* The number that gdb knows the whole by. */
	uint32_t (*process)(const struct gdbstub *stub);
	void (*each_thread)(const struct gdbstub *stub, view_thread_fn *fn, void *ctx);
	bool (*has_thread)(const struct gdbstub *stub, uint32_t number);
	/* The thread that is told when nothing names one. */
	uint32_t (*thread_here)(const struct gdbstub *stub);

	/* Both return false when there is no such thread here. space: a vCPU's state by which
	 * linear addresses are walked. */
	bool (*read_registers)(const struct gdbstub *stub, uint32_t thread,
			       struct thread_registers *ret);
	bool (*read_space)(const struct gdbstub *stub, uint32_t thread, struct cpu *ret);
	/* Memory that is not in RAM but known all the same; returns how many of the n bytes, which
	 * lie in one page. Optional. */
	size_t (*read_absent)(struct gdbstub *stub, uint64_t address, void *buffer, size_t n);

	/* The address of a thread-local variable by its offset in its module's part, whose link map
	 * gdb names (0: there is no such thing). Returns false when it has none here. */
	bool (*find_thread_local)(struct gdbstub *stub, uint32_t thread, uint64_t offset,
				  uint64_t link_map, uint64_t *ret_address);

	/* Whether a hit counts; the machine is as timeline_config.counts says. */
	bool (*counts)(struct gdbstub *stub, const struct timeline_hit *hit);

	/* step: the thread's next step; 0: whichever makes one. */
	enum timeline_status (*step)(struct gdbstub *stub, uint32_t thread, struct view_stop *ret);
	enum timeline_status (*step_back)(struct gdbstub *stub, uint32_t thread,
					  struct view_stop *ret);
	enum timeline_status (*go_on)(struct gdbstub *stub, struct view_stop *ret);
	enum timeline_status (*go_back)(struct gdbstub *stub, struct view_stop *ret);

	/* Why it stands where it does although nothing moved. Optional. */
	unsigned (*signal_here)(const struct gdbstub *stub);
	/* A line on what runs here, for monitor when. Optional. */
	void (*describe_place)(const struct gdbstub *stub, struct reply *reply);
	/* The auxiliary vector and the path of the executable. Optional. */
	bool (*read_auxv)(const struct gdbstub *stub, struct reply *ret);
	bool (*read_exec_file)(const struct gdbstub *stub, struct reply *ret);
	/* A file below /proc as the guest would show it here. Returns false for what is not
	 * offered. Optional. */
	bool (*read_proc_file)(const struct gdbstub *stub, const char *path, struct reply *ret);
};

/* vCPUs as threads of process 1, physical and linear memory, the kernel as it is. */
extern const struct view_ops machine_view;
/* One process of a Linux guest: stub->process. */
extern const struct view_ops process_view;

#endif
