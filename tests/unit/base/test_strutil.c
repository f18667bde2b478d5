/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_strutil.c - numbers, sizes, durations, globs, the nearest word, the hash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "walmill/strutil.h"

static void
integers_are_whole_and_in_range(void **unused WM_UNUSED)
{
	static const char *const bad[] = { "", "-", "+1", " 1", "1 ", "1x", "0x10", "1.0", "--1",
		"9223372036854775808", "-9223372036854775809", "99999999999999999999" };
	int64_t v = 0;

	assert_true(wm_parse_i64("0", &v) && v == 0);
	assert_true(wm_parse_i64("-0", &v) && v == 0);
	assert_true(wm_parse_i64("007", &v) && v == 7);
	assert_true(wm_parse_i64("9223372036854775807", &v) && v == INT64_MAX);
	assert_true(wm_parse_i64("-9223372036854775808", &v) && v == INT64_MIN);
	for (size_t i = 0; i < WM_ARRAY_SIZE(bad); i++) {
		v = 42;
		if (wm_parse_i64(bad[i], &v))
			fail_msg("\"%s\" was taken for an integer", bad[i]);
		assert_int_equal(v, 42);
	}
}

static void
unsigned_integers_too(void **unused WM_UNUSED)
{
	static const char *const bad[] = { "", "-1", "+1", "1 ", "18446744073709551616" };
	uint64_t v = 0;

	assert_true(wm_parse_u64("18446744073709551615", &v) && v == UINT64_MAX);
	for (size_t i = 0; i < WM_ARRAY_SIZE(bad); i++) {
		v = 42;
		if (wm_parse_u64(bad[i], &v))
			fail_msg("\"%s\" was taken for an unsigned integer", bad[i]);
		assert_int_equal(v, 42);
	}
}

static void
sizes_have_binary_units(void **unused WM_UNUSED)
{
	static const char *const bad[] = { "", "MiB", "8MB", "8M", "8mib", "8 MiB", "-1", "1.5GiB",
		"8MiBx", "16777216TiB", "18446744073709551616" };
	uint64_t v = 0;

	assert_true(wm_parse_size("0", &v) && v == 0);
	assert_true(wm_parse_size("512", &v) && v == 512);
	assert_true(wm_parse_size("512B", &v) && v == 512);
	assert_true(wm_parse_size("4KiB", &v) && v == 4096);
	assert_true(wm_parse_size("8MiB", &v) && v == 8388608);
	assert_true(wm_parse_size("10GiB", &v) && v == 10737418240);
	assert_true(wm_parse_size("16777215TiB", &v) && v == 16777215ull << 40);
	for (size_t i = 0; i < WM_ARRAY_SIZE(bad); i++) {
		v = 42;
		if (wm_parse_size(bad[i], &v))
			fail_msg("\"%s\" was taken for a size", bad[i]);
		assert_int_equal(v, 42);
	}
}

static void
durations_need_a_unit(void **unused WM_UNUSED)
{
	static const char *const bad[] = { "", "5", "00", "s", "5 s", "5sec", "-5s", "1.5s",
		"5S", "1w", "9223372036854775807ms", "106751992d", "9223372036855s" };
	int64_t v = 0;

	assert_true(wm_parse_duration("0", &v) && v == 0);
	assert_true(wm_parse_duration("0s", &v) && v == 0);
	assert_true(wm_parse_duration("100ms", &v) && v == 100000);
	assert_true(wm_parse_duration("5s", &v) && v == 5000000);
	assert_true(wm_parse_duration("10min", &v) && v == 600000000);
	assert_true(wm_parse_duration("5m", &v) && v == 300000000);
	assert_true(wm_parse_duration("2h", &v) && v == 7200000000);
	assert_true(wm_parse_duration("1d", &v) && v == 86400000000);
	assert_true(wm_parse_duration("106751991d", &v) && v == 106751991 * 86400000000);
	for (size_t i = 0; i < WM_ARRAY_SIZE(bad); i++) {
		v = 42;
		if (wm_parse_duration(bad[i], &v))
			fail_msg("\"%s\" was taken for a duration", bad[i]);
		assert_int_equal(v, 42);
	}
}

