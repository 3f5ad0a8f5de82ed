/* The packets, as a table (gdb manual, appendix E). */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "gdbstub/packets.h"

#define SEARCH_STEP 4096

struct packet {
	const char *name;
	packet_fn *handle;
	bool whole; /* nothing may follow the name but a separator */
};

static bool ok(struct gdbstub *stub)
{
	reply_print(&stub->reply, "OK");
	return true;
}

static bool error(struct gdbstub *stub, const char *text)
{
	reply_print(&stub->reply, "E.%s", text);
	return true;
}

static bool wrong(struct gdbstub *stub)
{
	reply_print(&stub->reply, "E01");
	return true;
}

/* Here gdb takes numbers only: EFAULT. */
static bool not_mapped(struct gdbstub *stub)
{
	reply_print(&stub->reply, "E0e");
	return true;
}

void packets_tell(struct gdbstub *stub, const char *text, size_t n)
{
	const size_t most = CONNECTION_PACKET_MAX / 2 - 1;
	struct reply packet = {0};

	while (n && stub->connection) {
		size_t here = n < most ? n : most;
		reply_clear(&packet);
		reply_print(&packet, "O");
		reply_hex_bytes(&packet, text, here);
		connection_send(stub->connection, packet.data, packet.n);
		text += here;
		n -= here;
	}
	reply_finish(&packet);
}

/* ---- registers ---- */

static bool read_registers(struct gdbstub *stub, struct cursor *cursor)
{
	const enum register_set set = stub->view->registers;
	struct thread_registers registers;
	uint8_t value[REGISTER_MAX_BYTES];

	if (!stub->view->read_registers(stub, stub->g_thread, &registers))
		return error(stub, "this thread does not exist here");
	for (unsigned i = 0; i < registers_count(set); i++)
		reply_hex_bytes(&stub->reply, value, register_read(set, &registers, i, value));
	return true;
}

static bool read_register(struct gdbstub *stub, struct cursor *cursor)
{
	const enum register_set set = stub->view->registers;
	struct thread_registers registers;
	uint8_t value[REGISTER_MAX_BYTES];
	uint64_t number;

	if (!cursor_hex(cursor, &number) || number >= registers_count(set))
		return wrong(stub);
	if (!stub->view->read_registers(stub, stub->g_thread, &registers))
		return error(stub, "this thread does not exist here");
	reply_hex_bytes(&stub->reply, value,
			register_read(set, &registers, (unsigned)number, value));
	return true;
}

static bool refuse_register(struct gdbstub *stub, struct cursor *cursor)
{
	return error(stub, "registers of a recording cannot be changed: it would be another past");
}

/* ---- memory ---- */

static bool read_memory(struct gdbstub *stub, struct cursor *cursor)
{
	uint8_t buffer[CONNECTION_PACKET_MAX / 2];
	uint64_t address, n;

	if (!cursor_range(cursor, &address, &n))
		return wrong(stub);
	if (n > sizeof(buffer))
		n = sizeof(buffer);
	size_t got = target_read(stub, stub->g_thread, address, buffer, n);
	if (!got && n)
		return not_mapped(stub);
	reply_hex_bytes(&stub->reply, buffer, got);
	return true;
}

static bool read_binary(struct gdbstub *stub, struct cursor *cursor)
{
	uint8_t buffer[CONNECTION_PACKET_MAX / 2];
	uint64_t address, n;

	if (!cursor_range(cursor, &address, &n))
		return wrong(stub);
	if (n > sizeof(buffer))
		n = sizeof(buffer);
	size_t got = target_read(stub, stub->g_thread, address, buffer, n);
	if (!got && n)
		return not_mapped(stub);
	reply_print(&stub->reply, "b");
	reply_bytes(&stub->reply, buffer, got);
	return true;
}

/* gdb says no more than that the memory cannot be accessed; the reason follows with the next stop.
 * It also asks for 0 bytes, to learn whether there is such a packet. */
