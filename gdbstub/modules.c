/*
 * The executable and the libraries of the process: which files they are, and what is in the pages
 * that it has mapped and not touched.
 *
 * Names of libraries are those that the process's own dynamic linker keeps: the auxiliary vector,
 * the executable's dynamic section, r_debug and the list behind it (glibc <link.h>). All of it is
 * the guest's to write: it is followed only so far, and what is not mapped reads as nothing.
 */
#include <elf.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "log-format/build_id.h"
#include "gdbstub/linux/mappings.h"
#include "gdbstub/linux/paths.h"
#include "gdbstub/process.h"
#include "gdbstub/remote_files.h"
#include "vmm/mmu/mmu.h"
#include "vmm/mmu/walk.h"

#define MAX_MODULES  1024
#define MAX_SEGMENTS 64
#define MAX_DYNAMIC  256
#define MAX_AUXV     64

#define CACHED_FILE_MAX (UINT64_C(256) << 20)

bool process_read_user(const struct gdbstub *stub, uint64_t address, void *buffer, size_t n)
{
	struct cpu space;

	return process_view.read_space(stub, 0, &space) &&
	       mmu_peek_read(&space, address, buffer, n);
}

static void read_path(const struct gdbstub *stub, uint64_t address, char path[PATH_MAX])
{
	size_t n = 0;

	while (n + 1 < PATH_MAX && process_read_user(stub, address + n, &path[n], 1) && path[n])
		n++;
	path[n] = '\0';
}

bool process_read_head(struct gdbstub *stub, uint64_t address, uint8_t head[MODULE_HEAD_BYTES])
{
	return address % MODULE_HEAD_BYTES == 0 &&
	       (process_read_user(stub, address, head, MODULE_HEAD_BYTES) ||
		process_read_absent(stub, address, head, MODULE_HEAD_BYTES) == MODULE_HEAD_BYTES);
}

/* ---- the list ---- */

static uint64_t find_auxv(const struct gdbstub *stub, uint64_t type)
{
	const struct linux_guest *guest = stub->process->guest;
	uint64_t at = stub->process->mm + guest->at.mm_auxv, pair[2];

	for (unsigned i = 0; i < MAX_AUXV && linux_read(guest, at, pair, sizeof(pair)); i++) {
		if (pair[0] == type)
			return pair[1];
		if (pair[0] == AT_NULL)
			break;
		at += sizeof(pair);
	}
	return 0;
}

/* The executable's place: its bias, and where its dynamic section lies (0: it has none). */
static bool find_executable(const struct gdbstub *stub, uint64_t *ret_bias, uint64_t *ret_dynamic)
{
	uint64_t at = find_auxv(stub, AT_PHDR), n = find_auxv(stub, AT_PHNUM), dynamic = 0;
	Elf64_Phdr segment;

	*ret_bias = 0;
	for (uint64_t i = 0; i < n && i < MAX_SEGMENTS; i++) {
		if (!process_read_user(stub, at + i * sizeof(segment), &segment, sizeof(segment)))
			return false;
		if (segment.p_type == PT_PHDR)
			*ret_bias = at - segment.p_vaddr;
		else if (segment.p_type == PT_DYNAMIC)
			dynamic = segment.p_vaddr;
	}
	*ret_dynamic = dynamic ? *ret_bias + dynamic : 0;
	return n != 0;
}

static uint64_t find_link_map(const struct gdbstub *stub, uint64_t dynamic)
{
	uint64_t map = 0;
	Elf64_Dyn entry;

	for (unsigned i = 0; dynamic && i < MAX_DYNAMIC; i++) {
		if (!process_read_user(stub, dynamic + i * sizeof(entry), &entry, sizeof(entry)) ||
		    entry.d_tag == DT_NULL)
			break;
		if (entry.d_tag == DT_DEBUG && entry.d_un.d_ptr)
			process_read_user(stub, entry.d_un.d_ptr + 8, &map, sizeof(map));
	}
	return map;
}

void process_each_module(const struct gdbstub *stub, module_fn *fn, void *ctx)
{
	uint64_t dynamic, link[4]; /* l_addr, l_name, l_ld, l_next */
	struct module module = {0};

	if (!find_executable(stub, &module.bias, &dynamic))
		return;
	module.head = find_auxv(stub, AT_PHDR) & PAGE_MASK;
	strcpy(module.path, stub->process->path ? stub->process->path : "");
	module.link_map = find_link_map(stub, dynamic);
	for (unsigned i = 0; fn(ctx, &module) && module.link_map && i < MAX_MODULES; i++) {
		do { /* the executable is the first of the list; the vDSO has no file */
			if (!process_read_user(stub, module.link_map, link, sizeof(link)) ||
			    !(module.link_map = link[3]) ||
			    !process_read_user(stub, link[3], link, sizeof(link)))
				return;
			read_path(stub, link[1], module.path);
		} while (module.path[0] != '/' && ++i < MAX_MODULES);
		module.bias = module.head = link[0];
	}
}

