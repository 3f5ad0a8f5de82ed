#include "tests/cpu/native_engine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <xxhash.h>

#include "vmm/mmu/walk.h"

/* Where guest addresses begin in the process. */
#define BIAS        (UINT64_C(1) << 45)
#define GUEST_BYTES (UINT64_C(1) << 32)

#define MAX_MAPPED 4096

/* Instructions that interp runs before translated code is asked for again. */
#define INTERP_STEP 2

struct native_engine {
	struct engine engine;
	struct engine *interp;
	struct translator *translator;
	int ram_fd[MEMORY_MAX_REGIONS];
	uint64_t mapped[MAX_MAPPED]; /* linear pages */
	unsigned n_mapped;
	uint64_t tables_hash; /* of what translations were found through */
	uint64_t blocks;      /* translated when pages were mapped */
	bool faulted;
	struct runtime_registers registers;
};

struct native_engine_options native_engine_options;

/* native_engine.S */
extern struct fx_state native_engine_fx;
uint64_t native_engine_guest_fs;
void native_engine_enter(uint64_t code, uint64_t gs_base);
void native_engine_leave(void);
void native_engine_signal(int number, siginfo_t *info, void *context);
bool native_engine_on_fault(int number, siginfo_t *info, void *context);

static struct native_engine *running;

bool native_engine_possible(void)
{
	return getauxval(AT_HWCAP2) & 2;
}

/* ---- guest memory in the process ---- */

/* RAM becomes shared memory, at the address at which it is, so that it can be mapped again. */
static int share_region(struct native_engine *native, unsigned i)
{
	struct memory *memory = native->engine.machine->memory;
	const struct memory_region *region = &native->engine.machine->config.regions[i];
	uint8_t *host = memory_page(memory, region->gpa);

	native->ram_fd[i] = -1;
	if (!host)
		return 0;
	int fd = memfd_create("reprise-test-ram", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)region->bytes))
		return -errno;
	native->ram_fd[i] = fd;
	if (pwrite(fd, host, region->bytes, 0) != (ssize_t)region->bytes)
		return -EIO;
	void *at = mmap(host, region->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	return at == MAP_FAILED ? -errno : 0;
}

static void unmap_pages(struct native_engine *native)
{
	for (unsigned i = 0; i < native->n_mapped; i++)
		(void)mmap((void *)(BIAS + native->mapped[i]), PAGE_BYTES, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	native->n_mapped = 0;
}

/* Whether a cached translation could serve the access: nothing about it changes memory. */
static bool may_map(const struct cpu *cpu, uint64_t linear, bool write, uint64_t *ret_gpa)
{
	const struct walk_access access = {.kind = write ? ACCESS_WRITE : ACCESS_READ,
					   .user = true};
	struct walk walk;
	uint32_t error;

	if (!walk_tables(cpu, linear, &access, &walk, &error))
		return false;
	for (unsigned i = 0; i < walk.n_steps; i++)
		if (!(walk.step[i].entry & PTE_A))
			return false;
	*ret_gpa = walk.gpa & PAGE_MASK;
	const uint8_t *flags = memory_flags(cpu->machine->memory, walk.gpa);
	return flags && (!write || (walk.dirty && !*flags));
}

static bool map_page(struct native_engine *native, uint64_t linear, bool write)
{
	const struct machine *machine = native->engine.machine;
	uint64_t gpa, page = linear & PAGE_MASK;

	if (linear >= GUEST_BYTES || native->n_mapped == MAX_MAPPED ||
	    !may_map(machine_current(native->engine.machine), linear, write, &gpa))
		return false;
	for (unsigned i = 0; i < machine->config.n_regions; i++) {
		const struct memory_region *region = &machine->config.regions[i];
		if (gpa - region->gpa >= region->bytes || native->ram_fd[i] < 0)
			continue;
		(void)mmap((void *)(BIAS + page), PAGE_BYTES, PROT_READ | (write ? PROT_WRITE : 0),
			   MAP_SHARED | MAP_FIXED, native->ram_fd[i], (off_t)(gpa - region->gpa));
		native->mapped[native->n_mapped++] = page;
		return true;
	}
	return false;
}

/* ---- faults ---- */

static void copy_registers(const greg_t *from, struct runtime_registers *to)
{
	static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				      REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
				      REG_R12, REG_R13, REG_R14, REG_R15};

	for (unsigned i = 0; i < 16; i++)
		to->gpr[i] = (uint64_t)from[order[i]];
	to->rip = (uint64_t)from[REG_RIP];
	to->rflags = (uint64_t)from[REG_EFL];
}

