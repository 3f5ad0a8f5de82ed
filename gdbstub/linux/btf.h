/*
 * A guest kernel's types in the BPF Type Format (Linux Documentation/bpf/btf.rst), checked once
 * when they are taken in, so that whoever walks them needs no checks.
 *
 * Checked is: every record and name lies inside, every reference names a type, nothing contains
 * itself, and no chain of pointers, modifiers, arrays and prototypes comes back to itself other
 * than through a structure. Names are printable ASCII.
 */
#ifndef REPRISE_GDBSTUB_LINUX_BTF_H
#define REPRISE_GDBSTUB_LINUX_BTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum btf_kind {
	BTF_VOID,
	BTF_INT,
	BTF_POINTER,
	BTF_ARRAY,
	BTF_STRUCT,
	BTF_UNION,
	BTF_ENUM,
	BTF_FORWARD,
	BTF_TYPEDEF,
	BTF_VOLATILE,
	BTF_CONST,
	BTF_RESTRICT,
	BTF_FUNCTION,
	BTF_PROTOTYPE,
	BTF_VARIABLE,
	BTF_SECTION,
	BTF_FLOAT,
	BTF_DECL_TAG,
	BTF_TYPE_TAG,
	BTF_ENUM64,
	BTF_KINDS
};

/* One type. */
struct btf_type {
	uint8_t kind;       /* enum btf_kind */
	bool flag;          /* structures: bitfields; enums: signed; forwards: a union */
	uint32_t n;         /* members, enumerators, parameters */
	uint32_t name;      /* see btf_text(); 0: none */
	uint32_t bytes;     /* of int, struct, union, enum, float, section */
	uint32_t type;      /* of pointer, typedef, modifier, function, prototype, variable, tag */
	const uint8_t *raw; /* what follows the record */
};

struct btf_array {
	uint32_t element, index, n;
};

struct btf_item {
	uint32_t name;
	uint32_t type; /* of members and parameters; a prototype's last 0: "..."; a section's: which
			  variable, not checked */
	uint32_t bit;  /* members: where it begins */
	uint32_t bits; /* members: of a bitfield, else 0 */
	int64_t value; /* enumerators; of a section's variable: where it lies in it */
};

enum btf_int_flags { BTF_INT_SIGNED = 1, BTF_INT_CHAR = 2, BTF_INT_BOOL = 4 };

struct btf;

/* Takes over the n bytes of a .BTF section (allocated), whatever it returns. 0, -EINVAL, -ENOMEM.
 */
int btf_create(uint8_t *data, size_t n, struct btf **ret_btf);
void btf_destroy(struct btf *btf);

/* Types are numbered from 1; 0 is void. */
uint32_t btf_count(const struct btf *btf);
struct btf_type btf_type(const struct btf *btf, uint32_t id);
const char *btf_text(const struct btf *btf, uint32_t name);
/* All names: zero-terminated strings at the offsets that btf_text() takes. */
const char *btf_strings(const struct btf *btf, size_t *ret_bytes);

struct btf_array btf_array(const struct btf_type *array);
/* Member, enumerator, parameter or variable n. */
struct btf_item btf_item(const struct btf_type *type, uint32_t n);
/* enum btf_int_flags of an int. */
unsigned btf_int_flags(const struct btf_type *type);

/* The number of the first type of this kind and name; 0: there is none. */
uint32_t btf_find(const struct btf *btf, enum btf_kind kind, const char *name);
/* Bytes that a value of the type takes; 0: none, unknown, or more than 4 GiB. */
uint32_t btf_type_bytes(const struct btf *btf, uint32_t id);
/* Without typedefs and modifiers. */
uint32_t btf_strip(const struct btf *btf, uint32_t id);

/*
 * Where a member lies in a structure, by a path such as "thread.sp" or "mm"; structures and unions
 * without a name are looked through. Returns false when there is no such member or it is a
 * bitfield.
 */
bool btf_member(const struct btf *btf, const char *structure, const char *path,
		uint32_t *ret_offset, uint32_t *ret_bytes);
bool btf_struct_bytes(const struct btf *btf, const char *structure, uint32_t *ret_bytes);
bool btf_enumerator(const struct btf *btf, const char *name, int64_t *ret_value);

#endif