/* ---- build-ids ---- */

struct id_search {
	struct gdbstub *stub;
	const char *path;
	uint64_t address; /* of the module's head; 0: not found */
};

/* /lib and /usr/lib are one directory in most guests. */
static const char *without_usr(const char *path)
{
	return strncmp(path, "/usr/", 5) != 0 ? path : path + 4;
}

static bool is_head_of(void *ctx, const struct mapping *mapping)
{
	struct id_search *search = ctx;
	char path[PATH_MAX];

	if (mapping->file && !mapping->offset &&
	    linux_file_path(search->stub->process->guest, mapping->file, path, sizeof(path)) &&
	    !strcmp(without_usr(path), without_usr(search->path)))
		search->address = mapping->start;
	return !search->address;
}

/* Under the name that the dynamic linker has for it, which may be that of a link. */
static bool is_named(void *ctx, const struct module *module)
{
	struct id_search *search = ctx;

	if (!strcmp(module->path, search->path))
		search->address = module->head;
	return !search->address;
}

/* Under the name that the executable has for the dynamic linker: before that has run there is no
 * list. */
static bool is_interpreter(struct gdbstub *stub, const char *path)
{
	uint64_t at = find_auxv(stub, AT_PHDR), n = find_auxv(stub, AT_PHNUM);
	size_t offset = at & ~PAGE_MASK;
	uint8_t head[MODULE_HEAD_BYTES];
	Elf64_Phdr segment;

	if (!at || !process_read_head(stub, at & PAGE_MASK, head))
		return false;
	for (; n-- && offset + sizeof(segment) <= sizeof(head); offset += sizeof(segment)) {
		memcpy(&segment, head + offset, sizeof(segment));
		if (segment.p_type == PT_INTERP)
			return segment.p_offset < sizeof(head) &&
			       segment.p_filesz <= sizeof(head) - segment.p_offset &&
			       segment.p_filesz == strlen(path) + 1 &&
			       !memcmp(head + segment.p_offset, path, segment.p_filesz);
	}
	return false;
}

size_t process_build_id(void *ctx, const char *path, uint8_t *ret, size_t max)
{
	struct gdbstub *stub = ctx;
	struct id_search search = {.stub = stub, .path = path};
	uint8_t head[MODULE_HEAD_BYTES];
	struct build_id id;

	mapping_each(stub->process->guest, stub->process->mm, is_head_of, &search);
	if (!search.address)
		process_each_module(stub, is_named, &search);
	if (!search.address && is_interpreter(stub, path))
		search.address = find_auxv(stub, AT_BASE);
	if (!search.address || !process_read_head(stub, search.address, head) ||
	    !build_id_read(head, sizeof(head), &id) || id.n > max)
		return 0;
	memcpy(ret, id.bytes, id.n);
	return id.n;
}

/* ---- files in the page cache ---- */

struct file_search {
	const struct gdbstub *stub;
	const char *path;
	uint64_t file; /* its address; 0: not found */
};

static bool is_file(void *ctx, const struct mapping *mapping)
{
	struct file_search *search = ctx;
	char path[PATH_MAX];

	if (mapping->file &&
	    linux_file_path(search->stub->process->guest, mapping->file, path, sizeof(path)) &&
	    !strcmp(without_usr(path), without_usr(search->path)))
		search->file = mapping->file;
	return !search->file;
}

/* A file of which pages are missing could be taken for another than it is. */
static bool read_cached(const struct linux_guest *guest, uint64_t file, uint8_t *data, size_t n)
{
	uint64_t gpa;

	for (size_t at = 0; at < n; at += PAGE_BYTES) {
		size_t here = n - at < PAGE_BYTES ? n - at : PAGE_BYTES;
		if (!mapping_cached_page(guest, file, at, &gpa))
			return false;
		memory_read(guest->machine->memory, gpa, data + at, here);
	}
	return true;
}

bool process_load_cached(void *ctx, const char *path, uint8_t **ret_data, size_t *ret_bytes)
{
	struct gdbstub *stub = ctx;
	const struct linux_guest *guest = stub->process->guest;
	struct file_search search = {.stub = stub, .path = path};

	if (!guest->at.has_mappings)
		return false;
	mapping_each(guest, stub->process->mm, is_file, &search);
	uint64_t n = search.file ? mapping_file_bytes(guest, search.file) : 0;
	if (!n || n > CACHED_FILE_MAX)
		return false;
	uint8_t *data = malloc(n);
	if (!data || !read_cached(guest, search.file, data, n)) {
		free(data);
		return false;
	}
	*ret_data = data;
	*ret_bytes = n;
	return true;
}

/* ---- pages that are not in RAM ---- */

