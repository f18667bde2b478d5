/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_typefit.c - which column types hold which others, and what casts and definitions say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/targets/postgres/typefit.h"

struct pair {
	const char *existing, *wanted;
};

static void
wider_types_hold_narrower_ones(void **state WM_UNUSED)
{
	static const struct pair pairs[] = {
		{ "integer", "integer" },
		{ "text", "integer" },
		{ "text", "integer[]" },
		{ "character varying", "jsonb" },
		{ "text[]", "integer[]" },
		{ "bigint", "smallint" },
		{ "bigint[]", "integer[]" },
		{ "numeric", "bigint" },
		{ "numeric", "numeric(10,2)" },
		{ "numeric(12,2)", "numeric(10,2)" },
		{ "numeric(10,0)", "integer" },
		{ "double precision", "real" },
		{ "character varying(20)", "character varying(10)" },
		{ "character varying(20)", "character(20)" },
		{ "bit varying", "bit(8)" },
		{ "timestamp without time zone", "timestamp(3) without time zone" },
		{ "timestamp(6) with time zone", "timestamp(3) with time zone" },
		{ "interval", "interval(3)" },
		{ "bpchar", "bpchar" },
		{ "json", "jsonb" },
	};

	for (size_t i = 0; i < WM_ARRAY_SIZE(pairs); i++)
		if (!wm_typefit_holds(pairs[i].existing, pairs[i].wanted))
			fail_msg("%s does not hold %s", pairs[i].existing, pairs[i].wanted);
}

static void
narrower_and_other_types_do_not(void **state WM_UNUSED)
{
	static const struct pair pairs[] = {
		{ "integer", "bigint" },
		{ "integer", "text" },
		{ "integer[]", "integer" },
		{ "bigint", "integer[]" },
		{ "text[]", "integer" },
		{ "numeric(10,2)", "numeric" },
		{ "numeric(10,2)", "numeric(11,2)" },
		{ "numeric(12,4)", "numeric(10,2)" },
		{ "numeric(10,0)", "bigint" },
		{ "numeric(12,2)", "integer" },
		{ "real", "double precision" },
		{ "double precision", "bigint" },
		{ "character varying(10)", "character varying(20)" },
		{ "character varying(10)", "character varying" },
		{ "character varying(10)", "text" },
		{ "character(10)", "character(5)" },
		{ "bit(8)", "bit(4)" },
		{ "timestamp without time zone", "timestamp with time zone" },
		{ "timestamp(3) without time zone", "timestamp without time zone" },
		{ "interval day to second", "interval" },
		{ "jsonb", "json" },
		{ "date", "timestamp without time zone" },
	};

	for (size_t i = 0; i < WM_ARRAY_SIZE(pairs); i++)
		if (wm_typefit_holds(pairs[i].existing, pairs[i].wanted))
			fail_msg("%s holds %s", pairs[i].existing, pairs[i].wanted);
}

static void
casts_carry_no_length(void **state WM_UNUSED)
{
	static const struct {
		const char *type, *cast;
	} cases[] = {
		{ "integer", "integer" },
		{ "numeric(10,2)", "numeric" },
		{ "character varying(3)", "character varying" },
		{ "character varying(3)[]", "character varying[]" },
		{ "character(3)", "bpchar" },
		{ "character(3)[]", "bpchar[]" },
		{ "bit(3)", "\"bit\"" },
		{ "timestamp(3) with time zone", "timestamp with time zone" },
	};

	for (size_t i = 0; i < WM_ARRAY_SIZE(cases); i++) {
		struct wm_buf b;

		wm_buf_init(&b, 1000);
		wm_typefit_add_cast(&b, cases[i].type);
		assert_string_equal(b.data, cases[i].cast);
		wm_buf_free(&b);
	}
}

static const char *
declared(enum wm_type_class class, bool builtin, const char *name, char *override)
{
	static struct wm_view_column c;

	c = (struct wm_view_column){ .type = { .class = class, .builtin = builtin },
		.override = override };
	memcpy(c.type.name, name, strlen(name) + 1);
	return wm_typefit_declared(&c);
}

static void
only_types_of_every_server_are_declared(void **state WM_UNUSED)
{
	char override[] = "numeric(20,4)";

	assert_string_equal(declared(WM_TYPE_INT, true, "integer", NULL), "integer");
	assert_string_equal(declared(WM_TYPE_ARRAY, true, "timestamp(3) with time zone[]", NULL),
	    "timestamp(3) with time zone[]");
	assert_string_equal(declared(WM_TYPE_ENUM, false, "public.mood", NULL), "text");
	assert_string_equal(declared(WM_TYPE_UNKNOWN, false, "", NULL), "text");
	assert_string_equal(declared(WM_TYPE_DYNAMIC, true, "numeric", NULL), "text");
	assert_string_equal(declared(WM_TYPE_OTHER, true, "regclass", NULL), "text");
	assert_string_equal(declared(WM_TYPE_ARRAY, true, "aclitem[]", NULL), "text");
	assert_string_equal(declared(WM_TYPE_INT, true, "integer", override), "numeric(20,4)");
}

static void
an_override_is_one_type_name(void **state WM_UNUSED)
{
	static const char *const good[] = { "numeric(10,2)", "text[]", "double precision",
		"\"My Type\"", "app.\"we;ird\"", "geography(Point,4326)", "caf\303\251" };
	static const char *const bad[] = { "", " ", "text; DROP TABLE t", "text, x integer",
		"text)", "text(", "\"text", "text --", "text DEFAULT 'x'", "text/**/" };

	for (size_t i = 0; i < WM_ARRAY_SIZE(good); i++)
		if (!wm_typefit_valid(good[i]))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < WM_ARRAY_SIZE(bad); i++)
		if (wm_typefit_valid(bad[i]))
			fail_msg("taken: %s", bad[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wider_types_hold_narrower_ones),
		cmocka_unit_test(narrower_and_other_types_do_not),
		cmocka_unit_test(casts_carry_no_length),
		cmocka_unit_test(only_types_of_every_server_are_declared),
		cmocka_unit_test(an_override_is_one_type_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
