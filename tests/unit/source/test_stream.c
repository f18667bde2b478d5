/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_stream.c - open transactions: what of them reaches the journal, in which order, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "source/waiting.h"
#include "walmill/buf.h"

#define MEMORY (1U << 20)
#define FOLDER "/tmp"

struct fixture {
	struct wm_waiting		*s;
	struct wm_journal		*journal;
	struct wm_journal_reader	*reader;
	struct wm_error			 err;
	struct wm_buf			 got;	/* of each message in the journal its tag, of a change also its last byte */
};

static enum wm_status
create(struct fixture *f)
{
	const struct wm_waiting_options options = { .folder = FOLDER,
		.prepared = FOLDER "/nothing_prepared",
		.identity = "",
		.max_bytes = 10000,
		.journal = f->journal };

	return wm_waiting_create(&options, &f->s, &f->err);
}

static int
setup(void **state)
{
	struct wm_journal_options options = { .memory = MEMORY };
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	*state = f;
	wm_buf_init(&f->got, 1000);
	return wm_journal_open(&options, &f->journal, &f->err) == WM_OK &&
		wm_journal_reader_open(f->journal, 0, &f->reader, &f->err) == WM_OK &&
		create(f) == WM_OK ? 0 : -1;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	wm_waiting_destroy(f->s);
	wm_journal_reader_close(f->reader);
	wm_journal_close(f->journal);
	wm_buf_free(&f->got);
	free(f);
	return 0;
}

static enum wm_status
take(struct fixture *f, const char *msg, size_t len)
{
	bool taken = false;
	enum wm_status st = wm_waiting_take(f->s, 5, (const uint8_t *)msg, len, &taken, &f->err);

	assert_true(st != WM_OK || taken);
	return st;
}

#define TAKE(f, msg) assert_int_equal(take(f, msg, sizeof(msg) - 1), WM_OK)
#define REFUSE(f, msg) assert_int_equal(take(f, msg, sizeof(msg) - 1), WM_FATAL)

#define XID(n) "\0\0\0" n
#define START(n) "S" XID(n) "\1"
#define AGAIN(n) "S" XID(n) "\0"
#define STOP "E"
#define RELATION(n, what) "R" XID(n) "\0\0\0\1" what
#define INSERT(n, what) "I" XID(n) "\0\0\0\1" what
#define TRUNCATE(n) "T" XID(n) "\0\0\0\2" "\0" "\0\0\0\1" "\0\0\0\2"
#define ABORT(n, part) "A" XID(n) XID(part)
#define COMMIT(n) "c" XID(n) "\0" "\0\0\0\0\0\0\1\0" "\0\0\0\0\0\0\1\x50" "\0\0\0\0\0\0\0\7"

/* A message outside of streams. */
static void
append(struct fixture *f, const char *msg, size_t len)
{
	bool taken = true, full = false;

	assert_int_equal(wm_waiting_take(f->s, 5, (const uint8_t *)msg, len, &taken, &f->err), WM_OK);
	assert_false(taken);
	assert_int_equal(wm_waiting_append(f->s, 5, (void *)(uintptr_t)msg, len, &full, &f->err), WM_OK);
}

/* What is in the journal since the last call. */
static const char *
journal(struct fixture *f)
{
	struct wm_record rec;
	bool found = true;

	wm_journal_publish(f->journal);
	wm_buf_reset(&f->got);
	for (;;) {
		const char *msg;

		assert_int_equal(wm_journal_read(f->reader, &rec, &found, &f->err), WM_OK);
		if (!found)
			return f->got.data;
		if (rec.kind != WM_RECORD_MESSAGE)
			continue;
		msg = rec.data;
		wm_buf_addc(&f->got, msg[0]);
		if (strchr("RI", msg[0]) != NULL)
			wm_buf_addc(&f->got, msg[rec.len - 1]);
	}
}

/* What the commit gives, and that the journal ends there. */
static const char *
commit(struct fixture *f)
{
	bool full = false;
	uint64_t changes;

	assert_true(wm_waiting_committing(f->s));
	while (wm_waiting_committing(f->s))
		assert_int_equal(wm_waiting_commit_some(f->s, &changes, &full, &f->err), WM_OK);
	assert_int_equal(wm_journal_complete_lsn(f->journal), 0x150);
	return journal(f);
}

static void
test_whole(void **state)
{
	struct fixture *f = *state;

	TAKE(f, START("\x09"));
	TAKE(f, RELATION("\x09", "r"));
	TAKE(f, INSERT("\x09", "1"));
	TAKE(f, STOP);
	TAKE(f, AGAIN("\x09"));
	TAKE(f, INSERT("\x09", "2"));
	TAKE(f, TRUNCATE("\x09"));
	TAKE(f, STOP);
	TAKE(f, COMMIT("\x09"));
	assert_string_equal(commit(f), "BRrI1I2TC");
}

static void
test_rolled_back(void **state)
{
	struct fixture *f = *state;

	TAKE(f, START("\x09"));
	TAKE(f, INSERT("\x09", "1"));
	TAKE(f, STOP);
	TAKE(f, ABORT("\x09", "\x09"));
	/* The number may come again. */
	TAKE(f, START("\x09"));
	TAKE(f, INSERT("\x09", "2"));
	TAKE(f, STOP);
	TAKE(f, COMMIT("\x09"));
	assert_string_equal(commit(f), "BI2C");
}

