/* The server of the host's files: answers, limits, what is denied, requests that are no requests.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recorder/fuse_server.h"
#include "tests/tap.h"

#define ROOM 70000

static struct host_files *files;
static struct file_server server;

static struct {
	_Alignas(8) uint8_t request[8192];
	_Alignas(8) uint8_t reply[ROOM];
	size_t n; /* of the reply's body */
} wire;

static void *body(void)
{
	return wire.reply + sizeof(struct fuse_out_header);
}

/* Sends a request of n bytes of arguments with so much room for the whole reply. Returns the
 * reply's error, or 1 when there is none. */
static int ask_with(uint32_t opcode, uint64_t node, const void *arguments, size_t n, size_t room)
{
	struct fuse_in_header in = {
		.len = (uint32_t)(sizeof(in) + n), .opcode = opcode, .unique = 77, .nodeid = node};
	struct fuse_out_header out;

	memcpy(wire.request, &in, sizeof(in));
	if (n)
		memcpy(wire.request + sizeof(in), arguments, n);
	memset(wire.reply, 0xee, sizeof(wire.reply));
	size_t length = server.serve(server.ctx, wire.request, sizeof(in) + n, wire.reply, room);
	if (!length)
		return 1;
	memcpy(&out, wire.reply, sizeof(out));
	if (length > room || out.len != length || out.unique != 77)
		tap_ok(false, "a reply's head is right (opcode %u)", opcode);
	wire.n = length - sizeof(out);
	return out.error;
}

static int ask(uint32_t opcode, uint64_t node, const void *arguments, size_t n)
{
	return ask_with(opcode, node, arguments, n, ROOM);
}

static int lookup(uint64_t parent, const char *name, struct fuse_entry_out *ret_entry)
{
	int error = ask(FUSE_LOOKUP, parent, name, strlen(name) + 1);

	if (!error)
		memcpy(ret_entry, body(), sizeof(*ret_entry));
	return error;
}

static uint64_t find(uint64_t parent, const char *name)
{
	struct fuse_entry_out entry = {0};

	return lookup(parent, name, &entry) ? 0 : entry.nodeid;
}

static int open_node(uint32_t opcode, uint64_t node, uint64_t *ret_handle)
{
	const struct fuse_open_in in = {0};
	struct fuse_open_out out;
	int error = ask(opcode, node, &in, sizeof(in));

	memcpy(&out, body(), sizeof(out));
	*ret_handle = out.fh;
	return error;
}

static int read_at(uint32_t opcode, uint64_t handle, uint64_t offset, uint32_t size)
{
	const struct fuse_read_in in = {.fh = handle, .offset = offset, .size = size};

	return ask(opcode, HOST_FILES_ROOT, &in, sizeof(in));
}

static int release(uint32_t opcode, uint64_t handle)
{
	const struct fuse_release_in in = {.fh = handle};

	return ask(opcode, HOST_FILES_ROOT, &in, sizeof(in));
}

static void test_init(void)
{
	struct fuse_init_in in = {.major = 7, .minor = 38, .max_readahead = 131072, .flags = ~0u};
	struct fuse_init_out out;

	tap_ok(ask(FUSE_READ, 1, NULL, 0) == -EINVAL, "a request without its arguments");
	tap_ok(!ask(FUSE_INIT, 0, &in, sizeof(in)) && wire.n == sizeof(out), "init");
	memcpy(&out, body(), sizeof(out));
	tap_ok(out.major == 7 && out.minor == 31 && out.max_readahead == 131072 &&
		       !(out.flags & (FUSE_WRITEBACK_CACHE | FUSE_POSIX_LOCKS)),
	       "version and abilities");
	in.minor = 20;
	tap_ok(ask(FUSE_INIT, 0, &in, 16) == -EPROTO, "a kernel that is too old");
	tap_ok(ask(FUSE_SETXATTR, 1, NULL, 0) == -ENOSYS && ask(9999, 1, NULL, 0) == -ENOSYS,
	       "what is not known is not there");
	tap_ok(ask(FUSE_FORGET, 1, NULL, 0) == 1, "no reply to what wants none");
	tap_ok(ask_with(FUSE_GETATTR, 1, NULL, 0, 8) == 1, "no room for a head: no reply");
	tap_ok(ask_with(FUSE_GETATTR, 1, NULL, 0, 40) == -EINVAL, "too little room for a body");
	tap_ok(!server.serve(server.ctx, wire.request, 10, wire.reply, ROOM), "half a head");
}

