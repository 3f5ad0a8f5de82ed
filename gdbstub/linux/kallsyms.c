/*
 * What scripts/kallsyms writes into .rodata, each part aligned to 8 bytes:
 *
 *	num_syms       u32
 *	names          for each symbol the number of its bytes (two bytes from 128 on, low 7 bits
 *	               first), then as many indices of tokens; the first character is the type
 *	markers        u32: where every 256th name begins
 *	token_table    256 strings, each ended by a zero
 *	token_index    256 u16: where each string begins in token_table
 *
 * In Linux 6.2 seqs_of_names stands behind the markers, later at the end. The addresses are
 * "offsets" (i32 for each symbol) followed by relative_base (u64), or u64 for each symbol. Up to
 * Linux 6.3 they stand before num_syms, since then behind token_index.
 *
 * Nothing of it has a name in memory, so token_index is looked for by its shape; all else follows
 * from there, and has to agree with all else.
 */
#include "gdbstub/linux/kallsyms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/linux/name_index.h"

#define TOKENS          256u
#define INDEX_BYTES     (TOKENS * 2)
#define TOKEN_TABLE_MAX 65536u
#define TABLES_ALIGN    8u
#define MARKER_EVERY    256u
#define SYMBOLS_MIN     512u /* fewer are no kernel's */
#define SYMBOLS_MAX     (2u << 20)
#define NAME_MAX_BYTES  512u
#define NAMES_TEXT_MAX  (UINT32_C(1) << 28)
#define WINDOW_BEFORE   (UINT64_C(24) << 20)
#define WINDOW_BEHIND   (UINT64_C(12) << 20)
#define KERNEL_HALF     UINT64_C(0xffff800000000000)
#define CANDIDATES_MAX  (1u << 16)
#define WINDOWS_MAX     16u
#define NAMES_MAX       (UINT64_C(1) << 26)

struct kallsyms {
	struct kallsyms_symbol *symbol; /* by address */
	uint32_t n;
	char *text; /* the names, each ended by a zero */
	size_t text_bytes, text_max;
	struct name_index by_name;
};

/* A copy of the memory around a token_index, and where in it the parts were found. */
struct window {
	uint8_t *data;
	size_t n;
	size_t token_index, token_table, num_syms, names, names_end;
	uint32_t n_symbols;
};

static uint16_t get16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static size_t align_up(size_t value)
{
	return (value + TABLES_ALIGN - 1) / TABLES_ALIGN * TABLES_ALIGN;
}

/* ---- token_index and token_table ---- */

/* A cheap look at four bytes: it begins with 0 and the length of a token. */
static bool may_begin_index(const uint8_t *at)
{
	return !get16(at) && get16(at + 2) >= 2 && get16(at + 2) <= NAME_MAX_BYTES;
}

static bool is_index(const uint8_t *at)
{
	if (get16(at))
		return false;
	for (unsigned i = 1; i < TOKENS; i++)
		if (get16(at + i * 2) <= get16(at + i * 2 - 2))
			return false;
	return true;
}

static bool is_token_text(const uint8_t *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	return true;
}

/* Whether the strings at table are as the index says and end where the index begins. */
static bool tokens_agree(const uint8_t *data, size_t table, size_t index)
{
	for (unsigned i = 0; i < TOKENS; i++) {
		size_t from = table + get16(data + index + i * 2);
		const uint8_t *zero = from < index ? memchr(data + from, 0, index - from) : NULL;
		if (!zero || !is_token_text(data + from, (size_t)(zero - data) - from))
			return false;
		size_t end = (size_t)(zero - data) + 1;
		size_t expected =
			i + 1 < TOKENS ? table + get16(data + index + (i + 1) * 2) : index;
		if (i + 1 < TOKENS ? end != expected : align_up(end) != expected)
			return false;
	}
	return true;
}

/* The last token ends before the index and its padding; that gives where the table begins. */
static bool find_token_table(struct window *window)
{
	const uint8_t *data = window->data;
	size_t index = window->token_index, at = index;
	uint16_t last = get16(data + index + INDEX_BYTES - 2);

	while (at && !data[at - 1] && index - at <= TABLES_ALIGN)
		at--;
	while (at && data[at - 1] && index - at <= NAME_MAX_BYTES)
		at--;
	if (at < last || (at - last) % TABLES_ALIGN)
		return false;
	window->token_table = at - last;
	return tokens_agree(data, window->token_table, index);
}

/* ---- names and markers ---- */

/* Takes the length in front of a name. Returns false at the end or when there is none. */
static bool take_length(const uint8_t *data, size_t *at, size_t end, uint32_t *ret_length)
{
	if (*at >= end)
		return false;
	*ret_length = data[(*at)++];
	if (*ret_length & 0x80) {
		if (*at >= end)
			return false;
		*ret_length = (*ret_length & 0x7f) | (uint32_t)data[(*at)++] << 7;
	}
	return *ret_length > 0 && *ret_length <= NAME_MAX_BYTES && end - *at >= *ret_length;
}

