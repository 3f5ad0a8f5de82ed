/* A guest kernel's tables are found in memory, in the layouts of several versions, and damaged ones
 * do no harm. */
#include <errno.h>

#include <sys/mman.h>
#include <unistd.h>

#include "gdbstub/linux/debug_elf.h"
#include "tests/tap.h"
#include "tests/unit/linux_fixture.h"

#define DAMAGES 1000

static const struct fixture_layout layouts[] = {
	{.name = "Linux 6.1", .absolute_percpu = true},
	{.name = "Linux 6.2", .absolute_percpu = true, .seqs = SEQS_BEHIND_MARKERS},
	{.name = "Linux 6.6",
	 .absolute_percpu = true,
	 .seqs = SEQS_LAST,
	 .addresses_last = true,
	 .new_orc = true},
	{.name = "relative to the base only", .addresses_last = true, .new_orc = true},
	{.name = "absolute addresses", .absolute = true, .absolute_percpu = true},
	{.name = "no types", .absolute_percpu = true, .no_btf = true},
};

static struct fixture fixture;

static void load(struct machine *machine)
{
	memory_load(machine->memory, FIXTURE_GPA, fixture.image, sizeof(fixture.image));
}

static void check_symbols(const struct kernel *kernel, const char *name)
{
	const struct kallsyms *symbols = kernel_symbols(kernel);
	uint64_t address = 0, offset = 0;
	bool good = kallsyms_count(symbols) == fixture.n;

	for (uint32_t i = 0; good && i < fixture.n; i++)
		good = kallsyms_symbol(symbols, i)->address == fixture.address[i];
	tap_ok(good, "%s: every symbol has its address", name);
	tap_ok(kernel_symbol(kernel, "fn_77", &address) &&
		       address == FIXTURE_LINEAR + 0x100 + 77 * 16 &&
		       !kernel_symbol(kernel, "fn_7777", &address),
	       "%s: a symbol by its name", name);
	const char *at = kernel_symbol_at(kernel, FIXTURE_LINEAR + 0x100 + 77 * 16 + 3, &offset);
	tap_ok(at && !strcmp(at, "fn_77") && offset == 3, "%s: a symbol by its address", name);
	tap_ok(!kernel_symbol_at(kernel, 0x21, &offset) &&
		       !kernel_symbol_at(kernel, FIXTURE_LINEAR + FIXTURE_BYTES, &offset),
	       "%s: nothing is outside the image", name);
	tap_ok(!strcmp(kernel_banner(kernel), "Linux version 6.1.0-made-up (nobody)"),
	       "%s: the banner", name);
}

static void check_types(const struct btf *btf, const char *name)
{
	uint32_t offset, bytes;
	int64_t value;

	tap_ok(btf_member(btf, "task", "comm", &offset, &bytes) && offset == 4 && bytes == 16,
	       "%s: a member", name);
	tap_ok(btf_member(btf, "task", "thread.sp", &offset, &bytes) && offset == 24 && bytes == 8,
	       "%s: a member of a member", name);
	tap_ok(btf_member(btf, "task", "next", &offset, &bytes) && offset == 32 && bytes == 8,
	       "%s: a member of a union without a name", name);
	tap_ok(!btf_member(btf, "task", "flags", &offset, &bytes) &&
		       !btf_member(btf, "task", "thread.pid", &offset, &bytes) &&
		       !btf_member(btf, "task", "", &offset, &bytes) &&
		       !btf_member(btf, "task", "comm.", &offset, &bytes) &&
		       !btf_member(btf, "nobody", "pid", &offset, &bytes),
	       "%s: bitfields and what is not there have no place", name);
	tap_ok(btf_struct_bytes(btf, "task", &bytes) && bytes == 48, "%s: a structure's size",
	       name);
	tap_ok(btf_enumerator(btf, "STOPPED", &value) && value == 4 &&
		       !btf_enumerator(btf, "GONE", &value),
	       "%s: an enumerator", name);
}

static void check_orc(const struct orc *orc, const char *name)
{
	bool good = orc && orc->n == FIXTURE_FUNCTIONS * 2;

	for (uint32_t i = 0; good && i < orc->n; i++)
		good = orc->row[i].address == FIXTURE_LINEAR + 0x100 + i * 8 &&
		       orc->row[i].sp_offset == (i % 2 ? 16 : 8) &&
		       orc->row[i].kind == (i == 10 ? ORC_REGS : ORC_CALL);
	tap_ok(good, "%s: the unwind table", name);
}

static void test_layout(const struct fixture_layout *layout)
{
	struct machine *machine = fixture_machine();
	struct kernel *kernel = NULL;

	fixture_build(&fixture, layout);
	tap_ok(kernel_find(machine, &kernel) == -ENOENT, "%s: nothing in empty memory",
	       layout->name);
	load(machine);
	if (tap_ok(!kernel_find(machine, &kernel), "%s: found", layout->name)) {
		memory_clear(machine->memory); /* all has been copied */
		check_symbols(kernel, layout->name);
		if (layout->no_btf)
			tap_ok(!kernel_btf(kernel), "%s: none", layout->name);
		else if (tap_ok(kernel_btf(kernel), "%s: types", layout->name))
			check_types(kernel_btf(kernel), layout->name);
		check_orc(kernel_orc(kernel), layout->name);
	}
	kernel_destroy(kernel);
	machine_destroy(machine);
}

