#include "tools/guest_command.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/command.h"
#include "tools/guest/agent.h"
#include "tools/message.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* ---- finding the command ---- */

/* Returns STATUS_OK, STATUS_NOT_FOUND or STATUS_NOT_EXECUTABLE. */
static int check_program(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno == EACCES ? STATUS_NOT_EXECUTABLE : STATUS_NOT_FOUND;
	return S_ISREG(st.st_mode) && !access(path, X_OK) ? STATUS_OK : STATUS_NOT_EXECUTABLE;
}

/* Looks along PATH; a file that cannot be executed counts when there is no better one. */
static int search_path(const char *name, char program[PATH_MAX])
{
	const char *at = getenv("PATH");
	int result = STATUS_NOT_FOUND;

	for (at = at ? at : DEFAULT_PATH;; at++) {
		size_t n = strcspn(at, ":");
		char candidate[PATH_MAX];
		int length = snprintf(candidate, sizeof(candidate), "%.*s/%s", n ? (int)n : 1,
				      n ? at : ".", name);
		int status = length < PATH_MAX ? check_program(candidate) : STATUS_NOT_FOUND;
		if (status != STATUS_NOT_FOUND)
			memcpy(program, candidate, (size_t)length + 1);
		if (status == STATUS_OK)
			return STATUS_OK;
		if (status == STATUS_NOT_EXECUTABLE)
			result = status;
		at += n;
		if (!*at)
			return result;
	}
}

static int make_absolute(char path[PATH_MAX])
{
	char directory[PATH_MAX], joined[PATH_MAX];

	if (path[0] == '/')
		return 0;
	if (!getcwd(directory, sizeof(directory)))
		return -errno;
	int n = snprintf(joined, sizeof(joined), "%s/%s", directory, path);
	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(path, joined, (size_t)n + 1);
	return 0;
}

/* The program that name means, as an absolute path. Returns an exit status; prints nothing. */
static int find_program(const char *name, char program[PATH_MAX])
{
	int status;

	if (strchr(name, '/')) {
		if (snprintf(program, PATH_MAX, "%s", name) >= PATH_MAX)
			return STATUS_NOT_FOUND;
		status = check_program(program);
	} else {
		status = name[0] ? search_path(name, program) : STATUS_NOT_FOUND;
	}
	if (!status && make_absolute(program))
		status = STATUS_FAILED;
	return status;
}

int guest_command_find(const char *command, const char *name, char program[PATH_MAX])
{
	int status = find_program(name, program);

	if (status)
		message("%s: %s: %s", command, name,
			status == STATUS_NOT_FOUND ? "command not found" : "cannot be executed");
	return status;
}

/* ---- the plan ---- */

static void put_string(FILE *plan, char letter, const char *string)
{
	fputc(letter, plan);
	fwrite(string, 1, strlen(string) + 1, plan);
}

static void put_number(FILE *plan, char letter, uint64_t number)
{
	fprintf(plan, "%c%llu%c", letter, (unsigned long long)number, 0);
}

static void put_limits(FILE *plan, const struct rlimit *open_files)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit limit;
		int error = getrlimit((__rlimit_resource_t)i, &limit);

		if (i == RLIMIT_NOFILE && open_files->rlim_max)
			limit = *open_files;
		if (!error)
			fprintf(plan, "%c%d %llu %llu%c", AGENT_LIMIT, i,
				(unsigned long long)limit.rlim_cur,
				(unsigned long long)limit.rlim_max, 0);
	}
}

static int put_user(FILE *plan)
{
	int n = getgroups(0, NULL);
	gid_t *groups = calloc((size_t)(n < 0 ? 0 : n) + 1, sizeof(gid_t));

	if (!groups)
		return -ENOMEM;
	n = getgroups(n < 0 ? 0 : n, groups);
	put_number(plan, AGENT_USER, getuid());
	put_number(plan, AGENT_GROUP, getgid());
	for (int i = 0; i < n; i++)
		put_number(plan, AGENT_GROUPS, groups[i]);
	free(groups);
	mode_t mask = umask(0);
	umask(mask);
	put_number(plan, AGENT_UMASK, mask);
	return 0;
}

static void put_terminal(FILE *plan, unsigned bits)
{
	struct winsize size = {0};

	for (int fd = 0; fd < 3 && bits; fd++)
		if ((bits >> fd & 1) && !ioctl(fd, TIOCGWINSZ, &size))
			break;
	if (bits)
		fprintf(plan, "%c%u %u %u%c", AGENT_TERMINAL, bits, size.ws_row, size.ws_col, 0);
}

/* A command that is run without randomisation here is there, too. */
static void put_layout(FILE *plan, const struct command_layout *layout)
{
	int ours = personality(0xffffffff);
	unsigned bits = (ours < 0 ? 0 : (unsigned)ours) | (layout->fixed ? ADDR_NO_RANDOMIZE : 0);

	if (bits)
		put_number(plan, AGENT_PERSONALITY, bits);
	if (layout->stack_moved)
		put_number(plan, AGENT_STACK_MOVED, layout->stack_moved);
}

static void put_host_name(FILE *plan)
{
	char name[HOST_NAME_MAX + 1];

	if (!gethostname(name, sizeof(name) - 1)) {
		name[sizeof(name) - 1] = 0;
		put_string(plan, AGENT_HOST_NAME, name);
	}
}

static int put_all(FILE *plan, const struct guest_command *command, const char *directory)
{
	put_string(plan, AGENT_DIRECTORY, directory);
	put_string(plan, AGENT_PROGRAM, command->program);
	for (unsigned i = 0; command->argv[i]; i++)
		put_string(plan, AGENT_ARGUMENT, command->argv[i]);
	for (unsigned i = 0; i < command->results->n; i++)
		put_string(plan, AGENT_RESULT, command->results->item[i]);
	if (command->time_ns)
		put_number(plan, AGENT_TIME, (uint64_t)command->time_ns);
	for (unsigned i = 0; command->environment[i]; i++)
		put_string(plan, AGENT_ENVIRONMENT, command->environment[i]);
	put_limits(plan, &command->open_files);
	put_terminal(plan, command->terminal);
	put_layout(plan, &command->layout);
	put_host_name(plan);
	return put_user(plan);
}

/* The length of what follows the first 4 bytes, in them. Returns 0 or -E2BIG. */
static int put_length(char *text, size_t n)
{
	size_t length = n - 4;

	if (length > AGENT_PLAN_MAX)
		return -E2BIG;
	for (unsigned i = 0; i < 4; i++)
		text[i] = (char)(length >> 8 * i);
	return 0;
}

int guest_command_plan(const struct guest_command *command, uint8_t **ret_plan, size_t *ret_n)
{
	char directory[PATH_MAX], *text = NULL;
	size_t n = 0;

	if (!command->directory && !getcwd(directory, sizeof(directory))) {
		message("the working directory: %s", strerror(errno));
		return STATUS_FAILED;
	}
	FILE *plan = open_memstream(&text, &n);
	if (!plan)
		return STATUS_FAILED;
	fwrite("\0\0\0", 1, 4, plan);
	int error = put_all(plan, command, command->directory ? command->directory : directory);
	if (fclose(plan))
		error = -ENOMEM;
	if (!error)
		error = put_length(text, n);
	if (error) {
		message("the command and its environment: %s", strerror(-error));
		free(text);
		return STATUS_FAILED;
	}
	*ret_plan = (uint8_t *)text;
	*ret_n = n;
	return STATUS_OK;
}
