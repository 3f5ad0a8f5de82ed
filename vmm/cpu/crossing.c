/*
 * Crossings from inside an instruction: the k-th one finds its answer in machine->crossing, or
 * leaves its request there and stops the instruction, which then runs again from its start.
 */
#include <string.h>

#include "vmm/cpu/exec.h"
#include "vmm/machine.h"

static bool cross(struct cpu *cpu, const struct crossing_request *request, uint64_t *ret_value)
{
	struct crossing *crossing = &cpu->machine->crossing;

	if (crossing->n_used < crossing->n_answers) {
		*ret_value = crossing->answers[crossing->n_used++];
		return true;
	}
	crossing->request = *request;
	cpu->stop = CPU_STOP_CROSSING;
	return false;
}

static uint64_t truncate_to(uint64_t value, unsigned size)
{
	return size == 8 ? value : value & ((UINT64_C(1) << (8 * size)) - 1);
}

static bool cross_read(struct cpu *cpu, enum crossing_kind kind, uint64_t address, unsigned size,
		       uint64_t *ret_value)
{
	uint64_t value;
	if (!cross(cpu, &(struct crossing_request){kind, size, address, 0}, &value))
		return false;
	*ret_value = truncate_to(value, size);
	return true;
}

static bool cross_write(struct cpu *cpu, enum crossing_kind kind, uint64_t address, unsigned size,
			uint64_t value)
{
	uint64_t taken;
	return cross(cpu, &(struct crossing_request){kind, size, address, truncate_to(value, size)},
		     &taken);
}

bool cross_port_read(struct cpu *cpu, uint16_t port, unsigned size, uint64_t *ret_value)
{
	return cross_read(cpu, CROSSING_PORT_READ, port, size, ret_value);
}

bool cross_port_write(struct cpu *cpu, uint16_t port, unsigned size, uint64_t value)
{
	return cross_write(cpu, CROSSING_PORT_WRITE, port, size, value);
}

bool cross_msr_read(struct cpu *cpu, uint32_t msr, uint64_t *ret_value)
{
	return cross_read(cpu, CROSSING_MSR_READ, msr, 8, ret_value);
}

bool cross_msr_write(struct cpu *cpu, uint32_t msr, uint64_t value)
{
	return cross_write(cpu, CROSSING_MSR_WRITE, msr, 8, value);
}

bool cross_cr8_read(struct cpu *cpu, uint64_t *ret_value)
{
	return cross_read(cpu, CROSSING_CR8_READ, 0, 8, ret_value);
}

bool cross_cr8_write(struct cpu *cpu, uint64_t value)
{
	return cross_write(cpu, CROSSING_CR8_WRITE, 0, 8, value);
}

bool cross_random(struct cpu *cpu, bool seed, uint64_t *ret_value)
{
	return cross_read(cpu, seed ? CROSSING_RDSEED : CROSSING_RDRAND, 0, 8, ret_value);
}

bool cross_mmio_read(struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t *ret_value)
{
	return cross_read(cpu, CROSSING_MMIO_READ, gpa, size, ret_value);
}

bool cross_mmio_write(struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t value)
{
	return cross_write(cpu, CROSSING_MMIO_WRITE, gpa, size, value);
}
