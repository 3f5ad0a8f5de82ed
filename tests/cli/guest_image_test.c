/*
 * What `reprise run` does on the host: cpio (cpio(1) itself must read it), kernel modules, what is
 * kept secret, results that come back, and the choice of a kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tap.h"
#include "tools/cpio.h"
#include "tools/guest/agent.h"
#include "tools/guest_results.h"
#include "tools/guest_secrets.h"
#include "tools/kernel.h"
#include "tools/modules.h"

static char top[] = "/tmp/reprise-image-XXXXXX";

static void write_file(const char *path, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);

	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		tap_note("cannot write %s", path);
	close(fd);
}

/* What cpio(1) lists in the archive: "mode… name" lines; the caller's to free. */
static char *list_archive(const uint8_t *data, size_t n)
{
	char *text = NULL;
	size_t length = 0, capacity = 0;

	write_file("archive", data, n);
	FILE *pipe = popen("cpio -itv --quiet < archive 2>&1", "r");
	if (getdelim(&text, &capacity, 0, pipe) < 0)
		text = calloc(1, length + 1);
	pclose(pipe);
	return text;
}

static void test_cpio(void)
{
	struct cpio *cpio;
	uint8_t *data;
	size_t n;

	cpio_create(&cpio);
	cpio_add(cpio, &(struct cpio_entry){.name = "d", .mode = S_IFDIR | 0755});
	cpio_add(cpio, &(struct cpio_entry){"d/file", S_IFREG | 0640, 86400, "hello", 5});
	cpio_add(cpio, &(struct cpio_entry){"d/link", S_IFLNK | 0777, 0, "file", 4});
	tap_ok(!cpio_finish(cpio, &data, &n) && n % 4 == 0, "cpio: an archive");
	char *list = list_archive(data, n);
	tap_ok(strstr(list, "drwxr-xr-x") && strstr(list, "-rw-r-----") && strstr(list, " 5 "),
	       "cpio(1) reads its modes and sizes");
	tap_ok(strstr(list, "d/link -> file"), "cpio(1) reads its link");
	free(list);
	tap_ok(!system("cpio -i --quiet --to-stdout d/file < archive | grep -qx hello"),
	       "cpio(1) reads its file");
	free(data);
	cpio_destroy(cpio);
}

/* ---- modules ---- */

static const char dependencies[] =
	"kernel/fs/fuse/virtiofs.ko.xz: kernel/drivers/virtio/virtio.ko "
	"kernel/drivers/virtio/virtio_ring.ko kernel/fs/fuse/fuse.ko.zst\n"
	"kernel/fs/fuse/fuse.ko.zst:\n"
	"kernel/drivers/virtio/virtio_ring.ko:\n"
	"kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko\n"
	"kernel/drivers/char/hw_random/virtio-rng.ko.gz: kernel/drivers/virtio/virtio.ko "
	"kernel/drivers/virtio/virtio_ring.ko\n";

static const char make_modules[] =
	"mkdir -p m/kernel/fs/fuse m/kernel/drivers/virtio m/kernel/drivers/char/hw_random && cd m "
	"&& "
	"echo kernel/fs/overlayfs/overlay.ko > modules.builtin && "
	"echo ring > kernel/drivers/virtio/virtio_ring.ko && "
	"echo virtio > kernel/drivers/virtio/virtio.ko && "
	"echo fuse | zstd -q > kernel/fs/fuse/fuse.ko.zst && "
	"yes virtiofs | head -c 900000 | xz > kernel/fs/fuse/virtiofs.ko.xz && "
	"echo rng | gzip > kernel/drivers/char/hw_random/virtio-rng.ko.gz";

static int note_module(void *ctx, const char *name, const uint8_t *data, size_t n)
{
	char *text = ctx;

	sprintf(text + strlen(text), "%s=%.3s,%zu ", name, (const char *)data, n);
	return 0;
}

static void test_modules(void)
{
	static const struct module_wanted wanted[] = {
		{"virtiofs", ""}, {"overlay", ""}, {"virtio_rng", ""}};
	static const struct module_wanted absent[] = {{"virtiofs", ""}, {"virtio_fs", "files"}};
	char text[400] = "", *problem;

	tap_ok(!system(make_modules), "modules: a directory of them");
	write_file("m/modules.dep", dependencies, sizeof(dependencies) - 1);
	tap_ok(!modules_each("m", wanted, 3, note_module, text, &problem) &&
		       !strcmp(text, "fuse=fus,5 virtio_ring=rin,5 virtio=vir,7 "
				     "virtiofs=vir,900000 virtio-rng=rng,4 "),
	       "modules: each once, after what it needs, unpacked");
	tap_note("%s", text);
	int error = modules_each("m", absent, 2, note_module, text, &problem);
	tap_ok(error == -ENOENT && problem && strstr(problem, "m lacks modules: virtio_fs (files)"),
	       "modules: one that is missing is named");
	free(problem);
	tap_ok(modules_each("no-modules", wanted, 1, note_module, text, &problem) == -ENOENT &&
		       problem && strstr(problem, "no-modules/modules.dep"),
	       "modules: no directory of them");
	free(problem);
	write_file("m/kernel/fs/fuse/virtiofs.ko.xz",
		   "\xfd"
		   "7zXZ\0x",
		   7);
	error = modules_each("m", wanted, 1, note_module, text, &problem);
	tap_ok(error == -EBADMSG && problem, "modules: a damaged one (%d)", error);
	free(problem);
}

