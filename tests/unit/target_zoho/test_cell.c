/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_cell.c - values as columns of Zoho's take them, and the types that columns get.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/targets/zoho_analytics/cell.h"

static struct wm_zoho_policy policy = { .true_word = "true", .false_word = "false", .empty_text = "", .digits = 19 };
static struct wm_zoho_converted counts;
static struct wm_error error;

/* What the text becomes: "<null>", "<refused>". */
static const char *
cell(enum wm_zoho_type type, enum wm_type_class class, const char *text)
{
	static char shown[1000];
	struct wm_value value = { .kind = WM_VALUE_NULL };
	struct wm_zoho_cell c;

	if (text != NULL)
		value = (struct wm_value){ .kind = WM_VALUE_TEXT, .data = text, .len = (uint32_t)strlen(text) };
	switch (wm_zoho_cell(&policy, type, class, &value, &c, &counts, &error)) {
	case WM_OK:
		break;
	case WM_REJECT:
		return "<refused>";
	default:
		return "<trouble>";
	}
	if (c.data == NULL)
		return "<null>";
	assert_true(c.len < sizeof(shown));
	memcpy(shown, c.data, c.len);
	shown[c.len] = '\0';
	return shown;
}

static void
test_text(void **state)
{
	(void)state;
	assert_string_equal(cell(WM_ZOHO_PLAIN, WM_TYPE_TEXT, "a \"b\""), "a \"b\"");
	assert_string_equal(cell(WM_ZOHO_MULTI_LINE, WM_TYPE_NUMERIC, "NaN"), "NaN");
	assert_string_equal(cell(WM_ZOHO_PLAIN, WM_TYPE_TEXT, NULL), "<null>");
	counts.empty = 0;
	assert_string_equal(cell(WM_ZOHO_PLAIN, WM_TYPE_TEXT, ""), "<null>");
	policy.empty_text = "-";
	assert_string_equal(cell(WM_ZOHO_PLAIN, WM_TYPE_TEXT, ""), "-");
	policy.empty_text = "";
	assert_int_equal(counts.empty, 2);
}

static void
test_booleans(void **state)
{
	(void)state;
	assert_string_equal(cell(WM_ZOHO_BOOLEAN, WM_TYPE_BOOL, "t"), "true");
	assert_string_equal(cell(WM_ZOHO_BOOLEAN, WM_TYPE_BOOL, "f"), "false");
	assert_string_equal(cell(WM_ZOHO_PLAIN, WM_TYPE_BOOL, "f"), "f");
}

static void
test_whole_numbers(void **state)
{
	(void)state;
	assert_string_equal(cell(WM_ZOHO_NUMBER, WM_TYPE_INT, "-9223372036854775808"), "-9223372036854775808");
	assert_string_equal(cell(WM_ZOHO_NUMBER, WM_TYPE_NUMERIC, "1.5"), "<refused>");
	assert_string_equal(cell(WM_ZOHO_NUMBER, WM_TYPE_NUMERIC, "NaN"), "<refused>");
	assert_string_equal(cell(WM_ZOHO_NUMBER, WM_TYPE_NUMERIC, "-"), "<refused>");
}

static void
test_decimal_numbers(void **state)
{
	(void)state;
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_NUMERIC, "-1.50"), "-1.50");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_NUMERIC, "0.00"), "0");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_FLOAT, "-0"), "0");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_FLOAT, "1e+10"), "10000000000");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_FLOAT, "1.25e-05"), "0.0000125");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_FLOAT, "1.2345e+2"), "123.45");
	assert_string_equal(cell(WM_ZOHO_CURRENCY, WM_TYPE_NUMERIC, "1234567890123456789"), "1234567890123456789");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_NUMERIC, "12345678901234567890"), "<refused>");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_NUMERIC, "12345678901.123456789"), "<refused>");
	/* Zeros behind the point are no digits that anybody would miss. */
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_NUMERIC, "1.50000000000000000000"), "1.5");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_FLOAT, "1e+300"), "<refused>");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_FLOAT, "1e-300"), "<refused>");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_FLOAT, "1e999999"), "<refused>");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_FLOAT, "Infinity"), "<refused>");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_FLOAT, "NaN"), "<refused>");
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_FLOAT, "1.2.3"), "<refused>");
}

static void
test_unfit_as_null(void **state)
{
	(void)state;
	policy.unfit = WM_ZOHO_UNFIT_NULL;
	counts.unfit = 0;
	assert_string_equal(cell(WM_ZOHO_DECIMAL_NUMBER, WM_TYPE_FLOAT, "NaN"), "<null>");
	assert_string_equal(cell(WM_ZOHO_DATE, WM_TYPE_TIMESTAMP, "infinity"), "<null>");
	assert_int_equal(counts.unfit, 2);
	policy.unfit = WM_ZOHO_UNFIT_REJECT;
}

