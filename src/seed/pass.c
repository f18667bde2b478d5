/* SPDX-License-Identifier: PostgreSQL */
/*
 * pass.c - a range of a table as bytes that another PostgreSQL server takes as they are.
 *
 * Format: PostgreSQL documentation, "COPY", File Formats, Binary Format.  A message is a row; the first one has the
 * header before it, the last one is the trailer.
 */
#include <stdlib.h>
#include <string.h>

#include "copy.h"
#include "walmill/strutil.h"

#define CHUNK ((size_t)64 << 10)
#define HEADER 19			/* signature, flags, length of the extension, which is empty */
#define TRAILER 2

/*
 * The columns' types must be what the target was told: bytes do not show theirs.  The look also locks the table until
 * the transaction ends, so that they stay.
 */
static enum wm_status
check_types(struct wm_seed_pass *p, struct wm_error *err)
{
	const struct wm_relation *rel = p->range.rel;
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	struct wm_buf sql;
	enum wm_status st;
	int at = 0;

	wm_buf_init(&sql, WM_SEED_SQL_MAX);
	wm_seed_add_select(&sql, &p->range);
	wm_buf_adds(&sql, " LIMIT 0");
	st = sql.failed ? wm_oom(err, "a statement") :
	    wm_pg_query(p->c, sql.data, 0, NULL, "could not look at a table's columns", &res, err);
	wm_buf_free(&sql);
	for (unsigned i = 0; st == WM_OK && i < rel->ncolumns; i++) {
		const struct wm_type *type = &rel->columns[i].type;

		if (!p->range.needed[i])
			continue;
		if (PQftype(res, at) != type->oid || PQfmod(res, at) != type->typmod)
			return wm_fail(err, WM_REJECT, "column \"%s\" of %s.%s was altered", rel->columns[i].name,
			    p->range.schema, p->range.name);
		at++;
	}
	return st;
}

enum wm_status
wm_seed_pass_begin(struct wm_pg *c, const struct wm_seed_range *range, wm_seed_passed_fn *fn, void *arg,
    struct wm_seed_pass *ret, struct wm_error *err)
{
	enum wm_status st;

	*ret = (struct wm_seed_pass){ .c = c, .range = *range, .fn = fn, .arg = arg };
	wm_buf_init(&ret->buf, 4 * CHUNK);
	st = check_types(ret, err);
	return st == WM_OK ? st : wm_seed_failed(c, range->schema, range->name, err);
}

void
wm_seed_pass_end(struct wm_seed_pass *p)
{
	PQfreemem(p->row);
	wm_buf_free(&p->buf);
	*p = (struct wm_seed_pass){ 0 };
}

static enum wm_status
begin(struct wm_seed_pass *p, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	struct wm_buf sql;

	wm_buf_init(&sql, WM_SEED_SQL_MAX);
	wm_buf_adds(&sql, "COPY (");
	wm_seed_add_select(&sql, &p->range);
	wm_buf_adds(&sql, ") TO STDOUT (FORMAT binary)");
	if (!sql.failed)
		res = wm_pg_run(p->c, sql.data, 0, NULL);
	wm_buf_free(&sql);
	p->begun = true;
	return PQresultStatus(res) == PGRES_COPY_OUT ? WM_OK :
	    wm_pg_fail(p->c, res, err, "could not read table %s.%s", p->range.schema, p->range.name);
}

static enum wm_status
finish(struct wm_seed_pass *p, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = wm_pg_result(p->c);
	uint64_t told;

	if (PQresultStatus(res) != PGRES_COMMAND_OK || !wm_parse_u64(PQcmdTuples(res), &told))
		return wm_pg_fail(p->c, res, err, "reading %s.%s broke off", p->range.schema, p->range.name);
	PQclear(wm_pg_result(p->c));
	p->ended = true;
	if (told != p->rows)
		return wm_fail(err, WM_RETRY, "reading %s.%s: the server sent %" PRIu64 " rows, %" PRIu64 " arrived",
		    p->range.schema, p->range.name, told, p->rows);
	return WM_OK;
}

/* The message at hand, which is a row unless it is the trailer. */
static void
show(struct wm_seed_pass *p)
{
	size_t head = p->messages == 1 ? HEADER : 0;

	if (p->len <= head + TRAILER)
		return;
	p->rows++;
	if (p->fn != NULL)
		p->fn(p->arg, p->row + head, p->len - head);
}

/* False: the end, or a failure. */
static bool
take_message(struct wm_seed_pass *p, enum wm_status *st, struct wm_error *err)
{
	int n;

	PQfreemem(p->row);
	p->row = NULL;
	n = wm_pg_copy_row(p->c, &p->row);
	if (n <= 0) {
		*st = n == -1 ? finish(p, err) :
				wm_pg_fail(p->c, NULL, err, "reading %s.%s broke off", p->range.schema, p->range.name);
		return false;
	}
	p->messages++;
	p->len = (size_t)n;
	show(p);
	return true;
}

enum wm_status
wm_seed_pass_next(struct wm_seed_pass *p, const char **ret, size_t *ret_len, struct wm_error *err)
{
	enum wm_status st = p->begun ? WM_OK : begin(p, err);

	wm_buf_reset(&p->buf);
	/* A large one goes alone, and is not copied. */
	if (st == WM_OK && p->waits) {
		p->waits = false;
		*ret = p->row;
		*ret_len = p->len;
		return WM_OK;
	}
	while (st == WM_OK && !p->ended && p->buf.len < CHUNK && take_message(p, &st, err)) {
		p->waits = p->len >= CHUNK;
		if (p->waits)
			break;
		wm_buf_add(&p->buf, p->row, p->len);
	}
	if (st == WM_OK && p->buf.failed)
		st = wm_oom(err, "rows");
	if (st != WM_OK)
		return st;
	if (p->waits && p->buf.len == 0)
		return wm_seed_pass_next(p, ret, ret_len, err);
	*ret = p->buf.data;
	*ret_len = p->buf.len;
	return WM_OK;
}
