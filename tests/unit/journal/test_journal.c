/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_journal.c - order, bounds, rewinding, restarts and preludes of the journal.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "walmill/journal.h"

#define BOUND (4U << 20)

static int
setup(void **state)
{
	struct wm_journal *j;

	if (wm_journal_open(&(struct wm_journal_options){ .memory = BOUND }, &j, NULL) != WM_OK)
		return -1;
	*state = j;
	return 0;
}

static int
teardown(void **state)
{
	wm_journal_close(*state);
	return 0;
}

static void
append(struct wm_journal *j, const void *data, size_t len)
{
	assert_int_equal(wm_journal_append(j, WM_RECORD_MESSAGE, 1, data, len, NULL), WM_OK);
}

static void
append_text(struct wm_journal *j, const char *text)
{
	append(j, text, strlen(text));
	wm_journal_publish(j);
}

/* 'R', OID, and a letter that tells versions apart. */
static void
append_relation(struct wm_journal *j, uint8_t oid, char version)
{
	const char msg[] = { 'R', 0, 0, 0, (char)oid, version };

	append(j, msg, sizeof(msg));
	wm_journal_publish(j);
}

static void
append_commit(struct wm_journal *j, uint8_t end)
{
	const char msg[26] = { 'C', [17] = (char)end };

	append(j, msg, sizeof(msg));
	wm_journal_publish(j);
}

static struct wm_journal_reader *
open_reader(struct wm_journal *j, wm_lsn committed)
{
	struct wm_journal_reader *r;

	assert_int_equal(wm_journal_reader_open(j, committed, &r, NULL), WM_OK);
	return r;
}

static bool
read_one(struct wm_journal_reader *r, struct wm_record *ret)
{
	bool found = false;

	assert_int_equal(wm_journal_read(r, ret, &found, NULL), WM_OK);
	return found;
}

static void
expect_text(struct wm_journal_reader *r, const char *text)
{
	struct wm_record rec;

	assert_true(read_one(r, &rec));
	assert_int_equal(rec.kind, WM_RECORD_MESSAGE);
	assert_int_equal(rec.len, strlen(text));
	assert_memory_equal(rec.data, text, rec.len);
}

static void
expect_relation(struct wm_journal_reader *r, uint8_t oid, char version)
{
	struct wm_record rec;

	assert_true(read_one(r, &rec));
	assert_int_equal(rec.len, 6);
	assert_int_equal(((const uint8_t *)rec.data)[4], oid);
	assert_int_equal(((const char *)rec.data)[5], version);
}

static void
expect_reset(struct wm_journal_reader *r, bool restarted)
{
	struct wm_record rec;

	assert_true(read_one(r, &rec));
	assert_int_equal(rec.kind, WM_RECORD_RESET);
	assert_int_equal(rec.restarted, restarted);
}

static void
expect_end(struct wm_journal_reader *r)
{
	struct wm_record rec;

	assert_false(read_one(r, &rec));
}

static void
records_come_in_order_after_publish(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *r = open_reader(j, 0);

	expect_reset(r, false);
	append(j, "one", 3);
	expect_end(r);
	wm_journal_publish(j);
	append_text(j, "two");
	expect_text(r, "one");
	expect_text(r, "two");
	expect_end(r);
	wm_journal_reader_close(r);
}

/* Fills segments until the bound; returns how many records fitted. */
static unsigned
fill(struct wm_journal *j, size_t size)
{
	char *data = calloc(1, size);
	enum wm_status st;
	unsigned n = 0;

	assert_non_null(data);
	data[0] = 'I';
	while ((st = wm_journal_append(j, WM_RECORD_MESSAGE, 1, data, size, NULL)) == WM_OK)
		n++;
	wm_journal_publish(j);
	free(data);
	assert_int_equal(st, WM_RETRY);
	return n;
}

