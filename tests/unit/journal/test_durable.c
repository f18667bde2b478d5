/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_durable.c - the journal's files: recovery from torn and damaged ends, lagging readers, bounds.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "walmill/clock.h"
#include "walmill/journal.h"
#include "walmill/log.h"
#include "walmill/strutil.h"

#define MEMORY (1U << 20)	/* segments of 128 KiB */
#define BOUND (64U << 20)

struct fixture {
	char			 folder[64];
	struct wm_journal	*j;
	struct wm_error		 err;
	uint64_t		 next;		/* number of the next transaction; it ends at 1000 times that */
	uint64_t		 first_read;
	struct wm_journal_reader *readers[2];	/* closed at the end of a test that fails, too */
};

static void
open_journal(struct fixture *f, uint64_t bound)
{
	struct wm_journal_options o = { .memory = MEMORY, .folder = f->folder, .max_bytes = bound };

	if (wm_journal_open(&o, &f->j, &f->err) != WM_OK)
		fail_msg("%s", f->err.text);
}

static void
close_journal(struct fixture *f)
{
	for (size_t i = 0; i < 2; i++) {
		wm_journal_reader_close(f->readers[i]);
		f->readers[i] = NULL;
	}
	wm_journal_close(f->j);
	f->j = NULL;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	snprintf(f->folder, sizeof(f->folder), "/tmp/wm-journal-XXXXXX");
	if (mkdtemp(f->folder) == NULL)
		return -1;
	f->next = 1;
	*state = f;
	return 0;
}

static void
each_file(const struct fixture *f, void (*fn)(const char *path, void *arg), void *arg)
{
	DIR *dir = opendir(f->folder);
	struct dirent *e;

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.') {
			char *path = wm_asprintf("%s/%s", f->folder, e->d_name);

			fn(path, arg);
			free(path);
		}
	closedir(dir);
}

static void
delete_file(const char *path, void *arg)
{
	(void)arg;
	unlink(path);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	close_journal(f);
	each_file(f, delete_file, NULL);
	rmdir(f->folder);
	free(f);
	return 0;
}

static void
append(struct fixture *f, const void *data, size_t len)
{
	for (unsigned i = 0; wm_journal_append(f->j, WM_RECORD_MESSAGE, 1, data, len, &f->err) != WM_OK; i++) {
		struct timespec ms = { .tv_nsec = 1000000 };

		/* Until the disk has taken what is in memory. */
		assert_int_equal(f->err.status, WM_RETRY);
		assert_true(i < 20000);
		nanosleep(&ms, NULL);
	}
}

/* 'B', one row of size bytes that begins with the transaction's number, 'C'. */
static void
transaction(struct fixture *f, size_t size)
{
	char commit[26] = { 'C' };
	uint64_t end = f->next * 1000;
	char *row = calloc(1, size + 16);

	assert_non_null(row);
	append(f, "B", 1);
	row[0] = 'I';
	memcpy(row + 1, &f->next, sizeof(f->next));
	append(f, row, size + 16);
	free(row);
	for (int i = 0; i < 8; i++)
		commit[10 + i] = (char)(end >> (56 - 8 * i) & 0xff);
	append(f, commit, sizeof(commit));
	wm_journal_publish(f->j);
	f->next++;
}

static void
wait_flushed(struct fixture *f)
{
	wm_usec until = wm_clock_mono() + 20 * WM_SEC;

	while (wm_journal_flush_lsn(f->j) < wm_journal_complete_lsn(f->j)) {
		struct timespec ms = { .tv_nsec = 1000000 };

		assert_true(wm_clock_mono() < until);
		nanosleep(&ms, NULL);
	}
}

static struct wm_journal_reader *
open_reader(struct fixture *f)
{
	struct wm_journal_reader **r = &f->readers[f->readers[0] != NULL];

	assert_int_equal(wm_journal_reader_open(f->j, 0, r, &f->err), WM_OK);
	return *r;
}

/*
 * The rows that a reader gets until its end, or until last: they must follow each other without a gap from first on, 0:
 * from whichever comes first.  Returns the last one's number.
 */
static uint64_t
read_rows(struct fixture *f, struct wm_journal_reader *r, uint64_t first, uint64_t last)
{
	uint64_t expect = first;

	f->first_read = 0;
	while (expect <= last) {
		struct wm_record rec;
		uint64_t number;
		bool found = false;

		wm_journal_release(r);
		if (wm_journal_read(r, &rec, &found, &f->err) != WM_OK)
			fail_msg("%s", f->err.text);
		if (!found)
			break;
		if (rec.kind != WM_RECORD_MESSAGE || *(const char *)rec.data != 'I')
			continue;
		memcpy(&number, (const char *)rec.data + 1, sizeof(number));
		if (f->first_read == 0)
			f->first_read = number;
		if (expect == 0)
			expect = number;
		assert_int_equal(number, expect);
		expect++;
	}
	return expect == 0 ? 0 : expect - 1;
}

