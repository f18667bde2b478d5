/* SPDX-License-Identifier: PostgreSQL */
/*
 * journal.c - the writer's side: appending, bounds, restarts, and a journal's life.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "walmill/fault.h"
#include "walmill/log.h"
#include "walmill/reader.h"
#include "walmill/strutil.h"

#define SEGMENT_IN_MEMORY (1U << 20)
#define SEGMENT_MIN (64U << 10)
#define SEGMENT_MAX (8U << 20)
#define MOVE_MIN (16U << 20)		/* bytes of a message that is not worth having twice */
#define MOVE_STEP (1U << 20)

static void
relations_forget(struct wm_journal *j)
{
	struct relation *r, *tmp;

	HASH_ITER(hh, j->relations, r, tmp) {
		HASH_DEL(j->relations, r);
		blob_unref(r->blob);
		free(r);
	}
}

static size_t
segment_size(const struct wm_journal_options *o)
{
	size_t size = o->memory / 8;

	if (o->folder == NULL)
		return SEGMENT_IN_MEMORY;
	return size < SEGMENT_MIN ? SEGMENT_MIN : size > SEGMENT_MAX ? SEGMENT_MAX : size;
}

static void
closep(struct wm_journal **j)
{
	wm_journal_close(*j);
}

enum wm_status
wm_journal_open(const struct wm_journal_options *o, struct wm_journal **ret, struct wm_error *err)
{
	WM_AUTO(closep) struct wm_journal *j = calloc(1, sizeof(*j));
	pthread_condattr_t attr;
	enum wm_status st = WM_OK;

	if (j == NULL)
		return wm_oom(err, "the journal");
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->more, &attr);
	pthread_cond_init(&j->sync.work, &attr);
	pthread_condattr_destroy(&attr);
	j->sync.fd = -1;
	j->max_memory = o->memory;
	j->max_bytes = o->max_bytes;
	j->segment_bytes = segment_size(o);
	j->space_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (j->space_fd < 0)
		return wm_fail(err, WM_FATAL, "could not set up the journal: %s", strerror(errno));
	if (o->folder != NULL) {
		j->folder = strdup(o->folder);
		st = j->folder == NULL ? wm_oom(err, "the journal") : journal_recover(j, err);
		if (st == WM_OK)
			st = syncer_start(j, err);
	} else {
		j->first = j->last = segment_new(j, j->segment_bytes);
		if (j->first == NULL)
			st = wm_oom(err, "a journal segment");
		else
			j->first->number = 1;
	}
	if (st != WM_OK)
		return st;
	*ret = j;
	j = NULL;
	return WM_OK;
}

void
wm_journal_close(struct wm_journal *j)
{
	if (j == NULL)
		return;
	assert(j->readers == NULL);
	if (j->folder != NULL)
		syncer_stop(j);
	while (j->first != NULL) {
		struct segment *s = j->first;

		j->first = atomic_load(&s->next);
		segment_free(j, s);
	}
	relations_forget(j);
	if (j->space_fd >= 0)
		close(j->space_fd);
	free(j->folder);
	pthread_cond_destroy(&j->sync.work);
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
	} else if (r != NULL)
		blob_unref(r->blob);
	if (r != NULL)
		r->blob = blob;
	pthread_mutex_unlock(&j->lock);
	if (r == NULL) {
		free(blob);
		return wm_oom(err, "a relation message");
	}
	return WM_OK;
}

/* s goes behind the last segment, whose records are all shown first; the lock is held. */
static void
link_segment(struct wm_journal *j, struct segment *s)
{
	s->number = j->last->number + 1;
	atomic_store_explicit(&j->last->next, s, memory_order_release);
	j->last = s;
	if (j->sync.idle)
		pthread_cond_signal(&j->sync.work);
}

/* Whether everything that the source was, or may be, told about is at the targets; the lock is held. */
static bool
all_committed(const struct wm_journal *j)
{
	for (const struct wm_journal_reader *r = j->readers; r != NULL; r = r->next)
		if (atomic_load(&r->committed) < atomic_load(&j->complete))
			return false;
	return true;
}

/* Bytes that are in memory only; the lock is held. */
static size_t
unsynced(const struct wm_journal *j)
{
	size_t n = 0;

	for (const struct segment *s = j->sync.at; s != NULL; s = atomic_load(&s->next))
		n += s->size;
	return n;
}

