#include "gdbstub/linux/btf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/linux/btf_check.h"
#include "gdbstub/linux/name_index.h"

#define BTF_MAGIC        0xeb9fu
#define BTF_VERSION      1u
#define BTF_HEADER_BYTES 24u
#define RECORD_BYTES     12u
#define TYPES_MAX        (4u << 20)
#define PATH_DEPTH_MAX   16u

#define MEMBERS_LOOKED_AT_MAX (1u << 20)

struct btf {
	uint8_t *data;
	const char *strings;
	uint32_t strings_bytes;
	uint32_t *record; /* where type n begins in data; [0] is void */
	uint32_t n;       /* the highest number */
	struct name_index names[BTF_KINDS];
};

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* ---- records ---- */

struct btf_type btf_type(const struct btf *btf, uint32_t id)
{
	static const struct btf_type nothing = {.kind = BTF_VOID};

	if (!id || id > btf->n)
		return nothing;
	const uint8_t *at = btf->data + btf->record[id];
	uint32_t info = get32(at + 4), last = get32(at + 8);
	return (struct btf_type){
		.kind = info >> 24 & 0x1f,
		.flag = info >> 31,
		.n = info & 0xffff,
		.name = get32(at),
		.bytes = last,
		.type = last,
		.raw = at + RECORD_BYTES,
	};
}

uint32_t btf_count(const struct btf *btf)
{
	return btf->n;
}

const char *btf_text(const struct btf *btf, uint32_t name)
{
	return name < btf->strings_bytes ? btf->strings + name : "";
}

const char *btf_strings(const struct btf *btf, size_t *ret_bytes)
{
	*ret_bytes = btf->strings_bytes;
	return btf->strings;
}

struct btf_array btf_array(const struct btf_type *array)
{
	return (struct btf_array){get32(array->raw), get32(array->raw + 4), get32(array->raw + 8)};
}

unsigned btf_int_flags(const struct btf_type *type)
{
	return get32(type->raw) >> 24 & 0xf;
}

static struct btf_item get_member(const struct btf_type *type, const uint8_t *at)
{
	uint32_t where = get32(at + 8);

	return (struct btf_item){
		.name = get32(at),
		.type = get32(at + 4),
		.bit = type->flag ? where & 0xffffff : where,
		.bits = type->flag ? where >> 24 : 0,
	};
}

struct btf_item btf_item(const struct btf_type *type, uint32_t n)
{
	const uint8_t *at;
	uint32_t low;

	switch (type->kind) {
	case BTF_STRUCT:
	case BTF_UNION:
		return get_member(type, type->raw + (size_t)n * 12);
	case BTF_ENUM:
		at = type->raw + (size_t)n * 8;
		low = get32(at + 4);
		return (struct btf_item){
			.name = get32(at),
			.value = type->flag ? (int64_t)(int32_t)low : (int64_t)low,
		};
	case BTF_ENUM64:
		at = type->raw + (size_t)n * 12;
		return (struct btf_item){
			.name = get32(at),
			.value = (int64_t)(get32(at + 4) | (uint64_t)get32(at + 8) << 32),
		};
	case BTF_PROTOTYPE:
		at = type->raw + (size_t)n * 8;
		return (struct btf_item){.name = get32(at), .type = get32(at + 4)};
	case BTF_SECTION:
		at = type->raw + (size_t)n * 12;
		return (struct btf_item){.type = get32(at), .value = get32(at + 4)};
	default:
		return (struct btf_item){0};
	}
}

/* Bytes behind a record: a fixed number and one for each item. */
static bool record_bytes(uint32_t kind, uint32_t n, uint32_t *ret_bytes)
{
	static const struct {
		uint8_t fixed, each;
	} layout[BTF_KINDS] = {
		[BTF_INT] = {4, 0},      [BTF_ARRAY] = {12, 0},   [BTF_STRUCT] = {0, 12},
		[BTF_UNION] = {0, 12},   [BTF_ENUM] = {0, 8},     [BTF_PROTOTYPE] = {0, 8},
		[BTF_VARIABLE] = {4, 0}, [BTF_SECTION] = {0, 12}, [BTF_DECL_TAG] = {4, 0},
		[BTF_ENUM64] = {0, 12},
	};

	if (kind == BTF_VOID || kind >= BTF_KINDS)
		return false;
	*ret_bytes = RECORD_BYTES + layout[kind].fixed + layout[kind].each * n;
	return true;
}

