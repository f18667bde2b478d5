/* SPDX-License-Identifier: PostgreSQL */
/*
 * seed_bulk.c - the first seed: many tables side by side, before the worker streams.
 */
#include <stdlib.h>
#include <string.h>

#include "letters.h"
#include "receipts.h"
#include "seeder.h"
#include "walmill/strutil.h"

#define SHOW_EVERY (200 * WM_MSEC)
#define SETTLE_STEP (5 * WM_SEC)

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
	const struct seeder *broke;	/* the first that failed; the others stop for that */
	atomic_uint	 running;
};

/*
 * In a subtransaction, whose end gives up its locks and keeps the snapshot: other tables may take long, and whoever
 * alters several tables meanwhile would wait for one seeder and be waited for by another, unseen by the server.
 */
static enum wm_status
run_task(struct seeder *s, const struct task *t, struct wm_error *err)
{
	struct wm_leaves leaves = { 0 };
	enum wm_status st = seeder_lock_begin(s, err);

	if (st == WM_OK)
		st = seeder_compile(s, t->unit, err);
	/* Under another snapshot a row could be read a second time. */
	if (st == WM_OK && (t->unit->staged || t->unit->bare) && !s->exact) {
		atomic_store(&s->w->inexact, true);
		st = wm_fail(err, WM_RETRY, "the snapshot of the slot has gone: %s.%s is seeded in another way",
		    t->unit->schema, t->unit->name);
	}
	if (st == WM_OK)
		st = seeder_stage_ready(s, err);
	if (st == WM_OK)
		st = wm_catalog_leaves(s->sql, t->unit->oid, &leaves, err);
	if (st == WM_OK && t->leaf == SIZE_MAX) {
		st = seeder_number_rows(s, err);
		for (size_t i = 0; st == WM_OK && i < t->unit->nleaves; i++)
			st = seeder_leaf(s, &leaves, i, err);
	} else if (st == WM_OK)
		st = seeder_leaf(s, &leaves, t->leaf, err);
	wm_leaves_free(&leaves);
	if (st == WM_OK)
		st = seeder_lock_end(s, err);
	if (st == WM_OK)
		st = seeder_stage_end(s, err);
	if (st == WM_OK)
		st = seeder_end_bare(s, err);
	if (st == WM_OK)
		seeder_unit_done(s);
	return st;
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
		st = seeder_begin(s, s->bulk->snapshot, err);
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
	return st == WM_OK ? seeder_begin(s, NULL, err) : st;
}