static void
full_at_the_bound_until_released(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *r = open_reader(j, 0);
	struct pollfd fd = { .fd = wm_journal_space_fd(j), .events = POLLIN };
	struct wm_journal_state look;
	struct wm_record rec;
	unsigned n = fill(j, 100000), got = 0;

	assert_true(n >= 30 && n <= 41);
	wm_journal_look(j, &look);
	assert_true(look.memory <= BOUND);
	assert_int_equal(poll(&fd, 1, 0), 0);
	while (read_one(r, &rec))
		got++;
	assert_int_equal(got, n + 1);
	wm_journal_release(r);
	assert_int_equal(poll(&fd, 1, 0), 1);
	assert_true(fill(j, 100000) > 0);
	/* What was released without a mark cannot be had again. */
	assert_false(wm_journal_rewind(r));
	wm_journal_reader_close(r);
}

static void
a_message_larger_than_the_bound_is_taken_alone(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *r = open_reader(j, 0);
	size_t size = BOUND * 2;
	char *data = calloc(1, size);
	struct wm_record rec;

	assert_non_null(data);
	append(j, data, size);
	wm_journal_publish(j);
	expect_reset(r, false);
	assert_true(read_one(r, &rec));
	assert_int_equal(rec.len, size);
	free(data);
	wm_journal_reader_close(r);
}

static void
the_slowest_reader_keeps_the_records(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *fast = open_reader(j, 0), *slow = open_reader(j, 0);
	struct wm_record rec;
	unsigned n = fill(j, 100000), got = 0;

	while (read_one(fast, &rec))
		wm_journal_mark(fast);
	assert_int_equal(wm_journal_append(j, WM_RECORD_MESSAGE, 1, "I", 1, NULL), WM_OK);
	assert_int_equal(fill(j, 500000), 0);
	while (read_one(slow, &rec))
		got++;
	assert_true(got >= n);
	wm_journal_reader_close(fast);
	wm_journal_reader_close(slow);
}

static void
rewind_gives_relations_in_force_and_then_the_mark(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *r = open_reader(j, 0);

	append_relation(j, 1, 'a');
	append_text(j, "before");
	append_relation(j, 2, 'a');
	expect_reset(r, false);
	expect_relation(r, 1, 'a');
	expect_text(r, "before");
	expect_relation(r, 2, 'a');
	wm_journal_mark(r);
	append_text(j, "after");
	append_relation(j, 1, 'b');
	append_text(j, "last");
	expect_text(r, "after");
	assert_true(wm_journal_rewind(r));
	expect_reset(r, false);
	expect_relation(r, 1, 'a');
	expect_relation(r, 2, 'a');
	expect_text(r, "after");
	expect_relation(r, 1, 'b');
	expect_text(r, "last");
	expect_end(r);
	wm_journal_reader_close(r);
}

/* The segment with the relation message is long gone, the relation is not. */
static void
rewind_in_a_later_segment_gives_the_prelude(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *r = open_reader(j, 0);
	struct wm_record rec;

	append_relation(j, 7, 'a');
	append_relation(j, 7, 'b');
	fill(j, 300000);
	while (read_one(r, &rec))
		;
	wm_journal_mark(r);
	append_text(j, "after");
	assert_true(wm_journal_rewind(r));
	expect_reset(r, false);
	expect_relation(r, 7, 'b');
	expect_text(r, "after");
	expect_end(r);
	wm_journal_reader_close(r);
}

static void
a_mark_taken_in_the_prelude_loses_nothing(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *r;

	append_relation(j, 1, 'a');
	append_text(j, "row");
	r = open_reader(j, 0);
	wm_journal_mark(r);
	assert_true(wm_journal_rewind(r));
	expect_reset(r, false);
	wm_journal_mark(r);
	expect_relation(r, 1, 'a');
	expect_text(r, "row");
	wm_journal_reader_close(r);
}

static void
restart_drops_what_was_not_read(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *r = open_reader(j, 0);

	append_relation(j, 1, 'a');
	append_text(j, "lost");
	expect_reset(r, false);
	assert_int_equal(wm_journal_restart(j, 77, NULL), WM_OK);
	assert_int_equal(wm_journal_complete_lsn(j), 77);
	append_text(j, "again");
	expect_reset(r, true);
	expect_text(r, "again");
	expect_end(r);
	wm_journal_mark(r);
	append_text(j, "more");
	assert_true(wm_journal_rewind(r));
	expect_reset(r, false);
	expect_text(r, "more");
	wm_journal_reader_close(r);
}

