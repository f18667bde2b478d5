/* SPDX-License-Identifier: PostgreSQL */
/*
 * journal.c - segments in memory, one writer, many readers.
 *
 * The writer fills the last segment without a lock; what a reader may see is the segment's
 * `published` length, stored with release order.  The next segment is linked only after the
 * last one was published whole, so a reader that finds `next` has seen all of the one before.
 * The mutex guards the chain's head, the readers' positions and sleeping.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "walmill/journal.h"
#include "walmill/reader.h"

#define SEGMENT_BYTES (1U << 20)
#define ALIGN8(n) (((n) + 7) & ~(size_t)7)

/* A relation message in force; shared by the writer's table and segments' preludes. */
struct blob {
	size_t		refs;		/* guarded by the journal's mutex */
	size_t		len;
	uint8_t		bytes[];
};

struct relation {
	uint32_t	 oid;
	struct blob	*blob;
	UT_hash_handle	 hh;
};

struct header {				/* in front of each record, 8-byte aligned */
	wm_lsn		lsn;
	uint32_t	len;
	uint32_t	kind;
};

struct segment {
	_Atomic(struct segment *) next;
	atomic_size_t	 published;	/* bytes readers may see */
	size_t		 used;		/* writer's own */
	size_t		 size;
	uint64_t	 number;
	size_t		 nprelude;	/* relations in force at the segment's start */
	struct blob	**prelude;
	uint8_t		*bytes;
};

struct wm_journal {
	pthread_mutex_t	 lock;
	pthread_cond_t	 more;
	size_t		 max;
	size_t		 kept;		/* bytes of all segments; guarded */
	struct segment	*first;		/* guarded */
	struct segment	*last;		/* written by the writer under the lock, so it reads without */
	struct segment	*restarted;	/* where readers of an older generation go; guarded */
	unsigned	 generation;	/* guarded; copies in readers */
	atomic_uint	 generation_now;
	struct relation	*relations;	/* writer's own */
	atomic_uint_fast64_t complete;
	bool		 in_transaction;	/* writer's own */
	bool		 writer_waits;	/* guarded */
	unsigned	 sleepers;	/* guarded */
	int		 space_fd;
	struct wm_journal_reader *readers;	/* guarded */
};

struct place {
	struct segment	*segment;
	size_t		 offset;
};

struct wm_journal_reader {
	struct wm_journal	*journal;
	struct wm_journal_reader *next;
	struct place		 cur;		/* next record to read; reader's own */
	struct place		 released;	/* guarded: segments before it are not used */
	struct place		 mark;		/* guarded: where a rewind goes */
	bool			 mark_lost;	/* guarded: the mark's segment is gone */
	unsigned		 generation;
	bool			 woken;		/* guarded */
	/* what a (re)start in mid-log still has to give before the record at cur */
	bool			 give_reset, restarted;
	size_t			 prelude_at;	/* next prelude entry; SIZE_MAX: none */
	size_t			 scan_to;	/* until this offset only relations and resets; 0: not scanning */
	atomic_uint_fast64_t	 committed;
};

static void
segment_free(struct segment *s)
{
	for (size_t i = 0; i < s->nprelude; i++)
		if (--s->prelude[i]->refs == 0)
			free(s->prelude[i]);
	free(s->prelude);
	free(s->bytes);
	free(s);
}

static struct segment *
segment_new(struct wm_journal *j, size_t size, uint64_t number)
{
	struct segment *s = calloc(1, sizeof(*s));
	struct relation *r;
	size_t n = HASH_COUNT(j->relations);

	if (s == NULL)
		return NULL;
	s->bytes = malloc(size);
	s->prelude = n == 0 ? NULL : malloc(n * sizeof(*s->prelude));
	if (s->bytes == NULL || (n > 0 && s->prelude == NULL)) {
		segment_free(s);
		return NULL;
	}
	s->size = size;
	s->number = number;
	for (r = j->relations; r != NULL; r = r->hh.next) {
		r->blob->refs++;
		s->prelude[s->nprelude++] = r->blob;
	}
	return s;
}

/* Frees the segments that no reader needs: up to the marks, or, if so told, up to what is released. */
static void
trim(struct wm_journal *j, bool past_marks)
{
	uint64_t keep = j->last->number;
	struct wm_journal_reader *r;

	for (r = j->readers; r != NULL; r = r->next) {
		const struct place *p = past_marks || r->mark_lost ? &r->released : &r->mark;

		if (p->segment->number < keep)
			keep = p->segment->number;
	}
	for (r = j->readers; r != NULL; r = r->next)
		if (!r->mark_lost && r->mark.segment->number < keep)
			r->mark_lost = true;
	while (j->first->number < keep) {
		struct segment *s = j->first;

		j->first = atomic_load(&s->next);
		j->kept -= s->size;
		segment_free(s);
	}
}

