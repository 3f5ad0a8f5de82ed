/* The numbers of DWARF 5 that are used here (DWARF 5, section 7), and of registers in it (System V
 * ABI AMD64, figure 3.36). */
#ifndef REPRISE_GDBSTUB_LINUX_DWARF_H
#define REPRISE_GDBSTUB_LINUX_DWARF_H

enum {
	DW_TAG_array_type = 0x01,
	DW_TAG_enumeration_type = 0x04,
	DW_TAG_formal_parameter = 0x05,
	DW_TAG_member = 0x0d,
	DW_TAG_pointer_type = 0x0f,
	DW_TAG_compile_unit = 0x11,
	DW_TAG_structure_type = 0x13,
	DW_TAG_subroutine_type = 0x15,
	DW_TAG_typedef = 0x16,
	DW_TAG_union_type = 0x17,
	DW_TAG_unspecified_parameters = 0x18,
	DW_TAG_subrange_type = 0x21,
	DW_TAG_base_type = 0x24,
	DW_TAG_const_type = 0x26,
	DW_TAG_enumerator = 0x28,
	DW_TAG_subprogram = 0x2e,
	DW_TAG_variable = 0x34,
	DW_TAG_volatile_type = 0x35,
	DW_TAG_restrict_type = 0x37,
	DW_TAG_unspecified_type = 0x3b,
};

enum {
	DW_AT_location = 0x02,
	DW_AT_name = 0x03,
	DW_AT_byte_size = 0x0b,
	DW_AT_bit_size = 0x0d,
	DW_AT_low_pc = 0x11,
	DW_AT_high_pc = 0x12,
	DW_AT_language = 0x13,
	DW_AT_const_value = 0x1c,
	DW_AT_producer = 0x25,
	DW_AT_prototyped = 0x27,
	DW_AT_count = 0x37,
	DW_AT_data_member_location = 0x38,
	DW_AT_declaration = 0x3c,
	DW_AT_encoding = 0x3e,
	DW_AT_external = 0x3f,
	DW_AT_type = 0x49,
	DW_AT_data_bit_offset = 0x6b,
};

enum {
	DW_FORM_addr = 0x01,
	DW_FORM_string = 0x08,
	DW_FORM_data1 = 0x0b,
	DW_FORM_sdata = 0x0d,
	DW_FORM_strp = 0x0e,
	DW_FORM_udata = 0x0f,
	DW_FORM_ref4 = 0x13,
	DW_FORM_sec_offset = 0x17,
	DW_FORM_exprloc = 0x18,
	DW_FORM_flag_present = 0x19,
};

enum {
	DW_ATE_boolean = 0x02,
	DW_ATE_float = 0x04,
	DW_ATE_signed = 0x05,
	DW_ATE_signed_char = 0x06,
	DW_ATE_unsigned = 0x07,
	DW_ATE_unsigned_char = 0x08,
};

enum {
	DW_OP_addr = 0x03,
	DW_OP_deref = 0x06,
	DW_OP_const8u = 0x0e,
	DW_OP_consts = 0x11,
	DW_OP_plus = 0x22,
	DW_OP_reg0 = 0x50,
	DW_OP_breg0 = 0x70,
	DW_OP_form_tls_address = 0x9b,
};

enum {
	DW_CFA_nop = 0x00,
	DW_CFA_advance_loc4 = 0x04,
	DW_CFA_undefined = 0x07,
	DW_CFA_same_value = 0x08,
	DW_CFA_def_cfa = 0x0c,
	DW_CFA_def_cfa_expression = 0x0f,
	DW_CFA_expression = 0x10,
	DW_CFA_offset_extended_sf = 0x11,
	DW_CFA_advance_loc = 0x40, /* and the distance, below 0x40 */
};

enum { DW_CHILDREN_no, DW_CHILDREN_yes };
enum { DW_UT_compile = 0x01, DW_LANG_C11 = 0x1d, DW_LLE_end_of_list = 0, DW_LLE_start_length = 8 };

enum {
	DWARF_RAX,
	DWARF_RDX,
	DWARF_RCX,
	DWARF_RBX,
	DWARF_RSI,
	DWARF_RDI,
	DWARF_RBP,
	DWARF_RSP,
	DWARF_R8,
	DWARF_R9,
	DWARF_R10,
	DWARF_R11,
	DWARF_R12,
	DWARF_R13,
	DWARF_R14,
	DWARF_R15,
	DWARF_RETURN_ADDRESS,
	DWARF_RFLAGS = 49,
	DWARF_CS = 51,
	DWARF_SS = 52,
};

#endif