/* As from a package that was unpacked and not installed. */
static void test_no_dependencies_file(void)
{
	static const struct module_wanted wanted[] = {{"virtio_net", ""}, {"built_in", ""}};
	static const char make[] =
		"mkdir -p u/a u/b && cd u && echo kernel/built-in.ko > modules.builtin && "
		"printf '\\0license=x\\0depends=net-core,virtio\\0' | xz > a/virtio-net.ko.xz && "
		"printf '\\0depends=virtio_ring\\0' > b/virtio.ko && "
		"printf '\\0depends=\\0' | zstd -q > b/virtio_ring.ko.zst && "
		"printf '\\0depends=virtio_ring,built_in\\0' > b/net_core.ko";
	char text[400] = "", *problem;

	tap_ok(!system(make), "modules: a directory without modules.dep");
	int error = modules_each("u", wanted, 2, note_module, text, &problem);
	tap_ok(!error && !strcmp(text, "virtio_ring=,10 net_core=,30 virtio=,21 virtio-net=,35 "),
	       "modules: by what they say of themselves (%d)", error);
	tap_note("%s", text);
	free(problem);
}

static void test_beside(void)
{
	tap_ok(!system("mkdir -p r/boot r/lib/modules/1.2"), "a root with a kernel");
	char *found = kernel_modules_beside("r/boot/vmlinuz-1.2");
	tap_ok(found && !strcmp(found, "r/lib/modules/1.2"), "modules beside a kernel");
	free(found);
	tap_ok(!kernel_modules_beside("r/boot/vmlinuz-1.3") && !kernel_modules_beside("vmlinuz"),
	       "no modules beside it");
}

static void test_release(void)
{
	uint8_t kernel[0x1000] = {0};

	memcpy(kernel + 0x202, "HdrS", 4);
	kernel[0x20e] = 0x00;
	kernel[0x20f] = 0x06;
	strcpy((char *)kernel + 0x800, "6.1.0-1-amd64 (x@y) #1");
	char *release = modules_kernel_release(kernel, sizeof(kernel));
	tap_ok(release && !strcmp(release, "6.1.0-1-amd64"), "modules: a kernel's release");
	free(release);
	kernel[0x20f] = 0xff;
	tap_ok(!modules_kernel_release(kernel, sizeof(kernel)), "modules: a release outside");
}

/* ---- secrets ---- */

static bool holds(const struct guest_secrets *secrets, const char *path)
{
	char full[300];

	snprintf(full, sizeof(full), "%s/home/%s", top, path);
	for (unsigned i = 0; i < secrets->n; i++)
		if (!strcmp(secrets->path[i], full))
			return true;
	return false;
}

static void test_secret_files(void)
{
	struct option_list deny = {.item = {"home/mine"}, .n = 1}, allow = {.n = 0};
	struct guest_secrets secrets;
	char home[300];

	snprintf(home, sizeof(home), "%s/home", top);
	setenv("HOME", home, 1);
	tap_ok(!system("mkdir -p home/.ssh home/.aws home/mine home/.docker && "
		       "touch home/.ssh/id home/.docker/config.json"),
	       "secrets: a home");
	tap_ok(!guest_secrets_find(&deny, &allow, &secrets) && holds(&secrets, ".ssh") &&
		       holds(&secrets, ".docker/config.json") && holds(&secrets, "mine") &&
		       !holds(&secrets, ".gnupg"),
	       "secrets: what is there of the list, and what --deny names");
	guest_secrets_finish(&secrets);
	allow = (struct option_list){.item = {"home/.aws", "home/.docker"}, .n = 2};
	tap_ok(!guest_secrets_find(&deny, &allow, &secrets) && holds(&secrets, ".ssh") &&
		       !holds(&secrets, ".aws") && !holds(&secrets, ".docker/config.json"),
	       "secrets: without what --allow names");
	guest_secrets_finish(&secrets);
	allow = (struct option_list){.item = {"home/.ssh/id"}, .n = 1};
	tap_ok(guest_secrets_find(&deny, &allow, &secrets) == STATUS_USAGE,
	       "secrets: not the inside of a directory");
	guest_secrets_finish(&secrets);
}