/* Finds where each record begins. */
static int index_records(struct btf *btf, uint32_t from, uint32_t end)
{
	uint32_t max = (end - from) / RECORD_BYTES, bytes;

	if (max > TYPES_MAX)
		return -EINVAL;
	btf->record = calloc((size_t)max + 1, sizeof(*btf->record));
	if (!btf->record)
		return -ENOMEM;
	while (from < end) {
		if (end - from < RECORD_BYTES)
			return -EINVAL;
		uint32_t info = get32(btf->data + from + 4);
		if (!record_bytes(info >> 24 & 0x1f, info & 0xffff, &bytes) || bytes > end - from)
			return -EINVAL;
		btf->record[++btf->n] = from;
		from += bytes;
	}
	return 0;
}

/* What a debugger may print is made harmless. */
static void clean_strings(uint8_t *strings, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (strings[i] && (strings[i] < ' ' || strings[i] >= 0x7f))
			strings[i] = '?';
}

static bool in_section(uint32_t offset, uint32_t bytes, size_t n)
{
	return offset <= n && bytes <= n - offset;
}

static int read_header(struct btf *btf, size_t n, uint32_t *ret_types, uint32_t *ret_types_end)
{
	const uint8_t *at = btf->data;

	if (n < BTF_HEADER_BYTES || n > UINT32_MAX || (get32(at) & 0xffff) != BTF_MAGIC ||
	    at[2] != BTF_VERSION)
		return -EINVAL;
	uint32_t header = get32(at + 4), types = get32(at + 8), types_bytes = get32(at + 12);
	uint32_t strings = get32(at + 16), strings_bytes = get32(at + 20);
	if (header < BTF_HEADER_BYTES || header > n ||
	    !in_section(types, types_bytes, n - header) ||
	    !in_section(strings, strings_bytes, n - header) || !strings_bytes ||
	    (types < strings ? types_bytes > strings - types : strings_bytes > types - strings))
		return -EINVAL;
	uint8_t *text = btf->data + header + strings;
	if (text[0] || text[strings_bytes - 1])
		return -EINVAL;
	clean_strings(text, strings_bytes);
	btf->strings = (const char *)text;
	btf->strings_bytes = strings_bytes;
	*ret_types = header + types;
	*ret_types_end = header + types + types_bytes;
	return 0;
}

/* ---- names ---- */

static const char *name_of(const void *ctx, uint32_t id)
{
	const struct btf *btf = ctx;

	return btf_text(btf, btf_type(btf, id).name);
}

static int index_names(struct btf *btf)
{
	uint32_t count[BTF_KINDS] = {0};
	int error = 0;

	for (uint32_t i = 1; i <= btf->n; i++)
		count[btf_type(btf, i).kind]++;
	for (unsigned kind = 0; !error && kind < BTF_KINDS; kind++)
		error = name_index_init(&btf->names[kind], count[kind], name_of, btf);
	for (uint32_t i = 1; !error && i <= btf->n; i++) {
		struct btf_type type = btf_type(btf, i);
		if (*btf_text(btf, type.name))
			name_index_add(&btf->names[type.kind], i);
	}
	return error;
}

static int take_in(struct btf *btf, size_t n)
{
	uint32_t from, end;
	int error = read_header(btf, n, &from, &end);

	if (!error)
		error = index_records(btf, from, end);
	if (!error)
		error = btf_check(btf);
	if (!error)
		error = index_names(btf);
	return error;
}

int btf_create(uint8_t *data, size_t n, struct btf **ret_btf)
{
	struct btf *btf = calloc(1, sizeof(*btf));

	if (!btf) {
		free(data);
		return -ENOMEM;
	}
	btf->data = data;
	int error = take_in(btf, n);
	if (error) {
		btf_destroy(btf);
		return error;
	}
	*ret_btf = btf;
	return 0;
}

void btf_destroy(struct btf *btf)
{
	if (!btf)
		return;
	for (unsigned kind = 0; kind < BTF_KINDS; kind++)
		name_index_finish(&btf->names[kind]);
	free(btf->record);
	free(btf->data);
	free(btf);
}

/* ---- looking up ---- */

uint32_t btf_find(const struct btf *btf, enum btf_kind kind, const char *name)
{
	uint32_t id = name_index_find(&btf->names[kind], name);

	return id == NAME_INDEX_NONE ? 0 : id;
}