static void
test_savepoints(void **state)
{
	struct fixture *f = *state;

	TAKE(f, START("\x09"));
	TAKE(f, INSERT("\x09", "1"));
	TAKE(f, INSERT("\x0a", "2"));
	TAKE(f, INSERT("\x0b", "3"));
	TAKE(f, INSERT("\x0a", "4"));
	TAKE(f, STOP);
	TAKE(f, ABORT("\x09", "\x0b"));
	TAKE(f, ABORT("\x09", "\x0a"));
	TAKE(f, ABORT("\x09", "\x0c"));		/* of which nothing came */
	TAKE(f, AGAIN("\x09"));
	TAKE(f, INSERT("\x0d", "5"));
	TAKE(f, INSERT("\x09", "6"));
	TAKE(f, STOP);
	TAKE(f, COMMIT("\x09"));
	assert_string_equal(commit(f), "BI1I5I6C");
}

static void
test_descriptions(void **state)
{
	struct fixture *f = *state;

	/* One that was rolled back is needed: the server does not send it again. */
	TAKE(f, START("\x09"));
	TAKE(f, RELATION("\x0a", "a"));
	TAKE(f, INSERT("\x0a", "1"));
	TAKE(f, STOP);
	TAKE(f, ABORT("\x09", "\x0a"));
	TAKE(f, AGAIN("\x09"));
	TAKE(f, INSERT("\x09", "2"));
	TAKE(f, STOP);
	TAKE(f, COMMIT("\x09"));
	assert_string_equal(commit(f), "BRaI2C");
	/* Of a definition that was rolled back, too, nobody sees anything. */
	TAKE(f, START("\x09"));
	TAKE(f, RELATION("\x0a", "b"));
	TAKE(f, STOP);
	TAKE(f, ABORT("\x09", "\x0a"));
	TAKE(f, AGAIN("\x09"));
	TAKE(f, RELATION("\x09", "c"));
	TAKE(f, INSERT("\x09", "3"));
	TAKE(f, STOP);
	TAKE(f, COMMIT("\x09"));
	assert_string_equal(commit(f), "BRcI3C");
	/* Without a change the server still takes it for sent: it is there when something needs it. */
	TAKE(f, START("\x09"));
	TAKE(f, RELATION("\x09", "d"));
	TAKE(f, STOP);
	TAKE(f, COMMIT("\x09"));
	assert_string_equal(commit(f), "BC");
	append(f, "I\0\0\0\1" "4", 6);
	append(f, "I\0\0\0\1" "5", 6);
	assert_string_equal(journal(f), "RdI4I5");
	/* One that has come since is in force, though the stream is read with its own. */
	TAKE(f, START("\x09"));
	TAKE(f, RELATION("\x09", "e"));
	TAKE(f, INSERT("\x09", "6"));
	TAKE(f, STOP);
	append(f, "R\0\0\0\1" "f", 6);
	TAKE(f, COMMIT("\x09"));
	assert_string_equal(commit(f), "RfBReI6C");
	append(f, "I\0\0\0\1" "7", 6);
	assert_string_equal(journal(f), "RfI7");
}

static void
test_two_open(void **state)
{
	struct fixture *f = *state;
	bool taken = true;

	TAKE(f, START("\x09"));
	TAKE(f, INSERT("\x09", "1"));
	TAKE(f, STOP);
	TAKE(f, START("\x0a"));
	TAKE(f, INSERT("\x0a", "2"));
	TAKE(f, STOP);
	/* What stands between is not of a stream. */
	assert_int_equal(wm_waiting_take(f->s, 5, (const uint8_t *)"B", 1, &taken, &f->err), WM_OK);
	assert_false(taken);
	TAKE(f, COMMIT("\x0a"));
	assert_string_equal(commit(f), "BI2C");
	TAKE(f, COMMIT("\x09"));
	assert_string_equal(commit(f), "BI1C");
}

static void
test_refused(void **state)
{
	struct fixture *f = *state;

	REFUSE(f, STOP);
	REFUSE(f, COMMIT("\x09"));
	REFUSE(f, ABORT("\x09", "\x09"));
	REFUSE(f, AGAIN("\x09"));
	REFUSE(f, "S" XID("\x09"));
	TAKE(f, START("\x09"));
	REFUSE(f, START("\x0a"));
	REFUSE(f, COMMIT("\x09"));
	REFUSE(f, "X" XID("\x09"));
	REFUSE(f, "I\0");
	TAKE(f, "O" "\0\0\0\0\0\0\0\1" "origin");
	TAKE(f, STOP);
	REFUSE(f, START("\x09"));
	REFUSE(f, "c" XID("\x09"));
}

static void
test_bound(void **state)
{
	static char large[20000] = "I" XID("\x09");
	struct fixture *f = *state;

	TAKE(f, START("\x09"));
	assert_int_equal(take(f, large, sizeof(large)), WM_RETRY);
	assert_non_null(strstr(f->err.text, "10000 bytes"));
	assert_int_equal(take(f, large, 9000), WM_OK);
	TAKE(f, STOP);
	TAKE(f, ABORT("\x09", "\x09"));
	/* What was rolled back does not count any more. */
	TAKE(f, START("\x09"));
	assert_int_equal(take(f, large, 9000), WM_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rolled_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_savepoints, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
