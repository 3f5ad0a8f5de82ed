/* The command of `reprise run`: found on the host, packed with what it needs, described to the
 * agent. */
#ifndef REPRISE_TOOLS_GUEST_COMMAND_H
#define REPRISE_TOOLS_GUEST_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_command {
	char *const *argv;        /* NULL-terminated */
	const char *const *files; /* further host files and directories */
	unsigned n_files;
	const char *const *environment; /* NAME=VALUE, or NAME to take it from the host */
	unsigned n_environment;
	bool clean_environment; /* of the host's environment, only what any program needs */
};

/*
 * Makes the initial RAM file system: the agent as /init, the command, its libraries or its
 * interpreter, a shell, the files, and those arguments that name regular files. *ret_data is the
 * caller's to free. Returns STATUS_OK, STATUS_NOT_FOUND, STATUS_NOT_EXECUTABLE or STATUS_FAILED; a
 * line was printed for all but the first.
 */
int guest_command_pack(const struct guest_command *command, uint8_t **ret_data, size_t *ret_n);

/* The interpreter and its argument, in a script's first line: cut out of it in place; *ret_argument
 * is NULL when there is none. Returns NULL when the n bytes do not begin with such a line. */
char *guest_command_script_interpreter(char *text, size_t n, char **ret_argument);

#endif
