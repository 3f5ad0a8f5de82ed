/* The kernel: see long.h. */
#include "long.h"

#define N_TASKS      2
#define N_PAGES      256
#define PAGE_BYTES   4096
#define STACK_BYTES  8192
#define TICK_HZ      5000
#define CHANNEL      0x510
#define CHANNEL_END  (CHANNEL + 5)
#define CHANNEL_PLAN (CHANNEL + 7)

#define PRESENT    UINT64_C(1)
#define WRITABLE   UINT64_C(2)
#define USER       UINT64_C(4)
#define NO_EXECUTE (UINT64_C(1) << 63)

#define VECTOR_PAGE_FAULT 14
#define FAULT_PRESENT     1
#define FAULT_WRITE       2

#define FLAGS_OF_USERS 0x3202 /* IF, and IOPL 3: they use ports */

struct gate {
	uint16_t offset_low, selector;
	uint8_t stack, attributes;
	uint16_t offset_middle;
	uint32_t offset_high, zero;
};

struct task {
	struct registers *registers; /* on its stack, while another one runs */
	uint64_t recover, result;
	uint64_t *pml4;
	bool ended;
	uint8_t fx[512] __attribute__((aligned(16)));
	uint8_t stack[STACK_BYTES] __attribute__((aligned(16)));
};

extern uint64_t kernel_pd[512], kernel_stack;
extern uint8_t trap_stubs[N_VECTORS][16], user_load[], user_bytes[];
extern void resume(void);

static struct gate idt[N_VECTORS];
static struct task tasks[N_TASKS];
static struct task *current;
static uint8_t pages[N_PAGES][PAGE_BYTES] __attribute__((aligned(4096)));
static uint64_t shared[512] __attribute__((aligned(4096))); /* ticks */
static unsigned pages_used;
static uint64_t faults, copies, switches;

/* ---- memory ---- */

static void *new_page(void)
{
	uint64_t count = PAGE_BYTES / 8;
	void *page, *to;

	if (pages_used == N_PAGES) {
		put_text("no page is left\n");
		guest_power_off();
	}
	page = to = pages[pages_used++];
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(0) : "memory");
	return page;
}

static uint64_t *next_table(uint64_t *entry)
{
	if (!(*entry & PRESENT))
		*entry = (uint64_t)new_page() | PRESENT | WRITABLE | USER;
	return (uint64_t *)(*entry & ~UINT64_C(0xfff));
}

static uint64_t *entry_of(uint64_t linear)
{
	uint64_t *pdpt = next_table(&current->pml4[linear >> 39 & 511]);
	uint64_t *pd = next_table(&pdpt[linear >> 30 & 511]);

	return &next_table(&pd[linear >> 21 & 511])[linear >> 12 & 511];
}

static bool is_users(uint64_t linear)
{
	return linear >= USER_IMAGE && linear < USER_STACK;
}

/* The image is shared until a task writes to a page of it. */
static void copy_page(uint64_t *entry, uint64_t linear)
{
	void *from = (void *)(*entry & ~UINT64_C(0xfff)), *page = new_page(), *to = page;
	uint64_t count = PAGE_BYTES;

	__asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
	*entry = (uint64_t)page | PRESENT | WRITABLE | USER;
	__asm__ volatile("invlpg %0" : : "m"(*(uint8_t *)linear));
	copies++;
}

static uint64_t first_entry(uint64_t linear)
{
	uint64_t offset = (linear - USER_IMAGE) & ~UINT64_C(0xfff);

	if (offset < (uint64_t)user_bytes)
		return (uint64_t)(user_load + offset) | PRESENT | USER;
	if (linear - USER_SHARED < PAGE_BYTES)
		return (uint64_t)shared | PRESENT | USER | NO_EXECUTE;
	return (uint64_t)new_page() | PRESENT | WRITABLE | USER | NO_EXECUTE;
}

static bool mend(uint64_t linear, uint64_t error)
{
	uint64_t *entry;

	if (!is_users(linear))
		return false;
	entry = entry_of(linear);
	faults++;
	if (!(*entry & PRESENT))
		*entry = first_entry(linear);
	else if ((error & FAULT_WRITE) && linear - USER_IMAGE < (uint64_t)user_bytes)
		copy_page(entry, linear);
	else
		return false;
	return true;
}

static void unmap(uint64_t linear)
{
	*entry_of(linear) = 0;
	__asm__ volatile("invlpg %0" : : "m"(*(uint8_t *)linear));
}

/* ---- tasks ---- */

static struct task *next_task(void)
{
	struct task *task = current;

	do
		task = task == &tasks[N_TASKS - 1] ? tasks : task + 1;
	while (task->ended && task != current);
	return task;
}

