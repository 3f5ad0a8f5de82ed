#include "tools/guest_image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/command.h"
#include "tools/cpio.h"
#include "tools/guest/agent.h"
#include "tools/message.h"
#include "tools/modules.h"

/* agent_blob.S */
extern const uint8_t agent_blob[];
extern const uint64_t agent_blob_bytes;

static const struct module_wanted wanted[] = {
	{"virtio_mmio", "CONFIG_VIRTIO_MMIO: the guest's devices"},
	{"virtiofs", "CONFIG_VIRTIO_FS: the host's files"},
	{"overlay", "CONFIG_OVERLAY_FS: what the command writes"},
	{"virtio_blk", "CONFIG_VIRTIO_BLK: the scratch disk"},
};

struct packing {
	struct cpio *cpio;
	unsigned n_modules;
};

static int add_file(struct cpio *cpio, const char *name, mode_t mode, const void *data, size_t n)
{
	return cpio_add(cpio, &(struct cpio_entry){
				      .name = name, .mode = S_IFREG | mode, .data = data, .n = n});
}

static int add_directory(struct cpio *cpio, const char *name)
{
	return cpio_add(cpio, &(struct cpio_entry){.name = name, .mode = S_IFDIR | 0755});
}

/* Numbered, since they are inserted in the order of their names. */
static int add_module(void *ctx, const char *name, const uint8_t *data, size_t n)
{
	struct packing *packing = ctx;
	char path[128];

	snprintf(path, sizeof(path), "%s/%02u-%s", AGENT_MODULES, packing->n_modules++, name);
	return add_file(packing->cpio, path, 0600, data, n);
}

static int find_modules_directory(const uint8_t *kernel, size_t n, const char *given,
				  char **ret_directory)
{
	char *release = given ? NULL : modules_kernel_release(kernel, n);

	if (!given && !release) {
		message("the kernel does not say its release; name the directory of its "
			"modules with --modules");
		return STATUS_FAILED;
	}
	int length = given ? asprintf(ret_directory, "%s", given)
			   : asprintf(ret_directory, MODULES_DIRECTORY "/%s", release);
	free(release);
	return length < 0 ? STATUS_FAILED : STATUS_OK;
}

static int add_modules(struct packing *packing, const char *directory)
{
	char *problem;
	int error = modules_each(directory, wanted, sizeof(wanted) / sizeof(wanted[0]), add_module,
				 packing, &problem);

	if (error)
		message("%s; --modules names another directory, --kernel another kernel",
			problem ? problem : strerror(-error));
	free(problem);
	return error ? STATUS_FAILED : STATUS_OK;
}

static int fill(struct packing *packing, const char *modules)
{
	int error = add_file(packing->cpio, "init", 0755, agent_blob, agent_blob_bytes);

	if (!error)
		error = add_directory(packing->cpio, AGENT_MODULES);
	return error ? STATUS_FAILED : add_modules(packing, modules);
}

int guest_image_make(const uint8_t *kernel, size_t kernel_bytes, const char *modules,
		     uint8_t **ret_data, size_t *ret_n)
{
	struct packing packing = {0};
	char *directory = NULL;
	int status = find_modules_directory(kernel, kernel_bytes, modules, &directory);

	if (!status && cpio_create(&packing.cpio))
		status = STATUS_FAILED;
	if (!status)
		status = fill(&packing, directory);
	if (!status && cpio_finish(packing.cpio, ret_data, ret_n))
		status = STATUS_FAILED;
	cpio_destroy(packing.cpio);
	free(directory);
	return status;
}
