/* Where a made-up kernel is entered and left: its IDT, its system call entry, and what a vCPU that
 * stands there came from. */
#include "gdbstub/linux/crossings.h"

#include "tests/tap.h"
#include "tests/unit/linux_fixture.h"

#define IDT      0x6000u
#define HANDLER  0x7000u /* 16 bytes each */
#define STACK    0xf000u
#define N_GATES  40u
#define ABSENT   20u /* this gate is not present */
#define USER_RIP 0x401234u

static struct fixture fixture;
static struct machine *machine;
static struct kernel *kernel;
static struct linux_guest guest;

static void put_gate(unsigned vector)
{
	uint64_t handler = FIXTURE_LINEAR + HANDLER + vector * 16;
	uint16_t gate[8] = {(uint16_t)handler, 0x10, (uint16_t)(vector == ABSENT ? 0x0e00 : 0x8e00),
			    (uint16_t)(handler >> 16)};
	uint32_t high = (uint32_t)(handler >> 32);

	memcpy(gate + 4, &high, sizeof(high));
	memcpy(fixture.image + IDT + vector * 16, gate, sizeof(gate));
}

/* At the system call's entry: NOP, SWAPGS, then SYSRET, or none. */
static void put_entry(bool has_sysret)
{
	static const uint8_t code[] = {0x90, 0x0f, 0x01, 0xf8, 0x48, 0x0f, 0x07};

	memset(fixture.image + 0x100, 0x90, 2048);
	memcpy(fixture.image + 0x100, code, has_sysret ? sizeof(code) : 4);
}

static void load(bool has_sysret)
{
	struct cpu *cpu = &machine->vcpu[0];

	put_entry(has_sysret);
	for (unsigned i = 0; i < N_GATES; i++)
		put_gate(i);
	memory_load(machine->memory, FIXTURE_GPA, fixture.image, sizeof(fixture.image));
	fixture_start(machine);
	cpu->idtr.base = FIXTURE_LINEAR + IDT;
	cpu->idtr.limit = N_GATES * 16 - 1;
}

static void put_frame(uint64_t at, uint64_t rip, uint64_t cs)
{
	const uint64_t frame[] = {rip, cs};

	memory_load(machine->memory, FIXTURE_GPA + at, frame, sizeof(frame));
}

static void test_found(const struct crossings *crossings)
{
	bool ascending = true;

	for (unsigned i = 1; i < crossings->n_entries; i++)
		ascending &= crossings->entry[i - 1].address < crossings->entry[i].address;
	tap_ok(crossings->n_entries == N_GATES && ascending,
	       "all gates but the absent one, and the system call's");
	tap_ok(crossings->sysret == FIXTURE_LINEAR + 0x104, "SYSRET");
	tap_ok(crossings->iret == FIXTURE_LINEAR + FIXTURE_IRET, "IRET");
	tap_ok(!crossings_entry(crossings, FIXTURE_LINEAR + HANDLER + ABSENT * 16) &&
		       !crossings_entry(crossings, FIXTURE_LINEAR + HANDLER + 1),
	       "elsewhere is no entry");
	const struct crossing_entry *call = crossings_entry(crossings, FIXTURE_LINEAR + 0x100);
	const struct crossing_entry *debug =
		crossings_entry(crossings, FIXTURE_LINEAR + HANDLER + 16);
	const struct crossing_entry *fault =
		crossings_entry(crossings, FIXTURE_LINEAR + HANDLER + 14 * 16);
	const struct crossing_entry *device =
		crossings_entry(crossings, FIXTURE_LINEAR + HANDLER + 38 * 16);
	tap_ok(call && call->syscall && debug && !debug->syscall, "which is which");
	tap_ok(fault && fault->error_code == 8 && debug && !debug->error_code && device &&
		       !device->error_code,
	       "which push an error code");
}

static void test_from_user(const struct crossings *crossings)
{
	struct cpu *cpu = &machine->vcpu[0];
	uint64_t rip = 0;

	cpu->gpr[RCX] = USER_RIP + 2;
	tap_ok(crossings_came_from_user(&guest, cpu,
					crossings_entry(crossings, FIXTURE_LINEAR + 0x100), &rip) &&
		       rip == USER_RIP + 2,
	       "a system call: from what RCX says");
	cpu->gpr[RSP] = FIXTURE_LINEAR + STACK;
	const struct crossing_entry *fault =
		crossings_entry(crossings, FIXTURE_LINEAR + HANDLER + 14 * 16);
	put_frame(STACK + 8, USER_RIP, 0x33);
	tap_ok(crossings_came_from_user(&guest, cpu, fault, &rip) && rip == USER_RIP,
	       "a fault of user code");
	put_frame(STACK + 8, FIXTURE_LINEAR, 0x10);
	tap_ok(!crossings_came_from_user(&guest, cpu, fault, &rip), "a fault of the kernel");
	cpu->gpr[RSP] = 0x1000;
	tap_ok(!crossings_came_from_user(&guest, cpu, fault, &rip), "a stack that is not there");
}

static void test_to_user(const struct crossings *crossings)
{
	struct cpu *cpu = &machine->vcpu[0];

	cpu->rip = crossings->sysret;
	tap_ok(crossings_leads_to_user(&guest, crossings, cpu), "SYSRET leads out");
	cpu->rip = crossings->iret;
	cpu->gpr[RSP] = FIXTURE_LINEAR + STACK;
	put_frame(STACK, USER_RIP, 0x33);
	tap_ok(crossings_leads_to_user(&guest, crossings, cpu), "IRET to user code does");
	put_frame(STACK, FIXTURE_LINEAR, 0x10);
	tap_ok(!crossings_leads_to_user(&guest, crossings, cpu), "IRET to the kernel does not");
	cpu->rip = FIXTURE_LINEAR + 0x100;
	tap_ok(!crossings_leads_to_user(&guest, crossings, cpu), "nothing else does");
}

int main(void)
{
	static const struct fixture_layout layout = {.name = "Linux 6.1", .absolute_percpu = true};
	struct crossings crossings;
	struct reply error = {0};

	machine = fixture_machine();
	fixture_build(&fixture, &layout);
	load(true);
	if (tap_ok(!kernel_find(machine, &kernel), "a kernel")) {
		guest = (struct linux_guest){.machine = machine, .kernel = kernel};
		tap_ok(crossings_find(&guest, &crossings, &error), "its crossings");
		test_found(&crossings);
		test_from_user(&crossings);
		test_to_user(&crossings);
		load(false);
		tap_ok(!crossings_find(&guest, &crossings, &error) && error.n,
		       "without SYSRET it says so");
		reply_finish(&error);
	}
	kernel_destroy(kernel);
	machine_destroy(machine);
	return tap_done();
}