uint32_t btf_strip(const struct btf *btf, uint32_t id)
{
	for (;;) {
		struct btf_type type = btf_type(btf, id);
		switch (type.kind) {
		case BTF_TYPEDEF:
		case BTF_VOLATILE:
		case BTF_CONST:
		case BTF_RESTRICT:
		case BTF_TYPE_TAG:
			id = type.type;
			break;
		default:
			return id;
		}
	}
}

uint32_t btf_type_bytes(const struct btf *btf, uint32_t id)
{
	uint64_t times = 1;

	for (;;) {
		struct btf_type type = btf_type(btf, btf_strip(btf, id));
		uint64_t bytes;
		switch (type.kind) {
		case BTF_ARRAY:
			times *= btf_array(&type).n;
			if (times > UINT32_MAX)
				return 0;
			id = btf_array(&type).element;
			continue;
		case BTF_POINTER:
			bytes = 8;
			break;
		case BTF_INT:
		case BTF_STRUCT:
		case BTF_UNION:
		case BTF_ENUM:
		case BTF_ENUM64:
		case BTF_FLOAT:
			bytes = type.bytes;
			break;
		default:
			return 0;
		}
		return times * bytes > UINT32_MAX ? 0 : (uint32_t)(times * bytes);
	}
}

static uint32_t find_structure(const struct btf *btf, const char *name)
{
	uint32_t id = btf_find(btf, BTF_STRUCT, name);

	return id ? id : btf_find(btf, BTF_UNION, name);
}

/* A member that is looked for; budget: how many may be looked at, since structures without names
 * can be nested so that there is no end to it. */
struct member_search {
	const struct btf *btf;
	const char *name;
	size_t name_bytes;
	uint32_t budget;
	uint64_t bit; /* where it was found */
	struct btf_item item;
};

static bool find_member(struct member_search *search, uint32_t id, uint64_t bit, unsigned depth)
{
	struct btf_type type = btf_type(search->btf, btf_strip(search->btf, id));

	if ((type.kind != BTF_STRUCT && type.kind != BTF_UNION) || depth > PATH_DEPTH_MAX)
		return false;
	for (uint32_t i = 0; i < type.n && search->budget; i++) {
		struct btf_item item = btf_item(&type, i);
		const char *text = btf_text(search->btf, item.name);
		search->budget--;
		if (!strncmp(text, search->name, search->name_bytes) && !text[search->name_bytes]) {
			search->bit = bit + item.bit;
			search->item = item;
			return true;
		}
		if (!*text && find_member(search, item.type, bit + item.bit, depth + 1))
			return true;
	}
	return false;
}

bool btf_member(const struct btf *btf, const char *structure, const char *path,
		uint32_t *ret_offset, uint32_t *ret_bytes)
{
	struct member_search search = {.btf = btf, .budget = MEMBERS_LOOKED_AT_MAX};
	uint32_t id = find_structure(btf, structure);

	for (;;) {
		search.name = path;
		search.name_bytes = strcspn(path, ".");
		if (!search.name_bytes || !find_member(&search, id, search.bit, 0))
			return false;
		id = search.item.type;
		path += search.name_bytes;
		if (!*path)
			break;
		path++;
	}
	if (search.item.bits || search.bit % 8 || search.bit / 8 > UINT32_MAX)
		return false;
	*ret_offset = (uint32_t)(search.bit / 8);
	*ret_bytes = btf_type_bytes(btf, id);
	return true;
}

bool btf_struct_bytes(const struct btf *btf, const char *structure, uint32_t *ret_bytes)
{
	uint32_t id = find_structure(btf, structure);

	if (id)
		*ret_bytes = btf_type(btf, id).bytes;
	return id != 0;
}

bool btf_enumerator(const struct btf *btf, const char *name, int64_t *ret_value)
{
	for (uint32_t id = 1; id <= btf->n; id++) {
		struct btf_type type = btf_type(btf, id);
		if (type.kind != BTF_ENUM && type.kind != BTF_ENUM64)
			continue;
		for (uint32_t i = 0; i < type.n; i++) {
			struct btf_item item = btf_item(&type, i);
			if (!strcmp(btf_text(btf, item.name), name)) {
				*ret_value = item.value;
				return true;
			}
		}
	}
	return false;
}
