/* SPDX-License-Identifier: PostgreSQL */
/*
 * seeder.c - fills views with the rows that the source holds.
 *
 * Why it is right, whatever snapshot a batch is read under: a batch is written while the worker's position
 * is not past that snapshot, and every change after the position is applied on top of it later.
 * Rows are whole, so replaying the changes between position and snapshot ends in the same state.
 * Only a change that leaves TOAST values out could miss its row; until the position has passed
 * the last snapshot (UNIT_CATCHING) such rows are read again at the source.
 *
 * Before the worker has streamed, several seeders run side by side, under the snapshot that came with
 * the slot if it is still there.  Later, the worker itself reads and writes one batch at a time
 * between two source transactions, so that the stream of the other tables goes on.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

#define ROWS_PER_BLOCK 80		/* where the catalog has no estimate yet */
#define SHOW_EVERY (200 * WM_MSEC)
#define SETTLE_STEP (5 * WM_SEC)

/* One seeder: a connection to read from, an instance to write to. */
struct seeder {
	struct worker		*w;
	struct bulk		*bulk;		/* NULL: the worker itself, late */
	struct wm_pg		*sql;
	struct delivery		 delivery;
	struct wm_target	*own;		/* a clone, or NULL: the worker's instance, shared under bulk->lock */
	struct batcher		*batcher;
	struct wm_plan		*plan;
	unsigned		*opened;	/* how often the instance was opened; under the write lock */
	unsigned		 own_opened;
	unsigned		 ensured;	/* *opened when the plan's view was ensured */
	struct unit		*unit;
	struct wm_position	 at;		/* of the next row */
	uint64_t		 rows;		/* of the range at work */
	wm_lsn			 snapshot_lsn;	/* everything the snapshot sees was committed before */
	bool			 exact;		/* the snapshot is the slot's: the stream starts where it ends */
	char			*visible;
	pthread_t		 thread;
	struct wm_error		 err;
	enum wm_status		 st;
};

struct task {
	struct unit	*unit;
	size_t		 leaf;		/* SIZE_MAX: the whole unit */
};

struct bulk {
	struct worker	*w;
	char		 snapshot[64];	/* "" none */
	size_t		 ntasks, next;
	struct task	*tasks;
	pthread_mutex_t	 lock;		/* the shared instance; next */
	unsigned	 opened;	/* of the shared instance */
	atomic_bool	 failed;
	atomic_uint	 running;
};

/* ---- writing ---- */

static void
write_lock(struct seeder *s)
{
	if (s->bulk != NULL && s->own == NULL)
		pthread_mutex_lock(&s->bulk->lock);
}

static void
write_unlock(struct seeder *s)
{
	if (s->bulk != NULL && s->own == NULL)
		pthread_mutex_unlock(&s->bulk->lock);
}

/*
 * Once for each plan and connection.  A view that has to be made has none of the rows that were
 * seeded before.
 */
static enum wm_status
ensure_view(struct seeder *s, struct wm_error *err)
{
	bool created;
	enum wm_status st;

	if (s->ensured == *s->opened)
		return WM_OK;
	st = s->delivery.target->ops->ensure(s->delivery.target, wm_plan_view(s->plan), &created, err);
	if (st != WM_OK)
		return st;
	s->ensured = *s->opened;
	if (!created)
		return WM_OK;
	pthread_mutex_lock(&s->unit->lock);
	for (size_t i = 0; i < s->unit->nleaves; i++) {
		s->unit->leaves[i].next = 0;
		s->unit->leaves[i].done = false;
	}
	pthread_mutex_unlock(&s->unit->lock);
	return WM_OK;
}

/* Writes the batch and commits it; with a bookmark of the unit when value is given. */
static enum wm_status
write_once(struct seeder *s, const char *name, const char *value, struct wm_error *err)
{
	struct wm_bookmark mark = { .source = s->w->source->config->name, .name = name, .value = value };
	const struct wm_batch *batch = batcher_batch(s->batcher);
	enum wm_status st;

	if (batch == NULL)
		return wm_oom(err, "a batch");
	st = ensure_view(s, err);
	if (st == WM_OK && (batch->nrows > 0 || batch->nviews > 0))
		st = deliver(&s->delivery, batch, err);
	if (st == WM_OK)
		st = bookmarks_commit(s->w, s->delivery.target, &mark, value != NULL, err);
	if (st != WM_OK && s->delivery.target->ops->rollback != NULL)
		s->delivery.target->ops->rollback(s->delivery.target);
	return st;
}

