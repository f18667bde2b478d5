/* SPDX-License-Identifier: PostgreSQL */
/*
 * seed_unit.c - the seed of one table under one rule, range by range.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "letters.h"
#include "seeder.h"
#include "walmill/fault.h"
#include "walmill/strutil.h"

#define ROWS_PER_BLOCK 80		/* where the catalog has no estimate yet */
#define READY_STEP (200 * WM_MSEC)

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
	struct wm_change change = {
		.kind = WM_EVENT_SEED, .at = s->at, .commit_time = wm_clock_wall(), .after = &kept
	};
	struct wm_plan_rows rows = { 0 };
	unsigned filtered = 0, dead = 0;
	enum wm_status st = WM_OK;

	if (worker_stopping(s->w) || (s->broken != NULL && atomic_load(s->broken)))
		return wm_fail(err, WM_RETRY, "stopping");
	s->at.index++;
	s->read++;
	if (!keep_values(batcher_arena(s->batcher), row, &kept))
		return wm_oom(err, "a row");
	/* What takes the place of all rows of before need not say which of them have to go. */
	switch (wm_plan_apply(s->plan, &change, s->unit->reseed && !s->unit->staged ? WM_PLAN_RESEED : 0,
	    batcher_arena(s->batcher), &rows, err)) {
	case WM_PLAN_ROWS:
		st = take_rows(s, &rows, err);
		break;
	case WM_PLAN_BAD:
		dead = 1;
		st = deliver_refused(&s->delivery, s->plan, &change, batcher_arena(s->batcher), err);
		break;
	case WM_PLAN_NOTHING:
	case WM_PLAN_TRUNCATE:
	case WM_PLAN_REREAD:
		filtered = 1;
		break;
	}
	s->filtered += filtered;
	s->dead += dead;
	pthread_mutex_lock(&s->unit->lock);
	s->unit->read++;
	s->unit->filtered += filtered;
	s->unit->dead += dead;
	pthread_mutex_unlock(&s->unit->lock);
	if (st == WM_OK && (batcher_view_rows(s->batcher, wm_plan_view(s->plan)) >= (size_t)rule->batch_rows ||
	    wm_arena_used(batcher_arena(s->batcher)) >= rule->batch_bytes))
		st = seeder_write(s, NULL, NULL, err);
	return st;
}

static uint32_t
range_blocks(const struct wm_rule *rule, const struct wm_leaf *leaf)
{
	double per_block = leaf->rows > 0 && leaf->blocks > 0 ? leaf->rows / leaf->blocks : ROWS_PER_BLOCK;
	double blocks = (double)rule->seed_batch_rows / (per_block < 1 ? 1 : per_block);

	return blocks < 1 ? 1 : blocks > 1e9 ? 1000000000 : (uint32_t)blocks;
}

void
seeder_uncount(struct seeder *s)
{
	struct unit *u = s->unit;

	pthread_mutex_lock(&u->lock);
	u->read -= s->read;
	u->written -= s->written;
	u->filtered -= s->filtered;
	u->dead -= s->dead;
	pthread_mutex_unlock(&u->lock);
	s->read = s->written = s->filtered = s->dead = 0;
}

enum wm_status
seeder_check_range(struct seeder *s, const struct seed_range *range, struct wm_error *err)
{
	bool has_rows = false;
	enum wm_status st = wm_seed_check_rewrite(s->sql, range->leaf->oid, err);

	if (st == WM_OK && range->from == 0 && range->to == WM_SEED_TO_END && s->read == 0)
		st = wm_seed_has_rows(s->sql, range->leaf->schema, range->leaf->name, &has_rows, err);
	if (st == WM_OK && has_rows)
		st = wm_fail(err, WM_FATAL, "the seed of %s.%s read no row, but the table has rows",
		    range->leaf->schema, range->leaf->name);
	return st;
}

/* Each row goes through the rule. */
static enum wm_status
read_range(struct seeder *s, const struct seed_range *range, struct wm_error *err)
{
	struct wm_seed_range blocks = { .rel = wm_plan_relation(s->plan), .needed = wm_plan_needed(s->plan),
		.schema = range->leaf->schema, .name = range->leaf->name, .from = range->from, .to = range->to };
	uint64_t rows;
	enum wm_status st = wm_seed_copy(s->sql, &blocks, take_row, s, &rows, err);

	if (st == WM_OK)
		st = seeder_check_range(s, range, err);
	return st == WM_OK ? seeder_write_range(s, range, false, err) : st;
}

size_t
seeder_count_ranges(const struct wm_rule *rule, const struct wm_leaf *leaf)
{
	return (size_t)leaf->blocks / range_blocks(rule, leaf) + 1;
}

