/*
 * The unit is written twice: the first time the offsets of types are not all known, but everything
 * has its length already. A type's references are four bytes, so both runs are alike.
 */
#include "gdbstub/linux/debug_info.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/linux/debug_abbrev.h"
#include "gdbstub/linux/dwarf.h"
#include "gdbstub/linux/variables.h"

#define UNIT_VERSION       5
#define ADDRESS_BYTES      8
#define REGISTER_ARGUMENTS 6u

/* ---- the unit ---- */

struct unit {
	const struct kernel *kernel;
	const struct btf *btf;
	struct buffer *info, *loclists;
	uint32_t *place; /* of each type in the section; [0]: void */
	bool *is_shared; /* of each symbol's name */
};

static bool is_named(const struct unit *unit, uint32_t name)
{
	return *btf_text(unit->btf, name) != '\0';
}

/* A tag is no type of its own: what it is on stands for it. */
static uint32_t without_tags(const struct unit *unit, uint32_t id)
{
	for (;;) {
		struct btf_type type = btf_type(unit->btf, id);
		if (type.kind != BTF_TYPE_TAG)
			return id;
		id = type.type;
	}
}

static void put_type(const struct unit *unit, uint32_t id)
{
	buffer_u32(unit->info, unit->place[without_tags(unit, id)]);
}

static void put_children_end(const struct unit *unit)
{
	buffer_u8(unit->info, 0);
}

/* ---- types ---- */

static uint8_t int_encoding(const struct unit *unit, const struct btf_type *type)
{
	unsigned flags = btf_int_flags(type);
	const char *name = btf_text(unit->btf, type->name);
	size_t n = strlen(name);
	bool is_signed = flags & BTF_INT_SIGNED;

	if (flags & BTF_INT_BOOL)
		return DW_ATE_boolean;
	if (type->bytes == 1 && n >= 4 && !strcmp(name + n - 4, "char"))
		return strstr(name, "unsigned") ? DW_ATE_unsigned_char : DW_ATE_signed_char;
	return is_signed ? DW_ATE_signed : DW_ATE_unsigned;
}

static void put_base(const struct unit *unit, const struct btf_type *type)
{
	buffer_uleb(unit->info, A_BASE);
	buffer_u32(unit->info, type->name);
	buffer_uleb(unit->info, type->bytes);
	buffer_u8(unit->info, type->kind == BTF_FLOAT ? DW_ATE_float : int_encoding(unit, type));
}

static void put_pointer(const struct unit *unit, const struct btf_type *type)
{
	buffer_uleb(unit->info, A_POINTER);
	buffer_u8(unit->info, ADDRESS_BYTES);
	put_type(unit, type->type);
}

static void put_array(const struct unit *unit, uint32_t element, uint32_t index, uint32_t n)
{
	buffer_uleb(unit->info, A_ARRAY);
	put_type(unit, element);
	buffer_uleb(unit->info, A_RANGE);
	put_type(unit, index);
	buffer_uleb(unit->info, n);
	put_children_end(unit);
}

static void put_array_type(const struct unit *unit, const struct btf_type *type)
{
	struct btf_array array = btf_array(type);

	put_array(unit, array.element, array.index, array.n);
}

/* A member that does not begin at a byte is a bitfield even without a size: of all its type. */
static void put_member(const struct unit *unit, const struct btf_item *item)
{
	bool named = is_named(unit, item->name), bitfield = item->bits || item->bit % 8;
	uint32_t bits = item->bits ? item->bits : 8 * btf_type_bytes(unit->btf, item->type);

	if (bitfield)
		buffer_uleb(unit->info, named ? A_BITFIELD : A_BITFIELD_UNNAMED);
	else
		buffer_uleb(unit->info, named ? A_MEMBER : A_MEMBER_UNNAMED);
	if (named)
		buffer_u32(unit->info, item->name);
	put_type(unit, item->type);
	if (bitfield) {
		buffer_u8(unit->info, (uint8_t)bits);
		buffer_uleb(unit->info, item->bit);
	} else {
		buffer_uleb(unit->info, item->bit / 8);
	}
}

