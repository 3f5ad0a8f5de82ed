/*
 * Recording faults, and delivering faults and interrupts with what happens when a delivery faults
 * itself (SDM 3A 6.15, interrupt 8). How one delivery works is in delivery.c.
 */
#include "vmm/cpu/system/delivery.h"
#include "vmm/cpu/system/rflags.h"
#include "vmm/cpu/system/system.h"
#include "vmm/machine.h"

/* ---- recording ---- */

static bool record(struct cpu *cpu, const struct fault *fault)
{
	cpu->fault = *fault;
	cpu->stop = CPU_STOP_FAULT;
	return false;
}

bool raise_fault(struct cpu *cpu, enum vector vector)
{
	return record(cpu, &(struct fault){.vector = (uint8_t)vector});
}

bool raise_fault_error(struct cpu *cpu, enum vector vector, uint32_t error)
{
	return record(
		cpu, &(struct fault){.vector = (uint8_t)vector, .has_error = true, .error = error});
}

bool raise_page_fault(struct cpu *cpu, uint64_t address, uint32_t error)
{
	return record(cpu, &(struct fault){.vector = VECTOR_PF,
					   .has_error = true,
					   .error = error,
					   .address = address});
}

/* ---- a fault while delivering ---- */

enum fault_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT };

static enum fault_class fault_class(uint8_t vector)
{
	switch (vector) {
	case VECTOR_DE:
	case VECTOR_TS:
	case VECTOR_NP:
	case VECTOR_SS:
	case VECTOR_GP:
		return CLASS_CONTRIBUTORY;
	case VECTOR_PF:
		return CLASS_PAGE_FAULT;
	default:
		return CLASS_BENIGN;
	}
}

/* SDM 3A table 6-5. */
static bool makes_double_fault(enum fault_class first, enum fault_class second)
{
	if (first == CLASS_PAGE_FAULT)
		return second != CLASS_BENIGN;
	return first == CLASS_CONTRIBUTORY && second == CLASS_CONTRIBUTORY;
}

/* What detecting a fault does to registers, whether or not its handler is reached. */
static void note_detection(struct cpu *cpu, const struct fault *fault)
{
	if (fault->vector == VECTOR_PF) {
		cpu->cr2 = fault->address;
	} else if (fault->vector == VECTOR_DB && fault->dr6) {
		/* B0 to B3 say what matched this time; the rest stays until cleared by software. */
		cpu->dr6 = (cpu->dr6 & ~(uint64_t)DR6_BREAKPOINTS) | fault->dr6;
		cpu->dr7 &= ~(uint64_t)DR7_GD;
	}
}

/*
 * RF in the pushed image makes the return skip instruction breakpoints: set for faults, other than
 * #DB by such a breakpoint, which has RF clear anyway (SDM 3B 17.3.1.1).
 */
static bool sets_resume_flag(const struct fault *fault)
{
	return fault->vector != VECTOR_DF && fault->vector != VECTOR_MC &&
	       (fault->vector != VECTOR_DB || (fault->dr6 & DR6_BD));
}

static struct delivery delivery_of_fault(const struct cpu *cpu, const struct fault *fault)
{
	return (struct delivery){
		.vector = fault->vector,
		.has_error = fault->has_error,
		.error = fault->error,
		.rip = cpu->rip,
		.rflags = cpu_rflags(cpu) | (sets_resume_flag(fault) ? FLAG_RF : 0),
	};
}

static void shut_down(struct cpu *cpu)
{
	cpu->activity = ACTIVITY_SHUTDOWN;
	cpu_update_mode(cpu);
}

/*
 * The longest way to #DF that ends by itself has four deliveries. Beyond it the vCPU repeats
 * itself, as when #AC comes again of pushing its own frame; hardware would hang there.
 */
#define MAX_DELIVERIES 8

/* One more fault, met while delivering: what is to be delivered now. */
static struct delivery delivery_after(struct cpu *cpu, enum fault_class *class)
{
	struct fault fault = cpu->fault;