/* Walks n names from at on. Returns where they end; 0: they run into the tokens, are no names, or
 * the budget is used up. */
static size_t walk_names(const struct window *window, size_t at, uint32_t n, uint64_t *budget)
{
	uint32_t length;

	for (uint32_t i = 0; i < n; i++) {
		if (!*budget || !take_length(window->data, &at, window->token_table, &length))
			return 0;
		--*budget;
		at += length;
	}
	return at;
}

static bool markers_agree(const struct window *window, size_t names, size_t markers, uint32_t n)
{
	const uint8_t *data = window->data;
	size_t at = names;
	uint32_t length;

	if (markers + (size_t)(n + MARKER_EVERY - 1) / MARKER_EVERY * 4 > window->token_table)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (i % MARKER_EVERY == 0 &&
		    get32(data + markers + (size_t)i / MARKER_EVERY * 4) != at - names)
			return false;
		if (!take_length(data, &at, window->token_table, &length))
			return false;
		at += length;
	}
	return true;
}

/* num_syms stands somewhere before the tokens; the names behind it are as many, and the markers
 * behind those know where they are. */
static bool find_names(struct window *window, uint64_t *budget)
{
	for (size_t at = window->token_table / TABLES_ALIGN * TABLES_ALIGN; at >= TABLES_ALIGN;) {
		at -= TABLES_ALIGN;
		uint32_t n = get32(window->data + at);
		size_t names = at + TABLES_ALIGN;
		if (n < SYMBOLS_MIN || n > SYMBOLS_MAX || get32(window->data + at + 4) ||
		    n > (window->token_table - names) / 2)
			continue;
		size_t end = walk_names(window, names, n, budget);
		if (!end || !markers_agree(window, names, align_up(end), n))
			continue;
		window->num_syms = at;
		window->names = names;
		window->names_end = end;
		window->n_symbols = n;
		return true;
	}
	return false;
}

/* ---- addresses ---- */

/* How the addresses are kept; base is relative_base. */
enum scheme {
	SCHEME_ABSOLUTE_PERCPU, /* from 0 on as they are, below 0: base - 1 - offset */
	SCHEME_RELATIVE,        /* base + offset, unsigned */
	SCHEME_ABSOLUTE,        /* u64 */
	SCHEMES
};

static uint64_t address_of(const uint8_t *table, enum scheme scheme, uint64_t base, uint32_t n)
{
	if (scheme == SCHEME_ABSOLUTE)
		return get64(table + (size_t)n * 8);
	uint32_t offset = get32(table + (size_t)n * 4);
	if (scheme == SCHEME_RELATIVE)
		return base + offset;
	return offset >> 31 ? base - 1 - (uint64_t)(int64_t)(int32_t)offset : offset;
}

/* Addresses ascend, and most are a kernel's. */
static bool addresses_agree(const uint8_t *table, enum scheme scheme, uint64_t base, uint32_t n)
{
	uint64_t last = 0;
	uint32_t n_kernel = 0;

	if (scheme != SCHEME_ABSOLUTE && base < KERNEL_HALF)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t address = address_of(table, scheme, base, i);
		if (address < last)
			return false;
		last = address;
		n_kernel += address >= KERNEL_HALF;
	}
	return n_kernel > n / 2;
}

/* Where a table of addresses would lie, before num_syms or behind token_index. */
static bool table_place(const struct window *window, enum scheme scheme, bool before,
			size_t *ret_table, size_t *ret_base)
{
	size_t bytes = (size_t)window->n_symbols * (scheme == SCHEME_ABSOLUTE ? 8 : 4);
	size_t base_bytes = scheme == SCHEME_ABSOLUTE ? 0 : 8;
	size_t all = align_up(bytes) + base_bytes;

	if (before && all > window->num_syms)
		return false;
	*ret_table = before ? window->num_syms - all : window->token_index + INDEX_BYTES;
	*ret_base = *ret_table + align_up(bytes);
	return *ret_table + all <= window->n;
}

static bool find_addresses(const struct window *window, const uint8_t **ret_table,
			   enum scheme *ret_scheme, uint64_t *ret_base)
{
	size_t table, base_at;

	for (unsigned i = 0; i < SCHEMES * 2; i++) {
		enum scheme scheme = (enum scheme)(i / 2);
		if (!table_place(window, scheme, i % 2 == 0, &table, &base_at))
			continue;
		uint64_t base = scheme == SCHEME_ABSOLUTE ? 0 : get64(window->data + base_at);
		if (!addresses_agree(window->data + table, scheme, base, window->n_symbols))
			continue;
		*ret_table = window->data + table;
		*ret_scheme = scheme;
		*ret_base = base;
		return true;
	}
	return false;
}

