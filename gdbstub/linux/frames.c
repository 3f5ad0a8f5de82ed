/*
 * The canonical frame address (CFA) is what ORC calls the previous stack pointer, or where a struct
 * pt_regs or the frame of an interrupt lies. One entry (FDE) covers consecutive rows of one kind
 * that begin with the state at a function's start; each kind has its own common entry (CIE).
 */
#include "gdbstub/linux/frames.h"

#include <string.h>

#include "gdbstub/linux/dwarf.h"

#define CIE_ID        0xffffffffu
#define CIE_VERSION   3
#define WORD          8
#define FACTOR        (-WORD) /* data alignment factor */
#define RUN_MAX_ROWS  64u
#define PT_REGS_FLAGS 144
#define IRET_FLAGS    16
#define IRET_SP       24

/*
 * Debuggers look up a caller's address less one, but not behind frames that are marked as of a
 * signal: an interrupted instruction has not run yet. And only behind those may the caller's stack
 * lie lower, as users' do below the kernel's; so the entries of system calls are marked too.
 */
enum frame_kind { FRAME_CALL, FRAME_REGS, FRAME_PARTIAL, FRAME_END, FRAME_KINDS };

/* Offsets in struct pt_regs (Linux arch/x86/include/asm/ptrace.h). */
static const struct {
	uint8_t reg, offset;
} pt_regs[] = {
	{DWARF_R15, 0},   {DWARF_R14, 8},
	{DWARF_R13, 16},  {DWARF_R12, 24},
	{DWARF_RBP, 32},  {DWARF_RBX, 40},
	{DWARF_R11, 48},  {DWARF_R10, 56},
	{DWARF_R9, 64},   {DWARF_R8, 72},
	{DWARF_RAX, 80},  {DWARF_RCX, 88},
	{DWARF_RDX, 96},  {DWARF_RSI, 104},
	{DWARF_RDI, 112}, {DWARF_RETURN_ADDRESS, 128},
	{DWARF_CS, 136},  {DWARF_RFLAGS, PT_REGS_FLAGS},
	{DWARF_RSP, 152}, {DWARF_SS, 160},
};

/* The DWARF registers of ORC's. */
static const uint8_t base_registers[ORC_REG_COUNT] = {
	[ORC_REG_DX] = DWARF_RDX,          [ORC_REG_DI] = DWARF_RDI,
	[ORC_REG_BP] = DWARF_RBP,          [ORC_REG_SP] = DWARF_RSP,
	[ORC_REG_R10] = DWARF_R10,         [ORC_REG_R13] = DWARF_R13,
	[ORC_REG_BP_INDIRECT] = DWARF_RBP, [ORC_REG_SP_INDIRECT] = DWARF_RSP,
};

struct encoder {
	struct buffer *out;
	size_t cie[FRAME_KINDS];
};

static void put_saved(struct buffer *out, uint8_t reg, int offset)
{
	buffer_u8(out, DW_CFA_offset_extended_sf);
	buffer_uleb(out, reg);
	buffer_sleb(out, offset / FACTOR);
}

static void put_rule(struct buffer *out, uint8_t rule, unsigned reg)
{
	buffer_u8(out, rule);
	buffer_uleb(out, reg);
}

/* Pads what began behind the length field at from, and sets that. */
static void end_entry(struct buffer *out, size_t from)
{
	while ((out->n - from) % WORD != 0 && !out->failed)
		buffer_u8(out, DW_CFA_nop);
	buffer_patch_u32(out, from - 4, (uint32_t)(out->n - from));
}

/* ---- common entries ---- */

