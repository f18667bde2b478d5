/* SPDX-License-Identifier: PostgreSQL */
/*
 * apply.c - one change of the source to rows of a view.
 *
 * Values are borrowed from the change; only masks, value tables and expressions make new ones,
 * in the arena.  No error holds a value.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "plan.h"

/* What the rule says of a row. */
enum verdict {
	TAKEN,
	REFUSED,		/* by where */
	UNDECIDED,		/* an unchanged value is needed */
	FAILED,			/* err says why */
};

struct work {
	struct wm_plan			*plan;
	const struct wm_change		*change;
	struct wm_arena			*arena;
	struct wm_error			*err;
	unsigned			 flags;
	bool				 vanished;	/* unchanged values cannot be had any more */
	const char			*op;		/* append: for _walmill_op */
	struct wm_plan_rows		 rows;
};

static const struct wm_value unchanged = { .kind = WM_VALUE_UNCHANGED };

static enum wm_outcome
out_of_memory(struct work *w)
{
	wm_oom(w->err, "a row");
	return WM_PLAN_BAD;
}

static bool
has_holes(const struct wm_value *values, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (values[i].kind == WM_VALUE_UNCHANGED)
			return true;
	}
	return false;
}

/* ---- the row that is judged ---- */

/*
 * The new row, its unchanged values taken from the before-image as far as that has them: all
 * of a full one, the identity's columns of an old key.  NULL: memory is out.
 */
static const struct wm_value *
new_row(struct work *w)
{
	const struct wm_change *c = w->change;
	const struct wm_relation *rel = w->plan->rel;
	struct wm_value *row;

	if (c->before == NULL || !has_holes(c->after->values, rel->ncolumns))
		return c->after->values;
	row = wm_arena_alloc(w->arena, rel->ncolumns * sizeof(*row));
	if (row == NULL)
		return NULL;
	memcpy(row, c->after->values, rel->ncolumns * sizeof(*row));
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		if (row[i].kind == WM_VALUE_UNCHANGED && (c->before_full || rel->columns[i].identity))
			row[i] = c->before->values[i];
	}
	return row;
}

/* values with all but the identity's columns unknown.  NULL: memory is out. */
static const struct wm_value *
identity_row(struct work *w, const struct wm_value *values)
{
	const struct wm_relation *rel = w->plan->rel;
	struct wm_value *row = wm_arena_alloc(w->arena, (rel->ncolumns + 1) * sizeof(*row));

	for (unsigned i = 0; row != NULL && i < rel->ncolumns; i++)
		row[i] = rel->columns[i].identity ? values[i] : unchanged;
	return row;
}

/* ---- expressions ---- */

/* Notes which expressions read an unchanged value; false when one has to be known all the same. */
static bool
note_unknown(struct wm_plan *plan, const struct wm_value *row)
{
	bool decidable = true;

	for (size_t i = 0; i < plan->nexprs; i++) {
		unsigned n, holes = 0;
		const unsigned *reads = wm_exprs_reads(plan->exprs, i, &n);

		for (unsigned j = 0; j < n; j++)
			holes += row[reads[j]].kind == WM_VALUE_UNCHANGED;
		plan->unknown[i] = holes > 0;
		/* A computed column all of whose inputs are unchanged is unchanged. */
		if (holes > 0 && (i < plan->has_where + plan->nchecks || holes < n))
			decidable = false;
	}
	return decidable;
}

static enum verdict
evaluate(struct work *w, const struct wm_value *row)
{
	struct wm_plan *plan = w->plan;

	if (wm_exprs_run(plan->exprs, row, w->arena, plan->results, w->err) == WM_OK)
		return TAKEN;
	wm_error_prefix(w->err, "rule \"%s\"", plan->rule->name);
	return FAILED;
}

/* partial: what depends on an unchanged value stays unknown, and where is taken to hold then. */
static enum verdict
judge(struct work *w, const struct wm_value *row, bool partial)
{
	struct wm_plan *plan = w->plan;

	if (plan->exprs == NULL)
		return TAKEN;
	if (!note_unknown(plan, row) && !partial)
		return UNDECIDED;
	if (evaluate(w, row) != TAKEN)
		return FAILED;
	if (plan->has_where && !plan->unknown[0] && plan->results[0].kind == WM_VALUE_NULL)
		return REFUSED;
	return TAKEN;
}

