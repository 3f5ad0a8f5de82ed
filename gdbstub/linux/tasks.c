#include "gdbstub/linux/tasks.h"

#include <string.h>

#include "vmm/mmu/mmu.h"

#define MAX_THREADS 65536

/* What is saved on entry to the kernel (Linux arch/x86/include/asm/ptrace.h). */
struct saved_registers {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t orig_rax, rip, cs, rflags, rsp, ss;
};

/* Where it lies below the top of the stack: kernels with FRED leave 16 bytes free. */
static const uint8_t paddings[] = {0, 16};

bool task_read(const struct linux_guest *guest, uint64_t address, struct task *ret)
{
	const struct linux_layout *at = &guest->at;
	struct task task = {.address = address};

	if (!address || !linux_read(guest, address + at->task_pid, &task.tid, 4) ||
	    !linux_read(guest, address + at->task_tgid, &task.pid, 4) ||
	    !linux_read(guest, address + at->task_leader, &task.leader, 8) ||
	    !linux_read(guest, address + at->task_mm, &task.mm, 8) ||
	    !linux_read(guest, address + at->task_comm, task.name, sizeof(task.name)))
		return false;
	task.name[sizeof(task.name) - 1] = '\0';
	*ret = task;
	return true;
}

/* A circular list: its head lies in the signal structure that the threads share. */
void task_each(const struct linux_guest *guest, uint64_t leader,
	       bool (*fn)(void *ctx, const struct task *task), void *ctx)
{
	const struct linux_layout *at = &guest->at;
	uint64_t signal = linux_read_u64(guest, leader + at->task_signal);
	uint64_t head = signal + at->signal_threads, node = head;
	struct task task;

	for (unsigned i = 0; signal && i < MAX_THREADS; i++) {
		node = linux_read_u64(guest, node);
		if (!node || node == head ||
		    !task_read(guest, node - at->task_thread_node, &task) || !fn(ctx, &task))
			return;
	}
}

struct search {
	uint32_t tid;
	bool found;
	struct task task;
};

static bool is_wanted(void *ctx, const struct task *task)
{
	struct search *search = ctx;

	if (task->tid == search->tid) {
		search->found = true;
		search->task = *task;
	}
	return !search->found;
}

bool task_find_thread(const struct linux_guest *guest, uint64_t leader, uint32_t tid,
		      struct task *ret)
{
	struct search search = {.tid = tid};

	task_each(guest, leader, is_wanted, &search);
	if (search.found)
		*ret = search.task;
	return search.found;
}

int task_vcpu(const struct linux_guest *guest, uint64_t task)
{
	for (uint32_t i = 0; i < guest->machine->config.n_vcpus; i++)
		if (linux_current_task(guest, i) == task)
			return (int)i;
	return -1;
}

bool task_in_user_mode(const struct linux_guest *guest, uint64_t task)
{
	int vcpu = task_vcpu(guest, task);

	return vcpu >= 0 && guest->machine->vcpu[vcpu].cpl == 3;
}

/* Linux include/linux/sched.h */
#define STATE_UNINTERRUPTIBLE 2

bool task_waits_firmly(const struct linux_guest *guest, uint64_t task)
{
	return guest->at.has_state &&
	       linux_read_u32(guest, task + guest->at.task_state) & STATE_UNINTERRUPTIBLE;
}

uint64_t task_pgd(const struct linux_guest *guest, uint64_t mm)
{
	const struct machine *machine = guest->machine;
	uint64_t pgd = mm ? linux_read_u64(guest, mm + guest->at.mm_pgd) : 0, gpa;

	return pgd && mmu_peek(&machine->vcpu[machine->current], pgd, &gpa) ? gpa : 0;
}

uint32_t task_live_threads(const struct linux_guest *guest, uint64_t task)
{
	uint64_t signal = linux_read_u64(guest, task + guest->at.task_signal);

	return signal ? linux_read_u32(guest, signal + guest->at.signal_live) : 0;
}

uint32_t task_group_exit_status(const struct linux_guest *guest, uint64_t task)
{
	uint64_t signal = linux_read_u64(guest, task + guest->at.task_signal);

	return signal ? linux_read_u32(guest, signal + guest->at.signal_exit_code) : 0;
}

void task_space(const struct linux_guest *guest, uint64_t pgd_gpa, struct cpu *ret)
{
	const struct machine *machine = guest->machine;

	*ret = machine->vcpu[machine->current];
	ret->cr3 = pgd_gpa;
}

/* ---- registers ---- */

static bool is_user_frame(const struct saved_registers *saved)
{
	return (saved->cs & 3) == 3 && (saved->ss & 3) == 3 && saved->cs < 0x100 &&
	       saved->ss < 0x100;
}

static bool read_saved(const struct linux_guest *guest, uint64_t task, struct saved_registers *ret)
{
	uint64_t stack = linux_read_u64(guest, task + guest->at.task_stack);

	for (size_t i = 0; stack && i < sizeof(paddings); i++) {
		uint64_t at = stack + guest->at.stack_bytes - paddings[i] - sizeof(*ret);
		if (linux_read(guest, at, ret, sizeof(*ret)) && is_user_frame(ret))
			return true;
	}
	return false;
}

