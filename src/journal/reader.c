/* SPDX-License-Identifier: PostgreSQL */
/*
 * reader.c - one position in the log, for one worker.
 *
 * A reader pins the segments from the oldest that it has not released to the one it stands in, so
 * that the values which point there stay.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* Makes the next reads give a reset, the relations in force at p, and then the record at p. */
static void
start_at(struct wm_journal_reader *r, struct place p)
{
	r->cur.segment = p.segment;
	r->cur.offset = 0;
	r->give_reset = true;
	r->prelude_at = 0;
	r->scan_to = p.offset;
	r->skip_tail = p.segment->mid && p.offset == 0;
}

/* Unpins all segments before upto, all with NULL; the lock is held. */
static void
unpin(struct wm_journal_reader *r, const struct segment *upto)
{
	while (r->pinned != NULL && r->pinned != upto) {
		struct segment *s = r->pinned;

		r->pinned = s == r->entered ? NULL : atomic_load(&s->next);
		segment_unpin(r->journal, s);
	}
	if (r->pinned == NULL)
		r->entered = NULL;
}

/* Stands in cur.segment: pins it, and sees to it that it is in memory. */
static enum wm_status
enter(struct wm_journal_reader *r, struct wm_error *err)
{
	struct wm_journal *j = r->journal;
	struct segment *s = r->cur.segment;
	enum wm_status st = WM_OK;

	pthread_mutex_lock(&j->lock);
	s->pins++;
	if (s->bytes == NULL)
		st = segment_load(j, s, err);
	if (st != WM_OK)
		s->pins--;
	else {
		if (r->pinned == NULL)
			r->pinned = s;
		r->entered = s;
	}
	pthread_mutex_unlock(&j->lock);
	return st;
}

enum wm_status
wm_journal_reader_open(struct wm_journal *j, wm_lsn committed, struct wm_journal_reader **ret, struct wm_error *err)
{
	struct wm_journal_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return wm_oom(err, "a journal reader");
	r->journal = j;
	atomic_init(&r->committed, committed);
	pthread_mutex_lock(&j->lock);
	r->generation = j->generation;
	r->mark = r->released = (struct place){ .segment = j->first };
	start_at(r, r->mark);
	r->next = j->readers;
	j->readers = r;
	pthread_mutex_unlock(&j->lock);
	*ret = r;
	return WM_OK;
}

void
wm_journal_reader_close(struct wm_journal_reader *r)
{
	struct wm_journal_reader **link;

	if (r == NULL)
		return;
	pthread_mutex_lock(&r->journal->lock);
	unpin(r, NULL);
	for (link = &r->journal->readers; *link != r; link = &(*link)->next)
		;
	*link = r->next;
	pthread_mutex_unlock(&r->journal->lock);
	free(r);
}

/* What a start in mid-log still owes: a reset, then the relations in force. */
static bool
read_prelude(struct wm_journal_reader *r, struct wm_record *ret)
{
	const struct segment *s = r->cur.segment;

	if (r->give_reset) {
		r->give_reset = false;
		*ret = (struct wm_record){ .kind = WM_RECORD_RESET, .restarted = r->restarted };
		r->restarted = false;
		return true;
	}
	if (r->prelude_at < s->prelude.n) {
		const struct blob *b = s->prelude.list[r->prelude_at++];

		*ret = (struct wm_record){ .kind = WM_RECORD_MESSAGE, .data = b->bytes, .len = b->len };
		return true;
	}
	r->prelude_at = SIZE_MAX;
	return false;
}

/* The reader goes on elsewhere, and says so with a reset; the lock is held. */
static void
go_to(struct wm_journal_reader *r, struct place p)
{
	unpin(r, NULL);
	start_at(r, p);
	r->released = p;
	r->restarted = true;
}

/* A newer generation: everything unread is void, the reader goes on at the restart. */
static void
follow_restart(struct wm_journal_reader *r)
{
	struct wm_journal *j = r->journal;

	pthread_mutex_lock(&j->lock);
	r->generation = j->generation;
	go_to(r, (struct place){ .segment = j->restarted });
	pthread_mutex_unlock(&j->lock);
}

/* Whether the record at the reader's position is one that a (re)start in mid-log does not give. */
static bool
passed_over(struct wm_journal_reader *r, const struct header *h)
{
	char tag = h->kind == WM_RECORD_MESSAGE && h->len > 0 ? *(const char *)(h + 1) : '\0';

	if (h->kind == WM_RECORD_RESET || tag == 'R') {
		r->skip_tail &= tag == 'R';
		return false;
	}
	if (r->cur.offset <= r->scan_to)
		return true;
	if (!r->skip_tail)
		return false;
	r->skip_tail = h->kind == WM_RECORD_MESSAGE && tag != 'B' && tag != 'C';
	return r->skip_tail || tag == 'C';
}