/* The target is out of reach: the same batch again, after a pause, until it is taken or we stop. */
static enum wm_status
reopen(struct seeder *s, struct wm_backoff *backoff, struct wm_error *err)
{
	struct worker *w = s->w;
	wm_usec until = wm_clock_mono() + wm_backoff_next(backoff);

	++*s->opened;
	wm_log(WM_LOG_WARNING, "target_retry", "seeding %s.%s: %s", s->unit->schema, s->unit->name, err->text);
	atomic_fetch_add(&w->retries, 1);
	atomic_store(&w->state, WORKER_RETRYING);
	s->delivery.target->ops->close(s->delivery.target);
	while (!worker_stopping(w) && wm_clock_mono() < until)
		worker_rest(w, until);
	if (worker_stopping(w))
		return wm_fail(err, WM_RETRY, "stopping");
	return s->delivery.target->ops->open(s->delivery.target, err);
}

static enum wm_status
write_batch(struct seeder *s, const char *name, const char *value, struct wm_error *err)
{
	struct wm_backoff backoff;
	uint64_t buried = s->delivery.buried;
	size_t rows = batcher_batch(s->batcher) == NULL ? 0 : batcher_batch(s->batcher)->nrows;
	enum wm_status st;

	wm_backoff_init(&backoff, 100 * WM_MSEC, 30 * WM_SEC);
	write_lock(s);
	while ((st = write_once(s, name, value, err)) == WM_RETRY || st == WM_FATAL) {
		do
			st = reopen(s, &backoff, err);
		while ((st == WM_RETRY || st == WM_FATAL) && !worker_stopping(s->w));
		if (st != WM_OK)
			break;
	}
	write_unlock(s);
	if (st != WM_OK)
		return st;
	atomic_store(&s->w->state, WORKER_OK);
	atomic_fetch_add(&s->w->rows_written, rows);
	atomic_fetch_add(&s->w->batches, 1);
	pthread_mutex_lock(&s->unit->lock);
	s->unit->written += rows - (s->delivery.buried - buried);
	pthread_mutex_unlock(&s->unit->lock);
	batcher_reset(s->batcher);
	return WM_OK;
}

/* ---- reading ---- */

/* The row's bytes are libpq's for the length of the call only. */
static bool
keep_values(struct wm_arena *arena, const struct wm_tuple *row, struct wm_tuple *ret)
{
	size_t total = 0;
	char *p;

	for (unsigned i = 0; i < row->n; i++)
		total += row->values[i].len;
	ret->n = row->n;
	ret->values = wm_arena_alloc(arena, row->n * sizeof(*ret->values) + 1);
	p = wm_arena_alloc(arena, total + 1);
	if (ret->values == NULL || p == NULL)
		return false;
	memcpy(ret->values, row->values, row->n * sizeof(*ret->values));
	for (unsigned i = 0; i < row->n; i++) {
		if (row->values[i].kind != WM_VALUE_TEXT)
			continue;
		memcpy(p, row->values[i].data, row->values[i].len);
		ret->values[i].data = p;
		p += row->values[i].len;
	}
	return true;
}

static enum wm_status
take_rows(struct seeder *s, const struct wm_plan_rows *rows, struct wm_error *err)
{
	for (unsigned i = 0; i < rows->n; i++) {
		enum wm_status st = batcher_add(s->batcher, wm_plan_view(s->plan), &rows->row[i], err);

		if (st != WM_OK)
			return st;
	}
	return WM_OK;
}