/* After judge said TAKEN. */
static bool
passes_checks(struct work *w)
{
	struct wm_plan *plan = w->plan;

	for (size_t i = plan->has_where; i < plan->has_where + plan->nchecks; i++) {
		if (plan->unknown[i] || plan->results[i].kind == WM_VALUE_NULL)
			continue;
		wm_fail_code(w->err, WM_REJECT, "check", "rule \"%s\": a row of table %s.%s fails %s", plan->rule->name,
		    plan->rel->schema, plan->rel->name, wm_exprs_what(plan->exprs, i));
		return false;
	}
	return true;
}

/* ---- values ---- */

static bool
format_own(struct work *w, enum wm_out_kind kind, struct wm_value *ret)
{
	char text[64];
	char *copy;
	size_t n;

	switch (kind) {
	case WM_OUT_LSN:
		n = (size_t)snprintf(text, sizeof(text), "%" PRIu64, w->change->at.commit_lsn);
		break;
	case WM_OUT_SEQ:
		n = (size_t)snprintf(text, sizeof(text), "%" PRIu32, w->change->at.index);
		break;
	default:	/* "2026-11-21T08:30:00.123456Z" as PostgreSQL writes it */
		wm_clock_format(w->change->commit_time, text, sizeof(text));
		n = strcspn(text, "Z");
		text[strcspn(text, "T")] = ' ';
		snprintf(text + n, sizeof(text) - n, "+00");
		n += 3;
		break;
	}
	copy = wm_arena_dup(w->arena, text, n);
	*ret = (struct wm_value){ .data = copy, .len = (uint32_t)n, .kind = WM_VALUE_TEXT };
	return copy != NULL;
}

static bool
dress(struct work *w, const struct wm_out *out, struct wm_value *v)
{
	const struct wm_value plain = *v;

	if (out->boolean && plain.kind == WM_VALUE_TEXT && plain.number)
		*v = (struct wm_value){ .data = plain.len == 1 && plain.data[0] == '0' ? "f" : "t", .len = 1,
		    .kind = WM_VALUE_TEXT };
	if (out->lookup != NULL)
		*v = wm_lookup_find(out->lookup, v);
	return out->mask.kind == WM_MASK_NONE ||
	    wm_mask_apply(&out->mask, w->plan->mask_key, w->plan->mask_key_len, v, w->arena, v, w->err) == WM_OK;
}

/* One column of the view, of row and of the results for it.  False: memory is out. */
static bool
make_value(struct work *w, unsigned i, const struct wm_value *row, struct wm_value *ret)
{
	const struct wm_out *out = &w->plan->outs[i];

	switch (out->kind) {
	case WM_OUT_COLUMN:
		*ret = row[out->index];
		break;
	case WM_OUT_EXPR:
		*ret = w->plan->unknown[out->index] ? unchanged : w->plan->results[out->index];
		break;
	case WM_OUT_DELETED:
		*ret = (struct wm_value){ .data = "f", .len = 1, .kind = WM_VALUE_TEXT };
		break;
	case WM_OUT_OP:
		*ret = (struct wm_value){ .data = w->op, .len = (uint32_t)strlen(w->op), .kind = WM_VALUE_TEXT };
		break;
	default:
		return format_own(w, out->kind, ret);
	}
	return !out->dressed || dress(w, out, ret);
}

/* The next row of the outcome, all its values kind.  NULL: memory is out. */
static struct wm_row *
add_row(struct work *w, enum wm_row_op op, const struct wm_value *value)
{
	struct wm_row *row = &w->rows.row[w->rows.n];
	unsigned n = w->plan->view.ncolumns;

	assert(w->rows.n < 2);
	*row = (struct wm_row){ .op = op, .at = w->change->at, .commit_time = w->change->commit_time };
	row->values = wm_arena_alloc(w->arena, n * sizeof(*row->values));
	if (row->values == NULL)
		return NULL;
	for (unsigned i = 0; value != NULL && i < n; i++)
		row->values[i] = *value;
	w->rows.n++;
	return row;
}

