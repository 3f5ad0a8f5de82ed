/* Processes come and go in a made-up guest, and are found again by name and number. */
#include "gdbstub/linux/history.h"

#include "tests/tap.h"
#include "tests/unit/linux_fixture.h"

/* Structures of the guest, in its image. */
#define PER_CPU  0x5000u /* offsets, and the current task */
#define SIGNALS  0x5800u /* 64 bytes each */
#define TASKS    0x6000u /* 128 bytes each */
#define SIGINFO  0x5f00u
#define MAX_TASK 16u

/* Members. */
enum {
	TASK_PID = 0,
	TASK_TGID = 4,
	TASK_LEADER = 8,
	TASK_MM = 16,
	TASK_COMM = 24,
	TASK_SIGNAL = 40
};
enum { SIGNAL_LIVE = 0, SIGNAL_EXIT_CODE = 4 };

static struct machine *machine;
static struct linux_guest guest;
static struct history history;

static void put(uint64_t at, const void *data, size_t n)
{
	memory_load(machine->memory, FIXTURE_GPA + at, data, n);
}

static void put32(uint64_t at, uint32_t value)
{
	put(at, &value, sizeof(value));
}

static void put64(uint64_t at, uint64_t value)
{
	put(at, &value, sizeof(value));
}

static uint64_t task_at(unsigned n)
{
	return TASKS + n * 128;
}

/* Task n with a process of its own, or a thread of task leader. */
static void put_task(unsigned n, uint32_t tid, unsigned leader, uint32_t pid, const char *name,
		     bool user)
{
	char comm[TASK_NAME_BYTES] = {0};

	strncpy(comm, name, sizeof(comm) - 1);
	put32(task_at(n) + TASK_PID, tid);
	put32(task_at(n) + TASK_TGID, pid);
	put64(task_at(n) + TASK_LEADER, FIXTURE_LINEAR + task_at(leader));
	put64(task_at(n) + TASK_MM, user ? 0x1000 + pid : 0);
	put(task_at(n) + TASK_COMM, comm, sizeof(comm));
	put64(task_at(n) + TASK_SIGNAL, FIXTURE_LINEAR + SIGNALS + leader * 64);
	put32(SIGNALS + leader * 64 + SIGNAL_LIVE, 1);
	put32(SIGNALS + leader * 64 + SIGNAL_EXIT_CODE, 0);
}

/* The vCPU stands at one of the functions in a task, with a first argument. */
static void note(enum history_point point, unsigned task, uint64_t argument, uint64_t icount)
{
	put64(PER_CPU + 8, FIXTURE_LINEAR + task_at(task));
	machine->vcpu[0].rip = history.address[point];
	machine->vcpu[0].gpr[RDI] = argument;
	history_note(&history, 0, icount);
}

static const struct process_record *record(unsigned n)
{
	static const struct process_record none;

	return n < history.n ? &history.record[n] : &none;
}

static void test_life(void)
{
	put_task(0, 1, 0, 1, "init", true);
	put_task(1, 20, 1, 20, "init", true);
	note(HISTORY_FORK, 0, FIXTURE_LINEAR + task_at(1), 100);
	tap_ok(history.n == 1 && record(0)->pid == 20 && !record(0)->by_exec &&
		       record(0)->first_icount == 100,
	       "a fork begins a process");
	put_task(1, 20, 1, 20, "program", true);
	note(HISTORY_EXEC, 1, 0, 200);
	tap_ok(history.n == 2 && record(0)->replaced && record(0)->last_icount == 200 &&
		       record(1)->by_exec && !strcmp(record(1)->name, "program"),
	       "an exec ends it and begins another");
	put_task(2, 21, 1, 20, "program", true);
	note(HISTORY_FORK, 1, FIXTURE_LINEAR + task_at(2), 300);
	put_task(3, 22, 3, 22, "kworker", false);
	note(HISTORY_FORK, 0, FIXTURE_LINEAR + task_at(3), 301);
	tap_ok(history.n == 2, "a thread is no process, nor is one of the kernel's");
	put32(SIGNALS + 64 + SIGNAL_LIVE, 2);
	note(HISTORY_EXIT, 2, 0, 400);
	tap_ok(!record(1)->ended, "of two threads one ends");
	put32(SIGNALS + 64 + SIGNAL_LIVE, 1);
	note(HISTORY_EXIT, 1, 3 << 8, 500);
	tap_ok(record(1)->ended && record(1)->status == 3 << 8 && record(1)->last_icount == 500 &&
		       record(1)->last_tid == 20 && !process_record_signal(record(1)),
	       "with the last the process does");
	note(HISTORY_EXIT, 1, 0, 600);
	tap_ok(record(1)->last_icount == 500, "and only once");
}

