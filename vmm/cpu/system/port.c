/* IN, OUT, INS, OUTS: permission by IOPL and the TSS's bitmap (SDM 1 18.5), then the boundary. */
#include <Zydis/Mnemonic.h>

#include "vmm/cpu/flags.h"
#include "vmm/cpu/system/descriptor.h"
#include "vmm/cpu/system/rflags.h"
#include "vmm/cpu/system/system.h"
#include "vmm/machine.h"

#define TSS_BITMAP_OFFSET 0x66u

/* ---- permission ---- */

static bool read_tss(struct cpu *cpu, uint32_t offset, uint16_t *ret_word)
{
	const struct segment *tr = &cpu->seg[SEG_TR];
	uint64_t linear = tr->base + offset;

	if (offset + 1 > tr->limit)
		return raise_gp(cpu, 0);
	if (!cpu_long_mode(cpu))
		linear = (uint32_t)linear;
	return linear_read(cpu, linear, ret_word, 2, PRIVILEGE_SYSTEM);
}

/* Two bytes of the bitmap are read whatever the port, so that one access's bits are all there. */
static bool check_bitmap(struct cpu *cpu, uint16_t port, unsigned size)
{
	uint16_t start, bits;

	if ((cpu->seg[SEG_TR].attr & SEG_ATTR_TYPE) != TYPE_TSS32_BUSY)
		return raise_gp(cpu, 0);
	if (!read_tss(cpu, TSS_BITMAP_OFFSET, &start) ||
	    !read_tss(cpu, (uint32_t)start + port / 8, &bits))
		return false;
	return !((bits >> (port % 8)) & ((1u << size) - 1)) || raise_gp(cpu, 0);
}

static bool check_permission(struct cpu *cpu, uint16_t port, unsigned size)
{
	if (!(cpu->cr0 & CR0_PE) || (!cpu_v8086(cpu) && cpu->cpl <= cpu_iopl(cpu)))
		return true;
	return check_bitmap(cpu, port, size);
}

/* ---- access ---- */

static bool port_is_assigned(const struct cpu *cpu, uint16_t port)
{
	return (cpu->machine->port_assigned[port / 8] >> (port % 8)) & 1;
}

static bool port_read(struct cpu *cpu, uint16_t port, unsigned size, uint64_t *ret_value)
{
	if (!port_is_assigned(cpu, port))
		*ret_value = zero_extend(UINT64_MAX, size);
	else if (!cross_port_read(cpu, port, size, ret_value))
		return false;
	debug_port_access(cpu, port, size);
	return true;
}

static bool port_write(struct cpu *cpu, uint16_t port, unsigned size, uint64_t value)
{
	if (port_is_assigned(cpu, port) && !cross_port_write(cpu, port, size, value))
		return false;
	debug_port_access(cpu, port, size);
	return true;
}

/* There are no 64-bit port accesses: REX.W leaves 32 bits. */
static unsigned access_bytes(unsigned operand_bytes)
{
	return operand_bytes > 4 ? 4 : operand_bytes;
}

/* The port operand: DX, or an immediate byte. */
static uint16_t port_operand(const struct cpu *cpu, const struct insn *insn, unsigned n)
{
	return insn->operand[n].kind == OPERAND_IMM ? (uint8_t)insn->imm : (uint16_t)cpu->gpr[RDX];
}

bool exec_in(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = access_bytes(insn->operand[0].size);
	uint16_t port = port_operand(cpu, insn, 1);
	uint64_t value;

	if (!check_permission(cpu, port, size) || !port_read(cpu, port, size, &value))
		return false;
	gpr_write(cpu, RAX, size, value);
	return true;
}

bool exec_out(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = access_bytes(insn->operand[1].size);
	uint16_t port = port_operand(cpu, insn, 0);

	return check_permission(cpu, port, size) &&
	       port_write(cpu, port, size, gpr_read(cpu, RAX, size));
}

/* ---- strings ---- */

static unsigned string_bytes(const struct insn *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_INSB:
	case ZYDIS_MNEMONIC_OUTSB:
		return 1;
	case ZYDIS_MNEMONIC_INSW:
	case ZYDIS_MNEMONIC_OUTSW:
		return 2;
	default:
		return 4;
	}
}

static void advance(struct cpu *cpu, const struct insn *insn, unsigned reg, unsigned size)
{
	uint64_t delta = cpu->rflags_rest & FLAG_DF ? -(uint64_t)size : size;

	gpr_write(cpu, reg, insn->addr_size, cpu->gpr[reg] + delta);
}

/* The destination is checked before the port is read: reading may change the device. */
bool exec_ins(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = string_bytes(insn);
	uint16_t port = (uint16_t)cpu->gpr[RDX];
	uint64_t linear, value;

	if (!check_permission(cpu, port, size) ||
	    !segment_linear(cpu, SEG_ES, gpr_read(cpu, RDI, insn->addr_size), size, ACCESS_WRITE,
			    &linear) ||
	    !linear_probe(cpu, linear, size, ACCESS_WRITE, PRIVILEGE_CURRENT) ||
	    !port_read(cpu, port, size, &value) ||
	    !linear_write(cpu, linear, &value, size, PRIVILEGE_CURRENT))
		return false;
	advance(cpu, insn, RDI, size);
	return true;
}

bool exec_outs(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = string_bytes(insn);
	uint16_t port = (uint16_t)cpu->gpr[RDX];
	uint64_t linear, value = 0;

	if (!check_permission(cpu, port, size) ||
	    !segment_linear(cpu, insn->seg, gpr_read(cpu, RSI, insn->addr_size), size, ACCESS_READ,
			    &linear) ||
	    !linear_read(cpu, linear, &value, size, PRIVILEGE_CURRENT) ||
	    !port_write(cpu, port, size, value))
		return false;
	advance(cpu, insn, RSI, size);
	return true;
}

bool port_check_repeat(struct cpu *cpu, const struct insn *insn)
{
	if (insn->opcode_map != 0 || (insn->opcode & 0xfc) != 0x6c)
		return true;
	return check_permission(cpu, (uint16_t)cpu->gpr[RDX], string_bytes(insn));
}
