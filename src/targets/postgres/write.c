/* SPDX-License-Identifier: PostgreSQL */
/*
 * write.c - stores a batch.
 *
 * One trip: BEGIN or SAVEPOINT, for each view the truncate, then the statement of each kind of
 * row (sliced, so that no more than SLICE_BYTES wait in memory).  A failure undoes the batch
 * alone.  Rows of a kind go in one array parameter per column.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "flight.h"
#include "textarray.h"
#include "walmill/fault.h"
#include "walmill/strutil.h"

enum {
	SLICE_BYTES = 16 << 20,
	ROW_BYTES_MAX = 1000 << 20, /* the protocol's messages end at 1 GiB */
	KEEP_BYTES = 1 << 20, /* parameter buffers above are given back */
};

struct writer {
	struct wm_postgres *t;
	struct wm_flight *flight;
	const struct wm_view_batch *batch; /* the view at hand */
	struct wm_postgres_view *view;
	size_t base; /* index of its first row over all views */
	size_t rows, bytes; /* in the slice at hand */
	size_t last; /* the slice's last row */
	char *mask;
};

static enum wm_postgres_kind
kind_of(const struct wm_row *row)
{
	switch (row->op) {
	case WM_ROW_DELETE: return WM_POSTGRES_DELETE;
	case WM_ROW_UPDATE: return row->old_key != NULL ? WM_POSTGRES_MOVE : WM_POSTGRES_UPDATE;
	default: return WM_POSTGRES_UPSERT;
	}
}

/* What the row takes in the parameters. */
static size_t
row_bytes(const struct wm_view *view, const struct wm_row *row)
{
	size_t bytes = (size_t)view->ncolumns * (WM_TEXTARRAY_ITEM + 1);

	for (unsigned i = 0; i < view->ncolumns; i++)
		if (row->values[i].kind == WM_VALUE_TEXT)
			bytes += row->values[i].len;
	if (row->old_key != NULL)
		for (unsigned i = 0; i < view->nkeys; i++)
			bytes += row->old_key[i].len + WM_TEXTARRAY_ITEM;
	return bytes;
}

static enum wm_status
check_key(const struct wm_view *view, const struct wm_row *row, struct wm_error *err)
{
	for (unsigned i = 0; i < view->nkeys; i++) {
		const char *name = view->columns[view->keys[i]].name;

		switch (row->values[view->keys[i]].kind) {
		case WM_VALUE_NULL:
			/* A unique index takes any number of them. */
			if (row->op != WM_ROW_DELETE)
				return wm_fail_code(err, WM_REJECT, "23502",
				    "view \"%s\": key column \"%s\" is NULL in a row", view->name,
				    name);
			break;
		case WM_VALUE_UNCHANGED:
			return wm_fail(err, WM_FATAL,
			    "view \"%s\": a row came without its key \"%s\"", view->name, name);
		default: break;
		}
	}
	return WM_OK;
}

static enum wm_status
check_row(const struct wm_view *view, const struct wm_row *row, struct wm_error *err)
{
	enum wm_status st = check_key(view, row, err);

	for (unsigned i = 0; i < view->ncolumns && st == WM_OK; i++) {
		unsigned kind = row->values[i].kind;

		if (row->op == WM_ROW_DELETE && !view->columns[i].key)
			continue;
		if (kind == WM_VALUE_BINARY ||
		    (kind == WM_VALUE_UNCHANGED && row->op == WM_ROW_UPSERT))
			return wm_fail(err, WM_FATAL,
			    "view \"%s\": column \"%s\" came as %s, which a whole row cannot hold",
			    view->name, view->columns[i].name,
			    kind == WM_VALUE_BINARY ? "binary" : "unchanged");
	}
	if (st == WM_OK && row_bytes(view, row) > ROW_BYTES_MAX)
		return wm_fail_code(err, WM_REJECT, "54000",
		    "view \"%s\": a row is larger than the %d bytes that one "
		    "statement takes; exclude large columns in the rule",
		    view->name, ROW_BYTES_MAX);
	return st;
}

static enum wm_status
check_batch(const struct wm_batch *batch, size_t *ret_bad, struct wm_error *err)
{
	size_t index = 0;

	for (size_t i = 0; i < batch->nviews; i++)
		for (size_t j = 0; j < batch->views[i].nrows; j++, index++) {
			enum wm_status st =
			    check_row(batch->views[i].view, &batch->views[i].rows[j], err);

			if (st == WM_OK)
				continue;
			if (st == WM_REJECT)
				*ret_bad = index;
			return st;
		}
	return WM_OK;
}

