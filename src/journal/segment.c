/* SPDX-License-Identifier: PostgreSQL */
/*
 * segment.c - segments in memory: making, trimming, giving memory back and loading again.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "walmill/fault.h"
#include "walmill/log.h"

void
blob_unref(struct blob *b)
{
	if (--b->refs == 0)
		free(b);
}

void
prelude_free(struct prelude *p)
{
	for (size_t i = 0; i < p->n; i++)
		blob_unref(p->list[i]);
	free(p->list);
	*p = (struct prelude){ 0 };
}

struct segment *
segment_new(struct wm_journal *j, size_t size)
{
	struct segment *s = calloc(1, sizeof(*s));
	struct relation *r;
	size_t n = HASH_COUNT(j->relations);

	if (s == NULL)
		return NULL;
	s->bytes = malloc(size);
	s->prelude.list = n == 0 ? NULL : malloc(n * sizeof(*s->prelude.list));
	if (s->bytes == NULL || (n > 0 && s->prelude.list == NULL)) {
		free(s->bytes);
		free(s->prelude.list);
		free(s);
		return NULL;
	}
	s->size = size;
	for (r = j->relations; r != NULL; r = r->hh.next) {
		r->blob->refs++;
		s->prelude.list[s->prelude.n++] = r->blob;
	}
	j->memory += size;
	j->kept += size;
	return s;
}

static void
give_memory_back(struct wm_journal *j, struct segment *s)
{
	if (s->bytes == NULL)
		return;
	prelude_free(&s->prelude);
	free(s->bytes);
	s->bytes = NULL;
	j->memory -= s->size;
}

void
segment_unpin(struct wm_journal *j, struct segment *s)
{
	/* One that was made for a single large message is not worth its memory to a reader that comes later. */
	if (--s->pins == 0 && s->on_disk && !s->loading && s != j->last && s->size > j->segment_bytes)
		give_memory_back(j, s);
}

void
segment_free(struct wm_journal *j, struct segment *s)
{
	give_memory_back(j, s);
	j->kept -= s->size;
	free(s);
}

void
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

/* Up to which segment all may go. */
static uint64_t
keep_from(const struct wm_journal *j, bool past_marks)
{
	uint64_t keep = j->folder == NULL || past_marks ? j->last->number : j->keep;

	for (const struct wm_journal_reader *r = j->readers; r != NULL; r = r->next) {
		const struct place *p = past_marks || r->mark_lost ? &r->released : &r->mark;

		if (p->segment->number < keep)
			keep = p->segment->number;
	}
	return keep;
}

void
segments_trim(struct wm_journal *j, bool past_marks)
{
	uint64_t keep = keep_from(j, past_marks);

	for (struct wm_journal_reader *r = j->readers; r != NULL; r = r->next)
		if (!r->mark_lost && r->mark.segment->number < keep)
			r->mark_lost = true;
	while (j->first->number < keep && j->first->pins == 0) {
		struct segment *s = j->first;

		if (j->folder != NULL) {
			struct wm_error err = { 0 };

			if (!s->lost && !s->on_disk)
				break;
			/* A file that cannot go now goes at the next start: it holds nothing that anybody needs. */
			if (file_delete(j, s->number, &err) != WM_OK)
				wm_log(WM_LOG_WARNING, "journal_trim", "%s", err.text);
			WM_FAULT(journal_trimmed);
		}
		j->first = atomic_load(&s->next);
		if (j->restarted == s)
			j->restarted = j->first;
		segment_free(j, s);
	}
	tell_writer(j);
}

bool
segments_evict(struct wm_journal *j, size_t need)
{
	for (struct segment *s = j->first; s != j->last && j->memory + need > j->max_memory; s = atomic_load(&s->next))
		if (s->on_disk && s->pins == 0 && !s->loading)
			give_memory_back(j, s);
	return j->memory + need <= j->max_memory;
}

enum wm_status
segment_load(struct wm_journal *j, struct segment *s, struct wm_error *err)
{
	const struct segment *next = atomic_load(&s->next);
	struct prelude prelude = { 0 };
	uint8_t *bytes = NULL;
	size_t len = 0;
	uint64_t end;
	enum wm_status st;

	while (s->loading)
		pthread_cond_wait(&j->more, &j->lock);
	if (s->bytes != NULL)
		return WM_OK;
	assert(s->on_disk && next != NULL);
	s->loading = true;
	(void)segments_evict(j, s->size);
	pthread_mutex_unlock(&j->lock);
	st = file_read(j, s->number, &prelude, &bytes, &len, &end, err);
	if (st == WM_OK && len < s->used)
		st = wm_fail(err, WM_OPERATOR,
		    "journal file %016" PRIx64 " in \"%s\" is damaged: only its first %zu of %zu bytes can be read; "
		    "put it back from a backup, or run `walmill teardown` and start again to seed anew",
		    s->number, j->folder, len, s->used);
	pthread_mutex_lock(&j->lock);
	s->loading = false;
	if (st == WM_OK) {
		s->bytes = bytes;
		bytes = NULL;
		s->prelude = prelude;
		prelude = (struct prelude){ 0 };
		j->memory += s->size;
		atomic_store_explicit(&s->published, s->used, memory_order_release);
	}
	prelude_free(&prelude);
	free(bytes);
	pthread_cond_broadcast(&j->more);
	return st;
}

/* The first segment that is of now. */
static struct segment *
oldest(const struct wm_journal *j)
{
	return j->restarted != NULL ? j->restarted : j->first;
}

struct segment *
segment_before(const struct wm_journal *j, wm_lsn lsn)
{
	struct segment *found = NULL, *before = NULL;

	for (struct segment *s = oldest(j); s != NULL && s->base <= lsn; before = s, s = atomic_load(&s->next)) {
		if (!s->mid)
			found = s;
		/* The transaction that is open here begins in the one before, where another ended. */
		else if (before != NULL && s->base > before->base)
			found = before;
	}
	return found;
}

wm_lsn
segments_base(const struct wm_journal *j)
{
	const struct segment *s = oldest(j);
	wm_lsn base = s->base;

	if (!s->mid)
		return base;
	/* The transaction that is open where it begins is not here whole. */
	while ((s = atomic_load(&s->next)) != NULL)
		if (s->base > base || !s->mid)
			return s->base;
	return atomic_load(&j->complete);
}
