/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_answer.c - what follows from an answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/targets/zoho_analytics/answer.h"

static struct wm_zoho_answer
answer(long http, const char *body)
{
	struct wm_zoho_answer a;

	wm_zoho_answer_parse(http, body, strlen(body), &a);
	return a;
}

/* Status and trouble of a failure with this code. */
static void
assert_failure(long http, int code, enum wm_zoho_trouble trouble, enum wm_status wanted)
{
	char body[200];
	struct wm_zoho_answer a;
	struct wm_error err;
	bool view = false;

	(void)snprintf(body, sizeof(body), "{\"status\":\"failure\",\"summary\":\"X\",\"data\":{\"errorCode\":%d,"
	    "\"errorMessage\":\"what\\nis said\"}}", code);
	a = answer(http, body);
	assert_int_equal(a.trouble, trouble);
	assert_string_equal(a.message, "what is said");
	assert_int_equal(wm_zoho_answer_fail(&a, &view, &err, "view \"%s\"", "v"), wanted);
	assert_int_equal(view, trouble == WM_ZOHO_VIEW);
	assert_non_null(strstr(err.text, "view \"v\": what is said (zoho:"));
	wm_zoho_answer_free(&a);
}

static void
test_codes(void **state)
{
	(void)state;
	assert_failure(500, 7005, WM_ZOHO_PASSING, WM_RETRY);
	assert_failure(400, 7092, WM_ZOHO_BUSY, WM_RETRY);
	assert_failure(400, 8134, WM_ZOHO_BUSY, WM_RETRY);
	assert_failure(400, 6045, WM_ZOHO_RATE, WM_RETRY);
	assert_failure(400, 6043, WM_ZOHO_UNITS, WM_RETRY);
	/* Whatever the HTTP status says. */
	assert_failure(200, 6043, WM_ZOHO_UNITS, WM_RETRY);
	assert_failure(401, 8535, WM_ZOHO_TOKEN, WM_FATAL);
	assert_failure(400, 7232, WM_ZOHO_ROWS, WM_REJECT);
	assert_failure(403, 7301, WM_ZOHO_VIEW, WM_FATAL);
	assert_failure(404, 7104, WM_ZOHO_VIEW, WM_FATAL);
	assert_failure(404, 7103, WM_ZOHO_ACCOUNT, WM_FATAL);
	assert_failure(400, 7107, WM_ZOHO_STALE, WM_RETRY);
	assert_failure(400, 8080, WM_ZOHO_ACCOUNT, WM_FATAL);
	assert_failure(400, 99999, WM_ZOHO_ACCOUNT, WM_FATAL);
	assert_failure(500, 99999, WM_ZOHO_PASSING, WM_RETRY);
	assert_failure(429, 99999, WM_ZOHO_RATE, WM_RETRY);
}

static enum wm_zoho_trouble
trouble(long http, const char *body)
{
	struct wm_zoho_answer a = answer(http, body);
	enum wm_zoho_trouble t = a.trouble;

	wm_zoho_answer_free(&a);
	return t;
}

static void
test_envelopes(void **state)
{
	(void)state;
	assert_int_equal(trouble(200, "{\"status\":\"success\",\"summary\":\"\",\"data\":{}}"), WM_ZOHO_FINE);
	assert_int_equal(trouble(204, ""), WM_ZOHO_FINE);
	assert_int_equal(trouble(200, "<html>"), WM_ZOHO_PASSING);
	assert_int_equal(trouble(200, "{\"status\":\"success\",\"data\":"), WM_ZOHO_PASSING);
	assert_int_equal(trouble(200, "{\"status\":\"failure\",\"data\":{\"errorCode\":\"7092\"}}"), WM_ZOHO_BUSY);
	assert_int_equal(trouble(502, "<html>"), WM_ZOHO_PASSING);
	assert_int_equal(trouble(429, "slow down"), WM_ZOHO_RATE);
	assert_int_equal(trouble(404, "<html>"), WM_ZOHO_ACCOUNT);
}

static bool
complete(const char *data, size_t rows)
{
	cJSON *o = cJSON_Parse(data);
	struct wm_zoho_import i;

	wm_zoho_import_parse(o, &i);
	cJSON_Delete(o);
	return wm_zoho_import_complete(&i, rows);
}

static void
test_counts(void **state)
{
	(void)state;
	assert_true(complete("{\"importSummary\":{\"totalRowCount\":6,\"successRowCount\":6,\"warnings\":0}}", 6));
	assert_true(complete(
	    "{\"importSummary\":{\"totalRowCount\":\"6\",\"successRowCount\":\"6\",\"warnings\":\"0\"}}",
	    6));
	assert_false(complete("{\"importSummary\":{\"totalRowCount\":6,\"successRowCount\":6,\"warnings\":0}}", 7));
	assert_false(complete("{\"importSummary\":{\"totalRowCount\":6,\"successRowCount\":5,\"warnings\":0}}", 6));
	assert_false(complete("{\"importSummary\":{\"totalRowCount\":6,\"successRowCount\":6,\"warnings\":1}}", 6));
	assert_false(complete("{\"importSummary\":{\"totalRowCount\":6,\"successRowCount\":6}}", 6));
	assert_false(complete("{}", 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_envelopes),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