static bool in_translated_code(uint64_t rip)
{
	return rip - (RUNTIME_BASE + RUNTIME_CODE) < RUNTIME_CODE_BYTES;
}

bool native_engine_on_fault(int number, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *gregs = uc->uc_mcontext.gregs;

	if (!running || !in_translated_code((uint64_t)gregs[REG_RIP])) {
		signal(number, SIG_DFL); /* a bug of the test: it ends by it */
		return false;
	}
	if (number == SIGSEGV && info->si_code != SI_KERNEL &&
	    map_page(running, (uint64_t)info->si_addr - BIAS, gregs[REG_ERR] & 2))
		return true;
	copy_registers(gregs, &running->registers);
	running->faulted = true;
	gregs[REG_RIP] = (greg_t)native_engine_leave;
	return false;
}

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#define FAULT_SIGNALS (sizeof(fault_signals) / sizeof(fault_signals[0]))

/* What was there before; a test may have handlers of its own. */
struct old_handlers {
	struct sigaction action[FAULT_SIGNALS];
	stack_t stack;
};

static void catch_faults(struct old_handlers *ret_old)
{
	static uint8_t stack_bytes[65536];
	const stack_t stack = {.ss_sp = stack_bytes, .ss_size = sizeof(stack_bytes)};
	struct sigaction action = {.sa_sigaction = native_engine_signal,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	sigaltstack(&stack, &ret_old->stack);
	for (unsigned i = 0; i < FAULT_SIGNALS; i++)
		sigaction(fault_signals[i], &action, &ret_old->action[i]);
}

static void restore_handlers(const struct old_handlers *old)
{
	for (unsigned i = 0; i < FAULT_SIGNALS; i++)
		sigaction(fault_signals[i], &old->action[i], NULL);
	sigaltstack(&old->stack, NULL);
}

/* ---- creation ---- */

static int map_runtime(struct native_engine *native)
{
	static const struct {
		uint32_t offset, file, bytes;
		int protection;
	} parts[] = {
		{0, 0, PAGE_BYTES, PROT_READ | PROT_WRITE},
		{RUNTIME_INPUT, RUNTIME_INPUT, PAGE_BYTES, PROT_READ},
		{RUNTIME_SPACE, RUNTIME_SPACE_FILE(0), RUNTIME_SPACE_BYTES, PROT_READ},
		{RUNTIME_CODE, RUNTIME_CODE, RUNTIME_CODE_BYTES, PROT_READ | PROT_EXEC},
	};
	int fd = translator_runtime_fd(native->translator);

	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		void *want = (void *)(uintptr_t)(RUNTIME_BASE + parts[i].offset);
		if (mmap(want, parts[i].bytes, parts[i].protection,
			 MAP_SHARED | MAP_FIXED_NOREPLACE, fd, parts[i].file) != want)
			return -EEXIST;
	}
	void *guest =
		mmap((void *)BIAS, GUEST_BYTES, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	return guest == (void *)BIAS ? 0 : -EEXIST;
}

static void native_destroy(struct engine *engine)
{
	struct native_engine *native = (struct native_engine *)engine;

	munmap((void *)BIAS, GUEST_BYTES);
	munmap((void *)(uintptr_t)RUNTIME_BASE, RUNTIME_LINEAR_BYTES);
	translator_destroy(native->translator);
	engine_destroy(native->interp);
	for (unsigned i = 0; i < engine->machine->config.n_regions; i++)
		if (native->ram_fd[i] > 0)
			close(native->ram_fd[i]);
	free(native);
}

static int native_create(struct machine *machine, struct engine **ret_engine)
{
	const struct native_engine_options *options = &native_engine_options;
	struct native_engine *native = calloc(1, sizeof(*native));
	const struct translator_config config = {
		.machine = machine,
		.bias = BIAS,
		.leave = RUNTIME_LEAVE_JUMP,
		.load_fs_base = true,
		.cache_bytes = options->cache_bytes,
		.ahead = 8,
		.distrust_host = options->distrust_host,
		.poll_often = options->poll_often,
		.max_insns = options->max_insns,
	};
	int r = 0;

	if (!native)
		return -ENOMEM;
	native->engine.ops = &native_engine_ops;
	native->engine.machine = machine;
	for (unsigned i = 0; i < machine->config.n_regions && !r; i++)
		r = share_region(native, i);
	r = r ? r : engine_create(&interp_engine_ops, machine, &native->interp);
	r = r ? r : translator_create(&config, &native->translator);
	r = r ? r : map_runtime(native);
	if (r) {
		native_destroy(&native->engine);
		return r;
	}
	translator_context(native->translator)->leave = (uint64_t)native_engine_leave;
	*ret_engine = &native->engine;
	return 0;
}

struct translator *native_engine_translator(const struct engine *engine)
{
	return ((const struct native_engine *)engine)->translator;
}

bool native_engine_report(struct engine *engine, char *text, size_t n)
{
	const struct translator_statistics *statistics =
		translator_statistics(native_engine_translator(engine));
	uint64_t total = engine->machine->icount;

	snprintf(text, n,
		 "%llu of %llu steps translated; %llu blocks, %llu faults, %llu dropped, %llu "
		 "flushes",
		 (unsigned long long)statistics->counted, (unsigned long long)total,
		 (unsigned long long)statistics->blocks, (unsigned long long)statistics->faults,
		 (unsigned long long)statistics->dropped, (unsigned long long)statistics->flushes);
	return statistics->counted * 50 > total;
}

/* ---- running ---- */

static int hash_table_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	struct native_engine *native = ctx;
	const uint8_t *flags = memory_flags(native->engine.machine->memory, gpa);

	if (*flags & PAGE_TABLE)
		native->tables_hash =
			XXH3_64bits_withSeed(page, PAGE_BYTES, native->tables_hash ^ gpa);
	return 0;
}

