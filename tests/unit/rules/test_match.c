/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_match.c - which tables a rule takes, its default name and its views' names.
 */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "walmill/strutil.h"

static const struct wm_rule *
load(struct fixture *fx, const char *rule)
{
	WM_AUTO(wm_freep) char *list = wm_asprintf("  - {%s}\n", rule);

	fx_close(fx);
	fx_load(fx, list);
	assert_non_null(fx->set);
	return &fx->set->rules[0];
}

static void
a_pattern_without_a_schema_means_public(void **state)
{
	struct fixture fx = { 0 };
	const struct wm_rule *r = load(&fx, "table: orders");

	(void)state;
	assert_true(wm_rule_matches(r, "public", "orders"));
	assert_false(wm_rule_matches(r, "sales", "orders"));
	assert_false(wm_rule_matches(r, "public", "orders2"));
	assert_string_equal(r->name, "orders");
	fx_close(&fx);
}

static void
globs_stay_within_their_part(void **state)
{
	struct fixture fx = { 0 };
	const struct wm_rule *r = load(&fx, "table: \"sales_*.or?ers\"");

	(void)state;
	assert_true(wm_rule_matches(r, "sales_eu", "orders"));
	assert_true(wm_rule_matches(r, "sales_", "orXers"));
	assert_false(wm_rule_matches(r, "sales", "orders"));
	assert_false(wm_rule_matches(r, "sales_eu.x", "x.orders"));
	/* "*.b" must not reach over the dot of schema "a.b", table "b". */
	r = load(&fx, "table: \"a*.b\"");
	assert_false(wm_rule_matches(r, "a", "x.b"));
	assert_string_equal(r->name, "a*.b");
	fx_close(&fx);
}

static void
exclusions_win_wherever_they_stand(void **state)
{
	struct fixture fx = { 0 };
	const struct wm_rule *r = load(&fx, "table: \"!public.tmp_*, public.* sales.*\"");

	(void)state;
	assert_true(wm_rule_matches(r, "public", "orders"));
	assert_true(wm_rule_matches(r, "sales", "tmp_1"));
	assert_false(wm_rule_matches(r, "public", "tmp_1"));
	assert_false(wm_rule_matches(r, "other", "orders"));
	assert_string_equal(r->name, "!public.tmp_* public.* sales.*");
	fx_close(&fx);
}

static void
a_list_takes_names_with_blanks(void **state)
{
	struct fixture fx = { 0 };
	const struct wm_rule *r = load(&fx, "table: [\"public.my orders\", \"!public.x\", other]");

	(void)state;
	assert_true(wm_rule_matches(r, "public", "my orders"));
	assert_true(wm_rule_matches(r, "public", "other"));
	assert_false(wm_rule_matches(r, "public", "my"));
	fx_close(&fx);
}

static void
an_exclusion_leaves_the_default_name_alone(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	assert_string_equal(load(&fx, "table: \"sales.orders !sales.x\"")->name, "orders");
	fx_close(&fx);
}

static void
bad_patterns_are_reported(void **state)
{
	char *list;
	char huge[300];
	struct fixture fx = { 0 };

	(void)state;
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	list = wm_asprintf(
	    "  - {name: a, table: [.x, x., \"!\"]}\n  - {name: b, table: \"!public.x\"}\n  - {name: c, table: %s}\n"
	    "  - {name: d, table: {a: b}}\n  - {name: e, table: []}\n",
	    huge);
	fx_load(&fx, list);
	assert_null(fx.set);
	assert_int_equal(fx.diags.errors, 7);
	fx_assert_diag(&fx,
	    "walmill.yaml:4:23: \"table\": \".x\" is no pattern: write schema.table, with * and ? for any characters");
	fx_assert_diag(&fx,
	    "walmill.yaml:4:27: \"table\": \"x.\" is no pattern: write schema.table, with * and ? for any characters");
	fx_assert_diag(&fx,
	    "walmill.yaml:4:31: \"table\": \"!\" is no pattern: write schema.table, with * and ? for any characters");
	fx_assert_diag(&fx, "walmill.yaml:5:22: \"table\" takes no table: name at least one pattern without \"!\"");
	fx_assert_diag(&fx, "walmill.yaml:6:22: \"table\": a pattern is longer than 255 bytes");
	fx_assert_diag(&fx, "walmill.yaml:7:22: \"table\" must be a text, not a map");
	fx_assert_diag(&fx, "walmill.yaml:8:22: \"table\" takes no table: name at least one pattern without \"!\"");
	free(list);
	fx_close(&fx);
}