static uint64_t
read_all(struct fixture *f, struct wm_journal_reader *r, uint64_t first)
{
	return read_rows(f, r, first, UINT64_MAX - 1);
}

static void
what_was_written_is_there_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct wm_journal_reader *r;

	open_journal(f, BOUND);
	for (unsigned i = 0; i < 100; i++)
		transaction(f, 5000);
	close_journal(f);
	open_journal(f, BOUND);
	assert_int_equal(wm_journal_complete_lsn(f->j), 100 * 1000);
	assert_int_equal(wm_journal_flush_lsn(f->j), 100 * 1000);
	r = open_reader(f);
	assert_int_equal(read_all(f, r, 1), 100);
	for (unsigned i = 0; i < 100; i++)
		transaction(f, 5000);
	assert_int_equal(read_all(f, r, 101), 200);
}

static void
nothing_may_be_told_before_it_is_durable(void **state)
{
	struct fixture *f = *state;

	open_journal(f, BOUND);
	append(f, "B", 1);
	wm_journal_publish(f->j);
	assert_int_equal(wm_journal_flush_lsn(f->j), 0);
	transaction(f, 10);
	wait_flushed(f);
	assert_int_equal(wm_journal_flush_lsn(f->j), 1000);
}

struct copy {
	char	*bytes;
	size_t	 len;
	char	*path;
};

/* False when it is gone. */
static bool
read_file(const char *path, struct copy *ret)
{
	int fd = open(path, O_RDONLY);
	struct stat st;

	if (fd < 0)
		return false;
	assert_int_equal(fstat(fd, &st), 0);
	ret->path = strdup(path);
	ret->len = (size_t)st.st_size;
	ret->bytes = malloc(ret->len + 1);
	assert_int_equal(read(fd, ret->bytes, ret->len), ret->len);
	close(fd);
	return true;
}

static void
load_file(const char *path, void *arg)
{
	struct copy *c = arg;

	assert_null(c->bytes);		/* there is but one */
	assert_true(read_file(path, c));
}

static void
store_file(const struct copy *c, size_t len, size_t damaged)
{
	int fd = open(c->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, c->bytes, len), len);
	if (damaged < len) {
		char bad = (char)(c->bytes[damaged] ^ 0x41);

		assert_int_equal(pwrite(fd, &bad, 1, (off_t)damaged), 1);
	}
	close(fd);
}

/* Opens what is there: a prefix of what was written, and it can be gone on with. */
static uint64_t
recovered(struct fixture *f)
{
	struct wm_journal_reader *r;
	uint64_t last;

	open_journal(f, BOUND);
	r = open_reader(f);
	last = read_all(f, r, 1);
	assert_int_equal(wm_journal_complete_lsn(f->j), last * 1000);
	close_journal(f);
	return last;
}

static void
a_torn_or_damaged_tail_is_cut_at_any_byte(void **state)
{
	struct fixture *f = *state;
	struct copy c = { 0 };
	uint64_t whole = 0, before = 0;

	open_journal(f, BOUND);
	for (unsigned i = 0; i < 5; i++) {
		transaction(f, 40);
		wait_flushed(f);		/* a frame each */
	}
	close_journal(f);
	each_file(f, load_file, &c);
	for (size_t len = 0; len <= c.len; len++) {
		each_file(f, delete_file, NULL);
		store_file(&c, len, SIZE_MAX);
		whole = recovered(f);
		assert_true(whole == before || whole == before + 1);
		before = whole;
	}
	assert_int_equal(whole, 5);
	for (size_t at = 0; at < c.len; at++) {
		each_file(f, delete_file, NULL);
		store_file(&c, c.len, at);
		assert_true(recovered(f) < 5);
	}
	free(c.bytes);
	free(c.path);
}

static void
a_reader_that_lags_reads_the_files(void **state)
{
	struct fixture *f = *state;
	struct wm_journal_reader *fast, *slow;
	struct wm_journal_state look;

	open_journal(f, BOUND);
	fast = open_reader(f);
	slow = open_reader(f);
	for (unsigned i = 0; i < 4000; i++) {
		transaction(f, 5000);
		if (i % 10 == 9)
			assert_int_equal(read_all(f, fast, i - 8), i + 1);
	}
	wm_journal_look(f->j, &look);
	assert_true(look.memory <= 2 * MEMORY);
	assert_true(look.bytes > 19 * MEMORY);
	assert_int_equal(read_all(f, slow, 1), 4000);
	wm_journal_look(f->j, &look);
	assert_true(look.memory <= 2 * MEMORY);
}

