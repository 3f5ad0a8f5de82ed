/* The monitor commands, as a table. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/hits.h"
#include "replayer/divergence.h"

#define EVENTS_AROUND        12
#define ARGUMENTS_MAX        3
#define LAST_WRITE_MAX_BYTES 65536

struct arguments {
	unsigned n;
	const char *item[ARGUMENTS_MAX];
};

typedef bool command_fn(struct gdbstub *stub, const struct arguments *arguments);

struct command {
	const char *name, *arguments, *help;
	unsigned min, max; /* arguments */
	command_fn *run;
};

static bool say(struct gdbstub *stub, const char *text)
{
	reply_print(&stub->reply, "%s\n", text);
	return false;
}

static bool parse_number(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 0);
	return end != text && !*end && !errno && *text != '-';
}

/* ---- where we are ---- */

static void print_place(struct gdbstub *stub)
{
	const struct machine *machine = stub_machine(stub);
	const struct cpu *cpu = &machine->vcpu[machine->current];
	uint64_t ns = machine_clock_now(machine);

	reply_print(&stub->reply,
		    "icount %" PRIu64 " of %" PRIu64 ", guest time %" PRIu64 ".%09" PRIu64
		    " s, vCPU %u, CPL %u, rip 0x%" PRIx64 ", cr3 0x%" PRIx64 "\n",
		    machine->icount, timeline_end(stub->timeline), ns / MACHINE_TSC_HZ,
		    ns % MACHINE_TSC_HZ, machine->current, cpu->cpl, target_pc(cpu), cpu->cr3);
	symbols_find_guest(stub);
	if (stub->view->describe_place)
		stub->view->describe_place(stub, &stub->reply);
}

static bool when(struct gdbstub *stub, const struct arguments *arguments)
{
	print_place(stub);
	return true;
}

static bool seek(struct gdbstub *stub, const struct arguments *arguments)
{
	uint64_t icount;

	if (!strcmp(arguments->item[0], "start"))
		icount = timeline_start(stub->timeline);
	else if (!strcmp(arguments->item[0], "end"))
		icount = timeline_end(stub->timeline);
	else if (!parse_number(arguments->item[0], &icount))
		return say(stub, "an instruction count, start or end is wanted");
	stub->interrupted = 0;
	enum timeline_status status = timeline_seek(stub->timeline, icount);
	run_forget_stop(stub);
	if (status == TIMELINE_FAILED)
		return say(stub, timeline_error(stub->timeline));
	print_place(stub);
	reply_print(&stub->reply, "gdb still shows the old place: maintenance flush "
				  "register-cache, maintenance flush dcache\n");
	return true;
}

static bool checkpoint(struct gdbstub *stub, const struct arguments *arguments)
{
	unsigned n;
	uint64_t bytes;

	timeline_checkpoint(stub->timeline);
	timeline_checkpoint_size(stub->timeline, &n, &bytes);
	reply_print(&stub->reply, "checkpoint at %" PRIu64 "; %u in all, %" PRIu64 " MiB\n",
		    timeline_position(stub->timeline), n, bytes >> 20);
	return true;
}

/* ---- the log ---- */

/* Sets the second reader some events before the position. */
static int go_near(struct gdbstub *stub, struct log_error *ret_error)
{
	struct log_position position;
	int error = log_reader_seek(stub->events, timeline_position(stub->timeline), ret_error);

	if (error)
		return error;
	position = log_reader_position(stub->events);
	position.event -= position.event < EVENTS_AROUND ? position.event : EVENTS_AROUND;
	return log_reader_set_position(stub->events, position, ret_error);
}

static bool events(struct gdbstub *stub, const struct arguments *arguments)
{
	uint64_t here = timeline_position(stub->timeline);
	char text[DIVERGENCE_TEXT_BYTES];
	struct log_error error = {0};
	struct event event;
	bool told = false;

	if (go_near(stub, &error) < 0)
		return say(stub, error.text);
	for (unsigned i = 0; i < 2 * EVENTS_AROUND; i++) {
		if (log_reader_next(stub->events, &event, &error) <= 0)
			break;
		if (!told && event.icount >= here) {
			reply_print(&stub->reply, "---- %" PRIu64 " is here ----\n", here);
			told = true;
		}
		divergence_describe_event(&event, text, sizeof(text));
		reply_print(&stub->reply, "%" PRIu64 "  %s\n", event.icount, text);
	}
	return true;
}

/* A guest's output may do anything to a terminal: what is not plain text is left out. */
static bool console(struct gdbstub *stub, const struct arguments *arguments)
{
	const bool serial = arguments->n && !strcmp(arguments->item[0], "serial");
	const uint8_t *data;
	size_t n;

	if (arguments->n && !serial)
		return say(stub, "nothing or serial is wanted");
	data = timeline_console(stub->timeline, serial ? TIMELINE_SERIAL : TIMELINE_SHOWN, &n);
	for (size_t i = 0; i < n; i++)
		if (data[i] == '\n' || data[i] == '\t' || (data[i] >= ' ' && data[i] < 0x7f))
			reply_bytes(&stub->reply, &data[i], 1);
	return true;
}

/* ---- memory ---- */

