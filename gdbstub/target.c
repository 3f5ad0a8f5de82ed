/* Memory and threads as the machine view has them. */
#include "gdbstub/state.h"
#include "vmm/mmu/mmu.h"

bool target_translate(const struct gdbstub *stub, uint32_t vcpu, uint64_t address,
		      uint64_t *ret_gpa)
{
	const struct machine *machine = stub_machine(stub);

	if (!stub->physical)
		return mmu_peek(&machine->vcpu[vcpu], address, ret_gpa);
	*ret_gpa = address;
	return true;
}

bool target_translate_known(struct gdbstub *stub, uint64_t address, uint64_t *ret_gpa)
{
	uint64_t linear = address & PAGE_MASK;
	struct known_page *known = &stub->known[(address >> PAGE_SHIFT) % KNOWN_PAGES_MAX];

	if (target_translate(stub, stub->g_vcpu, address, ret_gpa)) {
		*known = (struct known_page){true, linear, *ret_gpa & PAGE_MASK};
		return true;
	}
	if (!known->valid || known->linear != linear)
		return false;
	*ret_gpa = known->gpa | (address & ~PAGE_MASK);
	return true;
}

size_t target_read(const struct gdbstub *stub, uint32_t vcpu, uint64_t address, void *buffer,
		   size_t n)
{
	const struct memory *memory = stub_machine(stub)->memory;
	uint8_t *out = buffer;
	size_t done = 0;

	while (done < n) {
		uint64_t gpa;
		size_t here = PAGE_BYTES - (address + done) % PAGE_BYTES;
		if (here > n - done)
			here = n - done;
		if (!target_translate(stub, vcpu, address + done, &gpa) ||
		    !memory_page(memory, gpa))
			break;
		memory_read(memory, gpa, out + done, here);
		done += here;
	}
	return done;
}

uint64_t target_pc(const struct cpu *cpu)
{
	return cpu_code64(cpu) ? cpu->rip : (uint32_t)(cpu->seg[SEG_CS].base + cpu->rip);
}

void target_print_thread(struct reply *reply, uint32_t vcpu)
{
	reply_print(reply, "p1.%x", vcpu + 1);
}

bool target_take_thread(const struct gdbstub *stub, struct cursor *cursor, bool *ret_any,
			uint32_t *ret_vcpu)
{
	uint64_t process = 1, thread = 0;

	*ret_any = true;
	if (cursor_take(cursor, "p")) {
		if (!cursor_take(cursor, "-1") && (!cursor_hex(cursor, &process) || process > 1))
			return false;
		if (!cursor_take(cursor, "."))
			return true;
	}
	if (cursor_take(cursor, "-1"))
		return true;
	if (!cursor_hex(cursor, &thread) || thread > stub_machine(stub)->config.n_vcpus)
		return false;
	if (thread) {
		*ret_any = false;
		*ret_vcpu = (uint32_t)thread - 1;
	}
	return true;
}
