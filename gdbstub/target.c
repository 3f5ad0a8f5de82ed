/* Memory and thread numbers as the view has them. */
#include <string.h>

#include "gdbstub/state.h"
#include "vmm/mmu/mmu.h"

bool target_translate(const struct gdbstub *stub, uint32_t thread, uint64_t address,
		      uint64_t *ret_gpa)
{
	struct cpu space;

	if (stub->physical) {
		*ret_gpa = address;
		return true;
	}
	return stub->view->read_space(stub, thread, &space) && mmu_peek(&space, address, ret_gpa);
}

/* Reads inside one page. */
static size_t read_page(struct gdbstub *stub, const struct cpu *space, uint64_t address,
			void *buffer, size_t n)
{
	const struct memory *memory = stub_machine(stub)->memory;
	uint64_t gpa = address;

	if ((stub->physical || mmu_peek(space, address, &gpa)) && memory_page(memory, gpa)) {
		memory_read(memory, gpa, buffer, n);
		return n;
	}
	if (stub->physical || !stub->view->read_absent)
		return 0;
	return stub->view->read_absent(stub, address, buffer, n);
}

size_t target_read(struct gdbstub *stub, uint32_t thread, uint64_t address, void *buffer, size_t n)
{
	uint8_t *out = buffer;
	size_t done = 0;
	struct cpu space;

	if (!stub->view->read_space(stub, thread, &space))
		return 0;
	while (done < n) {
		size_t here = PAGE_BYTES - (address + done) % PAGE_BYTES;
		if (here > n - done)
			here = n - done;
		size_t got = read_page(stub, &space, address + done, out + done, here);
		done += got;
		if (got < here)
			break;
	}
	return done;
}

uint64_t target_pc(const struct cpu *cpu)
{
	return cpu_code64(cpu) ? cpu->rip : (uint32_t)(cpu->seg[SEG_CS].base + cpu->rip);
}

uint64_t target_thread_pc(const struct gdbstub *stub, uint32_t thread)
{
	struct thread_registers registers;

	return stub->view->read_registers(stub, thread, &registers) ? target_pc(&registers.cpu) : 0;
}

void target_print_thread(const struct gdbstub *stub, struct reply *reply, uint32_t thread)
{
	reply_print(reply, "p%x.%x", stub->view->process(stub), thread);
}

bool target_take_thread(const struct gdbstub *stub, struct cursor *cursor, uint32_t *ret_thread)
{
	const uint64_t ours = stub->view->process(stub);
	uint64_t process = ours, thread = 0;

	*ret_thread = 0;
	if (cursor_take(cursor, "p")) {
		if (!cursor_take(cursor, "-1") &&
		    (!cursor_hex(cursor, &process) || (process && process != ours)))
			return false;
		if (!cursor_take(cursor, "."))
			return true;
	}
	if (cursor_take(cursor, "-1"))
		return true;
	if (!cursor_hex(cursor, &thread) || thread > UINT32_MAX)
		return false;
	*ret_thread = (uint32_t)thread;
	return !thread || stub->view->has_thread(stub, (uint32_t)thread);
}
