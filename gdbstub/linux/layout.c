#include "gdbstub/linux/layout.h"

#define STACK_BYTES                                                                                \
	16384 /* of x86-64 without KASAN (Linux arch/x86/include/asm/page_64_types.h)              \
	       */

struct row {
	const char *structure, *path;
	uint16_t offset, bytes; /* of the fields in struct linux_layout; bytes 0: not wanted */
};

#define MEMBER(structure, path, field)                                                             \
	{                                                                                          \
		structure, path, offsetof(struct linux_layout, field), 0                           \
	}

static const struct row rows[] = {
	MEMBER("task_struct", "mm", task_mm),
	MEMBER("task_struct", "pid", task_pid),
	MEMBER("task_struct", "tgid", task_tgid),
	MEMBER("task_struct", "comm", task_comm),
	MEMBER("task_struct", "group_leader", task_leader),
	MEMBER("task_struct", "signal", task_signal),
	MEMBER("task_struct", "thread_node", task_thread_node),
	MEMBER("task_struct", "stack", task_stack),
	MEMBER("task_struct", "exit_state", task_exit_state),
	MEMBER("task_struct", "thread.fsbase", task_fs_base),
	MEMBER("task_struct", "thread.gsbase", task_gs_base),
	MEMBER("task_struct", "thread.fpu", task_fpu),
	MEMBER("task_struct", "thread.fpu.last_cpu", task_fpu_cpu),
	MEMBER("signal_struct", "thread_head", signal_threads),
	MEMBER("signal_struct", "live", signal_live),
	MEMBER("signal_struct", "group_exit_code", signal_exit_code),
	MEMBER("mm_struct", "pgd", mm_pgd),
	{"mm_struct", "saved_auxv", offsetof(struct linux_layout, mm_auxv),
	 offsetof(struct linux_layout, mm_auxv_bytes)},
	MEMBER("mm_struct", "exe_file", mm_exe_file),
	MEMBER("file", "f_path.dentry", file_dentry),
	MEMBER("file", "f_path.mnt", file_mount),
	MEMBER("dentry", "d_name.name", dentry_name),
	MEMBER("dentry", "d_parent", dentry_parent),
	MEMBER("mount", "mnt", mount_mnt),
	MEMBER("mount", "mnt_parent", mount_parent),
	MEMBER("mount", "mnt_mountpoint", mount_mountpoint),
};

/* What tells of mappings and of the page cache. */
static const struct row mapping_rows[] = {
	MEMBER("vm_area_struct", "vm_start", vma_start),
	MEMBER("vm_area_struct", "vm_end", vma_end),
	MEMBER("vm_area_struct", "vm_flags", vma_flags),
	MEMBER("vm_area_struct", "vm_pgoff", vma_offset),
	MEMBER("vm_area_struct", "vm_file", vma_file),
	MEMBER("mm_struct", "mm_mt.ma_root", mm_tree),
	MEMBER("maple_range_64", "pivot", leaf_pivots),
	{"maple_range_64", "slot", offsetof(struct linux_layout, leaf_slots),
	 offsetof(struct linux_layout, leaf_slots_bytes)},
	MEMBER("maple_arange_64", "pivot", inner_pivots),
	{"maple_arange_64", "slot", offsetof(struct linux_layout, inner_slots),
	 offsetof(struct linux_layout, inner_slots_bytes)},
	MEMBER("file", "f_mapping", file_mapping),
	MEMBER("file", "f_inode", file_inode),
	MEMBER("inode", "i_size", inode_bytes),
	MEMBER("address_space", "i_pages.xa_head", mapping_pages),
	MEMBER("xa_node", "shift", xnode_shift),
	{"xa_node", "slots", offsetof(struct linux_layout, xnode_slots),
	 offsetof(struct linux_layout, xnode_slots_bytes)},
	MEMBER("page", "flags", page_flags),
	MEMBER("page", "index", page_index),
};

static uint32_t *field(struct linux_layout *layout, uint16_t offset)
{
	return (uint32_t *)(void *)((uint8_t *)layout + offset);
}

/* Since Linux 5.16 the saved registers lie behind a pointer. */
static bool read_fpu(const struct btf *btf, struct linux_layout *layout)
{
	uint32_t bytes;

	layout->fpu_is_apart = btf_member(btf, "task_struct", "thread.fpu.fpstate",
					  &layout->task_fpu_state, &bytes);
	if (layout->fpu_is_apart)
		return btf_member(btf, "fpstate", "regs", &layout->fpu_state_area, &bytes);
	layout->fpu_state_area = 0;
	return btf_member(btf, "task_struct", "thread.fpu.state", &layout->task_fpu_state, &bytes);
}

/* Returns NULL, or the member that is missing. */
static const char *read_rows(const struct btf *btf, const struct row *rows_read, size_t n,
			     struct linux_layout *layout)
{
	uint32_t bytes;

	for (size_t i = 0; i < n; i++) {
		const struct row *row = &rows_read[i];
		if (!btf_member(btf, row->structure, row->path, field(layout, row->offset), &bytes))
			return row->path;
		if (row->bytes)
			*field(layout, row->bytes) = bytes;
	}
	return NULL;
}

static bool read_mappings(const struct btf *btf, struct linux_layout *layout)
{
	int64_t uptodate;

	if (read_rows(btf, mapping_rows, sizeof(mapping_rows) / sizeof(mapping_rows[0]), layout) ||
	    !btf_struct_bytes(btf, "page", &layout->page_bytes) ||
	    !btf_enumerator(btf, "PG_uptodate", &uptodate))
		return false;
	layout->page_uptodate = (uint32_t)uptodate;
	return layout->page_bytes && layout->page_uptodate < 64;
}

/* Renamed in Linux 5.14. */
static bool read_state(const struct btf *btf, struct linux_layout *layout)
{
	uint32_t bytes;

	return btf_member(btf, "task_struct", "__state", &layout->task_state, &bytes) ||
	       btf_member(btf, "task_struct", "state", &layout->task_state, &bytes);
}

bool linux_layout_read(const struct btf *btf, struct linux_layout *ret_layout,
		       const char **ret_missing)
{
	struct linux_layout layout = {.stack_bytes = STACK_BYTES};
	uint32_t bytes;

	*ret_missing = read_rows(btf, rows, sizeof(rows) / sizeof(rows[0]), &layout);
	if (*ret_missing)
		return false;
	*ret_missing = "thread.fpu";
	if (!read_fpu(btf, &layout))
		return false;
	layout.has_mappings = read_mappings(btf, &layout);
	layout.has_state = read_state(btf, &layout);
	layout.has_hot_area =
		btf_member(btf, "pcpu_hot", "current_task", &layout.hot_current, &bytes);
	*ret_layout = layout;
	return true;
}