static enum wm_status
take_row(void *arg, const struct wm_tuple *row, struct wm_error *err)
{
	struct seeder *s = arg;
	const struct wm_rule *rule = s->unit->rule;
	struct wm_tuple kept;
	struct wm_change change = { .kind = WM_EVENT_SEED, .at = s->at, .commit_time = wm_clock_wall(), .after = &kept };
	struct wm_plan_rows rows = { 0 };
	unsigned filtered = 0;
	enum wm_status st = WM_OK;

	if (worker_stopping(s->w) || (s->bulk != NULL && atomic_load(&s->bulk->failed)))
		return wm_fail(err, WM_RETRY, "stopping");
	s->at.index++;
	s->rows++;
	if (!keep_values(batcher_arena(s->batcher), row, &kept))
		return wm_oom(err, "a row");
	switch (wm_plan_apply(s->plan, &change, s->unit->reseed ? WM_PLAN_RESEED : 0, batcher_arena(s->batcher), &rows, err)) {
	case WM_PLAN_ROWS:
		st = take_rows(s, &rows, err);
		break;
	case WM_PLAN_BAD:
		st = deliver_bad(&s->delivery, rule, wm_plan_view(s->plan),
		    wm_plan_key_row(s->plan, &change, batcher_arena(s->batcher), &rows.row[0]) ? &rows.row[0] : NULL,
		    err->code, err);
		break;
	case WM_PLAN_NOTHING:
	case WM_PLAN_TRUNCATE:
	case WM_PLAN_REREAD:
		filtered = 1;
		break;
	}
	pthread_mutex_lock(&s->unit->lock);
	s->unit->read++;
	s->unit->filtered += filtered;
	pthread_mutex_unlock(&s->unit->lock);
	if (st == WM_OK && (batcher_view_rows(s->batcher, wm_plan_view(s->plan)) >= (size_t)rule->batch_rows ||
	    wm_arena_used(batcher_arena(s->batcher)) >= rule->batch_bytes))
		st = write_batch(s, NULL, NULL, err);
	return st;
}

static uint32_t
range_blocks(const struct wm_rule *rule, const struct wm_leaf *leaf)
{
	double per_block = leaf->rows > 0 && leaf->blocks > 0 ? leaf->rows / leaf->blocks : ROWS_PER_BLOCK;
	double blocks = (double)rule->seed_batch_rows / (per_block < 1 ? 1 : per_block);

	return blocks < 1 ? 1 : blocks > 1e9 ? 1000000000 : (uint32_t)blocks;
}

/* What the leaf's progress will be once the range up to `to` has been committed. */
static enum wm_status
finish_range(struct seeder *s, struct leaf_progress *leaf, uint32_t to, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *name = bookmark_unit_name(s->unit);
	WM_AUTO(wm_freep) char *value = NULL;
	struct leaf_progress before = *leaf;
	enum wm_status st;

	/* Another seeder's bookmark of this unit must not be overtaken by an older one. */
	if (s->own != NULL)
		pthread_mutex_lock(&s->bulk->lock);
	pthread_mutex_lock(&s->unit->lock);
	leaf->next = to;
	leaf->done = to == WM_SEED_TO_END;
	value = bookmark_unit(s->unit);
	*leaf = before;
	pthread_mutex_unlock(&s->unit->lock);
	st = name == NULL || value == NULL ? wm_oom(err, "a bookmark") : write_batch(s, name, value, err);
	if (st == WM_OK) {
		pthread_mutex_lock(&s->unit->lock);
		leaf->next = to;
		leaf->done = to == WM_SEED_TO_END;
		pthread_mutex_unlock(&s->unit->lock);
	}
	if (s->own != NULL)
		pthread_mutex_unlock(&s->bulk->lock);
	return st;
}

