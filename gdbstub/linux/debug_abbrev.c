#include "gdbstub/linux/debug_abbrev.h"

#include "gdbstub/linux/dwarf.h"

#define ATTRIBUTES_MAX 8

struct abbreviation_row {
	uint8_t tag, children;
	uint8_t attribute[ATTRIBUTES_MAX][2]; /* and form; 0: no more */
};

static const struct abbreviation_row abbreviations[A_COUNT] = {
	[A_UNIT] = {DW_TAG_compile_unit,
		    DW_CHILDREN_yes,
		    {{DW_AT_producer, DW_FORM_string},
		     {DW_AT_language, DW_FORM_data1},
		     {DW_AT_name, DW_FORM_string},
		     {DW_AT_low_pc, DW_FORM_addr},
		     {DW_AT_high_pc, DW_FORM_udata}}},
	[A_VOID] = {DW_TAG_unspecified_type, DW_CHILDREN_no, {{DW_AT_name, DW_FORM_string}}},
	[A_BASE] = {DW_TAG_base_type,
		    DW_CHILDREN_no,
		    {{DW_AT_name, DW_FORM_strp},
		     {DW_AT_byte_size, DW_FORM_udata},
		     {DW_AT_encoding, DW_FORM_data1}}},
	[A_POINTER] = {DW_TAG_pointer_type,
		       DW_CHILDREN_no,
		       {{DW_AT_byte_size, DW_FORM_data1}, {DW_AT_type, DW_FORM_ref4}}},
	[A_ARRAY] = {DW_TAG_array_type, DW_CHILDREN_yes, {{DW_AT_type, DW_FORM_ref4}}},
	[A_RANGE] = {DW_TAG_subrange_type,
		     DW_CHILDREN_no,
		     {{DW_AT_type, DW_FORM_ref4}, {DW_AT_count, DW_FORM_udata}}},
	[A_STRUCT] = {DW_TAG_structure_type,
		      DW_CHILDREN_yes,
		      {{DW_AT_name, DW_FORM_strp}, {DW_AT_byte_size, DW_FORM_udata}}},
	[A_STRUCT_UNNAMED] = {DW_TAG_structure_type,
			      DW_CHILDREN_yes,
			      {{DW_AT_byte_size, DW_FORM_udata}}},
	[A_UNION] = {DW_TAG_union_type,
		     DW_CHILDREN_yes,
		     {{DW_AT_name, DW_FORM_strp}, {DW_AT_byte_size, DW_FORM_udata}}},
	[A_UNION_UNNAMED] = {DW_TAG_union_type,
			     DW_CHILDREN_yes,
			     {{DW_AT_byte_size, DW_FORM_udata}}},
	[A_STRUCT_DECLARED] = {DW_TAG_structure_type,
			       DW_CHILDREN_no,
			       {{DW_AT_name, DW_FORM_strp},
				{DW_AT_declaration, DW_FORM_flag_present}}},
	[A_UNION_DECLARED] = {DW_TAG_union_type,
			      DW_CHILDREN_no,
			      {{DW_AT_name, DW_FORM_strp},
			       {DW_AT_declaration, DW_FORM_flag_present}}},
	[A_MEMBER] = {DW_TAG_member,
		      DW_CHILDREN_no,
		      {{DW_AT_name, DW_FORM_strp},
		       {DW_AT_type, DW_FORM_ref4},
		       {DW_AT_data_member_location, DW_FORM_udata}}},
	[A_MEMBER_UNNAMED] = {DW_TAG_member,
			      DW_CHILDREN_no,
			      {{DW_AT_type, DW_FORM_ref4},
			       {DW_AT_data_member_location, DW_FORM_udata}}},
	[A_BITFIELD] = {DW_TAG_member,
			DW_CHILDREN_no,
			{{DW_AT_name, DW_FORM_strp},
			 {DW_AT_type, DW_FORM_ref4},
			 {DW_AT_bit_size, DW_FORM_data1},
			 {DW_AT_data_bit_offset, DW_FORM_udata}}},
	[A_BITFIELD_UNNAMED] = {DW_TAG_member,
				DW_CHILDREN_no,
				{{DW_AT_type, DW_FORM_ref4},
				 {DW_AT_bit_size, DW_FORM_data1},
				 {DW_AT_data_bit_offset, DW_FORM_udata}}},
	[A_ENUM] = {DW_TAG_enumeration_type,
		    DW_CHILDREN_yes,
		    {{DW_AT_name, DW_FORM_strp}, {DW_AT_byte_size, DW_FORM_data1}}},
	[A_ENUM_UNNAMED] = {DW_TAG_enumeration_type,
			    DW_CHILDREN_yes,
			    {{DW_AT_byte_size, DW_FORM_data1}}},
	[A_ENUMERATOR] = {DW_TAG_enumerator,
			  DW_CHILDREN_no,
			  {{DW_AT_name, DW_FORM_strp}, {DW_AT_const_value, DW_FORM_sdata}}},
	[A_TYPEDEF] = {DW_TAG_typedef,
		       DW_CHILDREN_no,
		       {{DW_AT_name, DW_FORM_strp}, {DW_AT_type, DW_FORM_ref4}}},
	[A_CONST] = {DW_TAG_const_type, DW_CHILDREN_no, {{DW_AT_type, DW_FORM_ref4}}},
	[A_VOLATILE] = {DW_TAG_volatile_type, DW_CHILDREN_no, {{DW_AT_type, DW_FORM_ref4}}},
	[A_RESTRICT] = {DW_TAG_restrict_type, DW_CHILDREN_no, {{DW_AT_type, DW_FORM_ref4}}},
	[A_PROTOTYPE] = {DW_TAG_subroutine_type,
			 DW_CHILDREN_yes,
			 {{DW_AT_prototyped, DW_FORM_flag_present}, {DW_AT_type, DW_FORM_ref4}}},
	[A_PROTOTYPE_PARAMETER] = {DW_TAG_formal_parameter,
				   DW_CHILDREN_no,
				   {{DW_AT_type, DW_FORM_ref4}}},
	[A_VARIADIC] = {DW_TAG_unspecified_parameters, DW_CHILDREN_no, {{0, 0}}},
	[A_FUNCTION] = {DW_TAG_subprogram,
			DW_CHILDREN_yes,
			{{DW_AT_external, DW_FORM_flag_present},
			 {DW_AT_name, DW_FORM_strp},
			 {DW_AT_prototyped, DW_FORM_flag_present},
			 {DW_AT_type, DW_FORM_ref4},
			 {DW_AT_low_pc, DW_FORM_addr},
			 {DW_AT_high_pc, DW_FORM_udata}}},
	[A_PARAMETER] = {DW_TAG_formal_parameter,
			 DW_CHILDREN_no,
			 {{DW_AT_name, DW_FORM_strp}, {DW_AT_type, DW_FORM_ref4}}},
	[A_PARAMETER_LOCATED] = {DW_TAG_formal_parameter,
				 DW_CHILDREN_no,
				 {{DW_AT_name, DW_FORM_strp},
				  {DW_AT_type, DW_FORM_ref4},
				  {DW_AT_location, DW_FORM_sec_offset}}},
	[A_PARAMETER_UNNAMED] = {DW_TAG_formal_parameter,
				 DW_CHILDREN_no,
				 {{DW_AT_type, DW_FORM_ref4}}},
	[A_VARIABLE] = {DW_TAG_variable,
			DW_CHILDREN_no,
			{{DW_AT_external, DW_FORM_flag_present},
			 {DW_AT_name, DW_FORM_strp},
			 {DW_AT_type, DW_FORM_ref4},
			 {DW_AT_location, DW_FORM_exprloc}}},
	[A_VARIABLE_TOLD] = {DW_TAG_variable,
			     DW_CHILDREN_no,
			     {{DW_AT_external, DW_FORM_flag_present},
			      {DW_AT_name, DW_FORM_string},
			      {DW_AT_type, DW_FORM_ref4},
			      {DW_AT_location, DW_FORM_exprloc}}},
};

void debug_abbrev_encode(struct buffer *section)
{
	for (unsigned i = A_UNIT; i < A_COUNT; i++) {
		const struct abbreviation_row *row = &abbreviations[i];
		buffer_uleb(section, i);
		buffer_uleb(section, row->tag);
		buffer_u8(section, row->children);
		for (unsigned k = 0; k < ATTRIBUTES_MAX && row->attribute[k][0]; k++) {
			buffer_uleb(section, row->attribute[k][0]);
			buffer_uleb(section, row->attribute[k][1]);
		}
		buffer_u16(section, 0);
	}
	buffer_u8(section, 0);
}