/* Makes room for a segment of size bytes, if that can be; the lock is held. */
static bool
make_room(struct wm_journal *j, size_t size)
{
	bool was_full = j->full;

	if (j->folder == NULL) {
		if (j->memory + size > j->max_memory)
			segments_trim(j, false);
		if (j->memory + size > j->max_memory)
			segments_trim(j, true);
		/* An empty log takes a message of any size. */
		return j->memory + size <= j->max_memory || j->first == j->last;
	}
	if (j->kept + size > j->max_bytes)
		segments_trim(j, false);
	/* One transaction that is larger than the journal: its beginning goes once every target has taken it. */
	if (j->kept + size > j->max_bytes && all_committed(j)) {
		segments_trim(j, true);
		/* What the source was told must not pass it before every target has it. */
		j->hole = j->first->mid;
		j->hole_lsn = atomic_load(&j->complete);
	}
	j->full = j->kept + size > j->max_bytes && j->first != j->last;
	if (j->full && !was_full)
		wm_log(WM_LOG_WARNING, "journal_full",
		    "journal \"%s\" holds %" PRIu64 " bytes, its bound (journal.max_bytes): nothing is acknowledged "
		    "until a target takes more", j->folder, j->kept);
	else if (!j->full && was_full)
		wm_log(WM_LOG_INFO, "journal_room", "journal \"%s\" has room again", j->folder);
	if (j->full)
		return false;
	/* What slow readers hold does not count against the writer; what the disk has still to take does. */
	return segments_evict(j, size) || unsynced(j) + size <= j->max_memory / 2 || j->sync.at == j->last;
}

/* Links a fresh segment for need bytes; WM_RETRY when a bound is reached. */
static enum wm_status
grow(struct wm_journal *j, size_t need, struct wm_error *err)
{
	size_t size = need > j->segment_bytes ? need : j->segment_bytes;
	struct segment *s = NULL;
	bool room;

	wm_journal_publish(j);
	pthread_mutex_lock(&j->lock);
	room = make_room(j, size);
	if (!room) {
		j->writer_waits = true;
		pthread_cond_signal(&j->sync.work);
	} else if ((s = segment_new(j, size)) != NULL) {
		s->base = atomic_load(&j->complete);
		s->mid = j->in_transaction;
		link_segment(j, s);
	}
	pthread_mutex_unlock(&j->lock);
	if (!room)
		return wm_fail(err, WM_RETRY, "the journal has no room");
	return s == NULL ? wm_oom(err, "a journal segment") : WM_OK;
}

/*
 * memcpy from pages that are given back as they have been copied: all but the first, for those who look at the message's
 * head, and what shares a page with others' memory.
 */
static void
move(void *to, const void *from, size_t len)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t at = (uintptr_t)from, end = at + len, given = (at + 2 * page - 1) & ~(page - 1);
	uint8_t *out = to;

	while (at < end) {
		size_t n = end - at < MOVE_STEP ? end - at : MOVE_STEP;
		uintptr_t upto;

		memcpy(out, (const void *)at, n);
		out += n;
		at += n;
		upto = at & ~(page - 1);
		/* Where that is refused the memory stays until it is freed. */
		if (upto > given) {
			(void)madvise((void *)given, upto - given, MADV_DONTNEED);
			given = upto;
		}
	}
}

static enum wm_status
append(struct wm_journal *j, enum wm_record_kind kind, wm_lsn lsn, const void *data, size_t len, bool moves,
    struct wm_error *err)
{
	size_t need = sizeof(struct header) + ALIGN8(len);
	wm_lsn complete = atomic_load(&j->complete);
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
	if (moves && len > MOVE_MIN)
		move(h + 1, data, len);
	else if (len > 0)
		memcpy(h + 1, data, len);
	memset((uint8_t *)(h + 1) + len, 0, ALIGN8(len) - len);
	j->last->used += need;
	track(kind, lsn, data, len, &complete, &j->in_transaction);
	atomic_store(&j->complete, complete);
	return WM_OK;
}

enum wm_status
wm_journal_append(struct wm_journal *j, enum wm_record_kind kind, wm_lsn lsn, const void *data, size_t len,
    struct wm_error *err)
{
	return append(j, kind, lsn, data, len, false, err);
}

enum wm_status
wm_journal_move(struct wm_journal *j, enum wm_record_kind kind, wm_lsn lsn, void *data, size_t len,
    struct wm_error *err)
{
	return append(j, kind, lsn, data, len, true, err);
}

void
wm_journal_publish(struct wm_journal *j)
{
	if (atomic_load_explicit(&j->last->published, memory_order_relaxed) == j->last->used)
		return;
	atomic_store_explicit(&j->last->published, j->last->used, memory_order_release);
	pthread_mutex_lock(&j->lock);
	j->sync.published = atomic_load(&j->complete);
	if (j->sync.idle)
		pthread_cond_signal(&j->sync.work);
	if (j->sleepers > 0)
		pthread_cond_broadcast(&j->more);
	pthread_mutex_unlock(&j->lock);
}