/* The next range of a leaf: read, written, committed with its bookmark. */
static enum wm_status
seed_range(struct seeder *s, const struct wm_leaf *leaf, struct leaf_progress *progress, struct wm_error *err)
{
	uint32_t step = range_blocks(s->unit->rule, leaf);
	struct wm_seed_range range = { .rel = wm_plan_relation(s->plan), .needed = wm_plan_needed(s->plan),
		.schema = leaf->schema, .name = leaf->name, .from = progress->next, .to = WM_SEED_TO_END };
	bool has_rows = false;
	uint64_t rows;
	enum wm_status st;

	if (leaf->blocks > step && progress->next < leaf->blocks - step)
		range.to = progress->next + step;
	s->rows = 0;
	st = wm_seed_copy(s->sql, &range, take_row, s, &rows, err);
	if (st == WM_OK)
		st = wm_seed_check_rewrite(s->sql, leaf->oid, err);
	if (st == WM_OK && range.from == 0 && range.to == WM_SEED_TO_END && s->rows == 0)
		st = wm_seed_has_rows(s->sql, leaf->schema, leaf->name, &has_rows, err);
	if (st == WM_OK && has_rows)
		return wm_fail(err, WM_FATAL, "the seed of %s.%s read no row, but the table has rows", leaf->schema, leaf->name);
	return st == WM_OK ? finish_range(s, progress, range.to, err) : st;
}

/* ---- one unit ---- */

/* Brings the progress of a unit's leaves in line with what the table consists of now. */
static enum wm_status
match_leaves(struct unit *u, const struct wm_leaves *leaves, struct wm_error *err)
{
	struct leaf_progress *list = calloc(leaves->n + 1, sizeof(*list));

	if (list == NULL)
		return wm_oom(err, "a table");
	pthread_mutex_lock(&u->lock);
	for (size_t i = 0; i < leaves->n; i++) {
		list[i] = (struct leaf_progress){ .oid = leaves->list[i].oid, .node = leaves->list[i].node };
		for (size_t k = 0; k < u->nleaves; k++)
			/* Rewritten or truncated: blocks mean something else now. */
			if (u->leaves[k].oid == list[i].oid && u->leaves[k].node == list[i].node)
				list[i] = u->leaves[k];
	}
	free(u->leaves);
	u->leaves = list;
	u->nleaves = leaves->n;
	pthread_mutex_unlock(&u->lock);
	return WM_OK;
}

static enum wm_status
compile(struct seeder *s, struct unit *u, struct wm_error *err)
{
	struct wm_plan_env env = pipeline_plan_env(s->w->p, s->w->source->config->name);
	enum wm_status st;

	wm_plan_free(s->plan);
	s->plan = NULL;
	s->ensured = 0;
	s->unit = u;
	st = wm_plan_compile(u->rule, u->rel, &env, &s->plan, err);
	if (st == WM_OK && u->columns == NULL && (u->columns = unit_signature(u->rel, wm_plan_needed(s->plan))) == NULL)
		st = wm_oom(err, "a table");
	return st;
}

/* An append view's rows carry positions, so its seed has one snapshot or starts again. */
static void
restart_append(struct unit *u)
{
	if (u->rule->mode != WM_MODE_APPEND)
		return;
	for (size_t i = 0; i < u->nleaves; i++)
		if (u->leaves[i].next != 0 || u->leaves[i].done) {
			unit_restart(u);
			return;
		}
}

/*
 * Rows of before that the seed would not overwrite go first.  An append view's seed that breaks
 * off has to go as well: its bookmark says so from its first row on.
 */
static enum wm_status
empty_view(struct seeder *s, struct wm_error *err)
{
	struct unit *u = s->unit;
	WM_AUTO(wm_freep) char *name = NULL;
	WM_AUTO(wm_freep) char *value = NULL;
	bool append = u->rule->mode == WM_MODE_APPEND, truncate = u->empty_view, reseed = u->reseed;
	enum wm_status st;

	if (!truncate && !append)
		return WM_OK;
	u->empty_view = append;
	u->reseed = false;
	name = bookmark_unit_name(u);
	value = bookmark_unit(u);
	st = name == NULL || value == NULL ? wm_oom(err, "a bookmark") : WM_OK;
	if (st == WM_OK && truncate)
		st = batcher_truncate(s->batcher, wm_plan_view(s->plan), err);
	if (st == WM_OK)
		st = write_batch(s, name, value, err);
	u->empty_view = st == WM_OK ? false : truncate;
	u->reseed = st == WM_OK ? false : reseed;
	return st;
}

static bool
unit_complete(const struct unit *u)
{
	for (size_t i = 0; i < u->nleaves; i++)
		if (!u->leaves[i].done)
			return false;
	return true;
}