/* ---- keys ---- */

enum key_state { KEY_WHOLE, KEY_NULL, KEY_FAILED };

/* The view's key of a row, in the order of view.keys, into ret. */
static enum key_state
make_key(struct work *w, const struct wm_value *row, struct wm_value *ret)
{
	const struct wm_view *view = &w->plan->view;
	enum key_state state = KEY_WHOLE;

	for (unsigned i = 0; i < view->nkeys; i++) {
		if (!make_value(w, view->keys[i], row, &ret[i]))
			return KEY_FAILED;
		if (ret[i].kind == WM_VALUE_NULL || ret[i].kind == WM_VALUE_UNCHANGED)
			state = KEY_NULL;
	}
	return state;
}

static bool
same_source_key(const struct wm_plan *plan, const struct wm_value *a, const struct wm_value *b)
{
	for (unsigned i = 0; i < plan->rel->ncolumns; i++) {
		if (plan->key_reads[i] && !wm_value_equal(&a[i], &b[i]))
			return false;
	}
	return true;
}

/*
 * *ret is the key that the view knows the row by when the update may have changed it, else NULL.
 * Evaluates the expressions for the old row, if the key takes any.
 */
static bool
find_old_key(struct work *w, const struct wm_value *row, struct wm_value **ret)
{
	const struct wm_tuple *before = w->change->before;
	struct wm_value *key;

	*ret = NULL;
	if (before == NULL || same_source_key(w->plan, before->values, row))
		return true;
	if (w->plan->key_computed && judge(w, before->values, true) == FAILED)
		return false;
	key = wm_arena_alloc(w->arena, w->plan->view.nkeys * sizeof(*key));
	if (key == NULL) {
		out_of_memory(w);
		return false;
	}
	switch (make_key(w, before->values, key)) {
	case KEY_FAILED:
		return false;
	case KEY_WHOLE:
		*ret = key;
		return true;
	default:		/* never written */
		return true;
	}
}

static bool
same_key(const struct wm_plan *plan, const struct wm_value *key, const struct wm_value *values)
{
	for (unsigned i = 0; i < plan->view.nkeys; i++) {
		if (!wm_value_equal(&key[i], &values[plan->view.keys[i]]))
			return false;
	}
	return true;
}

/* ---- rows of an upserting rule ---- */

/* Takes the row with this key out of the view, or marks it. */
static enum wm_outcome
remove_key(struct work *w, const struct wm_value *key, bool soft)
{
	static const struct wm_value null = { .kind = WM_VALUE_NULL };
	const struct wm_view *view = &w->plan->view;
	struct wm_row *row = add_row(w, soft ? WM_ROW_UPDATE : WM_ROW_DELETE, soft ? &unchanged : &null);

	if (row == NULL)
		return out_of_memory(w);
	for (unsigned i = 0; i < view->nkeys; i++)
		row->values[view->keys[i]] = key[i];
	if (soft)	/* the last column */
		row->values[view->ncolumns - 1] = (struct wm_value){ .data = "t", .len = 1, .kind = WM_VALUE_TEXT };
	return WM_PLAN_ROWS;
}

/* The same for the key of a row, whose expressions have been evaluated. */
static enum wm_outcome
remove_row(struct work *w, const struct wm_value *row, bool soft)
{
	struct wm_value *key = wm_arena_alloc(w->arena, w->plan->view.nkeys * sizeof(*key));

	if (key == NULL)
		return out_of_memory(w);
	switch (make_key(w, row, key)) {
	case KEY_FAILED:
		return WM_PLAN_BAD;
	case KEY_WHOLE:
		return remove_key(w, key, soft);
	default:
		return w->rows.n > 0 ? WM_PLAN_ROWS : WM_PLAN_NOTHING;
	}
}

