/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_error.c - what wm_fail and its relatives leave in struct wm_error.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "walmill/error.h"
#include "walmill/log.h"

static void
fail_fills_and_returns(void **unused WM_UNUSED)
{
	struct wm_error err = { .code = "old" };

	errno = EINTR;
	assert_int_equal(wm_fail(&err, WM_RETRY, "slot \"%s\" is active (pid %d)", "s", 7),
	    WM_RETRY);
	assert_int_equal(errno, EINTR);
	assert_int_equal(err.status, WM_RETRY);
	assert_string_equal(err.code, "");
	assert_string_equal(err.text, "slot \"s\" is active (pid 7)");
	assert_int_equal(wm_fail(NULL, WM_OPERATOR, "nobody listens"), WM_OPERATOR);
}

static void
code_is_kept_within_its_room(void **unused WM_UNUSED)
{
	struct wm_error err;

	assert_int_equal(wm_fail_code(&err, WM_REJECT, "23505", "duplicate"), WM_REJECT);
	assert_string_equal(err.code, "23505");
	assert_string_equal(err.text, "duplicate");
	/* The same error's own parts may be the arguments. */
	wm_fail_code(&err, WM_FATAL, err.code, "again: %s", err.text);
	assert_string_equal(err.code, "23505");
	assert_string_equal(err.text, "again: duplicate");
	wm_fail_code(&err, WM_FATAL, "a code that is much too long for it", "x");
	assert_string_equal(err.code, "a code that is much too");
	wm_fail_code(&err, WM_FATAL, NULL, "x");
	assert_string_equal(err.code, "");
	assert_int_equal(wm_fail_code(NULL, WM_RETRY, "1", "x"), WM_RETRY);
}

static void
text_is_one_line(void **unused WM_UNUSED)
{
	struct wm_error err;

	wm_fail(&err, WM_FATAL, "%s", "ERROR:  no\nDETAIL:\tbad \033[31mred\r\n\n");
	assert_string_equal(err.text, "ERROR:  no DETAIL: bad  [31mred");
}

static void
long_text_is_cut_between_characters(void **unused WM_UNUSED)
{
	struct wm_error err;
	char text[1200];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text + sizeof(err.text) - 2, "\xc3\xa4", 2);
	wm_fail(&err, WM_FATAL, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 2);
	assert_int_equal(err.text[sizeof(err.text) - 3], 'a');
}

static void
secrets_are_covered_before_the_cut(void **unused WM_UNUSED)
{
	struct wm_error err;
	char text[1200];

	wm_secret_register("correct-horse-battery");
	wm_fail(&err, WM_FATAL, "password correct-horse-battery refused");
	assert_string_equal(err.text, "password *** refused");

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text + sizeof(err.text) - 10, "correct-horse-battery", 21);
	wm_fail(&err, WM_FATAL, "%s", text);
	assert_null(strstr(err.text, "corr"));
	assert_non_null(strstr(err.text, "***"));
}

static void
prefix_goes_in_front(void **unused WM_UNUSED)
{
	struct wm_error err;
	char text[1200];

	wm_fail_code(&err, WM_RETRY, "08006", "connection refused");
	assert_int_equal(wm_error_prefix(&err, "source \"%s\"", "shop"), WM_RETRY);
	assert_int_equal(wm_error_prefix(&err, "source \"%s\"", "shop"), WM_RETRY);
	assert_string_equal(err.text, "source \"shop\": connection refused");
	assert_string_equal(err.code, "08006");
	/* What does not fit is lost at the end. */
	memset(text, 'p', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	wm_error_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_int_equal(err.text[0], 'p');
}

static void
oom_names_what_it_was_for(void **unused WM_UNUSED)
{
	struct wm_error err = { .code = "old" };

	assert_int_equal(wm_oom(&err, "a batch of rows"), WM_FATAL);
	assert_int_equal(err.status, WM_FATAL);
	assert_string_equal(err.code, "");
	assert_string_equal(err.text, "out of memory for a batch of rows");
	assert_int_equal(wm_oom(NULL, "x"), WM_FATAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fail_fills_and_returns),
		cmocka_unit_test(code_is_kept_within_its_room),
		cmocka_unit_test(text_is_one_line),
		cmocka_unit_test(long_text_is_cut_between_characters),
		cmocka_unit_test(secrets_are_covered_before_the_cut),
		cmocka_unit_test(prefix_goes_in_front),
		cmocka_unit_test(oom_names_what_it_was_for),
	};

	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