static void
unit_done(struct seeder *s)
{
	struct unit *u = s->unit;

	pthread_mutex_lock(&u->lock);
	if (!s->exact && s->snapshot_lsn > u->catchup)
		u->catchup = s->snapshot_lsn;
	if (unit_complete(u)) {
		stats_set_error(u->stats, NULL);
		u->state = u->catchup == 0 ? UNIT_STREAMING : UNIT_CATCHING;
		u->reseed = false;
		u->dirty = true;
		wm_log(WM_LOG_INFO, "seeded", "table %s.%s under rule \"%s\": %" PRIu64 " rows read, %" PRIu64
		    " written, %" PRIu64 " left out by the rule", u->schema, u->name, u->rule->name, u->read, u->written,
		    u->filtered);
	}
	pthread_mutex_unlock(&u->lock);
}

static enum wm_status
begin_reading(struct seeder *s, const char *snapshot, struct wm_error *err)
{
	enum wm_status st;

	free(s->visible);
	s->visible = NULL;
	s->exact = snapshot != NULL;
	st = wm_seed_begin(s->sql, snapshot, &s->visible, err);
	if (st == WM_OK)
		st = wm_pg_current_lsn(s->sql, &s->snapshot_lsn, err);
	return st;
}

static const struct wm_leaf *
find_leaf(const struct wm_leaves *leaves, uint32_t oid)
{
	for (size_t i = 0; i < leaves->n; i++)
		if (leaves->list[i].oid == oid)
			return &leaves->list[i];
	return NULL;
}

/* The row positions of an append view: one snapshot for the whole unit. */
static void
number_rows(struct seeder *s)
{
	s->at = (struct wm_position){ .commit_lsn = s->snapshot_lsn };
	if (s->unit->rule->mode != WM_MODE_APPEND)
		return;
	free(s->unit->visible);
	s->unit->visible = s->visible;
	s->visible = NULL;
}

static enum wm_status
seed_leaf(struct seeder *s, const struct wm_leaves *leaves, size_t i, struct wm_error *err)
{
	struct leaf_progress *progress = &s->unit->leaves[i];
	const struct wm_leaf *leaf = find_leaf(leaves, progress->oid);
	enum wm_status st = WM_OK;

	while (st == WM_OK && leaf != NULL && !progress->done)
		st = seed_range(s, leaf, progress, err);
	return st;
}

/* ---- side by side ---- */

static enum wm_status
run_task(struct seeder *s, const struct task *t, struct wm_error *err)
{
	struct wm_leaves leaves = { 0 };
	enum wm_status st = compile(s, t->unit, err);

	if (st == WM_OK)
		st = wm_catalog_leaves(s->sql, t->unit->oid, &leaves, err);
	if (st == WM_OK && t->leaf == SIZE_MAX) {
		number_rows(s);
		for (size_t i = 0; st == WM_OK && i < t->unit->nleaves; i++)
			st = seed_leaf(s, &leaves, i, err);
	} else if (st == WM_OK)
		st = seed_leaf(s, &leaves, t->leaf, err);
	wm_leaves_free(&leaves);
	if (st == WM_OK)
		unit_done(s);
	return st;
}

/* A rule that stops takes its unit out; the others go on. */
static enum wm_status
fail_unit(struct seeder *s, struct wm_error *err)
{
	stats_set_error(s->unit->stats, err->text);
	wm_log(WM_LOG_ERROR, "seed_failed", "the seed of %s.%s under rule \"%s\" stops: %s", s->unit->schema, s->unit->name,
	    s->unit->rule->name, err->text);
	pthread_mutex_lock(&s->unit->lock);
	s->unit->state = UNIT_FAILED;
	pthread_mutex_unlock(&s->unit->lock);
	batcher_reset(s->batcher);
	return WM_OK;
}

static bool
next_task(struct bulk *b, struct task *ret)
{
	bool got;

	pthread_mutex_lock(&b->lock);
	got = b->next < b->ntasks && !atomic_load(&b->failed);
	if (got)
		*ret = b->tasks[b->next++];
	pthread_mutex_unlock(&b->lock);
	return got;
}

