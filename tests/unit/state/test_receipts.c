/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_receipts.c - the receipts file: what is stored, answered, taken back, recovered and found by key.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walmill/compiler.h"
#include "walmill/receipts.h"

struct fixture {
	char			 folder[32];
	struct wm_receipts	*r;
	struct wm_error		 err;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->folder, sizeof(f->folder), "/tmp/wm-receipts-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(wm_receipts_open(f->folder, 3600 * WM_SEC, 1 << 20, &f->r, &f->err), WM_OK);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	DIR *dir = opendir(f->folder);
	struct dirent *entry;
	char path[400];

	wm_receipts_close(f->r);
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", f->folder, entry->d_name);
			unlink(path);
		}
	if (dir != NULL)
		closedir(dir);
	rmdir(f->folder);
	free(f);
	return 0;
}

static void
add(struct fixture *f, int64_t writer, const char *answer, const char *origin, wm_lsn lsn, uint64_t key)
{
	const uint64_t keys[] = { 1, key };
	const struct wm_receipt receipt = { .source = "shop",
		.target = "w",
		.rule = "r",
		.origin = origin,
		.first_lsn = lsn,
		.last_lsn = lsn,
		.rows = 2,
		.refused = 1,
		.checksum = UINT64_MAX,
		.nkeys = 2,
		.keys = keys };

	assert_int_equal(wm_receipts_add(f->r, writer, answer, &receipt, 1, &f->err), WM_OK);
}

struct seen {
	int		n;
	wm_lsn		lsn[8];
	char		answer[8][16];
};

static void
note(void *arg, const struct wm_receipt *receipt)
{
	struct seen *seen = arg;

	assert_int_equal(receipt->rows, 2);
	assert_int_equal(receipt->refused, 1);
	assert_true(receipt->checksum == UINT64_MAX);
	assert_string_equal(receipt->rule, "r");
	seen->lsn[seen->n] = receipt->last_lsn;
	snprintf(seen->answer[seen->n++], sizeof(seen->answer[0]), "%s", receipt->answer);
}

static struct seen
look(struct fixture *f, const struct wm_receipt_filter *filter, bool expect_end)
{
	struct seen seen = { 0 };
	bool end = !expect_end;

	assert_int_equal(wm_receipts_read(f->folder, filter, note, &seen, &end, &f->err), WM_OK);
	assert_int_equal(end, expect_end);
	return seen;
}

static struct seen
look_at_all(struct fixture *f)
{
	const struct wm_receipt_filter all = { 0 };

	return look(f, &all, true);
}

static void
the_answer_comes_with_the_next_or_alone(void **state)
{
	struct fixture *f = *state;
	struct seen seen;

	add(f, 1, NULL, "stream", 10, 7);
	add(f, 2, NULL, "stream", 11, 7);
	assert_string_equal(look_at_all(f).answer[0], "");
	add(f, 1, "committed", "stream", 20, 8);
	seen = look_at_all(f);
	assert_int_equal(seen.n, 3);
	assert_string_equal(seen.answer[0], "committed");
	assert_string_equal(seen.answer[1], "");
	assert_string_equal(seen.answer[2], "");
	assert_int_equal(wm_receipts_add(f->r, 1, "committed", NULL, 0, &f->err), WM_OK);
	assert_string_equal(look_at_all(f).answer[2], "committed");
	/* A transaction that was undone has no receipt. */
	assert_int_equal(wm_receipts_forget(f->r, 1, &f->err), WM_OK);
	assert_int_equal(wm_receipts_forget(f->r, 2, &f->err), WM_OK);
	seen = look_at_all(f);
	assert_int_equal(seen.n, 2);
	assert_true(seen.lsn[0] == 10 && seen.lsn[1] == 20);
}

static void
found_by_key_rule_and_page(void **state)
{
	struct fixture *f = *state;
	struct wm_receipt_filter filter = { .by_key = true, .key = 8 };
	struct seen seen;

	for (uint64_t i = 1; i <= 5; i++)
		add(f, 1, NULL, "stream", i * 10, 6 + i % 3);
	seen = look(f, &filter, true);
	assert_int_equal(seen.n, 2);
	assert_true(seen.lsn[0] == 20 && seen.lsn[1] == 50);
	filter = (struct wm_receipt_filter){ .rule = "r", .after = 1, .limit = 2 };
	seen = look(f, &filter, false);
	assert_true(seen.n == 2 && seen.lsn[0] == 20);
	filter.rule = "another";
	assert_int_equal(look(f, &filter, true).n, 0);
}

