/* SPDX-License-Identifier: PostgreSQL */
/*
 * cases_types.c - a value of every class of types comes back as it was, whole and partial.
 *
 * One table a type, written by upsert, as one of many new rows, then again as a partial update and as part of a key.
 * What a target shows differently (a boolean as 1) is the peer's to say.
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/buf.h"

#define DIGITS40 "1234567890123456789012345678901234567890"

static const struct {
	const char	*type;
	const char	*values[13];
} samples[] = {
	{ "boolean", { "t", "f" } },
	{ "smallint", { "0", "-32768", "32767" } },
	{ "integer", { "0", "-2147483648", "2147483647" } },
	{ "bigint", { "0", "-1", "-9223372036854775808", "9223372036854775807" } },
	{ "oid", { "0", "4294967295" } },
	{ "real", { "0", "0.1", "-3.4028235e+38", "1e-45", "-123456", "NaN", "Infinity", "-Infinity" } },
	{ "double precision", { "0", "0.1", "0.30000000000000004", "-1.7976931348623157e+308", "5e-324",
	    "2.2250738585072014e-308", "1.2345678901234567e+20", "-123456789012345", "NaN", "Infinity", "-Infinity" } },
	{ "numeric", { "0", "0.00", "-1.50", DIGITS40 "." DIGITS40, "0.0000000000000000000000000000000000000001",
	    "1" DIGITS40, "NaN", "Infinity", "-Infinity", "1.10", "1e20" } },
	{ "numeric(10,2)", { "0.00", "1.50", "-99999999.99", "0.01", "NaN", "100.00" } },
	{ "numeric(10,0)", { "0", "-9999999999", "7" } },
	{ "numeric(30,10)", { "0.0000000000", "12345678901234567890.0123456789", "-0.1000000000" } },
	{ "text", { "", "a", "007", "1e5", "null", "gr\xc3\xbc\xc3\x9f \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x90\x98",
	    "it's \"quoted\" \\ back\\\\slash", " blanks ", "a\tb\nc\r", "\\x00", "{}", "\x01\x7f" } },
	{ "character varying(20)", { "", "x", "12345678901234567890" } },
	{ "character(5)", { "ab   ", "abcde" } },
	{ "name", { "pg_class" } },
	{ "\"char\"", { "x" } },
	{ "xml", { "<a b=\"1\">&amp;</a>" } },
	{ "bytea", { "\\x", "\\x00", "\\x00ff0a5c27", "\\xdeadbeef" } },
	{ "date", { "2024-02-29", "0044-03-15 BC", "infinity", "-infinity", "5874897-12-31", "0001-01-01" } },
	{ "time without time zone", { "00:00:00", "23:59:59.999999", "24:00:00" } },
	{ "time with time zone", { "12:00:00+00", "23:59:59.999999-15:59:59", "01:02:03+05:30" } },
	{ "timestamp without time zone", { "2024-02-29 12:34:56.789", "0044-03-15 00:00:00 BC", "infinity", "-infinity",
	    "294276-12-31 23:59:59.999999", "2000-01-01 00:00:00" } },
	{ "timestamp with time zone", { "2024-02-29 12:34:56.789+00", "0044-03-15 00:00:00+00 BC", "infinity",
	    "-infinity", "294276-12-31 23:59:59.999999+00" } },
	{ "interval", { "00:00:00", "1 year 2 mons 3 days 04:05:06.789", "-1 years", "178000000 years" } },
	{ "uuid", { "00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" } },
	{ "json", { "{\"b\":  1, \"a\":2}", "null", "\"x\"", "[1, 2.50]" } },
	{ "jsonb", { "{\"a\": 2, \"b\": \"\xc3\xbc \\\" \\\\\"}", "null", "1.10", "[]" } },
	{ "integer[]", { "{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[2:3]={1,2}" } },
	{ "text[]", { "{a,\"b c\",NULL,\"NULL\",\"\",\"q\\\"\\\\\"}" } },
	{ "numeric(10,2)[]", { "{1.50,NaN}" } },
	{ "int4range", { "empty", "[1,10)", "(,)", "[5,)" } },
	{ "numrange", { "[1.50,2.0]" } },
	{ "tstzrange", { "[\"2024-01-01 00:00:00+00\",infinity)" } },
	{ "int4multirange", { "{}", "{[1,3),[5,8)}" } },
	{ "inet", { "192.168.0.1", "10.0.0.0/8", "::1" } },
	{ "cidr", { "10.0.0.0/8" } },
	{ "macaddr", { "08:00:2b:01:02:03" } },
	{ "bit(4)", { "0101" } },
	{ "bit varying(8)", { "", "010" } },
	{ "point", { "(1.5,-2)" } },
	{ "box", { "(2,2),(1,1)" } },
	{ "tsvector", { "'a':1A 'fat':2" } },
	{ "tsquery", { "'a' & 'b'" } },
	{ "pg_lsn", { "16/B374D848" } },
	{ "money", { "$1.50" } },
};

static const char *
fill(struct fixture *f, const char *type, struct batch *b, bool partial)
{
	struct wm_buf wanted;
	const char *text;
	char id[16];

	wm_buf_init(&wanted, 1 << 20);
	for (size_t s = 0; s < sizeof(samples) / sizeof(samples[0]); s++) {
		if (strcmp(samples[s].type, type) != 0)
			continue;
		for (int i = 0; i < 13 && samples[s].values[i] != NULL; i++) {
			const char *value = samples[s].values[i];

			snprintf(id, sizeof(id), "%d", i);
			if (partial)
				add_update(b, VALUES(id, value, UNCHANGED), NULL);
			else
				add_upsert(b, VALUES(id, value, "kept"));
			wm_buf_addf(&wanted, "%s%d|%s|kept", i > 0 ? "\n" : "", i, f->peer->shown(f, type, value));
		}
	}
	text = wm_arena_dup(f->arena, wanted.data, wanted.len);
	wm_buf_free(&wanted);
	return text;
}

static void
check_type(struct fixture *f, const char *type)
{
	const struct wm_view *view = make_view(
	    f, "t", COLUMNS(KEY("id", "integer"), COLUMN("v", type), COLUMN("rest", "text")));
	struct batch whole = make_batch(f), many = make_batch(f), partial = make_batch(f), nulls = make_batch(f);
	const char *wanted, *got;
	char filler[24];

	f->peer->sql(f, "DROP TABLE IF EXISTS t");
	ensure(f, view);
	add_view(&whole, view);
	wanted = fill(f, type, &whole, false);
	write_and_commit(f, &whole);
	got = f->peer->query(f, "SELECT id, v, rest FROM t ORDER BY id");
	if (strcmp(got, wanted) != 0)
		fail_msg("%s, written whole:\n%s\nshould be\n%s", type, got, wanted);
	add_view(&many, view);
	add_truncate(&many);
	(void)fill(f, type, &many, false);
	for (int i = 0; i < MANY; i++) {
		snprintf(filler, sizeof(filler), "%d", -1 - i);
		add_upsert(&many, VALUES(filler, NULL, "new"));
	}
	set_fresh(&many);
	write_and_commit(f, &many);
	got = f->peer->query(f, "SELECT id, v, rest FROM t WHERE id >= 0 ORDER BY id");
	if (strcmp(got, wanted) != 0)
		fail_msg("%s, written as new:\n%s\nshould be\n%s", type, got, wanted);
	f->peer->sql(f, "DELETE FROM t WHERE id < 0");
	add_view(&nulls, view);
	for (size_t i = 0; i < whole.b.nrows; i++) {
		char id[24];

		snprintf(id, sizeof(id), "%zu", i);
		add_update(&nulls, VALUES(id, NULL, UNCHANGED), NULL);
	}
	write_and_commit(f, &nulls);
	assert_rows(f, "SELECT count(*) - count(v) - count(id) FROM t", "0");
	add_view(&partial, view);
	(void)fill(f, type, &partial, true);
	write_and_commit(f, &partial);
	got = f->peer->query(f, "SELECT id, v, rest FROM t ORDER BY id");
	if (strcmp(got, wanted) != 0)
		fail_msg("%s, written in part:\n%s\nshould be\n%s", type, got, wanted);
}

static void
values_of_every_type(struct fixture *f)
{
	start(f);
	for (size_t s = 0; s < sizeof(samples) / sizeof(samples[0]); s++)
		check_type(f, samples[s].type);
}

/* As a key each value is found again: replaced, then deleted. */
static void
keys_of_many_types(struct fixture *f)
{
	static const char *const types[] = { "boolean", "bigint", "double precision", "numeric",
		"numeric(10,2)", "text", "character(5)", "bytea", "date",
		"timestamp with time zone", "uuid", "inet" };

	start(f);
	for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		const struct wm_view *view = make_view(f, "t", COLUMNS(KEY("k", types[t]), COLUMN("v", "text")));

		f->peer->sql(f, "DROP TABLE IF EXISTS t");
		ensure(f, view);
		for (size_t s = 0; s < sizeof(samples) / sizeof(samples[0]); s++) {
			if (strcmp(samples[s].type, types[t]) != 0)
				continue;
			for (int i = 0; i < 13 && samples[s].values[i] != NULL; i++) {
				const char *key = samples[s].values[i];
				struct batch first = make_batch(f), second = make_batch(f), third = make_batch(f);

				add_view(&first, view);
				add_upsert(&first, VALUES(key, "a"));
				write_batch(f, &first);
				add_view(&second, view);
				add_upsert(&second, VALUES(key, "b"));
				write_and_commit(f, &second);
				assert_rows(f, "SELECT v FROM t", "b");
				add_view(&third, view);
				add_delete(&third, VALUES(key));
				write_and_commit(f, &third);
				assert_rows(f, "SELECT v FROM t", "");
			}
		}
	}
}