static void set_selector(struct segment *segment, uint64_t selector, uint32_t attr)
{
	segment->selector = (uint16_t)selector;
	segment->base = 0;
	segment->limit = UINT32_MAX;
	segment->attr = attr;
}

static void take_saved(const struct saved_registers *saved, struct thread_registers *ret)
{
	const uint64_t gpr[16] = {
		[RAX] = saved->rax, [RCX] = saved->rcx, [RDX] = saved->rdx, [RBX] = saved->rbx,
		[RSP] = saved->rsp, [RBP] = saved->rbp, [RSI] = saved->rsi, [RDI] = saved->rdi,
		[R8] = saved->r8,   [R9] = saved->r9,   [R10] = saved->r10, [R11] = saved->r11,
		[R12] = saved->r12, [R13] = saved->r13, [R14] = saved->r14, [R15] = saved->r15,
	};
	const uint32_t user = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_DPL | SEG_ATTR_RW |
			      SEG_ATTR_ACCESSED | SEG_ATTR_G;

	memcpy(ret->cpu.gpr, gpr, sizeof(gpr));
	ret->cpu.rip = saved->rip;
	ret->rflags = saved->rflags;
	ret->orig_rax = saved->orig_rax;
	set_selector(&ret->cpu.seg[SEG_CS], saved->cs, user | SEG_ATTR_CODE | SEG_ATTR_L);
	set_selector(&ret->cpu.seg[SEG_SS], saved->ss, user | SEG_ATTR_DB);
}

static void clear_x87(struct fx_state *fx)
{
	fx->fcw = 0x37f;
	fx->fsw = 0;
	fx->ftw = 0;
	memset(fx->st, 0, sizeof(fx->st));
}

/* What FXSAVE or XSAVE left; XSAVE leaves out what is in its initial state (SDM 1 13.4). */
static void read_saved_fpu(const struct linux_guest *guest, uint64_t task, struct cpu *cpu)
{
	const struct linux_layout *at = &guest->at;
	uint64_t area = task + at->task_fpu_state, in_use;
	struct fx_state fx;

	if (at->fpu_is_apart)
		area = linux_read_u64(guest, area) + at->fpu_state_area;
	if (!linux_read(guest, area, &fx, sizeof(fx)))
		return;
	in_use = cpu->cr4 & CR4_OSXSAVE ? linux_read_u64(guest, area + sizeof(fx)) : 3;
	if (!(in_use & 1))
		clear_x87(&fx);
	if (!(in_use & 2))
		memset(fx.xmm, 0, sizeof(fx.xmm));
	cpu->fx = fx;
}

/* The kernel reloads the FPU late: it may hold the current task's state or not any more. */
static bool fpu_is_live(const struct linux_guest *guest, uint64_t task, int vcpu)
{
	return vcpu >= 0 && linux_fpu_owner(guest, (uint32_t)vcpu) == task &&
	       linux_read_u32(guest, task + guest->at.task_fpu_cpu) == (uint32_t)vcpu;
}

/* A task that is in the kernel, on a vCPU or waiting. */
static bool read_kernel_side(const struct linux_guest *guest, uint64_t task, int vcpu,
			     struct thread_registers *ret)
{
	struct saved_registers saved;
	struct cpu *cpu = &ret->cpu;

	if (!read_saved(guest, task, &saved))
		return false;
	take_saved(&saved, ret);
	if (!fpu_is_live(guest, task, vcpu))
		read_saved_fpu(guest, task, cpu);
	if (vcpu >= 0) {
		cpu->seg[SEG_GS].base = guest->machine->vcpu[vcpu].kernel_gs_base;
	} else {
		cpu->seg[SEG_FS].base = linux_read_u64(guest, task + guest->at.task_fs_base);
		cpu->seg[SEG_GS].base = linux_read_u64(guest, task + guest->at.task_gs_base);
		cpu->seg[SEG_FS].selector = cpu->seg[SEG_GS].selector = 0;
		cpu->seg[SEG_DS].selector = cpu->seg[SEG_ES].selector = 0;
	}
	return true;
}

bool task_registers(const struct linux_guest *guest, uint64_t task, uint64_t pgd_gpa,
		    struct thread_registers *ret)
{
	const struct machine *machine = guest->machine;
	int vcpu = task_vcpu(guest, task);

	ret->cpu = machine->vcpu[vcpu >= 0 ? (uint32_t)vcpu : machine->current];
	if (vcpu >= 0 && ret->cpu.cpl == 3) {
		ret->rflags = cpu_rflags(&ret->cpu);
		ret->orig_rax = UINT64_MAX;
		return true;
	}
	ret->cpu.cr3 = pgd_gpa;
	return read_kernel_side(guest, task, vcpu, ret);
}

void task_describe_current(const struct linux_guest *guest, uint32_t vcpu, struct reply *reply)
{
	struct task task;

	if (!task_read(guest, linux_current_task(guest, vcpu), &task))
		return;
	for (char *c = task.name; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	reply_print(reply, "%s %s, process %u, thread %u\n",
		    guest->machine->vcpu[vcpu].cpl == 3 ? "in" : "in the kernel for", task.name,
		    task.pid, task.tid);
}
