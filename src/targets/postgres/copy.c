/* SPDX-License-Identifier: PostgreSQL */
/*
 * copy.c - rows that the view should not have go there by COPY.
 *
 * It costs the server less than half of what INSERT ... ON CONFLICT does, and one trip more.
 * Whatever it refuses the caller writes the other way, which decides: a row may be there
 * nevertheless.  A view where that was so is left alone for a growing number of batches.
 */
#include "copytext.h"
#include "rows.h"
#include "walmill/fault.h"
#include "walmill/strutil.h"

enum {
	ROWS_MIN = 500, /* fewer are not worth the trip, */
	BYTES_MIN = 4 << 20, /* unless they are large: the statements hold them twice over */
	CHUNK = 64 << 10, /* bytes that go to libpq at a time, and of a value that are escaped at a time */
};

struct sender {
	struct wm_postgres *t;
	struct wm_buf buf;
	bool lost;
};

bool
wm_postgres_may_copy(struct wm_postgres_view *v, const struct wm_view_batch *batch)
{
	size_t n = 0, bytes = 0;

	if (v->copy == NULL)
		return false;
	for (size_t i = 0; i < batch->nrows && n < ROWS_MIN && bytes < BYTES_MIN; i++)
		if (wm_postgres_copies(&batch->rows[i])) {
			n++;
			bytes += wm_postgres_row_bytes(batch->view, &batch->rows[i]);
		}
	if (n < ROWS_MIN && bytes < BYTES_MIN)
		return false;
	return !wm_doubt_passes(&v->doubt);
}

static void
pass_on(struct sender *s)
{
	if (s->buf.failed)
		s->lost = true;
	if (!s->lost)
		s->lost = !wm_pg_copy_put(s->t->pg, s->buf.data, s->buf.len);
	wm_buf_reset(&s->buf);
}

static void
add_value(struct sender *s, const struct wm_value *v)
{
	if (v->kind != WM_VALUE_TEXT) {
		wm_buf_adds(&s->buf, WM_COPYTEXT_NULL);
		return;
	}
	for (size_t at = 0; at < v->len; at += CHUNK) {
		wm_copytext_add(&s->buf, v->data + at, v->len - at < CHUNK ? v->len - at : CHUNK);
		if (s->buf.len >= CHUNK)
			pass_on(s);
	}
}

static void
add_row(struct sender *s, const struct wm_view *view, const struct wm_row *row)
{
	for (unsigned i = 0; i < view->ncolumns; i++) {
		if (i > 0)
			wm_buf_addc(&s->buf, '\t');
		add_value(s, &row->values[i]);
	}
	wm_buf_addc(&s->buf, '\n');
	if (s->buf.len >= CHUNK)
		pass_on(s);
}

static enum wm_status
could_not(struct wm_postgres *t, const PGresult *res, struct wm_error *err)
{
	return wm_pg_fail(t->pg, res, err, "could not write");
}

static enum wm_status
send_rows(struct wm_postgres *t, void *arg, struct wm_error *err)
{
	const struct wm_postgres_part *part = arg;
	struct sender s = { .t = t };

	wm_buf_init(&s.buf, 4 * CHUNK);
	for (size_t place = part->from; place < part->to && !s.lost; place++) {
		size_t index;
		const struct wm_row *row = wm_postgres_row(part, place, &index);

		if (wm_postgres_copies(row))
			add_row(&s, part->batch->view, row);
	}
	pass_on(&s);
	wm_buf_free(&s.buf);
	return s.lost ? could_not(t, NULL, err) : WM_OK;
}

/* Takes results until the server wants rows, or has said all; *rows is how many the last statement stored. */
static enum wm_status
take_results(struct wm_postgres *t, bool *ret_wants, uint64_t *rows, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	*ret_wants = false;
	while (!*ret_wants) {
		WM_AUTO(wm_pg_clearp) PGresult *res = wm_pg_result(t->pg);

		if (res == NULL)
			return st;
		switch (PQresultStatus(res)) {
		case PGRES_COMMAND_OK:
			if (PQcmdTuples(res)[0] != '\0' && !wm_parse_u64(PQcmdTuples(res), rows))
				return wm_fail(err, WM_RETRY, "the server told no number of rows");
			break;
		case PGRES_TUPLES_OK: break;
		case PGRES_COPY_IN: *ret_wants = true; break;
		default:
			if (st == WM_OK)
				st = could_not(t, res, err);
			break;
		}
		if (PQstatus(wm_pg_conn(t->pg)) == CONNECTION_BAD)
			return st != WM_OK ? st : could_not(t, NULL, err);
	}
	return st;
}

enum wm_status
wm_postgres_copy_in(struct wm_postgres *t, const char *sql, wm_postgres_send_fn *send, void *arg, uint64_t *ret_rows,
    struct wm_error *err)
{
	struct wm_error ignored;
	uint64_t rows = 0;
	bool wants;
	enum wm_status st;

	if (PQsendQuery(wm_pg_conn(t->pg), sql) != 1)
		return could_not(t, NULL, err);
	st = take_results(t, &wants, &rows, err);
	if (st != WM_OK || !wants)
		return st;
	st = send(t, arg, err);
	if (PQstatus(wm_pg_conn(t->pg)) == CONNECTION_BAD)
		return st != WM_OK ? st : could_not(t, NULL, err);
	if (!wm_pg_copy_end(t->pg, st == WM_OK ? NULL : "broken off"))
		return could_not(t, NULL, err);
	WM_FAULT(postgres_copied);
	if (st != WM_OK) {
		(void)take_results(t, &wants, &rows, &ignored);
		return st;
	}
	st = take_results(t, &wants, &rows, err);
	if (st == WM_OK)
		*ret_rows = rows;
	return st;
}

enum wm_status
wm_postgres_copy(struct wm_postgres *t, const struct wm_postgres_part *part, const char *before, const char *after,
    struct wm_error *err)
{
	WM_AUTO(wm_freep) char *sql = wm_asprintf("%s%s%s", before, part->view->copy, after);
	uint64_t rows;

	return sql == NULL ? wm_oom(err, "a statement") :
			     wm_postgres_copy_in(t, sql, send_rows, (void *)(uintptr_t)part, &rows, err);
}