static void
a_crash_is_settled_by_the_checkpoint(void **state)
{
	struct fixture *f = *state;
	struct seen seen;

	add(f, 1, NULL, "stream", 10, 1);
	add(f, 1, NULL, "stream", 20, 1);
	add(f, 1, NULL, "stream", 30, 1);
	add(f, 1, NULL, "seed", 0, 1);
	assert_int_equal(wm_receipts_recover(f->r, "shop", "other", 0, 0, &f->err), WM_OK);
	assert_int_equal(look_at_all(f).n, 4);
	assert_int_equal(wm_receipts_recover(f->r, "shop", "w", 10, 20, &f->err), WM_OK);
	seen = look_at_all(f);
	assert_int_equal(seen.n, 3);
	assert_string_equal(seen.answer[0], "committed");
	assert_string_equal(seen.answer[1], "not known");
	assert_string_equal(seen.answer[2], "not known");
}

static void
the_file_stays_within_its_bounds(void **state)
{
	struct fixture *f = *state;
	struct seen seen = { 0 };
	uint64_t *keys = calloc(8192, sizeof(*keys));
	const struct wm_receipt receipt = { .source = "shop", .target = "w", .rule = "r", .origin = "stream", .rows = 2,
		.refused = 1, .checksum = UINT64_MAX, .nkeys = 8192, .keys = keys };
	const struct wm_receipt_filter one = { .limit = 1 };
	char path[64];
	struct stat st;

	assert_non_null(keys);
	/* 64 KiB each: more than ten times the bound. */
	for (int i = 0; i < 200; i++)
		assert_int_equal(wm_receipts_add(f->r, 1, "committed", &receipt, 1, &f->err), WM_OK);
	free(keys);
	snprintf(path, sizeof(path), "%s/receipts.db", f->folder);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < 3 << 20);
	assert_int_equal(st.st_mode & 0777, 0600);
	seen = look(f, &one, false);
	assert_int_equal(seen.n, 1);
	/* Old ones go, too, when others come. */
	wm_receipts_close(f->r);
	assert_int_equal(wm_receipts_open(f->folder, 1, 1 << 20, &f->r, &f->err), WM_OK);
	for (int i = 0; i < 256; i++)
		add(f, 1, "committed", "stream", 5, 5);
	assert_true(look(f, &one, true).n <= 1);
}

static void
no_file_is_said(void **state)
{
	struct fixture *f = *state;
	const struct wm_receipt_filter all = { 0 };
	struct seen seen = { 0 };
	bool end;

	assert_int_equal(wm_receipts_read("/tmp/there-is-no-such", &all, note, &seen, &end, &f->err), WM_REJECT);
	assert_non_null(strstr(f->err.text, "are they on"));
	assert_int_equal(wm_receipts_open("/tmp/there-is-no-such", 1, 1, &f->r, &f->err), WM_FATAL);
}

static void
keys_that_differ_a_little_do_not_fall_together(void **unused WM_UNUSED)
{
	assert_true(wm_receipt_key("id", "5", 1) + wm_receipt_key("part", "b", 1) !=
	    wm_receipt_key("id", "6", 1) + wm_receipt_key("part", "a", 1));
	assert_true(wm_receipt_key("a", "b", 1) != wm_receipt_key("ab", "", 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_answer_comes_with_the_next_or_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(found_by_key_rule_and_page, setup, teardown),
		cmocka_unit_test_setup_teardown(a_crash_is_settled_by_the_checkpoint, setup, teardown),
		cmocka_unit_test_setup_teardown(the_file_stays_within_its_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(no_file_is_said, setup, teardown),
		cmocka_unit_test(keys_that_differ_a_little_do_not_fall_together),
	};

	return cmocka_run_group_tests_name("receipts", tests, NULL, NULL);
}