static enum wm_status
make_room(struct wm_postgres *t, unsigned n, struct wm_error *err)
{
	struct wm_buf *params;

	if (n <= t->nparams)
		return WM_OK;
	params = realloc(t->params, n * sizeof(*params));
	if (params == NULL)
		return wm_oom(err, "a statement's parameters");
	t->params = params;
	while (t->nparams < n)
		wm_buf_init(&t->params[t->nparams++], (size_t)1 << 30);
	return WM_OK;
}

static void
give_back_room(struct wm_postgres *t)
{
	for (unsigned i = 0; i < t->nparams; i++)
		if (t->params[i].size > KEEP_BYTES)
			wm_buf_free(&t->params[i]);
}

static void
begin_slice(struct writer *w, const struct wm_postgres_stmt *stmt)
{
	for (unsigned i = 0; i < stmt->nparams; i++)
		wm_textarray_begin(&w->t->params[i]);
	w->rows = w->bytes = 0;
}

static enum wm_status
end_slice(struct writer *w, struct wm_postgres_stmt *stmt, struct wm_error *err)
{
	struct wm_flight_tag tag = {
		.view = w->batch->view->name,
		.row = w->rows == 1 ? w->base + w->last : WM_BAD_UNKNOWN,
	};

	for (unsigned i = 0; i < stmt->nparams; i++) {
		wm_textarray_end(&w->t->params[i], (uint32_t)w->rows);
		if (w->t->params[i].failed)
			return wm_oom(err, "a statement's parameters");
	}
	return wm_flight_send(w->flight, stmt, w->t->params, &tag, err);
}

static void
add_row(struct writer *w, enum wm_postgres_kind kind, const struct wm_row *row)
{
	const struct wm_view *view = w->batch->view;
	struct wm_buf *p = w->t->params;

	if (kind == WM_POSTGRES_DELETE) {
		for (unsigned i = 0; i < view->nkeys; i++)
			wm_textarray_add(p++, &row->values[view->keys[i]]);
		return;
	}
	for (unsigned i = 0; i < view->ncolumns; i++)
		wm_textarray_add(p++, &row->values[i]);
	if (kind == WM_POSTGRES_UPSERT)
		return;
	for (unsigned i = 0; i < view->ncolumns; i++)
		w->mask[i] = row->values[i].kind == WM_VALUE_UNCHANGED ? '0' : '1';
	wm_textarray_add_bytes(p++, w->mask, view->ncolumns);
	for (unsigned i = 0; kind == WM_POSTGRES_MOVE && i < view->nkeys; i++)
		wm_textarray_add(p++, &row->old_key[i]);
}

static enum wm_status
send_kind(struct writer *w, enum wm_postgres_kind kind, struct wm_error *err)
{
	struct wm_postgres_stmt *stmt = &w->view->stmts[kind];
	/* Moves happen at the same time, so all of them in one statement. */
	size_t limit = kind == WM_POSTGRES_MOVE ? ROW_BYTES_MAX : SLICE_BYTES;
	enum wm_status st = make_room(w->t, stmt->nparams, err);

	w->rows = 0;
	for (size_t i = 0; i < w->batch->nrows && st == WM_OK; i++) {
		const struct wm_row *row = &w->batch->rows[i];
		size_t bytes;

		if (kind_of(row) != kind || stmt->sql == NULL)
			continue;
		bytes = row_bytes(w->batch->view, row);
		if (w->rows > 0 && w->bytes + bytes > limit) {
			st = end_slice(w, stmt, err);
			w->rows = 0;
		}
		if (w->rows == 0)
			begin_slice(w, stmt);
		add_row(w, kind, row);
		w->rows++;
		w->bytes += bytes;
		w->last = i;
	}
	return st == WM_OK && w->rows > 0 ? end_slice(w, stmt, err) : st;
}

static enum wm_status
send_view(struct writer *w, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	w->mask = malloc(w->batch->view->ncolumns);
	if (w->mask == NULL)
		return wm_oom(err, "a row's mask");
	if (w->batch->truncate)
		st = wm_flight_send_text(w->flight, w->view->empty, w->batch->view->name, err);
	for (int kind = 0; kind < WM_POSTGRES_NKINDS && st == WM_OK; kind++)
		st = send_kind(w, (enum wm_postgres_kind)kind, err);
	free(w->mask);
	w->mask = NULL;
	return st;
}

