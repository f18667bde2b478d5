/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_model.c - relations and values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "walmill/model.h"

static struct wm_relation *
orders(void)
{
	struct wm_relation *rel = calloc(1, sizeof(*rel));

	assert_non_null(rel);
	rel->oid = 16400;
	rel->identity = WM_IDENTITY_DEFAULT;
	rel->schema = strdup("public");
	rel->name = strdup("orders");
	rel->ncolumns = 2;
	rel->columns = calloc(2, sizeof(*rel->columns));
	assert_non_null(rel->columns);
	rel->columns[0].name = strdup("id");
	rel->columns[0].identity = true;
	rel->columns[1].name = strdup("amount");
	assert_true(wm_type_builtin(20, -1, &rel->columns[0].type));
	assert_true(wm_type_builtin(1700, 655366, &rel->columns[1].type));
	return rel;
}

static void
dup_shares_nothing(void **unused WM_UNUSED)
{
	WM_AUTO(wm_relation_freep) struct wm_relation *copy = NULL;
	struct wm_relation *rel = orders();

	rel->columns[0].primary = true;
	copy = wm_relation_dup(rel);
	assert_non_null(copy);
	assert_true(wm_relation_same(rel, copy));
	assert_ptr_not_equal(copy->name, rel->name);
	assert_ptr_not_equal(copy->columns[0].name, rel->columns[0].name);
	wm_relation_free(rel);

	assert_int_equal(copy->oid, 16400);
	assert_int_equal(copy->identity, WM_IDENTITY_DEFAULT);
	assert_string_equal(copy->schema, "public");
	assert_string_equal(copy->name, "orders");
	assert_int_equal(copy->ncolumns, 2);
	assert_string_equal(copy->columns[1].name, "amount");
	assert_string_equal(copy->columns[1].type.name, "numeric(10,2)");
	assert_true(copy->columns[0].primary);
	assert_true(copy->columns[0].identity);
	assert_false(copy->columns[1].identity);
}

static void
table_without_columns_is_a_table(void **unused WM_UNUSED)
{
	WM_AUTO(wm_relation_freep) struct wm_relation *rel = orders();
	WM_AUTO(wm_relation_freep) struct wm_relation *copy = NULL;

	free(rel->columns[0].name);
	free(rel->columns[1].name);
	rel->ncolumns = 0;
	copy = wm_relation_dup(rel);
	assert_non_null(copy);
	assert_true(wm_relation_same(rel, copy));
	assert_int_equal(wm_relation_column(copy, "id"), -1);
}

static void
free_takes_what_is_half_built(void **unused WM_UNUSED)
{
	struct wm_relation *rel = calloc(1, sizeof(*rel));

	assert_non_null(rel);
	rel->ncolumns = 7;
	wm_relation_free(rel);
	wm_relation_free(NULL);
}

static void
columns_are_found_by_exact_name(void **unused WM_UNUSED)
{
	WM_AUTO(wm_relation_freep) struct wm_relation *rel = orders();

	assert_int_equal(wm_relation_column(rel, "id"), 0);
	assert_int_equal(wm_relation_column(rel, "amount"), 1);
	assert_int_equal(wm_relation_column(rel, "Amount"), -1);
	assert_int_equal(wm_relation_column(rel, ""), -1);
}

static void
replace(char **s, const char *by)
{
	free(*s);
	*s = strdup(by);
}

static void
same_sees_every_difference(void **unused WM_UNUSED)
{
	for (int what = 0; what < 8; what++) {
		WM_AUTO(wm_relation_freep) struct wm_relation *a = orders();
		WM_AUTO(wm_relation_freep) struct wm_relation *b = orders();

		assert_true(wm_relation_same(a, b));
		switch (what) {
		case 0:
			replace(&b->schema, "other");
			break;
		case 1:
			replace(&b->name, "other");
			break;
		case 2:
			b->identity = WM_IDENTITY_FULL;
			break;
		case 3:
			replace(&b->columns[1].name, "total");
			break;
		case 4:
			b->columns[1].type.oid = 701;
			break;
		case 5:
			b->columns[1].type.typmod = -1;
			break;
		case 6:
			b->columns[1].identity = true;
			break;
		default:
			free(b->columns[1].name);
			b->ncolumns = 1;
			break;
		}
		if (wm_relation_same(a, b) || wm_relation_same(b, a))
			fail_msg("difference %d was not seen", what);
	}
}

static void
same_ignores_what_the_catalog_added(void **unused WM_UNUSED)
{
	WM_AUTO(wm_relation_freep) struct wm_relation *a = orders();
	WM_AUTO(wm_relation_freep) struct wm_relation *b = orders();

	b->columns[0].primary = true;
	b->columns[1].type.class = WM_TYPE_UNKNOWN;
	b->columns[1].type.name[0] = '\0';
	assert_true(wm_relation_same(a, b));
}

static void
values_are_equal_by_kind_and_bytes(void **unused WM_UNUSED)
{
	static const struct wm_value values[] = {
		{ .kind = WM_VALUE_NULL },
		{ .kind = WM_VALUE_UNCHANGED },
		{ .kind = WM_VALUE_TEXT, .data = "", .len = 0 },
		{ .kind = WM_VALUE_TEXT, .data = "1", .len = 1 },
		{ .kind = WM_VALUE_TEXT, .data = "1", .len = 1, .number = true },
		{ .kind = WM_VALUE_TEXT, .data = "12", .len = 2 },
		{ .kind = WM_VALUE_TEXT, .data = "2", .len = 1 },
		{ .kind = WM_VALUE_BINARY, .data = "1", .len = 1 },
		{ .kind = WM_VALUE_BINARY, .data = "\0a", .len = 2 },
		{ .kind = WM_VALUE_BINARY, .data = "\0b", .len = 2 },
	};

	for (size_t i = 0; i < WM_ARRAY_SIZE(values); i++) {
		for (size_t j = 0; j < WM_ARRAY_SIZE(values); j++)
			assert_int_equal(wm_value_equal(&values[i], &values[j]), i == j);
	}
}

static void
values_are_compared_within_their_length(void **unused WM_UNUSED)
{
	const struct wm_value a = { .kind = WM_VALUE_TEXT, .data = "abcX", .len = 3 };
	const struct wm_value b = { .kind = WM_VALUE_TEXT, .data = "abcY", .len = 3 };
	/* A null's data is whatever it was. */
	const struct wm_value null = { .kind = WM_VALUE_NULL, .data = "x", .len = 1 };
	const struct wm_value other_null = { .kind = WM_VALUE_NULL };
	const struct wm_value empty = { .kind = WM_VALUE_TEXT };
	const struct wm_value other_empty = { .kind = WM_VALUE_TEXT, .data = "" };

	assert_true(wm_value_equal(&a, &b));
	assert_true(wm_value_equal(&null, &other_null));
	assert_true(wm_value_equal(&empty, &other_empty));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dup_shares_nothing),
		cmocka_unit_test(table_without_columns_is_a_table),
		cmocka_unit_test(free_takes_what_is_half_built),
		cmocka_unit_test(columns_are_found_by_exact_name),
		cmocka_unit_test(same_sees_every_difference),
		cmocka_unit_test(same_ignores_what_the_catalog_added),
		cmocka_unit_test(values_are_equal_by_kind_and_bytes),
		cmocka_unit_test(values_are_compared_within_their_length),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
