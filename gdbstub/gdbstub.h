/*
 * gdb's remote protocol over a recording, in one of two views. The machine view: vCPUs are threads
 * of process 1; memory is what the chosen vCPU's page tables map. The process view: one process of
 * a Linux guest, as if the kernel and the others were not there.
 */
#ifndef REPRISE_GDBSTUB_GDBSTUB_H
#define REPRISE_GDBSTUB_GDBSTUB_H

#include "gdbstub/crash.h"
#include "log-format/log.h"
#include "replayer/timeline.h"

struct gdbstub;

struct gdbstub_config {
	const struct engine_ops *engine;
	uint64_t checkpoint_bytes; /* 0: TIMELINE_DEFAULT_BYTES */
	/* Raised, what runs stops and connections end. Optional. */
	const volatile sig_atomic_t *quit;
};

/*
 * Makes a replay of the recording at path. Returns 0 or a negative errno with *ret_error set.
 */
int gdbstub_create(const char *path, const struct gdbstub_config *config, struct gdbstub **ret_stub,
		   struct log_error *ret_error);
void gdbstub_destroy(struct gdbstub *stub);

struct timeline *gdbstub_timeline(struct gdbstub *stub);

struct kernel;

/* The Linux kernel that the guest runs, looked for in the present state unless it was found before;
 * NULL: there is none. Belongs to the stub. */
const struct kernel *gdbstub_kernel(struct gdbstub *stub);
/* As above; a Linux kernel that has not unpacked itself yet is looked for at later positions. */
const struct kernel *gdbstub_kernel_ahead(struct gdbstub *stub);

/* Called some hundred times a second while something runs; NULL: not any more. */
void gdbstub_set_progress(struct gdbstub *stub,
			  void (*progress)(void *ctx, uint64_t icount, uint64_t end_icount),
			  void *ctx);

/* An error of the functions below, for one line. */
#define GDBSTUB_ERROR_BYTES 512

/*
 * Chooses the process view of the process that a name or a number means, which takes one replay of
 * the whole recording; it then stands at the process's last moment. sysroot: a directory with the
 * guest's files, or NULL. Returns 0 or a negative errno with *error: -ESRCH: there is no such
 * process; -ENOENT: no Linux; -ENOTSUP: its kernel lacks what is needed. The stub can then only be
 * destroyed.
 */
int gdbstub_choose_process(struct gdbstub *stub, const char *process, const char *sysroot,
			   char error[GDBSTUB_ERROR_BYTES]);

/* As above, of the last process that a signal with a core dump ended. -ESRCH: there was none. */
int gdbstub_choose_crashed(struct gdbstub *stub, char error[GDBSTUB_ERROR_BYTES]);

/* The process that was chosen. */
struct gdbstub_process {
	const char *name;  /* any bytes: the guest chose it */
	const char *path;  /* of its executable; NULL: not known */
	uint32_t pid, tid; /* of the thread that ended it */
	unsigned signal;   /* that ended it; 0: none */
	uint64_t icount;   /* its last moment */
};
void gdbstub_process(const struct gdbstub *stub, struct gdbstub_process *ret_process);

/* Its threads that live where it stands. */
void gdbstub_each_thread(const struct gdbstub *stub,
			 void (*fn)(void *ctx, uint32_t tid, const char *name), void *ctx);

/* The instruction that a thread of it executes next, and the extension that it belongs to, as text:
 * "vaddps ymm0, ymm1, ymm2 (AVX)". False: it cannot be read, or is none. */
#define GDBSTUB_INSTRUCTION_BYTES 120
bool gdbstub_instruction(struct gdbstub *stub, uint32_t tid, char text[GDBSTUB_INSTRUCTION_BYTES]);

/* Goes to where the guest crashed, as crash_go_to(); in the process view to where a signal ended
 * the process. */
int gdbstub_go_to_crash(struct gdbstub *stub, struct crash *ret_crash);

enum gdbstub_end {
	GDBSTUB_DETACHED, /* gdb let go, or is gone: the next may connect */
	GDBSTUB_KILLED,   /* gdb wants the server to end */
};

/* Serves one connection to its end; takes over the file descriptor. */
enum gdbstub_end gdbstub_serve(struct gdbstub *stub, int fd);

/* ---- listening ---- */

/*
 * Listens at "unix:PATH", a path with a slash, or "[HOST]:PORT". HOST must be a loopback address
 * (empty: 127.0.0.1) unless anywhere is set. Returns a file descriptor or a negative errno (-EPERM:
 * not loopback; -EINVAL: not an address).
 */
int gdbstub_listen(const char *address, bool anywhere);

#endif
