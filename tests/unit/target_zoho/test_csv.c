/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_csv.c - rows as CSV, and criteria on keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/targets/zoho_analytics/criteria.h"
#include "../../../src/targets/zoho_analytics/csv.h"

static void
add(struct wm_zoho_csv *csv, const char *text)
{
	wm_zoho_csv_field(csv, text, text != NULL ? strlen(text) : 0);
}

static void
test_quotes(void **state)
{
	struct wm_zoho_csv csv;

	(void)state;
	wm_zoho_csv_init(&csv, 1000);
	add(&csv, "id");
	add(&csv, "a \"name\"");
	wm_zoho_csv_end(&csv);
	add(&csv, NULL);
	add(&csv, "");
	wm_zoho_csv_end(&csv);
	assert_false(csv.breaks);
	add(&csv, "two\nlines\r\n\"");
	add(&csv, ",;'\t\\");
	wm_zoho_csv_end(&csv);
	assert_string_equal(csv.text.data, "\"id\",\"a \"\"name\"\"\"\n,\"\"\n\"two\nlines\r\n\"\"\",\",;'\t\\\"\n");
	assert_int_equal(csv.lines, 3);
	assert_true(csv.breaks);
	wm_zoho_csv_reset(&csv);
	assert_false(csv.breaks);
	assert_int_equal(csv.text.len, 0);
	wm_zoho_csv_free(&csv);
}

static void
test_no_empty_line(void **state)
{
	struct wm_zoho_csv csv;

	(void)state;
	wm_zoho_csv_init(&csv, 1000);
	add(&csv, NULL);
	wm_zoho_csv_end(&csv);
	assert_string_equal(csv.text.data, "\"\"\n");
	wm_zoho_csv_free(&csv);
}

static void
test_comment_begins_no_line(void **state)
{
	static const char printable[] =
	    "\n~\n^\n|\n`\n@\n$\n%\n&\n*\n!\n?\n;\n:\n#\n<\n>\n=\n+\n_\n\\\n/\n(\n)\n{\n}\n[\n]";
	struct wm_zoho_csv csv;

	(void)state;
	wm_zoho_csv_init(&csv, 1000);
	add(&csv, "~ in front of a value is within quotes");
	assert_int_equal(wm_zoho_csv_comment(&csv), '~');
	add(&csv, "a line feed\n~ and then");
	assert_int_equal(wm_zoho_csv_comment(&csv), '^');
	add(&csv, printable);
	assert_int_equal(wm_zoho_csv_comment(&csv), 1);
	add(&csv, "\n\x01");
	assert_int_equal(wm_zoho_csv_comment(&csv), 2);
	wm_zoho_csv_free(&csv);
}

static void
test_too_long(void **state)
{
	struct wm_zoho_csv csv;

	(void)state;
	wm_zoho_csv_init(&csv, 10);
	add(&csv, "longer than that");
	assert_true(csv.text.failed);
	wm_zoho_csv_free(&csv);
}

/* ---- criteria ---- */

static struct wm_zoho_cell
cell(const char *text)
{
	return (struct wm_zoho_cell){ .data = text, .len = text != NULL ? strlen(text) : 0 };
}

static void
test_one_column(void **state)
{
	const char *const names[] = { "id" };
	const enum wm_zoho_type number[] = { WM_ZOHO_NUMBER }, plain[] = { WM_ZOHO_PLAIN };
	struct wm_zoho_criteria c;
	struct wm_zoho_cell key;

	(void)state;
	wm_zoho_criteria_init(&c, 1000, 1, names, number);
	key = cell("1");
	assert_true(wm_zoho_criteria_add(&c, &key));
	key = cell("-22");
	assert_true(wm_zoho_criteria_add(&c, &key));
	assert_string_equal(wm_zoho_criteria_end(&c), "\"id\" in (1,-22)");
	wm_zoho_criteria_reset(&c);
	key = cell("3");
	assert_true(wm_zoho_criteria_add(&c, &key));
	assert_string_equal(wm_zoho_criteria_end(&c), "\"id\" in (3)");
	wm_zoho_criteria_free(&c);
	wm_zoho_criteria_init(&c, 1000, 1, names, plain);
	key = cell("it's \"1\"");
	assert_true(wm_zoho_criteria_add(&c, &key));
	assert_string_equal(wm_zoho_criteria_end(&c), "\"id\" in ('it''s \"1\"')");
	key = cell(NULL);
	assert_false(wm_zoho_criteria_add(&c, &key));
	wm_zoho_criteria_free(&c);
}

static void
test_two_columns(void **state)
{
	const char *const names[] = { "a b", "c" };
	const enum wm_zoho_type types[] = { WM_ZOHO_NUMBER, WM_ZOHO_PLAIN };
	struct wm_zoho_criteria c;
	struct wm_zoho_cell key[2];

	(void)state;
	wm_zoho_criteria_init(&c, 1000, 2, names, types);
	key[0] = cell("1");
	key[1] = cell("x");
	assert_true(wm_zoho_criteria_add(&c, key));
	key[1] = cell("y");
	assert_true(wm_zoho_criteria_add(&c, key));
	assert_string_equal(wm_zoho_criteria_end(&c), "(\"a b\"=1 and \"c\"='x') or (\"a b\"=1 and \"c\"='y')");
	wm_zoho_criteria_free(&c);
}

static void
test_names(void **state)
{
	(void)state;
	assert_true(wm_zoho_criteria_name("a 'b'"));
	assert_false(wm_zoho_criteria_name("a \"b\""));
}

static void
test_records(void **state)
{
	static const char *const texts[] = { "", "id", "id\n", "id\n1\n2", "id\r\n1\r\n", "id\n\"a\nb\"\"\n\"\nc\n" };
	static const size_t counts[] = { 0, 1, 1, 3, 2, 3 };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(wm_zoho_csv_records(texts[i], strlen(texts[i])), counts[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_no_empty_line),
		cmocka_unit_test(test_comment_begins_no_line),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_one_column),
		cmocka_unit_test(test_two_columns),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
