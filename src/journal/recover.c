/* SPDX-License-Identifier: PostgreSQL */
/*
 * recover.c - the files that an earlier process left.
 *
 * All files but the last are whole, or the next would not have been begun: their heads are read now
 * and their records when a reader comes to them.  The last may be torn at any byte: what is whole
 * stays.  A transaction that is open there is void, because the source sends it again.
 */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "walmill/fault.h"
#include "walmill/folder.h"
#include "walmill/log.h"
#include "walmill/reader.h"

/* A transaction begins or ends with it, or neither. */
static void
track_message(const uint8_t *data, size_t len, wm_lsn *complete, bool *in_transaction)
{
	struct wm_reader r = { .p = data, .end = data + len };
	uint8_t tag = wm_reader_u8(&r);
	wm_lsn end;

	if (tag == 'B')
		*in_transaction = true;
	if (tag != 'C')
		return;
	(void)wm_reader_u8(&r);			/* flags */
	(void)wm_reader_u64(&r);		/* commit LSN */
	end = wm_reader_u64(&r);
	*in_transaction = false;
	if (!r.bad && end > *complete)
		*complete = end;
}

void
track(enum wm_record_kind kind, wm_lsn lsn, const void *data, size_t len, wm_lsn *complete, bool *in_transaction)
{
	if (kind == WM_RECORD_MESSAGE)
		track_message(data, len, complete, in_transaction);
	else if (kind == WM_RECORD_RESET)
		*in_transaction = false;
	else if (!*in_transaction && lsn > *complete)
		*complete = lsn;
}

struct numbers {
	uint64_t	*list;
	size_t		 n;
};

static void
numbers_free(struct numbers *n)
{
	free(n->list);
}

static int
compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* A file's name is its number, as 16 hexadecimal digits; others are not ours. */
static bool
number_of(const char *name, uint64_t *ret)
{
	uint64_t n = 0;

	if (strlen(name) != 16 || strspn(name, "0123456789abcdef") != 16)
		return false;
	for (; *name != '\0'; name++)
		n = n << 4 | (uint64_t)(*name <= '9' ? *name - '0' : *name - 'a' + 10);
	*ret = n;
	return true;
}

static enum wm_status
list_files(const char *folder, struct numbers *ret, struct wm_error *err)
{
	DIR *dir = opendir(folder);
	enum wm_status st = WM_OK;
	struct dirent *e;
	uint64_t number;

	if (dir == NULL)
		return wm_fail(err, WM_FATAL, "could not read journal folder \"%s\": %s", folder, strerror(errno));
	while (st == WM_OK && (e = readdir(dir)) != NULL) {
		uint64_t *list;

		if (!number_of(e->d_name, &number))
			continue;
		list = realloc(ret->list, (ret->n + 1) * sizeof(*list));
		if (list == NULL)
			st = wm_oom(err, "the journal's files");
		else {
			ret->list = list;
			list[ret->n++] = number;
		}
	}
	closedir(dir);
	if (ret->n > 0)
		qsort(ret->list, ret->n, sizeof(*ret->list), compare_numbers);
	return st;
}

static void
link_recovered(struct wm_journal *j, struct segment *s)
{
	j->kept += s->size;
	if (j->last == NULL)
		j->first = s;
	else
		atomic_store(&j->last->next, s);
	j->last = s;
}

/* Checks that head continues the chain, and makes a segment of it that is in its file only. */
static enum wm_status
add_segment(struct wm_journal *j, const struct segment_head *head, uint64_t size, struct wm_error *err)
{
	struct segment *s;

	if (j->last != NULL && head->previous != j->last->number)
		return wm_fail(err, WM_OPERATOR,
		    "journal file %016" PRIx64 " is missing in \"%s\" (%016" PRIx64
		    " comes after it); put it back, or run "
		    "`walmill teardown` and start again to seed anew",
		    head->previous, j->folder, head->number);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return wm_oom(err, "a journal segment");
	*s = (struct segment){ .number = head->number, .base = head->base, .mid = head->mid, .size = (size_t)size,
		.on_disk = true, .previous = head->previous, .previous_len = head->previous_len };
	if (j->last != NULL)
		j->last->used = head->previous_len;
	link_recovered(j, s);
	return WM_OK;
}