static void put_structure(const struct unit *unit, const struct btf_type *type)
{
	bool named = is_named(unit, type->name), is_union = type->kind == BTF_UNION;

	if (named) {
		buffer_uleb(unit->info, is_union ? A_UNION : A_STRUCT);
		buffer_u32(unit->info, type->name);
	} else {
		buffer_uleb(unit->info, is_union ? A_UNION_UNNAMED : A_STRUCT_UNNAMED);
	}
	buffer_uleb(unit->info, type->bytes);
	for (uint32_t i = 0; i < type->n; i++) {
		struct btf_item item = btf_item(type, i);
		put_member(unit, &item);
	}
	put_children_end(unit);
}

static void put_enum(const struct unit *unit, const struct btf_type *type)
{
	bool named = is_named(unit, type->name);

	buffer_uleb(unit->info, named ? A_ENUM : A_ENUM_UNNAMED);
	if (named)
		buffer_u32(unit->info, type->name);
	buffer_u8(unit->info, (uint8_t)type->bytes);
	for (uint32_t i = 0; i < type->n; i++) {
		struct btf_item item = btf_item(type, i);
		buffer_uleb(unit->info, A_ENUMERATOR);
		buffer_u32(unit->info, item.name);
		buffer_sleb(unit->info, item.value);
	}
	put_children_end(unit);
}

static void put_forward(const struct unit *unit, const struct btf_type *type)
{
	buffer_uleb(unit->info, type->flag ? A_UNION_DECLARED : A_STRUCT_DECLARED);
	buffer_u32(unit->info, type->name);
}

static void put_typedef(const struct unit *unit, const struct btf_type *type)
{
	buffer_uleb(unit->info, A_TYPEDEF);
	buffer_u32(unit->info, type->name);
	put_type(unit, type->type);
}

static void put_modifier(const struct unit *unit, const struct btf_type *type)
{
	buffer_uleb(unit->info, type->kind == BTF_CONST      ? A_CONST
				: type->kind == BTF_VOLATILE ? A_VOLATILE
							     : A_RESTRICT);
	put_type(unit, type->type);
}

static bool is_variadic(const struct btf_type *prototype, uint32_t n)
{
	return n + 1 == prototype->n && !btf_item(prototype, n).type;
}

static void put_prototype(const struct unit *unit, const struct btf_type *type)
{
	buffer_uleb(unit->info, A_PROTOTYPE);
	put_type(unit, type->type);
	for (uint32_t i = 0; i < type->n; i++) {
		if (is_variadic(type, i)) {
			buffer_uleb(unit->info, A_VARIADIC);
			continue;
		}
		buffer_uleb(unit->info, A_PROTOTYPE_PARAMETER);
		put_type(unit, btf_item(type, i).type);
	}
	put_children_end(unit);
}

typedef void put_fn(const struct unit *unit, const struct btf_type *type);

static put_fn *const put_kind[BTF_KINDS] = {
	[BTF_INT] = put_base,          [BTF_POINTER] = put_pointer,
	[BTF_ARRAY] = put_array_type,  [BTF_STRUCT] = put_structure,
	[BTF_UNION] = put_structure,   [BTF_ENUM] = put_enum,
	[BTF_FORWARD] = put_forward,   [BTF_TYPEDEF] = put_typedef,
	[BTF_VOLATILE] = put_modifier, [BTF_CONST] = put_modifier,
	[BTF_RESTRICT] = put_modifier, [BTF_PROTOTYPE] = put_prototype,
	[BTF_FLOAT] = put_base,        [BTF_ENUM64] = put_enum,
};

static void put_types(const struct unit *unit)
{
	unit->place[0] = (uint32_t)unit->info->n;
	buffer_uleb(unit->info, A_VOID);
	buffer_text(unit->info, "void");
	for (uint32_t id = 1; id <= btf_count(unit->btf); id++) {
		struct btf_type type = btf_type(unit->btf, id);
		if (!put_kind[type.kind])
			continue;
		unit->place[id] = (uint32_t)unit->info->n;
		put_kind[type.kind](unit, &type);
	}
}