/* Under the slot's snapshot, if it is still there: the slot's creation has waited for older transactions. */
static enum wm_status
begin_settled(struct seeder *s, struct wm_error *err)
{
	uint64_t xid = 0;
	enum wm_status st;

	if (s->bulk->snapshot[0] != '\0') {
		st = begin_reading(s, s->bulk->snapshot, err);
		/* The keeper lets it go after a while. */
		if (st == WM_OK || PQstatus(wm_pg_conn(s->sql)) != CONNECTION_OK)
			return st;
		st = wm_pg_exec(s->sql, "ROLLBACK", "could not begin reading", err);
		if (st != WM_OK)
			return st;
	}
	for (size_t i = 0; i < s->bulk->ntasks; i++)
		if (s->bulk->tasks[i].unit->settle_xid > xid)
			xid = s->bulk->tasks[i].unit->settle_xid;
	while ((st = wm_publication_settle(s->sql, xid, wm_clock_mono() + SETTLE_STEP, err)) == WM_RETRY) {
		if (worker_stopping(s->w) || PQstatus(wm_pg_conn(s->sql)) != CONNECTION_OK)
			return st;
		stats_set_error(s->bulk->tasks[0].unit->stats, err->text);
		wm_log(WM_LOG_WARNING, "seed_waits", "%s", err->text);
	}
	return st == WM_OK ? begin_reading(s, NULL, err) : st;
}

/* The table was altered, renamed or dropped since catalog or snapshot were read: another batch, under newer ones, will do. */
static bool
was_altered(const struct unit *u, enum wm_status st, const struct wm_error *err)
{
	if ((st != WM_FATAL || (strcmp(err->code, "42P01") != 0 && strcmp(err->code, "42703") != 0)) &&
	    (st != WM_RETRY || strcmp(err->code, WM_SEED_REWRITTEN) != 0))
		return false;
	wm_log(WM_LOG_INFO, "seed_again", "a batch of the seed of %s.%s has to be read again: %s", u->schema, u->name,
	    err->text);
	return true;
}

static enum wm_status
seeder_work(struct seeder *s, struct wm_error *err)
{
	struct wm_pg **sql = &s->sql;
	struct task t;
	enum wm_status st = wm_pg_connect(s->w->source->config->uri, WM_PG_SQL, "walmill seed", sql, err);

	if (st == WM_OK)
		st = begin_settled(s, err);
	while (st == WM_OK && next_task(s->bulk, &t)) {
		bool altered;

		if (t.unit->state != UNIT_SEEDING)
			continue;
		st = run_task(s, &t, err);
		altered = was_altered(t.unit, st, err);
		if (st == WM_REJECT || altered) {
			/* The read was broken off in the middle. */
			st = altered ? WM_OK : fail_unit(s, err);
			batcher_reset(s->batcher);
			wm_pg_close(s->sql);
			s->sql = NULL;
			if (st == WM_OK)
				st = wm_pg_connect(s->w->source->config->uri, WM_PG_SQL, "walmill seed", sql, err);
			if (st == WM_OK)
				st = begin_settled(s, err);
		}
	}
	return st;
}

static void *
seeder_main(void *arg)
{
	struct seeder *s = arg;

	wm_log_context("target", s->w->model->name);
	s->st = seeder_work(s, &s->err);
	if (s->st != WM_OK)
		atomic_store(&s->bulk->failed, true);
	pthread_mutex_lock(&s->w->lock);
	atomic_fetch_sub(&s->bulk->running, 1);
	pthread_cond_broadcast(&s->w->changed);
	pthread_mutex_unlock(&s->w->lock);
	return NULL;
}

static void
seeder_clear(struct seeder *s)
{
	wm_target_destroy(s->own);
	wm_pg_close(s->sql);
	wm_plan_free(s->plan);
	batcher_destroy(s->batcher);
	free(s->visible);
}

static enum wm_status
seeder_init(struct seeder *s, struct bulk *b, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	s->w = b->w;
	s->bulk = b;
	s->opened = &b->opened;
	s->delivery = b->w->delivery;
	s->batcher = batcher_create();
	if (s->batcher == NULL)
		return wm_oom(err, "a batch");
	if ((b->w->target->ops->caps & WM_TARGET_PARALLEL) != 0) {
		st = wm_target_clone(b->w->model, &s->own, err);
		if (st == WM_OK)
			st = s->own->ops->open(s->own, err);
		s->delivery.target = s->own;
		s->opened = &s->own_opened;
		s->own_opened = 1;
	}
	return st;
}

