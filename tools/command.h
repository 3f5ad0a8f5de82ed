/* The table of subcommands and the exit statuses they share. */
#ifndef REPRISE_TOOLS_COMMAND_H
#define REPRISE_TOOLS_COMMAND_H

#include <stdbool.h>

/* Exit statuses of the tool; `run`, and `replay` of a `run`, otherwise give the guest command's. */
enum command_status {
	STATUS_OK = 0,
	STATUS_USAGE = 2,            /* the command line is wrong */
	STATUS_DIVERGED = 3,         /* a replay differed from its recording */
	STATUS_BAD_FILE = 4,         /* a recording that is damaged or no recording at all */
	STATUS_FAILED = 125,         /* reprise could not do its work */
	STATUS_NOT_EXECUTABLE = 126, /* `run`: the command was found but cannot be executed */
	STATUS_NOT_FOUND = 127,      /* `run`: there is no such command */
	STATUS_SIGNAL_BASE = 128,    /* and a number: a replay or run that this signal ended */
};

#define COMMAND_MAX_TABLES 3

struct option_table;

struct command {
	const char *name;
	const char *operands; /* as the usage line shows them: "FILE" */
	const char *summary;  /* one line, without a full stop */
	const char *details;  /* further lines of --help; NULL: none */
	/* Options; offsets in all tables are into the one struct that the command parses into. */
	const struct option_table *tables[COMMAND_MAX_TABLES];
	int min_operands, max_operands;
	bool takes_command; /* option parsing ends at the first operand */
	/* argv[0] is the subcommand's name. Returns the exit status. */
	int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command command_record;
extern const struct command command_replay;
extern const struct command command_run;
extern const struct command command_hunt;
extern const struct command command_info;
extern const struct command command_dump;
extern const struct command command_check;
extern const struct command command_gdb;
extern const struct command command_serve;
extern const struct command command_symbols;

#endif