	note_detection(cpu, &fault);
	if (makes_double_fault(*class, fault_class(fault.vector)))
		fault = (struct fault){.vector = VECTOR_DF, .has_error = true};
	*class = fault_class(fault.vector);
	return delivery_of_fault(cpu, &fault);
}

/*
 * Delivers, and what comes of it, until a handler is reached or the vCPU shuts down. class is that
 * of the event that delivery stands for.
 */
static void deliver_until_taken(struct cpu *cpu, struct delivery delivery, enum fault_class class)
{
	for (unsigned n = 1; !delivery_run(cpu, &delivery); n++) {
		/*
		 * Descriptor tables or stacks in device memory cannot be waited for here: nothing
		 * sensible lies there, and a delivery is one step.
		 */
		if (cpu->stop == CPU_STOP_CROSSING || delivery.vector == VECTOR_DF ||
		    n == MAX_DELIVERIES) {
			shut_down(cpu);
			return;
		}
		delivery = delivery_after(cpu, &class);
	}
	cpu->rip = cpu->next_rip;
}

static void begin_step(struct cpu *cpu)
{
	cpu->stop = CPU_STOP_NONE;
	cpu->machine->crossing.n_answers = 0;
	cpu->machine->crossing.n_used = 0;
	cpu->machine->icount++;
}

static void end_step(struct cpu *cpu)
{
	cpu->stop = CPU_STOP_NONE;
	cpu_update_mode(cpu);
}

/*
 * A #DB takes along what a load of SS before its instruction left pending: on the handler's first
 * instruction it would come a second time, and overwrite the frame where #DB has a stack of its
 * own. No instruction that raises #DB itself meets a data breakpoint, so all that is pending is
 * older.
 */
static void join_pending_debug(struct cpu *cpu, struct fault *fault)
{
	if (fault->vector != VECTOR_DB)
		return;
	fault->dr6 |= cpu->pending_db;
	cpu->pending_db = 0;
}

void exception_deliver(struct cpu *cpu)
{
	struct fault fault = cpu->fault;

	begin_step(cpu);
	join_pending_debug(cpu, &fault);
	note_detection(cpu, &fault);
	deliver_until_taken(cpu, delivery_of_fault(cpu, &fault), fault_class(fault.vector));
	end_step(cpu);
}

void interrupt_deliver(struct cpu *cpu, uint8_t vector, bool nmi)
{
	struct delivery delivery = {
		.vector = nmi ? VECTOR_NMI : vector,
		.rip = cpu->rip,
		.rflags = cpu_rflags(cpu),
	};

	begin_step(cpu);
	cpu->activity = ACTIVITY_RUNNING;
	if (nmi)
		cpu->nmi_blocked = true;
	deliver_until_taken(cpu, delivery, CLASS_BENIGN);
	end_step(cpu);
}

/* INT1 is a #DB without a bit of its own in DR6. */
static void note_int1(struct cpu *cpu)
{
	struct fault fault = {.vector = VECTOR_DB};

	join_pending_debug(cpu, &fault);
	note_detection(cpu, &fault);
}

bool interrupt_software(struct cpu *cpu, uint8_t vector, bool from_int_n)
{
	struct delivery delivery = {
		.vector = vector,
		/* INT1 passes as a hardware exception (SDM 2, INT n). */
		.software = from_int_n || vector != VECTOR_DB,
		.rip = cpu->next_rip,
		.rflags = cpu_rflags(cpu) & ~(uint64_t)FLAG_RF,
	};

	/* Without VME, INT n in virtual-8086 mode needs IOPL 3; INT3 and INTO do not. */
	if (from_int_n && !rflags_check_v8086_iopl(cpu))
		return false;
	if (!delivery_run(cpu, &delivery))
		return false;
	if (!delivery.software)
		note_int1(cpu);
	cpu_update_mode(cpu);
	return true;
}
