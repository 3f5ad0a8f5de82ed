#include "recorder/fuse_server.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

/* What we answer with; the structs of later versions are longer. */
#define MINOR_VERSION     31
#define MINOR_VERSION_MIN 27 /* with today's struct fuse_init_out in full */

/* The tree does not change while the guest runs: its kernel may keep what it has learned. */
#define VALID_S (UINT64_C(1) << 30)

#define MAX_PAGES 252 /* of one read: what a virtio queue of 256 takes, headers aside */

#define INIT_FLAGS                                                                                 \
	(FUSE_ASYNC_READ | FUSE_EXPORT_SUPPORT | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |           \
	 FUSE_CACHE_SYMLINKS | FUSE_EXPLICIT_INVAL_DATA)

struct request {
	struct fuse_in_header header;
	const uint8_t *arguments; /* behind the header */
	size_t n;
};

/* Where the answer goes, behind its header. */
struct reply {
	uint8_t *data;
	size_t room, n;
};

static int put(struct reply *reply, const void *data, size_t n)
{
	if (n > reply->room - reply->n)
		return -EINVAL;
	memcpy(reply->data + reply->n, data, n);
	reply->n += n;
	return 0;
}

static void fill_attributes(const struct stat *st, struct fuse_attr *ret_attr)
{
	*ret_attr = (struct fuse_attr){
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec,
		.mtime = (uint64_t)st->st_mtim.tv_sec,
		.ctime = (uint64_t)st->st_ctim.tv_sec,
		.atimensec = (uint32_t)st->st_atim.tv_nsec,
		.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
		.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.rdev = (uint32_t)st->st_rdev,
		.blksize = (uint32_t)st->st_blksize,
	};
}

/* ---- requests: each returns 0 or a negative errno for the guest ---- */

static int do_init(struct host_files *files, const struct request *request, struct reply *reply)
{
	struct fuse_init_in in = {0};

	/* Older kernels send less than the whole struct. */
	memcpy(&in, request->arguments, request->n < sizeof(in) ? request->n : sizeof(in));
	if (in.major != FUSE_KERNEL_VERSION || in.minor < MINOR_VERSION_MIN)
		return -EPROTO;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = in.minor < MINOR_VERSION ? in.minor : MINOR_VERSION,
		.max_readahead = in.max_readahead,
		.flags = INIT_FLAGS & in.flags,
		.max_write = 4096,
		.time_gran = 1,
		.max_pages = MAX_PAGES,
	};
	return put(reply, &out, sizeof(out));
}

static int do_lookup(struct host_files *files, const struct request *request, struct reply *reply)
{
	struct fuse_entry_out out = {.entry_valid = VALID_S, .attr_valid = VALID_S};
	const char *name = (const char *)request->arguments;
	struct stat st;

	if (!memchr(name, 0, request->n))
		return -EINVAL;
	int error = host_files_lookup(files, request->header.nodeid, name, &out.nodeid, &st);
	/* Node 0 says that there is no such name, and that this too stays true. */
	if (error == -ENOENT)
		return put(reply, &out, sizeof(out));
	if (error)
		return error;
	fill_attributes(&st, &out.attr);
	return put(reply, &out, sizeof(out));
}

static int do_getattr(struct host_files *files, const struct request *request, struct reply *reply)
{
	struct fuse_attr_out out = {.attr_valid = VALID_S};
	struct stat st;
	int error = host_files_stat(files, request->header.nodeid, &st);

	if (error)
		return error;
	fill_attributes(&st, &out.attr);
	return put(reply, &out, sizeof(out));
}

static int do_readlink(struct host_files *files, const struct request *request, struct reply *reply)
{
	ssize_t n = host_files_read_link(files, request->header.nodeid, (char *)reply->data,
					 reply->room);

	if (n < 0)
		return (int)n;
	reply->n = (size_t)n;
	return 0;
}

static int do_open(struct host_files *files, const struct request *request, struct reply *reply)
{
	struct fuse_open_out out = {.open_flags = FOPEN_KEEP_CACHE};
	int error = host_files_open(files, request->header.nodeid, &out.fh);

	return error ? error : put(reply, &out, sizeof(out));
}

static int do_read(struct host_files *files, const struct request *request, struct reply *reply)
{
	struct fuse_read_in in;

	memcpy(&in, request->arguments, sizeof(in));
	if (in.size > reply->room)
		return -EINVAL;
	ssize_t n = host_files_read(files, in.fh, in.offset, reply->data, in.size);
	if (n < 0)
		return (int)n;
	reply->n = (size_t)n;
	return 0;
}

static int do_release(struct host_files *files, const struct request *request, struct reply *reply)
{
	struct fuse_release_in in;

	memcpy(&in, request->arguments, sizeof(in));
	return host_files_close(files, in.fh);
}

static int do_opendir(struct host_files *files, const struct request *request, struct reply *reply)
{
	struct fuse_open_out out = {.open_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR};
	int error = host_files_open_directory(files, request->header.nodeid, &out.fh);

	return error ? error : put(reply, &out, sizeof(out));
}

/* False when there is no room left for it. */
static bool put_entry(struct reply *reply, size_t limit, uint64_t next,
		      const struct host_files_entry *entry)
{
	static const uint8_t padding[sizeof(uint64_t)];
	struct fuse_dirent head = {
		.ino = entry->inode,
		.off = next,
		.namelen = (uint32_t)strlen(entry->name),
		.type = entry->type,
	};
	size_t bytes = FUSE_DIRENT_SIZE(&head);

	if (bytes > limit - reply->n)
		return false;
	put(reply, &head, FUSE_NAME_OFFSET);
	put(reply, entry->name, head.namelen);
	put(reply, padding, bytes - FUSE_NAME_OFFSET - head.namelen);
	return true;
}