/* The vDSO's pages are the kernel's own (Linux arch/x86/include/asm/vdso.h: struct vdso_image). */
static size_t read_vdso(const struct gdbstub *stub, uint64_t address, void *buffer, size_t n)
{
	const struct linux_guest *guest = stub->process->guest;
	uint64_t base = find_auxv(stub, AT_SYSINFO_EHDR), data, bytes;

	if (!base || !guest->vdso || address < base)
		return 0;
	data = linux_read_u64(guest, guest->vdso);
	bytes = linux_read_u64(guest, guest->vdso + 8);
	if (address - base >= bytes || n > bytes - (address - base) ||
	    !linux_read(guest, data + (address - base), buffer, n))
		return 0;
	return n;
}

/* Whether the page was never touched: nothing of it is in RAM or anywhere else. */
static bool is_untouched(const struct gdbstub *stub, uint64_t address)
{
	struct cpu space;
	struct walk walk;
	uint32_t error;

	process_view.read_space(stub, 0, &space);
	walk_tables(&space, address, &(struct walk_access){.kind = ACCESS_READ}, &walk, &error);
	return walk.n_steps && !walk.step[walk.n_steps - 1].entry;
}

static size_t read_attached(struct gdbstub *stub, const struct mapping *mapping, uint64_t offset,
			    void *buffer, size_t n)
{
	char path[PATH_MAX];
	const struct remote_file *file;

	if (!stub->files || stub->reading_absent ||
	    !linux_file_path(stub->process->guest, mapping->file, path, sizeof(path)))
		return 0;
	stub->reading_absent = true; /* which file it is may be asked of what is not there */
	file = remote_files_find(stub->files, path);
	stub->reading_absent = false;
	if (!file || offset >= file->bytes)
		return 0;
	size_t here = n < file->bytes - offset ? n : file->bytes - offset;
	memcpy(buffer, file->data + offset, here);
	memset((uint8_t *)buffer + here, 0, n - here); /* the rest of a last page */
	return n;
}

size_t process_read_absent(struct gdbstub *stub, uint64_t address, void *buffer, size_t n)
{
	const struct linux_guest *guest = stub->process->guest;
	struct mapping mapping;
	uint64_t next, gpa;
	size_t got = read_vdso(stub, address, buffer, n);

	if (got || !is_untouched(stub, address) ||
	    !mapping_find(guest, stub->process->mm, address, &mapping, &next) ||
	    mapping.flags & MAPPING_SPECIAL)
		return got;
	if (!mapping.file) {
		memset(buffer, 0, n);
		return n;
	}
	uint64_t offset = mapping.offset + (address - mapping.start);
	if (!mapping_cached_page(guest, mapping.file, offset, &gpa))
		return read_attached(stub, &mapping, offset, buffer, n);
	memory_read(guest->machine->memory, gpa + address % PAGE_BYTES, buffer, n);
	return n;
}

/* ---- /proc ---- */

struct maps {
	const struct gdbstub *stub;
	uint64_t vdso, stack;
	struct reply *text;
};

static const char *own_name(const struct maps *maps, const struct mapping *mapping)
{
	if (mapping->start == maps->vdso)
		return "[vdso]";
	return maps->stack >= mapping->start && maps->stack < mapping->end ? "[stack]" : "";
}

/* As the kernel prints it (Linux fs/proc/task_mmu.c), but for device and inode. */
static bool print_mapping(void *ctx, const struct mapping *mapping)
{
	struct maps *maps = ctx;
	char path[PATH_MAX];
	bool named = mapping->file &&
		     linux_file_path(maps->stub->process->guest, mapping->file, path, sizeof(path));

	reply_print(maps->text, "%08" PRIx64 "-%08" PRIx64 " %c%c%c%c %08" PRIx64 " 00:00 0 %s\n",
		    mapping->start, mapping->end, mapping->flags & MAPPING_READ ? 'r' : '-',
		    mapping->flags & MAPPING_WRITE ? 'w' : '-',
		    mapping->flags & MAPPING_EXEC ? 'x' : '-',
		    mapping->flags & MAPPING_SHARED ? 's' : 'p',
		    mapping->file ? mapping->offset : 0, named ? path : own_name(maps, mapping));
	return true;
}

bool process_read_proc_file(const struct gdbstub *stub, const char *path, struct reply *ret)
{
	const char *name = strrchr(path, '/');
	struct maps maps = {stub, find_auxv(stub, AT_SYSINFO_EHDR), find_auxv(stub, AT_RANDOM),
			    ret};

	if (strtoull(path + strlen("/proc/"), NULL, 10) != stub->process->pid || !name ||
	    (strcmp(name, "/maps") && strcmp(name, "/smaps")))
		return false;
	mapping_each(stub->process->guest, stub->process->mm, print_mapping, &maps);
	return ret->n != 0;
}
