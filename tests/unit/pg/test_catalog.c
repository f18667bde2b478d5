/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_catalog.c - what is read of the catalog of a real server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server.h"

static const struct wm_table *
find(const struct wm_tables *t, const char *schema, const char *name)
{
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->list[i].rel->schema, schema) == 0 &&
		    strcmp(t->list[i].rel->name, name) == 0)
			return &t->list[i];
	}
	return NULL;
}

/* "name:type-class:type-name" of each column, with + for identity and * for primary. */
static void
assert_columns(const struct wm_relation *rel, const char *expected)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, 4096);
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		const struct wm_column *c = &rel->columns[i];

		wm_buf_addf(&b, "%s%s:%s:%s%s%s", i > 0 ? " " : "", c->name,
		    wm_type_class_name(c->type.class), c->type.name, c->identity ? "+" : "",
		    c->primary ? "*" : "");
	}
	assert_string_equal(b.data, expected);
}

static void
tables_come_with_what_the_stream_carries(void **state WM_UNUSED)
{
	WM_AUTO(wm_tables_free) struct wm_tables t = { .n = 0 };
	const struct wm_table *table;
	struct wm_error err;
	int version;

	needs_server();
	version = wm_pg_version(sql);
	run("CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN price AS numeric(10,2); "
	    "CREATE DOMAIN dear AS price; CREATE DOMAIN many AS int[]; CREATE TYPE span AS RANGE (subtype = int4); "
	    "CREATE TABLE types (id bigint PRIMARY KEY, gone int, m mood, ms mood[], p pair, ps pair[], d price, dd dear, "
	    "ds price[], n many, ns many[], s span, v varchar(7), a int[]); ALTER TABLE types DROP COLUMN gone; "
	    "CREATE TABLE \"Full\" (a int, b int PRIMARY KEY); ALTER TABLE \"Full\" REPLICA IDENTITY FULL; "
	    "CREATE TABLE nothing (a int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING; "
	    "CREATE TABLE idx (a int PRIMARY KEY, b int NOT NULL, c int); CREATE UNIQUE INDEX idx_b ON idx (b) INCLUDE (c); "
	    "ALTER TABLE idx REPLICA IDENTITY USING INDEX idx_b; "
	    "CREATE TABLE deferred (a int PRIMARY KEY DEFERRABLE); "
	    "CREATE TABLE gen (a int PRIMARY KEY, b int GENERATED ALWAYS AS (a * 2) STORED); "
	    "CREATE UNLOGGED TABLE ul (a int); CREATE TEMPORARY TABLE tmp (a int); CREATE TABLE empty (); "
	    "CREATE TABLE root (a int PRIMARY KEY, b int) PARTITION BY RANGE (a); "
	    "CREATE TABLE leaf1 PARTITION OF root FOR VALUES FROM (0) TO (10); "
	    "CREATE TABLE leaf2 PARTITION OF root FOR VALUES FROM (10) TO (20) PARTITION BY LIST (a); "
	    "CREATE TABLE leaf3 PARTITION OF leaf2 FOR VALUES IN (10, 11); "
	    "INSERT INTO root VALUES (1), (2), (10); ANALYZE leaf1; ANALYZE leaf3");
	assert_int_equal(wm_catalog_tables(sql, &t, &err), WM_OK);

	table = find(&t, "wm_test", "types");
	assert_columns(table->rel,
	    "id:integer:bigint+* m:enum:text ms:array:text[] p:composite:text ps:array:text[] "
	    "d:numeric:numeric(10,2) dd:numeric:numeric(10,2) ds:array:numeric(10,2)[] n:array:integer[] "
	    "ns:array:text[] s:range:text v:text:character varying(7) a:array:integer[]");
	assert_true(table->owned && table->readable && !table->row_security && !table->unlogged);
	assert_int_equal(table->kind, 'r');
	assert_columns(find(&t, "wm_test", "Full")->rel, "a:integer:integer+ b:integer:integer+*");
	assert_int_equal(find(&t, "wm_test", "Full")->rel->identity, WM_IDENTITY_FULL);
	assert_columns(find(&t, "wm_test", "nothing")->rel, "a:integer:integer*");
	assert_columns(find(&t, "wm_test", "idx")->rel,
	    "a:integer:integer* b:integer:integer+ c:integer:integer");
	assert_columns(find(&t, "wm_test", "deferred")->rel, "a:integer:integer");
	assert_columns(find(&t, "wm_test", "gen")->rel,
	    version >= 180000 ? "a:integer:integer+* b:integer:integer" : "a:integer:integer+*");
	assert_int_equal(find(&t, "wm_test", "gen")->has_generated, version < 180000);
	assert_true(find(&t, "wm_test", "ul")->unlogged);
	assert_int_equal(find(&t, "wm_test", "empty")->rel->ncolumns, 0);
	table = find(&t, "wm_test", "root");
	assert_int_equal(table->kind, 'p');
	assert_false(table->partition);
	assert_true(table->rows == 3);
	assert_true(table->bytes > 0);
	assert_true(
	    find(&t, "wm_test", "leaf2")->partition && find(&t, "wm_test", "leaf2")->rows == 1);
	assert_null(find(&t, "pg_catalog", "pg_class"));
	assert_null(find(&t, "information_schema", "sql_features"));
	for (size_t i = 0; i < t.n; i++)
		assert_string_not_equal(t.list[i].rel->name, "tmp");
}

