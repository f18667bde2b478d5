/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_sql.c - the statements that write rows, word by word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/targets/postgres/sql.h"

static char name_a[] = "a", name_b[] = "b\"c", name_k[] = "k";
static struct wm_view_column columns[] = {
	{ .name = name_a },
	{ .name = name_k, .key = true },
	{ .name = name_b },
};
static unsigned keys[] = { 1 };
static const struct wm_view view = { .ncolumns = 3, .columns = columns, .nkeys = 1, .keys = keys };
static const char *const casts[] = { "integer", "bpchar", "jsonb" };
static const struct wm_sql_table table = { .name = "\"s\".\"t\"", .view = &view, .casts = casts };

static void
assert_sql(void (*build)(struct wm_buf *, const struct wm_sql_table *),
    const struct wm_sql_table *t, const char *wanted)
{
	struct wm_buf b;

	wm_buf_init(&b, 10000);
	build(&b, t);
	assert_string_equal(b.data, wanted);
	wm_buf_free(&b);
}

static void
upsert_takes_a_parameter_for_each_column(void **state WM_UNUSED)
{
	assert_sql(wm_sql_upsert, &table,
	    "INSERT INTO \"s\".\"t\" (\"a\", \"k\", \"b\"\"c\")"
	    " SELECT u.c0::integer, u.c1::bpchar, u.c2::jsonb"
	    " FROM unnest($1::text[], $2::text[], $3::text[]) AS u(c0, c1, c2)"
	    " ON CONFLICT (\"k\") DO UPDATE SET \"a\" = EXCLUDED.\"a\", \"b\"\"c\" = EXCLUDED.\"b\"\"c\"");
}

static void
upsert_of_a_key_alone_leaves_the_row_that_is_there(void **state WM_UNUSED)
{
	static struct wm_view_column key_column[] = { { .name = name_k, .key = true } };
	static unsigned first[] = { 0 };
	static const struct wm_view key_view = {
		.ncolumns = 1, .columns = key_column, .nkeys = 1, .keys = first
	};
	static const char *const key_casts[] = { "uuid" };
	static const struct wm_sql_table key_table = {
		.name = "t", .view = &key_view, .casts = key_casts
	};

	assert_sql(wm_sql_upsert, &key_table,
	    "INSERT INTO t (\"k\") SELECT u.c0::uuid FROM unnest($1::text[]) AS u(c0)"
	    " ON CONFLICT (\"k\") DO NOTHING");
}

static void
copy_names_the_columns(void **state WM_UNUSED)
{
	assert_sql(wm_sql_copy, &table, "COPY \"s\".\"t\" (\"a\", \"k\", \"b\"\"c\") FROM STDIN");
}

static void
delete_takes_the_key_alone(void **state WM_UNUSED)
{
	assert_sql(wm_sql_delete, &table,
	    "DELETE FROM \"s\".\"t\" AS t USING unnest($1::text[]) AS u(c1)"
	    " WHERE t.\"k\" = u.c1::bpchar");
}

static void
update_keeps_what_the_mask_leaves_out(void **state WM_UNUSED)
{
	assert_sql(wm_sql_update, &table,
	    "UPDATE \"s\".\"t\" AS t SET"
	    " \"a\" = CASE WHEN substr(u.m, 1, 1) = '1' THEN u.c0::integer ELSE t.\"a\" END,"
	    " \"b\"\"c\" = CASE WHEN substr(u.m, 3, 1) = '1' THEN u.c2::jsonb ELSE t.\"b\"\"c\" END"
	    " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u(c0, c1, c2, m)"
	    " WHERE t.\"k\" = u.c1::bpchar");
}

static void
move_deletes_by_the_old_key_before_it_inserts(void **state WM_UNUSED)
{
	assert_sql(wm_sql_move, &table,
	    "WITH u AS (SELECT * FROM"
	    " unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY"
	    " AS u(c0, c1, c2, m, o0, n)),"
	    " gone AS (DELETE FROM \"s\".\"t\" AS t USING u WHERE t.\"k\" = u.o0::bpchar RETURNING u.n,"
	    " CASE WHEN substr(u.m, 1, 1) = '1' THEN u.c0::integer ELSE t.\"a\" END AS c0,"
	    " CASE WHEN substr(u.m, 2, 1) = '1' THEN u.c1::bpchar ELSE t.\"k\" END AS c1,"
	    " CASE WHEN substr(u.m, 3, 1) = '1' THEN u.c2::jsonb ELSE t.\"b\"\"c\" END AS c2)"
	    " INSERT INTO \"s\".\"t\" (\"a\", \"k\", \"b\"\"c\") SELECT c0, c1, c2 FROM gone ORDER BY n"
	    " ON CONFLICT (\"k\") DO UPDATE SET \"a\" = EXCLUDED.\"a\", \"b\"\"c\" = EXCLUDED.\"b\"\"c\"");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(upsert_takes_a_parameter_for_each_column),
		cmocka_unit_test(upsert_of_a_key_alone_leaves_the_row_that_is_there),
		cmocka_unit_test(copy_names_the_columns),
		cmocka_unit_test(delete_takes_the_key_alone),
		cmocka_unit_test(update_keeps_what_the_mask_leaves_out),
		cmocka_unit_test(move_deletes_by_the_old_key_before_it_inserts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
