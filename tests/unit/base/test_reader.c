/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_reader.c - bounds-checked reading of input bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "walmill/compiler.h"
#include "walmill/reader.h"

static const uint8_t bytes[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 'h', 'i', 0, 'x' };

static struct wm_reader
reader(size_t n)
{
	return (struct wm_reader){ .p = bytes, .end = bytes + n };
}

static void
reads_big_endian(void **unused WM_UNUSED)
{
	struct wm_reader r = reader(sizeof(bytes));

	assert_int_equal(wm_reader_u8(&r), 0x01);
	assert_int_equal(wm_reader_u16(&r), 0x0203);
	assert_int_equal(wm_reader_u32(&r), 0x04050607);
	assert_int_equal(wm_reader_left(&r), 5);
	r = reader(8);
	assert_true(wm_reader_u64(&r) == 0x0102030405060708u);
	assert_int_equal(wm_reader_left(&r), 0);
	assert_false(r.bad);
}

static void
short_read_sticks(void **unused WM_UNUSED)
{
	struct wm_reader r = reader(3);

	assert_int_equal(wm_reader_u32(&r), 0);
	assert_true(r.bad);
	/* There is a byte, but what stood before it was not read. */
	assert_int_equal(wm_reader_u8(&r), 0);
	assert_null(wm_reader_bytes(&r, 1));
	assert_string_equal(wm_reader_str(&r), "");
	assert_ptr_equal(r.p, bytes);
}

static void
borrows_bytes(void **unused WM_UNUSED)
{
	struct wm_reader r = reader(4);

	assert_ptr_equal(wm_reader_bytes(&r, 4), bytes);
	assert_non_null(wm_reader_bytes(&r, 0));
	assert_false(r.bad);
	assert_null(wm_reader_bytes(&r, SIZE_MAX));
	assert_true(r.bad);
}

static void
strings_end_within_the_input(void **unused WM_UNUSED)
{
	struct wm_reader r = { .p = bytes + 8, .end = bytes + sizeof(bytes) };

	assert_string_equal(wm_reader_str(&r), "hi");
	assert_int_equal(wm_reader_left(&r), 1);
	assert_false(r.bad);
	assert_string_equal(wm_reader_str(&r), "");
	assert_true(r.bad);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_big_endian),
		cmocka_unit_test(short_read_sticks),
		cmocka_unit_test(borrows_bytes),
		cmocka_unit_test(strings_end_within_the_input),
	};

	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