/* Addresses noted by the translator hold while nothing they were found through has changed. */
static void check_tables(struct native_engine *native)
{
	const struct cpu *cpu = machine_current(native->engine.machine);
	const uint64_t registers[] = {cpu->cr0, cpu->cr3, cpu->cr4, cpu->efer};
	uint64_t before = native->tables_hash;

	native->tables_hash = XXH3_64bits(registers, sizeof(registers));
	memory_each_page(native->engine.machine->memory, hash_table_page, native);
	if (native->tables_hash != before)
		translator_drop_space(native->translator, 0);
}

static void load_fpu(const struct cpu *cpu)
{
	native_engine_fx = cpu->fx;
}

static void store_fpu(struct cpu *cpu)
{
	const struct fx_state *fx = &native_engine_fx;

	cpu->fx.fcw = fx->fcw;
	cpu->fx.fsw = fx->fsw;
	cpu->fx.ftw = fx->ftw;
	cpu->fx.mxcsr = fx->mxcsr;
	for (unsigned i = 0; i < 8; i++)
		memcpy(cpu->fx.st[i], fx->st[i], 10);
	memcpy(cpu->fx.xmm, fx->xmm, sizeof(fx->xmm));
}

/* Outside of translated code nothing lies at its addresses: the test may jump there by itself. */
static void show_code(bool visible)
{
	mprotect((void *)(uintptr_t)(RUNTIME_BASE + RUNTIME_CODE), RUNTIME_CODE_BYTES,
		 visible ? PROT_READ | PROT_EXEC : PROT_NONE);
	mprotect((void *)(uintptr_t)(RUNTIME_BASE + RUNTIME_SPACE), RUNTIME_SPACE_BYTES,
		 visible ? PROT_READ : PROT_NONE);
	mprotect((void *)(uintptr_t)RUNTIME_BASE, PAGE_BYTES,
		 visible ? PROT_READ | PROT_WRITE : PROT_NONE);
	mprotect((void *)(uintptr_t)(RUNTIME_BASE + RUNTIME_INPUT), PAGE_BYTES,
		 visible ? PROT_READ : PROT_NONE);
}

