/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_batcher.c - coalescing: one row per key, and never two changes in the wrong order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "internal.h"

static char id[] = "id", a[] = "a", b[] = "b", v[] = "v", x[] = "x", y[] = "y", rule[] = "r";
static struct wm_view_column columns[] = { { .name = id, .key = true }, { .name = a }, { .name = b } };
static unsigned keys[] = { 0 };
static const struct wm_view view = { .name = v, .rule = rule, .ncolumns = 3, .columns = columns, .nkeys = 1,
	.keys = keys };
static struct wm_view_column wide_columns[] = { { .name = x, .key = true }, { .name = y, .key = true } };
static unsigned wide_keys[] = { 0, 1 };
static const struct wm_view wide = { .name = v, .rule = rule, .ncolumns = 2, .columns = wide_columns, .nkeys = 2,
	.keys = wide_keys };

static int
setup(void **state)
{
	*state = batcher_create();
	return *state == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	batcher_destroy(*state);
	return 0;
}

/* NULL: unchanged. */
static struct wm_value
value(const char *text)
{
	if (text == NULL)
		return (struct wm_value){ .kind = WM_VALUE_UNCHANGED };
	return (struct wm_value){ .kind = WM_VALUE_TEXT, .data = text, .len = (uint32_t)strlen(text) };
}

static enum wm_status
add(struct batcher *batcher, enum wm_row_op op, const char *key, const char *first, const char *second,
    const char *old_id)
{
	struct wm_arena *arena = batcher_arena(batcher);
	struct wm_value *values = wm_arena_alloc(arena, 3 * sizeof(*values)), *old = NULL;
	struct wm_row row = { .op = op, .values = values };

	assert_non_null(values);
	values[0] = value(key);
	values[1] = value(first);
	values[2] = value(second);
	if (old_id != NULL) {
		old = wm_arena_alloc(arena, sizeof(*old));
		assert_non_null(old);
		*old = value(old_id);
		row.old_key = old;
	}
	return batcher_add(batcher, &view, &row, NULL);
}

static const struct wm_row *
only_row(struct batcher *batcher)
{
	const struct wm_batch *batch = batcher_batch(batcher);

	assert_int_equal(batch->nviews, 1);
	assert_int_equal(batch->nrows, 1);
	assert_int_equal(batch->views[0].nrows, 1);
	return &batch->views[0].rows[0];
}

static void
assert_value(const struct wm_value *got, const char *text)
{
	assert_int_equal(got->kind, WM_VALUE_TEXT);
	assert_int_equal(got->len, strlen(text));
	assert_memory_equal(got->data, text, got->len);
}

static void
the_last_upsert_of_a_key_stays(void **state)
{
	assert_int_equal(add(*state, WM_ROW_UPSERT, "1", "a", "b", NULL), WM_OK);
	assert_int_equal(add(*state, WM_ROW_UPSERT, "1", "c", "d", NULL), WM_OK);
	assert_value(&only_row(*state)->values[1], "c");
	assert_value(&only_row(*state)->values[2], "d");
}

static void
a_partial_update_fills_the_upsert(void **state)
{
	assert_int_equal(add(*state, WM_ROW_UPSERT, "1", "a", "big", NULL), WM_OK);
	assert_int_equal(add(*state, WM_ROW_UPDATE, "1", "c", NULL, NULL), WM_OK);
	assert_int_equal(only_row(*state)->op, WM_ROW_UPSERT);
	assert_value(&only_row(*state)->values[1], "c");
	assert_value(&only_row(*state)->values[2], "big");
}

static void
partial_updates_add_up(void **state)
{
	assert_int_equal(add(*state, WM_ROW_UPDATE, "1", "a", NULL, NULL), WM_OK);
	assert_int_equal(add(*state, WM_ROW_UPDATE, "1", NULL, "b", NULL), WM_OK);
	assert_int_equal(only_row(*state)->op, WM_ROW_UPDATE);
	assert_value(&only_row(*state)->values[1], "a");
	assert_value(&only_row(*state)->values[2], "b");
}

static void
a_delete_takes_all_places(void **state)
{
	assert_int_equal(add(*state, WM_ROW_UPSERT, "1", "a", "b", NULL), WM_OK);
	assert_int_equal(add(*state, WM_ROW_DELETE, "1", NULL, NULL, NULL), WM_OK);
	assert_int_equal(only_row(*state)->op, WM_ROW_DELETE);
	assert_int_equal(add(*state, WM_ROW_UPSERT, "1", "c", "d", NULL), WM_OK);
	assert_int_equal(only_row(*state)->op, WM_ROW_UPSERT);
}

