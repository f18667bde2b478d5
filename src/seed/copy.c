/* SPDX-License-Identifier: PostgreSQL */
/*
 * copy.c - a range of a table by COPY in text format.
 *
 * Format: PostgreSQL documentation, "COPY", File Formats, Text Format.  A line is unescaped in
 * place: libpq hands over a buffer of its own for each row.
 */
#include <stdlib.h>
#include <string.h>

#include "copy.h"
#include "walmill/strutil.h"

void
wm_seed_add_select(struct wm_buf *sql, const struct wm_seed_range *range)
{
	const char *sep = "";

	wm_buf_adds(sql, "SELECT ");
	for (unsigned i = 0; i < range->rel->ncolumns; i++) {
		if (!range->needed[i])
			continue;
		wm_buf_adds(sql, sep);
		wm_pg_quote_ident(sql, range->rel->columns[i].name);
		sep = ", ";
	}
	if (range->constant != NULL)
		wm_buf_addf(sql, "%s%s", sep, range->constant);
	wm_buf_adds(sql, " FROM ONLY ");
	wm_pg_quote_ident(sql, range->schema);
	wm_buf_addc(sql, '.');
	wm_pg_quote_ident(sql, range->name);
	wm_buf_addf(sql, " WHERE ctid >= '(%u,0)'", range->from);
	if (range->to != WM_SEED_TO_END)
		wm_buf_addf(sql, " AND ctid < '(%u,0)'", range->to);
}

static unsigned
digit(char c)
{
	return c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) :
	    c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10) : 99;
}

/* One escape sequence behind a backslash; moves *in behind it. */
static char
unescape(const char **in, const char *end)
{
	char c = *(*in)++;
	unsigned v = 0;

	switch (c) {
	case 'b': return '\b';
	case 'f': return '\f';
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	case 'v': return '\v';
	case 'x':
		if (*in == end || digit(**in) > 15)
			return c;
		for (int i = 0; i < 2 && *in < end && digit(**in) < 16; i++)
			v = v * 16 + digit(*(*in)++);
		return (char)v;
	default:
		if (digit(c) > 7)
			return c;
		v = digit(c);
		for (int i = 0; i < 2 && *in < end && digit(**in) < 8; i++)
			v = v * 8 + digit(*(*in)++);
		return (char)v;
	}
}

/* The field at *p up to a tab or end, unescaped in place; moves *p behind it. */
static struct wm_value
take_field(char **p, char *end)
{
	char *start = *p, *tab = memchr(start, '\t', (size_t)(end - start));
	char *stop = tab != NULL ? tab : end;
	const char *in;
	char *out;

	*p = tab != NULL ? tab + 1 : end;
	if (stop - start == 2 && start[0] == '\\' && start[1] == 'N')
		return (struct wm_value){ .kind = WM_VALUE_NULL };
	out = memchr(start, '\\', (size_t)(stop - start));
	if (out != NULL) {
		for (in = out; in < stop;) {
			if (*in != '\\' || in + 1 == stop)
				*out++ = *in++;
			else {
				in++;
				*out++ = unescape(&in, stop);
			}
		}
		stop = out;
	}
	return (struct wm_value){ .kind = WM_VALUE_TEXT, .data = start, .len = (uint32_t)(stop - start) };
}

static enum wm_status
take_row(const struct wm_seed_range *range, char *line, size_t len, struct wm_tuple *row, struct wm_error *err)
{
	char *p = line, *end = line + len;
	bool more = true;

	if (len > 0 && end[-1] == '\n')
		end--;
	for (unsigned i = 0; i < range->rel->ncolumns; i++) {
		if (!range->needed[i])
			continue;
		if (!more)
			return wm_fail(err, WM_FATAL, "COPY of %s.%s gave a row with too few columns", range->schema,
			    range->name);
		row->values[i] = take_field(&p, end);
		more = p < end || (p == end && p > line && p[-1] == '\t');
	}
	return p == end ? WM_OK : wm_fail(err, WM_FATAL, "COPY of %s.%s gave a row with too many columns",
	    range->schema, range->name);
}

static enum wm_status
copy_rows(struct wm_pg *c, const struct wm_seed_range *range, wm_seed_row_fn *fn, void *arg, struct wm_tuple *row,
    uint64_t *count, struct wm_error *err)
{
	enum wm_status st = WM_OK;
	char *line;
	int n;

	while (st == WM_OK && (n = wm_pg_copy_row(c, &line)) > 0) {
		st = take_row(range, line, (size_t)n, row, err);
		if (st == WM_OK)
			st = fn(arg, row, err);
		PQfreemem(line);
		(*count)++;
	}
	if (st == WM_OK && n == -2)
		st = wm_pg_fail(c, NULL, err, "reading %s.%s broke off", range->schema, range->name);
	return st;
}

enum wm_status
wm_seed_failed(struct wm_pg *c, const char *schema, const char *name, struct wm_error *err)
{
	char text[sizeof(err->text)];
	const char *role = PQuser(wm_pg_conn(c));

	if (strcmp(err->code, "42501") != 0)
		return err->status;
	memcpy(text, err->text, sizeof(text));
	return wm_fail_code(err, WM_REJECT, "42501",
	    "%.600s; GRANT SELECT ON \"%.63s\".\"%.63s\" TO \"%.63s\" (and USAGE on the schema), then `walmill resume` "
	    "the rule",
	    text, schema, name, role);
}

enum wm_status
wm_seed_copy(struct wm_pg *c, const struct wm_seed_range *range, wm_seed_row_fn *fn, void *arg, uint64_t *ret_rows,
    struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	WM_AUTO(wm_freep) struct wm_value *values = calloc(range->rel->ncolumns + 1, sizeof(*values));
	struct wm_tuple row = { .n = range->rel->ncolumns, .values = values };
	uint64_t got = 0, told = 0;
	struct wm_buf sql;
	enum wm_status st;

	if (values == NULL)
		return wm_oom(err, "a row");
	wm_buf_init(&sql, WM_SEED_SQL_MAX);
	wm_buf_adds(&sql, "COPY (");
	wm_seed_add_select(&sql, range);
	wm_buf_adds(&sql, ") TO STDOUT");
	if (!sql.failed)
		res = wm_pg_run(c, sql.data, 0, NULL);
	wm_buf_free(&sql);
	if (PQresultStatus(res) != PGRES_COPY_OUT) {
		(void)wm_pg_fail(c, res, err, "could not read table %s.%s", range->schema, range->name);
		return wm_seed_failed(c, range->schema, range->name, err);
	}
	st = copy_rows(c, range, fn, arg, &row, &got, err);
	if (st != WM_OK)
		return st;
	PQclear(res);
	res = wm_pg_result(c);
	if (PQresultStatus(res) != PGRES_COMMAND_OK || !wm_parse_u64(PQcmdTuples(res), &told))
		return wm_pg_fail(c, res, err, "reading %s.%s broke off", range->schema, range->name);
	PQclear(wm_pg_result(c));
	if (told != got)
		return wm_fail(err, WM_RETRY, "reading %s.%s: the server sent %" PRIu64 " rows, %" PRIu64 " arrived",
		    range->schema, range->name, told, got);
	*ret_rows = got;
	return WM_OK;
}
