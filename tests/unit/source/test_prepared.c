/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_prepared.c - prepared transactions: what of them reaches the journal and when, what outlives a session, and what
 * is refused.
 */
#include "fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As after a crash: what has no name is gone. */
static void
next_session(struct fixture *f, wm_lsn start)
{
	wm_waiting_destroy(f->w);
	f->w = NULL;
	assert_int_equal(fx_open_session(f, start), WM_OK);
}

#define BEGIN_PREPARE(n, gid) "b" LSN("\x40") LSN("\x48") TIME XID(n) gid "\0"
#define PREPARE(n, gid) "P\0" LSN("\x40") LSN("\x48") TIME XID(n) gid "\0"
#define COMMIT_PREPARED(n, gid, end) "K\0" LSN("\x50") LSN(end) TIME XID(n) gid "\0"
#define ROLLBACK_PREPARED(n, gid) "r\0" LSN("\x48") LSN("\x58") TIME TIME XID(n) gid "\0"
#define STREAM_PREPARE(n, gid) "p\0" LSN("\x40") LSN("\x48") TIME XID(n) gid "\0"
#define RELATION(what) "R\0\0\0\1" what
#define INSERT(what) "I\0\0\0\1" what
#define BEGIN "B" LSN("\x60") TIME XID("\x63")
#define COMMIT(end) "C\0" LSN("\x60") LSN(end) TIME
#define ONE(n, gid, what) \
	TAKE(f, BEGIN_PREPARE(n, gid)); \
	TAKE(f, INSERT(what)); \
	TAKE(f, PREPARE(n, gid))

/* Names in the folder, one behind the other. */
static const char *
names(struct fixture *f)
{
	DIR *dir = opendir(f->prepared);
	const struct dirent *entry;

	wm_buf_reset(&f->got);
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			wm_buf_addf(&f->got, "%s ", entry->d_name);
	if (dir != NULL)
		closedir(dir);
	return f->got.data;
}

static void
sync_all(struct fixture *f)
{
	assert_int_equal(wm_waiting_sync(f->w, &f->err), WM_OK);
	assert_false(wm_waiting_unsynced(f->w));
}

static void
test_at_once(void **state)
{
	struct fixture *f = *state;

	TAKE(f, BEGIN_PREPARE("\x09", "g"));
	assert_true(wm_waiting_inside(f->w));
	TAKE(f, RELATION("r"));
	TAKE(f, INSERT("1"));
	TAKE(f, PREPARE("\x09", "g"));
	assert_false(wm_waiting_inside(f->w));
	assert_true(wm_waiting_unsynced(f->w));
	assert_string_equal(fx_journal(f), "");
	TAKE(f, COMMIT_PREPARED("\x09", "g", "\x58"));
	assert_string_equal(fx_journal(f), "BRrI1C");
	assert_int_equal(wm_journal_complete_lsn(f->journal), 0x58);
	assert_false(wm_waiting_unsynced(f->w));
	assert_string_equal(names(f), "");
	assert_int_equal(wm_waiting_bytes(f->w), 0);
}

static void
test_survives(void **state)
{
	struct fixture *f = *state;

	TAKE(f, RELATION("r"));
	ONE("\x09", "g", "1");
	ONE("\x0a", "h", "2");
	sync_all(f);
	assert_int_equal(strlen(names(f)), 18);
	ONE("\x0b", "i", "3");
	next_session(f, 0x48);
	assert_int_equal(wm_waiting_prepared(f->w), 2);
	assert_string_equal(fx_journal(f), "Rr");
	/* It is understood alone, and one without a name is lost, as the position allows. */
	TAKE(f, COMMIT_PREPARED("\x09", "g", "\x58"));
	assert_string_equal(fx_journal(f), "BRrI1C");
	assert_int_equal(wm_waiting_prepared(f->w), 1);
	assert_non_null(strstr(names(f), "00000009.0000000000000058"));
	/* The position was not kept: once more. */
	next_session(f, 0x48);
	assert_int_equal(wm_waiting_prepared(f->w), 2);
	TAKE(f, COMMIT_PREPARED("\x09", "g", "\x58"));
	assert_string_equal(fx_journal(f), "BRrI1C");
	assert_int_equal(wm_waiting_passed(f->w, 0x57, &f->err), WM_OK);
	assert_non_null(strstr(names(f), "00000009.0000000000000058"));
	assert_int_equal(wm_waiting_passed(f->w, 0x58, &f->err), WM_OK);
	assert_string_equal(names(f), "0000000a ");
	TAKE(f, ROLLBACK_PREPARED("\x0a", "h"));
	assert_string_equal(names(f), "");
	assert_string_equal(fx_journal(f), "");
	assert_int_equal(wm_waiting_bytes(f->w), 0);
}

