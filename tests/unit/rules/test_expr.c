/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_expr.c - SQL expressions: what they see of a row, what they give, and what they must not do.
 */
#include "fixture.h"

#include <string.h>

#include "walmill/strutil.h"

/* The value that expr gives over a row of one column c of this type. */
static const char *
compute(struct fixture *fx, const char *type, const char *value, const char *expr)
{
	WM_AUTO(wm_freep) char *rule = wm_asprintf("table: t, columns: {include: [id], compute: {x: \"%s\"}}", expr);
	WM_AUTO(wm_freep) char *spec = wm_asprintf("public.t d id!:integer c:%s other:text", type);

	fx_close(fx);
	fx_open(fx, rule, spec);
	assert_int_equal(fx_apply(fx, WM_EVENT_INSERT, NULL, false, ROW("1", value, "o"), 0), WM_PLAN_ROWS);
	return fx_rows(fx);
}

static void
values_are_bound_by_their_type(void **state)
{
	static const struct {
		const char *type, *value, *expr, *result;
	} cases[] = {
		{ "boolean", "t", "typeof(c) || c", "integer1" },
		{ "boolean", "f", "typeof(c) || c", "integer0" },
		{ "bigint", "-9223372036854775808", "typeof(c) || c", "integer-9223372036854775808" },
		{ "smallint", "7", "c + 1", "8" },
		{ "numeric", "42", "typeof(c) || c", "integer42" },
		{ "numeric", "42.50", "typeof(c) || c", "real42.5" },
		{ "numeric", "10.00", "c > 9", "1" },
		{ "numeric", "123456789012345678901234567890", "typeof(c)", "real" },
		{ "numeric", "NaN", "typeof(c) || c", "textNaN" },
		{ "float8", "-Infinity", "typeof(c) || c", "text-Infinity" },
		{ "float8", "1e-05", "c * 2", "2e-05" },
		{ "text", "12", "typeof(c)", "text" },
		{ "text", "", "typeof(c) || length(c)", "text0" },
		{ "text", NULL, "typeof(c)", "null" },
		{ "bytea", "\\x00fF10", "typeof(c) || length(c)", "blob3" },
		{ "bytea", "\\x00fF10", "c", "\\x00ff10" },
		{ "bytea", "\\x", "typeof(c) || length(c)", "blob0" },
		{ "bytea", "\\x0g", "typeof(c)", "text" },
		{ "timestamptz", "2026-11-21 08:30:00.5+00", "date(c, '+1 day')", "2026-11-22" },
		{ "timestamptz", "2026-11-21 08:30:00.5+00", "c", "2026-11-21 08:30:00.5+00:00" },
		{ "timestamptz", "infinity", "c", "infinity" },
		{ "timestamp", "2026-11-21 08:30:00", "strftime('%H', c)", "08" },
		{ "jsonb", "{\"a\": [1, 2]}", "json_extract(c, '$.a[1]')", "2" },
		{ "jsonb", "{\"a\": [1, 2]}", "(select sum(value) from json_each(c, '$.a'))", "3" },
		{ "integer[]", "{1,2}", "c", "{1,2}" },
	};
	struct fixture fx = { 0 };

	(void)state;
	for (size_t i = 0; i < WM_ARRAY_SIZE(cases); i++) {
		WM_AUTO(wm_freep) char *expected = wm_asprintf("upsert 1|%s", cases[i].result);

		assert_string_equal(compute(&fx, cases[i].type, cases[i].value, cases[i].expr), expected);
	}
	fx_close(&fx);
}

static void
results_are_text_in_shortest_form(void **state)
{
	static const char *const cases[][2] = {
		{ "1 + 1", "2" },
		{ "0.1 + 0.2", "0.30000000000000004" },
		{ "0.1", "0.1" },
		{ "1.0 * 119", "119" },
		{ "round(2.5 * 1.19, 2)", "2.98" },
		{ "1e300 * 1e10", "Infinity" },
		{ "1e300 * -1e10", "-Infinity" },
		{ "1.0 / 3", "0.3333333333333333" },
		{ "1e22", "1e+22" },
		{ "null", "-" },
		{ "'a' || 'b'", "ab" },
		{ "x'00ff'", "\\x00ff" },
		{ "''", "" },
		{ "9223372036854775807", "9223372036854775807" },
		{ "abs(-2) -- a comment", "2" },
		{ "case when id = 1 then 'one' end", "one" },
		{ "id in (1, 2) and t.id = 1", "1" },
		{ "coalesce(c, 'none')", "none" },
	};
	struct fixture fx = { 0 };

	(void)state;
	for (size_t i = 0; i < WM_ARRAY_SIZE(cases); i++) {
		WM_AUTO(wm_freep) char *expected = wm_asprintf("upsert 1|%s", cases[i][1]);

		assert_string_equal(compute(&fx, "text", NULL, cases[i][0]), expected);
	}
	fx_close(&fx);
}

static void
numbers_are_marked(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	compute(&fx, "text", "5", "c");
	assert_false(fx.rows.row[0].values[1].number);
	compute(&fx, "text", "5", "c + 0");
	assert_true(fx.rows.row[0].values[1].number);
	compute(&fx, "text", "5", "c + 0.5");
	assert_true(fx.rows.row[0].values[1].number);
	compute(&fx, "text", "5", "1e300 * 1e300");
	assert_false(fx.rows.row[0].values[1].number);
	assert_int_equal(wm_plan_view(fx.plan)->columns[1].type.class, WM_TYPE_DYNAMIC);
	fx_close(&fx);
}

