/* SPDX-License-Identifier: PostgreSQL */
/*
 * retry.c - dead letters again, in the worker's thread between two transactions.
 *
 * A letter is open only while no later change of its row has been applied, so what it holds is what the row should
 * be at the worker's position: a row that the target refused is written as it is kept.  A row that the rule refused
 * has to be judged by the rule again, and is read at the source for that; as with every row that is read back, the
 * changes between the position and that moment come again and end in the same row.
 */
#include <stdlib.h>
#include <string.h>

#include "letters.h"
#include "receipts.h"
#include "walmill/fault.h"
#include "walmill/strutil.h"

#define DUE_MAX 100			/* letters between two transactions */
#define LOOK_EVERY (5 * WM_SEC)		/* for those that are due, at the latest */
#define ARENA_BLOCK (64U << 10)

struct attempt {
	struct worker		*w;
	const struct wm_rule	*rule;
	struct wm_arena		*arena;
	struct wm_letter_mark	*done;		/* written, not yet committed */
	size_t			 ndone;
	bool			 sees_all;	/* the worker's connection to the source sees what has been applied */
	struct wm_error		*err;
};

/* ---- one letter ---- */

/* A copy of the letter, in the arena. */
struct copy {
	struct wm_dead_letter	 letter;
	struct wm_arena		*arena;
	bool			 oom;
};

static const char *
keep(struct copy *c, const char *text)
{
	const char *s = text == NULL ? NULL : wm_arena_strdup(c->arena, text);

	c->oom |= text != NULL && s == NULL;
	return s;
}

static void
take_copy(void *arg, const struct wm_dead_letter *l)
{
	struct copy *c = arg;

	c->letter = *l;
	c->letter.source = keep(c, l->source);
	c->letter.target = keep(c, l->target);
	c->letter.rule = keep(c, l->rule);
	c->letter.table = keep(c, l->table);
	c->letter.view = keep(c, l->view);
	c->letter.op = keep(c, l->op);
	c->letter.origin = keep(c, l->origin);
	c->letter.identity = keep(c, l->identity);
	c->letter.key = keep(c, l->key);
	c->letter.row = keep(c, l->row);
	c->letter.numbers = keep(c, l->numbers);
	c->letter.class = keep(c, l->class);
	c->letter.code = keep(c, l->code);
	c->letter.message = keep(c, l->message);
}

/* The unit that writes the letter's view. */
static struct unit *
unit_of(struct worker *w, const struct wm_rule *rule, const char *view)
{
	for (size_t i = 0; i < w->nunits; i++) {
		struct unit *u = w->units[i];
		WM_AUTO(wm_freep) char *name = u->rule == rule ? wm_rule_view_name(rule, u->schema, u->name) : NULL;

		if (name != NULL && strcmp(name, view) == 0)
			return u;
	}
	return NULL;
}

/* Why the letter's rule cannot take it now, or NULL. */
static const char *
not_now(struct worker *w, const struct unit *u, const struct wm_dead_letter *l)
{
	if (strcmp(l->target, w->model->name) != 0 || strcmp(l->source, w->source->config->base) != 0)
		return "its rule goes to another target, or from another source, now; drop it";
	if (u == NULL)
		return "its view is not written by the rule any more; drop it";
	if (worker_hold(w, u->rule) != NULL)
		return "its rule is paused or has stopped; resume that first";
	if (u->state != UNIT_STREAMING && u->state != UNIT_CATCHING)
		return "its table is being seeded, or cannot be followed now; try again later";
	/* After a crash its change may be still to come, again. */
	if (strcmp(l->origin, "seed") != 0 && l->commit_lsn > atomic_load(&w->commit_lsn))
		return "its change is about to come again";
	return NULL;
}

/* Not before the source shows what the stream has brought: an older row would be read, and taken for the newest. */
static enum wm_status
look_at_source(struct attempt *a, struct wm_error *err)
{
	enum wm_status st = a->sees_all ? worker_sql(a->w, err) : worker_sql_all(a->w, err);

	a->sees_all |= st == WM_OK;
	return st;
}

/*
 * The source's row now, judged by the rule again.  *ret_rows 0: nothing is to be written, the letter is settled.
 * WM_REJECT: not this time; the letter stays.
 */
static enum wm_status
row_at_source(struct attempt *a, struct wm_plan *plan, const struct letter_row *letter, bool keyed,
    struct wm_plan_rows *ret, struct wm_error *err)
{
	struct worker *w = a->w;
	struct wm_tuple key, row;
	struct wm_change change = { .kind = WM_EVENT_SEED, .at = letter->row.at, .commit_time = wm_clock_wall(),
		.after = &row };
	unsigned nkeys;
	const unsigned *keys = wm_plan_source_key(plan, &nkeys);
	bool found = false;
	enum wm_status st;

