#include "tools/warm_state.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "tools/cache.h"
#include "tools/file_limit.h"
#include "tools/guest/agent.h"
#include "tools/interrupt.h"
#include "tools/message.h"
#include "tools/warm_disk.h"

#define STATE_VERSION 2 /* of what is kept beside what the key covers */

#define BOOT_SEED          1
#define PS_PER_INSTRUCTION 1000
#define KEPT_STATES        (WARM_STATE_VARIANTS + 4) /* the oldest are removed */

/* A guest that is not ready by then, of its own time, never will be; memory has to be cleared. */
#define READY_LIMIT_NS    UINT64_C(60000000000)
#define READY_NS_PER_BYTE 1

#define KEY_BYTES 33 /* as text */

/* ---- the key ---- */

static void add(XXH3_state_t *hash, const void *data, size_t n)
{
	const uint64_t length = n;

	XXH3_128bits_update(hash, &length, sizeof(length));
	XXH3_128bits_update(hash, data, n);
}

static void add_number(XXH3_state_t *hash, uint64_t number)
{
	add(hash, &number, sizeof(number));
}

/* The tool itself: its devices and its machine made the state. */
static int add_tool(XXH3_state_t *hash)
{
	struct file_bytes tool;
	int error = file_bytes_map("/proc/self/exe", &tool);

	if (error)
		return error;
	add(hash, tool.data, tool.n);
	file_bytes_finish(&tool);
	return 0;
}

static int make_key(const struct recorder_config *config, unsigned variant, char key[KEY_BYTES])
{
	XXH3_state_t *hash = XXH3_createState();

	if (!hash)
		return -ENOMEM;
	XXH3_128bits_reset(hash);
	add_number(hash, STATE_VERSION);
	int error = add_tool(hash);
	add(hash, config->boot.kernel, config->boot.kernel_bytes);
	add(hash, config->boot.initrd, config->boot.initrd_bytes);
	add(hash, config->boot.command_line, strlen(config->boot.command_line));
	add_number(hash, config->ram_bytes);
	add_number(hash, config->n_vcpus);
	add_number(hash, variant);
	/* The guest has mounted its disk, of which a copy goes with the state. */
	struct stat disk = {0};
	if (config->n_disks && stat(config->disks[0].path, &disk) && !error)
		error = -errno;
	add_number(hash, (uint64_t)disk.st_size);
	XXH128_hash_t digest = XXH3_128bits_digest(hash);
	XXH3_freeState(hash);
	snprintf(key, KEY_BYTES, "%016llx%016llx", (unsigned long long)digest.high64,
		 (unsigned long long)digest.low64);
	return error;
}

/* ---- the cache ---- */

/* A state that is whole; a damaged one is removed. */
static bool is_usable(const struct recorder_config *config, const char *path)
{
	struct log_reader *reader;
	struct log_error error;

	if (access(path, R_OK) || !warm_disk_is_there(config, path))
		return false;
	if (!log_reader_open(path, &reader, &error)) {
		const Reprise__Trailer *trailer = log_reader_trailer(reader);
		bool whole = trailer && !log_reader_damage(reader) &&
			     !strcmp(trailer->end_reason, "saved");
		log_reader_close(reader);
		if (whole)
			return true;
	}
	unlink(path);
	return false;
}

static int newer_first(const void *a, const void *b)
{
	struct stat st_a = {0}, st_b = {0};

	stat(*(char *const *)a, &st_a);
	stat(*(char *const *)b, &st_b);
	return st_a.st_mtime > st_b.st_mtime ? -1 : st_a.st_mtime < st_b.st_mtime;
}

/* False: nothing is to be freed. */
static bool find_files(const char *directory, const char *names, glob_t *ret_found)
{
	char pattern[PATH_MAX];

	return snprintf(pattern, sizeof(pattern), "%s/%s", directory, names) < PATH_MAX &&
	       !glob(pattern, GLOB_NOSORT, NULL, ret_found);
}

/* Of older tools and kernels. */
static void remove_old(const char *directory)
{
	glob_t found;

	if (!find_files(directory, "warm-*.rpz", &found))
		return;
	qsort(found.gl_pathv, found.gl_pathc, sizeof(char *), newer_first);
	for (size_t i = KEPT_STATES; i < found.gl_pathc; i++) {
		warm_disk_remove(found.gl_pathv[i]);
		unlink(found.gl_pathv[i]);
	}
	globfree(&found);
}

/* Of processes that were killed while they made a state: who has the lock is the only one that
 * lives. */
static void remove_unfinished(const char *directory)
{
	/* Of make() below and warm_disk.c, and what a state is called before it is whole (bytes.c).
	 */
	static const char *const names[] = {"warm-*.rpz.*.new", "warm-*.rpz.*.new.*.part"};
	glob_t found;

	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		if (!find_files(directory, names[k], &found))
			continue;
		for (size_t i = 0; i < found.gl_pathc; i++)
			unlink(found.gl_pathv[i]);
		globfree(&found);
	}
}

/* ---- making a state ---- */

uint64_t warm_state_limit_ns(uint64_t ram_bytes)
{
	return READY_LIMIT_NS + ram_bytes * READY_NS_PER_BYTE;
}

static int boot(const struct recording *recording, unsigned variant, const char *path,
		struct log_error *ret_error)
{
	struct recorder_config config = recording->config;
	struct recorder_result result = {0};
	char *command_line;

