/* Every instruction the machine has: one row a mnemonic, put together from the three parts' lists.
 */
#include <Zydis/Mnemonic.h>

#include "vmm/cpu/exec.h"
#include "vmm/cpu/integer/integer.h"
#include "vmm/cpu/system/system.h"
#include "vmm/cpu/vector/vector.h"

#define ROW(name, function, row_flags)                                                             \
	[ZYDIS_MNEMONIC_##name] = {.exec = (function), .flags = (row_flags)},

static const struct insn_row rows[INSN_MNEMONIC_COUNT] = {
#include "vmm/cpu/rows_integer.h"
#include "vmm/cpu/rows_system.h"
#include "vmm/cpu/rows_vector.h"
};

const struct insn_row *insn_row(uint16_t mnemonic)
{
	return mnemonic < INSN_MNEMONIC_COUNT ? &rows[mnemonic] : NULL;
}