static void
add_fresh(struct batcher *batcher)
{
	struct wm_value *values = wm_arena_alloc(batcher_arena(batcher), 3 * sizeof(*values));
	struct wm_row row = { .op = WM_ROW_UPSERT, .values = values, .fresh = true };

	assert_non_null(values);
	values[0] = values[1] = values[2] = value("1");
	assert_int_equal(batcher_add(batcher, &view, &row, NULL), WM_OK);
}

static void
a_new_row_stays_new_until_it_is_deleted(void **state)
{
	add_fresh(*state);
	assert_int_equal(add(*state, WM_ROW_UPDATE, "1", "a", NULL, NULL), WM_OK);
	assert_true(only_row(*state)->fresh);
	assert_int_equal(add(*state, WM_ROW_UPSERT, "1", "b", "c", NULL), WM_OK);
	assert_true(only_row(*state)->fresh);
	assert_value(&only_row(*state)->values[2], "c");
	assert_int_equal(add(*state, WM_ROW_DELETE, "1", NULL, NULL, NULL), WM_OK);
	assert_false(only_row(*state)->fresh);
	add_fresh(*state);
	assert_false(only_row(*state)->fresh);
}

static void
a_row_behind_a_delete_is_not_new(void **state)
{
	assert_int_equal(add(*state, WM_ROW_DELETE, "1", NULL, NULL, NULL), WM_OK);
	add_fresh(*state);
	assert_int_equal(only_row(*state)->op, WM_ROW_UPSERT);
	assert_false(only_row(*state)->fresh);
	assert_int_equal(batcher_truncate(*state, &view, NULL), WM_OK);
	add_fresh(*state);
	assert_true(only_row(*state)->fresh);
}

static void
a_truncate_forgets_the_rows_before(void **state)
{
	assert_int_equal(add(*state, WM_ROW_UPSERT, "1", "a", "b", NULL), WM_OK);
	assert_int_equal(batcher_truncate(*state, &view, NULL), WM_OK);
	assert_int_equal(add(*state, WM_ROW_UPSERT, "2", "a", "b", NULL), WM_OK);
	assert_value(&only_row(*state)->values[0], "2");
	assert_true(batcher_batch(*state)->views[0].truncate);
}

static void
a_partial_key_change_waits_for_nothing(void **state)
{
	assert_int_equal(add(*state, WM_ROW_UPDATE, "2", "a", NULL, "1"), WM_OK);
	assert_value(&only_row(*state)->old_key[0], "1");
}

static void
what_cannot_be_merged_with_a_key_change_is_written_first(void **state)
{
	static const struct { enum wm_row_op op; const char *id, *old; } after[] = {
		{ WM_ROW_UPSERT, "1", NULL },	/* the old key comes back */
		{ WM_ROW_UPDATE, "2", NULL },	/* the moved row changes */
		{ WM_ROW_DELETE, "2", NULL },
		{ WM_ROW_UPDATE, "3", "2" },	/* it moves on */
		{ WM_ROW_UPDATE, "1", "5" },	/* another takes its old key */
	};

	for (size_t i = 0; i < WM_ARRAY_SIZE(after); i++) {
		assert_int_equal(add(*state, WM_ROW_UPDATE, "2", "a", NULL, "1"), WM_OK);
		assert_int_equal(add(*state, after[i].op, after[i].id, "x", NULL, after[i].old), WM_RETRY);
		batcher_clear_rows(*state);
		assert_int_equal(add(*state, after[i].op, after[i].id, "x", NULL, after[i].old), WM_OK);
		batcher_reset(*state);
	}
}

static void
a_key_change_after_rows_of_either_key_is_written_later(void **state)
{
	assert_int_equal(add(*state, WM_ROW_UPSERT, "1", "a", "b", NULL), WM_OK);
	assert_int_equal(add(*state, WM_ROW_UPDATE, "2", "a", NULL, "1"), WM_RETRY);
	batcher_reset(*state);
	assert_int_equal(add(*state, WM_ROW_DELETE, "2", NULL, NULL, NULL), WM_OK);
	assert_int_equal(add(*state, WM_ROW_UPDATE, "2", "a", NULL, "1"), WM_RETRY);
}

