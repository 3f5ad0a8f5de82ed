#include "tools/guest_command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/command.h"
#include "tools/guest/agent.h"
#include "tools/guest_image.h"
#include "tools/message.h"

#define DEFAULT_PATH    "/usr/local/bin:/usr/bin:/bin"
#define MAX_SCRIPTS     4   /* interpreters that are scripts; as the kernel's limit */
#define SCRIPT_MAX_LINE 256 /* as the kernel reads */

/* agent_blob.S */
extern const uint8_t agent_blob[];
extern const uint64_t agent_blob_bytes;

/* What the guest has beside the command's own files; those that the host lacks are left out. */
static const char *const common_files[] = {"/bin/sh", "/etc/ld.so.cache"};

static const struct own_file {
	const char *path, *text;
} own_files[] = {
	{.path = "/etc/passwd", .text = "root:x:0:0:root:/root:/bin/sh\n"},
	{.path = "/etc/group", .text = "root:x:0:\n"},
	{.path = "/etc/hosts", .text = "127.0.0.1 localhost\n"},
};

/* What --clean-env leaves of the host's environment. */
static const char *const kept_variables[] = {"PATH", "HOME", "LANG", "LC_ALL", "TERM", "TZ"};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

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

/* ---- packing ---- */

static int add_host(struct guest_image *image, const char *path)
{
	int err = guest_image_add_host(image, path);

	if (!err)
		return STATUS_OK;
	message("run: %s: cannot be packed for the guest: %s", guest_image_failed_path(image),
		strerror(-err));
	return STATUS_FAILED;
}

char *guest_command_script_interpreter(char *text, size_t n, char **ret_argument)
{
	char *end = memchr(text, '\n', n);

	if (!end || n < 3 || text[0] != '#' || text[1] != '!')
		return NULL;
	while (end > text + 2 && strchr(" \t\r", end[-1]))
		end--;
	*end = 0;
	char *interpreter = text + 2 + strspn(text + 2, " \t");
	char *space = interpreter + strcspn(interpreter, " \t");
	*ret_argument = *space ? space + 1 + strspn(space + 1, " \t") : NULL;
	*space = 0;
	return *interpreter ? interpreter : NULL;
}

/* The first bytes of a file; none when it cannot be read, which packing it will tell. */
static size_t read_beginning(const char *path, char text[SCRIPT_MAX_LINE])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, SCRIPT_MAX_LINE);
	close(fd);
	return n < 0 ? 0 : (size_t)n;
}

/* Packs the program; of a script its interpreter too, and what /usr/bin/env would start. */
static int add_program(struct guest_image *image, const char *path, int depth)
{
	char text[SCRIPT_MAX_LINE] = "", program[PATH_MAX], *argument;

	int status = add_host(image, path);
	if (status)
		return status;
	char *interpreter =
		guest_command_script_interpreter(text, read_beginning(path, text), &argument);
	if (!interpreter || depth == MAX_SCRIPTS)
		return STATUS_OK;
	if (check_program(interpreter)) {
		message("run: %s: its interpreter %s cannot be executed", path, interpreter);
		return STATUS_NOT_EXECUTABLE;
	}
	const char *base = strrchr(interpreter, '/');
	if (argument && base && !strcmp(base, "/env") && argument[0] != '-' &&
	    !find_program(argument, program))
		status = add_program(image, program, depth + 1);
	return status ? status : add_program(image, interpreter, depth + 1);
}

static int add_named_files(struct guest_image *image, const struct guest_command *command)
{
	char path[PATH_MAX];
	int status = STATUS_OK;

	for (unsigned i = 0; i < command->n_files && !status; i++) {
		snprintf(path, sizeof(path), "%s", command->files[i]);
		status = make_absolute(path) ? STATUS_FAILED : add_host(image, path);
	}
	return status;
}

/* Arguments such as the name of a script are files that the command means to read. */
static int add_argument_files(struct guest_image *image, const struct guest_command *command)
{
	char path[PATH_MAX];
	struct stat st;
	int status = STATUS_OK;

	for (unsigned i = 1; command->argv[i] && !status; i++) {
		const char *argument = command->argv[i];
		if (strlen(argument) >= sizeof(path) || stat(argument, &st) ||
		    !S_ISREG(st.st_mode) || access(argument, R_OK))
			continue;
		snprintf(path, sizeof(path), "%s", argument);
		status = make_absolute(path) ? STATUS_FAILED : add_program(image, path, 0);
	}
	return status;
}

