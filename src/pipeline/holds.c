/* SPDX-License-Identifier: PostgreSQL */
/*
 * holds.c - rules that do not go along: paused by hand, or failed; and what a worker is asked to do between two
 * transactions.
 */
#include <stdlib.h>
#include <string.h>

#include "letters.h"
#include "walmill/strutil.h"

struct hold *
worker_hold(struct worker *w, const struct wm_rule *rule)
{
	struct hold *h = w->holds;

	while (h != NULL && h->rule != rule)
		h = h->next;
	return h;
}

enum wm_status
worker_add_hold(struct worker *w, const struct wm_rule *rule, enum hold_why why, struct wm_error *err)
{
	struct hold *h = worker_hold(w, rule);

	if (h == NULL) {
		h = calloc(1, sizeof(*h));
		if (h == NULL)
			return wm_oom(err, "a hold");
		h->rule = rule;
		h->commit_lsn = atomic_load(&w->commit_lsn);
		h->end_lsn = atomic_load(&w->end_lsn);
		h->next = w->holds;
		w->holds = h;
	}
	h->why = why;
	h->resuming = false;
	w->bookmarks = true;
	worker_show_rules(w);
	return WM_OK;
}

/* ---- pause and resume ---- */

/* What ended after from comes again: from the journal, or from the source when it is not kept there. */
void
worker_replay(struct worker *w, wm_lsn from)
{
	for (const struct hold *h = w->holds; h != NULL; h = h->next)
		if (h->end_lsn < from)
			from = h->end_lsn;
	w->await_restart = true;
	if (!wm_journal_seek(w->reader, from))
		source_resend(w->source);
}

static enum wm_status
resume(struct worker *w, struct hold *h, struct wm_error *err)
{
	struct hold **link = &w->holds;

	/* A failed rule tries again at each start: so does this one, should we not come to its end. */
	h->why = HOLD_FAILED;
	w->bookmarks = true;
	if (h->end_lsn < atomic_load(&w->end_lsn)) {
		enum wm_status st = apply_commit(w, err);

		if (st != WM_OK)
			return st;
		h->resuming = true;
		/* Where the stream stands is known again when it has restarted: a stop may come first. */
		w->boundary_commit = w->boundary_end = 0;
		worker_replay(w, h->end_lsn);
		worker_show_rules(w);
		return WM_OK;
	}
	while (*link != h)
		link = &(*link)->next;
	*link = h->next;
	free(h);
	return apply_commit(w, err);
}

enum wm_status
worker_end_seeding(struct worker *w, const struct wm_rule *rule, struct wm_error *err)
{
	struct hold *h = worker_hold(w, rule);

	return h == NULL || h->why != HOLD_SEEDING ? WM_OK : resume(w, h, err);
}

void
request_clear(struct request *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->letters[i].why);
	wm_row_call_free(&r->row);
	free(r->letters);
	free(r->rule);
	*r = (struct request){ 0 };
}

static enum wm_status
pause_or_resume(struct worker *w, const char *name, bool pause, struct wm_error *err)
{
	const struct wm_rule *rule = wm_ruleset_find(w->p->setup->rules, name);
	struct hold *h = rule == NULL ? NULL : worker_hold(w, rule);
	enum wm_status st;

	if (rule == NULL)
		return wm_fail(err, WM_REJECT, "there is no rule \"%s\"", name);
	if (pause) {
		st = worker_add_hold(w, rule, HOLD_PAUSED, err);
		return st == WM_OK ? apply_commit(w, err) : st;
	}
	for (size_t i = 0; i < w->nunits; i++)
		if (w->units[i]->rule == rule && w->units[i]->state == UNIT_FAILED) {
			unit_restart(w->units[i]);
			w->bookmarks = true;
		}
	routes_forget(w);	/* one may be without the rule, for a transaction that comes again now */
	stats_set_error(pipeline_stats(w->p, name), NULL);
	if (h != NULL && staging_rule(w) == rule)
		h->why = HOLD_SEEDING;		/* it goes on at the end of its seed */
	st = h == NULL || h->resuming || h->why == HOLD_SEEDING ? WM_OK : resume(w, h, err);
	worker_show_rules(w);
	return st;
}

/* Between two transactions, everything committed.  A failure is the session's, and the asker's. */
enum wm_status
worker_serve(struct worker *w, struct wm_error *err)
{
	struct wm_error why = { 0 };
	/* While it is not done nobody but this thread touches what the request holds. */
	struct request *r = &w->wanted;
	enum wm_status st = apply_commit(w, &why);

	if (st == WM_OK && r->kind == REQUEST_RETRY)
		st = retry_letters(w, r->rule, r->letters, r->n, &why);
	else if (st == WM_OK && r->kind == REQUEST_ROW)
		st = row_write(w, r->rule, &r->row, &why);
	else if (st == WM_OK)
		st = pause_or_resume(w, r->rule, r->kind == REQUEST_PAUSE, &why);
	pthread_mutex_lock(&w->lock);
	w->wanted.st = st;
	w->wanted.err = why;
	w->wanted.done = true;
	atomic_store(&w->commands, false);
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	if (st == WM_OK || (st == WM_REJECT && w->delivery.failed_rule == NULL))
		return WM_OK;
	*err = why;
	return st;
}
