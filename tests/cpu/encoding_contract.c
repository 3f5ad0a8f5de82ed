#include "tests/cpu/encoding_contract.h"

#include <Zydis/Zydis.h>

#include "vmm/cpu/system/system.h"

enum need { NEED_UNLISTED, NEED_NOTHING, NEED_BIT, NEED_MORE, NEED_DECODER };

static const struct {
	uint8_t need, reg, bit;
	uint32_t leaf, subleaf;
} sets[ZYDIS_ISA_SET_MAX_VALUE + 1] = {
#define BASE(set)   [ZYDIS_ISA_SET_##set] = {.need = NEED_NOTHING},
#define NONE(set)   [ZYDIS_ISA_SET_##set] = {.need = NEED_MORE},
#define HIDDEN(set) [ZYDIS_ISA_SET_##set] = {.need = NEED_DECODER},
#define BIT(set, leaf, subleaf, reg, bit)                                                          \
	[ZYDIS_ISA_SET_##set] = {NEED_BIT, CPUID_##reg, bit, leaf, subleaf},
#include "tests/cpu/isa_sets.h"
#undef BASE
#undef NONE
#undef HIDDEN
#undef BIT
};

bool isa_set_is_listed(unsigned isa_set)
{
	return sets[isa_set].need != NEED_UNLISTED;
}

bool isa_set_is_hidden(unsigned isa_set)
{
	return sets[isa_set].need == NEED_DECODER;
}

bool isa_set_is_offered(const struct cpu *cpu, unsigned isa_set)
{
	uint32_t out[4];

	if (sets[isa_set].need != NEED_BIT)
		return sets[isa_set].need == NEED_NOTHING;
	cpuid_query(cpu, sets[isa_set].leaf, sets[isa_set].subleaf, out);
	return out[sets[isa_set].reg] >> sets[isa_set].bit & 1;
}