/* ---- functions ---- */

/* Whether a value of the type is handed over in one general register (System V ABI AMD64 3.2.3). */
static bool fits_register(const struct unit *unit, uint32_t id)
{
	switch (btf_type(unit->btf, btf_strip(unit->btf, id)).kind) {
	case BTF_POINTER:
	case BTF_ENUM:
	case BTF_ENUM64:
		return true;
	case BTF_INT:
		return btf_type_bytes(unit->btf, id) <= 8;
	default:
		return false;
	}
}

/* Where a parameter is while the function has not got beyond its first instructions. Returns the
 * place of the list. */
static uint32_t put_location(const struct unit *unit, uint64_t address, uint32_t bytes, unsigned n)
{
	static const uint8_t registers[REGISTER_ARGUMENTS] = {DWARF_RDI, DWARF_RSI, DWARF_RDX,
							      DWARF_RCX, DWARF_R8,  DWARF_R9};
	uint32_t place = (uint32_t)unit->loclists->n;

	buffer_u8(unit->loclists, DW_LLE_start_length);
	buffer_u64(unit->loclists, address);
	buffer_uleb(unit->loclists, bytes);
	buffer_uleb(unit->loclists, 1);
	buffer_u8(unit->loclists, DW_OP_reg0 + registers[n]);
	buffer_u8(unit->loclists, DW_LLE_end_of_list);
	return place;
}

/* Parameters lie in the registers in their order, as long as each takes just one. */
static void put_parameters(const struct unit *unit, const struct btf_type *prototype,
			   uint64_t address, uint32_t entry_bytes)
{
	uint32_t return_bytes = btf_type_bytes(unit->btf, prototype->type);
	bool located = return_bytes <= 8 || fits_register(unit, prototype->type);

	for (uint32_t i = 0; i < prototype->n; i++) {
		struct btf_item item = btf_item(prototype, i);
		if (is_variadic(prototype, i)) {
			buffer_uleb(unit->info, A_VARIADIC);
			continue;
		}
		located = located && i < REGISTER_ARGUMENTS && fits_register(unit, item.type);
		bool named = is_named(unit, item.name);
		buffer_uleb(unit->info, !named    ? A_PARAMETER_UNNAMED
					: located ? A_PARAMETER_LOCATED
						  : A_PARAMETER);
		if (named)
			buffer_u32(unit->info, item.name);
		put_type(unit, item.type);
		if (named && located)
			buffer_u32(unit->info, put_location(unit, address, entry_bytes, i));
	}
}

static bool is_text(char type)
{
	return type == 'T' || type == 't' || type == 'W' || type == 'w';
}

static void put_function(const struct unit *unit, const struct kallsyms_symbol *symbol,
			 const struct btf_type *function)
{
	struct btf_type prototype = btf_type(unit->btf, function->type);
	uint64_t bytes = kernel_symbol_bytes(unit->kernel, symbol);

	buffer_uleb(unit->info, A_FUNCTION);
	buffer_u32(unit->info, function->name);
	put_type(unit, prototype.type);
	buffer_u64(unit->info, symbol->address);
	buffer_uleb(unit->info, bytes);
	put_parameters(unit, &prototype, symbol->address, kernel_entry_bytes(unit->kernel, symbol));
	put_children_end(unit);
}

/*
 * Functions of several files may have one name; which of them a prototype is of, nothing tells.
 * Marks the symbols whose names are another's too.
 */
static void mark_shared_names(const struct unit *unit)
{
	const struct kallsyms *symbols = kernel_symbols(unit->kernel);
	const struct kallsyms_symbol *all = kallsyms_symbol(symbols, 0);

	for (uint32_t i = 0; i < kallsyms_count(symbols); i++) {
		const struct kallsyms_symbol *first =
			kallsyms_find_name(symbols, kallsyms_name(symbols, &all[i]));
		if (first != &all[i])
			unit->is_shared[first - all] = unit->is_shared[i] = true;
	}
}