	if (a->rule->mode == WM_MODE_APPEND)
		return wm_fail(err, WM_REJECT, "an event that the rule refused cannot be had again; drop it, or let "
		    "the rule take it and seed again");
	if (!wm_plan_source_row(plan, letter->row.values, a->arena, &key))
		return wm_fail(err, WM_REJECT,
		    "the row has to be read at the source again, but the letter does not hold "
		    "the source's key (it is masked, computed or left out): change the row there, or seed the rule");
	st = look_at_source(a, err);
	if (st == WM_OK)
		st = wm_seed_read_row(w->sql, wm_plan_relation(plan), wm_plan_needed(plan), keys, nkeys, &key,
		    a->arena, &row, &found, err);
	if (st != WM_OK) {
		/* Nothing of the target's: only this letter has to wait. */
		err->status = WM_REJECT;
		return wm_error_prefix(err, "the row could not be read at the source");
	}
	if (!found && keyed)
		return wm_fail(err, WM_REJECT,
		    "the source has no such row any more; the change that removed it, when it "
		    "comes, settles this, else drop it");
	if (!found) {
		ret->n = 0;
		return WM_OK;
	}
	switch (wm_plan_apply(plan, &change, WM_PLAN_WHOLE | WM_PLAN_RESEED, a->arena, ret, err)) {
	case WM_PLAN_BAD:
		return err->status;
	case WM_PLAN_ROWS:
		return WM_OK;
	default:
		ret->n = 0;
		return WM_OK;
	}
}

static enum wm_status
write_row(struct worker *w, const struct wm_view *view, struct wm_row *row, struct wm_error *err)
{
	struct wm_view_batch rows = { .view = view, .nrows = 1, .rows = row };
	struct wm_batch batch = { .nviews = 1, .views = &rows, .nrows = 1 };
	size_t bad;
	enum wm_status st = deliver_write(&w->delivery, &batch, &bad, err);

	/* A refused row has opened the target's transaction too: it must not stay open. */
	w->uncommitted |= st == WM_OK || st == WM_REJECT;
	if (st == WM_OK)
		receipts_take(w->delivery.receipts, &batch, "retry");
	return st;
}

static enum wm_status
try_with_plan(struct attempt *a, const struct wm_dead_letter *l, struct route_plan *rp, struct wm_error *err)
{
	const struct wm_view *view = wm_plan_view(rp->plan);
	struct wm_plan_rows rows = { .n = 1 };
	struct letter_row letter;
	enum wm_status st = letters_parse(l, view, a->arena, &letter, err);

	if (st == WM_OK)
		st = route_ensure(a->w, rp, err);
	if (st != WM_OK)
		return st;
	if (rp->unit->state == UNIT_SEEDING)
		return wm_fail(err, WM_REJECT, "its view had been dropped at the target and is being seeded");
	rows.row[0] = letter.row;
	if (!letter.replay)
		st = row_at_source(a, rp->plan, &letter, l->identity[0] == '{', &rows, err);
	for (unsigned i = 0; i < rows.n && st == WM_OK; i++)
		st = write_row(a->w, view, &rows.row[i], err);
	return st;
}

/*
 * A target without transactions may hold changes that no position tells of, if the session before broke off: a letter
 * could be older than its row.  What the source has by now has passed once more before one is tried.
 */
static enum wm_status
await_replay(struct worker *w, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	if ((w->target->ops->caps & WM_TARGET_TRANSACTIONAL) != 0)
		return WM_OK;
	if (w->retry_from == 0)
		st = worker_sql(w, err);
	if (st == WM_OK && w->retry_from == 0)
		st = wm_pg_current_lsn(w->sql, &w->retry_from, err);
	if (st == WM_OK && atomic_load(&w->end_lsn) >= w->retry_from)
		return WM_OK;
	return st != WM_OK ? wm_fail_code(err, WM_REJECT, "later", "the source is out of reach; try again later") :
	    wm_fail_code(err, WM_REJECT, "later", "what the source sent before the last start passes again first");
}

/* WM_OK: written (or nothing to write); WM_REJECT: refused again. */
static enum wm_status
try_letter(struct attempt *a, const struct wm_dead_letter *l, struct wm_error *err)
{
	struct unit *u = unit_of(a->w, a->rule, l->view);
	const char *why = not_now(a->w, u, l);
	struct route_plan own = { 0 }, *rp;
	enum wm_status st;

	a->w->delivery.failed_rule = NULL;
	if (why != NULL)
		return wm_fail_code(err, WM_REJECT, "later", "%s", why);
	st = await_replay(a->w, err);
	if (st != WM_OK)
		return st;
	st = route_plan_of(a->w, u, &own, &rp, err);
	if (st == WM_OK)
		st = try_with_plan(a, l, rp, err);
	wm_plan_free(own.plan);
	return st;
}

/* ---- several ---- */