static void
test_passed_before(void **state)
{
	struct fixture *f = *state;

	ONE("\x09", "g", "1");
	sync_all(f);
	TAKE(f, COMMIT_PREPARED("\x09", "g", "\x58"));
	assert_string_equal(fx_journal(f), "BI1C");
	next_session(f, 0x58);
	assert_string_equal(names(f), "");
	/* It is in the journal. */
	TAKE(f, COMMIT_PREPARED("\x09", "g", "\x58"));
	assert_string_equal(fx_journal(f), "");
}

static void
test_comes_again(void **state)
{
	struct fixture *f = *state;

	ONE("\x09", "g", "1");
	sync_all(f);
	next_session(f, 0x10);
	ONE("\x09", "g", "2");
	assert_int_equal(wm_waiting_prepared(f->w), 1);
	sync_all(f);
	assert_string_equal(names(f), "00000009 ");
	next_session(f, 0x48);
	TAKE(f, COMMIT_PREPARED("\x09", "g", "\x58"));
	assert_string_equal(fx_journal(f), "BI2C");
}

static void
test_commits_sync(void **state)
{
	struct fixture *f = *state;

	ONE("\x09", "g", "1");
	TAKE(f, BEGIN);
	TAKE(f, INSERT("2"));
	assert_string_equal(names(f), "");
	TAKE(f, COMMIT("\x68"));
	assert_string_equal(names(f), "00000009 ");
	ONE("\x0a", "h", "3");
	TAKE(f, "S" XID("\x0b") "\1");
	TAKE(f, "I" XID("\x0b") "\0\0\0\1" "4");
	TAKE(f, "E");
	TAKE(f, "c" XID("\x0b") "\0" LSN("\x70") LSN("\x78") TIME);
	assert_int_equal(strlen(names(f)), 18);
	assert_string_equal(fx_journal(f), "BI2CBI4C");
}

static void
test_streamed(void **state)
{
	struct fixture *f = *state;

	TAKE(f, "S" XID("\x09") "\1");
	TAKE(f, "R" XID("\x09") "\0\0\0\1" "r");
	TAKE(f, "I" XID("\x09") "\0\0\0\1" "1");
	TAKE(f, "I" XID("\x0a") "\0\0\0\1" "2");
	TAKE(f, "E");
	TAKE(f, "A" XID("\x09") XID("\x0a"));
	TAKE(f, STREAM_PREPARE("\x09", "g"));
	sync_all(f);
	next_session(f, 0x48);
	/* Some servers do not describe again what they have described before a prepare. */
	TAKE(f, "S" XID("\x0c") "\1");
	TAKE(f, "R" XID("\x0c") "\0\0\0\1" "q");
	TAKE(f, "E");
	TAKE(f, STREAM_PREPARE("\x0c", "q"));
	TAKE(f, INSERT("0"));
	assert_string_equal(fx_journal(f), "RqI0");
	TAKE(f, ROLLBACK_PREPARED("\x0c", "q"));
	ONE("\x0d", "d", "9");
	TAKE(f, COMMIT_PREPARED("\x0d", "d", "\x50"));
	assert_string_equal(fx_journal(f), "BI9C");
	/* Some servers stream what they skip. */
	TAKE(f, "S" XID("\x09") "\1");
	TAKE(f, "I" XID("\x09") "\0\0\0\1" "1");
	TAKE(f, "E");
	TAKE(f, COMMIT_PREPARED("\x09", "g", "\x58"));
	assert_string_equal(fx_journal(f), "BRrI1C");
	assert_int_equal(wm_waiting_passed(f->w, 0x58, &f->err), WM_OK);
	assert_int_equal(wm_waiting_bytes(f->w), 0);
}

static void
test_descriptions(void **state)
{
	struct fixture *f = *state;

	/* What came within counts outside, when something needs it. */
	TAKE(f, BEGIN_PREPARE("\x09", "g"));
	TAKE(f, RELATION("a"));
	TAKE(f, INSERT("1"));
	TAKE(f, PREPARE("\x09", "g"));
	TAKE(f, BEGIN);
	TAKE(f, INSERT("2"));
	TAKE(f, INSERT("3"));
	TAKE(f, COMMIT("\x68"));
	assert_string_equal(fx_journal(f), "BRaI2I3C");
	/* A definition that is rolled back is not seen. */
	TAKE(f, BEGIN_PREPARE("\x0a", "h"));
	TAKE(f, RELATION("b"));
	TAKE(f, INSERT("4"));
	TAKE(f, PREPARE("\x0a", "h"));
	TAKE(f, RELATION("c"));
	TAKE(f, ROLLBACK_PREPARED("\x0a", "h"));
	TAKE(f, INSERT("5"));
	assert_string_equal(fx_journal(f), "RcI5");
	/* Each is read with its own, and then the server's is in force again. */
	TAKE(f, COMMIT_PREPARED("\x09", "g", "\x70"));
	assert_string_equal(fx_journal(f), "BRaI1C");
	TAKE(f, BEGIN);
	TAKE(f, INSERT("6"));
	TAKE(f, INSERT("7"));
	TAKE(f, COMMIT("\x74"));
	assert_string_equal(fx_journal(f), "BRcI6I7C");
	/* The same one is not said twice. */
	ONE("\x0b", "i", "8");
	TAKE(f, COMMIT_PREPARED("\x0b", "i", "\x78"));
	assert_string_equal(fx_journal(f), "BI8C");
}

