/*
 * Stands in for a kernel's vmlinux with debugging information: a few of its symbols, at the
 * addresses that the test has them linked to, with types and lines that no BTF has.
 */
const char linux_banner[] __attribute__((section(".banner"))) = BANNER;

struct task_struct {
	char before[OFFSET_OF_COMM];
	char comm[16];
};
struct task_struct init_task __attribute__((section(".init_task, \"aw\", @nobits #")));

struct from_dwarf {
	long only_here;
};

long vfs_read(struct from_dwarf *file, char *buffer, unsigned long count);
long __attribute__((section(".vfs_read")))
vfs_read(struct from_dwarf *file, char *buffer, unsigned long count)
{
	return file->only_here + buffer[count]; /* the function */
}