static void put_initial_rules(struct buffer *out, enum frame_kind kind)
{
	switch (kind) {
	case FRAME_CALL:
		put_saved(out, DWARF_RETURN_ADDRESS, -WORD);
		for (unsigned reg = DWARF_RAX; reg <= DWARF_R15; reg++)
			if (reg != DWARF_RSP && reg != DWARF_RBP)
				put_rule(out, DW_CFA_undefined, reg);
		break;
	case FRAME_REGS:
		for (size_t i = 0; i < sizeof(pt_regs) / sizeof(pt_regs[0]); i++)
			put_saved(out, pt_regs[i].reg, pt_regs[i].offset);
		break;
	case FRAME_PARTIAL:
		put_saved(out, DWARF_RETURN_ADDRESS, 0);
		put_saved(out, DWARF_CS, WORD);
		put_saved(out, DWARF_RFLAGS, IRET_FLAGS);
		put_saved(out, DWARF_RSP, IRET_SP);
		put_saved(out, DWARF_SS, IRET_SP + WORD);
		for (unsigned reg = DWARF_RAX; reg <= DWARF_R15; reg++)
			if (reg != DWARF_RSP)
				put_rule(out, DW_CFA_same_value, reg);
		break;
	default:
		put_rule(out, DW_CFA_undefined, DWARF_RETURN_ADDRESS);
		break;
	}
}

static bool is_signal(enum frame_kind kind)
{
	return kind == FRAME_REGS || kind == FRAME_PARTIAL;
}

static void put_cie(struct encoder *encoder, enum frame_kind kind)
{
	struct buffer *out = encoder->out;

	encoder->cie[kind] = out->n;
	buffer_u32(out, 0);
	size_t from = out->n;
	buffer_u32(out, CIE_ID);
	buffer_u8(out, CIE_VERSION);
	buffer_text(out, is_signal(kind) ? "zS" : "");
	buffer_uleb(out, 1);
	buffer_sleb(out, FACTOR);
	buffer_uleb(out, DWARF_RETURN_ADDRESS);
	if (is_signal(kind))
		buffer_uleb(out, 0);
	buffer_u8(out, DW_CFA_def_cfa);
	buffer_uleb(out, DWARF_RSP);
	buffer_uleb(out, WORD);
	put_initial_rules(out, kind);
	end_entry(out, from);
}

/* ---- rows ---- */

static void put_expression(struct buffer *out, const struct buffer *expression)
{
	buffer_uleb(out, expression->n);
	buffer_bytes(out, expression->data, expression->n);
}

/* The CFA where it is not a register plus a small number. */
static void put_cfa_expression(struct buffer *out, const struct orc_row *row)
{
	bool sp_indirect = row->sp_register == ORC_REG_SP_INDIRECT;
	uint8_t bytes[32];
	struct buffer expression = {.data = bytes, .max = sizeof(bytes)};

	buffer_u8(&expression, DW_OP_breg0 + base_registers[row->sp_register]);
	buffer_sleb(&expression, sp_indirect ? 0 : row->sp_offset);
	if (sp_indirect || row->sp_register == ORC_REG_BP_INDIRECT)
		buffer_u8(&expression, DW_OP_deref);
	if (sp_indirect) {
		buffer_u8(&expression, DW_OP_consts);
		buffer_sleb(&expression, row->sp_offset);
		buffer_u8(&expression, DW_OP_plus);
	}
	buffer_u8(out, DW_CFA_def_cfa_expression);
	put_expression(out, &expression);
}

static void put_cfa(struct buffer *out, const struct orc_row *row)
{
	bool offset_counts = row->sp_register == ORC_REG_SP || row->sp_register == ORC_REG_BP;
	bool plain = offset_counts || row->sp_register == ORC_REG_DX ||
		     row->sp_register == ORC_REG_DI || row->sp_register == ORC_REG_R10 ||
		     row->sp_register == ORC_REG_R13;

	if (!plain || (offset_counts && row->sp_offset < 0)) {
		put_cfa_expression(out, row);
		return;
	}
	buffer_u8(out, DW_CFA_def_cfa);
	buffer_uleb(out, base_registers[row->sp_register]);
	buffer_uleb(out, offset_counts ? (uint64_t)row->sp_offset : 0);
}

