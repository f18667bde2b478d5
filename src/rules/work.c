/* SPDX-License-Identifier: PostgreSQL */
/*
 * work.c - what upserting and appending rules share: the row that is judged, its values.
 */
#include "work.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct wm_value wm_work_unchanged = { .kind = WM_VALUE_UNCHANGED };

enum wm_outcome
wm_work_oom(struct wm_work *w)
{
	wm_oom(w->err, "a row");
	return WM_PLAN_BAD;
}

bool
wm_work_has_holes(const struct wm_value *values, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (values[i].kind == WM_VALUE_UNCHANGED)
			return true;
	}
	return false;
}

/* ---- the row that is judged ---- */

const struct wm_value *
wm_work_new_row(struct wm_work *w)
{
	const struct wm_change *c = w->change;
	const struct wm_relation *rel = w->plan->rel;
	struct wm_value *row;

	if (c->before == NULL || !wm_work_has_holes(c->after->values, rel->ncolumns))
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

const struct wm_value *
wm_work_identity_row(struct wm_work *w, const struct wm_value *values)
{
	const struct wm_relation *rel = w->plan->rel;
	struct wm_value *row = wm_arena_alloc(w->arena, (rel->ncolumns + 1) * sizeof(*row));

	for (unsigned i = 0; row != NULL && i < rel->ncolumns; i++)
		row[i] = rel->columns[i].identity ? values[i] : wm_work_unchanged;
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

static enum wm_verdict
evaluate(struct wm_work *w, const struct wm_value *row)
{
	struct wm_plan *plan = w->plan;

	if (wm_exprs_run(plan->exprs, row, w->arena, plan->results, w->err) == WM_OK)
		return WM_VERDICT_TAKEN;
	wm_error_prefix(w->err, "rule \"%s\"", plan->rule->name);
	return WM_VERDICT_FAILED;
}

enum wm_verdict
wm_work_judge(struct wm_work *w, const struct wm_value *row, bool partial)
{
	struct wm_plan *plan = w->plan;

	if (plan->exprs == NULL)
		return WM_VERDICT_TAKEN;
	if (!note_unknown(plan, row) && !partial)
		return WM_VERDICT_UNDECIDED;
	if (evaluate(w, row) != WM_VERDICT_TAKEN)
		return WM_VERDICT_FAILED;
	if (plan->has_where && !plan->unknown[0] && plan->results[0].kind == WM_VALUE_NULL)
		return WM_VERDICT_REFUSED;
	return WM_VERDICT_TAKEN;
}

bool
wm_work_passes_checks(struct wm_work *w)
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
format_own(struct wm_work *w, enum wm_out_kind kind, struct wm_value *ret)
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
	if (copy == NULL) {
		wm_work_oom(w);
		return false;
	}
	*ret = (struct wm_value){ .data = copy, .len = (uint32_t)n, .kind = WM_VALUE_TEXT };
	return true;
}

static bool
dress(struct wm_work *w, const struct wm_out *out, struct wm_value *v)
{
	const struct wm_value plain = *v;

	if (out->boolean && plain.kind == WM_VALUE_TEXT && plain.number)
		*v = (struct wm_value){ .data = plain.len == 1 && plain.data[0] == '0' ? "f" : "t", .len = 1,
		    .kind = WM_VALUE_TEXT };
	if (out->number && plain.kind == WM_VALUE_TEXT)
		*v = (struct wm_value){ .data = plain.len == 1 && plain.data[0] == 't' ? "1" : "0", .len = 1,
		    .kind = WM_VALUE_TEXT };
	if (out->padded && plain.kind == WM_VALUE_TEXT)
		v->len = (uint32_t)wm_type_unpadded(plain.data, plain.len);
	if (out->lookup != NULL)
		*v = wm_lookup_find(out->lookup, v);
	return out->mask.kind == WM_MASK_NONE ||
	    wm_mask_apply(&out->mask, w->plan->mask_key, w->plan->mask_key_len, v, w->arena, v, w->err) == WM_OK;
}

bool
wm_work_value(struct wm_work *w, unsigned i, const struct wm_value *row, struct wm_value *ret)
{
	const struct wm_out *out = &w->plan->outs[i];

	switch (out->kind) {
	case WM_OUT_COLUMN:
		*ret = row[out->index];
		break;
	case WM_OUT_EXPR:
		*ret = w->plan->unknown[out->index] ? wm_work_unchanged : w->plan->results[out->index];
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

struct wm_row *
wm_work_add_row(struct wm_work *w, enum wm_row_op op, const struct wm_value *value)
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

/* A seed that begins again may find rows of before; the stream, while a seed is under way, those of the seed. */
bool
wm_work_is_fresh(const struct wm_work *w)
{
	return w->change->kind == WM_EVENT_SEED ? (w->flags & WM_PLAN_RESEED) == 0 :
						  (w->flags & WM_PLAN_WHOLE) == 0;
}

/* What is known of the source's row. */
static const struct wm_value *
known_row(struct wm_work *w, bool gone)
{
	const struct wm_change *c = w->change;

	if (!gone)
		return wm_work_new_row(w);
	if (w->plan->rule->mode == WM_MODE_APPEND && !c->before_full)
		return wm_work_identity_row(w, c->before->values);
	return c->before->values;
}

static const char *
event_name(enum wm_event_kind kind)
{
	switch (kind) {
	case WM_EVENT_INSERT:
		return "insert";
	case WM_EVENT_UPDATE:
		return "update";
	case WM_EVENT_DELETE:
		return "delete";
	default:
		return "seed";
	}
}

bool
wm_work_salvage(struct wm_work *w)
{
	const struct wm_plan *plan = w->plan;
	bool append = plan->rule->mode == WM_MODE_APPEND, gone = w->change->kind == WM_EVENT_DELETE && !append;
	bool soft = gone && plan->rule->on_delete == WM_DELETE_SOFT;
	const struct wm_value *source = known_row(w, w->change->kind == WM_EVENT_DELETE);
	bool evaluated = source != NULL && wm_work_judge(w, source, true) != WM_VERDICT_FAILED;
	struct wm_row *row = source == NULL ? NULL :
	    wm_work_add_row(w, gone && !soft ? WM_ROW_DELETE : WM_ROW_UPDATE, &wm_work_unchanged);

	if (row == NULL)
		return false;
	w->op = event_name(w->change->kind);
	for (unsigned i = 0; i < plan->view.ncolumns; i++) {
		struct wm_value *v = &row->values[i];

		if (gone && !plan->view.columns[i].key)
			continue;
		/* What a mask or an expression could not make is left out, never shown as it was. */
		if ((plan->outs[i].kind == WM_OUT_EXPR && !evaluated) || !wm_work_value(w, i, source, v))
			*v = wm_work_unchanged;
	}
	if (soft)
		row->values[plan->view.ncolumns - 1] =
		    (struct wm_value){ .data = "t", .len = 1, .kind = WM_VALUE_TEXT };
	else if (!gone && !wm_work_has_holes(row->values, plan->view.ncolumns))
		row->op = WM_ROW_UPSERT;
	return true;
}