/* The offset of an entry is its number. */
static int do_readdir(struct host_files *files, const struct request *request, struct reply *reply)
{
	struct host_files_entry entry;
	struct fuse_read_in in;
	int error;

	memcpy(&in, request->arguments, sizeof(in));
	size_t limit = in.size < reply->room ? in.size : reply->room;
	while (!(error = host_files_entry(files, in.fh, in.offset, &entry)))
		if (!put_entry(reply, limit, ++in.offset, &entry))
			return 0;
	return error == -ENOENT ? 0 : error;
}

static int do_statfs(struct host_files *files, const struct request *request, struct reply *reply)
{
	struct fuse_statfs_out out = {0};
	struct statvfs space;
	int error = host_files_space(files, request->header.nodeid, &space);

	if (error)
		return error;
	/* How much is free on the host changes by itself. */
	out.st.bsize = (uint32_t)space.f_bsize;
	out.st.frsize = (uint32_t)space.f_frsize;
	out.st.blocks = space.f_blocks;
	out.st.files = space.f_files;
	out.st.namelen = (uint32_t)space.f_namemax;
	return put(reply, &out, sizeof(out));
}

static int do_nothing(struct host_files *files, const struct request *request, struct reply *reply)
{
	return 0;
}

static int refuse_change(struct host_files *files, const struct request *request,
			 struct reply *reply)
{
	return -EROFS;
}

struct operation {
	uint32_t arguments; /* bytes that must be there */
	bool silent;        /* no reply */
	int (*answer)(struct host_files *files, const struct request *request, struct reply *reply);
};

/* By opcode; what is missing is answered with ENOSYS, after which Linux does without it. */
static const struct operation operations[] = {
	[FUSE_INIT] = {.arguments = 16, .answer = do_init},
	[FUSE_DESTROY] = {.answer = do_nothing},
	[FUSE_LOOKUP] = {.arguments = 1, .answer = do_lookup},
	[FUSE_FORGET] = {.silent = true, .answer = do_nothing},
	[FUSE_BATCH_FORGET] = {.silent = true, .answer = do_nothing},
	[FUSE_INTERRUPT] = {.silent = true, .answer = do_nothing},
	[FUSE_GETATTR] = {.answer = do_getattr},
	[FUSE_READLINK] = {.answer = do_readlink},
	[FUSE_OPEN] = {.arguments = sizeof(struct fuse_open_in), .answer = do_open},
	[FUSE_READ] = {.arguments = sizeof(struct fuse_read_in), .answer = do_read},
	[FUSE_RELEASE] = {.arguments = sizeof(struct fuse_release_in), .answer = do_release},
	[FUSE_OPENDIR] = {.arguments = sizeof(struct fuse_open_in), .answer = do_opendir},
	[FUSE_READDIR] = {.arguments = sizeof(struct fuse_read_in), .answer = do_readdir},
	[FUSE_RELEASEDIR] = {.arguments = sizeof(struct fuse_release_in), .answer = do_release},
	[FUSE_STATFS] = {.answer = do_statfs},
	[FUSE_SETATTR] = {.answer = refuse_change},
	[FUSE_SYMLINK] = {.answer = refuse_change},
	[FUSE_MKNOD] = {.answer = refuse_change},
	[FUSE_MKDIR] = {.answer = refuse_change},
	[FUSE_UNLINK] = {.answer = refuse_change},
	[FUSE_RMDIR] = {.answer = refuse_change},
	[FUSE_RENAME] = {.answer = refuse_change},
	[FUSE_RENAME2] = {.answer = refuse_change},
	[FUSE_LINK] = {.answer = refuse_change},
	[FUSE_WRITE] = {.answer = refuse_change},
	[FUSE_CREATE] = {.answer = refuse_change},
};

#define N_OPERATIONS (sizeof(operations) / sizeof(operations[0]))

static const struct operation *find_operation(uint32_t opcode)
{
	return opcode < N_OPERATIONS && operations[opcode].answer ? &operations[opcode] : NULL;
}

static size_t finish_reply(const struct request *request, int error, const struct reply *body,
			   uint8_t *reply)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + (error ? 0 : body->n)),
		.error = error,
		.unique = request->header.unique,
	};

	memcpy(reply, &out, sizeof(out));
	return out.len;
}

static size_t serve(void *ctx, const uint8_t *bytes, size_t n, uint8_t *reply, size_t room)
{
	struct request request = {.arguments = bytes + sizeof(struct fuse_in_header)};
	int error = -ENOSYS;

	if (n < sizeof(request.header))
		return 0;
	memcpy(&request.header, bytes, sizeof(request.header));
	request.n = n - sizeof(request.header);
	const struct operation *operation = find_operation(request.header.opcode);
	if ((operation && operation->silent) || room < sizeof(struct fuse_out_header))
		return 0;
	struct reply body = {.data = reply + sizeof(struct fuse_out_header),
			     .room = room - sizeof(struct fuse_out_header)};
	if (operation && request.n < operation->arguments)
		error = -EINVAL;
	else if (operation)
		error = operation->answer(ctx, &request, &body);
	return finish_reply(&request, error, &body, reply);
}

static void reset(void *ctx)
{
	host_files_reset(ctx);
}

struct file_server fuse_server(struct host_files *files)
{
	return (struct file_server){.serve = serve, .reset = reset, .ctx = files};
}
