#include "gdbstub/crash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gdbstub/linux/kernel.h"
#include "vmm/machine.h"
#include "vmm/mmu/mmu.h"

#define SIGNAL_STATUS_BASE 128
#define SIGNAL_MAX         64
#define LINE_BYTES         100

/* How far before a process is ended its last instruction in user mode is looked for, step by step.
 */
#define USER_SEARCH_FIRST UINT64_C(5000)
#define USER_SEARCH_MAX   UINT64_C(5000000)

#define VECTOR_NONE 255

/* ---- moving ---- */

static int code_of(enum timeline_status status)
{
	if (status == TIMELINE_FAILED)
		return -EIO;
	return status == TIMELINE_INTERRUPTED ? -EINTR : 0;
}

static int seek(struct timeline *timeline, uint64_t icount)
{
	return code_of(timeline_seek(timeline, icount));
}

/* Goes back to the last time that execution was at one of the addresses. Returns 0, -ENOENT, … */
static int go_back_to(struct timeline *timeline, const uint64_t *linear, unsigned n)
{
	int error = timeline_set_breakpoints(timeline, linear, n);
	enum timeline_status status;

	if (error)
		return error;
	status = timeline_continue_back(timeline);
	timeline_set_breakpoints(timeline, NULL, 0);
	error = code_of(status);
	return error || status == TIMELINE_HIT ? error : -ENOENT;
}

static const struct cpu *current_cpu(const struct timeline *timeline)
{
	return machine_current(timeline_machine(timeline));
}

/* ---- the kernel's report on the console ---- */

/* How kernels begin the report of an exception in themselves (Linux arch/x86/kernel/traps.c,
 * dumpstack.c and mm/fault.c), and its vector. */
static const struct {
	const char *text;
	uint8_t vector;
} reports[] = {
	{"BUG: kernel NULL pointer dereference", VECTOR_PF},
	{"BUG: unable to handle", VECTOR_PF},
	{"kernel BUG at", VECTOR_UD},
	{"invalid opcode:", VECTOR_UD},
	{"general protection fault", VECTOR_GP},
	{"divide error:", VECTOR_DE},
	{"stack segment:", VECTOR_SS},
	{"double fault:", VECTOR_DF},
	{"kernel stack overflow", VECTOR_DF},
	{"Kernel panic - not syncing", VECTOR_NONE},
};

struct report {
	uint64_t icount; /* its first byte is written by the step from here */
	uint8_t vector;
	char line[LINE_BYTES];
};

/* The message of a console's line, behind time stamps and the like in brackets. */
static const char *skip_stamps(const char *line)
{
	while (*line == '[') {
		const char *close = strchr(line, ']');
		if (!close)
			break;
		line = close + 1 + strspn(close + 1, " ");
	}
	return line;
}

static bool is_report(const char *line, uint8_t *ret_vector)
{
	const char *message = skip_stamps(line);

	for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++)
		if (!strncmp(message, reports[i].text, strlen(reports[i].text))) {
			*ret_vector = reports[i].vector;
			return true;
		}
	return false;
}

bool crash_is_report(const char *line)
{
	uint8_t vector;

	return is_report(line, &vector);
}

/* Copies what can be shown of a line. */
static void copy_line(char to[LINE_BYTES], const uint8_t *from, size_t n)
{
	size_t used = 0;

	for (size_t i = 0; i < n && used < LINE_BYTES - 1; i++)
		if (from[i] >= ' ' && from[i] < 0x7f)
			to[used++] = (char)from[i];
	to[used] = '\0';
}

/* The first report on the console before the position. */
static bool find_report(const struct timeline *timeline, struct report *ret)
{
	size_t n, at = 0;
	const uint8_t *text = timeline_console(timeline, TIMELINE_SERIAL, &n);

	while (at < n) {
		const uint8_t *end = memchr(text + at, '\n', n - at);
		size_t length = end ? (size_t)(end - text) - at : n - at;
		copy_line(ret->line, text + at, length);
		if (is_report(ret->line, &ret->vector)) {
			ret->icount = timeline_console_icount(timeline, at);
			return true;
		}
		at += length + 1;
	}
	return false;
}