static enum wm_outcome
null_key(struct work *w, unsigned column)
{
	const struct wm_plan *plan = w->plan;

	wm_fail_code(w->err, WM_REJECT, "key", "rule \"%s\": key column \"%s\" of a row of table %s.%s has no value",
	    plan->rule->name, plan->view.columns[column].name, plan->rel->schema, plan->rel->name);
	return WM_PLAN_BAD;
}

/* Whether the target may be without a row that the source has had all along. */
static bool
may_lack_rows(const struct wm_plan *plan)
{
	return plan->has_where || plan->nchecks > 0;
}

/* values: of the view, complete but for holes. */
static enum wm_outcome
write_holes(struct work *w, struct wm_row *row, struct wm_value *old_key)
{
	if (!w->vanished && ((w->flags & WM_PLAN_WHOLE) != 0 || may_lack_rows(w->plan)))
		return WM_PLAN_REREAD;
	row->op = WM_ROW_UPDATE;
	row->old_key = old_key;
	return WM_PLAN_ROWS;
}

/* Writes a row that was judged, under a key that may have been another one before. */
static enum wm_outcome
write_row(struct work *w, const struct wm_value *source, struct wm_value *old_key)
{
	const struct wm_plan *plan = w->plan;
	struct wm_row *row = add_row(w, WM_ROW_UPSERT, NULL);
	bool holes = false;

	if (row == NULL)
		return out_of_memory(w);
	for (unsigned i = 0; i < plan->view.ncolumns; i++) {
		if (!make_value(w, i, source, &row->values[i]))
			return WM_PLAN_BAD;
		holes |= row->values[i].kind == WM_VALUE_UNCHANGED;
	}
	for (unsigned i = 0; i < plan->view.nkeys; i++) {
		uint8_t kind = row->values[plan->view.keys[i]].kind;

		if (kind == WM_VALUE_NULL || kind == WM_VALUE_UNCHANGED)
			return null_key(w, plan->view.keys[i]);
	}
	if (old_key != NULL && same_key(plan, old_key, row->values))
		old_key = NULL;
	if (holes)
		return write_holes(w, row, old_key);
	if (old_key != NULL) {
		struct wm_row upsert = *row;

		w->rows.n = 0;
		if (remove_key(w, old_key, false) == WM_PLAN_BAD)
			return WM_PLAN_BAD;
		w->rows.row[w->rows.n++] = upsert;
	}
	return WM_PLAN_ROWS;
}

static enum wm_outcome
upsert_new(struct work *w)
{
	const struct wm_value *row = w->change->after->values;

	switch (judge(w, row, false)) {
	case FAILED:
		return WM_PLAN_BAD;
	case UNDECIDED:
		return WM_PLAN_REREAD;
	case REFUSED:
		if (w->change->kind != WM_EVENT_SEED || (w->flags & WM_PLAN_RESEED) == 0)
			return WM_PLAN_NOTHING;
		return remove_row(w, row, w->plan->rule->on_delete == WM_DELETE_SOFT);
	default:
		return passes_checks(w) ? write_row(w, row, NULL) : WM_PLAN_BAD;
	}
}

/* A row that stopped matching: gone under its old key and its new one. */
static enum wm_outcome
update_refused(struct work *w, const struct wm_value *row, const struct wm_value *old_key)
{
	bool soft = w->plan->rule->on_delete == WM_DELETE_SOFT;

	if (old_key != NULL && remove_key(w, old_key, soft) == WM_PLAN_BAD)
		return WM_PLAN_BAD;
	return remove_row(w, row, soft);
}

static enum wm_outcome
upsert_update(struct work *w)
{
	const struct wm_value *row = new_row(w);
	struct wm_value *old_key;

	if (row == NULL)
		return out_of_memory(w);
	if (!find_old_key(w, row, &old_key))
		return WM_PLAN_BAD;
	switch (judge(w, row, w->vanished)) {
	case FAILED:
		return WM_PLAN_BAD;
	case UNDECIDED:
		return WM_PLAN_REREAD;
	case REFUSED:
		return update_refused(w, row, old_key);
	default:
		return passes_checks(w) ? write_row(w, row, old_key) : WM_PLAN_BAD;
	}
}