static void
computed_values(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("x", "")));
	struct batch b = make_batch(f);

	start(f);
	ensure(f, view);
	add_view(&b, view);
	add_upsert(&b, VALUES("1", "42"));
	add_upsert(&b, VALUES("2", "1.25"));
	add_upsert(&b, VALUES("3", "a text"));
	add_upsert(&b, VALUES("4", NULL));
	write_and_commit(f, &b);
	assert_rows(f, "SELECT id, x FROM t ORDER BY id", "1|42\n2|1.25\n3|a text\n4|<null>");
}

static void
a_large_text(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("v", "text"),
	    COLUMN("w", "text")));
	struct batch first = make_batch(f), second = make_batch(f);
	size_t n = 1 << 20;
	char *large = wm_arena_alloc(f->arena, n + 1);

	assert_non_null(large);
	for (size_t i = 0; i < n; i++)
		large[i] = (char)('!' + i * 7 % 90);
	large[n] = '\0';
	start(f);
	ensure(f, view);
	add_view(&first, view);
	add_upsert(&first, VALUES("1", large, "x"));
	write_and_commit(f, &first);
	add_view(&second, view);
	add_update(&second, VALUES("1", UNCHANGED, "y"), NULL);
	write_and_commit(f, &second);
	assert_rows(f, "SELECT v FROM t", large);
	assert_rows(f, "SELECT w FROM t", "y");
}

const struct test_case type_cases[] = {
	{ "values of every type", values_of_every_type, WM_TARGET_PARTIAL, 0, 0 },
	{ "keys of many types", keys_of_many_types, 0, CAN_SQL, 0 },
	{ "computed values", computed_values, 0, 0, 0 },
	{ "a large text", a_large_text, WM_TARGET_PARTIAL, CAN_LARGE_TEXT, 0 },
	{ .name = NULL },
};
