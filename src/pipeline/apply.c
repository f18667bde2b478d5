/* SPDX-License-Identifier: PostgreSQL */
/*
 * apply.c - from decoded messages to rows that wait in the batch.
 *
 * A transaction counts as new by the LSN of its commit, never by that of a change.
 */
#include <string.h>

#include "letters.h"
#include "receipts.h"

bool
apply_wants(struct worker *w, const struct unit *u)
{
	const struct hold *h = worker_hold(w, u->rule);

	if (h != NULL && (!h->resuming || w->at.commit_lsn <= h->commit_lsn))
		return false;
	if (h == NULL && w->at.commit_lsn <= atomic_load_explicit(&w->commit_lsn, memory_order_relaxed))
		return false;
	/* A log begins with its seed. */
	if (u->rule->mode == WM_MODE_APPEND && u->state == UNIT_SEEDING)
		return false;
	return u->visible == NULL || !wm_snapshot_sees(u->visible, w->xid);
}

static void
count(struct rule_stats *s, enum wm_event_kind kind)
{
	atomic_fetch_add_explicit(kind == WM_EVENT_INSERT ? &s->inserts : kind == WM_EVENT_UPDATE ? &s->updates :
	    kind == WM_EVENT_DELETE ? &s->deletes : &s->truncates, 1, memory_order_relaxed);
}

/* What waits is written; values in the batcher's arena stay. */
static enum wm_status
write_waiting(struct worker *w, struct wm_error *err)
{
	enum wm_status st = apply_write(w, err);

	if (st == WM_OK)
		batcher_clear_rows(w->batcher);
	return st;
}

static enum wm_status
put_row(struct worker *w, struct route_plan *rp, const struct wm_row *row, struct wm_error *err)
{
	const struct wm_view *view = wm_plan_view(rp->plan);
	enum wm_status st = batcher_add(w->batcher, view, row, err);

	if (st == WM_RETRY) {
		st = write_waiting(w, err);
		if (st == WM_OK)
			st = batcher_add(w->batcher, view, row, err);
	}
	if (st != WM_OK)
		return st;
	w->pending = true;
	gather_note(w, view, rp->unit->stats);
	return WM_OK;
}

/*
 * A log tells what the event said: only what it left out comes from the row as it is now.  (A view of the
 * present state takes the whole row, for one that is half of then and half of now has never been.)
 */
static void
keep_event(const struct wm_tuple *event, struct wm_tuple *row)
{
	for (unsigned i = 0; i < row->n; i++)
		if (event->values[i].kind != WM_VALUE_UNCHANGED)
			row->values[i] = event->values[i];
}

/*
 * The row has another key by now, or is gone, and may take the place of what a seed has put there.  A later change that
 * moved it may leave out values, too, and would find nothing to change: up to where the source is now rows have to be
 * whole.
 */
static enum wm_status
whole_until_now(struct worker *w, struct unit *u, struct wm_error *err)
{
	wm_lsn now;
	enum wm_status st;

	if ((w->target->ops->caps & WM_TARGET_PARTIAL) == 0 || u->rule->mode != WM_MODE_UPSERT)
		return WM_OK;
	st = wm_pg_current_lsn(w->sql, &now, err);
	if (st != WM_OK)
		return st;
	if (now > u->catchup)
		u->catchup = now;
	if (u->state == UNIT_STREAMING)
		u->state = UNIT_CATCHING;
	u->dirty = w->bookmarks = true;
	worker_show_rules(w);
	return WM_OK;
}

/* An update whose row must be known whole: as it is at the source now. */
static enum wm_status
read_again(struct worker *w, struct route *r, struct route_plan *rp, const struct wm_change *change, unsigned flags,
    struct wm_plan_rows *rows, enum wm_outcome *ret, struct wm_error *err)
{
	struct wm_arena *arena = batcher_arena(w->batcher);
	const struct wm_tuple *key = change->after != NULL ? change->after : change->before;
	struct wm_change whole = *change;
	struct wm_tuple row;
	bool found = false;
	unsigned nkeys;
	const unsigned *keys = wm_plan_source_key(rp->plan, &nkeys);
	enum wm_status st = worker_sql_now(w, err);