static void test_secret_variables(void)
{
	tap_ok(guest_secrets_is_variable("GITHUB_TOKEN=x") &&
		       guest_secrets_is_variable("my_password") &&
		       guest_secrets_is_variable("AWS_SECRET_ACCESS_KEY=") &&
		       guest_secrets_is_variable("SSH_AUTH_SOCK=/x"),
	       "secrets: variables like those that hold some");
	tap_ok(!guest_secrets_is_variable("PATH=/token") && !guest_secrets_is_variable("HOME") &&
		       !guest_secrets_is_variable("=x"),
	       "secrets: other variables");
}

/* ---- results ---- */

static int pack_result(FILE *out, uint32_t mode, const char *path, const char *content)
{
	uint32_t n = (uint32_t)strlen(path);
	uint64_t bytes = strlen(content), mtime_ns = 1000000000;

	fwrite(&mode, 4, 1, out);
	fwrite(&n, 4, 1, out);
	fwrite(&bytes, 8, 1, out);
	fwrite(&mtime_ns, 8, 1, out);
	fwrite(path, n, 1, out);
	fwrite(content, bytes, 1, out);
	return fflush(out);
}

/* Unpacks one result for the user's path "out" and ends the results. */
static int unpack_result(uint32_t mode, const char *path, const char *content)
{
	static const char end[AGENT_RESULT_HEAD_BYTES];
	const struct option_list paths = {.item = {"out"}, .n = 1};
	FILE *file = tmpfile();

	pack_result(file, S_IFDIR | 0755, "out", "");
	pack_result(file, mode, path, content);
	fwrite(end, sizeof(end), 1, file);
	fflush(file);
	int status = guest_results_unpack(fileno(file), &paths, "");
	fclose(file);
	return status;
}

static bool is_content(const char *path, const char *content)
{
	char text[64] = "";
	FILE *file = fopen(path, "r");

	if (!file)
		return false;
	bool same =
		fread(text, 1, sizeof(text) - 1, file) == strlen(content) && !strcmp(text, content);
	fclose(file);
	return same;
}

static void test_results(void)
{
	tap_ok(!unpack_result(S_IFREG | 0640, "out/a", "one") && is_content("out/a", "one"),
	       "results: a directory with a file");
	tap_ok(!unpack_result(S_IFREG | 0640, "out/a", "two") && is_content("out/a", "two"),
	       "results: a file takes the former's place");
	tap_ok(!unpack_result(S_IFLNK | 0777, "out/l", "/etc") && !access("out/l/passwd", R_OK),
	       "results: a link");
	tap_ok(unpack_result(S_IFREG | 0640, "out/l/x", "x") && access("/etc/x", F_OK),
	       "results: nothing is written over a link");
	tap_ok(unpack_result(S_IFREG | 0640, "out/../up", "x") && access("up", F_OK),
	       "results: nothing above");
	tap_ok(unpack_result(S_IFREG | 0640, "other", "x") && access("other", F_OK),
	       "results: nothing beside");
	tap_ok(unpack_result(S_IFREG | 0640, "outer", "x") && access("outer", F_OK),
	       "results: nothing with a longer name");
	tap_ok(unpack_result(S_IFCHR | 0666, "out/n", ""), "results: no devices");
}

static void make_kernel(const char *path)
{
	uint8_t header[0x238] = {0};

	memcpy(header + 0x202, "HdrS", 4);
	header[0x206] = 0x0f;
	header[0x207] = 0x02;
	header[0x236] = 1;
	write_file(path, header, sizeof(header));
}

static void test_kernel(void)
{
	char *path = NULL;

	mkdir("boot", 0755);
	tap_ok(kernel_find_newest("boot", &path) == -ENOENT, "kernel: none");
	tap_ok(kernel_find_newest("no-boot", &path) == -ENOENT, "kernel: no directory");
	make_kernel("boot/vmlinuz-6.9.0-1");
	make_kernel("boot/vmlinuz-6.10.0-1");
	write_file("boot/vmlinuz-7.0.0-arm64", "MZ", 2);
	make_kernel("boot/config-9");
	tap_ok(!kernel_find_newest("boot", &path) && !strcmp(path, "boot/vmlinuz-6.10.0-1"),
	       "kernel: the newest that is one");
	free(path);
}

int main(void)
{
	char command[300];

	if (!mkdtemp(top) || chdir(top))
		return 1;
	test_cpio();
	test_modules();
	test_no_dependencies_file();
	test_beside();
	test_release();
	test_secret_files();
	test_secret_variables();
	test_results();
	test_kernel();
	snprintf(command, sizeof(command), "rm -rf %s", top);
	if (system(command))
		tap_note("%s is left over", top);
	return tap_done();
}
