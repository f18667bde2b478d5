/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_mask.c - masks and value tables, as rows of a view show them.
 */
#include "fixture.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "walmill/strutil.h"

static const char *
insert(struct fixture *fx, const char *columns, const char *type, const char *value)
{
	WM_AUTO(wm_freep) char *rule = wm_asprintf("table: t, columns: {%s}", columns);
	WM_AUTO(wm_freep) char *spec = wm_asprintf("public.t d id!:integer c:%s", type);

	fx_close(fx);
	fx_open(fx, rule, spec);
	assert_int_equal(fx_apply(fx, WM_EVENT_INSERT, NULL, false, ROW("1", value), 0), WM_PLAN_ROWS);
	return fx_rows(fx) + strlen("upsert 1|");
}

static const char *
mask(struct fixture *fx, const char *how, const char *value)
{
	WM_AUTO(wm_freep) char *columns = wm_asprintf("mask: {c: %s}", how);

	return insert(fx, columns, "text", value);
}

static const char *
translate(struct fixture *fx, const char *table, const char *type, const char *value)
{
	WM_AUTO(wm_freep) char *columns = wm_asprintf("translate: {c: %s}", table);

	return insert(fx, columns, type, value);
}

static void
sha256_is_keyed(void **state)
{
	struct fixture fx = { 0 };
	unsigned char hash[EVP_MAX_MD_SIZE];
	char expected[2 * EVP_MAX_MD_SIZE + 1];
	unsigned n;

	(void)state;
	HMAC(EVP_sha256(), MASK_KEY, (int)strlen(MASK_KEY), (const unsigned char *)"a@b", 3, hash, &n);
	assert_int_equal(n, 32);
	for (unsigned i = 0; i < n; i++)
		snprintf(expected + 2 * i, 3, "%02x", hash[i]);
	assert_string_equal(mask(&fx, "sha256", "a@b"), expected);
	assert_string_equal(fx_view(&fx), "id*:integer c:text");
	assert_string_not_equal(mask(&fx, "sha256", "a@c"), expected);
	assert_int_equal(strlen(mask(&fx, "sha256", "")), 64);
	assert_string_equal(mask(&fx, "sha256", NULL), "-");
	fx_close(&fx);
}