static enum wm_status
seeder_work(struct seeder *s, struct wm_error *err)
{
	struct wm_pg **sql = &s->sql;
	struct task t;
	enum wm_status st = source_connect(s->w->source, WM_PG_SQL, "walmill seed", sql, err);

	if (st == WM_OK)
		st = begin_settled(s, err);
	while (st == WM_OK && next_task(s->bulk, &t)) {
		bool altered;

		if (t.unit->state != UNIT_SEEDING)
			continue;
		st = run_task(s, &t, err);
		altered = seeder_was_altered(t.unit, st, err);
		/* What is put aside goes by what was read before: from the beginning again, in another session. */
		if (altered && t.unit->staged)
			return err->status = WM_RETRY;
		if (st == WM_REJECT || altered) {
			/* The read was broken off in the middle. */
			st = altered ? WM_OK : seeder_fail_unit(s, err);
			batcher_reset(s->batcher);
			wm_pg_close(s->sql);
			s->sql = NULL;
			if (st == WM_OK)
				st = source_connect(s->w->source, WM_PG_SQL, "walmill seed", sql, err);
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
	if (s->st != WM_OK && !atomic_exchange(&s->bulk->failed, true))
		s->bulk->broke = s;
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
	seeder_forget_passing(s);
	batcher_destroy(s->batcher);
	letters_destroy(s->delivery.letters);
	receipts_destroy(s->delivery.receipts);
	free(s->visible);
}

static enum wm_status
seeder_init(struct seeder *s, struct bulk *b, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	s->w = b->w;
	s->bulk = b;
	s->opened = &b->opened;
	s->broken = &b->failed;
	s->instance_lock = &b->lock;
	s->delivery = b->w->delivery;
	s->delivery.seed = true;
	s->delivery.receipts = NULL;	/* its own follow */
	s->batcher = batcher_create();
	s->delivery.letters = letters_create(b->w->p, b->w->delivery.source, b->w->model->name);
	if (s->batcher == NULL || s->delivery.letters == NULL)
		return wm_oom(err, "a batch");
	st = letters_load(s->delivery.letters, NULL, err);
	if (st == WM_OK)
		st = receipts_create(b->w->p, b->w->delivery.source->name, b->w->model->name,
		    &s->delivery.receipts, err);
	if (st != WM_OK)
		return st;
	if ((b->w->target->ops->caps & WM_TARGET_PARALLEL) != 0) {
		st = wm_target_clone(b->w->model, &s->own, err);
		if (st == WM_OK) {
			s->own->host = &b->w->host;
			st = s->own->ops->open(s->own, err);
		}
		s->delivery.target = s->own;
		s->opened = &s->own_opened;
		s->own_opened = 1;
		s->instance_lock = NULL;
	}
	return st;
}

/* How many seeders may work at a leaf at the same time. */
static size_t
count_helpers(const struct bulk *b, const struct unit *u, const struct wm_leaf *leaf)
{
	size_t ranges, workers = (size_t)u->rule->seed_workers;

	/* Where all share one instance, rows in the order of their blocks are written faster. */
	if (leaf == NULL || (b->w->target->ops->caps & WM_TARGET_PARALLEL) == 0)
		return 1;
	ranges = seeder_count_ranges(u->rule, leaf);
	return ranges < workers ? ranges : workers;
}

/* Leaf by leaf, each for as many seeders as may work at it, or the whole unit for an append view. */
static enum wm_status
add_tasks(struct bulk *b, struct unit *u, const struct wm_leaves *leaves, struct wm_error *err)
{
	bool whole = u->rule->mode == WM_MODE_APPEND;
	size_t helpers = 1;

	for (size_t i = 0; i < (whole ? 1 : u->nleaves); i++) {
		struct task *tasks;

		if (!whole)
			helpers = count_helpers(b, u, seeder_find_leaf(leaves, u->leaves[i].oid));
		tasks = realloc(b->tasks, (b->ntasks + helpers) * sizeof(*tasks));
		if (tasks == NULL)
			return wm_oom(err, "a seed");
		b->tasks = tasks;
		for (size_t k = 0; k < helpers; k++)
			b->tasks[b->ntasks++] = (struct task){ .unit = u, .leaf = whole ? SIZE_MAX : i };
	}
	return WM_OK;
}

/* Makes the view exist and lists what is to be read. */
static enum wm_status
plan_unit(struct bulk *b, struct seeder *s, struct unit *u, struct wm_error *err)
{
	struct wm_leaves leaves = { 0 };
	enum wm_status st;

	seeder_restart_append(u);
	st = seeder_compile(s, u, err);
	if (st == WM_OK)
		st = wm_catalog_leaves(s->w->sql, u->oid, &leaves, err);
	if (st == WM_OK)
		st = seeder_match_leaves(u, &leaves, err);
	if (st == WM_OK)
		st = seeder_forget_letters(s, err);
	/* Of rows that are read under several snapshots one could be there twice. */
	if (st == WM_OK && b->snapshot[0] != '\0' && !s->w->inexact)
		st = seeder_stage_begin(s, err);
	if (st == WM_OK && !u->staged)
		st = seeder_empty_view(s, err);
	if (st == WM_OK)
		st = seeder_begin_bare(s, b->snapshot[0] != '\0' && !s->w->inexact, err);
	if (st == WM_OK)
		st = seeder_write(s, NULL, NULL, err);		/* creates the view */
	if (st == WM_OK)
		st = add_tasks(b, u, &leaves, err);
	wm_leaves_free(&leaves);
	/* A partitioned table without partitions has nothing to read. */
	if (st == WM_OK && u->nleaves == 0)
		st = seeder_stage_end(s, err);
	if (st == WM_OK && u->nleaves == 0)
		seeder_unit_done(s);
	return st == WM_REJECT ? seeder_fail_unit(s, err) : st;
}

/*
 * Views that are still without their key: those of a session before, whatever has become of their rule, and those whose
 * seed did not come to its end.  After this there is none: the stream finds every view whole.
 */
static enum wm_status
make_keys(struct bulk *b, struct seeder *s, struct wm_error *err)
{
	struct worker *w = b->w;
	enum wm_status st = WM_OK;

	for (size_t i = 0; st == WM_OK && i < w->nunits; i++) {
		if (!w->units[i]->bare)
			continue;
		st = seeder_compile(s, w->units[i], err);
		/* The second time, when its rows were in the way, it is empty. */
		for (int k = 0; st == WM_OK && k < 2; k++)
			st = seeder_make_key(s, err);
		if (st == WM_REJECT)
			st = seeder_fail_unit(s, err);
	}
	return st;
}

static enum wm_status
end_bulk(struct bulk *b, struct wm_error *err)
{
	struct seeder s = { .w = b->w, .delivery = b->w->delivery, .batcher = b->w->batcher, .exact = true,
		.opened = &b->opened };
	enum wm_status st;

	s.delivery.seed = true;
	st = make_keys(b, &s, err);
	wm_plan_free(s.plan);
	seeder_forget_passing(&s);
	return st;
}

static enum wm_status
plan_bulk(struct bulk *b, struct wm_error *err)
{
	struct worker *w = b->w;
	struct seeder s = { .w = w, .delivery = w->delivery, .batcher = w->batcher, .exact = true,
		.opened = &b->opened };
	enum wm_status st = worker_sql(w, err);

	s.delivery.seed = true;
	if (st == WM_OK)
		st = make_keys(b, &s, err);
	for (size_t i = 0; st == WM_OK && i < w->nunits; i++)
		if (w->units[i]->state == UNIT_SEEDING && worker_hold(w, w->units[i]->rule) == NULL)
			st = plan_unit(b, &s, w->units[i], err);
	wm_plan_free(s.plan);
	seeder_forget_passing(&s);
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
	for (size_t i = 0; i < started; i++)
		pthread_join(seeders[i].thread, NULL);
	if (st == WM_OK && b->broke != NULL) {
		*err = b->broke->err;
		st = b->broke->st;
	}
	for (size_t i = 0; i < started; i++)
		seeder_clear(&seeders[i]);
	return st;
}

enum wm_status
seed_bulk(struct worker *w, struct wm_error *err)
{
	struct bulk b = { .w = w, .opened = 1 };
	enum wm_status st;

	pthread_mutex_init(&b.lock, NULL);
	pthread_mutex_lock(&w->source->lock);
	/* What a younger table, or one with younger columns, went through before it was published is after that snapshot. */
	if (w->tables_version == w->source->snapshot_version)
		memcpy(b.snapshot, w->source->snapshot, sizeof(b.snapshot));
	pthread_mutex_unlock(&w->source->lock);
	st = plan_bulk(&b, err);
	if (st == WM_OK && b.ntasks > 0)
		st = run_bulk(&b, err);
	if (st == WM_OK)
		st = end_bulk(&b, err);
	if (st == WM_OK)
		st = letters_load(w->delivery.letters, NULL, err);
	free(b.tasks);
	pthread_mutex_destroy(&b.lock);
	batcher_reset(w->batcher);
	w->bookmarks = true;
	worker_show_rules(w);
	return st;
}
