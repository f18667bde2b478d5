/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_diag.c - lists of findings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "walmill/diag.h"
#include "walmill/log.h"

static void
places_come_from_marks(void **unused WM_UNUSED)
{
	WM_AUTO(wm_diags_free) struct wm_diags d = { 0 };
	const struct wm_mark mark = { .file = "rules/orders.yaml", .line = 14, .column = 7 };
	const struct wm_mark nowhere = { 0 };

	wm_diags_at(&d, WM_ERROR, &mark, "unknown key \"%s\"", "colums");
	wm_diags_at(&d, WM_WARNING, &nowhere, "rule matches no table");
	wm_diags_at(&d, WM_NOTE, NULL, "note");
	assert_int_equal(d.n, 3);
	assert_int_equal(d.errors, 1);
	assert_int_equal(d.list[0].severity, WM_ERROR);
	assert_string_equal(d.list[0].place, "rules/orders.yaml:14:7");
	assert_string_equal(d.list[0].text, "unknown key \"colums\"");
	assert_null(d.list[0].fix);
	assert_null(d.list[1].place);
	assert_int_equal(d.list[1].severity, WM_WARNING);
	assert_null(d.list[2].place);
	assert_string_equal(d.list[2].text, "note");
}

static void
subject_and_fix_are_copied(void **unused WM_UNUSED)
{
	WM_AUTO(wm_diags_free) struct wm_diags d = { 0 };
	char subject[] = "table public.t", fix[] = "ALTER TABLE public.t REPLICA IDENTITY FULL";

	wm_diags_add(&d, WM_ERROR, subject, fix, "has no %s", "key");
	wm_diags_add(&d, WM_NOTE, NULL, NULL, "fine");
	subject[0] = fix[0] = 'x';
	assert_string_equal(d.list[0].place, "table public.t");
	assert_string_equal(d.list[0].fix, "ALTER TABLE public.t REPLICA IDENTITY FULL");
	assert_string_equal(d.list[0].text, "has no key");
	assert_null(d.list[1].place);
	assert_null(d.list[1].fix);
}

static void
order_is_kept_for_many(void **unused WM_UNUSED)
{
	WM_AUTO(wm_diags_free) struct wm_diags d = { 0 };

	for (int i = 0; i < 1000; i++)
		wm_diags_add(&d, i % 2 == 0 ? WM_ERROR : WM_NOTE, "s", NULL, "%d", i);
	assert_int_equal(d.n, 1000);
	assert_int_equal(d.errors, 500);
	assert_string_equal(d.list[0].text, "0");
	assert_string_equal(d.list[512].text, "512");
	assert_string_equal(d.list[999].text, "999");
}

static void
every_part_is_clean(void **unused WM_UNUSED)
{
	WM_AUTO(wm_diags_free) struct wm_diags d = { 0 };

	wm_secret_register("hunter2-hunter2");
	wm_diags_add(&d, WM_ERROR, "uri postgresql://u:hunter2-hunter2@h",
	    "do not use hunter2-hunter2", "FATAL: \"hunter2-hunter2\"\nDETAIL: wrong\n");
	assert_string_equal(d.list[0].place, "uri postgresql://u:***@h");
	assert_string_equal(d.list[0].fix, "do not use ***");
	assert_string_equal(d.list[0].text, "FATAL: \"***\" DETAIL: wrong");
}

static void
freed_list_is_empty_and_usable(void **unused WM_UNUSED)
{
	struct wm_diags d = { 0 };

	wm_diags_add(&d, WM_ERROR, "a", "b", "c");
	wm_diags_free(&d);
	assert_int_equal(d.n, 0);
	assert_int_equal(d.errors, 0);
	wm_diags_add(&d, WM_NOTE, "a", "b", "c");
	assert_int_equal(d.n, 1);
	wm_diags_free(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_come_from_marks),
		cmocka_unit_test(subject_and_fix_are_copied),
		cmocka_unit_test(order_is_kept_for_many),
		cmocka_unit_test(every_part_is_clean),
		cmocka_unit_test(freed_list_is_empty_and_usable),
	};

	return cmocka_run_group_tests_name("diag", tests, NULL, NULL);
}