static void put_functions(const struct unit *unit)
{
	const struct kallsyms *symbols = kernel_symbols(unit->kernel);

	for (uint32_t i = 0; i < kallsyms_count(symbols); i++) {
		const struct kallsyms_symbol *symbol = kallsyms_symbol(symbols, i);
		if (!is_text(symbol->type) || unit->is_shared[i] ||
		    !kernel_symbol_bytes(unit->kernel, symbol))
			continue;
		uint32_t id = btf_find(unit->btf, BTF_FUNCTION, kallsyms_name(symbols, symbol));
		if (!id)
			continue;
		struct btf_type function = btf_type(unit->btf, id);
		put_function(unit, symbol, &function);
	}
}

/* ---- variables ---- */

static void put_place(const struct unit *unit, uint64_t address, bool per_cpu)
{
	buffer_uleb(unit->info, 1 + ADDRESS_BYTES + (per_cpu ? 1 : 0));
	buffer_u8(unit->info, per_cpu ? DW_OP_const8u : DW_OP_addr);
	buffer_u64(unit->info, address);
	if (per_cpu)
		buffer_u8(unit->info, DW_OP_form_tls_address);
}

static void put_variable(const struct unit *unit, uint32_t id, uint64_t address, bool per_cpu)
{
	struct btf_type variable = btf_type(unit->btf, id);

	unit->place[id] = (uint32_t)unit->info->n;
	buffer_uleb(unit->info, A_VARIABLE);
	buffer_u32(unit->info, variable.name);
	put_type(unit, variable.type);
	put_place(unit, address, per_cpu);
}

/* Per-CPU variables have their places told. */
static void put_per_cpu_variables(const struct unit *unit, const struct btf_type *section)
{
	uint64_t start, end;

	if (!kernel_per_cpu(unit->kernel, &start, &end))
		return;
	for (uint32_t i = 0; i < section->n; i++) {
		struct btf_item item = btf_item(section, i);
		if (btf_type(unit->btf, item.type).kind == BTF_VARIABLE &&
		    (uint64_t)item.value < end - start)
			put_variable(unit, item.type, start + (uint64_t)item.value, true);
	}
}

/* Those that the kernel's own types tell of; a place is known of those that were put already. */
static void put_variables(const struct unit *unit)
{
	const struct kallsyms *symbols = kernel_symbols(unit->kernel);

	for (uint32_t id = 1; id <= btf_count(unit->btf); id++) {
		struct btf_type type = btf_type(unit->btf, id);
		if (type.kind == BTF_VARIABLE)
			unit->place[id] = 0;
		if (type.kind == BTF_SECTION &&
		    !strcmp(btf_text(unit->btf, type.name), ".data..percpu"))
			put_per_cpu_variables(unit, &type);
	}
	for (uint32_t id = 1; id <= btf_count(unit->btf); id++) {
		struct btf_type type = btf_type(unit->btf, id);
		if (type.kind != BTF_VARIABLE || unit->place[id])
			continue;
		const struct kallsyms_symbol *symbol =
			kallsyms_find_name(symbols, btf_text(unit->btf, type.name));
		if (symbol && !unit->is_shared[symbol - kallsyms_symbol(symbols, 0)])
			put_variable(unit, id, symbol->address,
				     kernel_is_per_cpu(unit->kernel, symbol));
	}
}

static bool is_told(const struct unit *unit, const char *name)
{
	return btf_find(unit->btf, BTF_VARIABLE, name) != 0;
}

/* Writes the types that the variable's is made of. Returns where the last is; 0: it does not fit.
 */
static uint32_t put_known_type(const struct unit *unit, const struct variable *variable,
			       uint64_t room)
{
	uint32_t id = btf_find(unit->btf, variable->kind, variable->type);
	uint64_t bytes = variable->pointers ? ADDRESS_BYTES : btf_type_bytes(unit->btf, id);
	uint32_t place = unit->place[id], here;

	if (!id || !bytes || bytes > room)
		return 0;
	for (unsigned i = 0; i < variable->pointers; i++) {
		here = (uint32_t)unit->info->n;
		buffer_uleb(unit->info, A_POINTER);
		buffer_u8(unit->info, ADDRESS_BYTES);
		buffer_u32(unit->info, place);
		place = here;
	}
	if (variable->array) {
		here = (uint32_t)unit->info->n;
		buffer_uleb(unit->info, A_ARRAY);
		buffer_u32(unit->info, place);
		buffer_uleb(unit->info, A_RANGE);
		put_type(unit, btf_find(unit->btf, BTF_INT, "int"));
		uint64_t n = room / bytes;
		buffer_uleb(unit->info, n < variable->array ? n : variable->array);
		put_children_end(unit);
		place = here;
	}
	return place;
}

