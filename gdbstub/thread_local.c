/*
 * Thread-local variables of programs with glibc (Drepper, "ELF Handling For Thread-Local Storage",
 * x86-64): the thread pointer's second word leads to a vector of the modules' parts, by number.
 * Modules with such variables are numbered in the order in which they were loaded; one that came
 * into the number of another that was unloaded is not found right.
 */
#include <elf.h>
#include <string.h>

#include "gdbstub/process.h"

#define VECTOR_OFFSET     8
#define VECTOR_ITEM_BYTES 16
#define NOT_THERE         UINT64_MAX /* not made yet for this thread */

struct number_search {
	struct gdbstub *stub;
	uint64_t link_map;
	uint64_t number; /* of the last module with a part */
	bool found;
};

static bool has_part(const uint8_t head[MODULE_HEAD_BYTES])
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	memcpy(&header, head, sizeof(header));
	for (unsigned i = 0; i < header.e_phnum; i++) {
		uint64_t at = header.e_phoff + i * sizeof(segment);
		if (at > MODULE_HEAD_BYTES - sizeof(segment))
			break;
		memcpy(&segment, head + at, sizeof(segment));
		if (segment.p_type == PT_TLS)
			return true;
	}
	return false;
}

static bool count_part(void *ctx, const struct module *module)
{
	struct number_search *search = ctx;
	uint8_t head[MODULE_HEAD_BYTES];
	bool part = process_read_head(search->stub, module->head, head) && has_part(head);

	search->number += part;
	search->found = part && module->link_map == search->link_map;
	return module->link_map != search->link_map;
}

bool process_find_thread_local(struct gdbstub *stub, uint32_t tid, uint64_t offset,
			       uint64_t link_map, uint64_t *ret_address)
{
	struct number_search search = {.stub = stub, .link_map = link_map};
	struct thread_registers registers;
	uint64_t vector, part;

	process_each_module(stub, count_part, &search);
	if (!search.found || !process_view.read_registers(stub, tid, &registers))
		return false;
	uint64_t pointer = registers.cpu.seg[SEG_FS].base;
	if (!process_read_user(stub, pointer + VECTOR_OFFSET, &vector, sizeof(vector)) ||
	    !process_read_user(stub, vector + search.number * VECTOR_ITEM_BYTES, &part,
			       sizeof(part)) ||
	    part == NOT_THERE)
		return false;
	*ret_address = part + offset;
	return true;
}