/* The last file: where does it really end, and where was the stream there? */
static enum wm_status
recover_end(struct wm_journal *j, wm_lsn *complete, struct wm_error *err)
{
	struct segment *s = j->last;
	struct prelude prelude = { 0 };
	uint8_t *bytes = NULL;
	size_t len = 0;
	bool in_transaction = s->mid;
	uint64_t end = 0;
	enum wm_status st = file_read(j, s->number, &prelude, &bytes, &len, &end, err);

	if (st != WM_OK)
		return st;
	if (end < s->size) {
		wm_log(WM_LOG_INFO, "journal_cut", "journal file %016" PRIx64 ": cut %" PRIu64
		    " bytes that were not written whole", s->number, (uint64_t)s->size - end);
		st = file_cut(j, s->number, end, err);
	}
	*complete = s->base;
	for (size_t at = 0; at < len;) {
		const struct header *h = (const struct header *)(const void *)(bytes + at);

		track((enum wm_record_kind)h->kind, h->lsn, h + 1, h->len, complete, &in_transaction);
		at += sizeof(*h) + ALIGN8((size_t)h->len);
	}
	s->used = s->synced = len;
	prelude_free(&prelude);
	free(bytes);
	return st;
}

static enum wm_status
take_files(struct wm_journal *j, const struct numbers *files, struct wm_error *err)
{
	for (size_t i = 0; i < files->n; i++) {
		struct segment_head head;
		uint64_t size = 0;
		enum wm_status st = file_head(j, files->list[i], &head, &size, err);

		if (st == WM_REJECT && i + 1 == files->n) {
			/* Begun, and nothing in it was durable yet. */
			wm_log(WM_LOG_INFO, "journal_cut", "journal file %016" PRIx64
			    ": deleted, it was not written whole", files->list[i]);
			st = file_delete(j, files->list[i], err);
			WM_FAULT(journal_headless_deleted);
			return st;
		}
		if (st == WM_REJECT)
			return wm_fail(err, WM_OPERATOR,
			    "journal file %016" PRIx64
			    " in \"%s\" is damaged; put it back from a backup, or run `walmill "
			    "teardown` and start again to seed anew",
			    files->list[i], j->folder);
		if (st == WM_OK)
			st = add_segment(j, &head, size, err);
		if (st != WM_OK)
			return st;
	}
	return WM_OK;
}

enum wm_status
journal_recover(struct wm_journal *j, struct wm_error *err)
{
	WM_AUTO(numbers_free) struct numbers files = { 0 };
	wm_lsn complete = 0;
	struct segment *s;
	enum wm_status st;

	st = wm_folder_make(j->folder, err);
	if (st == WM_OK)
		st = list_files(j->folder, &files, err);
	if (st == WM_OK)
		st = take_files(j, &files, err);
	if (st == WM_OK && j->last != NULL)
		st = recover_end(j, &complete, err);
	if (st != WM_OK)
		return st;
	s = segment_new(j, j->segment_bytes);
	if (s == NULL)
		return wm_oom(err, "a journal segment");
	s->number = files.n == 0 ? 1 : files.list[files.n - 1] + 1;
	s->base = complete;
	if (j->last != NULL) {
		s->previous = j->last->number;
		s->previous_len = j->last->used;
	}
	if (j->last == NULL)
		j->first = s;
	else
		atomic_store(&j->last->next, s);
	j->last = s;
	atomic_store(&j->complete, complete);
	j->sync.published = complete;
	atomic_store(&j->sync.flushed, complete);
	WM_FAULT(journal_recovered);
	return WM_OK;
}

enum wm_status
wm_journal_delete(const char *folder, struct wm_error *err)
{
	WM_AUTO(numbers_free) struct numbers files = { 0 };
	const struct wm_journal j = { .folder = (char *)(uintptr_t)folder };
	enum wm_status st;

	if (access(folder, F_OK) != 0)
		return WM_OK;
	st = list_files(folder, &files, err);
	/* The newest first: what a kill leaves is a journal that ends too early, not one with a gap. */
	for (size_t i = files.n; st == WM_OK && i > 0; i--) {
		st = file_delete(&j, files.list[i - 1], err);
		WM_FAULT(journal_delete_step);
	}
	/* Others' files may be there, too. */
	if (st == WM_OK && rmdir(folder) != 0 && errno != ENOTEMPTY && errno != EEXIST)
		st = wm_fail(err, WM_FATAL, "could not delete journal folder \"%s\": %s", folder, strerror(errno));
	WM_FAULT(journal_deleted);
	return st;
}