/* ---- an exception in the kernel ---- */

/* The linear address of the handler of a vector in 64-bit mode (SDM 3A 6.14.1). */
static bool read_handler(const struct machine *machine, uint8_t vector, uint64_t *ret)
{
	const struct cpu *cpu = &machine->vcpu[machine->current];
	uint64_t linear = cpu->idtr.base + vector * 16u, gpa;
	uint16_t low, middle;
	uint32_t high;

	if (!cpu_long_mode(cpu) || linear % PAGE_BYTES > PAGE_BYTES - 16 ||
	    !mmu_peek(cpu, linear, &gpa))
		return false;
	memory_read(machine->memory, gpa, &low, sizeof(low));
	memory_read(machine->memory, gpa + 6, &middle, sizeof(middle));
	memory_read(machine->memory, gpa + 8, &high, sizeof(high));
	*ret = (uint64_t)high << 32 | (uint64_t)middle << 16 | low;
	return true;
}

/* From the report back to the last exception of its kind in kernel mode, and one step on: to the
 * instruction. */
static int find_exception(struct timeline *timeline, const struct report *report)
{
	uint64_t handler;
	int error = 0;

	if (!read_handler(timeline_machine(timeline), report->vector, &handler))
		return -ENOENT;
	while (!error) {
		error = go_back_to(timeline, &handler, 1);
		if (!error)
			error = code_of(timeline_step_back(timeline));
		if (!error && current_cpu(timeline)->cpl == 0)
			break;
	}
	return error;
}

/* ---- the kernel's functions ---- */

/* Looks one up in the kernel that runs at the position. */
static bool find_symbol(const struct timeline *timeline, const char *name, uint64_t *ret_address)
{
	struct kernel *kernel;
	bool found;

	if (kernel_find(timeline_machine(timeline), &kernel))
		return false;
	found = kernel_symbol(kernel, name, ret_address);
	kernel_destroy(kernel);
	return found;
}

static int find_panic(struct timeline *timeline)
{
	uint64_t panic;

	return find_symbol(timeline, "panic", &panic) ? go_back_to(timeline, &panic, 1) : -ENOENT;
}

static int find_kernel_crash(struct timeline *timeline, struct crash *ret)
{
	struct report report;
	int error;

	if (!find_report(timeline, &report))
		return -ENOENT;
	error = seek(timeline, report.icount);
	if (error)
		return error;
	error = report.vector == VECTOR_NONE ? find_panic(timeline)
					     : find_exception(timeline, &report);
	if (error == -ENOENT)
		error = seek(timeline, report.icount);
	ret->icount = timeline_position(timeline);
	snprintf(ret->what, sizeof(ret->what), "the guest's kernel reports: %s", report.line);
	return error;
}

/* ---- a signal ---- */

/* Goes to the last state in user mode of the address space of here, at most so far back. */
static int find_user_mode(struct timeline *timeline)
{
	const uint64_t here = timeline_position(timeline), cr3 = current_cpu(timeline)->cr3;
	uint64_t last = UINT64_MAX, end = here;
	int error = 0;

	for (uint64_t back = USER_SEARCH_FIRST; !error && last == UINT64_MAX; back *= 10) {
		uint64_t first = here > back ? here - back : 0;
		error = seek(timeline, first);
		while (!error && timeline_position(timeline) < end) {
			if (current_cpu(timeline)->cpl == 3 && current_cpu(timeline)->cr3 == cr3)
				last = timeline_position(timeline);
			error = code_of(timeline_step(timeline));
		}
		end = first;
		if (!first || back >= USER_SEARCH_MAX)
			break;
	}
	return error ? error : seek(timeline, last == UINT64_MAX ? here : last);
}