/* ("a", "bc") and ("ab", "c") are two keys. */
static void
composite_keys_are_not_run_together(void **state)
{
	struct wm_value one[] = { value("a"), value("bc") }, two[] = { value("ab"), value("c") };
	struct wm_row row = { .op = WM_ROW_UPSERT, .values = one };

	assert_int_equal(batcher_add(*state, &wide, &row, NULL), WM_OK);
	row.values = two;
	assert_int_equal(batcher_add(*state, &wide, &row, NULL), WM_OK);
	assert_int_equal(batcher_batch(*state)->nrows, 2);
	assert_int_equal(batcher_view_rows(*state, &wide), 2);
}

static void
reset_leaves_nothing(void **state)
{
	assert_int_equal(add(*state, WM_ROW_UPSERT, "1", "a", "b", NULL), WM_OK);
	batcher_reset(*state);
	assert_int_equal(batcher_batch(*state)->nviews, 0);
	assert_int_equal(batcher_batch(*state)->nrows, 0);
	assert_int_equal(batcher_batch(*state)->bytes, 0);
	assert_int_equal(batcher_view_rows(*state, &view), 0);
}

static struct wm_row
row_of(struct wm_value *values, char *key, char *text)
{
	values[0] = value(key);
	values[1] = value(text);
	values[2] = (struct wm_value){ .kind = WM_VALUE_NULL };
	return (struct wm_row){ .op = WM_ROW_UPSERT, .values = values };
}

static void
a_part_goes_and_the_rest_stays(void **state)
{
	struct wm_view low = view, high = view;
	struct batcher **batcher = (struct batcher **)state;
	struct wm_value values[3];
	char buffer[] = "first";		/* the journal's, say */
	struct wm_row row = row_of(values, x, buffer);

	low.priority = WM_PRIORITY_LOW;
	high.priority = WM_PRIORITY_HIGH;
	assert_int_equal(batcher_truncate(*batcher, &low, NULL), WM_OK);
	row.values = memcpy(wm_arena_alloc(batcher_arena(*batcher), sizeof(values)), values, sizeof(values));
	assert_int_equal(batcher_add(*batcher, &low, &row, NULL), WM_OK);
	assert_int_equal(batcher_add(*batcher, &high, &row, NULL), WM_OK);
	assert_int_equal(batcher_part(*batcher, WM_PRIORITY_NORMAL)->nrows, 1);
	assert_ptr_equal(batcher_part(*batcher, WM_PRIORITY_NORMAL)->views[0].view, &high);
	assert_true(batcher_has(*batcher, v));
	assert_int_equal(batcher_drop_part(batcher, WM_PRIORITY_NORMAL, NULL), WM_OK);
	memset(buffer, '?', sizeof(buffer));
	assert_int_equal(batcher_part(*batcher, WM_PRIORITY_NORMAL)->nviews, 0);
	assert_value(&only_row(*batcher)->values[1], "first");
	assert_int_equal(only_row(*batcher)->values[2].kind, WM_VALUE_NULL);
	assert_true(batcher_batch(*batcher)->views[0].truncate);
	/* It is still one row a key. */
	row = row_of(values, x, y);
	assert_int_equal(batcher_add(*batcher, &low, &row, NULL), WM_OK);
	assert_value(&only_row(*batcher)->values[1], y);
	assert_int_equal(batcher_drop_part(batcher, WM_PRIORITY_LOW, NULL), WM_OK);
	assert_int_equal(batcher_batch(*batcher)->nviews, 0);
	assert_false(batcher_has(*batcher, v));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_last_upsert_of_a_key_stays),
		TEST(a_partial_update_fills_the_upsert),
		TEST(partial_updates_add_up),
		TEST(a_delete_takes_all_places),
		TEST(a_new_row_stays_new_until_it_is_deleted),
		TEST(a_row_behind_a_delete_is_not_new),
		TEST(a_truncate_forgets_the_rows_before),
		TEST(a_partial_key_change_waits_for_nothing),
		TEST(what_cannot_be_merged_with_a_key_change_is_written_first),
		TEST(a_key_change_after_rows_of_either_key_is_written_later),
		TEST(composite_keys_are_not_run_together),
		TEST(reset_leaves_nothing),
		TEST(a_part_goes_and_the_rest_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