static void test_modules(void)
{
	struct machine *machine = fixture_machine();
	struct kernel_modules modules = {0};
	struct kernel *kernel = NULL;

	fixture_build(&fixture, &layouts[0]);
	load(machine);
	if (!tap_ok(!kernel_find(machine, &kernel), "modules: a kernel"))
		return;
	tap_ok(!kernel_modules_read(machine, kernel, &modules) && !modules.n,
	       "modules: none without paging");
	fixture_start(machine);
	tap_ok(!kernel_modules_read(machine, kernel, &modules) && modules.n == 1 &&
		       !strcmp(modules.module[0].name, "made_up") && modules.n_symbols == 2,
	       "modules: one with two symbols");
	if (modules.n == 1 && modules.n_symbols == 2) {
		const char *names = (const char *)modules.names.data;
		const struct module_symbol *function = &modules.symbol[0];
		tap_ok(!strcmp(names + function->name, "made_fn") && function->type == 'T' &&
			       function->address ==
				       FIXTURE_LINEAR + FIXTURE_MODULE + MODULE_CODE + 0x20,
		       "modules: the function");
		tap_ok(!strcmp(names + modules.symbol[1].name, "made_var") &&
			       modules.symbol[1].type == 'b',
		       "modules: the variable");
		tap_ok(modules.module[0].orc.n == 2 &&
			       modules.module[0].orc.row[0].address == modules.module[0].text,
		       "modules: the unwind table");
	}
	kernel_modules_finish(&modules);
	kernel_destroy(kernel);
	machine_destroy(machine);
}

/* A table that was left behind is not that of the kernel that runs. */
static void test_other_kernel(void)
{
	struct machine *machine = fixture_machine();
	struct kernel *kernel = NULL;

	fixture_build(&fixture, &layouts[0]);
	load(machine);
	machine->vcpu[0].lstar = FIXTURE_LINEAR + FIXTURE_BYTES + 64;
	tap_ok(kernel_find(machine, &kernel) == -ENOENT, "system calls enter another kernel");
	machine->vcpu[0].lstar = 0;
	machine->vcpu[0].rip = FIXTURE_BYTES;
	tap_ok(kernel_find(machine, &kernel) == -ENOENT,
	       "code outside it runs: it is not relocated yet");
	kernel_destroy(kernel);
	machine_destroy(machine);
}

static uint64_t random_next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void damage(uint64_t *state)
{
	static const uint32_t from[] = {FIXTURE_BANNER, FIXTURE_KALLSYMS, FIXTURE_BTF,
					FIXTURE_ORC_IP, FIXTURE_ORC,      FIXTURE_MODULE - 16};
	static const uint32_t bytes[] = {16, 0x8000, 0x500, 0x1600, 0x2100, 0x500};
	unsigned n = 1 + (unsigned)random_next(state) % 4;

	for (unsigned i = 0; i < n; i++) {
		unsigned part = (unsigned)random_next(state) % 6;
		/* Small tables are hit as often as big ones; counts and lengths most of all. */
		uint32_t at = from[part] + (uint32_t)random_next(state) % bytes[part];
		static const uint8_t values[] = {0, 1, 2, 0x7f, 0x80, 0xff};
		uint64_t how = random_next(state) % 8;
		if (how < 6)
			fixture.image[at] = values[how];
		else
			fixture.image[at] ^= (uint8_t)(1u << random_next(state) % 8);
	}
}

static void write_file(const struct machine *machine, const struct kernel *kernel)
{
	struct kernel_modules modules = {0};
	int fd = memfd_create("kernel", 0);

	if (!kernel_modules_read(machine, kernel, &modules))
		debug_elf_write(kernel, &modules, fd);
	kernel_modules_finish(&modules);
	close(fd);
}

static void use(const struct kernel *kernel, unsigned *n_types)
{
	const struct btf *btf = kernel_btf(kernel);
	uint32_t offset, bytes;
	uint64_t from;
	int64_t value;

	for (uint64_t at = 0; at < 0x4000; at += 77)
		kernel_symbol_at(kernel, FIXTURE_LINEAR + at, &from);
	if (!btf)
		return;
	++*n_types;
	btf_member(btf, "task", "thread.sp", &offset, &bytes);
	btf_enumerator(btf, "STOPPED", &value);
	for (uint32_t id = 1; id <= btf_count(btf); id++)
		btf_type_bytes(btf, id);
}

static void test_damage(void)
{
	struct machine *machine = fixture_machine();
	uint64_t state = 1;
	unsigned found = 0, n_types = 0;

	for (unsigned i = 0; i < DAMAGES; i++) {
		struct kernel *kernel = NULL;
		fixture_build(&fixture, &layouts[i % (sizeof(layouts) / sizeof(layouts[0]))]);
		damage(&state);
		load(machine);
		fixture_start(machine);
		if (!kernel_find(machine, &kernel)) {
			found++;
			use(kernel, &n_types);
			write_file(machine, kernel);
		}
		kernel_destroy(kernel);
	}
	machine_destroy(machine);
	tap_note("%u of %u damaged kernels were found, %u with types", found, DAMAGES, n_types);
	tap_ok(found && found < DAMAGES && n_types, "damaged tables do no harm");
}

int main(void)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		test_layout(&layouts[i]);
	test_modules();
	test_other_kernel();
	test_damage();
	return tap_done();
}