/* Goes back to where the kernel ends a process because of this signal. */
static int find_fatal_signal(struct timeline *timeline, unsigned signal)
{
	uint64_t group_exit;
	int error;

	if (!find_symbol(timeline, "do_group_exit", &group_exit))
		return -ENOENT;
	do { /* its argument is an exit code as wait() tells it */
		error = go_back_to(timeline, &group_exit, 1);
	} while (!error && (current_cpu(timeline)->gpr[RDI] & 0xff7f) != signal);
	return error;
}

static int find_signal(struct timeline *timeline, struct log_reader *events, struct crash *ret)
{
	const Reprise__Header *header = log_reader_header(events);
	const Reprise__Trailer *trailer = log_reader_trailer(events);
	int status = header->is_run && trailer ? trailer->exit_status : 0, error;

	if (status <= SIGNAL_STATUS_BASE || status > SIGNAL_STATUS_BASE + SIGNAL_MAX)
		return -ENOENT;
	error = seek(timeline, timeline_end(timeline));
	if (!error)
		error = find_fatal_signal(timeline, (unsigned)status - SIGNAL_STATUS_BASE);
	if (!error)
		error = find_user_mode(timeline);
	ret->icount = timeline_position(timeline);
	snprintf(ret->what, sizeof(ret->what), "signal %d killed the command",
		 status - SIGNAL_STATUS_BASE);
	return error;
}

/* ---- a triple fault ---- */

/* The count of the last reset; UINT64_MAX: none. */
static uint64_t last_reset(struct log_reader *events)
{
	uint64_t last = UINT64_MAX;
	struct log_error error;
	struct event event;

	if (log_reader_seek(events, 0, &error))
		return last;
	while (log_reader_next(events, &event, &error) > 0)
		if (event.kind == EVENT_RESET)
			last = event.icount;
	return last;
}

/* Whether a vCPU has shut down at a count; the step before has done it. */
static int find_shutdown_at(struct timeline *timeline, uint64_t icount)
{
	const struct machine *machine = timeline_machine(timeline);
	int error = seek(timeline, icount);

	if (error)
		return error;
	for (uint32_t i = 0; i < machine->config.n_vcpus; i++)
		if (machine->vcpu[i].activity == ACTIVITY_SHUTDOWN)
			return code_of(timeline_step_back(timeline));
	return -ENOENT;
}

static int find_triple_fault(struct timeline *timeline, struct log_reader *events,
			     struct crash *ret)
{
	int error = find_shutdown_at(timeline, timeline_end(timeline));

	if (error == -ENOENT) {
		uint64_t reset = last_reset(events);
		error = reset == UINT64_MAX ? -ENOENT : find_shutdown_at(timeline, reset);
	}
	ret->icount = timeline_position(timeline);
	snprintf(ret->what, sizeof(ret->what), "a triple fault shut the machine down");
	return error;
}

static int find_any(struct timeline *timeline, struct log_reader *events, struct crash *ret)
{
	int error = seek(timeline, timeline_end(timeline));

	if (!error)
		error = find_kernel_crash(timeline, ret);
	if (error == -ENOENT)
		error = find_signal(timeline, events, ret);
	if (error == -ENOENT)
		error = find_triple_fault(timeline, events, ret);
	return error;
}

int crash_go_to(struct timeline *timeline, struct log_reader *events, struct crash *ret_crash)
{
	struct crash crash;
	int error = timeline_set_watches(timeline, NULL, 0);

	if (error)
		return error;
	timeline_count_all(timeline, true);
	error = find_any(timeline, events, &crash);
	timeline_count_all(timeline, false);
	if (error == -ENOENT)
		snprintf(crash.what, sizeof(crash.what), "no crash was found in it");
	if (!error || error == -ENOENT)
		*ret_crash = crash;
	return error;
}