static bool refuse_memory(struct gdbstub *stub, struct cursor *cursor)
{
	uint64_t address, n;

	if (cursor_range(cursor, &address, &n) && n) {
		stub->refused = true;
		stub->refused_address = address;
	}
	return error(stub, "memory of a recording cannot be changed: it would be another past");
}

/* Looks for the pattern in [address, address + n); 1 found, 0 not, -1 memory ends before. */
static int search_memory(struct gdbstub *stub, uint64_t address, uint64_t n, const char *pattern,
			 size_t pattern_bytes, uint64_t *ret_found)
{
	uint8_t window[SEARCH_STEP + CONNECTION_PACKET_MAX];

	while (n >= pattern_bytes) {
		size_t wanted = SEARCH_STEP + pattern_bytes - 1;
		if (wanted > n)
			wanted = n;
		size_t got = target_read(stub, stub->g_thread, address, window, wanted);
		const uint8_t *found = memmem(window, got, pattern, pattern_bytes);
		if (found) {
			*ret_found = address + (uint64_t)(found - window);
			return 1;
		}
		if (got < wanted)
			return -1;
		if (n <= SEARCH_STEP || connection_interrupted(stub->connection))
			return 0;
		address += SEARCH_STEP;
		n -= SEARCH_STEP;
	}
	return 0;
}

static bool search(struct gdbstub *stub, struct cursor *cursor)
{
	uint64_t address, n, found;

	if (!cursor_hex(cursor, &address) || !cursor_take(cursor, ";") || !cursor_hex(cursor, &n) ||
	    !cursor_take(cursor, ";") || !cursor_left(cursor))
		return wrong(stub);
	switch (search_memory(stub, address, n, cursor->at, cursor_left(cursor), &found)) {
	case 1:
		reply_print(&stub->reply, "1,%" PRIx64, found);
		return true;
	case 0:
		reply_print(&stub->reply, "0");
		return true;
	default:
		return not_mapped(stub);
	}
}

/* ---- breakpoints ---- */

/* A watchpoint can be set only where something is mapped. */
static bool is_mapped(struct gdbstub *stub, struct cursor cursor)
{
	uint64_t kind, address;

	if (!cursor_hex(&cursor, &kind) || !cursor_take(&cursor, ",") ||
	    !cursor_hex(&cursor, &address) || kind < POINT_WRITE)
		return true;
	return watches_can_set(stub, address);
}

static bool insert_point(struct gdbstub *stub, struct cursor *cursor)
{
	if (!is_mapped(stub, *cursor))
		return error(stub, "nothing is mapped at this address here");
	switch (points_add(&stub->points, cursor)) {
	case 0:
		return ok(stub);
	case -EINVAL:
		return wrong(stub);
	default:
		return error(stub, "too many breakpoints or conditions");
	}
}

static bool remove_point(struct gdbstub *stub, struct cursor *cursor)
{
	return points_remove(&stub->points, cursor) ? wrong(stub) : ok(stub);
}

/* ---- the session ---- */

static bool supported(struct gdbstub *stub, struct cursor *cursor)
{
	cursor_take(cursor, ":");
	while (cursor_left(cursor)) {
		struct cursor feature = cursor_until(cursor, ';');
		if (cursor_take(&feature, "swbreak+"))
			stub->tells_breaks = true;
	}
	reply_print(&stub->reply,
		    "PacketSize=%x;QStartNoAckMode+;multiprocess+;swbreak+;hwbreak+;"
		    "vContSupported+;ReverseStep+;ReverseContinue+;ConditionalBreakpoints+;"
		    "qXfer:features:read+;qXfer:threads:read+%s%s",
		    CONNECTION_PACKET_MAX, stub->view->read_auxv ? ";qXfer:auxv:read+" : "",
		    stub->view->read_exec_file ? ";qXfer:exec-file:read+" : "");
	return true;
}

