/* Where a kernel's structures have the members that a process view reads, after its BTF. */
#ifndef REPRISE_GDBSTUB_LINUX_LAYOUT_H
#define REPRISE_GDBSTUB_LINUX_LAYOUT_H

#include "gdbstub/linux/btf.h"

/* Offsets in bytes. */
struct linux_layout {
	uint32_t task_mm, task_pid, task_tgid, task_comm, task_leader, task_signal;
	uint32_t task_thread_node, task_stack, task_exit_state;
	uint32_t task_fs_base, task_gs_base, task_fpu, task_fpu_cpu;
	uint32_t signal_threads, signal_live, signal_exit_code;
	uint32_t mm_pgd, mm_auxv, mm_auxv_bytes, mm_exe_file;
	uint32_t file_dentry, file_mount;
	uint32_t dentry_name, dentry_parent;
	uint32_t mount_mnt, mount_parent, mount_mountpoint;
	bool has_mappings; /* what follows is known */
	uint32_t vma_start, vma_end, vma_flags, vma_offset, vma_file;
	uint32_t mm_tree; /* Linux 6.1 on: root of a maple tree */
	uint32_t leaf_pivots, leaf_slots, leaf_slots_bytes;
	uint32_t inner_pivots, inner_slots, inner_slots_bytes;
	uint32_t file_mapping, mapping_pages, file_inode, inode_bytes;
	uint32_t xnode_shift, xnode_slots, xnode_slots_bytes;
	uint32_t page_flags, page_index, page_bytes;
	uint32_t page_uptodate;  /* the number of the flag's bit */
	uint32_t task_fpu_state; /* the saved area; fpu_is_apart: a pointer to what holds it */
	bool fpu_is_apart;
	uint32_t fpu_state_area; /* in what is pointed to */
	uint32_t stack_bytes;    /* of a thread in the kernel */
	bool has_state;
	uint32_t task_state;
	bool has_hot_area; /* the current task's address lies in pcpu_hot (Linux 6.2 on) */
	uint32_t hot_current;
};

/* Returns true, or false with the first member that is missing in *ret_missing. */
bool linux_layout_read(const struct btf *btf, struct linux_layout *ret_layout,
		       const char **ret_missing);

#endif