	atomic_fetch_add_explicit(&rp->unit->stats->rereads, 1, memory_order_relaxed);
	if (st == WM_OK)
		st = wm_seed_read_row(w->sql, r->rel, wm_plan_needed(rp->plan), keys, nkeys, key,
		    arena, &row, &found, err);
	if (st == WM_FATAL && (strcmp(err->code, "42P01") == 0 || strcmp(err->code, "42703") == 0)) {
		/* Dropped, renamed or altered since: the row is taken out now, and back in by a seed. */
		if (rp->unit->rule->mode == WM_MODE_UPSERT)
			unit_restart(rp->unit);
		w->bookmarks = true;
		worker_show_rules(w);
		st = WM_OK;
	}
	if (st == WM_REJECT)
		w->delivery.failed_rule = rp->unit->rule->name;	/* its row cannot be read: the others go on */
	if (st != WM_OK)
		return st;
	if (!found) {
		*ret = wm_plan_vanished(rp->plan, change, arena, rows, err);
		return whole_until_now(w, rp->unit, err);
	}
	if (rp->unit->rule->mode == WM_MODE_APPEND)
		keep_event(change->after, &row);
	whole.after = &row;
	*ret = wm_plan_apply(rp->plan, &whole, flags, arena, rows, err);
	if (*ret == WM_PLAN_REREAD)
		return wm_fail(err, WM_FATAL, "rule \"%s\" is not satisfied with a whole row", rp->unit->rule->name);
	return WM_OK;
}

static enum wm_status
apply_change(struct worker *w, struct route *r, struct route_plan *rp, const struct wm_change *change,
    struct wm_error *err)
{
	bool whole = rp->unit->state != UNIT_STREAMING || (w->target->ops->caps & WM_TARGET_PARTIAL) == 0 ||
	    atomic_load(&rp->unit->stats->refused);
	unsigned flags = whole ? WM_PLAN_WHOLE : 0;
	struct wm_plan_rows rows = { 0 };
	enum wm_outcome outcome = wm_plan_apply(rp->plan, change, flags, batcher_arena(w->batcher), &rows, err);
	enum wm_status st = WM_OK;

	if (outcome == WM_PLAN_REREAD)
		st = read_again(w, r, rp, change, flags, &rows, &outcome, err);
	if (st != WM_OK || outcome == WM_PLAN_NOTHING)
		return st;
	st = route_ensure(w, rp, err);
	if (st != WM_OK)
		return st;
	count(rp->unit->stats, change->kind);
	if (outcome == WM_PLAN_BAD)
		st = deliver_refused(&w->delivery, rp->plan, change, batcher_arena(w->batcher), err);
	if (outcome == WM_PLAN_TRUNCATE) {
		rp->unit->truncated = w->at.commit_lsn;
		w->pending = true;
		return batcher_truncate(w->batcher, wm_plan_view(rp->plan), err);
	}
	for (unsigned i = 0; st == WM_OK && i < rows.n; i++)
		st = put_row(w, rp, &rows.row[i], err);
	return st;
}

/* Whether what waits has reached a bound of the rule; notes when it comes near. */
static bool
is_full(struct worker *w, const struct route_plan *rp)
{
	const struct wm_rule *rule = rp->unit->rule;
	const struct wm_target_ops *ops = w->target->ops;
	bool open = rule->batch_open && ops->batch_rows != 0;
	size_t max_rows = open ? ops->batch_rows : (size_t)rule->batch_rows;
	size_t max_bytes = open ? ops->batch_bytes : rule->batch_bytes;
	size_t rows = batcher_view_rows(w->batcher, wm_plan_view(rp->plan));
	size_t bytes = wm_arena_used(batcher_arena(w->batcher));

	if (w->unreleased > bytes)
		bytes = w->unreleased;
	gather_crowd(w, rule, rows, bytes);
	w->ripe |= rows >= max_rows - max_rows / 8 || bytes >= max_bytes - max_bytes / 8;
	return rows >= max_rows || bytes >= max_bytes;
}