static void
names_are_the_relations(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx,
	    "table: t, columns: {include: [id], compute: {x: '\"select\" || \"a\"\"b\" || Mixed || \"t\".id'}}",
	    "public.t d id!:integer select:text a\"b:text Mixed:text");
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_INSERT, NULL, false, ROW("1", "s", "q", "m"), 0), "upsert 1|sqm1");
	fx_close(&fx);
}

static void
text_that_is_not_one_expression_is_refused(void **state)
{
	static const char *const cases[] = {
		"1) FROM (SELECT 1",
		"1) UNION SELECT (2",
		"1), (2",
		"1, 2",
		"1; select 2",
		"1); --",
		"1 /*",
		"'open",
		"select 1",
		"1 END, CASE WHEN 1 THEN 2",
		"",
		" ",
		"-- nothing",
		"?",
		"?1",
		":a",
		"@a",
		"$a",
		"*",
		"a as b",
		"(select name from sqlite_master)",
		"(select sql from sqlite_schema)",
		"exists (select 1 from pragma_database_list)",
		"(with recursive r(n) as (select 1 union all select n + 1 from r) select max(n) from r)",
		"load_extension('x')",
		"raise(abort, 'x')",
		"no_such_function(a)",
		"a = 1 and no_such_function(b)",
		"a b c",
	};

	(void)state;
	for (size_t i = 0; i < WM_ARRAY_SIZE(cases); i++) {
		WM_AUTO(wm_freep) char *list = wm_asprintf("  - {table: t, where: \"%s\"}\n", cases[i]);
		struct fixture fx = { 0 };

		fx_load(&fx, list);
		if (fx.set != NULL)
			fail_msg("accepted: %s", cases[i]);
		assert_int_equal(fx.diags.errors, 1);
		assert_string_equal(fx.diags.list[0].place, "walmill.yaml:4:23");
		assert_int_equal(strncmp(fx.diags.list[0].text, "\"where\": ", 9), 0);
		fx_close(&fx);
	}
}

static void
unknown_columns_are_taken_until_the_table_is_known(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_load(&fx, "  - {table: t, where: 'a = 1 and \"B c\" > t.d or lower(e) is null'}\n");
	assert_non_null(fx.set);
	fx_close(&fx);
}

static void
missing_columns_are_named_at_compile(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open_refused(&fx, "table: t, where: \"id > 1 and amuont > 2\"", "public.t d id!:integer amount:numeric");
	assert_string_equal(fx.err.text,
	    "rule \"t\": where: table public.t has no column \"amuont\" (did you mean \"amount\"?)");
	fx_close(&fx);
	fx_open_refused(&fx, "table: t, columns: {compute: {x: zzz}}", "public.t d id!:integer amount:numeric");
	assert_string_equal(fx.err.text, "rule \"t\": columns.compute of \"x\": table public.t has no column \"zzz\"");
	fx_close(&fx);
	/* A name in double quotes is a name, never a text. */
	fx_open_refused(&fx, "table: t, where: 'id = \"amunt\"'", "public.t d id!:integer amount:numeric");
	assert_non_null(strstr(fx.err.text, "has no column \"amunt\" (did you mean \"amount\"?)"));
	fx_close(&fx);
	/* What SQLite calls the row's number is no column. */
	fx_open_refused(&fx, "table: t, where: rowid > 1", "public.t d id!:integer amount:numeric");
	assert_string_equal(fx.err.text, "rule \"t\": where: table public.t has no column \"rowid\"");
	fx_close(&fx);
}

static void
columns_that_differ_in_case_are_refused(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open_refused(&fx, "table: t, where: a > 1", "public.t d a!:integer A:integer");
	assert_non_null(strstr(fx.err.text, "columns \"a\" and \"A\" of table public.t differ only in case"));
	fx_close(&fx);
	fx_open(&fx, "table: t", "public.t d a!:integer A:integer");
	fx_close(&fx);
}

static void
failures_name_the_expression_and_no_value(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, columns: {compute: {a: \"c || 'x'\", b: \"json_extract(c, '$.a')\"}}",
	    "public.t d id!:integer c:text");
	assert_int_equal(fx_apply(&fx, WM_EVENT_INSERT, NULL, false, ROW("1", "{secret"), 0), WM_PLAN_BAD);
	assert_int_equal(fx.err.status, WM_REJECT);
	assert_string_equal(fx.err.code, "expression");
	assert_string_equal(fx.err.text,
	    "rule \"t\": columns.compute of \"b\" fails on a row of table public.t: malformed JSON");
	/* SQLite would quote the path, which is a value here. */
	fx_close(&fx);
	fx_open(&fx, "table: t, where: \"json_extract('{}', c) is null\"", "public.t d id!:integer c:text");
	assert_int_equal(fx_apply(&fx, WM_EVENT_INSERT, NULL, false, ROW("1", "secret"), 0), WM_PLAN_BAD);
	assert_string_equal(fx.err.text, "rule \"t\": where fails on a row of table public.t: JSON path error near");
	/* The statement is good for the next row. */
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_INSERT, NULL, false, ROW("1", "$.x"), 0), "upsert 1|$.x");
	fx_close(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_bound_by_their_type),
		cmocka_unit_test(results_are_text_in_shortest_form),
		cmocka_unit_test(numbers_are_marked),
		cmocka_unit_test(names_are_the_relations),
		cmocka_unit_test(text_that_is_not_one_expression_is_refused),
		cmocka_unit_test(unknown_columns_are_taken_until_the_table_is_known),
		cmocka_unit_test(missing_columns_are_named_at_compile),
		cmocka_unit_test(columns_that_differ_in_case_are_refused),
		cmocka_unit_test(failures_name_the_expression_and_no_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