/* Makes views exist and lists what is to be read: leaf by leaf, or whole units for append views. */
static enum wm_status
plan_bulk(struct bulk *b, struct wm_error *err)
{
	struct worker *w = b->w;
	struct seeder s = { .w = w, .delivery = w->delivery, .batcher = w->batcher, .exact = true,
		.opened = &b->opened };
	enum wm_status st = worker_sql(w, err);

	for (size_t i = 0; st == WM_OK && i < w->nunits; i++) {
		struct unit *u = w->units[i];
		struct wm_leaves leaves = { 0 };
		size_t ntasks;
		struct task *tasks;

		if (u->state != UNIT_SEEDING || worker_hold(w, u->rule) != NULL)
			continue;
		restart_append(u);
		st = compile(&s, u, err);
		if (st == WM_OK)
			st = wm_catalog_leaves(w->sql, u->oid, &leaves, err);
		if (st == WM_OK)
			st = match_leaves(u, &leaves, err);
		wm_leaves_free(&leaves);
		if (st == WM_OK)
			st = empty_view(&s, err);
		if (st == WM_OK)
			st = write_batch(&s, NULL, NULL, err);		/* creates the view */
		if (st == WM_REJECT) {
			st = fail_unit(&s, err);
			continue;
		}
		if (st != WM_OK)
			break;
		ntasks = u->rule->mode == WM_MODE_APPEND ? 1 : u->nleaves;
		tasks = realloc(b->tasks, (b->ntasks + ntasks + 1) * sizeof(*tasks));
		if (tasks == NULL)
			st = wm_oom(err, "a seed");
		else
			b->tasks = tasks;
		for (size_t k = 0; st == WM_OK && k < ntasks; k++)
			b->tasks[b->ntasks++] = (struct task){ .unit = u,
				.leaf = u->rule->mode == WM_MODE_APPEND ? SIZE_MAX : k };
		/* A partitioned table without partitions has nothing to read. */
		if (st == WM_OK && u->nleaves == 0)
			unit_done(&s);
	}
	wm_plan_free(s.plan);
	return st;
}

static size_t
count_seeders(const struct bulk *b)
{
	size_t n = 1;

	for (size_t i = 0; i < b->ntasks; i++)
		if ((size_t)b->tasks[i].unit->rule->seed_workers > n)
			n = (size_t)b->tasks[i].unit->rule->seed_workers;
	return n < b->ntasks ? n : b->ntasks;
}

/* Starts the seeders, keeps the counters in view, collects the first error. */
static enum wm_status
run_bulk(struct bulk *b, struct wm_error *err)
{
	size_t n = count_seeders(b), started = 0;
	WM_AUTO(wm_freep) struct seeder *seeders = calloc(n + 1, sizeof(*seeders));
	enum wm_status st = seeders == NULL ? wm_oom(err, "a seed") : WM_OK;

	for (; st == WM_OK && started < n; started++) {
		st = seeder_init(&seeders[started], b, err);
		if (st == WM_OK) {
			atomic_fetch_add(&b->running, 1);
			if (pthread_create(&seeders[started].thread, NULL, seeder_main, &seeders[started]) != 0) {
				atomic_fetch_sub(&b->running, 1);
				st = wm_fail(err, WM_RETRY, "could not start a thread for seeding");
			}
		}
		if (st != WM_OK) {
			seeder_clear(&seeders[started]);
			atomic_store(&b->failed, true);
			break;
		}
	}
	while (atomic_load(&b->running) > 0) {
		worker_rest(b->w, wm_clock_mono() + SHOW_EVERY);
		worker_show_rules(b->w);
		atomic_store(&b->w->alive, wm_clock_mono());
	}
	for (size_t i = 0; i < started; i++) {
		pthread_join(seeders[i].thread, NULL);
		if (st == WM_OK && seeders[i].st != WM_OK) {
			*err = seeders[i].err;
			st = seeders[i].st;
		}
		seeder_clear(&seeders[i]);
	}
	return st;
}