/* Leaves with state where it belongs. Returns false when what came is not explained. */
static void run_translated(struct native_engine *native, struct cpu *cpu, uint64_t entry,
			   uint64_t budget)
{
	struct translator *t = native->translator;
	struct runtime_context *context = translator_context(t);
	struct old_handlers old;

	translator_enter(t, cpu, entry, budget);
	native_engine_guest_fs = context->fs_base;
	load_fpu(cpu);
	native->faulted = false;
	catch_faults(&old);
	show_code(true);
	do {
		running = native;
		native_engine_enter(translator_enter_address(t), BIAS);
		running = NULL;
		unmap_pages(native); /* linking may have protected pages or set bits */
	} while (!native->faulted && context->exit == RUNTIME_EXIT_LINK &&
		 translator_continue(t, cpu));
	show_code(false);
	restore_handlers(&old);
	store_fpu(cpu);
	if (!native->faulted) {
		translator_leave(t, cpu);
	} else if (!translator_fault(t, &native->registers, cpu)) {
		printf("Bail out! fault at %llx in translated code is not explained\n",
		       (unsigned long long)native->registers.rip);
		exit(1);
	}
}

static uint64_t try_find(struct native_engine *native, struct cpu *cpu, uint64_t until)
{
	const struct machine *machine = native->engine.machine;

	if (machine->crossing.n_answers ||
	    until - machine->icount <= translator_poll_bound(native->translator))
		return 0;
	return translator_find(native->translator, cpu);
}

static enum engine_exit native_run(struct engine *engine, const struct run_control *control)
{
	struct native_engine *native = (struct native_engine *)engine;
	struct machine *machine = engine->machine;
	uint32_t bound = translator_poll_bound(native->translator);
	struct cpu *cpu = machine_current(machine);
	uint64_t step = INTERP_STEP;

	cpu_update_mode(cpu);
	check_tables(native);
	for (;;) {
		uint64_t entry = try_find(native, cpu, control->until_icount);
		if (entry && !control->interrupt_window && !control->nmi_window) {
			run_translated(native, cpu, entry, control->until_icount - bound);
			step = 1;
		}
		struct run_control once = *control;
		if (control->until_icount - machine->icount > step)
			once.until_icount = machine->icount + step;
		enum engine_exit exit = native->interp->ops->run(native->interp, &once);
		if (exit != ENGINE_LIMIT || machine->icount >= control->until_icount)
			return exit;
		check_tables(native);
		step = INTERP_STEP;
	}
}

static void native_flush(struct engine *engine)
{
	struct native_engine *native = (struct native_engine *)engine;

	native->interp->ops->flush(native->interp);
	translator_flush(native->translator);
}

static int native_set_breakpoints(struct engine *engine, const uint64_t *linear, unsigned n)
{
	struct native_engine *native = (struct native_engine *)engine;
	int r = native->interp->ops->set_breakpoints(native->interp, linear, n);

	return r ? r : translator_set_breakpoints(native->translator, linear, n);
}

const struct engine_ops native_engine_ops = {
	.name = "native",
	.create = native_create,
	.destroy = native_destroy,
	.run = native_run,
	.flush = native_flush,
	.set_breakpoints = native_set_breakpoints,
};