static void
view_names_are_filled_in(void **state)
{
	struct fixture fx = { 0 };
	char *name = wm_rule_view_name(load(&fx, "table: orders"), "public", "orders");

	(void)state;
	assert_string_equal(name, "orders");
	free(name);
	name = wm_rule_view_name(
	    load(&fx, "table: orders, view: \"{source}.{schema}_{table}_v{table}\""), "public",
	    "orders");
	assert_string_equal(name, "shop.public_orders_vorders");
	free(name);
	/* A table whose name looks like a placeholder is taken as it is. */
	name = wm_rule_view_name(&fx.set->rules[0], "{table}", "{schema}");
	assert_string_equal(name, "shop.{table}_{schema}_v{schema}");
	free(name);
	fx_close(&fx);
}

static void
unknown_placeholders_are_reported(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_load(&fx,
	    "  - {table: a, view: \"x_{tabel}\"}\n  - {table: b, view: \"{table\"}\n  - {table: c, view: \"\"}\n"
	    "  - {table: d, view: [x]}\n");
	assert_null(fx.set);
	assert_int_equal(fx.diags.errors, 4);
	fx_assert_diag(&fx,
	    "walmill.yaml:4:22: \"view\": unknown placeholder {tabel} (did you mean \"table\"?); there are {schema}, "
	    "{table} and {source}");
	fx_assert_diag(&fx, "walmill.yaml:5:22: \"view\": a \"{\" is not closed");
	fx_assert_diag(&fx, "walmill.yaml:6:22: \"view\" must not be empty");
	fx_close(&fx);
}

static void
an_index_finds_what_asking_each_finds(void **state)
{
	static const char *const tables[][2] = { { "public", "a" }, { "public", "b" }, { "public", "c.d" },
		{ "public.c", "d" }, { "s", "a" }, { "s", "z" } };
	struct fixture fx = { 0 };
	const struct wm_rule *const *found;
	struct wm_rule_index *index;
	size_t n;

	(void)state;
	fx_load(&fx,
	    "  - {name: r0, table: a}\n  - {name: r1, table: \"public.*\"}\n  - {name: r2, table: a}\n"
	    "  - {name: r3, table: \"s.a b\"}\n  - {name: r4, table: \"!public.b, public.b\"}\n"
	    "  - {name: r5, table: [public.c.d]}\n  - {name: r6, table: \"*.a\"}\n  - {name: r7, table: s.a}\n");
	assert_non_null(fx.set);
	index = wm_rule_index_create(fx.set, fx.set->rules[0].source);
	assert_non_null(index);
	for (size_t i = 0; i < WM_ARRAY_SIZE(tables); i++) {
		size_t k = 0;

		assert_true(wm_rule_index_find(index, tables[i][0], tables[i][1], &found, &n));
		for (size_t r = 0; r < fx.set->n; r++)
			if (wm_rule_matches(&fx.set->rules[r], tables[i][0], tables[i][1])) {
				assert_true(k < n);
				assert_ptr_equal(found[k++], &fx.set->rules[r]);
			}
		assert_int_equal(k, n);
	}
	wm_rule_index_free(index);
	index = wm_rule_index_create(fx.set, "another");
	assert_non_null(index);
	assert_true(wm_rule_index_find(index, "public", "a", &found, &n));
	assert_int_equal(n, 0);
	wm_rule_index_free(index);
	fx_close(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_without_a_schema_means_public),
		cmocka_unit_test(globs_stay_within_their_part),
		cmocka_unit_test(exclusions_win_wherever_they_stand),
		cmocka_unit_test(a_list_takes_names_with_blanks),
		cmocka_unit_test(an_exclusion_leaves_the_default_name_alone),
		cmocka_unit_test(bad_patterns_are_reported),
		cmocka_unit_test(an_index_finds_what_asking_each_finds),
		cmocka_unit_test(view_names_are_filled_in),
		cmocka_unit_test(unknown_placeholders_are_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
