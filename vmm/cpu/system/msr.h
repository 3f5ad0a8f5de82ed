/* Checks of MSR values that a state read from a file must meet as well. */
#ifndef REPRISE_VMM_CPU_SYSTEM_MSR_H
#define REPRISE_VMM_CPU_SYSTEM_MSR_H

#include <stdbool.h>
#include <stdint.h>

#define APIC_BASE_GPA  UINT64_C(0xfee00000)
#define APIC_BASE_BSP  UINT64_C(0x100)
#define APIC_BASE_EXTD UINT64_C(0x400)
#define APIC_BASE_EN   UINT64_C(0x800)

#define MISC_ENABLE_FAST_STRINGS UINT64_C(1)
#define MISC_ENABLE_FIXED        UINT64_C(0x1800) /* no branch trace store, no precise event sampling */

/* All eight entries hold a memory type (SDM 3A 11.12.2). */
bool msr_pat_is_valid(uint64_t value);

/* All eight ranges hold a memory type (SDM 3A 11.11.2.2). */
bool msr_mtrr_fixed_is_valid(uint64_t value);
bool msr_mtrr_base_is_valid(uint64_t value);
bool msr_mtrr_mask_is_valid(uint64_t value);
bool msr_mtrr_def_type_is_valid(uint64_t value);

/* Base where the machine has it, no reserved bit, x2APIC only when enabled. */
bool msr_apic_base_is_valid(uint64_t value);

#endif