static bool stop_acks(struct gdbstub *stub, struct cursor *cursor)
{
	connection_stop_acks(stub->connection);
	return ok(stub);
}

static bool non_stop(struct gdbstub *stub, struct cursor *cursor)
{
	return cursor_take(cursor, "0") ? ok(stub)
					: error(stub, "non-stop mode is not possible in a replay");
}

static bool attached(struct gdbstub *stub, struct cursor *cursor)
{
	reply_print(&stub->reply, "1");
	return true;
}

static bool detach(struct gdbstub *stub, struct cursor *cursor)
{
	stub->done = true;
	return ok(stub);
}

static bool kill_server(struct gdbstub *stub, struct cursor *cursor)
{
	stub->done = true;
	stub->killed = true;
	return ok(stub);
}

static bool kill_silently(struct gdbstub *stub, struct cursor *cursor)
{
	kill_server(stub, cursor);
	return false;
}

static bool vcont_kinds(struct gdbstub *stub, struct cursor *cursor)
{
	reply_print(&stub->reply, "vCont;c;C;s;S;r");
	return true;
}

static bool monitor(struct gdbstub *stub, struct cursor *cursor)
{
	char text[1024];
	size_t n = cursor_left(cursor) / 2;

	if (n >= sizeof(text) || !cursor_hex_bytes(cursor, (uint8_t *)text, n))
		return wrong(stub);
	text[n] = '\0';
	bool good = monitor_command(stub, text);
	packets_tell(stub, stub->reply.data, stub->reply.n);
	reply_clear(&stub->reply);
	return good ? ok(stub) : wrong(stub);
}

static bool nothing(struct gdbstub *stub, struct cursor *cursor)
{
	return true;
}

/* The longest name that fits is the one that counts: longer ones stand before their beginnings. */
static const struct packet packets[] = {
	{"?", run_why, true},
	{"D", detach},
	{"G", refuse_register},
	{"H", packet_choose_thread},
	{"M", refuse_memory},
	{"P", refuse_register},
	{"QNonStop:", non_stop},
	{"QStartNoAckMode", stop_acks, true},
	{"T", packet_thread_lives},
	{"X", refuse_memory},
	{"Z", insert_point},
	{"bc", run_continue_back, true},
	{"bs", run_step_back, true},
	{"c", run_continue},
	{"g", read_registers, true},
	{"k", kill_silently, true},
	{"m", read_memory},
	{"p", read_register},
	{"qAttached", attached},
	{"qC", packet_current_thread, true},
	{"qGetTLSAddr:", packet_thread_local},
	{"qRcmd,", monitor},
	{"qSearch:memory:", search},
	{"qSupported", supported},
	{"qXfer:auxv:read::", packet_transfer_auxv},
	{"qXfer:exec-file:read:", packet_transfer_exec_file},
	{"qXfer:features:read:", packet_transfer_features},
	{"qXfer:threads:read::", packet_transfer_threads},
	{"qfThreadInfo", packet_first_threads, true},
	{"qsThreadInfo", packet_more_threads, true},
	{"s", run_step},
	{"vCont?", vcont_kinds, true},
	{"vCont;", run_vcont},
	{"vFile:close:", packet_file_close},
	{"vFile:fstat:", packet_file_status},
	{"vFile:open:", packet_file_open},
	{"vFile:pread:", packet_file_read},
	{"vFile:readlink:", packet_file_link},
	{"vFile:setfs:", packet_file_setfs},
	{"vKill;", kill_server},
	{"vMustReplyEmpty", nothing},
	{"x", read_binary},
	{"z", remove_point},
};

bool packets_handle(struct gdbstub *stub, const char *packet, size_t n)
{
	reply_clear(&stub->reply);
	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		struct cursor cursor = {packet, packet + n};
		if (!cursor_take(&cursor, packets[i].name) ||
		    (packets[i].whole && cursor_left(&cursor)))
			continue;
		return packets[i].handle(stub, &cursor);
	}
	return true;
}
