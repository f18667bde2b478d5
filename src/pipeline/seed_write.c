/* SPDX-License-Identifier: PostgreSQL */
/*
 * seed_write.c - what a seeder has gathered goes to the target.
 */
#include "letters.h"
#include "receipts.h"
#include "seeder.h"
#include "walmill/fault.h"
#include "walmill/strutil.h"

/*
 * Once for each plan and connection.  A view that has to be made has none of the rows that were
 * seeded before, and columns that have to be added none of their values.
 */
static enum wm_status
ensure_view(struct seeder *s, struct wm_error *err)
{
	enum wm_found found;
	enum wm_status st;

	if (s->ensured == *s->opened)
		return WM_OK;
	st = s->delivery.target->ops->ensure(s->delivery.target, wm_plan_view(s->plan), &found, err);
	if (st != WM_OK)
		return st;
	s->ensured = *s->opened;
	if (found == WM_FOUND_ALL)
		return WM_OK;
	pthread_mutex_lock(&s->unit->lock);
	for (size_t i = 0; i < s->unit->nleaves; i++)
		leaf_restart(&s->unit->leaves[i]);
	pthread_mutex_unlock(&s->unit->lock);
	return WM_OK;
}

static enum wm_status
commit(struct seeder *s, const char *name, const char *value, struct wm_error *err)
{
	struct wm_bookmark mark = { .source = s->w->source->config->name, .name = name, .value = value };

	return bookmarks_commit(s->w, s->delivery.target, &mark, value != NULL, err);
}

/* What the bookmark says once the range is committed. */
static char *
range_bookmark(struct seeder *s)
{
	struct leaf_progress before;
	char *value;

	pthread_mutex_lock(&s->unit->lock);
	before = *s->range->progress;
	leaf_note(s->range->progress, s->range->from, s->range->to);
	value = bookmark_unit(s->unit);
	*s->range->progress = before;
	pthread_mutex_unlock(&s->unit->lock);
	return value;
}

static enum wm_status
commit_range(struct seeder *s, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *name = bookmark_unit_name(s->unit);
	WM_AUTO(wm_freep) char *value = NULL;
	enum wm_status st;

	/* Another seeder's bookmark of this unit must not be overtaken by an older one; other units' need not wait. */
	pthread_mutex_lock(&s->unit->bookmarking);
	value = range_bookmark(s);
	/* What is put aside is gone after a crash: nothing of it is done before all is. */
	if (name == NULL || value == NULL)
		st = wm_oom(err, "a bookmark");
	else
		st = commit(s, name, s->unit->staged ? NULL : value, err);
	if (st == WM_OK) {
		pthread_mutex_lock(&s->unit->lock);
		leaf_note(s->range->progress, s->range->from, s->range->to);
		pthread_mutex_unlock(&s->unit->lock);
	}
	pthread_mutex_unlock(&s->unit->bookmarking);
	return st;
}

/* Writes the batch and commits it; with a bookmark of the unit when value is given. */
static enum wm_status
write_once(struct seeder *s, const char *name, const char *value, struct wm_error *err)
{
	const struct wm_batch *batch = batcher_batch(s->batcher);
	enum wm_status st;

	if (batch == NULL)
		return wm_oom(err, "a batch");
	st = ensure_view(s, err);
	if (st == WM_OK && s->passes)
		st = seeder_pass_rows(s, s->range, err);
	else if (st == WM_OK && (batch->nrows > 0 || batch->nviews > 0))
		st = deliver(&s->delivery, batch, err);
	if (st == WM_OK)
		st = letters_remove(s->delivery.letters, err);
	receipts_before_commit(s->delivery.receipts);
	WM_FAULT(seed_batch_before);
	if (st == WM_OK)
		st = s->range != NULL ? commit_range(s, err) : commit(s, name, value, err);
	WM_FAULT(seed_batch_committed);
	if (st == WM_OK)
		receipts_after_commit(s->delivery.receipts);
	if (st != WM_OK) {
		letters_forget(s->delivery.letters);
		receipts_forget(s->delivery.receipts);
	}
	if (st != WM_OK && s->delivery.target->ops->rollback != NULL)
		s->delivery.target->ops->rollback(s->delivery.target);
	return st;
}