/* False: what is left of the leaf is others' to do, or nothing is. */
static bool
claim(struct seeder *s, struct seed_range *range)
{
	struct unit *u = s->unit;
	bool got;

	pthread_mutex_lock(&u->lock);
	got = u->state == UNIT_SEEDING && leaf_claim(range->progress, range->leaf->blocks,
	    range_blocks(u->rule, range->leaf), &range->from, &range->to);
	pthread_mutex_unlock(&u->lock);
	return got;
}

enum wm_status
seeder_range(struct seeder *s, const struct wm_leaf *leaf, struct leaf_progress *progress, bool *ret_more,
    struct wm_error *err)
{
	struct seed_range range = { .leaf = leaf, .progress = progress };
	enum wm_status st = WM_REJECT;

	*ret_more = leaf != NULL && claim(s, &range);
	if (!*ret_more)
		return WM_OK;
	s->read = s->written = s->filtered = s->dead = 0;
	if (seeder_may_pass(s)) {
		st = seeder_write_range(s, &range, true, err);
		seeder_note_pass(s, st == WM_OK);
		if (st != WM_OK)
			seeder_uncount(s);
	}
	if (st == WM_REJECT && !s->passing.broke_off) {
		/* Each row by itself, which is written over one that is there: for that the view needs its key. */
		st = seeder_make_key(s, err);
		if (st == WM_OK)
			st = read_range(s, &range, err);
	}
	if (st != WM_OK)
		seeder_uncount(s);
	return st;
}

/* ---- one unit ---- */

/* Brings the progress of a unit's leaves in line with what the table consists of now. */
enum wm_status
seeder_match_leaves(struct unit *u, const struct wm_leaves *leaves, struct wm_error *err)
{
	struct leaf_progress *list = calloc(leaves->n + 1, sizeof(*list));

	if (list == NULL)
		return wm_oom(err, "a table");
	for (size_t i = 0; i < leaves->n; i++)
		list[i] = (struct leaf_progress){ .oid = leaves->list[i].oid, .node = leaves->list[i].node,
			.link = leaves->list[i].link };
	if (partitions_lost(u, list, leaves->n))
		partitions_begin_again(u);
	pthread_mutex_lock(&u->lock);
	for (size_t i = 0; i < leaves->n; i++)
		for (size_t k = 0; k < u->nleaves; k++)
			/* Else rewritten, truncated, or away a while: blocks mean something else now. */
			if (u->leaves[k].oid == list[i].oid && u->leaves[k].node == list[i].node &&
			    u->leaves[k].link == list[i].link)
				list[i] = u->leaves[k];
	/* Nobody works at it yet. */
	for (size_t i = 0; i < leaves->n; i++)
		list[i].claimed = 0;
	free(u->leaves);
	u->leaves = list;
	u->nleaves = leaves->n;
	pthread_mutex_unlock(&u->lock);
	return WM_OK;
}

/* A seed that begins reads every row: what was refused in an older life of the view does not count any more. */
enum wm_status
seeder_forget_letters(struct seeder *s, struct wm_error *err)
{
	return unit_has_progress(s->unit) ? WM_OK : letters_drop_view(s->delivery.letters, wm_plan_view(s->plan), err);
}

/* A seed ends with the columns it began with: other columns are another seed. */
static enum wm_status
note_columns(struct seeder *s, struct wm_error *err)
{
	struct unit *u = s->unit;
	WM_AUTO(wm_freep) char *listed = columns_signature(u->rel, wm_plan_needed(s->plan));
	WM_AUTO(wm_freep) char *now = listed == NULL ? NULL : columns_merge(u->columns, listed);

	if (now == NULL)
		return wm_oom(err, "a table");
	if (u->numbers == NULL)
		(void)columns_replaced(u, u->rel, wm_plan_needed(s->plan));
	if (u->columns != NULL && strcmp(u->columns, now) == 0)
		return WM_OK;
	if (u->columns != NULL && unit_has_progress(u))
		unit_restart(u);
	free(u->columns);
	u->columns = now;
	now = NULL;
	u->dirty = true;
	return WM_OK;
}

enum wm_status
seeder_compile(struct seeder *s, struct unit *u, struct wm_error *err)
{
	struct wm_plan_env env = pipeline_plan_env(s->w->p, s->w->source);
	enum wm_status st;

	env.emptied = u->empty_view;
	env.bare = u->bare;
	wm_plan_free(s->plan);
	s->plan = NULL;
	s->ensured = 0;
	s->unit = u;
	s->read = s->written = s->filtered = s->dead = 0;
	st = wm_plan_compile(u->rule, u->rel, &env, &s->plan, err);
	if (st == WM_OK)
		st = seeder_look_at_passing(s, err);
	return st == WM_OK ? note_columns(s, err) : st;
}