/* The old row is known and the target wants whole rows: it gets one, marked. */
static enum wm_outcome
mark_whole(struct work *w)
{
	enum wm_outcome outcome = write_row(w, w->change->before->values, NULL);

	if (outcome == WM_PLAN_ROWS)
		w->rows.row[0].values[w->plan->view.ncolumns - 1].data = "t";
	return outcome;
}

static bool
has_key(const struct wm_plan *plan, const struct wm_value *row)
{
	for (unsigned i = 0; i < plan->rel->ncolumns; i++) {
		if (plan->key_reads[i] && row[i].kind == WM_VALUE_NULL)
			return false;
	}
	return true;
}

static enum wm_outcome
upsert_delete(struct work *w)
{
	const struct wm_plan *plan = w->plan;
	const struct wm_value *row = w->change->before->values;
	bool soft = plan->rule->on_delete == WM_DELETE_SOFT;
	bool whole = soft && w->change->before_full && (w->flags & WM_PLAN_WHOLE) != 0 && has_key(plan, row) &&
	    !has_holes(row, plan->rel->ncolumns);
	enum verdict verdict = TAKEN;

	if (plan->rule->on_delete == WM_DELETE_IGNORE)
		return WM_PLAN_NOTHING;
	if (whole || plan->key_computed)
		verdict = judge(w, row, true);
	if (verdict == FAILED)
		return WM_PLAN_BAD;
	return whole && verdict == TAKEN ? mark_whole(w) : remove_row(w, row, soft);
}

/* ---- rows of an appending rule ---- */

static enum wm_outcome
append_row(struct work *w, const char *op, const struct wm_value *source)
{
	struct wm_row *row = add_row(w, WM_ROW_UPSERT, NULL);

	if (row == NULL)
		return out_of_memory(w);
	w->op = op;
	for (unsigned i = 0; i < w->plan->view.ncolumns; i++) {
		if (!make_value(w, i, source, &row->values[i]))
			return WM_PLAN_BAD;
		if (row->values[i].kind != WM_VALUE_UNCHANGED)
			continue;
		if (w->change->kind == WM_EVENT_UPDATE && strcmp(op, "update") == 0 && !w->vanished)
			return WM_PLAN_REREAD;
		row->values[i] = (struct wm_value){ .kind = WM_VALUE_NULL };
	}
	return WM_PLAN_ROWS;
}

/* A row left the source, or stopped matching: what is known of the old one. */
static enum wm_outcome
append_gone(struct work *w, const struct wm_value *key)
{
	const struct wm_value *row = w->change->before_full ? w->change->before->values : identity_row(w, key);

	if (row == NULL)
		return out_of_memory(w);
	switch (judge(w, row, true)) {
	case FAILED:
		return WM_PLAN_BAD;
	case REFUSED:
		/* It has never been in the view, if all of it is known; of a key alone that cannot be told. */
		if (w->change->before_full)
			return WM_PLAN_NOTHING;
		/* fall through */
	default:
		return append_row(w, "delete", row);
	}
}

static enum wm_outcome
append_present(struct work *w, const char *op)
{
	const struct wm_value *row = new_row(w);
	const struct wm_tuple *before = w->change->before;

	if (row == NULL)
		return out_of_memory(w);
	switch (judge(w, row, w->vanished)) {
	case FAILED:
		return WM_PLAN_BAD;
	case UNDECIDED:
		return WM_PLAN_REREAD;
	case REFUSED:
		if (w->change->kind != WM_EVENT_UPDATE)
			return WM_PLAN_NOTHING;
		return append_gone(w, before != NULL ? before->values : row);
	default:
		return passes_checks(w) ? append_row(w, op, row) : WM_PLAN_BAD;
	}
}

/* ---- changes ---- */

