#include "vmm/translate/writer.h"

#include "vmm/translate/space.h"
#include "vmm/translate/trampoline.h"

static void jump_link(struct emitter *e, uint32_t link)
{
	emit_jump_memory(e, space_link_address(link));
}

const struct writer writer_mmu = {
	.name = "mmu",
	.possible = copy_possible,
	.block = generate_block,
	.next = branch_emit_next,
	.finish = generator_finish,
	.jump_link = jump_link,
	.trampolines = trampolines_emit,
	.thunks = true,
};
