/* SPDX-License-Identifier: PostgreSQL */
/*
 * write.c - stores a batch: which way, and what becomes of it when the server refuses.
 *
 * A failure undoes the batch alone.  Many rows that should be new go by COPY (copy.c), behind the others.  When the
 * server refuses anything of a batch that copies, or that several sessions share (parallel.c), all of it goes by the
 * statements of this session: what they say counts.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "parallel.h"
#include "rows.h"
#include "walmill/fault.h"
#include "walmill/order.h"
#include "walmill/strutil.h"

enum { FEW = 20, FEW_BYTES = 1 << 20 }; /* rows for which a trip matters more than their statements */

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
	if (st == WM_OK && wm_postgres_row_bytes(view, row) > WM_POSTGRES_ROW_BYTES_MAX)
		return wm_fail_code(err, WM_REJECT, "54000",
		    "view \"%s\": a row is larger than the %d bytes that one "
		    "statement takes; exclude large columns in the rule",
		    view->name, WM_POSTGRES_ROW_BYTES_MAX);
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

/* *ret_written false: something was refused and undone. */
static enum wm_status
copy_batch(struct wm_postgres *t, const struct wm_postgres_part *parts, size_t n, bool *ret_written,
    struct wm_error *err)
{
	static const char *const fresh_before[] = { WM_POSTGRES_BEGIN, "SAVEPOINT walmill", NULL };
	bool fresh = !t->in_transaction;
	const char *before = fresh ? WM_POSTGRES_BEGIN "; SAVEPOINT walmill; " : "SAVEPOINT walmill; ";
	struct wm_flight_tag bad;
	enum wm_status st = WM_OK;
	size_t last = n;
	bool flies = false;

	for (size_t i = 0; i < n; i++) {
		flies |= wm_postgres_part_flies(&parts[i]);
		if (parts[i].copy)
			last = i;
	}
	t->in_transaction = true;
	if (flies) {
		st = wm_postgres_fly(t, parts, n, fresh ? fresh_before : fresh_before + 1, NULL, &bad, err);
		before = "";
	}
	for (size_t i = 0; i < n && st == WM_OK; i++) {
		if (!parts[i].copy)
			continue;
		st = wm_postgres_copy(t, &parts[i], before, i == last ? "; RELEASE SAVEPOINT walmill" : "", err);
		wm_doubt_note(&parts[i].view->doubt, st == WM_OK);
		if (st == WM_RETRY)
			return wm_error_prefix(err, "view \"%s\"", parts[i].batch->view->name);
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
fly_batch(struct wm_postgres *t, const struct wm_batch *batch, const struct wm_postgres_part *parts, size_t *ret_bad,
    struct wm_error *err)
{
	static const char *const begin[] = { WM_POSTGRES_BEGIN, NULL },
				 *const protect[] = { "SAVEPOINT walmill", NULL };
	struct wm_flight_tag bad = { .row = WM_BAD_UNKNOWN };
	struct wm_error local = { 0 };
	bool fresh = !t->in_transaction;
	enum wm_status st;

	t->in_transaction = true;
	st = wm_postgres_fly(t, parts, batch->nviews, fresh ? begin : protect,
	    fresh ? NULL : "RELEASE SAVEPOINT walmill", &bad, &local);
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

/* Who writes what of which view, with statements alone. */
static enum wm_status
find_parts(struct wm_postgres *t, const struct wm_batch *batch, struct wm_postgres_part *parts, struct wm_error *err)
{
	size_t base = 0;
	enum wm_status st = WM_OK;

	for (size_t i = 0; i < batch->nviews && st == WM_OK; i++) {
		struct wm_postgres_part *p = &parts[i];

		p->batch = &batch->views[i];
		p->base = base;
		p->to = p->batch->nrows;
		base += p->to;
		st = wm_postgres_view_find(t, p->batch->view, &p->view, err);
	}
	return st;
}

static enum wm_status
write_parts(struct wm_postgres *t, const struct wm_batch *batch, struct wm_postgres_part *parts, size_t *ret_bad,
    struct wm_error *err)
{
	bool written = false, copies = false;
	enum wm_status st = find_parts(t, batch, parts, err);

	if (st != WM_OK)
		return st;
	for (size_t i = 0; i < batch->nviews; i++) {
		parts[i].order = wm_key_order(parts[i].batch);
		parts[i].copy = wm_postgres_may_copy(parts[i].view, parts[i].batch);
		copies |= parts[i].copy;
	}
	if (wm_postgres_shares(t, batch))
		written = wm_postgres_share(t, parts, batch->nviews);
	if (!written && copies)
		st = copy_batch(t, parts, batch->nviews, &written, err);
	for (size_t i = 0; i < batch->nviews; i++)
		parts[i].copy = false;
	return st == WM_OK && !written ? fly_batch(t, batch, parts, ret_bad, err) : st;
}

enum wm_status
wm_postgres_write(
    struct wm_target *base, const struct wm_batch *batch, size_t *ret_bad, struct wm_error *err)
{
	struct wm_postgres *t = (struct wm_postgres *)base;
	struct wm_postgres_part *parts = calloc(batch->nviews + 1, sizeof(*parts));
	enum wm_status st;

	if (parts == NULL)
		return wm_oom(err, "a batch's views");
	st = check_batch(batch, ret_bad, err);
	if (st == WM_OK)
		st = write_parts(t, batch, parts, ret_bad, err);
	for (size_t i = 0; i < batch->nviews; i++)
		free(parts[i].order);
	free(parts);
	WM_FAULT(postgres_written);
	return st;
}

/*
 * Few rows and their bookmarks in one trip.  Nothing behind a statement that fails is run, the COMMIT neither, so what is
 * left is to end the transaction.
 */
enum wm_status
wm_postgres_write_commit(struct wm_target *base, const struct wm_batch *batch,
    const struct wm_bookmark *bookmarks, size_t n, struct wm_error *err)
{
	struct wm_postgres *t = (struct wm_postgres *)base;
	WM_AUTO(wm_freep) struct wm_postgres_part *parts = calloc(batch->nviews + 1, sizeof(*parts));
	WM_AUTO(wm_flight_free) struct wm_flight flight = { 0 };
	struct wm_flight_tag bad;
	size_t unused;
	enum wm_status st;

	if (parts == NULL)
		return wm_oom(err, "a batch's views");
	if (t->in_transaction || batch->nrows > FEW || batch->bytes > FEW_BYTES ||
	    check_batch(batch, &unused, err) != WM_OK)
		return wm_fail(err, WM_REJECT, "not in one trip");
	st = find_parts(t, batch, parts, err);
	if (st == WM_OK)
		st = wm_flight_start(&flight, t->pg, err);
	if (st == WM_OK)
		st = wm_flight_send_text(&flight, WM_POSTGRES_BEGIN, NULL, err);
	if (st == WM_OK)
		st = wm_postgres_send(t, &flight, parts, batch->nviews, err);
	if (st == WM_OK)
		st = wm_postgres_send_bookmarks(t, &flight, bookmarks, n, err);
	if (st == WM_OK)
		st = wm_flight_send_text(&flight, "COMMIT", NULL, err);
	if (st == WM_OK)
		st = wm_flight_land(&flight, "could not write", &bad, err);
	if (st != WM_REJECT && st != WM_FATAL)
		return st;
	return wm_pg_exec(t->pg, "ROLLBACK", "could not undo a batch", err) == WM_OK ? WM_REJECT : WM_RETRY;
}
