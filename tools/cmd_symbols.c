/* reprise symbols: the guest's kernel as an ELF file for debuggers. */
#include <stdio.h>

#include "gdbstub/linux/kernel.h"
#include "tools/debug_session.h"
#include "tools/interrupt.h"
#include "tools/kernel_elf.h"
#include "tools/message.h"
#include "tools/engine.h"

struct symbols_options {
	struct debug_options debug;
	const char *output;
};

#define FIELD(member) offsetof(struct symbols_options, member)

static const struct option options[] = {
	{.name = "output",
	 .letter = 'o',
	 .kind = OPTION_STRING,
	 .offset = FIELD(output),
	 .argument = "FILE",
	 .help = "The file to write (default: kernel.elf)"},
	{.name = "at",
	 .kind = OPTION_STRING,
	 .offset = FIELD(debug.at),
	 .argument = "start|end|N",
	 .help = "Where to look for the kernel (default: start)"},
	{ENGINE_OPTION, .offset = FIELD(debug.engine)},
	{.name = "quiet",
	 .letter = 'q',
	 .kind = OPTION_FLAG,
	 .offset = FIELD(debug.quiet),
	 .help = "No progress and no summary"},
};

static const struct option_table option_table = {
	.title = "Options",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

static int write_symbols(struct gdbstub *stub, const char *path,
			 const struct symbols_options *values)
{
	const struct kernel *kernel = gdbstub_kernel_ahead(stub);

	if (!kernel) {
		message("%s: no Linux kernel with symbols is in the guest's memory there; try "
			"--at end",
			path);
		return STATUS_FAILED;
	}
	int status = kernel_elf_write(stub, kernel, values->output);
	if (!status && !values->debug.quiet)
		printf("%s: %u symbols%s%s of %s\n", values->output,
		       kallsyms_count(kernel_symbols(kernel)), kernel_btf(kernel) ? ", types" : "",
		       kernel_orc(kernel) ? ", call frames" : "", kernel_banner(kernel));
	return status;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct symbols_options values = {.debug = {.at = "start"}, .output = "kernel.elf"};
	struct operands operands;
	struct gdbstub *stub = NULL;

	enum options_result parsed = options_parse(command, argc, argv, &values, &operands);
	if (parsed != OPTIONS_OK)
		return parsed == OPTIONS_DONE ? STATUS_OK : STATUS_USAGE;
	interrupt_install();
	int status = debug_session_open(command->name, operands.item[0], &values.debug, &stub);
	if (!status)
		status = write_symbols(stub, operands.item[0], &values);
	gdbstub_destroy(stub);
	return status;
}

const struct command command_symbols = {
	.name = "symbols",
	.operands = "FILE",
	.summary = "Write the recorded kernel's symbols and types as an ELF file",
	.details =
		"They are found in the guest's memory: no vmlinux and no System.map is needed. In\n"
		"gdb: symbol-file kernel.elf, then target remote to reprise serve.",
	.tables = {&option_table},
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