static void put_known_variables(const struct unit *unit)
{
	const struct kallsyms *symbols = kernel_symbols(unit->kernel);

	for (size_t i = 0; i < variables_count; i++) {
		const struct kallsyms_symbol *symbol =
			kallsyms_find_name(symbols, variables[i].name);
		if (!symbol || is_told(unit, variables[i].name))
			continue;
		uint32_t place = put_known_type(unit, &variables[i],
						kernel_symbol_bytes(unit->kernel, symbol));
		if (!place)
			continue;
		buffer_uleb(unit->info, A_VARIABLE_TOLD);
		buffer_text(unit->info, variables[i].name);
		buffer_u32(unit->info, place);
		put_place(unit, symbol->address, false);
	}
}

/* ---- all of it ---- */

static void put_unit(const struct unit *unit)
{
	struct buffer *out = unit->info;
	uint64_t start, end;

	kernel_text(unit->kernel, &start, &end);
	buffer_u32(out, 0);
	buffer_u16(out, UNIT_VERSION);
	buffer_u8(out, DW_UT_compile);
	buffer_u8(out, ADDRESS_BYTES);
	buffer_u32(out, 0); /* .debug_abbrev */
	buffer_uleb(out, A_UNIT);
	buffer_text(out, "reprise " REPRISE_VERSION);
	buffer_u8(out, DW_LANG_C11);
	buffer_text(out, kernel_banner(unit->kernel));
	buffer_u64(out, start);
	buffer_uleb(out, end - start);
	put_types(unit);
	put_variables(unit);
	put_known_variables(unit);
	put_functions(unit);
	put_children_end(unit);
	buffer_patch_u32(out, 0, (uint32_t)(out->n - 4));
}

static void put_loclists_header(struct buffer *out)
{
	buffer_u32(out, 0);
	buffer_u16(out, UNIT_VERSION);
	buffer_u8(out, ADDRESS_BYTES);
	buffer_u8(out, 0);
	buffer_u32(out, 0);
}

static int encode(struct unit *unit)
{
	mark_shared_names(unit);
	for (unsigned run = 0; run < 2; run++) {
		unit->info->n = 0;
		unit->loclists->n = 0;
		put_loclists_header(unit->loclists);
		put_unit(unit);
	}
	buffer_patch_u32(unit->loclists, 0, (uint32_t)(unit->loclists->n - 4));
	return unit->info->failed || unit->loclists->failed ? -ENOMEM : 0;
}

int debug_info_encode(const struct kernel *kernel, struct debug_info *ret_info)
{
	struct debug_info info = {0};
	struct unit unit = {
		.kernel = kernel,
		.btf = kernel_btf(kernel),
		.info = &info.info,
		.loclists = &info.loclists,
	};

	if (!unit.btf)
		return -ENOENT;
	unit.place = calloc((size_t)btf_count(unit.btf) + 1, sizeof(*unit.place));
	unit.is_shared = calloc((size_t)kallsyms_count(kernel_symbols(kernel)) + 1, 1);
	int error = unit.place && unit.is_shared ? encode(&unit) : -ENOMEM;
	free(unit.is_shared);
	free(unit.place);
	debug_abbrev_encode(&info.abbrev);
	if (error || info.abbrev.failed) {
		debug_info_finish(&info);
		return error ? error : -ENOMEM;
	}
	*ret_info = info;
	return 0;
}

void debug_info_finish(struct debug_info *info)
{
	buffer_finish(&info->info);
	buffer_finish(&info->abbrev);
	buffer_finish(&info->loclists);
}