static void
privileges_are_those_of_the_role(void **state WM_UNUSED)
{
	WM_AUTO(wm_tables_free) struct wm_tables t = { .n = 0 };
	struct wm_error err;
	struct wm_pg *c;

	needs_server();
	run("DROP ROLE IF EXISTS wm_test_plain; CREATE ROLE wm_test_plain LOGIN; GRANT USAGE ON SCHEMA wm_test TO wm_test_plain; "
	    "CREATE TABLE hidden (a int); CREATE TABLE filtered (a int); ALTER TABLE filtered ENABLE ROW LEVEL SECURITY; "
	    "GRANT SELECT ON filtered TO wm_test_plain; CREATE TABLE mine (a int); ALTER TABLE mine OWNER TO wm_test_plain");
	c = connect_as("user=wm_test_plain", WM_PG_SQL);
	assert_int_equal(wm_catalog_tables(c, &t, &err), WM_OK);
	assert_false(find(&t, "wm_test", "hidden")->readable);
	assert_false(find(&t, "wm_test", "hidden")->owned);
	assert_true(find(&t, "wm_test", "filtered")->readable);
	assert_true(find(&t, "wm_test", "filtered")->row_security);
	assert_true(find(&t, "wm_test", "mine")->owned);
	wm_pg_close(c);
	run("DROP TABLE mine; DROP OWNED BY wm_test_plain; DROP ROLE wm_test_plain");
}

static struct wm_relation *
streamed_relation(uint32_t oid, uint32_t type)
{
	struct wm_relation *rel = calloc(1, sizeof(*rel));

	assert_non_null(rel);
	rel->columns = calloc(2, sizeof(*rel->columns));
	assert_non_null(rel->columns);
	rel->oid = oid;
	rel->schema = strdup("wm_test");
	rel->name = strdup("c");
	rel->ncolumns = 2;
	rel->columns[0].name = strdup("id");
	assert_true(wm_type_builtin(23, -1, &rel->columns[0].type));
	rel->columns[1].name = strdup("m");
	rel->columns[1].type.oid = type;
	rel->columns[1].type.typmod = -1;
	return rel;
}

static void
a_streamed_relation_is_completed(void **state WM_UNUSED)
{
	struct wm_relation *rel;
	struct wm_error err;
	uint32_t type;

	needs_server();
	run("CREATE DOMAIN name5 AS varchar(5); CREATE TABLE c (id int PRIMARY KEY, m name5)");
	type = oid_as("regtype", "name5");
	rel = streamed_relation(oid_of("c"), type);
	assert_int_equal(wm_catalog_complete(sql, rel, &err), WM_OK);
	assert_columns(rel, "id:integer:integer* m:text:character varying(5)");
	assert_int_equal(rel->columns[1].type.oid, type);
	assert_int_equal(rel->columns[1].type.typmod, 5 + 4);	/* the domain's; varchar counts four more */
	wm_relation_free(rel);
	/* Table and type are gone since. */
	rel = streamed_relation(4294967290u, 4294967291u);
	assert_int_equal(wm_catalog_complete(sql, rel, &err), WM_OK);
	assert_columns(rel, "id:integer:integer m:other:text");
	wm_relation_free(rel);
	/* What was known of its key stays; of a table that has lost it, it does not. */
	rel = streamed_relation(4294967290u, 4294967291u);
	rel->columns[0].primary = true;
	assert_int_equal(wm_catalog_complete(sql, rel, &err), WM_OK);
	assert_columns(rel, "id:integer:integer* m:other:text");
	wm_relation_free(rel);
	run("ALTER TABLE c DROP CONSTRAINT c_pkey");
	rel = streamed_relation(oid_of("c"), type);
	rel->columns[0].primary = true;
	assert_int_equal(wm_catalog_complete(sql, rel, &err), WM_OK);
	assert_columns(rel, "id:integer:integer m:text:character varying(5)");
	wm_relation_free(rel);
}

