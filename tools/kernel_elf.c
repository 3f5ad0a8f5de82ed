#include "tools/kernel_elf.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <unistd.h>

#include "gdbstub/linux/debug_elf.h"
#include "tools/command.h"
#include "tools/message.h"

int kernel_elf_write(struct gdbstub *stub, const struct kernel *kernel, const char *path)
{
	struct kernel_modules modules = {0};
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int error = fd < 0 ? -errno : 0;

	if (!error)
		error = kernel_modules_read(timeline_machine(gdbstub_timeline(stub)), kernel,
					    &modules);
	if (!error)
		error = debug_elf_write(kernel, &modules, fd);
	kernel_modules_finish(&modules);
	if (fd >= 0 && close(fd) && !error)
		error = -errno;
	if (!error)
		return STATUS_OK;
	message("%s: cannot be written: %s", path, strerror(-error));
	return STATUS_FAILED;
}

/* ---- a vmlinux ---- */

/* What is wanted of it. */
struct vmlinux {
	uint64_t text, syscall_entry, banner;
	const char *banner_text; /* NULL: not found; as long as the file is open */
	size_t banner_max;
};

static void take_symbol(struct vmlinux *vmlinux, const char *name, uint64_t value)
{
	if (!strcmp(name, "_text"))
		vmlinux->text = value;
	else if (!strcmp(name, "entry_SYSCALL_64"))
		vmlinux->syscall_entry = value;
	else if (!strcmp(name, "linux_banner"))
		vmlinux->banner = value;
}

static void read_symbols(Elf *elf, Elf_Scn *section, const GElf_Shdr *header,
			 struct vmlinux *vmlinux)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t n = header->sh_entsize ? header->sh_size / header->sh_entsize : 0;
	GElf_Sym symbol;

	for (size_t i = 0; data && i < n && gelf_getsym(data, (int)i, &symbol); i++) {
		const char *name = elf_strptr(elf, header->sh_link, symbol.st_name);
		if (name)
			take_symbol(vmlinux, name, symbol.st_value);
	}
}

static void read_banner(Elf *elf, struct vmlinux *vmlinux)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(elf, section)) && gelf_getshdr(section, &header)) {
		uint64_t offset = vmlinux->banner - header.sh_addr;
		Elf_Data *data;
		if (header.sh_type != SHT_PROGBITS || !(header.sh_flags & SHF_ALLOC) ||
		    offset >= header.sh_size || !(data = elf_rawdata(section, NULL)) ||
		    offset >= data->d_size || !data->d_buf)
			continue;
		vmlinux->banner_text = (const char *)data->d_buf + offset;
		vmlinux->banner_max = data->d_size - offset;
		return;
	}
}

static bool read_vmlinux(Elf *elf, struct vmlinux *vmlinux)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(elf, section)) && gelf_getshdr(section, &header))
		if (header.sh_type == SHT_SYMTAB)
			read_symbols(elf, section, &header, vmlinux);
	if (vmlinux->banner)
		read_banner(elf, vmlinux);
	return vmlinux->text != 0;
}

/* ---- where the recorded one lies ---- */

static bool is_same_banner(const struct vmlinux *vmlinux, const char *banner)
{
	size_t n = strlen(banner);

	return !vmlinux->banner_text ||
	       (n < vmlinux->banner_max && !strncmp(vmlinux->banner_text, banner, n));
}

/* From its symbols, else from where system calls enter; not there yet: it is not relocated. */
static uint64_t find_offset(struct gdbstub *stub, const char *path, const struct vmlinux *vmlinux)
{
	const struct kernel *kernel = gdbstub_kernel_ahead(stub);
	uint64_t start, end, lstar = timeline_machine(gdbstub_timeline(stub))->vcpu[0].lstar;

	if (kernel) {
		if (!is_same_banner(vmlinux, kernel_banner(kernel)))
			message("%s: another kernel than the recorded %s", path,
				kernel_banner(kernel));
		kernel_extent(kernel, &start, &end);
		return start - vmlinux->text;
	}
	return lstar && vmlinux->syscall_entry ? lstar - vmlinux->syscall_entry : 0;
}

int kernel_elf_offset(struct gdbstub *stub, const char *vmlinux, uint64_t *ret_offset)
{
	struct vmlinux found = {0};
	int fd = open(vmlinux, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		message("%s: %s", vmlinux, strerror(errno));
		return STATUS_USAGE;
	}
	elf_version(EV_CURRENT);
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	bool good = elf && elf_kind(elf) == ELF_K_ELF && read_vmlinux(elf, &found);
	if (good)
		*ret_offset = find_offset(stub, vmlinux, &found);
	else
		message("%s: not a vmlinux: no ELF file with the symbol _text", vmlinux);
	elf_end(elf);
	close(fd);
	return good ? STATUS_OK : STATUS_USAGE;
}