static enum wm_status
try_one(struct attempt *a, struct wm_retry_result *result, struct wm_error *err)
{
	struct copy c = { .arena = a->arena };
	struct wm_error why = { 0 }, ignored;
	bool found;
	enum wm_status st = wm_state_dead_letter_get(a->w->p->state, result->id, take_copy, &c, &found, err);

	if (st == WM_OK && c.oom)
		st = wm_oom(err, "a dead letter");
	if (st != WM_OK)
		return st;
	if (!found) {
		result->why = strdup("it is gone: a later change of its row was taken, or it was dropped");
		return result->why == NULL ? wm_oom(err, "a dead letter") : WM_OK;
	}
	st = try_letter(a, &c.letter, &why);
	if (st == WM_OK) {
		a->done[a->ndone++].id = result->id;
		return WM_OK;
	}
	result->why = strdup(why.text);
	if (result->why == NULL)
		return wm_oom(err, "a dead letter");
	if (st != WM_REJECT || a->w->delivery.failed_rule != NULL) {
		*err = why;
		return st;
	}
	/* A letter whose turn it is not has not been tried. */
	if (strcmp(why.code, "later") == 0)
		return WM_OK;
	st = wm_state_dead_letter_tried(a->w->p->state, result->id, &why, &ignored);
	if (st != WM_OK)
		*err = ignored;
	return st;
}

enum wm_status
retry_letters(struct worker *w, const char *rule, struct wm_retry_result *letters, size_t n, struct wm_error *err)
{
	WM_AUTO(wm_arena_destroyp) struct wm_arena *arena = wm_arena_create(ARENA_BLOCK);
	WM_AUTO(wm_freep) struct wm_letter_mark *done = calloc(n + 1, sizeof(*done));
	struct attempt a = { .w = w, .rule = wm_ruleset_find(w->p->setup->rules, rule), .arena = arena, .done = done };
	enum wm_status st = WM_OK;

	if (a.rule == NULL)
		return wm_fail(err, WM_REJECT, "there is no rule \"%s\"", rule);
	if (arena == NULL || done == NULL)
		return wm_oom(err, "dead letters");
	for (size_t i = 0; i < n && st == WM_OK && !worker_stopping(w); i++) {
		st = try_one(&a, &letters[i], err);
		wm_arena_reset(arena);
	}
	/* The target has the rows before the letters go; a crash in between writes them once more. */
	if (st == WM_OK)
		st = apply_commit(w, err);
	if (st == WM_OK && a.ndone > 0) {
		WM_FAULT(retry_committed);
		st = wm_state_dead_letters_drop(w->p->state, done, a.ndone, NULL, err);
		WM_FAULT(retry_done);
		atomic_fetch_add(&w->rows_written, a.ndone);
		wm_log(WM_LOG_INFO, "dead_letters_retried", "rule \"%s\": %zu dead letters were taken at the new try",
		    rule, a.ndone);
	}
	return st;
}

/* ---- by themselves ---- */

struct due {
	const struct worker	*w;
	const struct wm_rule	*rule;
	int64_t			 last;
	size_t			 n;
	struct wm_retry_result	 letters[DUE_MAX];
};

static bool
covers(const struct wm_retry_policy *policy, const struct wm_dead_letter *l)
{
	for (size_t i = 0; i < policy->codes.n; i++)
		if (wm_glob_match(policy->codes.list[i], l->code) || wm_glob_match(policy->codes.list[i], l->class))
			return true;
	return policy->codes.n == 0;
}

static void
take_due(void *arg, const struct wm_dead_letter *l)
{
	struct due *d = arg;

	d->last = l->id;
	if (d->n < DUE_MAX && worker_takes(d->w, l->table) && covers(&d->rule->retry, l))
		d->letters[d->n++] = (struct wm_retry_result){ .id = l->id };
}

static enum wm_status
rule_due(struct worker *w, const struct wm_rule *rule, bool *ret_more, struct wm_error *err)
{
	struct due due = { .w = w, .rule = rule };
	struct wm_dead_letter_filter filter = { .rule = rule->name, .limit = DUE_MAX,
		.tried_before = wm_clock_wall() - rule->retry.every, .attempts_max = rule->retry.at_most };
	bool end = false;
	enum wm_status st = WM_OK;

	/* A page may hold letters that the policy leaves alone: the next one then. */
	while (st == WM_OK && !end && due.n == 0) {
		st = wm_state_dead_letters(w->p->state, &filter, take_due, &due, &end, err);
		filter.after = due.last;
	}
	if (st != WM_OK || due.n == 0)
		return st;
	*ret_more |= !end;
	st = apply_commit(w, err);
	if (st == WM_OK)
		st = retry_letters(w, rule->name, due.letters, due.n, err);
	for (size_t i = 0; i < due.n; i++)
		free(due.letters[i].why);
	return st;
}

enum wm_status
retry_due(struct worker *w, struct wm_error *err)
{
	const struct wm_ruleset *rules = w->p->setup->rules;
	wm_usec wait = LOOK_EVERY;
	bool more = false;
	enum wm_status st = WM_OK;

	for (size_t i = 0; i < rules->n && st == WM_OK; i++) {
		const struct wm_rule *rule = &rules->rules[i];

		if (rule->retry.every == 0 || strcmp(rule->target, w->model->name) != 0 ||
		    strcmp(rule->source, w->source->config->base) != 0)
			continue;
		if (rule->retry.every < wait)
			wait = rule->retry.every;
		if (worker_hold(w, rule) == NULL)
			st = rule_due(w, rule, &more, err);
	}
	w->retry_at = wm_clock_mono() + (more ? WM_SEC / 10 : wait);
	return st;
}
