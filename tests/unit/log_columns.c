/* Columns, cursors and the page store on their own. */
#include "log-format/column.h"
#include "log-format/events.h"
#include "log-format/page_store.h"
#include "tests/unit/log_fixture.h"

static const uint64_t edges[] = {0,
				 1,
				 127,
				 128,
				 16383,
				 16384,
				 UINT32_MAX,
				 INT64_MAX,
				 (uint64_t)INT64_MIN,
				 UINT64_MAX - 1,
				 UINT64_MAX};
#define N_EDGES (sizeof(edges) / sizeof(edges[0]))

static void test_varints(void)
{
	struct column column = {0};
	bool equal = true;
	for (unsigned i = 0; i < N_EDGES; i++) {
		column_clear(&column);
		uint64_t value = 0;
		if (column_reserve(&column, VARINT_MAX_BYTES))
			abort();
		column_put_varint(&column, edges[i]);
		for (size_t cut = 0; cut < column.bytes; cut++) {
			struct cursor short_cursor = {column.data, column.data + cut};
			equal &= !cursor_varint(&short_cursor, &value);
			equal &= short_cursor.at == column.data;
		}
		struct cursor cursor = {column.data, column.data + column.bytes};
		equal &= cursor_varint(&cursor, &value) && value == edges[i];
		equal &= cursor_at_end(&cursor);
	}
	tap_ok(equal, "varints of all lengths come back, cut ones do not");
	column_finish(&column);

	static const uint8_t too_large[] = {0xff, 0xff, 0xff, 0xff, 0xff,
					    0xff, 0xff, 0xff, 0xff, 2};
	static const uint8_t too_long[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
					   0x80, 0x80, 0x80, 0x80, 0};
	uint64_t value;
	struct cursor large = {too_large, too_large + sizeof(too_large)};
	struct cursor long_cursor = {too_long, too_long + sizeof(too_long)};
	tap_ok(!cursor_varint(&large, &value), "a varint past 64 bits is refused");
	tap_ok(!cursor_varint(&long_cursor, &value), "a varint past 10 bytes is refused");
}

static void test_zigzag(void)
{
	bool equal = true;
	for (unsigned i = 0; i < N_EDGES; i++) {
		for (unsigned j = 0; j < N_EDGES; j++) {
			uint64_t folded = zigzag_difference(edges[i], edges[j]);
			equal &= zigzag_apply(folded, edges[j]) == edges[i];
		}
	}
	tap_ok(equal, "any two numbers have a difference");
	tap_ok(zigzag_difference(4, 5) == 1 && zigzag_difference(6, 5) == 2,
	       "differences of 1 fold to small numbers");
}

static void test_clock_prediction(void)
{
	static struct event_prediction prediction = {
		.clock_icount = 100, .clock_base = 1000, .clock_ratio = UINT64_C(3) << 31};
	tap_ok(event_predict_clock(&prediction, 104) == 1006,
	       "the clock is predicted by its ratio");
}

static void test_page_store(void)
{
	struct page_store store = {0};
	uint8_t page[FORMAT_PAGE_BYTES];
	uint64_t ref, again;
	bool fresh = true, known = true;
	const uint64_t n = 20000; /* the table grows several times on the way */
	for (uint64_t i = 1; i <= n; i++) {
		fixture_page(i, page);
		if (page_store_is_full(&store))
			column_clear(&store.pending);
		fresh &= page_store_add(&store, page, &ref) == 0 && ref == i;
	}
	tap_ok(fresh, "each new page has the next reference");
	uint64_t pending = page_store_pending(&store);
	for (uint64_t i = 1; i <= n; i++) {
		fixture_page(i, page);
		known &= page_store_add(&store, page, &again) == 0 && again == i;
	}
	tap_ok(known && page_store_pending(&store) == pending, "a known page keeps its reference");
	memset(page, 0, sizeof(page));
	tap_ok(page_store_add(&store, page, &ref) == 0 && ref == FORMAT_ZERO_PAGE_REF,
	       "the page of zeros needs no content");
	page_store_finish(&store);
}

int main(void)
{
	test_varints();
	test_zigzag();
	test_clock_prediction();
	test_page_store();
	return tap_done();
}