static bool translate(struct gdbstub *stub, const struct arguments *arguments)
{
	uint64_t address, gpa;

	if (!parse_number(arguments->item[0], &address))
		return say(stub, "an address is wanted, such as 0xffffffff81000000");
	if (!target_translate(stub, stub->g_thread, address, &gpa))
		return say(stub, "nothing is mapped there");
	reply_print(&stub->reply, "0x%" PRIx64 " is physical 0x%" PRIx64 "\n", address, gpa);
	return true;
}

static bool physical(struct gdbstub *stub, const struct arguments *arguments)
{
	stub->physical = !strcmp(arguments->item[0], "on");
	if (!stub->physical && strcmp(arguments->item[0], "off") != 0)
		return say(stub, "on or off is wanted");
	return true;
}

static void print_writer(struct gdbstub *stub, enum timeline_status status, const char *remark)
{
	const struct memory_watch_access *access = &stub->met.access;

	if (status == TIMELINE_FAILED) {
		say(stub, timeline_error(stub->timeline));
	} else if (status == TIMELINE_INTERRUPTED) {
		say(stub, "interrupted");
	} else if (status != TIMELINE_HIT) {
		say(stub, "not written since the start of what is debugged");
	} else {
		if (access->bytes)
			reply_print(&stub->reply,
				    "%u bytes at physical 0x%" PRIx64
				    " were written by the step at:\n",
				    access->bytes, access->gpa);
		else
			reply_print(&stub->reply,
				    "something else was mapped there by the step at:\n");
		print_place(stub);
		if (remark)
			reply_print(&stub->reply, "%s\n", remark);
	}
}

/* The last write is what a single watchpoint stops at on the way back, told as the view does. */
static bool find_last_write(struct gdbstub *stub, uint64_t address, uint64_t n)
{
	uint64_t here = timeline_position(stub->timeline);
	struct point point = {.kind = POINT_WRITE, .address = address, .bytes = n};
	const struct points points = stub->points;
	uint32_t g_thread = stub->g_thread;
	struct view_stop what = {0};
	bool armed;

	stub->points = (struct points){.point = &point, .n = 1};
	stub->interrupted = 0;
	armed = !hits_arm(stub, NULL, 0);
	if (armed) {
		enum timeline_status status = stub->view->go_back(stub, &what);
		print_writer(stub, status, what.remark);
	}
	stub->points = points;
	stub->interrupted = 0;
	timeline_seek(stub->timeline, here);
	stub->g_thread = g_thread;
	return armed || say(stub, "no memory");
}

static bool last_write(struct gdbstub *stub, const struct arguments *arguments)
{
	uint64_t address, n;

	if (!parse_number(arguments->item[0], &address) || !parse_number(arguments->item[1], &n) ||
	    !n || n > LAST_WRITE_MAX_BYTES || n > UINT64_MAX - address)
		return say(stub, "an address and a number of bytes, at most 65536, are wanted");
	if (!watches_can_set(stub, address))
		return say(stub, "nothing is mapped there");
	return find_last_write(stub, address, n);
}

static command_fn help;

static const struct command commands[] = {
	{"when", "", "where we are: instruction count, guest time, vCPU", 0, 0, when},
	{"seek", "N", "go to an instruction count, start or end", 1, 1, seek},
	{"checkpoint", "", "make coming back here fast", 0, 0, checkpoint},
	{"events", "", "what the log has around here", 0, 0, events},
	{"console", "[serial]", "what the guest has written up to here", 0, 1, console},
	{"translate", "ADDR", "the physical address behind a linear one", 1, 1, translate},
	{"last-write", "ADDR LEN", "which instruction wrote this last", 2, 2, last_write},
	{"physical", "on|off", "addresses are physical ones", 1, 1, physical},
	{"help", "", "this list", 0, 0, help},
};

static bool help(struct gdbstub *stub, const struct arguments *arguments)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		reply_print(&stub->reply, "%-10s %-9s %s\n", commands[i].name,
			    commands[i].arguments, commands[i].help);
	return true;
}

/* Splits the text at blanks, in place. Returns false when there are too many words. */
static bool split(char *text, const char **ret_name, struct arguments *ret)
{
	char *rest = NULL, *word = strtok_r(text, " \t", &rest);

	*ret_name = word ? word : "help";
	*ret = (struct arguments){0};
	while (word && (word = strtok_r(NULL, " \t", &rest))) {
		if (ret->n == ARGUMENTS_MAX)
			return false;
		ret->item[ret->n++] = word;
	}
	return true;
}

bool monitor_command(struct gdbstub *stub, const char *text)
{
	struct arguments arguments;
	const char *name;
	char copy[1024];

	if (strlen(text) >= sizeof(copy))
		return say(stub, "this is too long");
	strcpy(copy, text);
	bool fits = split(copy, &name, &arguments);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *command = &commands[i];
		if (strcmp(command->name, name) != 0)
			continue;
		if (fits && arguments.n >= command->min && arguments.n <= command->max)
			return command->run(stub, &arguments);
		reply_print(&stub->reply, "usage: monitor %s %s\n", command->name,
			    command->arguments);
		return false;
	}
	return say(stub, "no such command; monitor help lists them");
}