static void test_lookup(void)
{
	struct fuse_entry_out entry, again;
	struct stat st;

	stat("data", &st);
	tap_ok(!lookup(1, "data", &entry) && entry.nodeid > 1 && entry.attr.size == 5 &&
		       (entry.attr.mode & 0777) == 0640 && entry.attr.ino == st.st_ino &&
		       entry.attr.atime == entry.attr.mtime,
	       "a file's attributes");
	tap_ok(!lookup(1, "data", &again) && again.nodeid == entry.nodeid, "the same node again");
	tap_ok(!lookup(1, "absent", &entry) && entry.nodeid == 0 && entry.entry_valid,
	       "what is not there stays so");
	tap_ok(ask(FUSE_LOOKUP, 1, "data", 4) == -EINVAL, "a name without an end");
	tap_ok(lookup(1, "sub/inner", &entry) == -EINVAL, "a name with a slash");
	tap_ok(find(1, ".") == 1 && find(1, "..") == 1, "the root is its own parent");
	uint64_t sub = find(1, "sub");
	tap_ok(find(sub, "..") == 1 && find(sub, ".") == sub, "a directory and its parent");
	tap_ok(lookup(12345, "x", &entry) == -ESTALE && ask(FUSE_GETATTR, 0, NULL, 0) == -ESTALE,
	       "a node that was not given out");
	uint64_t link = find(1, "link");
	tap_ok(!ask(FUSE_READLINK, link, NULL, 0) && wire.n == 8 && !memcmp(body(), "/nowhere", 8),
	       "a link");
	tap_ok(ask(FUSE_READLINK, find(1, "data"), NULL, 0) == -EINVAL, "a file as a link");
}

static void test_read(void)
{
	uint64_t data = find(1, "data"), handle = 0, other = 0;

	tap_ok(!open_node(FUSE_OPEN, data, &handle) && !open_node(FUSE_OPEN, data, &other) &&
		       handle != other,
	       "a file opened twice");
	tap_ok(!read_at(FUSE_READ, handle, 0, 4096) && wire.n == 5 && !memcmp(body(), "12345", 5),
	       "it is read");
	tap_ok(!read_at(FUSE_READ, handle, 3, 1) && wire.n == 1 && !memcmp(body(), "4", 1),
	       "in pieces");
	tap_ok(!read_at(FUSE_READ, handle, 100, 10) && wire.n == 0, "behind its end");
	tap_ok(read_at(FUSE_READ, handle, UINT64_MAX, 10) == -EINVAL, "at no offset");
	tap_ok(read_at(FUSE_READ, handle, 0, ROOM) == -EINVAL, "more than there is room for");
	tap_ok(read_at(FUSE_READDIR, handle, 0, 100) == -EBADF, "not as a directory");
	tap_ok(!release(FUSE_RELEASE, handle) && read_at(FUSE_READ, handle, 0, 1) == -EBADF &&
		       release(FUSE_RELEASE, handle) == -EBADF,
	       "closed it is closed");
	tap_ok(!read_at(FUSE_READ, other, 0, 1), "the other is not");
	tap_ok(open_node(FUSE_OPEN, find(1, "fifo"), &handle) == -EACCES, "a FIFO is not opened");
	tap_ok(ask(FUSE_WRITE, data, NULL, 0) == -EROFS && ask(FUSE_UNLINK, 1, "data", 5) == -EROFS,
	       "nothing changes");
}

/* The names of a directory, read with so much room at a time. */
static void list(uint64_t node, uint32_t size, char *ret_names)
{
	uint64_t handle, offset = 0;
	struct fuse_dirent entry;

	ret_names[0] = 0;
	if (open_node(FUSE_OPENDIR, node, &handle))
		return;
	while (!read_at(FUSE_READDIR, handle, offset, size) && wire.n) {
		for (size_t at = 0; at < wire.n; at += FUSE_DIRENT_SIZE(&entry)) {
			memcpy(&entry, (uint8_t *)body() + at, FUSE_NAME_OFFSET);
			strncat(ret_names, (char *)body() + at + FUSE_NAME_OFFSET, entry.namelen);
			strcat(ret_names, entry.type == DT_DIR ? "/ " : " ");
			offset = entry.off;
		}
	}
	release(FUSE_RELEASEDIR, handle);
}

static void test_directory(void)
{
	char names[500];

	list(1, 4096, names);
	tap_ok(!strcmp(names, "./ ../ data fifo hard key link secret/ sub/ "), "entries, sorted");
	list(1, 32, names);
	tap_ok(!strcmp(names, "./ ../ data fifo hard key link secret/ sub/ "), "one at a time");
	tap_ok(ask(FUSE_STATFS, 1, NULL, 0) == 0, "a file system has a size");
}

static void test_denied(void)
{
	uint64_t handle, secret = find(1, "secret"), key = find(1, "key");
	struct fuse_entry_out entry;

	tap_ok(secret && key, "what is denied is seen");
	tap_ok(lookup(secret, "inner", &entry) == -EACCES, "nothing is found in it");
	tap_ok(open_node(FUSE_OPENDIR, secret, &handle) == -EACCES, "it is not listed");
	tap_ok(open_node(FUSE_OPEN, key, &handle) == -EACCES, "nor read");
	tap_ok(open_node(FUSE_OPEN, find(1, "hard"), &handle) == -EACCES, "nor by another name");
}

