/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_state.c - the state file: records survive a crash, a second opener is kept out, dead letters page.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fts.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "walmill/state.h"
#include "walmill/strutil.h"

struct fixture {
	char			 base[64], folder[96], file[128];
	struct wm_state		*state;
	struct wm_error		 err;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->base, sizeof(f->base), "/tmp/walmill-test-state.XXXXXX");
	assert_non_null(mkdtemp(f->base));
	snprintf(f->folder, sizeof(f->folder), "%s/var/state", f->base);
	snprintf(f->file, sizeof(f->file), "%s/walmill.db", f->folder);
	assert_int_equal(wm_state_open(f->folder, &f->state, &f->err), WM_OK);
	*state = f;
	return 0;
}

static void
remove_tree(char *path)
{
	char *paths[] = { path, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

	assert_non_null(fts);
	for (FTSENT *e; (e = fts_read(fts)) != NULL;)
		if (e->fts_info != FTS_D)
			remove(e->fts_accpath);
	fts_close(fts);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	wm_state_close(f->state);
	remove_tree(f->base);
	free(f);
	return 0;
}

static void
reopen(struct fixture *f)
{
	wm_state_close(f->state);
	f->state = NULL;
	assert_int_equal(wm_state_open(f->folder, &f->state, &f->err), WM_OK);
}

static const struct wm_source_record shop = {
	.system_id = "7301234567890123456", .timeline = 3, .slot = "walmill_shop", .publication = "walmill_pub",
	.slot_made = true, .consistent_lsn = 0x16B374D848, .acked_lsn = 0xFFFFFFFF00000001,
};

static void
assert_shop(struct fixture *f, wm_lsn acked)
{
	struct wm_source_record rec;
	bool found = false;

	assert_int_equal(wm_state_source_get(f->state, "shop", &rec, &found, &f->err), WM_OK);
	assert_true(found);
	assert_string_equal(rec.system_id, shop.system_id);
	assert_int_equal(rec.timeline, 3);
	assert_string_equal(rec.slot, "walmill_shop");
	assert_string_equal(rec.publication, "walmill_pub");
	assert_true(rec.slot_made);
	assert_true(rec.consistent_lsn == shop.consistent_lsn);
	assert_true(rec.acked_lsn == acked);
}

static void
folder_and_file_are_private(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(f->folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void
source_record_comes_back_whole(void **state)
{
	struct fixture *f = *state;
	struct wm_source_record rec;
	bool found = true;

	assert_int_equal(wm_state_source_get(f->state, "shop", &rec, &found, &f->err), WM_OK);
	assert_false(found);
	assert_int_equal(wm_state_source_put(f->state, "shop", &shop, &f->err), WM_OK);
	reopen(f);
	assert_shop(f, 0xFFFFFFFF00000001);
	assert_int_equal(wm_state_progress(f->state, "shop", 77, NULL, 0, &f->err), WM_OK);
	reopen(f);
	assert_shop(f, 77);
}

static void
a_source_begins_again_and_remembers_that(void **state)
{
	static const uint32_t oid = 7;
	struct fixture *f = *state;
	struct wm_source_record rec = shop;
	struct wm_reached reached;
	WM_AUTO(wm_freep) uint32_t *oids = NULL;
	size_t n = 9;
	bool found = true;

	assert_int_equal(wm_state_source_put(f->state, "shop", &shop, &f->err), WM_OK);
	assert_int_equal(wm_state_reached_put(f->state, "shop", &(struct wm_reached){ "w", 5, 7 }, &f->err), WM_OK);
	assert_int_equal(wm_state_gaps_add(f->state, "shop", &oid, 1, &f->err), WM_OK);
	rec.slot_made = false;
	rec.reseeding = true;
	assert_int_equal(wm_state_source_begin_again(f->state, "shop", &rec, &f->err), WM_OK);
	reopen(f);
	assert_int_equal(wm_state_source_get(f->state, "shop", &rec, &found, &f->err), WM_OK);
	assert_true(found && rec.reseeding && !rec.slot_made);
	assert_int_equal(wm_state_reached_get(f->state, "shop", "w", &reached, &found, &f->err), WM_OK);
	assert_false(found);
	assert_int_equal(wm_state_gaps_get(f->state, "shop", &oids, &n, &f->err), WM_OK);
	assert_int_equal(n, 0);
	assert_int_equal(wm_state_progress(f->state, "shop", 77, NULL, 0, &f->err), WM_OK);
	assert_int_equal(wm_state_source_seeded(f->state, "shop", &f->err), WM_OK);
	assert_int_equal(wm_state_source_get(f->state, "shop", &rec, &found, &f->err), WM_OK);
	assert_true(!rec.reseeding && rec.acked_lsn == 77);
}

static void
ack_of_an_unknown_source_is_an_error(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(wm_state_progress(f->state, "nobody", 1, NULL, 0, &f->err), WM_FATAL);
	assert_non_null(strstr(f->err.text, "no record of source \"nobody\""));
}

static void
collect(void *arg, const char *name, const char *value)
{
	char *text = arg;
	size_t len = strlen(text);

	snprintf(text + len, 256 - len, "%s=%s;", name, value);
}

static void
deleting_a_source_takes_its_positions_along(void **state)
{
	struct fixture *f = *state;
	const struct wm_bookmark mark = { "shop", "position", "1" }, other = { "crm", "position", "2" };
	struct wm_source_record rec;
	char text[256] = "";
	struct wm_reached reached;
	bool found = true;

	assert_int_equal(wm_state_source_put(f->state, "shop", &shop, &f->err), WM_OK);
	assert_int_equal(wm_state_reached_put(f->state, "shop", &(struct wm_reached){ "w", 5, 7 }, &f->err), WM_OK);
	assert_int_equal(wm_state_reached_put(f->state, "crm", &(struct wm_reached){ "w", 6, 8 }, &f->err), WM_OK);
	assert_int_equal(wm_state_bookmarks_store(f->state, "w", &mark, 1, &f->err), WM_OK);
	assert_int_equal(wm_state_bookmarks_store(f->state, "w", &other, 1, &f->err), WM_OK);
	assert_int_equal(wm_state_source_delete(f->state, "shop", &f->err), WM_OK);
	assert_int_equal(wm_state_source_get(f->state, "shop", &rec, &found, &f->err), WM_OK);
	assert_false(found);
	assert_int_equal(wm_state_reached_get(f->state, "shop", "w", &reached, &found, &f->err), WM_OK);
	assert_false(found);
	assert_int_equal(wm_state_reached_get(f->state, "crm", "w", &reached, &found, &f->err), WM_OK);
	assert_true(found && reached.stored == 6 && reached.passed == 8);
	assert_int_equal(wm_state_bookmarks_load(f->state, "w", "shop", collect, text, &f->err), WM_OK);
	assert_string_equal(text, "");
	assert_int_equal(wm_state_bookmarks_load(f->state, "w", "crm", collect, text, &f->err), WM_OK);
	assert_string_equal(text, "position=2;");
}

static void
bookmarks_are_stored_replaced_and_removed(void **state)
{
	struct fixture *f = *state;
	const struct wm_bookmark first[] = { { "shop", "a", "{\"x\":1}" }, { "shop", "b", "2" }, { "crm", "a", "3" } };
	const struct wm_bookmark second[] = { { "shop", "a", NULL }, { "shop", "b", "4" } };
	char text[256] = "";

	assert_int_equal(wm_state_bookmarks_store(f->state, "w", first, 3, &f->err), WM_OK);
	assert_int_equal(wm_state_bookmarks_load(f->state, "w", "shop", collect, text, &f->err), WM_OK);
	assert_string_equal(text, "a={\"x\":1};b=2;");
	assert_int_equal(wm_state_bookmarks_store(f->state, "w", second, 2, &f->err), WM_OK);
	reopen(f);
	text[0] = '\0';
	assert_int_equal(wm_state_bookmarks_load(f->state, "w", "shop", collect, text, &f->err), WM_OK);
	assert_string_equal(text, "b=4;");
	text[0] = '\0';
	assert_int_equal(wm_state_bookmarks_load(f->state, "other", "shop", collect, text, &f->err), WM_OK);
	assert_string_equal(text, "");
}

static void
a_failed_store_leaves_no_bookmark_behind(void **state)
{
	struct fixture *f = *state;
	/* A NULL name cannot be stored: the second one fails. */
	const struct wm_bookmark list[] = { { "shop", "a", "1" }, { "shop", NULL, "2" } };
	char text[256] = "";

	assert_int_equal(wm_state_bookmarks_store(f->state, "w", list, 2, &f->err), WM_FATAL);
	assert_non_null(strstr(f->err.text, "could not store a bookmark"));
	assert_int_equal(wm_state_bookmarks_load(f->state, "w", "shop", collect, text, &f->err), WM_OK);
	assert_string_equal(text, "");
	assert_int_equal(wm_state_bookmarks_store(f->state, "w", list, 1, &f->err), WM_OK);
}

static void
mask_key_is_made_once(void **state)
{
	struct fixture *f = *state;
	uint8_t first[32] = { 0 }, again[32] = { 0 }, zero[32] = { 0 };

	assert_int_equal(wm_state_mask_key(f->state, first, &f->err), WM_OK);
	assert_memory_not_equal(first, zero, 32);
	reopen(f);
	assert_int_equal(wm_state_mask_key(f->state, again, &f->err), WM_OK);
	assert_memory_equal(first, again, 32);
}

static void
second_opener_is_told_who_holds_it(void **state)
{
	struct fixture *f = *state;
	struct wm_state *second = NULL;
	WM_AUTO(wm_freep) char *pid = wm_asprintf("(process %ld)", (long)getpid());

	assert_int_equal(wm_state_open(f->folder, &second, &f->err), WM_FATAL);
	assert_null(second);
	assert_non_null(strstr(f->err.text, "is in use by another walmill"));
	assert_non_null(strstr(f->err.text, pid));
}

/* The child writes and dies without closing anything. */
static void
what_was_stored_survives_kill(void **state)
{
	struct fixture *f = *state;
	pid_t pid;
	int status;

	wm_state_close(f->state);
	f->state = NULL;
	pid = fork();
	if (pid == 0) {
		struct wm_state *s;

		if (wm_state_open(f->folder, &s, NULL) == WM_OK &&
		    wm_state_source_put(s, "shop", &shop, NULL) == WM_OK &&
		    wm_state_progress(s, "shop", 4711, NULL, 0, NULL) == WM_OK)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(wm_state_open(f->folder, &f->state, &f->err), WM_OK);
	assert_shop(f, 4711);
}

static void
readonly_reads_beside_the_holder(void **state)
{
	struct fixture *f = *state;
	struct wm_state *ro = NULL;
	struct wm_source_record rec;
	bool found = false;

	assert_int_equal(wm_state_source_put(f->state, "shop", &shop, &f->err), WM_OK);
	assert_int_equal(wm_state_open_readonly(f->folder, &ro, &f->err), WM_OK);
	assert_int_equal(wm_state_source_get(ro, "shop", &rec, &found, &f->err), WM_OK);
	assert_true(found);
	assert_int_equal(wm_state_progress(ro, "shop", 1, NULL, 0, &f->err), WM_FATAL);
	wm_state_close(ro);
	assert_int_equal(wm_state_open_readonly(f->base, &ro, &f->err), WM_FATAL);
	assert_non_null(strstr(f->err.text, "could not read state file"));
}

static void
sql_on_file(const struct fixture *f, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
open_fails_with(struct fixture *f, enum wm_status status, const char *text)
{
	assert_int_equal(wm_state_open(f->folder, &f->state, &f->err), status);
	assert_null(f->state);
	if (strstr(f->err.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", f->err.text, text);
}

static void
other_files_are_refused(void **state)
{
	struct fixture *f = *state;
	FILE *file;

	wm_state_close(f->state);
	f->state = NULL;
	sql_on_file(f, "PRAGMA user_version = 99");
	open_fails_with(f, WM_FATAL, "written by a newer walmill (format 99, this one knows 4)");
	sql_on_file(f, "PRAGMA application_id = 1");
	open_fails_with(f, WM_FATAL, "is not a state file of walmill");
	file = fopen(f->file, "w");
	assert_non_null(file);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", file);
	fclose(file);
	open_fails_with(f, WM_OPERATOR, "the file is damaged");
}

static void
gaps_are_kept_until_they_are_cleared(void **state)
{
	static const uint32_t first[] = { 20, 10 }, second[] = { 10, 30 };
	struct fixture *f = *state;
	uint32_t *oids = NULL;
	size_t n = 99;

	assert_int_equal(wm_state_gaps_get(f->state, "shop", &oids, &n, &f->err), WM_OK);
	assert_int_equal(n, 0);
	free(oids);
	assert_int_equal(wm_state_gaps_add(f->state, "shop", first, 2, &f->err), WM_OK);
	assert_int_equal(wm_state_gaps_add(f->state, "shop", second, 2, &f->err), WM_OK);
	assert_int_equal(wm_state_gaps_add(f->state, "other", first, 1, &f->err), WM_OK);
	assert_int_equal(wm_state_gaps_get(f->state, "shop", &oids, &n, &f->err), WM_OK);
	assert_int_equal(n, 3);
	assert_int_equal(oids[0], 10);
	assert_int_equal(oids[1], 20);
	assert_int_equal(oids[2], 30);
	free(oids);
	assert_int_equal(wm_state_gaps_clear(f->state, "shop", &f->err), WM_OK);
	assert_int_equal(wm_state_gaps_get(f->state, "shop", &oids, &n, &f->err), WM_OK);
	assert_int_equal(n, 0);
	free(oids);
	assert_int_equal(wm_state_gaps_get(f->state, "other", &oids, &n, &f->err), WM_OK);
	assert_int_equal(n, 1);
	free(oids);
}

static void
progress_is_stored_together_and_of_listed_targets(void **state)
{
	struct fixture *f = *state;
	const struct wm_reached list[] = { { "w", 10, 12 }, { "v", 20, 22 } };
	const char *const keep[] = { "v", "x" };
	struct wm_source_record rec;
	struct wm_reached reached;
	bool found = false;

	assert_int_equal(wm_state_source_put(f->state, "shop", &shop, &f->err), WM_OK);
	assert_int_equal(wm_state_progress(f->state, "shop", 30, list, 2, &f->err), WM_OK);
	assert_int_equal(wm_state_source_get(f->state, "shop", &rec, &found, &f->err), WM_OK);
	assert_true(found && rec.acked_lsn == 30);
	assert_int_equal(wm_state_reached_get(f->state, "shop", "v", &reached, &found, &f->err), WM_OK);
	assert_true(found && reached.stored == 20 && reached.passed == 22);
	/* A source that is not known takes its targets with it. */
	assert_int_equal(wm_state_progress(f->state, "nobody", 1, list, 2, &f->err), WM_FATAL);
	assert_int_equal(wm_state_reached_get(f->state, "nobody", "w", &reached, &found, &f->err), WM_OK);
	assert_false(found);
	assert_int_equal(wm_state_reached_keep(f->state, "shop", keep, 2, &f->err), WM_OK);
	assert_int_equal(wm_state_reached_get(f->state, "shop", "w", &reached, &found, &f->err), WM_OK);
	assert_false(found);
	assert_int_equal(wm_state_reached_get(f->state, "shop", "v", &reached, &found, &f->err), WM_OK);
	assert_true(found);
}

struct letters {
	int			 n;
	int64_t			 ids[16];
	struct wm_dead_letter	 last;	/* its texts only while the callback runs */
	char			 text[256];
};

static void
note(void *arg, const struct wm_dead_letter *l)
{
	struct letters *seen = arg;

	seen->ids[seen->n++] = l->id;
	seen->last = *l;
	snprintf(seen->text, sizeof(seen->text), "%s/%s/%s/%s/%s/%s/%s/%s/%s/%s/%s", l->source, l->target, l->rule,
	    l->table, l->view, l->op, l->key, l->row == NULL ? "(null)" : l->row, l->class, l->code, l->message);
}

static void
an_older_file_is_brought_up_to_date(void **state)
{
	static const uint32_t oid = 7;
	struct fixture *f = *state;
	struct wm_state *reader = NULL;
	struct letters seen = { 0 };

	wm_state_close(f->state);
	f->state = NULL;
	sql_on_file(f, "DROP TABLE gap; DROP TABLE letter; ALTER TABLE reached DROP COLUMN passed;"
	    "ALTER TABLE source DROP COLUMN reseeding;"
	    "CREATE TABLE dead_letter ("
	    " id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, target TEXT NOT NULL,"
	    " rule TEXT NOT NULL, table_name TEXT NOT NULL, view TEXT NOT NULL,"
	    " commit_lsn INTEGER NOT NULL, change INTEGER NOT NULL, op TEXT NOT NULL,"
	    " key TEXT NOT NULL, row TEXT, class TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,"
	    " first_time INTEGER NOT NULL, last_time INTEGER NOT NULL, attempts INTEGER NOT NULL,"
	    " UNIQUE (source, target, rule, commit_lsn, change, key)) STRICT;"
	    "INSERT INTO dead_letter VALUES"
	    " (4, 's', 't', 'r', 'a.b', 'b', 1, 0, 'upsert', '{\"id\":\"1\"}', '{}', 'row', '', 'old', 1, 1, 1),"
	    " (5, 's', 't', 'r', 'a.b', 'b', 2, 0, 'upsert', '{\"id\":\"1\"}', '{}', 'row', '', 'new', 1, 1, 1),"
	    " (6, 's', 't', 'r', 'a.b', 'b', 3, 0, '', '{}', '{}', 'key', '', 'x', 1, 1, 1),"
	    " (7, 's', 't', 'r', 'a.b', 'b', 4, 0, '', '{}', '{}', 'key', '', 'y', 1, 1, 1);"
	    "PRAGMA user_version = 1");
	assert_int_equal(wm_state_open_readonly(f->folder, &reader, &f->err), WM_FATAL);
	assert_non_null(strstr(f->err.text, "written by an older walmill (format 1, this one writes 4)"));
	assert_int_equal(wm_state_open(f->folder, &f->state, &f->err), WM_OK);
	assert_int_equal(wm_state_gaps_add(f->state, "shop", &oid, 1, &f->err), WM_OK);
	/* Of several letters of a row the newest is left, and none of them may be written as it is. */
	assert_int_equal(wm_state_dead_letters_between(f->state, "s", "t", note, &seen, &f->err), WM_OK);
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.ids[0], 5);
	assert_false(seen.last.replay);
}

static struct wm_dead_letter
letter(const char *rule, wm_lsn lsn, const char *class)
{
	return (struct wm_dead_letter){
		.source = "shop",
		.target = "w",
		.rule = rule,
		.table = "public.orders",
		.view = "orders",
		.commit_lsn = lsn,
		.index = 2,
		.op = "upsert",
		.origin = "stream",
		.identity = "{\"id\":7}",
		.key = "{\"id\":7}",
		.row = "{\"id\":7,\"n\":null}",
		.class = class,
		.code = "23514",
		.message = "refused",
		.first_time = 100,
		.last_time = 100,
		.attempts = 1,
	};
}

static void
dead_letter_comes_back_whole_and_counts_attempts(void **state)
{
	struct fixture *f = *state;
	struct wm_dead_letter l = letter("orders", 0xFFFFFFFFFFFFFFF0, "row");
	struct letters seen = { 0 };
	int64_t count = 0;
	bool end = false, found = true;

	assert_int_equal(wm_state_dead_letter_add(f->state, &l, &f->err), WM_OK);
	l.first_time = l.last_time = 900;
	l.message = "refused again";
	l.row = NULL;
	assert_int_equal(wm_state_dead_letter_add(f->state, &l, &f->err), WM_OK);
	assert_int_equal(wm_state_dead_letters(f->state, &(struct wm_dead_letter_filter){ 0 }, note, &seen, &end,
	    &f->err), WM_OK);
	assert_int_equal(seen.n, 1);
	assert_true(end);
	assert_string_equal(seen.text,
	    "shop/w/orders/public.orders/orders/upsert/{\"id\":7}/(null)/row/23514/refused again");
	assert_true(seen.last.commit_lsn == 0xFFFFFFFFFFFFFFF0);
	assert_int_equal(seen.last.index, 2);
	assert_int_equal(seen.last.attempts, 2);
	assert_int_equal(seen.last.first_time, 100);
	assert_int_equal(seen.last.last_time, 900);
	assert_int_equal(wm_state_dead_letter_get(f->state, seen.ids[0], note, &seen, &found, &f->err), WM_OK);
	assert_true(found);
	assert_int_equal(seen.n, 2);
	assert_int_equal(wm_state_dead_letter_get(f->state, 12345, note, &seen, &found, &f->err), WM_OK);
	assert_false(found);
	assert_int_equal(seen.n, 2);
	l.identity = l.key = "{\"id\":8}";
	assert_int_equal(wm_state_dead_letter_add(f->state, &l, &f->err), WM_OK);
	assert_int_equal(wm_state_dead_letter_count(f->state, "orders", &count, &f->err), WM_OK);
	assert_int_equal(count, 2);
}

static void
dead_letters_page_and_filter(void **state)
{
	struct fixture *f = *state;
	struct wm_dead_letter_filter filter = { .limit = 2 };
	struct letters seen = { 0 };
	int64_t count = -1;
	bool end = true;

	for (int i = 0; i < 5; i++) {
		struct wm_dead_letter l = letter(i % 2 == 0 ? "even" : "odd", 10 + (wm_lsn)i, i == 4 ? "check" : "row");
		char identity[16];

		snprintf(identity, sizeof(identity), "%d", i);
		l.identity = identity;
		assert_int_equal(wm_state_dead_letter_add(f->state, &l, &f->err), WM_OK);
	}
	assert_int_equal(wm_state_dead_letters(f->state, &filter, note, &seen, &end, &f->err), WM_OK);
	assert_int_equal(seen.n, 2);
	assert_false(end);
	filter.after = seen.ids[1];
	filter.limit = 3;
	assert_int_equal(wm_state_dead_letters(f->state, &filter, note, &seen, &end, &f->err), WM_OK);
	assert_int_equal(seen.n, 5);
	assert_true(end);
	for (int i = 1; i < 5; i++)
		assert_true(seen.ids[i] > seen.ids[i - 1]);
	filter = (struct wm_dead_letter_filter){ .rule = "even" };
	seen.n = 0;
	assert_int_equal(wm_state_dead_letters(f->state, &filter, note, &seen, &end, &f->err), WM_OK);
	assert_int_equal(seen.n, 3);
	filter.class = "check";
	seen.n = 0;
	assert_int_equal(wm_state_dead_letters(f->state, &filter, note, &seen, &end, &f->err), WM_OK);
	assert_int_equal(seen.n, 1);
	assert_int_equal(wm_state_dead_letter_count(f->state, "odd", &count, &f->err), WM_OK);
	assert_int_equal(count, 2);
	assert_int_equal(wm_state_dead_letter_count(f->state, NULL, &count, &f->err), WM_OK);
	assert_int_equal(count, 5);
}

static void
a_row_has_one_letter_of_its_last_change(void **state)
{
	struct fixture *f = *state;
	struct wm_dead_letter l = letter("orders", 0x20, "row");
	struct letters seen = { 0 };
	bool found = false;

	assert_int_equal(wm_state_dead_letter_add(f->state, &l, &f->err), WM_OK);
	/* A later change takes its place; what is older does not, whenever it comes. */
	l.commit_lsn = 0xFFFFFFFFFFFFFFF0;
	l.message = "later";
	assert_int_equal(wm_state_dead_letter_add(f->state, &l, &f->err), WM_OK);
	l.commit_lsn = 0x30;
	l.message = "older";
	assert_int_equal(wm_state_dead_letter_add(f->state, &l, &f->err), WM_OK);
	assert_int_equal(wm_state_dead_letter_find(f->state, &l, note, &seen, &found, &f->err), WM_OK);
	assert_true(found);
	assert_non_null(strstr(seen.text, "later"));
	assert_int_equal(seen.last.attempts, 1);
	/* What a seed reads is newer than what came before, and what comes afterwards is newer than that. */
	l.commit_lsn = 0;
	l.origin = "seed";
	l.message = "seeded";
	assert_int_equal(wm_state_dead_letter_add(f->state, &l, &f->err), WM_OK);
	assert_int_equal(wm_state_dead_letter_find(f->state, &l, note, &seen, &found, &f->err), WM_OK);
	assert_non_null(strstr(seen.text, "seeded"));
	l.commit_lsn = 0x10;
	l.index = 0;
	l.origin = "stream";
	l.message = "streamed";
	assert_int_equal(wm_state_dead_letter_add(f->state, &l, &f->err), WM_OK);
	assert_int_equal(wm_state_dead_letter_find(f->state, &l, note, &seen, &found, &f->err), WM_OK);
	assert_non_null(strstr(seen.text, "streamed"));
	l.view = "other";
	assert_int_equal(wm_state_dead_letter_find(f->state, &l, note, &seen, &found, &f->err), WM_OK);
	assert_false(found);
}

static void
letters_are_marked_tried_and_dropped(void **state)
{
	static const struct wm_error why = { .status = WM_REJECT, .code = "23502", .text = "still not" };
	struct fixture *f = *state;
	struct wm_dead_letter l = letter("orders", 0x20, "row");
	struct wm_letter_mark marks[] = { { .id = 1, .superseded = 0x40 }, { .id = 77 } };
	struct wm_dead_letter_filter due = { .attempts_max = 1 };
	struct letters seen = { 0 };
	int64_t dropped = 9;
	bool end;

	assert_int_equal(wm_state_dead_letter_add(f->state, &l, &f->err), WM_OK);
	assert_int_equal(wm_state_dead_letters_supersede(f->state, marks, 2, &f->err), WM_OK);
	assert_int_equal(wm_state_dead_letters(f->state, &due, note, &seen, &end, &f->err), WM_OK);
	assert_int_equal(seen.n, 1);
	assert_true(seen.last.superseded == 0x40);
	/* Refused anew, it stands. */
	assert_int_equal(wm_state_dead_letter_add(f->state, &l, &f->err), WM_OK);
	assert_int_equal(wm_state_dead_letter_tried(f->state, 1, &why, &f->err), WM_OK);
	assert_int_equal(wm_state_dead_letters(f->state, &due, note, &seen, &end, &f->err), WM_OK);
	assert_int_equal(seen.n, 1);
	due = (struct wm_dead_letter_filter){ .tried_before = wm_clock_wall() };
	assert_int_equal(wm_state_dead_letters(f->state, &due, note, &seen, &end, &f->err), WM_OK);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.last.attempts, 3);
	assert_true(seen.last.superseded == 0);
	assert_non_null(strstr(seen.text, "23502/still not"));
	assert_int_equal(wm_state_dead_letters_drop(f->state, marks, 2, &dropped, &f->err), WM_OK);
	assert_int_equal(dropped, 1);
	assert_int_equal(wm_state_dead_letter_add(f->state, &l, &f->err), WM_OK);
	assert_int_equal(wm_state_dead_letters_drop_view(f->state, "shop", "w", "orders", "other", &f->err), WM_OK);
	assert_int_equal(wm_state_dead_letter_count(f->state, NULL, &dropped, &f->err), WM_OK);
	assert_int_equal(dropped, 1);
	assert_int_equal(wm_state_dead_letters_drop_view(f->state, "shop", "w", "orders", "orders", &f->err), WM_OK);
	assert_int_equal(wm_state_dead_letter_count(f->state, NULL, &dropped, &f->err), WM_OK);
	assert_int_equal(dropped, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(folder_and_file_are_private, setup, teardown),
		cmocka_unit_test_setup_teardown(source_record_comes_back_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(a_source_begins_again_and_remembers_that, setup, teardown),
		cmocka_unit_test_setup_teardown(ack_of_an_unknown_source_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(deleting_a_source_takes_its_positions_along, setup, teardown),
		cmocka_unit_test_setup_teardown(bookmarks_are_stored_replaced_and_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_store_leaves_no_bookmark_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(mask_key_is_made_once, setup, teardown),
		cmocka_unit_test_setup_teardown(second_opener_is_told_who_holds_it, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_stored_survives_kill, setup, teardown),
		cmocka_unit_test_setup_teardown(readonly_reads_beside_the_holder, setup, teardown),
		cmocka_unit_test_setup_teardown(other_files_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(progress_is_stored_together_and_of_listed_targets, setup, teardown),
		cmocka_unit_test_setup_teardown(gaps_are_kept_until_they_are_cleared, setup, teardown),
		cmocka_unit_test_setup_teardown(an_older_file_is_brought_up_to_date, setup, teardown),
		cmocka_unit_test_setup_teardown(dead_letter_comes_back_whole_and_counts_attempts, setup, teardown),
		cmocka_unit_test_setup_teardown(dead_letters_page_and_filter, setup, teardown),
		cmocka_unit_test_setup_teardown(a_row_has_one_letter_of_its_last_change, setup, teardown),
		cmocka_unit_test_setup_teardown(letters_are_marked_tried_and_dropped, setup, teardown),
	};

	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