static void
the_end_of_a_value_is_kept(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	assert_string_equal(mask(&fx, "last4", "DE89370400440532013000"), "******************3000");
	assert_string_equal(mask(&fx, "last1", "ab"), "*b");
	assert_string_equal(mask(&fx, "last2", "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
	    "**\xe2\x82\xac\xf0\x9f\x98\x80");
	/* What is no longer than the part kept would stand there in clear. */
	assert_string_equal(mask(&fx, "last4", "1234"), "****");
	assert_string_equal(mask(&fx, "last4", "\xc3\xa4"), "*");
	assert_string_equal(mask(&fx, "last4", ""), "");
	assert_string_equal(mask(&fx, "last4", NULL), "-");
	fx_close(&fx);
}

static void
other_masks_show_nothing(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	assert_string_equal(mask(&fx, "redact", "555-1234"), "***");
	assert_string_equal(mask(&fx, "redact", ""), "***");
	assert_string_equal(mask(&fx, "redact", NULL), "-");
	assert_string_equal(mask(&fx, "{text: n/a}", "555"), "n/a");
	assert_string_equal(mask(&fx, "{text: \"\"}", "555"), "");
	assert_string_equal(mask(&fx, "{text: n/a}", NULL), "-");
	assert_string_equal(mask(&fx, "null", "555"), "-");
	fx_close(&fx);
}

static void
masked_columns_are_text_but_for_null(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	insert(&fx, "mask: {c: redact}", "numeric", "5");
	assert_string_equal(fx_view(&fx), "id*:integer c:text");
	insert(&fx, "mask: {c: null}", "numeric", "5");
	assert_string_equal(fx_view(&fx), "id*:integer c:numeric");
	insert(&fx, "mask: {c: redact}, type: {c: varchar(3)}", "numeric", "5");
	assert_string_equal(fx_view(&fx), "id*:integer c:character varying(3)=varchar(3)");
	fx_close(&fx);
}

static void
a_mask_follows_its_column(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	assert_string_equal(insert(&fx, "mask: {c: redact}, rename: {c: d}", "text", "x"), "***");
	assert_string_equal(fx_view(&fx), "id*:integer d:text");
	/* Also when the column is computed in place of the source's. */
	assert_string_equal(insert(&fx, "mask: {c: last1}, compute: {c: \"upper(c)\"}", "text", "abc"), "**C");
	assert_string_equal(insert(&fx, "mask: {x: redact}, compute: {x: c}", "text", "abc"), "abc|***");
	fx_close(&fx);
}

static void
values_are_translated(void **state)
{
	static const char table[] = "{N: new, P: paid, gone: null, \"\": none}";
	struct fixture fx = { 0 };

	(void)state;
	assert_string_equal(translate(&fx, table, "text", "N"), "new");
	assert_string_equal(translate(&fx, table, "text", "P"), "paid");
	assert_string_equal(translate(&fx, table, "text", "X"), "X");
	assert_string_equal(translate(&fx, table, "text", "gone"), "-");
	assert_string_equal(translate(&fx, table, "text", ""), "none");
	assert_string_equal(translate(&fx, table, "text", NULL), "-");
	assert_string_equal(translate(&fx, "{N: new, \"*\": other}", "text", "N"), "new");
	assert_string_equal(translate(&fx, "{N: new, \"*\": other}", "text", "NN"), "other");
	assert_string_equal(translate(&fx, "{N: new, \"*\": other}", "text", NULL), "-");
	assert_string_equal(translate(&fx, "{N: new, \"*\": ~}", "text", "x"), "-");
	assert_string_equal(translate(&fx, "{1: one}", "integer", "1"), "one");
	assert_string_equal(fx_view(&fx), "id*:integer c:text");
	assert_string_equal(translate(&fx, "{true: yes, f: no}", "boolean", "t"), "yes");
	assert_string_equal(translate(&fx, "{true: yes, false: no}", "boolean", "f"), "no");
	assert_string_equal(translate(&fx, "{true: yes}", "text", "t"), "t");
	fx_close(&fx);
}

static void
translation_comes_before_the_mask(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	assert_string_equal(insert(&fx, "translate: {c: {a: bcd}}, mask: {c: last1}", "text", "a"), "**d");
	fx_close(&fx);
}

/* No error of any kind repeats what a mask or an exclusion hides. */
static void
hidden_values_are_in_no_error(void **state)
{
	static const char *const rules[] = {
		"table: t, columns: {mask: {c: redact}, check: {c: \"c is null\"}}",
		"table: t, columns: {mask: {c: redact}}, where: \"json(c) is null\"",
		"table: t, columns: {exclude: [c], compute: {x: \"json_extract('{}', c)\"}}",
		"table: t, columns: {exclude: [c], check: {c: \"c = 1\"}}",
	};
	struct fixture fx = { 0 };

	(void)state;
	for (size_t i = 0; i < WM_ARRAY_SIZE(rules); i++) {
		fx_open(&fx, rules[i], "public.t d id!:integer c:text");
		assert_int_equal(fx_apply(&fx, WM_EVENT_INSERT, NULL, false, ROW("1", "hunter2"), 0), WM_PLAN_BAD);
		assert_true(fx.err.text[0] != '\0');
		assert_null(strstr(fx.err.text, "hunter2"));
		fx_close(&fx);
	}
	fx_open(&fx, "table: t, columns: {mask: {c: redact}}", "public.t d id!:integer c:text");
	assert_int_equal(fx_apply(&fx, WM_EVENT_INSERT, NULL, false, ROW(NULL, "hunter2"), 0), WM_PLAN_BAD);
	assert_null(strstr(fx.err.text, "hunter2"));
	fx_close(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_is_keyed),
		cmocka_unit_test(the_end_of_a_value_is_kept),
		cmocka_unit_test(other_masks_show_nothing),
		cmocka_unit_test(masked_columns_are_text_but_for_null),
		cmocka_unit_test(a_mask_follows_its_column),
		cmocka_unit_test(values_are_translated),
		cmocka_unit_test(translation_comes_before_the_mask),
		cmocka_unit_test(hidden_values_are_in_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