/* Requests of random opcodes, nodes, arguments and room: each gets a reply that fits, or none. */
static void test_random(void)
{
	static uint8_t arguments[300];
	uint64_t state = 88172645463325252u;
	unsigned fits = 0, n = 20000;

	for (unsigned i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof(arguments); k += 8) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			/* Small numbers are handles and sizes that there are. */
			uint64_t value = state >> 20 & 1 ? state : state & 7;
			memcpy(arguments + k, &value, k + 8 <= sizeof(arguments) ? 8 : 4);
		}
		size_t bytes = state % sizeof(arguments), room = (state >> 9) % 5000;
		int error = ask_with(state >> 32 & 63, state >> 24 & 15, arguments, bytes, room);
		fits += error <= 1 && error > -4096;
	}
	tap_ok(fits == n, "%u of %u random requests are answered well", fits, n);
}

static int note_path(void *ctx, const char *path)
{
	const char *name = strrchr(path, '/');

	strcat(ctx, name ? name : path);
	return 0;
}

static void test_opened(void)
{
	char names[200] = "";
	uint64_t handle, old = find(1, "data");

	open_node(FUSE_OPEN, find(find(1, "sub"), "inner"), &handle);
	server.reset(server.ctx);
	tap_ok(read_at(FUSE_READ, handle, 0, 1) == -EBADF &&
		       ask(FUSE_GETATTR, old, NULL, 0) == -ESTALE,
	       "after a reset nothing is known");
	open_node(FUSE_OPEN, find(1, "data"), &handle);
	host_files_each_opened(files, note_path, names);
	tap_ok(!strcmp(names, "/data/inner"), "what was opened is told once");
	tap_note("%s", names);
}

/* Only names with the extension and the name itself, only in that directory. */
static void test_hidden(struct host_files_config config)
{
	static const char *const hidden[] = {".rpz", "one", NULL};
	char names[500];

	config.hidden_in = config.root;
	config.hidden_names = hidden;
	host_files_create(&config, &files);
	server = fuse_server(files);
	if (system("touch a.rpz b.rpz.txt one someone sub/c.rpz"))
		tap_note("touch failed");
	list(1, 4096, names);
	tap_ok(!strstr(names, "a.rpz ") && strstr(names, "b.rpz.txt"),
	       "what is hidden is not listed");
	tap_note("%s", names);
	tap_ok(find(1, "a.rpz") == 0 && find(1, "b.rpz.txt"), "nor found");
	tap_ok(find(1, "one") == 0 && find(1, "someone") && !strstr(names, " one "),
	       "nor is what has just that name");
	list(find(1, "sub"), 4096, names);
	tap_ok(strstr(names, "c.rpz") && find(find(1, "sub"), "c.rpz"),
	       "in other directories it is");
	host_files_destroy(files);
}

static void test_host_root(void)
{
	struct host_files *host;
	struct host_files_config config = {.root = "/"};
	char names[500];

	host_files_create(&config, &host);
	server = fuse_server(host);
	list(find(1, "proc"), 4096, names);
	tap_ok(!strcmp(names, "./ ../ "), "the host's /proc seems empty");
	tap_ok(find(find(1, "proc"), "self") == 0 && find(find(1, "dev"), "null") == 0,
	       "nothing is found in it");
	tap_ok(find(find(1, "etc"), "passwd"), "the rest is there");
	host_files_destroy(host);
}

int main(void)
{
	char top[] = "/tmp/reprise-files-XXXXXX", command[100], secret[100], key[100];
	const char *denied[] = {secret, key};
	struct host_files_config config = {.root = top, .denied = denied, .n_denied = 2};

	if (!mkdtemp(top) || chdir(top) ||
	    system("printf 12345 > data && chmod 640 data && mkdir sub secret && echo i > "
		   "sub/inner "
		   "&& echo s > secret/inner && echo k > key && ln key hard && mkfifo fifo && "
		   "ln -s /nowhere link"))
		return 1;
	snprintf(secret, sizeof(secret), "%s/secret", top);
	snprintf(key, sizeof(key), "%s/key", top);
	tap_ok(!host_files_create(&config, &files), "a tree");
	server = fuse_server(files);
	test_init();
	test_lookup();
	test_read();
	test_directory();
	test_denied();
	test_random();
	server.reset(server.ctx);
	host_files_destroy(files);
	host_files_create(&config, &files);
	server = fuse_server(files);
	test_opened();
	host_files_destroy(files);
	test_hidden(config);
	test_host_root();
	config.root = "data";
	tap_ok(host_files_create(&config, &files) == -ENOTDIR, "a file is no tree");
	snprintf(command, sizeof(command), "rm -rf %s", top);
	if (system(command))
		tap_note("%s is left over", top);
	return tap_done();
}