/* The change must fit the plan's relation: a caller that compiled for another version would read beyond it. */
static bool
fits(struct work *w)
{
	const struct wm_change *c = w->change;
	unsigned n = w->plan->rel->ncolumns;
	bool has_row = c->kind == WM_EVENT_DELETE ? c->before != NULL : c->after != NULL;

	if (has_row && (c->before == NULL || c->before->n == n) && (c->after == NULL || c->after->n == n))
		return true;
	wm_fail(w->err, WM_FATAL, "a change of table %s.%s does not have the table's %u columns", w->plan->rel->schema,
	    w->plan->rel->name, n);
	return false;
}

static enum wm_outcome
apply_append(struct work *w)
{
	switch (w->change->kind) {
	case WM_EVENT_INSERT:
		return append_present(w, "insert");
	case WM_EVENT_SEED:
		return append_present(w, "seed");
	case WM_EVENT_UPDATE:
		return append_present(w, "update");
	case WM_EVENT_DELETE:
		if (w->plan->rule->on_delete == WM_DELETE_IGNORE)
			return WM_PLAN_NOTHING;
		return append_gone(w, w->change->before->values);
	default:
		return WM_PLAN_NOTHING;
	}
}

static enum wm_outcome
apply_upsert(struct work *w)
{
	switch (w->change->kind) {
	case WM_EVENT_INSERT:
	case WM_EVENT_SEED:
		return upsert_new(w);
	case WM_EVENT_UPDATE:
		return upsert_update(w);
	case WM_EVENT_DELETE:
		return upsert_delete(w);
	default:
		return WM_PLAN_NOTHING;
	}
}

static enum wm_outcome
finish(struct work *w, enum wm_outcome outcome, struct wm_plan_rows *ret)
{
	if (outcome == WM_PLAN_ROWS)
		*ret = w->rows;
	return outcome;
}

enum wm_outcome
wm_plan_apply(struct wm_plan *plan, const struct wm_change *change, unsigned flags, struct wm_arena *arena,
    struct wm_plan_rows *ret, struct wm_error *err)
{
	struct work w = { .plan = plan, .change = change, .flags = flags, .arena = arena, .err = err };
	bool append = plan->rule->mode == WM_MODE_APPEND;

	if (change->kind != WM_EVENT_SEED && (plan->rule->events & change->kind) == 0)
		return WM_PLAN_NOTHING;
	if (change->kind == WM_EVENT_TRUNCATE)
		return append || plan->rule->on_truncate == WM_TRUNCATE_IGNORE ? WM_PLAN_NOTHING : WM_PLAN_TRUNCATE;
	if (!fits(&w))
		return WM_PLAN_BAD;
	return finish(&w, append ? apply_append(&w) : apply_upsert(&w), ret);
}

/* Removes what the change's row is or was known by. */
static enum wm_outcome
vanish(struct work *w)
{
	const struct wm_value *row = new_row(w);
	struct wm_value *old_key;

	if (row == NULL)
		return out_of_memory(w);
	if (!find_old_key(w, row, &old_key) || (w->plan->key_computed && judge(w, row, true) == FAILED))
		return WM_PLAN_BAD;
	if (old_key != NULL && remove_key(w, old_key, false) == WM_PLAN_BAD)
		return WM_PLAN_BAD;
	return remove_row(w, row, false);
}

enum wm_outcome
wm_plan_vanished(struct wm_plan *plan, const struct wm_change *change, struct wm_arena *arena,
    struct wm_plan_rows *ret, struct wm_error *err)
{
	struct work w = { .plan = plan, .change = change, .arena = arena, .err = err, .vanished = true };

	if (change->kind == WM_EVENT_TRUNCATE || change->kind == WM_EVENT_DELETE)
		return WM_PLAN_NOTHING;		/* neither asks for a read-back */
	if (!fits(&w))
		return WM_PLAN_BAD;
	if (plan->rule->mode == WM_MODE_APPEND)
		return finish(&w, apply_append(&w), ret);
	/* A view that keeps what the source deleted keeps the row, with what is known of its last state. */
	if (plan->rule->on_delete != WM_DELETE_DELETE)
		return finish(&w, apply_upsert(&w), ret);
	return finish(&w, vanish(&w), ret);
}
