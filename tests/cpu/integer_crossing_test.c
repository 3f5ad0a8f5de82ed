/*
 * Integer instructions on device memory, in real mode: what crosses the boundary, in which order,
 * and that an instruction which faults has crossed nothing and changed nothing. The oracle cannot
 * see this.
 *
 * DS lies over device memory, ES and SS over RAM; offset 0xffff of any segment faults for wider
 * accesses than a byte.
 */
#include <string.h>

#include "tests/tap.h"
#include "vmm/cpu/exec.h"
#include "vmm/machine.h"

#define DEVICE_GPA 0x20000u
#define STACK_GPA  0x8000u
#define EXTRA_GPA  0x4000u

enum { READ = CROSSING_MMIO_READ, WRITE = CROSSING_MMIO_WRITE };

struct expected {
	uint8_t kind; /* 0: no more */
	uint8_t size;
	uint32_t offset; /* in the device */
	uint64_t value;  /* written, or given as the answer */
};

struct test_case {
	const char *name;
	uint8_t code[8];
	uint16_t ax, bx, cx, si, di, sp; /* before */
	struct expected crossing[4];
	int vector; /* -1: retires */
	uint16_t ax_after;
	uint16_t sp_after;
	uint16_t ram_at; /* in SS, checked when not 0 */
	uint16_t ram_after;
};

static const struct test_case cases[] = {
	{"add [bx], ax reads, then writes",
	 {0x01, 0x07},
	 .ax = 3,
	 .bx = 0x10,
	 .sp = 0x100,
	 .crossing = {{READ, 2, 0x10, 0x1111}, {WRITE, 2, 0x10, 0x1114}},
	 .vector = -1,
	 .ax_after = 3,
	 .sp_after = 0x100},
	{"cmp [bx], ax reads only",
	 {0x39, 0x07},
	 .ax = 3,
	 .bx = 0x10,
	 .sp = 0x100,
	 .crossing = {{READ, 2, 0x10, 3}},
	 .vector = -1,
	 .ax_after = 3,
	 .sp_after = 0x100},
	{"a failing cmpxchg writes back",
	 {0x0f, 0xb1, 0x0f},
	 .ax = 3,
	 .bx = 0x10,
	 .cx = 9,
	 .sp = 0x100,
	 .crossing = {{READ, 2, 0x10, 0x77}, {WRITE, 2, 0x10, 0x77}},
	 .vector = -1,
	 .ax_after = 0x77,
	 .sp_after = 0x100},
	{"xchg writes the register's old value",
	 {0x87, 0x07},
	 .ax = 3,
	 .bx = 0x10,
	 .sp = 0x100,
	 .crossing = {{READ, 2, 0x10, 0x55}, {WRITE, 2, 0x10, 3}},
	 .vector = -1,
	 .ax_after = 0x55,
	 .sp_after = 0x100},
	{"shl by 0 counts as a write",
	 {0xc1, 0x27, 0x20},
	 .bx = 0x10,
	 .sp = 0x100,
	 .crossing = {{READ, 2, 0x10, 0x4321}, {WRITE, 2, 0x10, 0x4321}},
	 .vector = -1,
	 .sp_after = 0x100},
	{"push [bx] reads, then stores",
	 {0xff, 0x37},
	 .bx = 0x10,
	 .sp = 0x100,
	 .crossing = {{READ, 2, 0x10, 0xabcd}},
	 .vector = -1,
	 .sp_after = 0xfe,
	 .ram_at = 0xfe,
	 .ram_after = 0xabcd},
	{"push [bx] on a bad stack reads nothing",
	 {0xff, 0x37},
	 .bx = 0x10,
	 .sp = 1,
	 .vector = VECTOR_SS,
	 .sp_after = 1},
	{"pop [bx] writes",
	 {0x8f, 0x07},
	 .bx = 0x10,
	 .sp = 0x100,
	 .crossing = {{WRITE, 2, 0x10, 0x5a5a}},
	 .vector = -1,
	 .sp_after = 0x102},
	{"pop beyond the limit writes nothing",
	 {0x8f, 0x07},
	 .bx = 0xffff,
	 .sp = 0x100,
	 .vector = VECTOR_GP,
	 .sp_after = 0x100},
	{"movsw to a bad destination reads nothing",
	 {0xa5},
	 .si = 0x10,
	 .di = 0xffff,
	 .sp = 0x100,
	 .vector = VECTOR_GP,
	 .sp_after = 0x100},
	{"cmpsw with a bad second operand reads nothing",
	 {0xa7},
	 .si = 0x10,
	 .di = 0xffff,
	 .sp = 0x100,
	 .vector = VECTOR_GP,
	 .sp_after = 0x100},
	{"lodsw",
	 {0xad},
	 .si = 0x10,
	 .sp = 0x100,
	 .crossing = {{READ, 2, 0x10, 0x1234}},
	 .vector = -1,
	 .ax_after = 0x1234,
	 .sp_after = 0x100},
	{"call [bx] on a bad stack reads nothing",
	 {0xff, 0x17},
	 .bx = 0x10,
	 .sp = 1,
	 .vector = VECTOR_SS,
	 .sp_after = 1},
	{"call [bx] reads the target",
	 {0xff, 0x17},
	 .bx = 0x10,
	 .sp = 0x100,
	 .crossing = {{READ, 2, 0x10, 0x700}},
	 .vector = -1,
	 .sp_after = 0xfe,
	 .ram_at = 0xfe,
	 .ram_after = 0x1002},
	{"bts with a far bit offset",
	 {0x0f, 0xab, 0x07},
	 .ax = 0x105,
	 .bx = 0x10,
	 .sp = 0x100,
	 .crossing = {{READ, 2, 0x30, 0}, {WRITE, 2, 0x30, 0x20}},
	 .vector = -1,
	 .ax_after = 0x105,
	 .sp_after = 0x100},
	{"an unaligned word crosses in bytes",
	 {0x8b, 0x07},
	 .bx = 0x11,
	 .sp = 0x100,
	 .crossing = {{READ, 1, 0x11, 0x34}, {READ, 1, 0x12, 0x12}},
	 .vector = -1,
	 .ax_after = 0x1234,
	 .sp_after = 0x100},
	{"pusha that wraps badly stores nothing",
	 {0x60},
	 .ax = 7,
	 .sp = 0x0b,
	 .vector = VECTOR_SS,
	 .ax_after = 7,
	 .sp_after = 0x0b},
	{"push at sp 0 wraps",
	 {0x50},
	 .ax = 7,
	 .sp = 0,
	 .vector = -1,
	 .ax_after = 7,
	 .sp_after = 0xfffe,
	 .ram_at = 0xfffe,
	 .ram_after = 7},
};

