/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_error.c - SQLSTATEs, quoting, and what a connection that cannot be made says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "walmill/pg.h"

static void
what_may_pass_is_tried_again(void **state WM_UNUSED)
{
	static const char *const codes[] = { NULL, "", "08006", "57P01", "57P02", "57P03", "57P05",
		"53300", "53100", "40001", "40P01", "55P03", "55006", "57014", "25P03" };

	for (size_t i = 0; i < WM_ARRAY_SIZE(codes); i++)
		assert_int_equal(wm_pg_classify(codes[i]), WM_RETRY);
}

static void
what_a_row_did_wrong_is_rejected(void **state WM_UNUSED)
{
	static const char *const codes[] = { "22003", "22P02", "23505", "23514", "44000", "54000",
		"P0001" };

	for (size_t i = 0; i < WM_ARRAY_SIZE(codes); i++)
		assert_int_equal(wm_pg_classify(codes[i]), WM_REJECT);
}

static void
everything_else_is_fatal(void **state WM_UNUSED)
{
	static const char *const codes[] = { "28P01", "28000", "3D000", "42501", "42P01", "42704",
		"0A000", "25006", "55000", "57P04", "58P01", "XX000", "21000", "54001" };

	for (size_t i = 0; i < WM_ARRAY_SIZE(codes); i++)
		assert_int_equal(wm_pg_classify(codes[i]), WM_FATAL);
}

static void
identifiers_are_quoted(void **state WM_UNUSED)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, 100);
	wm_pg_quote_ident(&b, "Wei\"rd");
	wm_pg_quote_ident(&b, "");
	assert_string_equal(b.data, "\"Wei\"\"rd\"\"\"");
}

static void
literals_are_quoted(void **state WM_UNUSED)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, 100);
	wm_pg_quote_literal(&b, "it's");
	wm_buf_addc(&b, ' ');
	wm_pg_quote_literal(&b, "a\\'b");
	assert_string_equal(b.data, "'it''s' E'a\\\\''b'");
}

static void
fails_without_a_server(const char *uri, enum wm_status status, const char *part)
{
	struct wm_pg *c = NULL;
	struct wm_error err = { .status = WM_OK };

	assert_int_equal(wm_pg_connect(uri, WM_PG_SQL, "walmill", &c, &err), status);
	assert_null(c);
	assert_int_equal(err.status, status);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" not in: %s", part, err.text);
	if (strstr(err.text, "hunter2") != NULL)
		fail_msg("password in: %s", err.text);
}

static void
a_bad_uri_is_fatal_and_shows_no_password(void **state WM_UNUSED)
{
	fails_without_a_server("shop", WM_FATAL, "neither postgresql://");
	fails_without_a_server("postgresql://u:hunter2@[::1/shop", WM_FATAL, "bad connection URI");
	fails_without_a_server(
	    "postgresql://u:%zzhunter2@h/shop", WM_FATAL, "bad connection URI: invalid");
	fails_without_a_server(
	    "host=h password='hunter2", WM_FATAL, "bad connection URI: unterminated");
	fails_without_a_server(
	    "postgresql://u:hunter2@h/shop?hunter2x", WM_FATAL, "bad connection URI: missing");
	fails_without_a_server(
	    "postgresql://u:hunter2@h/shop?nosuch=1", WM_FATAL, "bad connection URI: invalid URI");
}

static void
a_setting_that_cannot_be_is_fatal(void **state WM_UNUSED)
{
	fails_without_a_server(
	    "host=/nonexistent sslmode=perhaps password=hunter2", WM_FATAL, "sslmode");
}

static void
a_server_that_is_not_there_is_tried_again(void **state WM_UNUSED)
{
	fails_without_a_server("postgresql://u:hunter2@/shop?host=/nonexistent", WM_RETRY,
	    "host=/nonexistent port=5432 dbname=shop");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_may_pass_is_tried_again),
		cmocka_unit_test(what_a_row_did_wrong_is_rejected),
		cmocka_unit_test(everything_else_is_fatal),
		cmocka_unit_test(identifiers_are_quoted),
		cmocka_unit_test(literals_are_quoted),
		cmocka_unit_test(a_bad_uri_is_fatal_and_shows_no_password),
		cmocka_unit_test(a_setting_that_cannot_be_is_fatal),
		cmocka_unit_test(a_server_that_is_not_there_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
