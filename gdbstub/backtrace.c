/*
 * libdwfl asks for registers, memory and files; all of them are the guest's. What it cannot unwind
 * ends a backtrace early. The files may hold anything, so what is read of them is only shown.
 */
#include "gdbstub/backtrace.h"

#include <elfutils/libdwfl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gdbstub/linux/mappings.h"
#include "gdbstub/linux/paths.h"
#include "gdbstub/process.h"
#include "gdbstub/remote_files.h"

#define DEBUG_DIRECTORY "/usr/lib/debug/.build-id"

/* How many frames libdwfl is let go through, whatever the stack looks like. */
#define FRAMES_MAX 4096

struct backtrace {
	struct gdbstub *stub;
	Dwfl *dwfl;
	uint32_t tid; /* of the thread that is asked for */
	backtrace_fn *fn;
	void *ctx;
	unsigned n_frames;
};

/* ---- files ---- */

/* The guest's file as a file of ours; -1: there is none. */
static int open_file(struct gdbstub *stub, const char *path)
{
	const struct remote_file *file = remote_files_find(stub->files, path);
	int fd = file ? memfd_create("module", MFD_CLOEXEC) : -1;
	size_t done = 0;

	while (fd >= 0 && done < file->bytes) {
		ssize_t n = write(fd, file->data + done, file->bytes - done);
		if (n <= 0) {
			close(fd);
			return -1;
		}
		done += (size_t)n;
	}
	return fd;
}

static int find_elf(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
		    char **ret_name, Elf **ret_elf)
{
	(void)module, (void)userdata, (void)name, (void)base, (void)ret_name, (void)ret_elf;
	return -1; /* every module comes with its file */
}

/* Debug files lie by build-id: its first byte is a directory. */
static int find_debug_file(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
			   const char *file, const char *link, GElf_Word link_crc, char **ret_name)
{
	const struct backtrace *backtrace = *userdata;
	const unsigned char *id;
	GElf_Addr id_address;
	char path[200];

	(void)name, (void)base, (void)file, (void)link, (void)link_crc, (void)ret_name;
	int bytes = dwfl_module_build_id(module, &id, &id_address);
	if (bytes <= 1 || bytes > 64)
		return -1;
	int n = snprintf(path, sizeof(path), DEBUG_DIRECTORY "/%02x/", id[0]);
	for (int i = 1; i < bytes; i++)
		n += snprintf(path + n, sizeof(path) - (size_t)n, "%02x", id[i]);
	snprintf(path + n, sizeof(path) - (size_t)n, ".debug");
	return open_file(backtrace->stub, path);
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = find_debug_file,
	.section_address = dwfl_offline_section_address,
};