enum wm_status
wm_journal_check(struct wm_journal *j, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	pthread_mutex_lock(&j->lock);
	if (j->sync.failed) {
		st = j->sync.error.status;
		if (err != NULL)
			*err = j->sync.error;
	}
	pthread_mutex_unlock(&j->lock);
	return st;
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

/* All that was there is void for readers; the lock is held. */
static void
begin_generation(struct wm_journal *j, struct segment *s)
{
	link_segment(j, s);
	j->restarted = s;
	j->generation++;
	atomic_store(&j->generation_now, j->generation);
	pthread_cond_broadcast(&j->more);
}

/* The files of before must be gone first: they would be taken for this journal's beginning. */
static enum wm_status
drop_files(struct wm_journal *j, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	syncer_stop(j);
	for (struct segment *s = j->first; st == WM_OK && s != NULL; s = atomic_load(&s->next))
		st = file_delete(j, s->number, err);
	WM_FAULT(journal_dropped);
	return st == WM_OK ? folder_sync(j, err) : st;
}

static void
restart_syncer(struct wm_journal *j)
{
	for (struct segment *s = j->first; s != j->last; s = atomic_load(&s->next))
		s->lost = true;
	j->sync.at->pins--;
	j->hole = false;
	j->sync.stop = j->sync.failed = j->sync.no_space = false;
	j->sync.published = atomic_load(&j->complete);
	atomic_store(&j->sync.flushed, j->sync.published);
	j->keep = j->last->number;
	WM_FAULT(journal_restarted);
}

enum wm_status
wm_journal_restart(struct wm_journal *j, wm_lsn lsn, struct wm_error *err)
{
	enum wm_status st = WM_OK;
	struct segment *s;

	wm_journal_publish(j);
	if (j->folder != NULL)
		st = drop_files(j, err);
	if (st != WM_OK)
		return st;
	pthread_mutex_lock(&j->lock);
	relations_forget(j);
	s = segment_new(j, j->segment_bytes);
	if (s != NULL) {
		s->base = lsn;
		j->in_transaction = false;
		atomic_store(&j->complete, lsn);
		begin_generation(j, s);
		if (j->folder != NULL)
			restart_syncer(j);
	}
	pthread_mutex_unlock(&j->lock);
	if (s == NULL)
		return wm_oom(err, "a journal segment");
	return j->folder != NULL ? syncer_start(j, err) : WM_OK;
}

/* What was not durable is void for the files, though not for readers; the lock is held. */
static enum wm_status
replace_file(struct wm_journal *j, struct wm_error *err)
{
	struct segment *torn = j->sync.at, *s;
	wm_lsn durable = atomic_load(&j->sync.flushed);
	enum wm_status st = WM_OK;

	relations_forget(j);
	s = segment_new(j, j->segment_bytes);
	if (s == NULL)
		return wm_oom(err, "a journal segment");
	s->base = durable;
	s->previous = torn->synced > 0 ? torn->number : torn->previous;
	s->previous_len = torn->synced > 0 ? torn->synced : torn->previous_len;
	if (torn->synced == 0) {
		st = file_delete(j, torn->number, err);
		WM_FAULT(journal_mend_deleted);
	}
	if (st != WM_OK) {
		segment_free(j, s);
		return st;
	}
	for (struct segment *l = torn; l != NULL; l = atomic_load(&l->next))
		l->lost = true;
	link_segment(j, s);
	if (j->sync.fd >= 0)
		close(j->sync.fd);
	j->sync.fd = -1;
	torn->pins--;
	s->pins++;
	j->sync.at = s;
	j->sync.published = durable;
	j->sync.failed = false;
	j->in_transaction = false;
	atomic_store(&j->complete, durable);
	WM_FAULT(journal_mended);
	return WM_OK;
}

enum wm_status
wm_journal_mend(struct wm_journal *j, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	wm_journal_publish(j);
	pthread_mutex_lock(&j->lock);
	if (j->sync.failed)
		st = replace_file(j, err);
	pthread_mutex_unlock(&j->lock);
	return st;
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

wm_lsn
wm_journal_flush_lsn(const struct wm_journal *j)
{
	return j->folder == NULL ? wm_journal_committed_lsn(j) : atomic_load(&j->sync.flushed);
}

wm_lsn
wm_journal_base_lsn(const struct wm_journal *j)
{
	struct wm_journal *w = (struct wm_journal *)(uintptr_t)j;	/* for its mutex */
	wm_lsn lsn;

	pthread_mutex_lock(&w->lock);
	lsn = segments_base(j);
	pthread_mutex_unlock(&w->lock);
	return lsn;
}

void
wm_journal_trim(struct wm_journal *j, wm_lsn lsn)
{
	struct segment *s;

	pthread_mutex_lock(&j->lock);
	s = segment_before(j, lsn);
	if (s != NULL && s->number > j->keep)
		j->keep = s->number;
	segments_trim(j, false);
	pthread_mutex_unlock(&j->lock);
}

void
wm_journal_look(const struct wm_journal *j, struct wm_journal_state *ret)
{
	struct wm_journal *w = (struct wm_journal *)(uintptr_t)j;	/* for its mutex */

	pthread_mutex_lock(&w->lock);
	/* The last segment is not filled yet. */
	*ret = (struct wm_journal_state){ .bytes = j->kept - j->last->size +
		    atomic_load(&j->last->published),
		.memory = j->memory,
		.max_bytes = j->max_bytes,
		.durable = j->folder != NULL,
		.full = j->full };
	if (j->sync.no_space || j->sync.failed)
		ret->error = j->sync.error;
	pthread_mutex_unlock(&w->lock);
}
