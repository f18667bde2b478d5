/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_token.c - answers of the token endpoint, and the throttle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/targets/zoho_analytics/token.h"

static const struct wm_zoho_login login = { .accounts_url = "https://accounts.example", .client_id = "id",
	.client_secret = "sesame-1", .refresh_token = "sesame-2" };
static struct wm_error error;

static enum wm_status
answer(int http, const char *body, struct wm_zoho_token *token)
{
	return wm_zoho_token_answer(&login, http, body, strlen(body), 1000 * WM_SEC, token, &error);
}

static void
test_success(void **state)
{
	struct wm_zoho_token token = { 0 };

	(void)state;
	assert_int_equal(answer(200, "{\"access_token\":\"1000.a.b\",\"expires_in\":3600}", &token), WM_OK);
	assert_string_equal(token.text, "1000.a.b");
	assert_int_equal(token.expires, 4600 * WM_SEC);
}

/* Failures come with HTTP 200 as well. */
static void
test_permanent(void **state)
{
	static const char *const names[] = { "invalid_code", "invalid_client", "invalid_client_secret" };
	struct wm_zoho_token token = { 0 };
	char body[100];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(body, sizeof(body), "{\"error\":\"%s\"}", names[i]);
		assert_int_equal(answer(200, body, &token), WM_FATAL);
		assert_non_null(strstr(error.text, names[i]));
		assert_null(strstr(error.text, "sesame"));
	}
}

static void
test_passing(void **state)
{
	struct wm_zoho_token token = { 0 };

	(void)state;
	assert_int_equal(answer(200, "{\"error\":\"general_error\"}", &token), WM_RETRY);
	assert_int_equal(answer(200, "{}", &token), WM_RETRY);
	assert_int_equal(answer(502, "<html>", &token), WM_RETRY);
	assert_int_equal(answer(500, "{\"access_token\":\"1000.a.b\"}", &token), WM_RETRY);
	assert_string_equal(token.text, "");
	assert_int_equal(token.closed, 0);
}

static void
test_throttled(void **state)
{
	struct wm_zoho_token token = { 0 };
	wm_usec wait = 0;

	(void)state;
	assert_int_equal(answer(400, "{\"error_description\":\"You have made too many requests continuously.\","
	    "\"error\":\"Access Denied\"}", &token), WM_RETRY);
	assert_int_equal(error.retry_after, 600 * WM_SEC);
	assert_false(wm_zoho_token_may_ask(&token, 1100 * WM_SEC, &wait));
	assert_int_equal(wait, 500 * WM_SEC);
	assert_true(wm_zoho_token_may_ask(&token, 1600 * WM_SEC, &wait));
}

static void
test_ten_in_ten_minutes(void **state)
{
	struct wm_zoho_token token = { 0 };
	wm_usec wait = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_true(wm_zoho_token_may_ask(&token, (1000 + i) * WM_SEC, &wait));
	assert_false(wm_zoho_token_may_ask(&token, 1100 * WM_SEC, &wait));
	assert_int_equal(wait, 500 * WM_SEC);
	assert_true(wm_zoho_token_may_ask(&token, 1600 * WM_SEC, &wait));
	assert_false(wm_zoho_token_may_ask(&token, 1600 * WM_SEC, &wait));
	/* A clock that was set back must not close it for years. */
	assert_true(wm_zoho_token_may_ask(&token, 10 * WM_SEC, &wait));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_permanent),
		cmocka_unit_test(test_passing),
		cmocka_unit_test(test_throttled),
		cmocka_unit_test(test_ten_in_ten_minutes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
