/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_stream.c - open transactions: what of them reaches the journal, in which order, and what is refused.
 */
#include "fixture.h"

#include <string.h>

#define START(n) "S" XID(n) "\1"
#define AGAIN(n) "S" XID(n) "\0"
#define STOP "E"
#define RELATION(n, what) "R" XID(n) "\0\0\0\1" what
#define INSERT(n, what) "I" XID(n) "\0\0\0\1" what
#define TRUNCATE(n) "T" XID(n) "\0\0\0\2" "\0" "\0\0\0\1" "\0\0\0\2"
#define ABORT(n, part) "A" XID(n) XID(part)
#define COMMIT(n) "c" XID(n) "\0" "\0\0\0\0\0\0\1\0" "\0\0\0\0\0\0\1\x50" TIME

/* What the commit gives, and that the journal ends there. */
static const char *
commit(struct fixture *f)
{
	const char *got;

	assert_true(wm_waiting_committing(f->w));
	got = fx_journal(f);
	assert_int_equal(wm_journal_complete_lsn(f->journal), 0x150);
	return got;
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
	TAKE(f, "I\0\0\0\1" "4");
	TAKE(f, "I\0\0\0\1" "5");
	assert_string_equal(fx_journal(f), "RdI4I5");
	/* One that has come since is in force, though the stream is read with its own. */
	TAKE(f, START("\x09"));
	TAKE(f, RELATION("\x09", "e"));
	TAKE(f, INSERT("\x09", "6"));
	TAKE(f, STOP);
	TAKE(f, "R\0\0\0\1" "f");
	TAKE(f, COMMIT("\x09"));
	assert_string_equal(commit(f), "RfBReI6C");
	TAKE(f, "I\0\0\0\1" "7");
	assert_string_equal(fx_journal(f), "RfI7");
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
	assert_int_equal(wm_waiting_take(f->w, 5, (const uint8_t *)"B", 1, &taken, &f->err), WM_OK);
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
	TAKE(f, "O" LSN("\1") "origin");
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
	assert_int_equal(fx_take(f, large, sizeof(large)), WM_RETRY);
	assert_non_null(strstr(f->err.text, "10000 bytes"));
	assert_int_equal(fx_take(f, large, 9000), WM_OK);
	TAKE(f, STOP);
	TAKE(f, ABORT("\x09", "\x09"));
	/* What was rolled back does not count any more. */
	TAKE(f, START("\x09"));
	assert_int_equal(fx_take(f, large, 9000), WM_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whole),
		TEST(test_rolled_back),
		TEST(test_savepoints),
		TEST(test_descriptions),
		TEST(test_two_open),
		TEST(test_refused),
		TEST(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
