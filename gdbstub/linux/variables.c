#include "gdbstub/linux/variables.h"

#define STRUCTURE(name, type)                                                                      \
	{                                                                                          \
		name, BTF_STRUCT, type, 0, false                                                   \
	}
#define POINTER(name, type)                                                                        \
	{                                                                                          \
		name, BTF_STRUCT, type, 1, false                                                   \
	}
#define INTEGER(name, type)                                                                        \
	{                                                                                          \
		name, BTF_INT, type, 0, false                                                      \
	}
#define TEXT(name)                                                                                 \
	{                                                                                          \
		name, BTF_INT, "char", 1, false                                                    \
	}

const struct variable variables[] = {
	/* time */
	INTEGER("jiffies", "long unsigned int"),
	INTEGER("jiffies_64", "long long unsigned int"),
	INTEGER("loops_per_jiffy", "long unsigned int"),
	INTEGER("tsc_khz", "unsigned int"),
	INTEGER("cpu_khz", "unsigned int"),
	/* processes */
	STRUCTURE("init_task", "task_struct"),
	STRUCTURE("init_mm", "mm_struct"),
	STRUCTURE("init_cred", "cred"),
	STRUCTURE("init_fs", "fs_struct"),
	STRUCTURE("init_files", "files_struct"),
	STRUCTURE("init_signals", "signal_struct"),
	STRUCTURE("init_sighand", "sighand_struct"),
	STRUCTURE("init_nsproxy", "nsproxy"),
	STRUCTURE("init_pid_ns", "pid_namespace"),
	STRUCTURE("init_user_ns", "user_namespace"),
	STRUCTURE("init_uts_ns", "uts_namespace"),
	STRUCTURE("init_ipc_ns", "ipc_namespace"),
	STRUCTURE("init_net", "net"),
	STRUCTURE("init_cgroup_ns", "cgroup_namespace"),
	STRUCTURE("root_task_group", "task_group"),
	STRUCTURE("cgrp_dfl_root", "cgroup_root"),
	{"tasklist_lock", BTF_TYPEDEF, "rwlock_t", 0, 0},
	STRUCTURE("net_namespace_list", "list_head"),
	INTEGER("total_forks", "long unsigned int"),
	INTEGER("nr_threads", "int"),
	INTEGER("max_threads", "int"),
	INTEGER("pid_max", "int"),
	POINTER("kthreadd_task", "task_struct"),
	/* memory */
	STRUCTURE("contig_page_data", "pglist_data"),
	{"node_data", BTF_STRUCT, "pglist_data", 1, 1024},
	STRUCTURE("slab_caches", "list_head"),
	POINTER("kmem_cache", "kmem_cache"),
	STRUCTURE("vmap_area_list", "list_head"),
	INTEGER("max_pfn", "long unsigned int"),
	INTEGER("max_low_pfn", "long unsigned int"),
	INTEGER("page_offset_base", "long unsigned int"),
	INTEGER("vmalloc_base", "long unsigned int"),
	INTEGER("vmemmap_base", "long unsigned int"),
	INTEGER("phys_base", "long unsigned int"),
	POINTER("mem_map", "page"),
	/* processors */
	STRUCTURE("boot_cpu_data", "cpuinfo_x86"),
	STRUCTURE("__cpu_online_mask", "cpumask"),
	STRUCTURE("__cpu_possible_mask", "cpumask"),
	STRUCTURE("__cpu_present_mask", "cpumask"),
	STRUCTURE("__cpu_active_mask", "cpumask"),
	INTEGER("nr_cpu_ids", "unsigned int"),
	{"__per_cpu_offset", BTF_INT, "long unsigned int", 0, 8192},
	{"idt_table", BTF_TYPEDEF, "gate_desc", 0, 256},
	{"system_state", BTF_ENUM, "system_states", 0, 0},
	{"sys_call_table", BTF_TYPEDEF, "sys_call_ptr_t", 0, 512},
	/* files, devices, modules */
	STRUCTURE("super_blocks", "list_head"),
	POINTER("file_systems", "file_system_type"),
	STRUCTURE("modules", "list_head"),
	POINTER("console_drivers", "console"),
	STRUCTURE("iomem_resource", "resource"),
	STRUCTURE("ioport_resource", "resource"),
	STRUCTURE("root_user", "user_struct"),
	STRUCTURE("platform_bus", "device"),
	STRUCTURE("platform_bus_type", "bus_type"),
	POINTER("filp_cachep", "kmem_cache"),
	POINTER("dentry_cache", "kmem_cache"),
	POINTER("sighand_cachep", "kmem_cache"),
	POINTER("files_cachep", "kmem_cache"),
	/* work */
	POINTER("system_wq", "workqueue_struct"),
	POINTER("system_highpri_wq", "workqueue_struct"),
	POINTER("system_long_wq", "workqueue_struct"),
	POINTER("system_unbound_wq", "workqueue_struct"),
	STRUCTURE("workqueues", "list_head"),
	/* how it was built and started */
	TEXT("saved_command_line"),
	{"linux_banner", BTF_INT, "char", 0, 256},
	{"linux_proc_banner", BTF_INT, "char", 0, 64},
	STRUCTURE("boot_params", "boot_params"),
	INTEGER("panic_timeout", "int"),
	INTEGER("oops_in_progress", "int"),
	{"console_printk", BTF_INT, "int", 0, 4},
	INTEGER("tainted_mask", "long unsigned int"),
};

const size_t variables_count = sizeof(variables) / sizeof(variables[0]);