/* Reads all there is, in pieces: what was held at first stays until it is released, although more is read. */
static void
held_bytes_stay_while_the_reader_goes_on(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *r = open_reader(j, 0);
	struct wm_record first, rec;

	append_text(j, "first");
	expect_reset(r, false);
	assert_true(read_one(r, &first));
	wm_journal_hold(r);
	assert_true(fill(j, 100000) > 0);
	while (read_one(r, &rec))
		;
	assert_int_equal(fill(j, 100000), 0);
	assert_memory_equal(first.data, "first", 5);
	wm_journal_release_held(r);
	wm_journal_release(r);
	assert_true(fill(j, 100000) > 0);
	wm_journal_reader_close(r);
}

static void
a_mark_of_what_was_held_is_as_of_then(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *r = open_reader(j, 0);

	append_relation(j, 1, 'a');
	append_text(j, "held");
	append_text(j, "more");
	append_text(j, "last");
	expect_reset(r, false);
	expect_relation(r, 1, 'a');
	expect_text(r, "held");
	wm_journal_hold(r);
	expect_text(r, "more");
	wm_journal_mark_held(r);
	expect_text(r, "last");
	assert_true(wm_journal_rewind(r));
	expect_reset(r, false);
	expect_relation(r, 1, 'a');
	expect_text(r, "more");
	wm_journal_hold(r);
	expect_text(r, "last");
	wm_journal_forget_held(r);
	assert_true(wm_journal_rewind(r));
	expect_reset(r, false);
	expect_relation(r, 1, 'a');
	expect_text(r, "more");
	wm_journal_reader_close(r);
}

static void
a_restart_waits_for_what_is_held(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *r = open_reader(j, 0);
	struct wm_record held;

	append_text(j, "held");
	append_text(j, "lost");
	expect_reset(r, false);
	assert_true(read_one(r, &held));
	wm_journal_hold(r);
	assert_int_equal(wm_journal_restart(j, 77, NULL), WM_OK);
	append_text(j, "again");
	expect_end(r);
	assert_false(wm_journal_wait(r, 0));
	assert_memory_equal(held.data, "held", 4);
	wm_journal_mark_held(r);
	assert_true(wm_journal_wait(r, 0));
	expect_reset(r, true);
	expect_text(r, "again");
	expect_end(r);
	wm_journal_reader_close(r);
}

static void
complete_follows_commits_and_idle_records(void **state)
{
	struct wm_journal *j = *state;

	append_text(j, "B");
	append_text(j, "I");
	assert_int_equal(wm_journal_complete_lsn(j), 0);
	assert_int_equal(wm_journal_append(j, WM_RECORD_IDLE, 99, NULL, 0, NULL), WM_OK);
	assert_int_equal(wm_journal_complete_lsn(j), 0);
	append_commit(j, 40);
	assert_int_equal(wm_journal_complete_lsn(j), 40);
	assert_int_equal(wm_journal_append(j, WM_RECORD_IDLE, 55, NULL, 0, NULL), WM_OK);
	assert_int_equal(wm_journal_complete_lsn(j), 55);
	append_text(j, "B");
	/* The session ended: its open transaction is void. */
	assert_int_equal(wm_journal_append(j, WM_RECORD_RESET, 0, NULL, 0, NULL), WM_OK);
	assert_int_equal(wm_journal_append(j, WM_RECORD_IDLE, 60, NULL, 0, NULL), WM_OK);
	assert_int_equal(wm_journal_complete_lsn(j), 60);
}

static void
committed_is_the_slowest_readers(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *a = open_reader(j, 0), *b = open_reader(j, 10);

	assert_int_equal(wm_journal_committed_lsn(j), 0);
	wm_journal_commit(a, 30);
	assert_int_equal(wm_journal_committed_lsn(j), 10);
	wm_journal_commit(b, 20);
	wm_journal_commit(b, 5);
	assert_int_equal(wm_journal_committed_lsn(j), 20);
	wm_journal_reader_close(b);
	assert_int_equal(wm_journal_committed_lsn(j), 30);
	wm_journal_reader_close(a);
	assert_int_equal(wm_journal_committed_lsn(j), 0);
}

