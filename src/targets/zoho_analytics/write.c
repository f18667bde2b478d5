/* SPDX-License-Identifier: PostgreSQL */
/*
 * write.c - a batch, view by view, by the calls that cost least.
 *
 * Everything written here may be written again: imports match on the key, row calls name it, deletes say which rows.
 * So an answer that was lost, or a process that was killed, is no reason to ask what has become of a call.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "criteria.h"
#include "walmill/fault.h"
#include "walmill/strutil.h"
#include "zoho.h"

#define ROW_CALLS_MAX 30	/* of the minute's calls: the other views' want some, too */
#define ROW_BYTES_MAX 20000	/* of a row's values, whose CONFIG may become four times as long */

/* The view's columns as Zoho has them; WM_RETRY when they are not known: the pipeline ensures the view again. */
static enum wm_status
sink_init(struct wm_zoho_sink *s, struct wm_zoho *z, const struct wm_view *view, struct wm_zoho_view *to,
    struct wm_error *err)
{
	*s = (struct wm_zoho_sink){ .z = z, .view = view, .to = to, .bad = WM_BAD_UNKNOWN };
	s->columns = calloc(view->ncolumns + 1, sizeof(*s->columns));
	s->key_names = calloc(view->nkeys + 1, sizeof(*s->key_names));
	s->key_types = calloc(view->nkeys + 1, sizeof(*s->key_types));
	if (s->columns == NULL || s->key_names == NULL || s->key_types == NULL)
		return wm_oom(err, "a batch");
	for (unsigned i = 0; i < view->ncolumns; i++) {
		s->columns[i] = to->id == NULL ? NULL : wm_zoho_view_column(to, view->columns[i].name);
		if (s->columns[i] == NULL)
			return wm_fail(err, WM_RETRY,
			    "target \"%s\": view \"%s\" has to be looked at again", z->base.name,
			    view->name);
	}
	for (unsigned i = 0; i < view->nkeys; i++) {
		s->key_names[i] = s->columns[view->keys[i]]->name;
		s->key_types[i] = s->columns[view->keys[i]]->type;
	}
	return WM_OK;
}

enum wm_status
wm_zoho_sink_open(struct wm_zoho_sink *s, struct wm_zoho *z, const struct wm_view *view, struct wm_error *err)
{
	struct wm_zoho_view *to = wm_zoho_view_of(z->account, view->name);

	*s = (struct wm_zoho_sink){ .bad = WM_BAD_UNKNOWN };
	if (to == NULL)
		return wm_oom(err, "a view");
	pthread_mutex_lock(&to->writing);
	return sink_init(s, z, view, to, err);
}

void
wm_zoho_sink_close(struct wm_zoho_sink *s)
{
	if (s->to != NULL)
		pthread_mutex_unlock(&s->to->writing);
	free(s->columns);
	free(s->key_names);
	free(s->key_types);
}

enum wm_status
wm_zoho_sink_cell(const struct wm_zoho_sink *s, unsigned column, const struct wm_value *value,
    struct wm_zoho_cell *ret, struct wm_error *err)
{
	const struct wm_view_column *c = &s->view->columns[column];
	enum wm_status st = wm_zoho_cell(&s->z->policy, s->columns[column]->type, c->type.class, value, ret,
	    &s->z->account->converted, err);

	if (st != WM_OK)
		return wm_error_prefix(err, "view \"%s\": column \"%s\"", s->view->name, c->name);
	if (ret->data == NULL && c->key)
		return wm_fail(err, WM_REJECT,
		    "view \"%s\": key column \"%s\" is null or empty, and Zoho finds no row by that",
		    s->view->name, c->name);
	return WM_OK;
}

enum wm_status
wm_zoho_sink_stale(struct wm_zoho_sink *s, struct wm_error *err)
{
	wm_zoho_view_forget(s->to);
	return wm_fail(err, WM_RETRY, "target \"%s\": view \"%s\": a column is not there any more", s->z->base.name,
	    s->view->name);
}

enum wm_status
wm_zoho_sink_fail(struct wm_zoho_sink *s, const struct wm_zoho_answer *a, const char *what, struct wm_error *err)
{
	enum wm_status st = wm_zoho_answer_fail(a, &s->bad_view, err, "target \"%s\": view \"%s\": %s", s->z->base.name,
	    s->view->name, what);

	if (a->code == 7092 && atomic_load(&s->to->lost) != 0)
		return wm_zoho_lost_fail(s->z, s->to, "zoho:7092", err);
	/* Gone, or another one by that name: looked up again, and made again. */
	if (a->trouble != WM_ZOHO_STALE && a->code != 7104 && a->code != 7105 && a->code != 7106)
		return st;
	wm_zoho_view_forget(s->to);
	s->bad_view = false;
	if (err != NULL)
		err->status = WM_RETRY;
	return WM_RETRY;
}