enum wm_status
wm_journal_read(struct wm_journal_reader *r, struct wm_record *ret, bool *ret_found, struct wm_error *err)
{
	if (r->generation != atomic_load(&r->journal->generation_now)) {
		if (r->holds) {
			*ret_found = false;
			return WM_OK;
		}
		follow_restart(r);
	}
	for (;;) {
		struct segment *s = r->cur.segment;
		/* next is read first: once it is there, what is published is all there will be. */
		struct segment *next = atomic_load_explicit(&s->next, memory_order_acquire);
		const struct header *h;

		if (r->entered != s) {
			enum wm_status st = enter(r, err);

			if (st != WM_OK)
				return st;
		}
		*ret_found = true;
		if (r->prelude_at != SIZE_MAX && read_prelude(r, ret))
			return WM_OK;
		if (r->cur.offset >= atomic_load_explicit(&s->published, memory_order_acquire)) {
			*ret_found = false;
			if (next == NULL)
				return WM_OK;
			r->cur = (struct place){ .segment = next };
			r->scan_to = 0;
			continue;
		}
		h = (const struct header *)(const void *)(s->bytes + r->cur.offset);
		r->cur.offset += sizeof(*h) + ALIGN8((size_t)h->len);
		if (passed_over(r, h))
			continue;
		*ret = (struct wm_record){ .kind = h->kind, .lsn = h->lsn, .data = h + 1, .len = h->len };
		return WM_OK;
	}
}

static bool
has_more(const struct wm_journal_reader *r)
{
	const struct segment *s = r->cur.segment;

	if (r->generation != atomic_load(&r->journal->generation_now))
		return !r->holds;
	return r->prelude_at != SIZE_MAX ||
	    r->cur.offset < atomic_load_explicit(&s->published, memory_order_acquire) ||
	    atomic_load_explicit(&s->next, memory_order_acquire) != NULL;
}

bool
wm_journal_wait(struct wm_journal_reader *r, wm_usec timeout)
{
	struct wm_journal *j = r->journal;
	wm_usec until = wm_clock_mono() + timeout;
	struct timespec ts = { .tv_sec = until / WM_SEC, .tv_nsec = until % WM_SEC * 1000 };
	bool more;

	pthread_mutex_lock(&j->lock);
	j->sleepers++;
	while (!(more = has_more(r)) && !r->woken)
		if (pthread_cond_timedwait(&j->more, &j->lock, &ts) == ETIMEDOUT)
			break;
	j->sleepers--;
	r->woken = false;
	pthread_mutex_unlock(&j->lock);
	return more;
}

void
wm_journal_wake(struct wm_journal_reader *r)
{
	pthread_mutex_lock(&r->journal->lock);
	r->woken = true;
	pthread_cond_broadcast(&r->journal->more);
	pthread_mutex_unlock(&r->journal->lock);
}

static void
release_to(struct wm_journal_reader *r, struct place p)
{
	struct wm_journal *j = r->journal;

	if (r->released.segment == p.segment)
		return;
	pthread_mutex_lock(&j->lock);
	r->released = p;
	unpin(r, p.segment);
	tell_writer(j);
	pthread_mutex_unlock(&j->lock);
}

void
wm_journal_release(struct wm_journal_reader *r)
{
	release_to(r, r->cur);
}

void
wm_journal_commit(struct wm_journal_reader *r, wm_lsn lsn)
{
	if (lsn > atomic_load(&r->committed))
		atomic_store(&r->committed, lsn);
}

wm_lsn
wm_journal_reader_committed(const struct wm_journal_reader *r)
{
	return atomic_load(&r->committed);
}

/* Where a mark now is; within a prelude or a scan it would skip what is still owed. */
static struct place
mark_of(const struct wm_journal_reader *r)
{
	struct place p = r->cur;

	if (r->prelude_at != SIZE_MAX || r->cur.offset < r->scan_to)
		p.offset = r->scan_to;
	if (r->skip_tail)
		p.offset = 0;
	return p;
}

/* Nothing before `released` is used any more, and a rewind goes to mark. */
static void
set_mark(struct wm_journal_reader *r, struct place released, struct place mark)
{
	struct wm_journal *j = r->journal;

	pthread_mutex_lock(&j->lock);
	r->released = released;
	r->mark = mark;
	r->mark_lost = false;
	unpin(r, released.segment);
	segments_trim(j, false);
	pthread_mutex_unlock(&j->lock);
}

void
wm_journal_mark(struct wm_journal_reader *r)
{
	set_mark(r, r->cur, mark_of(r));
}

void
wm_journal_hold(struct wm_journal_reader *r)
{
	r->holds = true;
	r->held = r->cur;
	r->held_mark = mark_of(r);
}

void
wm_journal_release_held(struct wm_journal_reader *r)
{
	r->holds = false;
	release_to(r, r->held);
}

void
wm_journal_mark_held(struct wm_journal_reader *r)
{
	r->holds = false;
	set_mark(r, r->held, r->held_mark);
}

void
wm_journal_forget_held(struct wm_journal_reader *r)
{
	r->holds = false;
}

bool
wm_journal_rewind(struct wm_journal_reader *r)
{
	struct wm_journal *j = r->journal;
	bool ok;

	pthread_mutex_lock(&j->lock);
	ok = !r->mark_lost;
	if (ok) {
		unpin(r, NULL);
		start_at(r, r->mark);
		r->released = r->mark;
	}
	pthread_mutex_unlock(&j->lock);
	return ok;
}

bool
wm_journal_seek(struct wm_journal_reader *r, wm_lsn lsn)
{
	struct wm_journal *j = r->journal;
	struct segment *found;

	pthread_mutex_lock(&j->lock);
	found = segment_before(j, lsn);
	if (found != NULL) {
		go_to(r, (struct place){ .segment = found });
		r->generation = j->generation;
		r->mark = r->released;
		r->mark_lost = false;
	}
	pthread_mutex_unlock(&j->lock);
	return found != NULL;
}