	if (asprintf(&command_line, "%s " AGENT_SAVED_OPTION, recording->command_line) < 0)
		return -ENOMEM;
	config.output_path = NULL;
	config.save_path = path;
	config.sync = false;
	config.clock = RECORDER_CLOCK_VIRTUAL;
	config.virtual_ps_per_instruction = PS_PER_INSTRUCTION;
	config.epoch_s = -1;
	config.seeded = true;
	config.seed = BOOT_SEED + variant;
	config.chaos.strategies = 0;
	config.start_delay_ns = 0;
	config.limit_ns = warm_state_limit_ns(config.ram_bytes);
	config.keep = NULL;
	config.limit_icount = 0;
	config.boot.command_line = command_line;
	config.channel = true;
	config.channel_in_fd = config.channel_out_fd = config.channel_results_fd = -1;
	config.channel_in_interactive = false;
	config.console_out_fd = -1;
	config.saved_path = NULL;
	config.image = NULL;
	config.command = NULL;
	int error = recorder_run(&config, &result, ret_error);
	free(command_line);
	if (error || !strcmp(result.end_reason, "saved"))
		return error;
	if (!strcmp(result.end_reason, "timeout"))
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "it was not ready after %llu s of its time; see reprise run --cold "
			 "--verbose",
			 (unsigned long long)(config.limit_ns / 1000000000));
	else
		snprintf(ret_error->text, sizeof(ret_error->text), "%s", result.end_reason);
	return -ENOEXEC;
}

static int tell_interrupted(void)
{
	message("interrupted while a guest was booted in advance");
	return STATUS_SIGNAL_BASE + *interrupt_flag();
}

/* Without room for it the guest boots as if there were no cache. */
static int tell_failure(int error, const char *text, const char *directory, bool tell)
{
	char limit[FILE_LIMIT_HINT_BYTES];
	const char *hint = file_limit_hint(error, limit);

	if (*interrupt_flag())
		return tell_interrupted();
	if (error == -ENOSPC || error == -EDQUOT || error == -EFBIG) {
		if (tell)
			message("no cache for booted guests: %s: %s", directory,
				hint ? hint : strerror(-error));
		return STATUS_OK;
	}
	message("a guest cannot be booted in advance: %s", text[0] ? text : strerror(-error));
	return STATUS_FAILED;
}

/* *made: there is a state now. Not where the disk is full, which is no failure. */
static int make(const struct recording *recording, unsigned variant, bool tell,
		const char *directory, const char *path, bool *made)
{
	struct log_error error = {.text = ""};
	char temporary[PATH_MAX + 32];

	snprintf(temporary, sizeof(temporary), "%s.%ld.new", path, (long)getpid());
	int err = warm_disk_format(&recording->config, variant);
	if (!err)
		err = boot(recording, variant, temporary, &error);
	if (!err)
		err = warm_disk_save(&recording->config, path);
	if (!err && rename(temporary, path))
		err = -errno;
	if (err) {
		unlink(temporary);
		return tell_failure(err, error.text, directory, tell);
	}
	*made = true;
	remove_old(directory);
	return STATUS_OK;
}

static int take_disk(const struct recording *recording, const char *path)
{
	int error = warm_disk_load(&recording->config, path);

	if (error)
		message("the scratch disk beside %s: %s; see --scratch", path, strerror(-error));
	return error ? STATUS_FAILED : STATUS_OK;
}

/* Until it is ours or a signal ends the wait. */
static bool wait_for_lock(int fd)
{
	int error;

	if (fd < 0)
		return false;
	do {
		error = flock(fd, LOCK_EX);
	} while (error && errno == EINTR && !*interrupt_flag());
	return !error;
}

/* One process makes a state, others that want it wait. *found: as *made above. */
static int make_locked(const struct recording *recording, unsigned variant, bool tell,
		       const char *directory, const char *path, bool *found)
{
	char lock[PATH_MAX + 8];

	snprintf(lock, sizeof(lock), "%s/lock", directory);
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600), status = STATUS_OK;
	if (wait_for_lock(fd))
		remove_unfinished(directory);
	if (*interrupt_flag()) {
		status = tell_interrupted();
	} else if (!is_usable(&recording->config, path)) {
		if (tell)
			message("booting a guest in advance, once for this kernel");
		status = make(recording, variant, tell, directory, path, found);
	} else {
		status = take_disk(recording, path);
		*found = !status;
	}
	if (fd >= 0)
		close(fd);
	return status;
}

int warm_state_find(const struct recording *recording, unsigned variant, bool tell, char **ret_path)
{
	char directory[PATH_MAX], key[KEY_BYTES];
	int error = cache_directory(directory);

	*ret_path = NULL;
	if (!error && access(directory, W_OK))
		error = -errno;
	if (!error)
		error = make_key(&recording->config, variant, key);
	if (error) {
		if (tell)
			message("no cache for booted guests: %s", strerror(-error));
		return STATUS_OK;
	}
	if (asprintf(ret_path, "%s/warm-%s.rpz", directory, key) < 0)
		return STATUS_FAILED;
	bool found = is_usable(&recording->config, *ret_path);
	int status;
	if (found)
		status = take_disk(recording, *ret_path);
	else
		status = make_locked(recording, variant, tell, directory, *ret_path, &found);
	if (status || !found) {
		free(*ret_path);
		*ret_path = NULL;
	}
	return status;
}