/* ---- copying out ---- */

/* Expands the name's tokens. Returns its characters with the type in front; 0: too long. */
static size_t expand(const struct window *window, size_t at, uint32_t length,
		     char text[NAME_MAX_BYTES])
{
	const uint8_t *index = window->data + window->token_index;
	size_t n = 0;

	for (uint32_t i = 0; i < length; i++) {
		const char *token = (const char *)window->data + window->token_table +
				    get16(index + window->data[at + i] * 2u);
		size_t token_bytes = strlen(token);
		if (n + token_bytes >= NAME_MAX_BYTES)
			return 0;
		memcpy(text + n, token, token_bytes);
		n += token_bytes;
	}
	text[n] = '\0';
	return n;
}

static int append_text(struct kallsyms *kallsyms, const char *text, size_t n, uint32_t *ret_at)
{
	if (kallsyms->text_max - kallsyms->text_bytes < n) {
		size_t max = kallsyms->text_max * 2 + NAME_MAX_BYTES;
		char *grown = max <= NAMES_TEXT_MAX ? realloc(kallsyms->text, max) : NULL;
		if (!grown)
			return -ENOMEM;
		kallsyms->text = grown;
		kallsyms->text_max = max;
	}
	*ret_at = (uint32_t)kallsyms->text_bytes;
	memcpy(kallsyms->text + kallsyms->text_bytes, text, n);
	kallsyms->text_bytes += n;
	return 0;
}

static const char *name_of(const void *ctx, uint32_t n)
{
	const struct kallsyms *kallsyms = ctx;

	return kallsyms->text + kallsyms->symbol[n].name;
}

static int copy_symbols(struct kallsyms *kallsyms, const struct window *window,
			const uint8_t *table, enum scheme scheme, uint64_t base)
{
	char text[NAME_MAX_BYTES];
	size_t at = window->names;
	uint32_t length;

	for (uint32_t i = 0; i < window->n_symbols; i++) {
		if (!take_length(window->data, &at, window->names_end, &length))
			return -ENOENT;
		size_t n = expand(window, at, length, text);
		at += length;
		if (n < 2)
			continue;
		struct kallsyms_symbol *symbol = &kallsyms->symbol[kallsyms->n];
		if (append_text(kallsyms, text + 1, n, &symbol->name))
			return -ENOMEM;
		symbol->address = address_of(table, scheme, base, i);
		symbol->type = text[0];
		kallsyms->n++;
	}
	return 0;
}

static int index_names(struct kallsyms *kallsyms)
{
	int error = name_index_init(&kallsyms->by_name, kallsyms->n, name_of, kallsyms);

	for (uint32_t i = 0; !error && i < kallsyms->n; i++)
		name_index_add(&kallsyms->by_name, i);
	return error;
}

static int take_tables(const struct window *window, struct kallsyms **ret_kallsyms)
{
	const uint8_t *table;
	enum scheme scheme;
	uint64_t base;

	if (!find_addresses(window, &table, &scheme, &base))
		return -ENOENT;
	struct kallsyms *kallsyms = calloc(1, sizeof(*kallsyms));
	if (!kallsyms)
		return -ENOMEM;
	kallsyms->symbol = calloc(window->n_symbols, sizeof(*kallsyms->symbol));
	int error =
		kallsyms->symbol ? copy_symbols(kallsyms, window, table, scheme, base) : -ENOMEM;
	if (!error)
		error = index_names(kallsyms);
	if (error) {
		kallsyms_destroy(kallsyms);
		return error;
	}
	*ret_kallsyms = kallsyms;
	return 0;
}

/* ---- the search ---- */

/* Copies what lies around a token_index, as far as it is the same piece of RAM. */
static int open_window(const struct memory *memory, uint64_t index_gpa, uint64_t before,
		       uint64_t behind, struct window *window)
{
	const struct memory_region *region = memory_find_region(memory, index_gpa);
	uint64_t end = region->gpa + region->bytes, from = region->gpa;

	if (index_gpa - from > before)
		from = index_gpa - before;
	if (end - index_gpa > behind)
		end = index_gpa + behind;
	*window = (struct window){.n = end - from, .token_index = index_gpa - from};
	if (end - index_gpa < INDEX_BYTES)
		return -ENOENT;
	window->data = malloc(window->n);
	if (!window->data)
		return -ENOMEM;
	memory_read(memory, from, window->data, window->n);
	return 0;
}