static void
test_lost(void **state)
{
	struct fixture *f = *state;
	char path[100];

	/* Of one that changed nothing only the commit may come. */
	TAKE(f, COMMIT_PREPARED("\x09", "g", "\x58"));
	ONE("\x09", "g", "1");
	TAKE(f, COMMIT_PREPARED("\x09", "other", "\x58"));
	assert_string_equal(fx_journal(f), "");
	/* One that never came may be rolled back. */
	TAKE(f, ROLLBACK_PREPARED("\x0a", "h"));
	TAKE(f, ROLLBACK_PREPARED("\x09", "other"));
	assert_int_equal(wm_waiting_prepared(f->w), 1);
	sync_all(f);
	snprintf(path, sizeof(path), "%s/00000009", f->prepared);
	assert_int_equal(truncate(path, 500), 0);
	wm_waiting_destroy(f->w);
	f->w = NULL;
	assert_int_equal(fx_open_session(f, 0), WM_OPERATOR);
	assert_non_null(strstr(f->err.text, "is damaged"));
}

static void
test_damaged(void **state)
{
	struct fixture *f = *state;
	char path[100];
	uint64_t changes;
	bool full;
	FILE *file;

	ONE("\x09", "g", "1");
	sync_all(f);
	snprintf(path, sizeof(path), "%s/00000009", f->prepared);
	file = fopen(path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, -1, SEEK_END), 0);
	assert_int_equal(fputc('2', file), '2');
	fclose(file);
	TAKE(f, COMMIT_PREPARED("\x09", "g", "\x58"));
	assert_int_equal(wm_waiting_commit_some(f->w, &changes, &full, &f->err), WM_OPERATOR);
	assert_non_null(strstr(f->err.text, "is damaged"));
	assert_true(wm_journal_complete_lsn(f->journal) < 0x58);
}

static void
test_another_slot(void **state)
{
	struct fixture *f = *state;

	ONE("\x09", "g", "1");
	sync_all(f);
	f->identity = "another";
	next_session(f, 0);
	assert_int_equal(wm_waiting_prepared(f->w), 0);
	assert_string_equal(names(f), "");
}

static void
test_refused(void **state)
{
	static char long_gid[300] = BEGIN_PREPARE("\x09", "");
	struct fixture *f = *state;

	REFUSE(f, PREPARE("\x09", "g"));
	REFUSE(f, STREAM_PREPARE("\x09", "g"));
	REFUSE(f, "b" LSN("\x40"));
	REFUSE(f, "K\0" LSN("\x40"));
	REFUSE(f, "r\0" LSN("\x40"));
	memset(long_gid + 29, 'g', 200);
	assert_int_equal(fx_take(f, long_gid, 230), WM_FATAL);
	TAKE(f, BEGIN_PREPARE("\x09", "g"));
	REFUSE(f, BEGIN_PREPARE("\x0a", "h"));
	REFUSE(f, COMMIT_PREPARED("\x09", "g", "\x58"));
	REFUSE(f, ROLLBACK_PREPARED("\x09", "g"));
	REFUSE(f, BEGIN);
	REFUSE(f, "S" XID("\x0a") "\1");
	REFUSE(f, PREPARE("\x0a", "g"));
	REFUSE(f, PREPARE("\x09", "h"));
	TAKE(f, "O" LSN("\1") "origin");
	TAKE(f, PREPARE("\x09", "g"));
}

static void
test_bound(void **state)
{
	static char large[20000] = "I\0\0\0\1";
	struct fixture *f = *state;

	TAKE(f, BEGIN_PREPARE("\x09", "g"));
	assert_int_equal(fx_take(f, large, sizeof(large)), WM_RETRY);
	assert_non_null(strstr(f->err.text, "10000 bytes"));
	assert_int_equal(fx_take(f, large, 9000), WM_OK);
	TAKE(f, PREPARE("\x09", "g"));
	sync_all(f);
	/* It goes on to count, in the next session as well. */
	next_session(f, 0x48);
	TAKE(f, BEGIN_PREPARE("\x0a", "h"));
	assert_int_equal(fx_take(f, large, 9000), WM_RETRY);
	next_session(f, 0x48);
	TAKE(f, ROLLBACK_PREPARED("\x09", "g"));
	TAKE(f, BEGIN_PREPARE("\x0a", "h"));
	assert_int_equal(fx_take(f, large, 9000), WM_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_at_once),
		TEST(test_survives),
		TEST(test_passed_before),
		TEST(test_comes_again),
		TEST(test_commits_sync),
		TEST(test_streamed),
		TEST(test_descriptions),
		TEST(test_lost),
		TEST(test_damaged),
		TEST(test_another_slot),
		TEST(test_refused),
		TEST(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
