#include "vmm/jit/step.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/cpu/interp/ops.h"
#include "vmm/cpu/vector/vector.h"
#include "vmm/jit/code.h"
#include "vmm/machine.h"
#include "vmm/mmu/mmu.h"

#define DECODED 1024u

/* What an instruction is depends on its bytes and mode alone. */
struct decoded {
	uint64_t gpa;        /* of its first byte; NOWHERE: nothing */
	const uint8_t *code; /* where that is in the host */
	uint32_t mode;
	bool alone; /* the jit's writer does not write it */
	uint8_t bytes[INSN_MAX_BYTES];
	struct insn insn;
};

#define NOWHERE UINT64_MAX

struct jit_stepper {
	struct decoded decoded[DECODED];
};

struct jit_stepper *jit_stepper_create(void)
{
	struct jit_stepper *stepper = calloc(1, sizeof(*stepper));

	for (unsigned i = 0; stepper && i < DECODED; i++)
		stepper->decoded[i].gpa = NOWHERE;
	return stepper;
}

void jit_stepper_destroy(struct jit_stepper *stepper)
{
	free(stepper);
}

/* Whether the page of RIP is known to be fetched from; or, if now is set, has been made so. */
static bool is_fetched(struct cpu *cpu, bool now)
{
	uint64_t gpa;

	if (tlb_exec_slot(cpu->tlb, cpu->rip)->tag == (cpu->rip & PAGE_MASK))
		return true;
	return now && mmu_fetch_plain(cpu, cpu->rip, &gpa) &&
	       tlb_exec_slot(cpu->tlb, cpu->rip)->tag == (cpu->rip & PAGE_MASK);
}

/* Where the instruction at RIP is; NOWHERE when it is not fetched, or may reach into the next page.
 */
static uint64_t fetch(struct cpu *cpu, bool now)
{
	uint32_t offset = cpu->rip % PAGE_BYTES;

	if (offset > PAGE_BYTES - INSN_MAX_BYTES || !is_fetched(cpu, now))
		return NOWHERE;
	return tlb_exec_slot(cpu->tlb, cpu->rip)->gpa + offset;
}