static void
the_version_changes_with_what_matters(void **state WM_UNUSED)
{
	static const char *const changes[] = {
		"ALTER TABLE w RENAME TO w2",
		"ALTER TABLE w2 RENAME COLUMN a TO b",
		"ALTER TABLE w2 ADD COLUMN c int",
		"ALTER TABLE w2 REPLICA IDENTITY FULL",
		"ALTER TABLE w2 ALTER COLUMN c TYPE bigint",
		"ALTER TABLE w2 ADD PRIMARY KEY (b)",
		"CREATE TABLE w3 (a int)",
		"DROP TABLE w3",
		"CREATE TABLE wr (b int, c bigint) PARTITION BY LIST (b)",
		"ALTER TABLE w2 DROP CONSTRAINT w2_pkey",
		"ALTER TABLE wr ATTACH PARTITION w2 DEFAULT",
	};
	uint64_t before, after;
	struct wm_error err;

	needs_server();
	run("CREATE TABLE w (a int)");
	assert_int_equal(wm_catalog_version(sql, &before, &err), WM_OK);
	run("INSERT INTO w VALUES (1)");
	run("VACUUM ANALYZE w");
	run("TRUNCATE w");
	assert_int_equal(wm_catalog_version(sql, &after, &err), WM_OK);
	assert_true(before == after);
	for (size_t i = 0; i < WM_ARRAY_SIZE(changes); i++) {
		/* Dropping w3 brings the value of before it back. */
		run(changes[i]);
		before = after;
		assert_int_equal(wm_catalog_version(sql, &after, &err), WM_OK);
		if (before == after)
			fail_msg("not noticed: %s", changes[i]);
	}
}

static void
leaves_are_what_a_seed_reads(void **state WM_UNUSED)
{
	struct wm_leaves l = { .n = 0 };
	struct wm_error err;
	uint32_t node;

	needs_server();
	run("CREATE TABLE root (a int PRIMARY KEY) PARTITION BY RANGE (a); "
	    "CREATE TABLE leaf1 PARTITION OF root FOR VALUES FROM (0) TO (10); "
	    "CREATE TABLE mid PARTITION OF root FOR VALUES FROM (10) TO (20) PARTITION BY LIST (a); "
	    "CREATE TABLE leaf2 PARTITION OF mid FOR VALUES IN (10, 11); CREATE TABLE single (a int); "
	    "INSERT INTO root VALUES (1), (10), (11); ANALYZE leaf2");
	assert_int_equal(wm_catalog_leaves(sql, oid_of("root"), &l, &err), WM_OK);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.list[0].name, "leaf1");
	assert_string_equal(l.list[1].name, "leaf2");
	assert_int_equal(l.list[1].blocks, 1);
	assert_true(l.list[1].rows == 2);
	wm_leaves_free(&l);
	assert_int_equal(wm_catalog_leaves(sql, oid_of("leaf1"), &l, &err), WM_OK);
	assert_int_equal(l.n, 1);
	wm_leaves_free(&l);
	assert_int_equal(wm_catalog_leaves(sql, oid_of("single"), &l, &err), WM_OK);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.list[0].schema, "wm_test");
	assert_int_equal(l.list[0].blocks, 0);
	node = l.list[0].node;
	wm_leaves_free(&l);
	run("TRUNCATE single");
	assert_int_equal(wm_catalog_leaves(sql, oid_of("single"), &l, &err), WM_OK);
	assert_int_not_equal(l.list[0].node, node);
	wm_leaves_free(&l);
	assert_int_equal(wm_catalog_leaves(sql, 4294967290u, &l, &err), WM_OK);
	assert_int_equal(l.n, 0);
	wm_leaves_free(&l);
}

static void
columns_filled_without_a_change_are_known(void **state WM_UNUSED)
{
	static const struct {
		const char	*column;
		bool		 filled;
	} cases[] = { { "a", false }, { "b", true }, { "c", true }, { "d", true }, { "e'f", false },
		{ "none", true } };	/* gone again: nobody knows */
	struct wm_error err;

	needs_server();
	run("CREATE TABLE d (a int); INSERT INTO d VALUES (1); ALTER TABLE d ADD COLUMN c float DEFAULT random(); "
	    "ALTER TABLE d ADD COLUMN d int GENERATED BY DEFAULT AS IDENTITY; ALTER TABLE d ADD COLUMN b int DEFAULT 5; "
	    "ALTER TABLE d ALTER COLUMN b DROP DEFAULT; ALTER TABLE d ADD COLUMN \"e'f\" int");
	for (size_t i = 0; i < WM_ARRAY_SIZE(cases); i++) {
		bool filled = !cases[i].filled;

		assert_int_equal(
		    wm_catalog_has_default(sql, oid_of("d"), cases[i].column, 0, &filled, &err),
		    WM_OK);
		assert_int_equal(filled, cases[i].filled);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(tables_come_with_what_the_stream_carries, clean),
		cmocka_unit_test_setup(privileges_are_those_of_the_role, clean),
		cmocka_unit_test_setup(a_streamed_relation_is_completed, clean),
		cmocka_unit_test_setup(the_version_changes_with_what_matters, clean),
		cmocka_unit_test_setup(leaves_are_what_a_seed_reads, clean),
		cmocka_unit_test_setup(columns_filled_without_a_change_are_known, clean),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