enum wm_status
seed_bulk(struct worker *w, struct wm_error *err)
{
	struct bulk b = { .w = w, .opened = 1 };
	enum wm_status st;

	pthread_mutex_init(&b.lock, NULL);
	pthread_mutex_lock(&w->source->lock);
	memcpy(b.snapshot, w->source->snapshot, sizeof(b.snapshot));
	pthread_mutex_unlock(&w->source->lock);
	st = plan_bulk(&b, err);
	if (st == WM_OK && b.ntasks > 0)
		st = run_bulk(&b, err);
	free(b.tasks);
	pthread_mutex_destroy(&b.lock);
	batcher_reset(w->batcher);
	w->bookmarks = true;
	worker_show_rules(w);
	return st;
}

/* ---- one batch at a time ---- */

static struct unit *
due_unit(struct worker *w)
{
	for (size_t i = 0; i < w->nunits; i++)
		if (w->units[i]->state == UNIT_SEEDING && worker_hold(w, w->units[i]->rule) == NULL)
			return w->units[i];
	return NULL;
}

static enum wm_status
late_batch(struct seeder *s, struct wm_error *err)
{
	struct unit *u = s->unit;
	struct wm_leaves leaves = { 0 };
	enum wm_status st;

	restart_append(u);
	st = compile(s, u, err);
	if (st == WM_OK)
		st = empty_view(s, err);
	if (st == WM_OK)
		st = write_batch(s, NULL, NULL, err);		/* creates the view */
	if (st == WM_OK)
		st = wm_publication_settle(s->sql, u->settle_xid, wm_clock_mono(), err);
	if (st == WM_RETRY && PQstatus(wm_pg_conn(s->sql)) == CONNECTION_OK) {
		/* Later; the stream goes on meanwhile. */
		stats_set_error(u->stats, err->text);
		return WM_OK;
	}
	if (st == WM_OK)
		st = begin_reading(s, NULL, err);
	/* A row of before a transaction that has been applied must not come after it. */
	if (st == WM_OK && !worker_sees_all(s->w, s->visible))
		return wm_seed_end(s->sql, err);	/* later */
	if (st == WM_OK)
		st = wm_catalog_leaves(s->sql, u->oid, &leaves, err);
	if (st == WM_OK)
		st = match_leaves(u, &leaves, err);
	if (st == WM_OK)
		number_rows(s);
	for (size_t i = 0; st == WM_OK && i < u->nleaves; i++) {
		if (u->leaves[i].done)
			continue;
		if (u->rule->mode == WM_MODE_APPEND) {
			st = seed_leaf(s, &leaves, i, err);
			continue;
		}
		st = seed_range(s, find_leaf(&leaves, u->leaves[i].oid), &u->leaves[i], err);
		break;
	}
	wm_leaves_free(&leaves);
	if (st == WM_OK)
		unit_done(s);
	return st == WM_OK ? wm_seed_end(s->sql, err) : st;
}

enum wm_status
seed_step(struct worker *w, bool *ret_did, struct wm_error *err)
{
	struct seeder s = { .w = w, .delivery = w->delivery, .batcher = w->batcher, .unit = due_unit(w),
		.own_opened = 1 };
	enum wm_status st;

	s.opened = &s.own_opened;
	*ret_did = s.unit != NULL;
	if (s.unit == NULL)
		return WM_OK;
	st = worker_sql(w, err);
	if (st != WM_OK)
		return st;
	s.sql = w->sql;
	st = late_batch(&s, err);
	w->bookmarks |= s.unit->dirty;
	wm_plan_free(s.plan);
	free(s.visible);
	w->delivery.buried = s.delivery.buried;
	batcher_reset(w->batcher);
	if (st != WM_OK) {
		wm_pg_close(w->sql);	/* in the middle of a transaction, perhaps of a COPY */
		w->sql = NULL;
	}
	if (st == WM_REJECT)
		st = fail_unit(&s, err);
	if (was_altered(s.unit, st, err))
		st = WM_OK;
	worker_show_rules(w);
	return st;
}
