/* SPDX-License-Identifier: PostgreSQL */
/*
 * write.c - stores a batch.
 *
 * One trip: BEGIN or SAVEPOINT, for each view the truncate, then the statement of each kind of
 * row (sliced, so that no more than SLICE_BYTES wait in memory).  A failure undoes the batch
 * alone.  Rows of a kind go in one array parameter per column.
 *
 * Many rows that should be new go by COPY (copy.c), behind the others.  When the server refuses
 * anything of such a batch, all of it goes by the statements: what they say counts.
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

struct part { /* of a batch, by view */
	struct wm_postgres_view *view;
	bool copy; /* its new rows go by COPY */
};

struct writer {
	struct wm_postgres *t;
	struct wm_flight *flight;
	const struct wm_view_batch *batch; /* the view at hand */
	const struct part *part;
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
	struct wm_postgres_stmt *stmt = &w->part->view->stmts[kind];
	/* Moves happen at the same time, so all of them in one statement. */
	size_t limit = kind == WM_POSTGRES_MOVE ? ROW_BYTES_MAX : SLICE_BYTES;
	enum wm_status st = make_room(w->t, stmt->nparams, err);

	w->rows = 0;
	for (size_t i = 0; i < w->batch->nrows && st == WM_OK; i++) {
		const struct wm_row *row = &w->batch->rows[i];
		size_t bytes;

		if (kind_of(row) != kind || stmt->sql == NULL || (w->part->copy && wm_postgres_copies(row)))
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
		st = wm_flight_send_text(w->flight, w->part->view->empty, w->batch->view->name, err);
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
failed(struct wm_postgres *t, bool fresh, struct wm_error *err)
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
		t->in_transaction = false;
		st = wm_pg_exec(t->pg, "ROLLBACK", "could not undo a batch", &undo_err);
	} else {
		st = wm_postgres_undo(t, &undo_err);
	}
	if (st != WM_OK)
		return wm_fail_code(err, WM_RETRY, undo_err.code, "%s", undo_err.text);
	return WM_REJECT;
}

/* What does not go by COPY. */
static enum wm_status
send_batch(struct writer *w, const struct wm_batch *batch, const struct part *parts, bool fresh,
    bool copying, struct wm_error *err)
{
	enum wm_status st = wm_flight_start(w->flight, w->t->pg, err);

	if (st == WM_OK && fresh)
		st = wm_flight_send_text(w->flight, WM_POSTGRES_BEGIN, NULL, err);
	if (st == WM_OK && (!fresh || copying))
		st = wm_flight_send_text(w->flight, "SAVEPOINT walmill", NULL, err);
	for (size_t i = 0; i < batch->nviews && st == WM_OK; i++) {
		w->batch = &batch->views[i];
		w->part = &parts[i];
		st = send_view(w, err);
		w->base += w->batch->nrows;
	}
	if (st == WM_OK && !fresh && !copying)
		st = wm_flight_send_text(w->flight, "RELEASE SAVEPOINT walmill", NULL, err);
	return st;
}

static enum wm_status
fly_batch(struct wm_postgres *t, const struct wm_batch *batch, const struct part *parts, bool fresh,
    bool copying, struct wm_flight_tag *ret_bad, struct wm_error *err)
{
	WM_AUTO(wm_flight_free) struct wm_flight flight = { 0 };
	struct writer w = { .t = t, .flight = &flight };
	enum wm_status st;

	t->in_transaction = true;
	st = send_batch(&w, batch, parts, fresh, copying, err);
	give_back_room(t);
	return st == WM_OK ? wm_flight_land(&flight, "could not write", ret_bad, err) : st;
}

/* Whether anything of the batch does not go by COPY. */
static bool
has_more(const struct wm_batch *batch, const struct part *parts)
{
	for (size_t i = 0; i < batch->nviews; i++) {
		if (batch->views[i].truncate)
			return true;
		for (size_t j = 0; j < batch->views[i].nrows; j++)
			if (!parts[i].copy || !wm_postgres_copies(&batch->views[i].rows[j]))
				return true;
	}
	return false;
}

/* *ret_written false: something was refused and undone. */
static enum wm_status
copy_batch(struct wm_postgres *t, const struct wm_batch *batch, const struct part *parts, size_t ncopies,
    bool *ret_written, struct wm_error *err)
{
	bool fresh = !t->in_transaction;
	const char *before = fresh ? WM_POSTGRES_BEGIN "; SAVEPOINT walmill; " : "SAVEPOINT walmill; ";
	struct wm_flight_tag bad;
	enum wm_status st = WM_OK;

	if (has_more(batch, parts)) {
		st = fly_batch(t, batch, parts, fresh, true, &bad, err);
		before = "";
	}
	t->in_transaction = true;
	for (size_t i = 0; i < batch->nviews && st == WM_OK; i++) {
		if (!parts[i].copy)
			continue;
		st = wm_postgres_copy(t, parts[i].view, &batch->views[i], before,
		    --ncopies == 0 ? "; RELEASE SAVEPOINT walmill" : "", err);
		if (st == WM_RETRY)
			return wm_error_prefix(err, "view \"%s\"", batch->views[i].view->name);
		before = "";
	}
	*ret_written = st == WM_OK;
	if (st != WM_REJECT && st != WM_FATAL)
		return st;
	return wm_postgres_undo(t, err) == WM_OK ? WM_OK : (err->status = WM_RETRY);
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

static enum wm_status
fly_alone(struct wm_postgres *t, const struct wm_batch *batch, const struct part *parts, size_t *ret_bad,
    struct wm_error *err)
{
	struct wm_flight_tag bad = { .row = WM_BAD_UNKNOWN };
	struct wm_error local = { 0 };
	bool fresh = !t->in_transaction;
	enum wm_status st = fly_batch(t, batch, parts, fresh, false, &bad, &local);

	if (st == WM_OK)
		return WM_OK;
	if (bad.view != NULL)
		wm_error_prefix(&local, "view \"%s\"", bad.view);
	st = failed(t, fresh, &local);
	if (st == WM_REJECT)
		*ret_bad = bad.row;
	else if (st == WM_FATAL && strncmp(local.code, "42", 2) == 0)
		*ret_bad = view_at_fault(batch, bad.view);
	return wm_fail_code(err, st, local.code, "%s", local.text);
}

enum wm_status
wm_postgres_write(
    struct wm_target *base, const struct wm_batch *batch, size_t *ret_bad, struct wm_error *err)
{
	struct wm_postgres *t = (struct wm_postgres *)base;
	WM_AUTO(wm_freep) struct part *parts = calloc(batch->nviews + 1, sizeof(*parts));
	size_t ncopies = 0;
	bool written = false;
	enum wm_status st;

	if (parts == NULL)
		return wm_oom(err, "a batch's views");
	st = check_batch(batch, ret_bad, err);
	for (size_t i = 0; i < batch->nviews && st == WM_OK; i++)
		st = wm_postgres_view_find(t, batch->views[i].view, &parts[i].view, err);
	if (st != WM_OK)
		return st;
	for (size_t i = 0; i < batch->nviews; i++) {
		parts[i].copy = wm_postgres_may_copy(parts[i].view, &batch->views[i]);
		ncopies += parts[i].copy;
	}
	if (ncopies > 0)
		st = copy_batch(t, batch, parts, ncopies, &written, err);
	for (size_t i = 0; i < batch->nviews; i++)
		parts[i].copy = false;
	if (st == WM_OK && !written)
		st = fly_alone(t, batch, parts, ret_bad, err);
	WM_FAULT(postgres_written);
	return st;
}