static void run_task(struct task *task)
{
	current = task;
	kernel_stack = (uint64_t)(task->stack + STACK_BYTES);
	__asm__ volatile("mov %0, %%cr3" : : "r"(task->pml4) : "memory");
	__asm__ volatile("fxrstor64 %0" : : "m"(task->fx));
}

static struct registers *switch_task(struct registers *registers)
{
	struct task *task = next_task();

	if (task == current)
		return registers;
	current->registers = registers;
	__asm__ volatile("fxsave64 %0" : "=m"(current->fx));
	run_task(task);
	switches++;
	return task->registers;
}

static void create_task(struct task *task, uint64_t number)
{
	uint64_t *pdpt;

	task->pml4 = new_page();
	pdpt = next_table(&task->pml4[0]);
	pdpt[0] = (uint64_t)kernel_pd | PRESENT | WRITABLE;
	task->registers = (struct registers *)(task->stack + STACK_BYTES) - 1;
	*task->registers = (struct registers){.rdi = number,
					      .rip = (uint64_t)user_main,
					      .cs = USER_CS,
					      .rflags = FLAGS_OF_USERS,
					      .rsp = USER_STACK - 8,
					      .ss = USER_DS};
	__asm__ volatile("fninit; fxsave64 %0" : "=m"(task->fx));
}

static struct registers *end_task(struct registers *registers)
{
	uint64_t sum = 0;

	current->result = registers->rdi;
	current->ended = true;
	if (!next_task()->ended)
		return switch_task(registers);
	put_line("kernel", (uint64_t)(faults > 40) << 8 | (copies > 2) << 4 | (switches > 2));
	for (unsigned i = 0; i < N_TASKS; i++)
		sum = sum * 3 + tasks[i].result;
	put_line("tasks", sum);
	put_text("long done\n");
	outb(CHANNEL_END, 5);
	guest_power_off();
}

/* ---- traps ---- */

static uint64_t read_plan(void)
{
	uint8_t plan;

	outb(CHANNEL_PLAN, 0);
	plan = inb(CHANNEL_PLAN);
	if (plan == 'r')
		outb(0xcf9, 6);
	return plan;
}

static struct registers *system_call(struct registers *registers)
{
	uint64_t number = registers->rax, tick = shared[0];

	registers->rax = 0;
	if (number == CALL_TEXT)
		put_text((const char *)registers->rdi);
	else if (number == CALL_LINE)
		put_line((const char *)registers->rdi, registers->rsi);
	else if (number == CALL_YIELD)
		return switch_task(registers);
	else if (number == CALL_RECOVER)
		current->recover = registers->rdi;
	else if (number == CALL_UNMAP)
		unmap(registers->rdi);
	else if (number == CALL_PLAN)
		registers->rax = read_plan();
	else if (number == CALL_EXIT)
		return end_task(registers);
	else
		while (shared[0] == tick)
			halt();
	return registers;
}

static struct registers *fail(struct registers *registers)
{
	put_line("trap", registers->vector);
	put_line("error", registers->error);
	put_line("rip", registers->rip);
	guest_power_off();
}

struct registers *trap(struct registers *registers)
{
	uint64_t linear;

	if (registers->vector == VECTOR_SYSCALL)
		return system_call(registers);
	if (registers->vector == VECTOR_TICK) {
		shared[0]++;
		end_of_interrupt(0);
		return registers->cs == USER_CS ? switch_task(registers) : registers;
	}
	__asm__ volatile("mov %%cr2, %0" : "=r"(linear));
	if (registers->vector == VECTOR_PAGE_FAULT && mend(linear, registers->error))
		return registers;
	if (registers->cs != USER_CS || !current->recover)
		return fail(registers);
	registers->rip = current->recover;
	registers->rax = registers->vector << 8 | registers->error;
	current->recover = 0;
	return registers;
}

/* ---- the start ---- */

static void set_gates(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)idt};

	for (unsigned i = 0; i < N_VECTORS; i++) {
		uint64_t address = (uint64_t)trap_stubs[i];

		idt[i] = (struct gate){.offset_low = (uint16_t)address,
				       .selector = KERNEL_CS,
				       .attributes = 0x8e,
				       .offset_middle = (uint16_t)(address >> 16)};
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void guest_main(void)
{
	set_gates();
	for (uint64_t i = 0; i < N_TASKS; i++)
		create_task(&tasks[i], i);
	set_up_pics(1 << 0);
	set_up_pit(TICK_HZ);
	run_task(tasks);
	__asm__ volatile("mov %0, %%rsp; jmp resume" : : "r"(current->registers));
	__builtin_unreachable();
}