static void
count_file(const char *path, void *arg)
{
	(void)path;
	++*(unsigned *)arg;
}

static unsigned
files(const struct fixture *f)
{
	unsigned n = 0;

	each_file(f, count_file, &n);
	return n;
}

static void
files_go_when_every_target_is_past(void **state)
{
	struct fixture *f = *state;
	struct wm_journal_reader *r;
	unsigned before;

	open_journal(f, BOUND);
	r = open_reader(f);
	for (unsigned i = 0; i < 400; i++)
		transaction(f, 5000);
	wait_flushed(f);
	before = files(f);
	assert_true(before > 10);
	assert_int_equal(read_all(f, r, 1), 400);
	wm_journal_commit(r, 400 * 1000);
	wm_journal_mark(r);
	assert_int_equal(files(f), before);	/* the state does not know yet */
	wm_journal_trim(f->j, 200 * 1000);
	assert_in_range(files(f), before / 2 - 1, before / 2 + 2);
	assert_in_range(wm_journal_base_lsn(f->j), 170 * 1000, 200 * 1000);
	/* Everything after that position can still be had, though segments begin in the middle of transactions. */
	assert_true(wm_journal_seek(r, 200 * 1000));
	assert_int_equal(read_all(f, r, 0), 400);
	assert_in_range(f->first_read, 170, 201);
	for (uint64_t lsn = wm_journal_base_lsn(f->j); lsn < 400 * 1000; lsn += 1000) {
		assert_true(wm_journal_seek(r, lsn));
		assert_int_equal(read_all(f, r, 0), 400);
		assert_true(f->first_read <= lsn / 1000 + 1);
	}
	assert_false(wm_journal_seek(r, wm_journal_base_lsn(f->j) - 1));
	wm_journal_trim(f->j, 400 * 1000);
	wm_journal_mark(r);
	assert_true(files(f) <= 3);
}

/* Transactions until the bound is reached; the last one is not whole. */
static void
fill(struct fixture *f)
{
	struct wm_journal_state look;
	static const char row[5000] = "I";

	do {
		enum wm_status st = wm_journal_append(f->j, WM_RECORD_MESSAGE, 1, row, sizeof(row), &f->err);

		if (st != WM_OK) {
			assert_int_equal(st, WM_RETRY);
			wait_flushed(f);
		}
		wm_journal_look(f->j, &look);
	} while (!look.full);
	wm_journal_publish(f->j);
}

static void
full_at_the_bound_and_never_dropped(void **state)
{
	struct fixture *f = *state;
	struct wm_journal_reader *r, *down;
	struct wm_journal_state look;
	static const char row[5000] = "I";

	open_journal(f, 3 * MEMORY);
	r = open_reader(f);
	down = open_reader(f);
	for (unsigned i = 0; i < 300; i++)
		transaction(f, 5000);
	assert_int_equal(read_all(f, r, 1), 300);
	wm_journal_commit(r, 300 * 1000);
	wm_journal_mark(r);
	append(f, "B", 1);
	fill(f);
	wm_journal_look(f->j, &look);
	assert_true(look.full && look.bytes <= 3 * MEMORY);
	/* What it holds is still all there for the one that was down, and then there is room again. */
	assert_int_equal(read_rows(f, down, 1, 300), 300);
	wm_journal_commit(down, 300 * 1000);
	wm_journal_mark(down);
	wm_journal_trim(f->j, 300 * 1000);
	append(f, row, sizeof(row));
	wm_journal_look(f->j, &look);
	assert_false(look.full);
}

struct sought {
	const void	*bytes;
	size_t		 len;
	bool		 found;
};

static void
look_for(const char *path, void *arg)
{
	struct sought *sought = arg;
	struct copy c = { 0 };

	if (!read_file(path, &c))
		return;
	sought->found |= memmem(c.bytes, c.len, sought->bytes, sought->len) != NULL;
	free(c.bytes);
	free(c.path);
}

static void
wait_stored(struct fixture *f, const void *bytes, size_t len)
{
	struct sought sought = { .bytes = bytes, .len = len };
	wm_usec until = wm_clock_mono() + 20 * WM_SEC;

	while (each_file(f, look_for, &sought), !sought.found) {
		struct timespec ms = { .tv_nsec = 1000000 };

		assert_true(wm_clock_mono() < until);
		nanosleep(&ms, NULL);
	}
}

