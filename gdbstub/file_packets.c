/* vFile packets: gdb reads files of the guest through the server (gdb manual, "Host I/O Packets").
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/packets.h"
#include "gdbstub/remote_files.h"

/* The protocol's own numbers of errors ("Errno Values"). */
enum file_error {
	FILE_NOT_FOUND = 2,
	FILE_BAD_DESCRIPTOR = 9,
	FILE_INVALID = 22,
	FILE_TOO_MANY = 24,
	FILE_READ_ONLY = 30,
};

#define OPEN_ACCESS_MASK 3 /* of the flags: not 0 for writing */
#define STATUS_BYTES     64
#define MODE_REGULAR     0100444

static bool fail(struct gdbstub *stub, enum file_error error)
{
	reply_print(&stub->reply, "F-1,%x", error);
	return true;
}

/* The open file that comes next, or NULL. */
static const struct remote_file *take_file(struct gdbstub *stub, struct cursor *cursor,
					   unsigned *ret_number)
{
	uint64_t number;

	if (!cursor_hex(cursor, &number) || number >= OPEN_FILES_MAX)
		return NULL;
	*ret_number = (unsigned)number;
	return stub->open_file[number];
}

/* There is one file system. */
bool packet_file_setfs(struct gdbstub *stub, struct cursor *cursor)
{
	if (stub->files)
		reply_print(&stub->reply, "F0");
	return true;
}

static void close_file(struct gdbstub *stub, unsigned number)
{
	remote_file_destroy(stub->own_file[number]);
	stub->own_file[number] = NULL;
	stub->open_file[number] = NULL;
}

void file_packets_close_all(struct gdbstub *stub)
{
	for (unsigned i = 0; i < OPEN_FILES_MAX; i++)
		close_file(stub, i);
}

/* own: made for this descriptor, or NULL. */
static bool open_file(struct gdbstub *stub, const struct remote_file *file, struct remote_file *own)
{
	for (unsigned i = 0; i < OPEN_FILES_MAX; i++) {
		if (stub->open_file[i])
			continue;
		stub->open_file[i] = file;
		stub->own_file[i] = own;
		reply_print(&stub->reply, "F%x", i);
		return true;
	}
	remote_file_destroy(own);
	return fail(stub, FILE_TOO_MANY);
}

/* What is below /proc changes with the position. */
static struct remote_file *make_proc_file(struct gdbstub *stub, const char *path)
{
	struct reply content = {0};
	struct remote_file *file = NULL;

	if (strncmp(path, "/proc/", 6) != 0 || !stub->view->read_proc_file)
		return NULL;
	if (stub->view->read_proc_file(stub, path, &content) && (file = calloc(1, sizeof(*file)))) {
		file->data = (uint8_t *)content.data;
		file->bytes = content.n;
		content = (struct reply){0};
	}
	reply_finish(&content);
	return file;
}

bool packet_file_open(struct gdbstub *stub, struct cursor *cursor)
{
	char path[PATH_MAX];
	struct cursor name = cursor_until(cursor, ',');
	size_t n = cursor_left(&name) / 2;
	uint64_t flags;

	if (!stub->files)
		return true;
	if (n >= sizeof(path) || !cursor_hex_bytes(&name, (uint8_t *)path, n) ||
	    !cursor_hex(cursor, &flags))
		return fail(stub, FILE_INVALID);
	path[n] = '\0';
	if (flags & OPEN_ACCESS_MASK)
		return fail(stub, FILE_READ_ONLY);
	struct remote_file *own = make_proc_file(stub, path);
	const struct remote_file *file = own ? own : remote_files_find(stub->files, path);
	return file ? open_file(stub, file, own) : fail(stub, FILE_NOT_FOUND);
}

bool packet_file_close(struct gdbstub *stub, struct cursor *cursor)
{
	unsigned number;

	if (!take_file(stub, cursor, &number))
		return fail(stub, FILE_BAD_DESCRIPTOR);
	close_file(stub, number);
	reply_print(&stub->reply, "F0");
	return true;
}

bool packet_file_read(struct gdbstub *stub, struct cursor *cursor)
{
	unsigned number;
	const struct remote_file *file = take_file(stub, cursor, &number);
	uint64_t n, offset;

	if (!file)
		return fail(stub, FILE_BAD_DESCRIPTOR);
	if (!cursor_take(cursor, ",") || !cursor_range(cursor, &n, &offset))
		return fail(stub, FILE_INVALID);
	if (n > CONNECTION_PACKET_MAX / 2)
		n = CONNECTION_PACKET_MAX / 2;
	if (offset > file->bytes)
		offset = file->bytes;
	if (n > file->bytes - offset)
		n = file->bytes - offset;
	reply_print(&stub->reply, "F%x;", (unsigned)n);
	reply_bytes(&stub->reply, file->data + offset, n);
	return true;
}

static void put_big_endian(uint8_t *to, uint64_t value, unsigned n)
{
	while (n--) {
		to[n] = (uint8_t)value;
		value >>= 8;
	}
}

/* The protocol's struct stat: thirteen big-endian fields. */
bool packet_file_status(struct gdbstub *stub, struct cursor *cursor)
{
	unsigned number;
	const struct remote_file *file = take_file(stub, cursor, &number);
	uint8_t status[STATUS_BYTES] = {0};

	if (!file)
		return fail(stub, FILE_BAD_DESCRIPTOR);
	put_big_endian(status + 8, MODE_REGULAR, 4);
	put_big_endian(status + 12, 1, 4); /* links */
	put_big_endian(status + 28, file->bytes, 8);
	put_big_endian(status + 36, 4096, 8); /* block size */
	put_big_endian(status + 44, (file->bytes + 511) / 512, 8);
	reply_print(&stub->reply, "F%x;", STATUS_BYTES);
	reply_bytes(&stub->reply, status, sizeof(status));
	return true;
}

/* Nothing is a link: paths were followed when the recording was made. */
bool packet_file_link(struct gdbstub *stub, struct cursor *cursor)
{
	return !stub->files || fail(stub, FILE_INVALID);
}
