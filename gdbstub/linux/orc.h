/*
 * How a guest kernel's functions are unwound: its ORC tables (Linux
 * Documentation/arch/x86/orc-unwinder.rst, arch/x86/include/asm/orc_types.h), in one form whatever
 * the kernel's version.
 */
#ifndef REPRISE_GDBSTUB_LINUX_ORC_H
#define REPRISE_GDBSTUB_LINUX_ORC_H

#include <stdint.h>

#include "gdbstub/linux/image.h"

enum orc_kind {
	ORC_END,          /* nothing is known, or there is no caller */
	ORC_CALL,         /* the return address is below the base */
	ORC_REGS,         /* the base points to a struct pt_regs */
	ORC_REGS_PARTIAL, /* the base points to what an interrupt pushes */
};

/* What the base and the caller's RBP are found by. */
enum orc_register {
	ORC_REG_UNDEFINED,
	ORC_REG_PREV_SP, /* the base */
	ORC_REG_DX,
	ORC_REG_DI,
	ORC_REG_BP,
	ORC_REG_SP,
	ORC_REG_R10,
	ORC_REG_R13,
	ORC_REG_BP_INDIRECT, /* the value at RBP + offset */
	ORC_REG_SP_INDIRECT, /* the value at RSP, + offset */
	ORC_REG_COUNT
};

/* Holds from its address up to the next row's. */
struct orc_row {
	uint64_t address;
	int16_t sp_offset, bp_offset;
	uint8_t sp_register, bp_register; /* enum orc_register */
	uint8_t kind;                     /* enum orc_kind */
};

struct orc {
	struct orc_row *row; /* by address */
	uint32_t n;
	bool new_format; /* of the kernel's, since Linux 6.4 */
};

#define ORC_IP_BYTES    4u
#define ORC_ENTRY_BYTES 6u
#define ORC_ROWS_MAX    (4u << 20)

/* Copies the tables out of a kernel. Returns 0, -ENOENT when it has none that hold together,
 * -ENOMEM. */
int orc_read(const struct kernel_image *image, const struct kallsyms *symbols, struct orc *ret_orc);

/*
 * Takes the n rows of a module's tables in, which were at ips_address; those outside [start, end]
 * are left out. Returns 0, -ENOENT when addresses do not ascend, -ENOMEM.
 */
int orc_make(const uint8_t *ips, uint64_t ips_address, const uint8_t *entries, uint32_t n,
	     bool new_format, uint64_t start, uint64_t end, struct orc *ret_orc);
void orc_finish(struct orc *orc);

#endif
