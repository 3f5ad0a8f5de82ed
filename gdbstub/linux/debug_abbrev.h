/* The forms of entries in .debug_info (DWARF 5 7.5.3): which attributes they have, in which order.
 */
#ifndef REPRISE_GDBSTUB_LINUX_DEBUG_ABBREV_H
#define REPRISE_GDBSTUB_LINUX_DEBUG_ABBREV_H

#include "gdbstub/linux/buffer.h"

enum abbreviation {
	A_UNIT = 1,
	A_VOID,
	A_BASE,
	A_POINTER,
	A_ARRAY,
	A_RANGE,
	A_STRUCT,
	A_STRUCT_UNNAMED,
	A_UNION,
	A_UNION_UNNAMED,
	A_STRUCT_DECLARED,
	A_UNION_DECLARED,
	A_MEMBER,
	A_MEMBER_UNNAMED,
	A_BITFIELD,
	A_BITFIELD_UNNAMED,
	A_ENUM,
	A_ENUM_UNNAMED,
	A_ENUMERATOR,
	A_TYPEDEF,
	A_CONST,
	A_VOLATILE,
	A_RESTRICT,
	A_PROTOTYPE,
	A_PROTOTYPE_PARAMETER,
	A_VARIADIC,
	A_FUNCTION,
	A_PARAMETER,
	A_PARAMETER_LOCATED,
	A_PARAMETER_UNNAMED,
	A_VARIABLE,
	A_VARIABLE_TOLD, /* with its name in place */
	A_COUNT
};

/* Appends the section .debug_abbrev. */
void debug_abbrev_encode(struct buffer *section);

#endif
