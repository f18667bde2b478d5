/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_order.c - the order in which rows of a batch are written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "walmill/compiler.h"
#include "walmill/order.h"
#include "walmill/strutil.h"

enum { ROWS = 200 };

static struct wm_value values[ROWS][2];
static struct wm_row rows[ROWS];
static char texts[ROWS][2][40];

static int
value(const char *text)
{
	int64_t n;

	assert_true(wm_parse_i64(text, &n));
	return (int)n;
}

/* Row i has the key that key() makes of it. */
static size_t *
order_of(unsigned nkeys, size_t n, void (*key)(size_t i, char (*text)[40]))
{
	static char name[] = "v";
	unsigned keys[2] = { 0, 1 };
	struct wm_view view = { .name = name, .ncolumns = 2, .nkeys = nkeys, .keys = keys };
	struct wm_view_batch batch = { .view = &view, .nrows = n, .rows = rows };

	for (size_t i = 0; i < n; i++) {
		key(i, texts[i]);
		for (int k = 0; k < 2; k++)
			values[i][k] = (struct wm_value){ .kind = WM_VALUE_TEXT,
				.data = texts[i][k],
				.len = strlen(texts[i][k]) };
		rows[i].values = values[i];
	}
	return wm_key_order(&batch);
}

static void
number(size_t i, char (*text)[40])
{
	snprintf(text[0], sizeof(text[0]), "%d", (int)(i * 77 % ROWS) - ROWS / 2);
	text[1][0] = 0;
}

static void
rising(size_t i, char (*text)[40])
{
	snprintf(text[0], sizeof(text[0]), "%zu", i);
	text[1][0] = 0;
}

static void
word(size_t i, char (*text)[40])
{
	snprintf(text[0], sizeof(text[0]), "the same %zu", 1000 + i * 77 % ROWS);
	text[1][0] = 0;
}

static void
pair(size_t i, char (*text)[40])
{
	snprintf(text[0], sizeof(text[0]), "%zu", i % 2);
	snprintf(text[1], sizeof(text[1]), "%zu", i * 77 % ROWS);
}

static void
numbers_stand_by_value(void **unused WM_UNUSED)
{
	size_t *order = order_of(1, ROWS, number);

	assert_non_null(order);
	for (size_t i = 0; i < ROWS; i++)
		assert_int_equal(value(texts[order[i]][0]), (int)i - ROWS / 2);
	free(order);
}

static void
texts_stand_by_their_first_bytes(void **unused WM_UNUSED)
{
	size_t *order = order_of(1, ROWS, word);

	assert_non_null(order);
	for (size_t i = 0; i < ROWS; i++)
		assert_int_equal(value(texts[order[i]][0] + strlen("the same ")), 1000 + i);
	free(order);
}

static void
second_column_orders_what_the_first_does_not(void **unused WM_UNUSED)
{
	size_t *order = order_of(2, ROWS, pair);

	assert_non_null(order);
	for (size_t i = 1; i < ROWS; i++) {
		int before = value(texts[order[i - 1]][0]), after = value(texts[order[i]][0]);

		assert_true(before <= after);
		assert_true(before < after || value(texts[order[i - 1]][1]) < value(texts[order[i]][1]));
	}
	free(order);
}

static void
rows_in_order_few_rows_and_rows_without_key_stay_as_they_are(void **unused WM_UNUSED)
{
	assert_null(order_of(0, ROWS, number));
	assert_null(order_of(1, ROWS, rising));
	assert_null(order_of(1, 50, number));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_stand_by_value),
		cmocka_unit_test(texts_stand_by_their_first_bytes),
		cmocka_unit_test(second_column_orders_what_the_first_does_not),
		cmocka_unit_test(rows_in_order_few_rows_and_rows_without_key_stay_as_they_are),
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
