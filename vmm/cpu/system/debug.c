/* Debug registers and breakpoints (SDM 3B 17.2, 17.3). */
#include <Zydis/Mnemonic.h>

#include "vmm/cpu/system/control.h"
#include "vmm/cpu/system/system.h"

/* R/W field of DR7. */
enum breakpoint_kind { BREAK_EXECUTE, BREAK_WRITE, BREAK_PORT, BREAK_ACCESS };

#define N_BREAKPOINTS 4

static bool breakpoint_enabled(const struct cpu *cpu, unsigned n)
{
	return (cpu->dr7 >> (2 * n)) & 3;
}

static enum breakpoint_kind breakpoint_kind(const struct cpu *cpu, unsigned n)
{
	return (enum breakpoint_kind)((cpu->dr7 >> (16 + 4 * n)) & 3);
}

static unsigned breakpoint_bytes(const struct cpu *cpu, unsigned n)
{
	static const uint8_t bytes[] = {1, 2, 8, 4};

	return bytes[(cpu->dr7 >> (18 + 4 * n)) & 3];
}

/* True when [address, address+n) meets breakpoint i, whose own range is aligned to its length. */
static bool ranges_meet(const struct cpu *cpu, unsigned i, uint64_t address, unsigned n)
{
	uint64_t size = breakpoint_bytes(cpu, i);
	uint64_t start = cpu->dr[i] & ~(size - 1);

	return address - start < size || start - address < n;
}

bool debug_code_match(struct cpu *cpu, uint64_t linear)
{
	uint64_t bits = 0;

	if (cpu->rflags_rest & FLAG_RF)
		return false;
	for (unsigned i = 0; i < N_BREAKPOINTS; i++) {
		if (breakpoint_enabled(cpu, i) && breakpoint_kind(cpu, i) == BREAK_EXECUTE &&
		    cpu->dr[i] == linear)
			bits |= UINT64_C(1) << i;
	}
	if (!bits)
		return false;
	raise_fault(cpu, VECTOR_DB);
	cpu->fault.dr6 = bits;
	return true;
}

static uint64_t matching_data(const struct cpu *cpu, uint64_t linear, unsigned n,
			      enum access_kind kind)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < N_BREAKPOINTS; i++) {
		enum breakpoint_kind wanted = breakpoint_kind(cpu, i);
		bool kind_fits =
			wanted == BREAK_ACCESS || (wanted == BREAK_WRITE && kind == ACCESS_WRITE);
		if (breakpoint_enabled(cpu, i) && kind_fits && ranges_meet(cpu, i, linear, n))
			bits |= UINT64_C(1) << i;
	}
	return bits;
}

static void add_pending(struct cpu *cpu, uint64_t bits)
{
	if (bits) {
		cpu->pending_db |= bits;
		cpu->attention = true;
	}
}

void debug_data_access(struct cpu *cpu, uint64_t linear, unsigned n, enum access_kind kind)
{
	if ((cpu->dr7 & DR7_ENABLES) && kind != ACCESS_EXEC)
		add_pending(cpu, matching_data(cpu, linear, n, kind));
}

void debug_port_access(struct cpu *cpu, uint16_t port, unsigned n)
{
	uint64_t bits = 0;

	if (!(cpu->dr7 & DR7_ENABLES) || !(cpu->cr4 & CR4_DE))
		return;
	for (unsigned i = 0; i < N_BREAKPOINTS; i++) {
		if (breakpoint_enabled(cpu, i) && breakpoint_kind(cpu, i) == BREAK_PORT &&
		    ranges_meet(cpu, i, port, n))
			bits |= UINT64_C(1) << i;
	}
	add_pending(cpu, bits);
}

bool debug_raise_pending(struct cpu *cpu)
{
	uint64_t bits = cpu->pending_db;

	cpu->pending_db = 0;
	raise_fault(cpu, VECTOR_DB);
	cpu->fault.dr6 = bits;
	return false;
}

bool debug_step_suppressed(const struct insn *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_INT:
	case ZYDIS_MNEMONIC_INT1:
	case ZYDIS_MNEMONIC_INT3:
	case ZYDIS_MNEMONIC_INTO:
	case ZYDIS_MNEMONIC_SYSCALL:
		return true;
	default:
		return false;
	}
}

/* ---- MOV ---- */

static uint64_t *debug_register(struct cpu *cpu, unsigned n)
{
	switch (n) {
	case 6:
		return &cpu->dr6;
	case 7:
		return &cpu->dr7;
	default:
		return &cpu->dr[n];
	}
}

static bool write_debug(struct cpu *cpu, unsigned n, uint64_t value)
{
	if (n >= 6 && value >> 32)
		return raise_gp(cpu, 0);
	if (n == 6)
		value = (value & DR6_BITS) | DR6_FIXED;
	if (n == 7)
		value = (value & DR7_BITS) | DR7_FIXED;
	*debug_register(cpu, n) = value;
	cpu_update_mode(cpu);
	return true;
}

static bool check_general_detect(struct cpu *cpu)
{
	if (!(cpu->dr7 & DR7_GD))
		return true;
	raise_fault(cpu, VECTOR_DB);
	cpu->fault.dr6 = DR6_BD;
	return false;
}

bool exec_mov_debug(struct cpu *cpu, const struct insn *insn)
{
	bool to_debug = insn->operand[0].reg_class == REG_DR;
	unsigned n = insn->operand[to_debug ? 0 : 1].reg;

	if (n > 7 || ((n == 4 || n == 5) && (cpu->cr4 & CR4_DE)))
		return raise_ud(cpu);
	if (cpu->cpl != 0)
		return raise_gp(cpu, 0);
	if (!check_general_detect(cpu))
		return false;
	if (n == 4 || n == 5) /* without CR4.DE they are other names of DR6 and DR7 */
		n += 2;
	if (to_debug)
		return write_debug(cpu, n, reg_read(cpu, &insn->operand[1]));
	reg_write(cpu, &insn->operand[0], *debug_register(cpu, n));
	return true;
}
