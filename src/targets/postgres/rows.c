/* SPDX-License-Identifier: PostgreSQL */
/*
 * rows.c - rows as parameters of statements: those of a kind go in one array per column.
 */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "textarray.h"

enum {
	SLICE_BYTES = 512 << 10,
	KEEP_BYTES = 1 << 20, /* parameter buffers above are given back */
};

struct writer {
	struct wm_postgres *t;
	struct wm_flight *flight;
	const struct wm_postgres_part *part; /* at hand */
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

bool
wm_postgres_moves(const struct wm_row *row)
{
	return kind_of(row) == WM_POSTGRES_MOVE;
}

bool
wm_postgres_copies(const struct wm_row *row)
{
	return row->fresh && row->op == WM_ROW_UPSERT;
}

size_t
wm_postgres_row_bytes(const struct wm_view *view, const struct wm_row *row)
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

bool
wm_postgres_part_copies(const struct wm_postgres_part *part)
{
	size_t index;

	for (size_t i = part->from; part->copy && i < part->to; i++)
		if (wm_postgres_copies(wm_postgres_row(part, i, &index)))
			return true;
	return false;
}

bool
wm_postgres_part_flies(const struct wm_postgres_part *part)
{
	size_t index;

	if (part->batch->truncate)
		return true;
	for (size_t i = part->from; i < part->to; i++)
		if (!part->copy || !wm_postgres_copies(wm_postgres_row(part, i, &index)))
			return true;
	return false;
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
		.view = w->part->batch->view->name,
		.row = w->rows == 1 ? w->part->base + w->last : WM_BAD_UNKNOWN,
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
	const struct wm_view *view = w->part->batch->view;
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
	const struct wm_postgres_part *part = w->part;
	struct wm_postgres_stmt *stmt = &part->view->stmts[kind];
	/* Moves happen at the same time, so all of them in one statement. */
	size_t limit = kind == WM_POSTGRES_MOVE ? (size_t)WM_POSTGRES_ROW_BYTES_MAX : SLICE_BYTES;
	enum wm_status st = make_room(w->t, stmt->nparams, err);

	w->rows = 0;
	for (size_t place = part->from; place < part->to && st == WM_OK; place++) {
		size_t index, bytes;
		const struct wm_row *row = wm_postgres_row(part, place, &index);

		if (kind_of(row) != kind || stmt->sql == NULL || (part->copy && wm_postgres_copies(row)))
			continue;
		bytes = wm_postgres_row_bytes(part->batch->view, row);
		if (w->rows > 0 && w->bytes + bytes > limit) {
			st = end_slice(w, stmt, err);
			w->rows = 0;
		}
		if (w->rows == 0)
			begin_slice(w, stmt);
		add_row(w, kind, row);
		w->rows++;
		w->bytes += bytes;
		w->last = index;
	}
	return st == WM_OK && w->rows > 0 ? end_slice(w, stmt, err) : st;
}

static enum wm_status
send_part(struct writer *w, struct wm_error *err)
{
	const struct wm_view *view = w->part->batch->view;
	enum wm_status st = WM_OK;

	w->mask = malloc(view->ncolumns);
	if (w->mask == NULL)
		return wm_oom(err, "a row's mask");
	if (w->part->batch->truncate)
		st = wm_flight_send_text(w->flight, w->part->view->empty, view->name, err);
	for (int kind = 0; kind < WM_POSTGRES_NKINDS && st == WM_OK; kind++)
		st = send_kind(w, (enum wm_postgres_kind)kind, err);
	free(w->mask);
	w->mask = NULL;
	return st;
}

enum wm_status
wm_postgres_send(struct wm_postgres *t, struct wm_flight *f, const struct wm_postgres_part *parts, size_t n,
    struct wm_error *err)
{
	struct writer w = { .t = t, .flight = f };
	enum wm_status st = WM_OK;

	for (size_t i = 0; i < n && st == WM_OK; i++) {
		w.part = &parts[i];
		st = send_part(&w, err);
	}
	give_back_room(t);
	return st;
}

enum wm_status
wm_postgres_fly(struct wm_postgres *t, const struct wm_postgres_part *parts, size_t n, const char *const *before,
    const char *after, struct wm_flight_tag *ret_bad, struct wm_error *err)
{
	WM_AUTO(wm_flight_free) struct wm_flight flight = { 0 };
	enum wm_status st = wm_flight_start(&flight, t->pg, err);

	for (; st == WM_OK && *before != NULL; before++)
		st = wm_flight_send_text(&flight, *before, NULL, err);
	if (st == WM_OK)
		st = wm_postgres_send(t, &flight, parts, n, err);
	if (st == WM_OK && after != NULL)
		st = wm_flight_send_text(&flight, after, NULL, err);
	return st == WM_OK ? wm_flight_land(&flight, "could not write", ret_bad, err) : st;
}