static struct machine *make_machine(void)
{
	static const struct machine_config config = {
		.n_vcpus = 1,
		.cpu_model = "x86-64-v2",
		.regions = {{.kind = REGION_RAM, .gpa = 0, .bytes = DEVICE_GPA},
			    {.kind = REGION_DEVICE, .gpa = DEVICE_GPA, .bytes = 0x10000}},
		.n_regions = 2,
	};
	struct machine *machine = NULL;

	return machine_create(&config, &machine) == 0 ? machine : NULL;
}

static void set_segment(struct cpu *cpu, enum seg_index seg, uint64_t base)
{
	cpu->seg[seg].base = base;
	cpu->seg[seg].limit = 0xffff;
	cpu->seg[seg].selector = (uint16_t)(base >> 4);
}

static void load(struct cpu *cpu, const struct test_case *t)
{
	static const uint8_t zeros[0x10000];

	memory_write(cpu->machine->memory, EXTRA_GPA, zeros, sizeof(zeros));
	memory_write(cpu->machine->memory, STACK_GPA + 0x100, "\x5a\x5a", 2);
	set_segment(cpu, SEG_CS, 0);
	set_segment(cpu, SEG_DS, DEVICE_GPA);
	set_segment(cpu, SEG_ES, EXTRA_GPA);
	set_segment(cpu, SEG_SS, STACK_GPA);
	cpu->gpr[RAX] = t->ax;
	cpu->gpr[RBX] = t->bx;
	cpu->gpr[RCX] = t->cx;
	cpu->gpr[RSI] = t->si;
	cpu->gpr[RDI] = t->di;
	cpu->gpr[RSP] = t->sp;
	cpu->rip = 0x1000;
	cpu->stop = CPU_STOP_NONE;
	cpu->machine->crossing.n_answers = 0;
	cpu_update_mode(cpu);
}

static bool request_is(const struct crossing_request *request, const struct expected *expected)
{
	return request->kind == expected->kind && request->size == expected->size &&
	       request->address == DEVICE_GPA + expected->offset &&
	       (expected->kind == READ || request->value == expected->value);
}

/* Runs the instruction to its end, answering crossings. Returns false when one is not as expected.
 */
static bool run(struct cpu *cpu, const struct insn *insn, const struct test_case *t)
{
	struct crossing *crossing = &cpu->machine->crossing;
	unsigned n = 0;

	for (;;) {
		crossing->n_used = 0;
		cpu->stop = CPU_STOP_NONE;
		cpu->next_rip = cpu->rip + insn->length;
		if (insn_row(insn->mnemonic)->exec(cpu, insn) || cpu->stop != CPU_STOP_CROSSING)
			return n == 4 || t->crossing[n].kind == 0;
		if (n == 4 || !request_is(&crossing->request, &t->crossing[n]))
			return false;
		crossing->answers[crossing->n_answers++] = t->crossing[n++].value;
	}
}

static bool check_end(const struct cpu *cpu, const struct test_case *t)
{
	int vector = cpu->stop == CPU_STOP_FAULT ? cpu->fault.vector : -1;
	uint16_t ram = 0;

	memory_read(cpu->machine->memory, STACK_GPA + t->ram_at, &ram, sizeof(ram));
	return vector == t->vector && cpu->gpr[RAX] == t->ax_after &&
	       cpu->gpr[RSP] == t->sp_after && (t->ram_at == 0 || ram == t->ram_after);
}

int main(void)
{
	struct machine *machine = make_machine();

	if (!tap_ok(machine != NULL, "machine made"))
		return tap_done();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct test_case *t = &cases[i];
		struct cpu *cpu = machine_current(machine);
		struct insn insn;

		load(cpu, t);
		if (!tap_ok(insn_decode(t->code, sizeof(t->code), cpu->mode, &insn) == INSN_OK,
			    "%s: decodes", t->name))
			continue;
		tap_ok(run(cpu, &insn, t), "%s: crossings", t->name);
		tap_ok(check_end(cpu, t), "%s: registers, memory, fault", t->name);
	}
	machine_destroy(machine);
	return tap_done();
}
