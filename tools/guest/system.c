#include "tools/guest/system.h"

#include <cpuid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "tools/guest/agent.h"
#include "tools/guest/ports.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define ENTROPY_BYTES 64

/* Memory left alone when the free is cleared, so that nothing is driven out. */
#define MEMORY_RESERVE (UINT64_C(24) << 20)

uint64_t system_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* ---- modules ---- */

static void insert_module(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "/" AGENT_MODULES "/%s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		agent_fail(path, errno);
	if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
		agent_fail(path, errno);
	close(fd);
	unlink(path);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void insert_modules(void)
{
	struct dirent **entries;
	int n = scandir("/" AGENT_MODULES, &entries, is_visible, alphasort);

	for (int i = 0; i < n; i++) {
		insert_module(entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

/* ---- file systems ---- */

struct mount_point {
	const char *type, *path, *options;
	mode_t mode;
	bool optional; /* the kernel may be built without it */
};

/* Made before the plan is known, then moved into the command's tree. */
static const struct mount_point own_points[] = {
	{.type = "proc", .path = "/proc", .mode = 0555},
	{.type = "sysfs", .path = "/sys", .mode = 0555},
	{.type = "devtmpfs", .path = "/dev", .options = "mode=0755", .mode = 0755},
	{.type = "devpts",
	 .path = "/dev/pts",
	 .options = "gid=5,mode=620,ptmxmode=666",
	 .mode = 0755,
	 .optional = true},
	{.type = "tmpfs",
	 .path = "/dev/shm",
	 .options = "mode=1777",
	 .mode = 01777,
	 .optional = true},
	{.type = "mqueue", .path = "/dev/mqueue", .mode = 01777, .optional = true},
};

static const char *const moved_points[] = {"/proc", "/sys", "/dev"};

static void mount_own(void)
{
	umask(0);
	for (size_t i = 0; i < LENGTH(own_points); i++) {
		const struct mount_point *point = &own_points[i];
		mkdir(point->path, point->mode);
		if (mount(point->type, point->path, point->type, MS_NOSUID, point->options) &&
		    !point->optional)
			agent_fail(point->path, errno);
	}
	umask(022);
}

static void link_descriptors(void)
{
	static const char *const links[][2] = {
		{"/proc/self/fd", "/dev/fd"},
		{"/proc/self/fd/0", "/dev/stdin"},
		{"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"},
	};

	for (size_t i = 0; i < LENGTH(links); i++)
		if (symlink(links[i][0], links[i][1]) && errno != EEXIST)
			agent_fail(links[i][1], errno);
}

static void make_directory(const char *path, mode_t mode)
{
	if (mkdir(path, mode) && errno != EEXIST)
		agent_fail(path, errno);
}

/*
 * The layer that takes what the guest writes. A guest that is saved has it already: mounting is a
 * third of what it would take to start a command. Then nothing waits to be written to the disk,
 * which is saved beside the guest.
 */
static void mount_upper(void)
{
	bool has_disk = !access(AGENT_SCRATCH_DEVICE, F_OK);

	make_directory("/upper", 0755);
	if (has_disk ? mount(AGENT_SCRATCH_DEVICE, "/upper", "ext4", MS_NOATIME,
			     "nobarrier,noinit_itable")
		     : mount("tmpfs", "/upper", "tmpfs", 0, "mode=0755,size=75%"))
		agent_fail(has_disk ? AGENT_SCRATCH_DEVICE : "/upper", errno);
	make_directory("/upper/data", 0755);
	make_directory("/upper/work", 0755);
	sync();
}

/* The root of the upper layer is the root that the command sees: it looks like the host's. */
static void imitate_root(void)
{
	struct stat st;

	if (stat("/lower", &st) || chmod("/upper/data", st.st_mode & 07777) ||
	    chown("/upper/data", st.st_uid, st.st_gid))
		agent_fail("/lower", errno);
}

static void mount_host_files(void)
{
	make_directory("/lower", 0755);
	make_directory("/root", 0755);
	if (mount(AGENT_FILES_TAG, "/lower", "virtiofs", MS_RDONLY, NULL))
		agent_fail("the host's files", errno);
	imitate_root();
	if (mount("overlay", "/root", "overlay", 0,
		  "lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work,xino=on"))
		agent_fail("the overlay over the host's files", errno);
}

static void move_points(void)
{
	char path[32];

	for (size_t i = 0; i < LENGTH(moved_points); i++) {
		snprintf(path, sizeof(path), "/root%s", moved_points[i]);
		make_directory(path, 0755);
		if (mount(moved_points[i], path, NULL, MS_MOVE, NULL))
			agent_fail(path, errno);
	}
}

static void enter_root(void)
{
	if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		agent_fail("the command's root", errno);
}

/* ---- randomness, time, network ---- */

static bool has_rdrand(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_RDRND);
}

static void fill_random(uint8_t bytes[ENTROPY_BYTES])
{
	for (size_t i = 0; i < ENTROPY_BYTES; i += 8) {
		unsigned long long value;
		unsigned char ok = 0;

		do
			__asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(ok) : : "cc");
		while (!ok);
		memcpy(bytes + i, &value, 8);
	}
}

/*
 * A guest that goes on from a saved state would repeat its random numbers: fresh ones are mixed in,
 * and the kernel's generator starts anew from them.
 */
static void renew_randomness(void)
{
	struct {
		struct rand_pool_info head;
		uint8_t bytes[ENTROPY_BYTES];
	} pool = {.head = {.entropy_count = 8 * ENTROPY_BYTES, .buf_size = ENTROPY_BYTES}};

	if (!has_rdrand())
		return;
	int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		agent_fail("/dev/urandom", errno);
	fill_random(pool.bytes);
	if (ioctl(fd, RNDADDENTROPY, &pool) || ioctl(fd, RNDRESEEDCRNG))
		agent_fail("/dev/urandom", errno);
	close(fd);
}

static void set_time(const struct plan *plan, uint64_t tsc_when_ready)
{
	uint64_t now_ns = plan->time_ns + system_tsc() - tsc_when_ready;
	const struct timespec now = {.tv_sec = (time_t)(now_ns / 1000000000),
				     .tv_nsec = (long)(now_ns % 1000000000)};

	if (plan->time_ns && clock_settime(CLOCK_REALTIME, &now))
		agent_fail("the time", errno);
}

/* A kernel without a network has no loopback either. */
static void start_loopback(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (!ioctl(fd, SIOCGIFFLAGS, &request)) {
		request.ifr_flags |= IFF_UP;
		ioctl(fd, SIOCSIFFLAGS, &request);
	}
	close(fd);
}

/* ---- */

/* The beginning of a small file, as a string; empty when it cannot be read. */
static void read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	text[n > 0 ? n : 0] = 0;
	if (fd >= 0)
		close(fd);
}

static bool is_to_be_saved(void)
{
	char line[4096];

	read_text("/proc/cmdline", line, sizeof(line));
	return strstr(line, AGENT_SAVED_OPTION);
}

/* What has to stay free: who asks the kernel for more waits for memory that nobody gives back.
 * Below twice its lowest mark it begins to look for some; huge pages raise that with the RAM (Linux
 * Documentation/admin-guide/sysctl/vm.rst, min_free_kbytes). */
static uint64_t memory_reserve(void)
{
	char text[32];

	read_text("/proc/sys/vm/min_free_kbytes", text, sizeof(text));
	return MEMORY_RESERVE + 2 * 1024 * strtoull(text, NULL, 10);
}

static void clear_free_memory(void)
{
	uint64_t reserve = memory_reserve();
	struct sysinfo info;

	if (sysinfo(&info))
		return;
	uint64_t bytes = (uint64_t)info.freeram * info.mem_unit;
	if (bytes < 2 * reserve)
		return;
	bytes -= reserve;
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return;
	/* The kernel clears each page before it hands it out. */
	madvise(memory, bytes, MADV_HUGEPAGE);
	madvise(memory, bytes, MADV_POPULATE_WRITE);
	munmap(memory, bytes);
}

void system_make_small(void)
{
	if (is_to_be_saved())
		clear_free_memory();
}

void system_prepare(void)
{
	mount_own();
	link_descriptors();
	insert_modules();
	mount_upper();
	start_loopback();
}

void system_enter(const struct plan *plan, uint64_t tsc_when_ready)
{
	renew_randomness();
	set_time(plan, tsc_when_ready);
	if (plan->host_name)
		sethostname(plan->host_name, strlen(plan->host_name));
	mount_host_files();
	move_points();
	enter_root();
}