static void test_signals(void)
{
	put_task(4, 30, 4, 30, "crasher", true);
	note(HISTORY_EXEC, 4, 0, 1000);
	put32(SIGINFO, 11);
	note(HISTORY_CORE_DUMP, 4, FIXTURE_LINEAR + SIGINFO, 1100);
	note(HISTORY_GROUP_EXIT, 4, 11, 1200);
	tap_ok(process_record_signal(record(2)) == 11 && record(2)->last_icount == 1100,
	       "a signal with a core dump ends it where the dump begins");
	put_task(5, 31, 5, 31, "killed", true);
	note(HISTORY_EXEC, 5, 0, 1300);
	put32(SIGNALS + 5 * 64 + SIGNAL_EXIT_CODE, 9);
	note(HISTORY_GROUP_EXIT, 5, 0, 1400);
	tap_ok(process_record_signal(record(3)) == 9,
	       "one that ends them all is told by what the threads share");
	note(HISTORY_GROUP_EXIT, 0, 0, 1500);
	tap_ok(history.n == 4, "the end of what began before is no process");
}

static void test_find(void)
{
	put_task(6, 40, 6, 40, "program", true);
	note(HISTORY_EXEC, 6, 0, 2000);
	tap_ok(history_find(&history, "program") == record(4), "of two with a name the last");
	tap_ok(history_find(&history, "20") == record(1),
	       "by number: the program, not what it was before");
	put_task(7, 41, 7, 41, "crasher", true);
	note(HISTORY_EXEC, 7, 0, 2100);
	tap_ok(history_find(&history, "crasher") == record(2),
	       "one that a signal ended before one that came later");
	put_task(8, 42, 8, 42, "program", true);
	note(HISTORY_FORK, 6, FIXTURE_LINEAR + task_at(8), 2200);
	tap_ok(history_find(&history, "program") == record(4), "a program before its forks");
	put_task(9, 43, 9, 43, "a-name-that-is-cut-off", true);
	note(HISTORY_EXEC, 9, 0, 2300);
	tap_ok(history_find(&history, "a-name-that-is-cut-off") == record(7),
	       "names longer than the kernel keeps");
	tap_ok(!history_find(&history, "nobody") && !history_find(&history, "99") &&
		       !history_find(&history, ""),
	       "what there is not is not found");
	for (unsigned i = 0; i < 500; i++)
		note(HISTORY_FORK, 0, FIXTURE_LINEAR + task_at(1), 3000 + i);
	tap_ok(history.n == 508 && !history.failed, "there is room for many");
}

int main(void)
{
	const uint64_t tables = FIXTURE_LINEAR;

	machine = fixture_machine();
	fixture_start(machine);
	guest = (struct linux_guest){
		.machine = machine,
		.per_cpu_offsets = tables + PER_CPU,
		.current_task = tables + PER_CPU + 8, /* at offset 0, which the array holds */
		.at = {.task_pid = TASK_PID,
		       .task_tgid = TASK_TGID,
		       .task_leader = TASK_LEADER,
		       .task_mm = TASK_MM,
		       .task_comm = TASK_COMM,
		       .task_signal = TASK_SIGNAL,
		       .signal_live = SIGNAL_LIVE,
		       .signal_exit_code = SIGNAL_EXIT_CODE},
	};
	history = (struct history){.guest = &guest};
	for (unsigned i = 0; i < HISTORY_POINTS; i++)
		history.address[i] = FIXTURE_LINEAR + 0x100 + i * 16;
	test_life();
	test_signals();
	test_find();
	history_finish(&history);
	machine_destroy(machine);
	return tap_done();
}