/* Adds what to do to an error that stops the target. */
static enum wm_status
explain(struct wm_error *err)
{
	char text[sizeof(err->text)];
	const char *advice;

	if (strcmp(err->code, "21000") == 0)
		advice =
		    "two rows of the source have one key here: give the key columns at the target a type and "
		    "collation that tell them apart";
	else if (strncmp(err->code, "42", 2) == 0)
		advice =
		    "the table was altered or a privilege taken away after it had been checked: `walmill check` "
		    "names what is missing";
	else
		return WM_FATAL;
	memcpy(text, err->text, sizeof(text));
	return wm_fail_code(err, WM_FATAL, err->code, "%.700s; %s", text, advice);
}

static enum wm_status
failed(struct writer *w, bool fresh, struct wm_error *err)
{
	struct wm_error undo_err;
	enum wm_status st = err->status;

	if (strcmp(err->code, "25006") == 0) /* a standby, or read-only for a while */
		return err->status = WM_RETRY;
	if (st == WM_FATAL)
		return explain(err);
	if (st != WM_REJECT)
		return st;
	if (fresh) {
		w->t->in_transaction = false;
		st = wm_pg_exec(w->t->pg, "ROLLBACK", "could not undo a batch", &undo_err);
	} else {
		st = wm_postgres_undo(w->t, &undo_err);
	}
	if (st != WM_OK)
		return wm_fail_code(err, WM_RETRY, undo_err.code, "%s", undo_err.text);
	return WM_REJECT;
}

static enum wm_status
send_batch(struct writer *w, const struct wm_batch *batch, bool fresh,
    struct wm_postgres_view **views, struct wm_error *err)
{
	enum wm_status st = wm_flight_start(w->flight, w->t->pg, err);

	if (st == WM_OK)
		st = wm_flight_send_text(
		    w->flight, fresh ? WM_POSTGRES_BEGIN : "SAVEPOINT walmill", NULL, err);
	for (size_t i = 0; i < batch->nviews && st == WM_OK; i++) {
		w->batch = &batch->views[i];
		w->view = views[i];
		st = send_view(w, err);
		w->base += w->batch->nrows;
	}
	if (st == WM_OK && !fresh)
		st = wm_flight_send_text(w->flight, "RELEASE SAVEPOINT walmill", NULL, err);
	return st;
}

/* Its table is gone or was altered, or a privilege on it was taken away: no concern of the other views. */
static size_t
view_at_fault(const struct wm_batch *batch, const char *name)
{
	for (size_t i = 0; name != NULL && i < batch->nviews; i++)
		if (strcmp(batch->views[i].view->name, name) == 0)
			return WM_BAD_VIEW + i;
	return WM_BAD_UNKNOWN;
}

enum wm_status
wm_postgres_write(
    struct wm_target *base, const struct wm_batch *batch, size_t *ret_bad, struct wm_error *err)
{
	struct wm_postgres *t = (struct wm_postgres *)base;
	WM_AUTO(wm_freep)
	struct wm_postgres_view **views =
	    calloc(batch->nviews + 1, sizeof(struct wm_postgres_view *));
	WM_AUTO(wm_flight_free) struct wm_flight flight = { 0 };
	struct writer w = { .t = t, .flight = &flight };
	struct wm_flight_tag bad = { .row = WM_BAD_UNKNOWN };
	struct wm_error local = { 0 };
	bool fresh = !t->in_transaction;
	enum wm_status st;

	if (views == NULL)
		return wm_oom(err, "a batch's views");
	st = check_batch(batch, ret_bad, err);
	for (size_t i = 0; i < batch->nviews && st == WM_OK; i++)
		st = wm_postgres_view_find(t, batch->views[i].view, &views[i], err);
	if (st != WM_OK)
		return st;
	t->in_transaction = true;
	st = send_batch(&w, batch, fresh, views, &local);
	give_back_room(t);
	if (st == WM_OK)
		st = wm_flight_land(&flight, "could not write", &bad, &local);
	WM_FAULT(postgres_written);
	if (st == WM_OK)
		return WM_OK;
	if (bad.view != NULL)
		wm_error_prefix(&local, "view \"%s\"", bad.view);
	st = failed(&w, fresh, &local);
	if (st == WM_REJECT)
		*ret_bad = bad.row;
	else if (st == WM_FATAL && strncmp(local.code, "42", 2) == 0)
		*ret_bad = view_at_fault(batch, bad.view);
	return wm_fail_code(err, st, local.code, "%s", local.text);
}