/* Whether the strings that an index needs stand before it. */
static int look_coarsely(const struct memory *memory, uint64_t gpa)
{
	struct window window;
	int error = open_window(memory, gpa, TOKEN_TABLE_MAX + NAME_MAX_BYTES + TABLES_ALIGN,
				INDEX_BYTES, &window);

	if (error)
		return error;
	bool good = find_token_table(&window);
	free(window.data);
	return good ? 0 : -ENOENT;
}

static int look_closely(struct kallsyms_search *search, uint64_t gpa,
			struct kallsyms **ret_kallsyms)
{
	struct window window;
	int error = open_window(search->memory, gpa, WINDOW_BEFORE, WINDOW_BEHIND, &window);

	if (error)
		return error;
	error = -ENOENT;
	if (find_token_table(&window) && find_names(&window, &search->names))
		error = take_tables(&window, ret_kallsyms);
	free(window.data);
	return error;
}

static int try_index(struct kallsyms_search *search, uint64_t gpa, struct kallsyms **ret_kallsyms)
{
	uint8_t index[INDEX_BYTES];

	memory_read(search->memory, gpa, index, sizeof(index));
	if (!is_index(index) || !search->candidates || !search->windows)
		return -ENOENT;
	search->candidates--;
	int error = look_coarsely(search->memory, gpa);
	if (error)
		return error;
	search->windows--;
	return look_closely(search, gpa, ret_kallsyms);
}

static int try_page(struct kallsyms_search *search, uint64_t gpa, struct kallsyms **ret_kallsyms,
		    uint64_t *ret_gpa)
{
	const uint8_t *page = memory_page(search->memory, gpa);

	for (unsigned at = 0; at < PAGE_BYTES; at += TABLES_ALIGN) {
		if (!may_begin_index(page + at))
			continue;
		int error = try_index(search, gpa + at, ret_kallsyms);
		if (error != -ENOENT) {
			*ret_gpa = gpa + at;
			return error;
		}
	}
	return -ENOENT;
}

void kallsyms_search_start(struct kallsyms_search *search, const struct memory *memory,
			   uint64_t gpa, uint64_t end_gpa)
{
	*search = (struct kallsyms_search){
		.memory = memory,
		.gpa = gpa,
		.end_gpa = end_gpa,
		.candidates = CANDIDATES_MAX,
		.windows = WINDOWS_MAX,
		.names = NAMES_MAX,
	};
}

int kallsyms_search_next(struct kallsyms_search *search, struct kallsyms **ret_kallsyms,
			 uint64_t *ret_gpa)
{
	while (search->gpa < search->end_gpa) {
		uint64_t here = search->gpa;
		const struct memory_region *region = memory_find_region(search->memory, here);
		search->gpa += PAGE_BYTES;
		if (!region || region->kind != REGION_RAM)
			continue;
		int error = try_page(search, here, ret_kallsyms, ret_gpa);
		if (error != -ENOENT)
			return error;
	}
	return -ENOENT;
}

void kallsyms_destroy(struct kallsyms *kallsyms)
{
	if (!kallsyms)
		return;
	name_index_finish(&kallsyms->by_name);
	free(kallsyms->text);
	free(kallsyms->symbol);
	free(kallsyms);
}

/* ---- looking up ---- */

uint32_t kallsyms_count(const struct kallsyms *kallsyms)
{
	return kallsyms->n;
}

const struct kallsyms_symbol *kallsyms_symbol(const struct kallsyms *kallsyms, uint32_t n)
{
	return &kallsyms->symbol[n];
}

const char *kallsyms_name(const struct kallsyms *kallsyms, const struct kallsyms_symbol *symbol)
{
	return kallsyms->text + symbol->name;
}

const struct kallsyms_symbol *kallsyms_find_name(const struct kallsyms *kallsyms, const char *name)
{
	uint32_t n = name_index_find(&kallsyms->by_name, name);

	return n == NAME_INDEX_NONE ? NULL : &kallsyms->symbol[n];
}

bool kallsyms_address(const struct kallsyms *kallsyms, const char *name, uint64_t *ret_address)
{
	const struct kallsyms_symbol *symbol = kallsyms_find_name(kallsyms, name);

	if (symbol)
		*ret_address = symbol->address;
	return symbol != NULL;
}

const struct kallsyms_symbol *kallsyms_find_address(const struct kallsyms *kallsyms,
						    uint64_t address)
{
	uint32_t low = 0, high = kallsyms->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (kallsyms->symbol[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &kallsyms->symbol[low - 1] : NULL;
}

uint64_t kallsyms_distance(const struct kallsyms *kallsyms, const struct kallsyms_symbol *symbol)
{
	const struct kallsyms_symbol *end = kallsyms->symbol + kallsyms->n;

	for (const struct kallsyms_symbol *next = symbol + 1; next < end; next++)
		if (next->address > symbol->address)
			return next->address - symbol->address;
	return 0;
}