static void
test_moments(void **state)
{
	(void)state;
	counts.cut = 0;
	assert_string_equal(cell(WM_ZOHO_DATE_AS_DATE, WM_TYPE_DATE, "2024-02-29"), "2024-02-29");
	assert_string_equal(cell(WM_ZOHO_DATE, WM_TYPE_DATE, "2024-02-29"), "2024-02-29 00:00:00");
	assert_string_equal(cell(WM_ZOHO_DATE_AS_DATE, WM_TYPE_DATE, "0044-03-15 BC"), "<refused>");
	assert_string_equal(cell(WM_ZOHO_DATE_AS_DATE, WM_TYPE_DATE, "10000-01-01"), "<refused>");
	assert_string_equal(cell(WM_ZOHO_DATE, WM_TYPE_TIMESTAMP, "2024-02-29 12:34:56"), "2024-02-29 12:34:56");
	assert_int_equal(counts.cut, 0);
	assert_string_equal(cell(WM_ZOHO_DATE, WM_TYPE_TIMESTAMP, "2024-02-29 12:34:56.789"), "2024-02-29 12:34:56");
	assert_string_equal(cell(WM_ZOHO_TIME, WM_TYPE_TIME, "23:59:59.5"), "23:59:59");
	assert_int_equal(counts.cut, 2);
	assert_string_equal(cell(WM_ZOHO_TIME, WM_TYPE_TIME, "24:00:00"), "<refused>");
	assert_string_equal(cell(WM_ZOHO_DATE, WM_TYPE_TIMESTAMPTZ, "2024-02-29 12:34:56+00"), "2024-02-29 12:34:56");
	assert_string_equal(cell(WM_ZOHO_DATE, WM_TYPE_TEXT, "in the form that it has"), "in the form that it has");
}

static void
test_zones(void **state)
{
	int64_t zone = 0;

	(void)state;
	assert_true(wm_zoho_zone_parse("+05:30", &zone));
	assert_int_equal(zone, 19800);
	assert_true(wm_zoho_zone_parse("-03:00", &zone));
	assert_int_equal(zone, -10800);
	assert_false(wm_zoho_zone_parse("Europe/Berlin", &zone));
	assert_false(wm_zoho_zone_parse("+25:00", &zone));
	assert_false(wm_zoho_zone_parse("+05:60", &zone));
	policy.zone = 19800;
	assert_string_equal(cell(WM_ZOHO_DATE, WM_TYPE_TIMESTAMPTZ, "2024-02-29 23:00:00+00"), "2024-03-01 04:30:00");
	assert_string_equal(cell(WM_ZOHO_DATE, WM_TYPE_TIMESTAMP, "2024-02-29 23:00:00"), "2024-02-29 23:00:00");
	assert_string_equal(cell(WM_ZOHO_DATE, WM_TYPE_TIMESTAMPTZ, "9999-12-31 23:00:00+00"), "<refused>");
	policy.zone = -10800;
	assert_string_equal(cell(WM_ZOHO_DATE, WM_TYPE_TIMESTAMPTZ, "1970-01-01 01:00:00+00"), "1969-12-31 22:00:00");
	assert_string_equal(cell(WM_ZOHO_DATE, WM_TYPE_TIMESTAMPTZ, "2100-03-01 00:00:00+00"), "2100-02-28 21:00:00");
	assert_string_equal(cell(WM_ZOHO_DATE, WM_TYPE_TIMESTAMPTZ, "0001-01-01 01:00:00+00"), "<refused>");
	policy.zone = 0;
}

static enum wm_zoho_type
type_for(const char *type, char *override, bool key)
{
	struct wm_view_column column = { .override = override, .key = key };

	wm_type_named(type, &column.type);
	return wm_zoho_type_for(&column);
}

static void
test_types(void **state)
{
	static char plain[] = "PLAIN", shown[] = "Decimal Number", sql[] = "bigint";

	(void)state;
	assert_int_equal(type_for("bigint", NULL, true), WM_ZOHO_NUMBER);
	assert_int_equal(type_for("numeric(30,2)", NULL, false), WM_ZOHO_DECIMAL_NUMBER);
	assert_int_equal(type_for("boolean", NULL, false), WM_ZOHO_BOOLEAN);
	assert_int_equal(type_for("timestamptz", NULL, false), WM_ZOHO_DATE);
	assert_int_equal(type_for("date", NULL, false), WM_ZOHO_DATE_AS_DATE);
	assert_int_equal(type_for("text", NULL, false), WM_ZOHO_MULTI_LINE);
	assert_int_equal(type_for("text", NULL, true), WM_ZOHO_PLAIN);
	assert_int_equal(type_for("uuid", NULL, false), WM_ZOHO_PLAIN);
	assert_int_equal(type_for("jsonb", NULL, false), WM_ZOHO_MULTI_LINE);
	assert_int_equal(type_for("numeric", plain, false), WM_ZOHO_PLAIN);
	assert_int_equal(type_for("numeric", shown, false), WM_ZOHO_DECIMAL_NUMBER);
	assert_int_equal(type_for("text", sql, false), WM_ZOHO_NUMBER);
	assert_true(wm_zoho_type_takes(WM_ZOHO_PLAIN, WM_ZOHO_DATE));
	assert_true(wm_zoho_type_takes(WM_ZOHO_CURRENCY, WM_ZOHO_NUMBER));
	assert_false(wm_zoho_type_takes(WM_ZOHO_NUMBER, WM_ZOHO_DECIMAL_NUMBER));
	assert_false(wm_zoho_type_takes(WM_ZOHO_NUMBER, WM_ZOHO_PLAIN));
	assert_false(wm_zoho_type_takes(WM_ZOHO_DATE_AS_DATE, WM_ZOHO_DATE));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_booleans),
		cmocka_unit_test(test_whole_numbers),
		cmocka_unit_test(test_decimal_numbers),
		cmocka_unit_test(test_unfit_as_null),
		cmocka_unit_test(test_moments),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