static void
relations_forget(struct wm_journal *j)
{
	struct relation *r, *tmp;

	HASH_ITER(hh, j->relations, r, tmp) {
		HASH_DEL(j->relations, r);
		if (--r->blob->refs == 0)
			free(r->blob);
		free(r);
	}
}

enum wm_status
wm_journal_create(size_t max_bytes, struct wm_journal **ret, struct wm_error *err)
{
	struct wm_journal *j = calloc(1, sizeof(*j));
	pthread_condattr_t attr;

	if (j == NULL)
		return wm_oom(err, "the journal");
	j->space_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	j->first = j->last = segment_new(j, SEGMENT_BYTES, 1);
	if (j->space_fd < 0 || j->first == NULL) {
		if (j->space_fd >= 0)
			close(j->space_fd);
		free(j);
		return wm_fail(err, WM_FATAL, "could not set up the journal: %s", strerror(errno));
	}
	j->max = max_bytes;
	j->kept = SEGMENT_BYTES;
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->more, &attr);
	pthread_condattr_destroy(&attr);
	*ret = j;
	return WM_OK;
}

void
wm_journal_destroy(struct wm_journal *j)
{
	if (j == NULL)
		return;
	assert(j->readers == NULL);
	while (j->first != NULL) {
		struct segment *s = j->first;

		j->first = atomic_load(&s->next);
		segment_free(s);
	}
	relations_forget(j);
	close(j->space_fd);
	pthread_cond_destroy(&j->more);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

/* Remembers a relation message for the preludes of later segments. */
static enum wm_status
remember_relation(struct wm_journal *j, const void *data, size_t len, struct wm_error *err)
{
	struct wm_reader rd = { .p = data, .end = (const uint8_t *)data + len };
	struct relation *r;
	struct blob *blob;
	uint32_t oid;

	(void)wm_reader_u8(&rd);
	oid = wm_reader_u32(&rd);
	blob = malloc(sizeof(*blob) + len);
	if (blob == NULL)
		return wm_oom(err, "a relation message");
	blob->refs = 1;
	blob->len = len;
	memcpy(blob->bytes, data, len);
	pthread_mutex_lock(&j->lock);
	HASH_FIND(hh, j->relations, &oid, sizeof(oid), r);
	if (r == NULL && (r = calloc(1, sizeof(*r))) != NULL) {
		r->oid = oid;
		HASH_ADD(hh, j->relations, oid, sizeof(oid), r);
	} else if (r != NULL && --r->blob->refs == 0)
		free(r->blob);
	if (r != NULL)
		r->blob = blob;
	pthread_mutex_unlock(&j->lock);
	if (r == NULL) {
		free(blob);
		return wm_oom(err, "a relation message");
	}
	return WM_OK;
}

/* A transaction begins or ends with it, or neither. */
static void
follow_message(struct wm_journal *j, const uint8_t *data, size_t len)
{
	struct wm_reader r = { .p = data, .end = data + len };
	uint8_t tag = wm_reader_u8(&r);
	wm_lsn end;

	if (tag == 'B')
		j->in_transaction = true;
	if (tag != 'C')
		return;
	(void)wm_reader_u8(&r);			/* flags */
	(void)wm_reader_u64(&r);		/* commit LSN */
	end = wm_reader_u64(&r);
	j->in_transaction = false;
	if (!r.bad && end > atomic_load(&j->complete))
		atomic_store(&j->complete, end);
}

/* Follows transaction boundaries, so that a new session knows where to go on. */
static void
follow(struct wm_journal *j, enum wm_record_kind kind, wm_lsn lsn, const void *data, size_t len)
{
	if (kind == WM_RECORD_MESSAGE)
		follow_message(j, data, len);
	else if (kind == WM_RECORD_RESET)
		j->in_transaction = false;
	else if (!j->in_transaction && lsn > atomic_load(&j->complete))
		atomic_store(&j->complete, lsn);
}

/* s goes behind the last segment, whose records are all shown first. */
static void
link_segment(struct wm_journal *j, struct segment *s)
{
	wm_journal_publish(j);
	pthread_mutex_lock(&j->lock);
	atomic_store_explicit(&j->last->next, s, memory_order_release);
	j->last = s;
	pthread_mutex_unlock(&j->lock);
}

/* Links a fresh segment for need bytes; WM_RETRY when the bound is reached. */
static enum wm_status
grow(struct wm_journal *j, size_t need, struct wm_error *err)
{
	size_t size = need > SEGMENT_BYTES ? need : SEGMENT_BYTES;
	struct segment *s = NULL;
	bool full;

	pthread_mutex_lock(&j->lock);
	if (j->kept + size > j->max)
		trim(j, false);
	if (j->kept + size > j->max)
		trim(j, true);
	/* An empty log takes a message of any size. */
	full = j->kept + size > j->max && j->first != j->last;
	if (full)
		j->writer_waits = true;
	else if ((s = segment_new(j, size, j->last->number + 1)) != NULL)
		j->kept += size;
	pthread_mutex_unlock(&j->lock);
	if (full)
		return wm_fail(err, WM_RETRY, "the journal holds %zu bytes, its bound", j->max);
	if (s == NULL)
		return wm_oom(err, "a journal segment");
	link_segment(j, s);
	return WM_OK;
}

enum wm_status
wm_journal_append(struct wm_journal *j, enum wm_record_kind kind, wm_lsn lsn, const void *data, size_t len,
    struct wm_error *err)
{
	size_t need = sizeof(struct header) + ALIGN8(len);
	struct header *h;

	if (len > UINT32_MAX)
		return wm_fail(err, WM_FATAL, "message of %zu bytes is longer than the protocol allows", len);
	if (j->last->size - j->last->used < need) {
		enum wm_status st = grow(j, need, err);

		if (st != WM_OK)
			return st;
	}
	if (kind == WM_RECORD_MESSAGE && len > 0 && *(const char *)data == 'R') {
		enum wm_status st = remember_relation(j, data, len, err);

		if (st != WM_OK)
			return st;
	} else if (kind == WM_RECORD_RESET) {
		pthread_mutex_lock(&j->lock);
		relations_forget(j);
		pthread_mutex_unlock(&j->lock);
	}
	h = (struct header *)(void *)(j->last->bytes + j->last->used);
	h->lsn = lsn;
	h->len = (uint32_t)len;
	h->kind = kind;
	if (len > 0)
		memcpy(h + 1, data, len);
	j->last->used += need;
	follow(j, kind, lsn, data, len);
	return WM_OK;
}

void
wm_journal_publish(struct wm_journal *j)
{
	if (atomic_load_explicit(&j->last->published, memory_order_relaxed) == j->last->used)
		return;
	atomic_store_explicit(&j->last->published, j->last->used, memory_order_release);
	pthread_mutex_lock(&j->lock);
	if (j->sleepers > 0)
		pthread_cond_broadcast(&j->more);
	pthread_mutex_unlock(&j->lock);
}

int
wm_journal_space_fd(const struct wm_journal *j)
{
	return j->space_fd;
}

wm_lsn
wm_journal_complete_lsn(const struct wm_journal *j)
{
	return atomic_load(&j->complete);
}

enum wm_status
wm_journal_restart(struct wm_journal *j, wm_lsn lsn, struct wm_error *err)
{
	struct segment *s;

	pthread_mutex_lock(&j->lock);
	relations_forget(j);
	s = segment_new(j, SEGMENT_BYTES, j->last->number + 1);
	pthread_mutex_unlock(&j->lock);
	if (s == NULL)
		return wm_oom(err, "a journal segment");
	link_segment(j, s);
	j->in_transaction = false;
	atomic_store(&j->complete, lsn);
	pthread_mutex_lock(&j->lock);
	j->kept += s->size;
	j->restarted = s;
	j->generation++;
	atomic_store(&j->generation_now, j->generation);
	pthread_cond_broadcast(&j->more);
	pthread_mutex_unlock(&j->lock);
	return WM_OK;
}

wm_lsn
wm_journal_committed_lsn(const struct wm_journal *j)
{
	struct wm_journal *w = (struct wm_journal *)(uintptr_t)j;	/* for its mutex */
	const struct wm_journal_reader *r;
	wm_lsn lsn = 0;

	pthread_mutex_lock(&w->lock);
	for (r = j->readers; r != NULL; r = r->next) {
		wm_lsn at = atomic_load(&r->committed);

		if (r == j->readers || at < lsn)
			lsn = at;
	}
	pthread_mutex_unlock(&w->lock);
	return lsn;
}

size_t
wm_journal_bytes(const struct wm_journal *j)
{
	struct wm_journal *w = (struct wm_journal *)(uintptr_t)j;	/* for its mutex */
	size_t n;

	pthread_mutex_lock(&w->lock);
	n = j->kept;
	pthread_mutex_unlock(&w->lock);
	return n;
}

/* ---- readers ---- */

/* Makes the next reads give a reset, the relations in force at p, and then the record at p. */
static void
start_at(struct wm_journal_reader *r, struct place p)
{
	r->cur.segment = p.segment;
	r->cur.offset = 0;
	r->give_reset = true;
	r->prelude_at = 0;
	r->scan_to = p.offset;
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
	if (r->prelude_at < s->nprelude) {
		const struct blob *b = s->prelude[r->prelude_at++];

		*ret = (struct wm_record){ .kind = WM_RECORD_MESSAGE, .data = b->bytes, .len = b->len };
		return true;
	}
	r->prelude_at = SIZE_MAX;
	return false;
}

/* A newer generation: everything unread is void, the reader goes on at the restart. */
static void
follow_restart(struct wm_journal_reader *r)
{
	struct wm_journal *j = r->journal;

	pthread_mutex_lock(&j->lock);
	r->generation = j->generation;
	start_at(r, (struct place){ .segment = j->restarted });
	r->restarted = true;
	pthread_mutex_unlock(&j->lock);
}

bool
wm_journal_read(struct wm_journal_reader *r, struct wm_record *ret)
{
	if (r->generation != atomic_load(&r->journal->generation_now))
		follow_restart(r);
	if (r->prelude_at != SIZE_MAX && read_prelude(r, ret))
		return true;
	for (;;) {
		struct segment *s = r->cur.segment;
		/* next is read first: once it is there, what is published is all there will be. */
		struct segment *next = atomic_load_explicit(&s->next, memory_order_acquire);
		const struct header *h;

		if (r->cur.offset >= atomic_load_explicit(&s->published, memory_order_acquire)) {
			if (next == NULL)
				return false;
			r->cur = (struct place){ .segment = next };
			r->scan_to = 0;
			continue;
		}
		h = (const struct header *)(const void *)(s->bytes + r->cur.offset);
		r->cur.offset += sizeof(*h) + ALIGN8((size_t)h->len);
		if (r->cur.offset <= r->scan_to && h->kind != WM_RECORD_RESET &&
		    (h->kind != WM_RECORD_MESSAGE || *(const char *)(h + 1) != 'R'))
			continue;
		*ret = (struct wm_record){ .kind = h->kind, .lsn = h->lsn, .data = h + 1, .len = h->len };
		return true;
	}
}

static bool
has_more(const struct wm_journal_reader *r)
{
	const struct segment *s = r->cur.segment;

	return r->prelude_at != SIZE_MAX || r->generation != atomic_load(&r->journal->generation_now) ||
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

/* Tells a writer that waits for room; the lock is held. */
static void
tell_writer(struct wm_journal *j)
{
	uint64_t one = 1;

	if (!j->writer_waits)
		return;
	j->writer_waits = false;
	/* Full only after 2^64 - 1 calls without a read. */
	if (write(j->space_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
}

void
wm_journal_release(struct wm_journal_reader *r)
{
	struct wm_journal *j = r->journal;

	if (r->released.segment == r->cur.segment)
		return;
	pthread_mutex_lock(&j->lock);
	r->released = r->cur;
	tell_writer(j);
	pthread_mutex_unlock(&j->lock);
}

void
wm_journal_commit(struct wm_journal_reader *r, wm_lsn lsn)
{
	if (lsn > atomic_load(&r->committed))
		atomic_store(&r->committed, lsn);
}

void
wm_journal_mark(struct wm_journal_reader *r)
{
	struct wm_journal *j = r->journal;

	pthread_mutex_lock(&j->lock);
	r->mark = r->released = r->cur;
	/* A mark within a prelude or a scan would skip what is still owed. */
	if (r->prelude_at != SIZE_MAX || r->cur.offset < r->scan_to)
		r->mark.offset = r->scan_to;
	r->mark_lost = false;
	trim(j, false);
	tell_writer(j);
	pthread_mutex_unlock(&j->lock);
}

bool
wm_journal_rewind(struct wm_journal_reader *r)
{
	struct wm_journal *j = r->journal;
	bool ok;

	pthread_mutex_lock(&j->lock);
	ok = !r->mark_lost;
	if (ok) {
		start_at(r, r->mark);
		r->released = r->mark;
	}
	pthread_mutex_unlock(&j->lock);
	return ok;
}