/* An append view's rows carry positions, so its seed has one snapshot or starts again. */
void
seeder_restart_append(struct unit *u)
{
	if (u->rule->mode != WM_MODE_APPEND)
		return;
	if (unit_has_progress(u))
		unit_restart(u);
}

/*
 * Rows of before that the seed would not overwrite go first.  An append view's seed that breaks
 * off has to go as well: its bookmark says so from its first row on.
 */
enum wm_status
seeder_empty_view(struct seeder *s, struct wm_error *err)
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
		st = seeder_write(s, name, value, err);
	WM_FAULT(seed_view_emptied);
	u->empty_view = st == WM_OK ? false : truncate;
	u->reseed = st == WM_OK ? false : reseed;
	if (s->bulk == NULL)
		routes_forget(s->w);	/* their plans say that the view is to be emptied */
	return st;
}

bool
unit_complete(const struct unit *u)
{
	for (size_t i = 0; i < u->nleaves; i++)
		if (!u->leaves[i].done)
			return false;
	return true;
}

/* Rows of before stay to be seen until those of the seed are all there, if the target can do that. */
static enum wm_status
stage(struct seeder *s, enum wm_stage what, struct wm_error *err)
{
	struct wm_target *t = s->delivery.target;
	enum wm_status st;

	if (s->instance_lock != NULL)
		pthread_mutex_lock(s->instance_lock);
	st = t->ops->stage(t, wm_plan_view(s->plan), what, err);
	if (s->instance_lock != NULL)
		pthread_mutex_unlock(s->instance_lock);
	return st;
}

enum wm_status
seeder_stage_begin(struct seeder *s, struct wm_error *err)
{
	struct unit *u = s->unit;
	enum wm_status st;

	if (!u->empty_view || u->rule->mode == WM_MODE_APPEND || s->delivery.target->ops->stage == NULL)
		return WM_OK;
	st = seeder_write(s, NULL, NULL, err);		/* creates the view */
	if (st == WM_OK)
		st = stage(s, WM_STAGE_BEGIN, err);
	u->staged = st == WM_OK;
	return st == WM_REJECT ? WM_OK : st;
}

enum wm_status
seeder_stage_may(struct seeder *s, bool *ret_may, struct wm_error *err)
{
	enum wm_status st = s->unit->staged ? stage(s, WM_STAGE_READY, err) : WM_OK;

	*ret_may = st == WM_OK;
	if (st != WM_RETRY || strcmp(err->code, "later") != 0)
		return st;
	stats_set_error(s->unit->stats, err->text);
	return WM_OK;
}

enum wm_status
seeder_stage_ready(struct seeder *s, struct wm_error *err)
{
	bool may;
	enum wm_status st;

	while ((st = seeder_stage_may(s, &may, err)) == WM_OK && !may) {
		if (worker_stopping(s->w) || (s->broken != NULL && atomic_load(s->broken)))
			return wm_fail(err, WM_RETRY, "stopping");
		worker_rest(s->w, wm_clock_mono() + READY_STEP);
	}
	return st;
}

enum wm_status
seeder_stage_end(struct seeder *s, struct wm_error *err)
{
	struct unit *u = s->unit;
	WM_AUTO(wm_freep) char *name = bookmark_unit_name(u);
	WM_AUTO(wm_freep) char *value = NULL;
	bool last;
	enum wm_status st;

	pthread_mutex_lock(&u->lock);
	last = u->staged && unit_complete(u);
	if (last) {
		u->staged = false;		/* this seeder's to do */
		u->empty_view = u->reseed = false;
		value = bookmark_unit(u);
	}
	pthread_mutex_unlock(&u->lock);
	if (!last)
		return WM_OK;
	st = stage(s, WM_STAGE_END, err);
	if (st == WM_REJECT)
		st = err->status = WM_RETRY;	/* the other way, in another session */
	WM_FAULT(seed_staged);
	if (st == WM_OK)
		st = name == NULL || value == NULL ? wm_oom(err, "a bookmark") : seeder_write(s, name, value, err);
	return st;
}

/* What keeps another table of the rule out is still to be told. */
static bool
rule_has_failed_unit(const struct worker *w, const struct wm_rule *rule)
{
	for (size_t i = 0; i < w->nunits; i++)
		if (w->units[i]->rule == rule && w->units[i]->state == UNIT_FAILED)
			return true;
	return false;
}