/* What may be told once all files have been synced that were there: what came of one round is known in the next. */
static wm_lsn
after_sync(struct fixture *f, const void *last, size_t len)
{
	wm_lsn idle = 2500;

	wait_stored(f, last, len);
	assert_int_equal(wm_journal_append(f->j, WM_RECORD_IDLE, idle, NULL, 0, &f->err), WM_OK);
	wm_journal_publish(f->j);
	wait_stored(f, &idle, sizeof(idle));
	return wm_journal_flush_lsn(f->j);
}

static void
a_transaction_larger_than_the_journal_passes_through(void **state)
{
	struct fixture *f = *state;
	struct wm_journal_reader *r;
	struct wm_journal_state look;
	char commit[26] = { 'C' };
	static const char row[5000] = "X";
	wm_lsn told;

	open_journal(f, 3 * MEMORY);
	r = open_reader(f);
	transaction(f, 10);
	assert_int_equal(read_all(f, r, 1), 1);
	wm_journal_commit(r, 1000);
	wm_journal_mark(r);
	append(f, "B", 1);
	for (unsigned i = 0; i < 2000; i++) {
		append(f, row, sizeof(row));
		wm_journal_publish(f->j);
		assert_int_equal(read_all(f, r, 2), 1);
		wm_journal_look(f->j, &look);
		assert_true(look.bytes <= 3 * MEMORY + MEMORY / 8);
	}
	commit[16] = 0x07;
	commit[17] = (char)0xd0;
	append(f, commit, sizeof(commit));
	wm_journal_publish(f->j);
	assert_int_equal(wm_journal_complete_lsn(f->j), 2000);
	/* It is not whole here: the source must not be told before the target has it. */
	assert_false(wm_journal_rewind(r));
	assert_false(wm_journal_seek(r, 1000));
	told = after_sync(f, commit, sizeof(commit));
	assert_int_equal(told, 1000);
	close_journal(f);
	open_journal(f, 3 * MEMORY);
	assert_true(wm_journal_base_lsn(f->j) > 1000);
	r = open_reader(f);
	assert_int_equal(read_all(f, r, 0), 0);
	wm_journal_commit(r, 2500);
	f->next = 3;
	transaction(f, 10);
	wait_flushed(f);
	assert_int_equal(read_all(f, r, 3), 3);
}

static void
a_missing_file_is_not_passed_over(void **state)
{
	struct fixture *f = *state;
	struct wm_journal_options o = { .memory = MEMORY, .folder = f->folder, .max_bytes = BOUND };
	char *path;

	open_journal(f, BOUND);
	for (unsigned i = 0; i < 200; i++)
		transaction(f, 5000);
	close_journal(f);
	path = wm_asprintf("%s/%016x", f->folder, 3);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(wm_journal_open(&o, &f->j, &f->err), WM_OPERATOR);
	assert_non_null(strstr(f->err.text, "0000000000000003 is missing"));
	free(path);
	f->j = NULL;
}

static void
a_restart_leaves_nothing_of_before(void **state)
{
	struct fixture *f = *state;
	struct wm_journal_reader *r;

	open_journal(f, BOUND);
	r = open_reader(f);
	for (unsigned i = 0; i < 200; i++)
		transaction(f, 5000);
	assert_int_equal(wm_journal_restart(f->j, 7000000, &f->err), WM_OK);
	assert_int_equal(read_all(f, r, 201), 200);
	assert_int_equal(wm_journal_base_lsn(f->j), 7000000);
	f->next = 7001;
	transaction(f, 10);
	close_journal(f);
	open_journal(f, BOUND);
	r = open_reader(f);
	assert_int_equal(read_all(f, r, 7001), 7001);
	assert_int_equal(wm_journal_base_lsn(f->j), 7000000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_written_is_there_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_may_be_told_before_it_is_durable, setup, teardown),
		cmocka_unit_test_setup_teardown(a_torn_or_damaged_tail_is_cut_at_any_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reader_that_lags_reads_the_files, setup, teardown),
		cmocka_unit_test_setup_teardown(files_go_when_every_target_is_past, setup, teardown),
		cmocka_unit_test_setup_teardown(a_transaction_larger_than_the_journal_passes_through, setup, teardown),
		cmocka_unit_test_setup_teardown(full_at_the_bound_and_never_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(a_missing_file_is_not_passed_over, setup, teardown),
		cmocka_unit_test_setup_teardown(a_restart_leaves_nothing_of_before, setup, teardown),
	};

	wm_log_setup(WM_LOG_TEXT, WM_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