static void put_caller_bp(struct buffer *out, const struct orc_row *row)
{
	uint8_t bytes[16];
	struct buffer expression = {.data = bytes, .max = sizeof(bytes)};

	if (row->bp_register == ORC_REG_PREV_SP && row->bp_offset % WORD == 0) {
		put_saved(out, DWARF_RBP, row->bp_offset);
	} else if (row->bp_register == ORC_REG_BP) {
		buffer_u8(&expression, DW_OP_breg0 + DWARF_RBP);
		buffer_sleb(&expression, row->bp_offset);
		put_rule(out, DW_CFA_expression, DWARF_RBP);
		put_expression(out, &expression);
	} else {
		put_rule(out,
			 row->bp_register == ORC_REG_UNDEFINED ? DW_CFA_same_value
							       : DW_CFA_undefined,
			 DWARF_RBP);
	}
}

static void put_advance(struct buffer *out, uint64_t distance)
{
	if (distance < 0x40) {
		buffer_u8(out, (uint8_t)(DW_CFA_advance_loc + distance));
	} else {
		buffer_u8(out, DW_CFA_advance_loc4);
		buffer_u32(out, (uint32_t)distance);
	}
}

/* ---- entries ---- */

static enum frame_kind frame_kind(const struct orc_row *row)
{
	switch (row->kind) {
	case ORC_CALL:
		return FRAME_CALL;
	case ORC_REGS:
		return FRAME_REGS;
	case ORC_REGS_PARTIAL:
		return FRAME_PARTIAL;
	default:
		return FRAME_END;
	}
}

static bool is_function_start(const struct orc_row *row)
{
	return row->kind == ORC_CALL && row->sp_register == ORC_REG_SP && row->sp_offset == WORD &&
	       row->bp_register == ORC_REG_UNDEFINED;
}

/* One entry for rows [first, last), which end where row "last" begins. */
static void put_fde(struct encoder *encoder, const struct orc *orc, uint32_t first, uint32_t last,
		    enum frame_kind kind)
{
	struct buffer *out = encoder->out;
	uint64_t at = orc->row[first].address;

	buffer_u32(out, 0);
	size_t from = out->n;
	buffer_u32(out, (uint32_t)encoder->cie[kind]);
	buffer_u64(out, at);
	buffer_u64(out, orc->row[last].address - at);
	if (is_signal(kind))
		buffer_uleb(out, 0);
	for (uint32_t i = first; i < last && kind != FRAME_END; i++) {
		const struct orc_row *row = &orc->row[i];
		if (row->address != at)
			put_advance(out, row->address - at);
		at = row->address;
		put_cfa(out, row);
		if (kind == FRAME_CALL)
			put_caller_bp(out, row);
	}
	end_entry(out, from);
}

static void put_table(struct encoder *encoder, const struct orc *orc)
{
	uint32_t next;

	/* The last row only ends the one before. */
	for (uint32_t first = 0; first + 1 < orc->n; first = next) {
		enum frame_kind kind = frame_kind(&orc->row[first]);
		next = first + 1;
		while (next + 1 < orc->n && next - first < RUN_MAX_ROWS &&
		       !is_function_start(&orc->row[next]) && frame_kind(&orc->row[next]) == kind)
			next++;
		if (orc->row[next].address > orc->row[first].address)
			put_fde(encoder, orc, first, next, kind);
	}
}

void frames_encode(const struct kernel *kernel, const struct kernel_modules *modules,
		   struct buffer *section)
{
	struct encoder encoder = {.out = section};

	if (!kernel_orc(kernel))
		return;
	for (unsigned kind = 0; kind < FRAME_KINDS; kind++)
		put_cie(&encoder, (enum frame_kind)kind);
	put_table(&encoder, kernel_orc(kernel));
	for (uint32_t i = 0; i < modules->n; i++)
		put_table(&encoder, &modules->module[i].orc);
}
