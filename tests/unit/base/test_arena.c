/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_arena.c - memory released at once: alignment, large pieces, reset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdalign.h>
#include <string.h>

#include "walmill/arena.h"

static void
pieces_are_aligned_and_apart(void **unused WM_UNUSED)
{
	WM_AUTO(wm_arena_destroyp) struct wm_arena *a = wm_arena_create(100);
	unsigned char *p[200];

	assert_non_null(a);
	for (size_t i = 0; i < WM_ARRAY_SIZE(p); i++) {
		p[i] = wm_arena_alloc(a, i);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % alignof(max_align_t), 0);
		memset(p[i], (int)i, i);
	}
	for (size_t i = 0; i < WM_ARRAY_SIZE(p); i++) {
		for (size_t j = 0; j < i; j++)
			assert_int_equal(p[i][j], i);
	}
}

static void
large_piece_does_not_end_the_chunk(void **unused WM_UNUSED)
{
	WM_AUTO(wm_arena_destroyp) struct wm_arena *a = wm_arena_create(1024);
	char *first = wm_arena_alloc(a, 16), *large, *second;

	assert_non_null(first);
	large = wm_arena_alloc(a, 1 << 20);
	assert_non_null(large);
	memset(large, 'x', 1 << 20);
	second = wm_arena_alloc(a, 16);
	assert_ptr_equal(second, first + 16);
}

static void
large_piece_may_come_first(void **unused WM_UNUSED)
{
	WM_AUTO(wm_arena_destroyp) struct wm_arena *a = wm_arena_create(64);

	for (int round = 0; round < 3; round++) {
		char *large = wm_arena_alloc(a, 5000), *small;

		assert_non_null(large);
		memset(large, 'l', 5000);
		small = wm_arena_strdup(a, "small");
		assert_string_equal(small, "small");
		assert_int_equal(large[4999], 'l');
		wm_arena_reset(a);
	}
}

static void
reset_reuses_one_block(void **unused WM_UNUSED)
{
	WM_AUTO(wm_arena_destroyp) struct wm_arena *a = wm_arena_create(256);
	void *before, *again;

	before = wm_arena_alloc(a, 200);
	assert_non_null(before);
	assert_true(wm_arena_used(a) >= 200);
	wm_arena_reset(a);
	assert_int_equal(wm_arena_used(a), 0);
	again = wm_arena_alloc(a, 100);
	assert_ptr_equal(again, before);
}

static void
used_counts_every_chunk(void **unused WM_UNUSED)
{
	WM_AUTO(wm_arena_destroyp) struct wm_arena *a = wm_arena_create(64);

	assert_int_equal(wm_arena_used(a), 0);
	for (int i = 0; i < 100; i++)
		assert_non_null(wm_arena_alloc(a, 32));
	assert_int_equal(wm_arena_used(a), 3200);
	assert_non_null(wm_arena_alloc(a, 100000));
	assert_true(wm_arena_used(a) >= 103200);
}

static void
calloc_clears_reused_memory(void **unused WM_UNUSED)
{
	WM_AUTO(wm_arena_destroyp) struct wm_arena *a = wm_arena_create(256);
	static const char zero[120];
	char *p = wm_arena_alloc(a, 200);

	assert_non_null(p);
	memset(p, 'x', 200);
	wm_arena_reset(a);
	p = wm_arena_calloc(a, 12, 10);
	assert_non_null(p);
	assert_memory_equal(p, zero, 120);
	assert_non_null(wm_arena_calloc(a, 0, 10));
}

static void
dup_copies_bytes_and_terminates(void **unused WM_UNUSED)
{
	WM_AUTO(wm_arena_destroyp) struct wm_arena *a = wm_arena_create(64);
	char *p = wm_arena_dup(a, "a\0bc", 3);

	assert_memory_equal(p, "a\0b", 4);
	assert_string_equal(wm_arena_dup(a, NULL, 0), "");
	assert_string_equal(wm_arena_strdup(a, "text"), "text");
}

static void
impossible_sizes_answer_null(void **unused WM_UNUSED)
{
	WM_AUTO(wm_arena_destroyp) struct wm_arena *a = wm_arena_create(64);
	/* The compiler may not see how large they are. */
	volatile size_t most = SIZE_MAX;

	assert_null(wm_arena_alloc(a, most));
	assert_null(wm_arena_alloc(a, most - alignof(max_align_t)));
	assert_null(wm_arena_dup(a, "", most));
	assert_null(wm_arena_calloc(a, most / 2, 3));
	assert_int_equal(wm_arena_used(a), 0);
	wm_arena_destroy(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_aligned_and_apart),
		cmocka_unit_test(large_piece_does_not_end_the_chunk),
		cmocka_unit_test(large_piece_may_come_first),
		cmocka_unit_test(reset_reuses_one_block),
		cmocka_unit_test(used_counts_every_chunk),
		cmocka_unit_test(calloc_clears_reused_memory),
		cmocka_unit_test(dup_copies_bytes_and_terminates),
		cmocka_unit_test(impossible_sizes_answer_null),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