static enum wm_status
apply_dml(struct worker *w, const struct wm_message *m, enum wm_event_kind kind, struct wm_error *err)
{
	struct wm_change change = { .kind = kind, .at = w->at, .commit_time = w->commit_time, .before = m->before,
		.before_full = m->before_full, .after = m->after };
	struct route *r;
	enum wm_status st = route_get(w, m->relation, &r, err);
	bool full = false;

	for (size_t i = 0; st == WM_OK && i < r->nplans; i++) {
		if (!apply_wants(w, r->plans[i].unit))
			continue;
		st = apply_change(w, r, &r->plans[i], &change, err);
		full |= is_full(w, &r->plans[i]);
	}
	if (st == WM_OK && full)
		st = apply_hand_over(w, false, err);
	return st;
}

static enum wm_status
apply_truncate(struct worker *w, const struct wm_message *m, struct wm_error *err)
{
	struct wm_change change = { .kind = WM_EVENT_TRUNCATE, .at = w->at, .commit_time = w->commit_time };

	for (unsigned i = 0; i < m->nrelations; i++) {
		struct route *r;
		enum wm_status st = route_get(w, m->relations[i], &r, err);

		for (size_t k = 0; st == WM_OK && k < r->nplans; k++)
			if (apply_wants(w, r->plans[k].unit))
				st = apply_change(w, r, &r->plans[k], &change, err);
		if (st != WM_OK)
			return st;
	}
	/* Letters of what comes behind it must not be taken for letters of before. */
	return apply_flush(w, err);
}

static void
begin(struct worker *w, const struct wm_message *m)
{
	w->at = (struct wm_position){ .commit_lsn = m->lsn };
	w->commit_time = m->time;
	w->xid = m->xid;
	w->xid_visible = false;
	w->applied[w->napplied++ % APPLIED_XIDS] = m->xid;
	w->in_transaction = true;
	w->mixed = w->pending || w->uncommitted || w->flies;
	w->skip = m->lsn <= atomic_load(&w->commit_lsn);
	for (const struct hold *h = w->holds; h != NULL; h = h->next)
		w->skip &= !h->resuming || m->lsn <= h->commit_lsn;
	if (!w->skip)
		atomic_store_explicit(&w->behind_since, m->time, memory_order_relaxed);
}

/* The transaction is whole; whether it is committed now or gathers with the next is up to the load. */
static enum wm_status
commit(struct worker *w, const struct wm_message *m, struct wm_error *err)
{
	enum wm_status st;

	w->in_transaction = false;
	w->boundary_commit = m->lsn;
	w->boundary_end = m->end_lsn;
	if (!w->skip && (w->pending || w->uncommitted) && w->nwaiting < LATENCY_SAMPLES)
		w->waiting[w->nwaiting++] = w->commit_time;
	if (m->end_lsn <= w->commit_upto)
		return apply_commit(w, err);
	/* They gather for as long as the target is busy with those before. */
	if (w->flies && !w->ripe && !ahead_done(w->ahead))
		return WM_OK;
	st = apply_land(w, err);
	if (st != WM_OK)
		return st;
	if (w->ripe && w->pending && apply_may_run_ahead(w))
		return apply_hand_over(w, true, err);
	if (w->uncommitted)
		return apply_commit_soon(w, err);
	return w->pending ? gather_write(w, err) : WM_OK;
}

enum wm_status
apply_message(struct worker *w, const struct wm_message *m, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	switch (m->kind) {
	case WM_MSG_BEGIN:
		begin(w, m);
		return WM_OK;
	case WM_MSG_COMMIT:
		return commit(w, m, err);
	case WM_MSG_INSERT:
		st = w->skip ? WM_OK : apply_dml(w, m, WM_EVENT_INSERT, err);
		break;
	case WM_MSG_UPDATE:
		st = w->skip ? WM_OK : apply_dml(w, m, WM_EVENT_UPDATE, err);
		break;
	case WM_MSG_DELETE:
		st = w->skip ? WM_OK : apply_dml(w, m, WM_EVENT_DELETE, err);
		break;
	case WM_MSG_TRUNCATE:
		st = w->skip ? WM_OK : apply_truncate(w, m, err);
		break;
	case WM_MSG_RELATION:
		routes_announced(w, m->relation->oid);
		return WM_OK;
	case WM_MSG_ORIGIN:
	case WM_MSG_TYPE:
	case WM_MSG_MESSAGE:
		return WM_OK;
	}
	w->at.index++;
	return st;
}