/* ---- one view ---- */

struct tally {
	size_t	upserts, updates, deletes;
	bool	large;		/* a row that no row call can hold */
};

static struct tally
count(const struct wm_view_batch *vb)
{
	struct tally t = { 0 };

	for (size_t i = 0; i < vb->nrows; i++) {
		const struct wm_row *row = &vb->rows[i];
		size_t bytes = 0;

		t.deletes += row->op == WM_ROW_DELETE;
		t.updates += row->op == WM_ROW_UPDATE;
		if (row->op != WM_ROW_UPSERT)
			continue;
		t.upserts++;
		for (unsigned c = 0; c < vb->view->ncolumns; c++)
			bytes += row->values[c].len;
		t.large |= bytes > ROW_BYTES_MAX;
	}
	return t;
}

/* A row call for each, where that is not dearer than an import; of the same price it changes the rows alone. */
static bool
wants_row_calls(const struct wm_zoho *z, const struct wm_view *view, const struct tally *t)
{
	double by_import = z->price.upsert * ceil((double)t->upserts / 1000);

	return !t->large && t->upserts <= ROW_CALLS_MAX && view->ncolumns <= 300 &&
	    (double)t->upserts * z->price.row <= by_import;
}

static enum wm_status
write_rows(struct wm_zoho_sink *s, const struct wm_view_batch *vb, struct wm_error *err)
{
	struct tally t = count(vb);
	bool replace = vb->truncate && t.upserts > 0;
	enum wm_status st = WM_OK;

	if (vb->truncate && !replace)
		st = wm_zoho_rows_empty(s, err);
	if (st == WM_OK && !vb->truncate && t.deletes > 0)
		st = wm_zoho_rows_delete(s, vb->rows, vb->nrows, err);
	if (st == WM_OK && !vb->truncate && t.updates > 0)
		st = wm_zoho_rows_update(s, vb->rows, vb->nrows, err);
	if (st != WM_OK || t.upserts == 0)
		return st;
	if (!replace && wants_row_calls(s->z, s->view, &t))
		return wm_zoho_rows_upsert(s, vb->rows, vb->nrows, err);
	return wm_zoho_import(s, vb->rows, vb->nrows, replace, err);
}

struct spent {
	double	units;
	size_t	rows;
};

static enum wm_status
write_view(struct wm_zoho *z, const struct wm_view_batch *vb, struct spent *spent, size_t *ret_bad, bool *ret_bad_view,
    struct wm_error *err)
{
	struct wm_zoho_stage *stage = wm_zoho_stage_of(z, vb->view);
	WM_AUTO(wm_zoho_sink_close) struct wm_zoho_sink s = { 0 };
	enum wm_status st = wm_zoho_sink_open(&s, z, vb->view, err);

	if (st == WM_OK && stage != NULL)
		st = wm_zoho_stage_add(stage, &s, vb->rows, vb->nrows, err);
	else if (st == WM_OK)
		st = write_rows(&s, vb, err);
	/* What was stored shows that the table is not locked. */
	if (st == WM_OK && s.rows > 0)
		st = wm_zoho_lost_over(z, s.to, err);
	*ret_bad = s.bad;
	*ret_bad_view = s.bad_view;
	if (st == WM_OK) {
		spent[vb->view->priority].units += s.units;
		spent[vb->view->priority].rows += s.rows;
	}
	return st;
}

static void
note_flush(struct wm_zoho *z, const struct spent *spent)
{
	pthread_mutex_lock(&z->account->lock);
	for (enum wm_priority p = WM_PRIORITY_LOW; p < WM_PRIORITIES; p++)
		if (spent[p].units > 0)
			wm_zoho_quota_flushed(&z->account->quota, p, spent[p].units, spent[p].rows);
	pthread_mutex_unlock(&z->account->lock);
}

enum wm_status
wm_zoho_write(struct wm_zoho *z, const struct wm_batch *batch, size_t *ret_bad, struct wm_error *err)
{
	struct spent spent[WM_PRIORITIES] = { 0 };
	size_t before = 0;
	enum wm_status st = WM_OK;

	for (size_t i = 0; st == WM_OK && i < batch->nviews; i++) {
		size_t bad = WM_BAD_UNKNOWN;
		bool bad_view = false;

		st = write_view(z, &batch->views[i], spent, &bad, &bad_view, err);

		WM_FAULT(zoho_view_written);
		if (st == WM_REJECT)
			*ret_bad = bad == WM_BAD_UNKNOWN ? bad : before + bad;
		else if (st == WM_FATAL && bad_view)
			*ret_bad = WM_BAD_VIEW + i;
		before += batch->views[i].nrows;
	}
	note_flush(z, spent);
	return st;
}