static int add_common_files(struct guest_image *image)
{
	int err = guest_image_add_file(image, "/init", 0755, agent_blob, agent_blob_bytes);

	for (size_t i = 0; i < LENGTH(common_files) && !err; i++) {
		if (!access(common_files[i], R_OK))
			err = guest_image_add_host(image, common_files[i]);
	}
	/* Behind the host's files, so that a file the user named is not replaced. */
	for (size_t i = 0; i < LENGTH(own_files) && !err; i++)
		err = guest_image_add_file(image, own_files[i].path, 0644, own_files[i].text,
					   strlen(own_files[i].text));
	if (err)
		message("run: %s: %s", guest_image_failed_path(image), strerror(-err));
	return err ? STATUS_FAILED : STATUS_OK;
}

/* ---- the plan ---- */

static void put_string(FILE *plan, char letter, const char *string)
{
	fputc(letter, plan);
	fwrite(string, 1, strlen(string) + 1, plan);
}

static bool is_kept(const char *variable)
{
	size_t n = strcspn(variable, "=");

	for (size_t i = 0; i < LENGTH(kept_variables); i++) {
		if (strlen(kept_variables[i]) == n && !strncmp(kept_variables[i], variable, n))
			return true;
	}
	return false;
}

/* True when --env gives the variable a value of its own. */
static bool is_replaced(const struct guest_command *command, const char *variable)
{
	size_t n = strcspn(variable, "=");

	for (unsigned i = 0; i < command->n_environment; i++) {
		const char *given = command->environment[i];
		if (strcspn(given, "=") == n && !strncmp(given, variable, n))
			return true;
	}
	return false;
}

static void put_environment(FILE *plan, const struct guest_command *command)
{
	for (char **variable = environ; *variable; variable++) {
		if (!is_replaced(command, *variable) &&
		    (!command->clean_environment || is_kept(*variable)))
			put_string(plan, AGENT_ENVIRONMENT, *variable);
	}
	for (unsigned i = 0; i < command->n_environment; i++) {
		const char *given = command->environment[i];
		const char *value = strchr(given, '=') ? NULL : getenv(given);
		if (strchr(given, '='))
			put_string(plan, AGENT_ENVIRONMENT, given);
		else if (value)
			fprintf(plan, "%c%s=%s%c", AGENT_ENVIRONMENT, given, value, 0);
	}
}

static int add_plan(struct guest_image *image, const struct guest_command *command,
		    const char *program)
{
	char directory[PATH_MAX], *text = NULL;
	size_t n = 0;

	if (!getcwd(directory, sizeof(directory))) {
		message("run: the working directory: %s", strerror(errno));
		return STATUS_FAILED;
	}
	int err = guest_image_add_directory(image, directory);
	FILE *plan = open_memstream(&text, &n);
	if (!plan)
		return STATUS_FAILED;
	put_string(plan, AGENT_DIRECTORY, directory);
	put_string(plan, AGENT_PROGRAM, program);
	for (unsigned i = 0; command->argv[i]; i++)
		put_string(plan, AGENT_ARGUMENT, command->argv[i]);
	put_environment(plan, command);
	if (fclose(plan))
		err = -ENOMEM;
	if (!err)
		err = guest_image_add_file(image, AGENT_PLAN, 0400, text, n);
	free(text);
	if (err)
		message("run: %s: %s", guest_image_failed_path(image), strerror(-err));
	return err ? STATUS_FAILED : STATUS_OK;
}

static int pack(struct guest_image *image, const struct guest_command *command, const char *program)
{
	int status = add_program(image, program, 0);

	if (!status)
		status = add_named_files(image, command);
	if (!status)
		status = add_argument_files(image, command);
	if (!status)
		status = add_common_files(image);
	return status ? status : add_plan(image, command, program);
}

int guest_command_pack(const struct guest_command *command, uint8_t **ret_data, size_t *ret_n)
{
	struct guest_image *image;
	char program[PATH_MAX];

	int status = find_program(command->argv[0], program);
	if (status) {
		message("run: %s: %s", command->argv[0],
			status == STATUS_NOT_FOUND ? "command not found" : "cannot be executed");
		return status;
	}
	if (guest_image_create(&image))
		return STATUS_FAILED;
	status = pack(image, command, program);
	if (!status && guest_image_finish(image, ret_data, ret_n)) {
		message("run: no memory for the guest's files");
		status = STATUS_FAILED;
	}
	guest_image_destroy(image);
	return status;
}