static uint64_t load(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

/* memcmp() for an instruction's bytes, of which INSN_MAX_BYTES are there. */
static bool same_bytes(const uint8_t *a, const uint8_t *b, unsigned n)
{
	if (n <= 8)
		return (load(a) ^ load(b)) << (64 - 8 * n) == 0;
	return load(a) == load(b) && load(a + n - 8) == load(b + n - 8);
}

static bool is_alone(const struct insn *insn, uint64_t linear)
{
	static const struct host_flags none;
	struct planned planned = {.insn = *insn};

	classify(insn, &none, &planned.effect);
	return !jit_possible(&planned, linear);
}

static bool decode_anew(struct decoded *decoded, const struct cpu *cpu, uint64_t gpa)
{
	const uint8_t *page = memory_page(cpu->machine->memory, gpa);

	decoded->gpa = NOWHERE;
	if (!page)
		return false;
	decoded->code = page + gpa % PAGE_BYTES;
	if (insn_decode(decoded->code, INSN_MAX_BYTES, cpu->mode & MODE_CODE_MASK,
			&decoded->insn) != INSN_OK)
		return false;
	memcpy(decoded->bytes, decoded->code, INSN_MAX_BYTES);
	decoded->gpa = gpa;
	decoded->mode = cpu->mode;
	decoded->alone = is_alone(&decoded->insn, cpu->rip);
	return true;
}

static const struct decoded *decode(struct jit_stepper *stepper, struct cpu *cpu, bool now)
{
	struct decoded *decoded = &stepper->decoded[(cpu->rip ^ cpu->rip >> 10) % DECODED];
	uint64_t gpa = fetch(cpu, now);

	if (gpa == NOWHERE)
		return NULL;
	if (decoded->gpa == gpa && decoded->mode == cpu->mode &&
	    same_bytes(decoded->bytes, decoded->code, decoded->insn.length))
		return decoded;
	return decode_anew(decoded, cpu, gpa) ? decoded : NULL;
}

bool jit_step_is_due(struct jit_stepper *stepper, struct cpu *cpu)
{
	const struct decoded *decoded = decode(stepper, cpu, false);

	return decoded && decoded->alone;
}

/* Checks that are not the exec function's own are interp's. */
static bool is_plain(const struct cpu *cpu, const struct insn *insn, const struct insn_row *row)
{
	return row->exec && !(row->flags & (ROW_REP | ROW_FPU | ROW_SSE | ROW_ALIGN16)) &&
	       !(insn->prefixes & PREFIX_LOCK) && (!(row->flags & ROW_CPL0) || cpu->cpl == 0);
}

/* Repeats that compare may end early, and other instructions follow. */
#define COMPARES_MAX 64

static uint64_t repeats(const struct cpu *cpu, const struct insn *insn)
{
	bool compares = (insn->opcode & 0xf6) == 0xa6; /* CMPS, SCAS */
	uint64_t count = gpr_read(cpu, RCX, insn->addr_size);

	if (!count)
		return 1;
	return compares && count > COMPARES_MAX ? COMPARES_MAX : count;
}

/* Has cached translations serve both operands. Returns whether one has come. */
static bool fill_operands(struct cpu *cpu)
{
	bool to = mmu_fill_plain(cpu, cpu->gpr[RDI], ACCESS_WRITE);

	return mmu_fill_plain(cpu, cpu->gpr[RSI], ACCESS_READ) || to;
}

/* bytes begin with size ones that all the others repeat. */
static void repeat_bytes(uint8_t *bytes, uint64_t size, uint64_t total)
{
	for (uint64_t done = size; done < total; done *= 2)
		memcpy(bytes + done, bytes, done < total - done ? done : total - done);
}

/*
 * Iterations of STOS in a page that is written by the slow path alone, as those that were page
 * tables are when a kernel clears them: in one go. Returns how many.
 */
static uint64_t store_slowly(struct cpu *cpu, const struct insn *insn, uint64_t limit)
{
	unsigned size = insn->op_size;
	uint64_t to = cpu->gpr[RDI], n = (PAGE_BYTES - to % PAGE_BYTES) / size, gpa;
	uint8_t bytes[PAGE_BYTES];

	if (n > limit)
		n = limit;
	if ((insn->opcode != 0xaa && insn->opcode != 0xab) || (cpu->rflags_rest & FLAG_DF) ||
	    n < 2 || !mmu_write_is_plain(cpu, to, &gpa) ||
	    !memory_is_ram(cpu->machine->memory, gpa, n * size))
		return 0;
	memcpy(bytes, &cpu->gpr[RAX], size);
	repeat_bytes(bytes, size, n * size);
	memory_write(cpu->machine->memory, gpa, bytes, n * size);
	cpu->stop = CPU_STOP_NONE; /* nothing is running that depends on what was dropped */
	cpu->gpr[RDI] += n * size;
	return n;
}

/* What can be done by the page of a repeat; the rest is interp's. */
static uint64_t run_repeat(struct cpu *cpu, const struct insn *insn, uint64_t until)
{
	struct machine *machine = cpu->machine;

	if (insn->addr_size != 8)
		return repeats(cpu, insn);
	while (cpu->gpr[RCX] && machine->icount < until) {
		uint64_t left = until - machine->icount, count = cpu->gpr[RCX];
		uint64_t done = rep_bulk(cpu, insn, count < left ? count : left);
		if (!done && left > 1 && count > 1 && fill_operands(cpu))
			done = rep_bulk(cpu, insn, count < left ? count : left);
		if (!done)
			done = store_slowly(cpu, insn, count < left ? count : left);
		if (!done)
			break;
		cpu->gpr[RCX] -= done;
		machine->icount += done;
		if (cpu->gpr[RCX])
			continue;
		cpu->rip += insn->length;
		return 0;
	}
	if (machine->icount < until)
		return repeats(cpu, insn);
	cpu->rflags_rest |= FLAG_RF; /* as between iterations always (SDM 3B 17.3.1.1) */
	cpu_update_mode(cpu);
	return 0;
}

uint64_t jit_step_count(struct jit_stepper *stepper, struct cpu *cpu)
{
	const struct decoded *decoded = decode(stepper, cpu, false);

	return decoded && (decoded->insn.prefixes & (PREFIX_REP | PREFIX_REPNE))
		       ? repeats(cpu, &decoded->insn)
		       : 1;
}

/* What holds for one instruction ends with it. */
static void end_shadow(struct cpu *cpu, uint8_t shadow)
{
	if (shadow == SHADOW_NONE || cpu->shadow != shadow)
		return;
	cpu->shadow = SHADOW_NONE;
	cpu_update_mode(cpu);
}

/* The host's MXCSR has sticky flags of the host's. */
static bool execute(struct cpu *cpu, const struct insn *insn, const struct insn_row *row)
{
	if (!(row->flags & ROW_MXCSR))
		return row->exec(cpu, insn);
	vector_enter(cpu);
	bool retired = row->exec(cpu, insn);
	vector_leave(cpu);
	return retired;
}

uint64_t jit_step(struct jit_stepper *stepper, struct cpu *cpu, uint64_t until)
{
	uint8_t shadow = cpu->shadow;
	struct machine *machine = cpu->machine;
	const struct decoded *decoded = decode(stepper, cpu, true);

	if (!decoded)
		return 1;
	const struct insn *insn = &decoded->insn;
	if (insn->prefixes & (PREFIX_REP | PREFIX_REPNE))
		return shadow == SHADOW_NONE ? run_repeat(cpu, insn, until) : 1;
	if (!is_plain(cpu, insn, insn_row(insn->mnemonic)))
		return 1;
	cpu->next_rip = cpu->rip + insn->length;
	machine->crossing.n_used = 0;
	cpu->stop = CPU_STOP_NONE;
	if (execute(cpu, insn, insn_row(insn->mnemonic))) {
		cpu->rip = cpu->next_rip;
		machine->icount++;
		cpu->stop = CPU_STOP_NONE;
		end_shadow(cpu, shadow);
		return 0;
	}
	bool faulted = cpu->stop == CPU_STOP_FAULT;
	if (faulted)
		exception_deliver(cpu);
	cpu->stop = CPU_STOP_NONE;
	return faulted ? 0 : 1;
}