void
seeder_unit_done(struct seeder *s)
{
	struct unit *u = s->unit;
	bool to_count = false;

	pthread_mutex_lock(&u->lock);
	if (!s->exact && s->snapshot_lsn > u->catchup)
		u->catchup = s->snapshot_lsn;
	if (u->bare) {
		/* Its key is still to be made. */
	} else if (unit_complete(u) && u->state != UNIT_SEEDING) {
		/* Another seeder came to its end first. */
		if (u->state == UNIT_STREAMING && u->catchup != 0)
			u->state = UNIT_CATCHING;
	} else if (unit_complete(u)) {
		if (!rule_has_failed_unit(s->w, u->rule))
			stats_set_error(u->stats, NULL);
		to_count = u->state == UNIT_SEEDING && seeder_may_count(s);
		u->state = u->catchup == 0 ? UNIT_STREAMING : UNIT_CATCHING;
		u->reseed = false;
		u->dirty = true;
		wm_log(WM_LOG_INFO, "seeded",
		    "table %s.%s under rule \"%s\": %" PRIu64 " rows read, %" PRIu64
		    " written, %" PRIu64 " left out by the rule, %" PRIu64 " dead letters",
		    u->schema, u->name, u->rule->name, u->read, u->written, u->filtered, u->dead);
		seeder_account(u);
		WM_FAULT(seed_table_done);
	}
	pthread_mutex_unlock(&u->lock);
	if (to_count)
		seeder_count(s);
}

enum wm_status
seeder_begin(struct seeder *s, const char *snapshot, struct wm_error *err)
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

enum wm_status
seeder_lock_begin(struct seeder *s, struct wm_error *err)
{
	return wm_pg_exec(s->sql, "SAVEPOINT walmill", "could not begin reading", err);
}

enum wm_status
seeder_lock_end(struct seeder *s, struct wm_error *err)
{
	return wm_pg_exec(s->sql, "ROLLBACK TO SAVEPOINT walmill; RELEASE SAVEPOINT walmill",
	    "could not end reading", err);
}

const struct wm_leaf *
seeder_find_leaf(const struct wm_leaves *leaves, uint32_t oid)
{
	for (size_t i = 0; i < leaves->n; i++)
		if (leaves->list[i].oid == oid)
			return &leaves->list[i];
	return NULL;
}

/* The row positions of an append view: one snapshot for the whole unit. */
enum wm_status
seeder_number_rows(struct seeder *s, struct wm_error *err)
{
	char *visible;

	s->at = (struct wm_position){ .commit_lsn = s->snapshot_lsn };
	if (s->unit->rule->mode != WM_MODE_APPEND)
		return WM_OK;
	/* A copy: the seeder's next unit is read under the same snapshot. */
	visible = strdup(s->visible);
	if (visible == NULL)
		return wm_oom(err, "a snapshot");
	free(s->unit->visible);
	s->unit->visible = visible;
	return WM_OK;
}

enum wm_status
seeder_leaf(struct seeder *s, const struct wm_leaves *leaves, size_t i, struct wm_error *err)
{
	struct leaf_progress *progress = &s->unit->leaves[i];
	const struct wm_leaf *leaf = seeder_find_leaf(leaves, progress->oid);
	bool more = true;
	enum wm_status st = WM_OK;

	while (st == WM_OK && more)
		st = seeder_range(s, leaf, progress, &more, err);
	return st;
}

enum wm_status
seeder_stage_drop(struct seeder *s, struct wm_error *err)
{
	bool staged = s->unit->staged;

	s->unit->staged = false;
	return staged ? stage(s, WM_STAGE_DROP, err) : WM_OK;
}

/* A rule that stops takes its unit out; the others go on. */
enum wm_status
seeder_fail_unit(struct seeder *s, struct wm_error *err)
{
	stats_set_error(s->unit->stats, err->text);
	if (s->unit->state != UNIT_FAILED)
		wm_log(WM_LOG_ERROR, "seed_failed", "the seed of %s.%s under rule \"%s\" stops: %s",
	    s->unit->schema, s->unit->name, s->unit->rule->name, err->text);
	pthread_mutex_lock(&s->unit->lock);
	unit_fail(s->unit, s->written > 0);
	pthread_mutex_unlock(&s->unit->lock);
	batcher_reset(s->batcher);
	return seeder_stage_drop(s, err);
}

/* The table was altered, renamed or dropped since catalog or snapshot were read: another batch, under newer ones, will do. */
bool
seeder_was_altered(const struct unit *u, enum wm_status st, const struct wm_error *err)
{
	if ((st != WM_FATAL || (strcmp(err->code, "42P01") != 0 && strcmp(err->code, "42703") != 0)) &&
	    (st != WM_RETRY || strcmp(err->code, WM_SEED_REWRITTEN) != 0))
		return false;
	wm_log(WM_LOG_INFO, "seed_again", "a batch of the seed of %s.%s has to be read again: %s", u->schema, u->name,
	    err->text);
	return true;
}
