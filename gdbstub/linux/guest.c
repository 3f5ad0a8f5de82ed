#include "gdbstub/linux/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/mmu/mmu.h"

static int missing(struct reply *error, const char *what)
{
	reply_clear(error);
	reply_print(error, "the guest's kernel does not say where %s is", what);
	return -ENOTSUP;
}

/* Since Linux 6.2 the current task stands in a structure of its own. */
static bool find_current(struct linux_guest *guest)
{
	if (kernel_symbol(guest->kernel, "current_task", &guest->current_task))
		return true;
	if (!guest->at.has_hot_area ||
	    !kernel_symbol(guest->kernel, "pcpu_hot", &guest->current_task))
		return false;
	guest->current_task += guest->at.hot_current;
	return true;
}

static int find_symbols(struct linux_guest *guest, struct reply *error)
{
	const struct {
		const char *name;
		uint64_t *address;
	} rows[] = {
		{"__per_cpu_offset", &guest->per_cpu_offsets},
		{"fpu_fpregs_owner_ctx", &guest->fpu_owner},
		{"__entry_text_start", &guest->entry_text},
		{"__entry_text_end", &guest->entry_end},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!kernel_symbol(guest->kernel, rows[i].name, rows[i].address))
			return missing(error, rows[i].name);
	kernel_symbol(guest->kernel, "vmemmap_base", &guest->vmemmap);
	kernel_symbol(guest->kernel, "vdso_image_64", &guest->vdso);
	return find_current(guest) ? 0 : missing(error, "current_task");
}

int linux_guest_create(const struct machine *machine, const struct kernel *kernel,
		       struct linux_guest **ret_guest, struct reply *error)
{
	struct linux_guest *guest = calloc(1, sizeof(*guest));
	const char *what = "its types (no BTF)";
	int code;

	if (!guest)
		return -ENOMEM;
	guest->machine = machine;
	guest->kernel = kernel;
	if (!kernel_btf(kernel) || !linux_layout_read(kernel_btf(kernel), &guest->at, &what))
		code = missing(error, what);
	else
		code = find_symbols(guest, error);
	if (code) {
		linux_guest_destroy(guest);
		return code;
	}
	*ret_guest = guest;
	return 0;
}

void linux_guest_destroy(struct linux_guest *guest)
{
	free(guest);
}

/* ---- memory ---- */

/* Every address space has the kernel mapped: the machine's CPUs need no page-table isolation. */
bool linux_read(const struct linux_guest *guest, uint64_t address, void *buffer, size_t n)
{
	const struct machine *machine = guest->machine;

	return mmu_peek_read(&machine->vcpu[machine->current], address, buffer, n);
}

uint64_t linux_read_u64(const struct linux_guest *guest, uint64_t address)
{
	uint64_t value;

	return linux_read(guest, address, &value, sizeof(value)) ? value : 0;
}

uint32_t linux_read_u32(const struct linux_guest *guest, uint64_t address)
{
	uint32_t value;

	return linux_read(guest, address, &value, sizeof(value)) ? value : 0;
}

bool linux_read_string(const struct linux_guest *guest, uint64_t address, char *ret, size_t n)
{
	size_t used = 0;

	if (!n)
		return false;
	for (; used + 1 < n; used++) {
		if (!linux_read(guest, address + used, &ret[used], 1))
			return false;
		if (!ret[used])
			return true;
	}
	ret[used] = '\0';
	return true;
}

/* ---- per-CPU variables ---- */

/* Linux numbers its CPUs as the machine does: by APIC id. */
static uint64_t read_per_cpu(const struct linux_guest *guest, uint32_t vcpu, uint64_t variable)
{
	return linux_read_u64(guest,
			      linux_read_u64(guest, guest->per_cpu_offsets + vcpu * 8) + variable);
}

uint64_t linux_current_task(const struct linux_guest *guest, uint32_t vcpu)
{
	return read_per_cpu(guest, vcpu, guest->current_task);
}

uint64_t linux_fpu_owner(const struct linux_guest *guest, uint32_t vcpu)
{
	uint64_t fpu = read_per_cpu(guest, vcpu, guest->fpu_owner);

	return fpu ? fpu - guest->at.task_fpu : 0;
}