static bool report_module(void *ctx, const struct module *module)
{
	struct backtrace *backtrace = ctx;
	int fd = open_file(backtrace->stub, module->path);
	void **userdata;

	if (fd < 0)
		return true;
	Dwfl_Module *reported = dwfl_report_elf(backtrace->dwfl, module->path, module->path, fd,
						module->bias, true);
	if (!reported) {
		close(fd);
		return true;
	}
	dwfl_module_info(reported, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
	*userdata = backtrace;
	return true;
}

/* ---- the process ---- */

static pid_t next_thread(Dwfl *dwfl, void *ctx, void **thread)
{
	(void)dwfl, (void)ctx, (void)thread;
	return 0; /* threads are asked for by number */
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *ctx, void **thread)
{
	(void)dwfl;
	*thread = ctx;
	return (uint32_t)tid == ((struct backtrace *)ctx)->tid;
}

static bool read_word(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *ret, void *ctx)
{
	const struct backtrace *backtrace = ctx;

	(void)dwfl;
	return target_read(backtrace->stub, backtrace->tid, address, ret, sizeof(*ret)) ==
	       sizeof(*ret);
}

/* In DWARF's order (System V ABI, AMD64 supplement, figure 3.36): 16 is the return address. */
static bool set_registers(Dwfl_Thread *thread, void *ctx)
{
	static const uint8_t order[16] = {RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP,
					  R8,  R9,  R10, R11, R12, R13, R14, R15};
	const struct backtrace *backtrace = ctx;
	struct thread_registers registers;
	Dwarf_Word words[17];

	if (!backtrace->stub->view->read_registers(backtrace->stub, backtrace->tid, &registers))
		return false;
	for (unsigned i = 0; i < 16; i++)
		words[i] = registers.cpu.gpr[order[i]];
	words[16] = registers.cpu.rip;
	return dwfl_thread_state_registers(thread, 0, 17, words);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = read_word,
	.set_initial_registers = set_registers,
};

/* ---- frames ---- */

static void find_module(const struct gdbstub *stub, uint64_t pc, char path[PATH_MAX],
			uint64_t *ret_offset)
{
	const struct linux_guest *guest = stub->process->guest;
	struct mapping mapping;
	uint64_t next;

	path[0] = '\0';
	*ret_offset = 0;
	if (!mapping_find(guest, stub->process->mm, pc, &mapping, &next) || !mapping.file)
		return;
	if (!linux_file_path(guest, mapping.file, path, PATH_MAX))
		path[0] = '\0';
	*ret_offset = mapping.offset + (pc - mapping.start);
}

/* A caller's pc is behind its call, which may be the last thing of its function and line. */
static void find_source(struct backtrace *backtrace, uint64_t pc, bool is_exact,
			struct backtrace_frame *frame)
{
	Dwarf_Addr at = is_exact ? pc : pc - 1;
	Dwfl_Module *module = dwfl_addrmodule(backtrace->dwfl, at);
	GElf_Sym symbol;

	if (!module)
		return;
	frame->function = dwfl_module_addrinfo(module, at, &frame->function_offset, &symbol, NULL,
					       NULL, NULL);
	if (frame->function && !is_exact)
		frame->function_offset++;
	Dwfl_Line *line = dwfl_module_getsrc(module, at);
	if (line)
		frame->source_file =
			dwfl_lineinfo(line, NULL, &frame->source_line, NULL, NULL, NULL);
}

static int take_frame(Dwfl_Frame *state, void *ctx)
{
	struct backtrace *backtrace = ctx;
	struct backtrace_frame frame = {0};
	char path[PATH_MAX];
	bool is_exact;

	if (++backtrace->n_frames > FRAMES_MAX || !dwfl_frame_pc(state, &frame.pc, &is_exact))
		return DWARF_CB_ABORT;
	find_module(backtrace->stub, frame.pc, path, &frame.module_offset);
	frame.module = path;
	find_source(backtrace, frame.pc, is_exact, &frame);
	return backtrace->fn(backtrace->ctx, &frame) ? DWARF_CB_OK : DWARF_CB_ABORT;
}

/* ---- */

struct backtrace *backtrace_create(struct gdbstub *stub)
{
	struct backtrace *backtrace = calloc(1, sizeof(*backtrace));

	if (!backtrace)
		return NULL;
	backtrace->stub = stub;
	backtrace->dwfl = dwfl_begin(&callbacks);
	if (!backtrace->dwfl) {
		free(backtrace);
		return NULL;
	}
	dwfl_report_begin(backtrace->dwfl);
	process_each_module(stub, report_module, backtrace);
	dwfl_report_end(backtrace->dwfl, NULL, NULL);
	dwfl_attach_state(backtrace->dwfl, NULL, (pid_t)stub->process->pid, &thread_callbacks,
			  backtrace);
	return backtrace;
}

void backtrace_destroy(struct backtrace *backtrace)
{
	if (!backtrace)
		return;
	dwfl_end(backtrace->dwfl);
	free(backtrace);
}

/* Where no file is known that a frame could be unwound by, the thread's place is still told. */
static void tell_place(struct backtrace *backtrace)
{
	struct backtrace_frame frame = {0};
	char path[PATH_MAX];

	frame.pc = target_thread_pc(backtrace->stub, backtrace->tid);
	find_module(backtrace->stub, frame.pc, path, &frame.module_offset);
	frame.module = path;
	backtrace->fn(backtrace->ctx, &frame);
}

void backtrace_each_frame(struct backtrace *backtrace, uint32_t tid, backtrace_fn *fn, void *ctx)
{
	backtrace->tid = tid;
	backtrace->fn = fn;
	backtrace->ctx = ctx;
	backtrace->n_frames = 0;
	dwfl_getthread_frames(backtrace->dwfl, (pid_t)tid, take_frame, backtrace);
	if (!backtrace->n_frames && backtrace->stub->view->has_thread(backtrace->stub, tid))
		tell_place(backtrace);
}