static void
globs_match_whole_names(void **unused WM_UNUSED)
{
	static const struct {
		const char	*glob, *name;
		bool		 match;
	} cases[] = {
		{ "orders", "orders", true },
		{ "orders", "orders2", false },
		{ "orders", "Orders", false },
		{ "", "", true },
		{ "", "a", false },
		{ "*", "", true },
		{ "*", "anything.at all", true },
		{ "?", "", false },
		{ "?", "a", true },
		{ "?", "ab", false },
		{ "?", "\xc3\xa4", true },	/* one character, two bytes */
		{ "??", "\xc3\xa4", false },
		{ "*?", "\xc3\xa4", true },
		{ "tmp_*", "tmp_", true },
		{ "tmp_*", "tmp", false },
		{ "*_log", "a_log_log", true },
		{ "*_log", "a_log_lo", false },
		{ "a*b*c", "aXbXbXc", true },
		{ "a*b*c", "aXcXb", false },
		{ "a**c", "abc", true },
		{ "*a?", "aaab", true },
		{ "[ab]", "a", false },
		{ "[ab]", "[ab]", true },
		{ "a\\*", "a*", false },
		{ "*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
	};

	for (size_t i = 0; i < WM_ARRAY_SIZE(cases); i++) {
		if (wm_glob_match(cases[i].glob, cases[i].name) != cases[i].match)
			fail_msg("glob \"%s\" and name \"%s\"", cases[i].glob, cases[i].name);
	}
}

static void
nearest_word_is_near(void **unused WM_UNUSED)
{
	static const char *const keys[] = { "columns", "table", "target", "key", "where",
		"on_delete" };
	char longer[200];

	assert_string_equal(wm_nearest("colums", keys, 6), "columns");
	assert_string_equal(wm_nearest("clomuns", keys, 6), "columns");
	assert_string_equal(wm_nearest("tabel", keys, 6), "table");
	assert_string_equal(wm_nearest("keys", keys, 6), "key");
	assert_string_equal(wm_nearest("ondelete", keys, 6), "on_delete");
	/* More than a third of it would have to change. */
	assert_null(wm_nearest("clmn", keys, 6));
	assert_null(wm_nearest("ke", keys, 6));
	assert_null(wm_nearest("xyz", keys, 6));
	assert_null(wm_nearest("", keys, 6));
	assert_null(wm_nearest("key", keys, 0));
	memset(longer, 'k', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_null(wm_nearest(longer, keys, 6));
}

static void
nearest_prefers_fewer_edits(void **unused WM_UNUSED)
{
	static const char *const keys[] = { "interxxl", "intervall", "interval" };

	assert_string_equal(wm_nearest("intervl", keys, 3), "interval");
	assert_string_equal(wm_nearest("interval", keys, 3), "interval");
}

static void
hash_is_fnv1a_and_chains(void **unused WM_UNUSED)
{
	/* The algorithm's published test vectors. */
	assert_true(wm_hash("", 0, 0) == 0xcbf29ce484222325u);
	assert_true(wm_hash("a", 1, 0) == 0xaf63dc4c8601ec8cu);
	assert_true(wm_hash("foobar", 6, 0) == 0x85944171f73967e8u);
	assert_true(wm_hash("bar", 3, wm_hash("foo", 3, 0)) == 0x85944171f73967e8u);
}

static void
asprintf_allocates(void **unused WM_UNUSED)
{
	WM_AUTO(wm_freep) char *s = wm_asprintf("%s-%05d", "walmill", 42);
	WM_AUTO(wm_freep) char *empty = wm_asprintf("%s", "");
	WM_AUTO(wm_freep) char *wide = wm_asprintf("%2000d", 7);

	assert_string_equal(s, "walmill-00042");
	assert_string_equal(empty, "");
	assert_int_equal(strlen(wide), 2000);
	assert_int_equal(wide[1999], '7');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_whole_and_in_range),
		cmocka_unit_test(unsigned_integers_too),
		cmocka_unit_test(sizes_have_binary_units),
		cmocka_unit_test(durations_need_a_unit),
		cmocka_unit_test(globs_match_whole_names),
		cmocka_unit_test(nearest_word_is_near),
		cmocka_unit_test(nearest_prefers_fewer_edits),
		cmocka_unit_test(hash_is_fnv1a_and_chains),
		cmocka_unit_test(asprintf_allocates),
	};

	return cmocka_run_group_tests_name("strutil", tests, NULL, NULL);
}
