/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_grid.c - tables and units for people, and values found in JSON text.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../src/cli/grid.h"
#include "../../../src/cli/json.h"

static void
columns_are_aligned(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct wm_grid grid;

	(void)state;
	wm_grid_init(&grid, "NAME,>ROWS,LAST");
	wm_grid_cell(&grid, "%s", "b\303\244r");	/* three letters, four bytes */
	wm_grid_cell(&grid, "%d", 7);
	wm_grid_cell(&grid, "%s", "two\nlines");
	wm_grid_cell(&grid, "%s", "orders");
	wm_grid_cell(&grid, "%d", 12345);
	wm_grid_cell(&grid, "%s", "");
	wm_grid_print(&grid, out);
	fclose(out);
	wm_grid_free(&grid);
	assert_string_equal(text,
	    "NAME     ROWS  LAST\n"
	    "b\303\244r         7  two?lines\n"
	    "orders  12345  \n");
	free(text);
}

static void
units_are_readable(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(wm_grid_size(0, buf), "0 B");
	assert_string_equal(wm_grid_size(1023, buf), "1023 B");
	assert_string_equal(wm_grid_size(1024, buf), "1.0 KiB");
	assert_string_equal(wm_grid_size(1048575, buf), "1.0 MiB");
	assert_string_equal(wm_grid_size(UINT64_MAX, buf), "16.0 EiB");
	assert_string_equal(wm_grid_count(0, buf), "0");
	assert_string_equal(wm_grid_count(999, buf), "999");
	assert_string_equal(wm_grid_count(1000, buf), "1,000");
	assert_string_equal(wm_grid_count(UINT64_MAX, buf), "18,446,744,073,709,551,615");
	assert_string_equal(wm_grid_seconds(0, buf), "0 ms");
	assert_string_equal(wm_grid_seconds(0.0125, buf), "12 ms");
	assert_string_equal(wm_grid_seconds(0.9996, buf), "1.0 s");
	assert_string_equal(wm_grid_seconds(42.4, buf), "42 s");
	assert_string_equal(wm_grid_seconds(200, buf), "3 min 20 s");
	assert_string_equal(wm_grid_seconds(18180, buf), "5 h 3 min");
	assert_string_equal(wm_grid_seconds(187200, buf), "2 d 4 h");
}

static void
assert_member(const char *object, const char *name, const char *expected)
{
	const char *value;
	size_t n;

	assert_true(wm_json_member(object, name, &value, &n));
	assert_int_equal(n, strlen(expected));
	assert_memory_equal(value, expected, n);
}

static void
members_are_found_as_they_are(void **state)
{
	static const char json[] = "{\"a\\\"b\": \"x\", \"key\" : {\"id\":12345678901234567890,\"s\":\"}]\\\"\"} , "
	    "\"list\":[{\"n\":1}, [2,3],\"]\",-4.50], \"t\":true,\"e\":[],\"z\":null}";
	const char *value, *item;
	size_t n;

	(void)state;
	assert_member(json, "key", "{\"id\":12345678901234567890,\"s\":\"}]\\\"\"}");
	assert_member(json, "t", "true");
	assert_member(json, "z", "null");
	assert_member(json, "e", "[]");
	assert_false(wm_json_member(json, "id", &value, &n));
	assert_false(wm_json_member("{}", "id", &value, &n));
	assert_true(wm_json_member(json, "list", &value, &n));
	item = wm_json_first(value);
	assert_member(item, "n", "1");
	item = wm_json_next(item);
	assert_memory_equal(item, "[2,3]", 5);
	item = wm_json_next(item);
	assert_memory_equal(item, "\"]\"", 3);
	item = wm_json_next(item);
	assert_memory_equal(item, "-4.50", 5);
	assert_null(wm_json_next(item));
	assert_true(wm_json_member(json, "e", &value, &n));
	assert_null(wm_json_first(value));
}

/* Cut off anywhere, reading stays inside the text. */
static void
cut_text_is_survived(void **state)
{
	static const char json[] = "{\"errors\":[{\"id\":1,\"key\":{\"a\":\"\\\"\"}}],\"last\":1}";

	(void)state;
	for (size_t n = 0; n <= sizeof(json) - 1; n++) {
		char *cut = strndup(json, n);
		const char *value, *item;
		size_t len;

		if (wm_json_member(cut, "last", &value, &len))
			assert_true(value + len <= cut + n);
		if (wm_json_member(cut, "errors", &value, &len))
			for (item = wm_json_first(value); item != NULL; item = wm_json_next(item))
				assert_true(item <= cut + n);
		free(cut);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_aligned),
		cmocka_unit_test(units_are_readable),
		cmocka_unit_test(members_are_found_as_they_are),
		cmocka_unit_test(cut_text_is_survived),
	};

	return cmocka_run_group_tests_name("cli_grid", tests, NULL, NULL);
}