#define STREAM_RECORDS 200000U

static void *
write_stream(void *arg)
{
	struct wm_journal *j = arg;
	struct pollfd fd = { .fd = wm_journal_space_fd(j), .events = POLLIN };
	char msg[64] = "I";

	for (uint32_t i = 0; i < STREAM_RECORDS;) {
		memcpy(msg + 1, &i, sizeof(i));
		if (wm_journal_append(j, WM_RECORD_MESSAGE, i, msg, sizeof(msg), NULL) == WM_OK) {
			if (++i % 100 == 0)
				wm_journal_publish(j);
			continue;
		}
		wm_journal_publish(j);
		(void)poll(&fd, 1, 100);
	}
	wm_journal_publish(j);
	return NULL;
}

static void *
read_stream(void *arg)
{
	struct wm_journal_reader *r = arg;
	struct wm_record rec;
	uint32_t want = 0, got;

	while (want < STREAM_RECORDS) {
		if (!read_one(r, &rec)) {
			wm_journal_mark(r);
			wm_journal_wait(r, WM_SEC);
			continue;
		}
		if (rec.kind != WM_RECORD_MESSAGE)
			continue;
		memcpy(&got, (const char *)rec.data + 1, sizeof(got));
		if (got != want++)
			return arg;		/* out of order */
		if (want % 1000 == 0)
			wm_journal_mark(r);
	}
	return NULL;
}

/* Under the thread sanitizer this is the proof that readers need no lock. */
static void
threads_see_every_record_once(void **state)
{
	struct wm_journal *j = *state;
	struct wm_journal_reader *r[2] = { open_reader(j, 0), open_reader(j, 0) };
	pthread_t writer, readers[2];
	void *problem;

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_stream, r[i]), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_stream, j), 0);
	pthread_join(writer, NULL);
	for (int i = 0; i < 2; i++) {
		pthread_join(readers[i], &problem);
		assert_null(problem);
		wm_journal_reader_close(r[i]);
	}
}

static void
a_large_message_is_moved(void **state)
{
	const size_t size = (33U << 20) + 77, skip = 25;
	struct wm_journal *j = *state;
	struct wm_journal_reader *r = open_reader(j, 0);
	uint8_t *data = malloc(size);
	struct wm_record rec;

	assert_non_null(data);
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(1 + i % 251);
	assert_int_equal(wm_journal_move(j, WM_RECORD_MESSAGE, 1, data + skip, size - skip, NULL), WM_OK);
	for (size_t i = 0; i < skip + 8; i++)
		assert_int_equal(data[i], 1 + i % 251);
	free(data);
	wm_journal_publish(j);
	expect_reset(r, false);
	assert_true(read_one(r, &rec));
	assert_int_equal(rec.len, size - skip);
	for (size_t i = 0; i < rec.len; i++)
		if (((const uint8_t *)rec.data)[i] != 1 + (i + skip) % 251)
			fail_msg("byte %zu is another", i);
	expect_end(r);
	wm_journal_reader_close(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(records_come_in_order_after_publish),
		TEST(full_at_the_bound_until_released),
		TEST(a_message_larger_than_the_bound_is_taken_alone),
		TEST(a_large_message_is_moved),
		TEST(the_slowest_reader_keeps_the_records),
		TEST(rewind_gives_relations_in_force_and_then_the_mark),
		TEST(rewind_in_a_later_segment_gives_the_prelude),
		TEST(a_mark_taken_in_the_prelude_loses_nothing),
		TEST(restart_drops_what_was_not_read),
		TEST(held_bytes_stay_while_the_reader_goes_on),
		TEST(a_mark_of_what_was_held_is_as_of_then),
		TEST(a_restart_waits_for_what_is_held),
		TEST(complete_follows_commits_and_idle_records),
		TEST(committed_is_the_slowest_readers),
		TEST(threads_see_every_record_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
