/* Packets that ask for threads and for documents: qXfer, and what leads to thread numbers. */
#include <inttypes.h>
#include <string.h>

#include "gdbstub/packets.h"

static bool ok(struct gdbstub *stub)
{
	reply_print(&stub->reply, "OK");
	return true;
}

static bool wrong(struct gdbstub *stub)
{
	reply_print(&stub->reply, "E01");
	return true;
}

/* ---- threads ---- */

bool packet_choose_thread(struct gdbstub *stub, struct cursor *cursor)
{
	bool for_registers = cursor_take(cursor, "g");
	uint32_t thread;

	if ((!for_registers && !cursor_take(cursor, "c")) ||
	    !target_take_thread(stub, cursor, &thread))
		return wrong(stub);
	if (!for_registers)
		stub->c_thread = thread;
	else if (thread)
		stub->g_thread = thread;
	return ok(stub);
}

bool packet_thread_lives(struct gdbstub *stub, struct cursor *cursor)
{
	uint32_t thread;

	if (!target_take_thread(stub, cursor, &thread))
		return wrong(stub);
	if (thread)
		stub->chosen = thread;
	return ok(stub);
}

bool packet_current_thread(struct gdbstub *stub, struct cursor *cursor)
{
	reply_print(&stub->reply, "QC");
	target_print_thread(stub, &stub->reply, stub->g_thread);
	return true;
}

static void list_thread(void *ctx, const struct view_thread *thread)
{
	struct gdbstub *stub = ctx;

	reply_print(&stub->reply, stub->reply.n ? "," : "m");
	target_print_thread(stub, &stub->reply, thread->number);
}

bool packet_first_threads(struct gdbstub *stub, struct cursor *cursor)
{
	stub->view->each_thread(stub, list_thread, stub);
	if (!stub->reply.n)
		reply_print(&stub->reply, "l");
	return true;
}

bool packet_more_threads(struct gdbstub *stub, struct cursor *cursor)
{
	reply_print(&stub->reply, "l");
	return true;
}

/* "THREAD,OFFSET,LINK-MAP" */
bool packet_thread_local(struct gdbstub *stub, struct cursor *cursor)
{
	uint64_t offset, link_map, address;
	uint32_t thread;

	if (!target_take_thread(stub, cursor, &thread) || !thread || !cursor_take(cursor, ",") ||
	    !cursor_hex(cursor, &offset))
		return wrong(stub);
	if (!cursor_take(cursor, ",") || !cursor_hex(cursor, &link_map))
		link_map = 0;
	if (stub->view->find_thread_local(stub, thread, offset, link_map, &address))
		reply_print(&stub->reply, "%" PRIx64, address);
	else
		reply_print(&stub->reply, "E0e");
	return true;
}

/* Text of a guest inside a document. */
static void print_escaped(struct reply *reply, const char *text)
{
	for (; *text; text++) {
		bool plain = *text >= ' ' && *text < 0x7f && !strchr("&<>\"'", *text);
		if (plain)
			reply_bytes(reply, text, 1);
		else
			reply_print(reply, "?");
	}
}

struct thread_list {
	const struct gdbstub *stub;
	struct reply *reply;
};

static void describe_thread(void *ctx, const struct view_thread *thread)
{
	const struct thread_list *list = ctx;

	reply_print(list->reply, "<thread id=\"");
	target_print_thread(list->stub, list->reply, thread->number);
	reply_print(list->reply, "\" core=\"%u\" name=\"", thread->core);
	print_escaped(list->reply, thread->name);
	reply_print(list->reply, "\">%s</thread>", thread->state);
}

static void describe_threads(struct gdbstub *stub, struct reply *reply)
{
	struct thread_list list = {stub, reply};

	reply_print(reply, "<?xml version=\"1.0\"?><threads>");
	stub->view->each_thread(stub, describe_thread, &list);
	reply_print(reply, "</threads>");
}

/* ---- objects ---- */

/* Answers "OFFSET,LENGTH" with that part of the document. */
static bool transfer(struct gdbstub *stub, struct cursor *cursor, const struct reply *document)
{
	uint64_t offset, n;

	if (!cursor_range(cursor, &offset, &n))
		return wrong(stub);
	if (offset > document->n)
		return wrong(stub);
	if (n > CONNECTION_PACKET_MAX / 2)
		n = CONNECTION_PACKET_MAX / 2;
	bool last = n >= document->n - offset;
	if (last)
		n = document->n - offset;
	reply_print(&stub->reply, last ? "l" : "m");
	reply_bytes(&stub->reply, document->data + offset, n);
	return true;
}

bool packet_transfer_features(struct gdbstub *stub, struct cursor *cursor)
{
	struct reply document = {0};

	if (!cursor_take(cursor, "target.xml:"))
		return wrong(stub);
	registers_describe(stub->view->registers, &document);
	transfer(stub, cursor, &document);
	reply_finish(&document);
	return true;
}

/* gdb asks for it in the name of the thread that is chosen, before it looks at others. */
bool packet_transfer_threads(struct gdbstub *stub, struct cursor *cursor)
{
	struct reply document = {0};

	stub->chosen = stub->g_thread;
	describe_threads(stub, &document);
	transfer(stub, cursor, &document);
	reply_finish(&document);
	return true;
}

/* A document that a view may have or not. */
static bool transfer_optional(struct gdbstub *stub, struct cursor *cursor,
			      bool (*read)(const struct gdbstub *stub, struct reply *ret))
{
	struct reply document = {0};
	bool there = read && read(stub, &document);

	if (there)
		transfer(stub, cursor, &document);
	reply_finish(&document);
	return there || wrong(stub);
}

bool packet_transfer_auxv(struct gdbstub *stub, struct cursor *cursor)
{
	return transfer_optional(stub, cursor, stub->view->read_auxv);
}

/* gdb names the process; there is one. */
bool packet_transfer_exec_file(struct gdbstub *stub, struct cursor *cursor)
{
	uint64_t process;

	cursor_hex(cursor, &process);
	if (!cursor_take(cursor, ":"))
		return wrong(stub);
	return transfer_optional(stub, cursor, stub->view->read_exec_file);
}