/* Another seeder that met the stop while its target was away has left the shared instance closed. */
static enum wm_status
write_shared(struct seeder *s, const char *name, const char *value, struct wm_error *err)
{
	if (s->instance_lock != NULL && worker_stopping(s->w))
		return wm_fail(err, WM_RETRY, "stopping");
	return write_once(s, name, value, err);
}

/* The target is out of reach: the same batch again, after a pause, until it is taken or we stop. */
static enum wm_status
reopen(struct seeder *s, struct wm_backoff *backoff, struct wm_error *err)
{
	struct worker *w = s->w;
	wm_usec until = wm_clock_mono() + wm_backoff_asked(backoff, err->retry_after);

	++*s->opened;
	wm_log(WM_LOG_WARNING, "target_retry", "seeding %s.%s: %s", s->unit->schema, s->unit->name, err->text);
	atomic_fetch_add(&w->retries, 1);
	worker_set_error(w, WORKER_RETRYING, err);
	s->delivery.target->ops->close(s->delivery.target);
	while (!worker_stopping(w) && wm_clock_mono() < until)
		worker_rest(w, until);
	if (worker_stopping(w))
		return wm_fail(err, WM_RETRY, "stopping");
	return s->delivery.target->ops->open(s->delivery.target, err);
}

static void
count_rows(struct seeder *s, uint64_t rows, uint64_t buried)
{
	atomic_fetch_add(&s->w->rows_written, rows);
	atomic_fetch_add(&s->w->batches, 1);
	s->written += rows - buried;
	s->dead += buried;
	pthread_mutex_lock(&s->unit->lock);
	s->unit->written += rows - buried;
	s->unit->dead += buried;
	/* Another seeder has given it up meanwhile: these rows must go before it comes back. */
	if (s->unit->state == UNIT_FAILED)
		s->unit->empty_view = s->unit->dirty = true;
	pthread_mutex_unlock(&s->unit->lock);
}

enum wm_status
seeder_write(struct seeder *s, const char *name, const char *value, struct wm_error *err)
{
	struct wm_backoff backoff;
	uint64_t buried = s->delivery.buried;
	size_t rows = batcher_batch(s->batcher) == NULL ? 0 : batcher_batch(s->batcher)->nrows;
	enum wm_status st;

	wm_backoff_init(&backoff, 100 * WM_MSEC, 30 * WM_SEC);
	if (s->instance_lock != NULL)
		pthread_mutex_lock(s->instance_lock);
	while ((st = write_shared(s, name, value, err)) == WM_RETRY || st == WM_FATAL) {
		/*
		 * What was put aside is lost, the source's transaction too, and without a key a range that is there
		 * already could come a second time: in another session, from what is known then.
		 */
		if (s->late || s->unit->staged || s->unit->bare || s->passing.broke_off || worker_stopping(s->w)) {
			wm_error_prefix(err, "seeding %s.%s", s->unit->schema, s->unit->name);
			break;
		}
		do
			st = reopen(s, &backoff, err);
		while ((st == WM_RETRY || st == WM_FATAL) && !worker_stopping(s->w));
		if (st != WM_OK)
			break;
	}
	if (s->instance_lock != NULL)
		pthread_mutex_unlock(s->instance_lock);
	if (st != WM_OK)
		return st;
	/* What another view waits for goes on being shown. */
	if (atomic_load(&s->w->state) != WORKER_OK && atomic_load(&s->w->waits) == 0)
		worker_set_error(s->w, WORKER_OK, NULL);
	count_rows(s, s->passes ? s->passing.rows : rows, s->delivery.buried - buried);
	batcher_reset(s->batcher);
	return WM_OK;
}

enum wm_status
seeder_write_range(struct seeder *s, const struct seed_range *range, bool pass, struct wm_error *err)
{
	enum wm_status st;

	s->range = range;
	s->passes = pass;
	s->passing.broke_off = false;
	st = seeder_write(s, NULL, NULL, err);
	s->range = NULL;
	s->passes = false;
	/* It may be that the view was made in the transaction that is gone. */
	if (st != WM_OK)
		s->ensured = 0;
	return st;
}
