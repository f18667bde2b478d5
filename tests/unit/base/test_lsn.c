/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_lsn.c - WAL positions: text form and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "walmill/compiler.h"
#include "walmill/lsn.h"

static void
formats_as_postgresql(void **unused WM_UNUSED)
{
	char buf[WM_LSN_STRLEN];

	assert_string_equal(wm_lsn_format(0, buf), "0/0");
	assert_string_equal(wm_lsn_format(0x16B374D848ull, buf), "16/B374D848");
	/* The lower half is not padded. */
	assert_string_equal(wm_lsn_format(0x100000001ull, buf), "1/1");
	assert_string_equal(wm_lsn_format(UINT64_MAX, buf), "FFFFFFFF/FFFFFFFF");
}

static void
parses_both_cases(void **unused WM_UNUSED)
{
	wm_lsn lsn = 7;

	assert_true(wm_lsn_parse("16/b374D848", &lsn));
	assert_int_equal(lsn, 0x16B374D848ull);
	assert_true(wm_lsn_parse("0/0", &lsn));
	assert_int_equal(lsn, 0);
	assert_true(wm_lsn_parse("FFFFFFFF/FFFFFFFF", &lsn));
	assert_true(lsn == UINT64_MAX);
	assert_true(wm_lsn_parse("00000001/00000001", &lsn));
	assert_int_equal(lsn, 0x100000001ull);
}

static void
refuses_anything_else(void **unused WM_UNUSED)
{
	static const char *const bad[] = {
		"", "/", "1", "1/", "/1", " 1/1", "1/1 ", "1 /1", "1/1/1", "-1/1", "+1/1", "0x1/1",
		"g/1", "1/g", "123456789/1", "1/123456789", "000000001/1", "1\\1",
	};

	for (size_t i = 0; i < WM_ARRAY_SIZE(bad); i++) {
		wm_lsn lsn = 42;

		if (wm_lsn_parse(bad[i], &lsn))
			fail_msg("\"%s\" was taken for a position", bad[i]);
		assert_int_equal(lsn, 42);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_as_postgresql),
		cmocka_unit_test(parses_both_cases),
		cmocka_unit_test(refuses_anything_else),
	};

	return cmocka_run_group_tests_name("lsn", tests, NULL, NULL);
}
