/* SPDX-License-Identifier: PostgreSQL */
/*
 * sql.c - builds the statements that write rows.
 *
 * u is the rows given, with columns c0, c1, ... in the view's order, m the mask, o0, o1, ...
 * the old key; t is the table.
 */
#include "sql.h"

#include "walmill/pg.h"

static void
add_column_list(struct wm_buf *b, const struct wm_view *view)
{
	for (unsigned i = 0; i < view->ncolumns; i++) {
		if (i > 0)
			wm_buf_adds(b, ", ");
		wm_pg_quote_ident(b, view->columns[i].name);
	}
}

void
wm_sql_key_list(struct wm_buf *b, const struct wm_view *view)
{
	for (unsigned i = 0; i < view->nkeys; i++) {
		if (i > 0)
			wm_buf_adds(b, ", ");
		wm_pg_quote_ident(b, view->columns[view->keys[i]].name);
	}
}

/* unnest($1::text[], ...): n parameters. */
static void
add_unnest(struct wm_buf *b, unsigned n)
{
	wm_buf_adds(b, "unnest(");
	for (unsigned i = 0; i < n; i++)
		wm_buf_addf(b, "%s$%u::text[]", i > 0 ? ", " : "", i + 1);
	wm_buf_addc(b, ')');
}

/* c0, c1, ... */
static void
add_names(struct wm_buf *b, const struct wm_view *view)
{
	for (unsigned i = 0; i < view->ncolumns; i++)
		wm_buf_addf(b, "%sc%u", i > 0 ? ", " : "", i);
}

/* The given value of column i where it is known, else what the table has. */
static void
add_known_or_kept(struct wm_buf *b, const struct wm_sql_table *t, unsigned i)
{
	wm_buf_addf(
	    b, "CASE WHEN substr(u.m, %u, 1) = '1' THEN u.c%u::%s ELSE t.", i + 1, i, t->casts[i]);
	wm_pg_quote_ident(b, t->view->columns[i].name);
	wm_buf_adds(b, " END");
}

static void
add_on_conflict(struct wm_buf *b, const struct wm_view *view)
{
	const char *sep = "";

	wm_buf_adds(b, " ON CONFLICT (");
	wm_sql_key_list(b, view);
	if (view->ncolumns == view->nkeys) {
		wm_buf_adds(b, ") DO NOTHING");
		return;
	}
	wm_buf_adds(b, ") DO UPDATE SET ");
	for (unsigned i = 0; i < view->ncolumns; i++) {
		if (view->columns[i].key)
			continue;
		wm_buf_adds(b, sep);
		wm_pg_quote_ident(b, view->columns[i].name);
		wm_buf_adds(b, " = EXCLUDED.");
		wm_pg_quote_ident(b, view->columns[i].name);
		sep = ", ";
	}
}

/* t."k" = u.c0::type AND ..., with prefix 'c' numbered by column or 'o' numbered by key. */
static void
add_key_match(struct wm_buf *b, const struct wm_sql_table *t, char prefix)
{
	const struct wm_view *view = t->view;

	for (unsigned i = 0; i < view->nkeys; i++) {
		unsigned column = view->keys[i];

		wm_buf_adds(b, i > 0 ? " AND t." : "t.");
		wm_pg_quote_ident(b, view->columns[column].name);
		wm_buf_addf(
		    b, " = u.%c%u::%s", prefix, prefix == 'c' ? column : i, t->casts[column]);
	}
}

void
wm_sql_upsert(struct wm_buf *b, const struct wm_sql_table *t)
{
	const struct wm_view *view = t->view;

	wm_buf_addf(b, "INSERT INTO %s (", t->name);
	add_column_list(b, view);
	wm_buf_adds(b, ") SELECT ");
	for (unsigned i = 0; i < view->ncolumns; i++)
		wm_buf_addf(b, "%su.c%u::%s", i > 0 ? ", " : "", i, t->casts[i]);
	wm_buf_adds(b, " FROM ");
	add_unnest(b, view->ncolumns);
	wm_buf_adds(b, " AS u(");
	add_names(b, view);
	wm_buf_addc(b, ')');
	add_on_conflict(b, view);
}

void
wm_sql_copy(struct wm_buf *b, const struct wm_sql_table *t)
{
	wm_buf_addf(b, "COPY %s (", t->name);
	add_column_list(b, t->view);
	wm_buf_adds(b, ") FROM STDIN");
}

void
wm_sql_delete(struct wm_buf *b, const struct wm_sql_table *t)
{
	wm_buf_addf(b, "DELETE FROM %s AS t USING ", t->name);
	add_unnest(b, t->view->nkeys);
	wm_buf_adds(b, " AS u(");
	for (unsigned i = 0; i < t->view->nkeys; i++)
		wm_buf_addf(b, "%sc%u", i > 0 ? ", " : "", t->view->keys[i]);
	wm_buf_adds(b, ") WHERE ");
	add_key_match(b, t, 'c');
}

void
wm_sql_update(struct wm_buf *b, const struct wm_sql_table *t)
{
	const struct wm_view *view = t->view;
	const char *sep = "";

	wm_buf_addf(b, "UPDATE %s AS t SET ", t->name);
	for (unsigned i = 0; i < view->ncolumns; i++) {
		if (view->columns[i].key)
			continue;
		wm_buf_adds(b, sep);
		wm_pg_quote_ident(b, view->columns[i].name);
		wm_buf_adds(b, " = ");
		add_known_or_kept(b, t, i);
		sep = ", ";
	}
	wm_buf_adds(b, " FROM ");
	add_unnest(b, view->ncolumns + 1);
	wm_buf_adds(b, " AS u(");
	add_names(b, view);
	wm_buf_adds(b, ", m) WHERE ");
	add_key_match(b, t, 'c');
}

void
wm_sql_move(struct wm_buf *b, const struct wm_sql_table *t)
{
	const struct wm_view *view = t->view;

	wm_buf_adds(b, "WITH u AS (SELECT * FROM ");
	add_unnest(b, view->ncolumns + 1 + view->nkeys);
	wm_buf_adds(b, " WITH ORDINALITY AS u(");
	add_names(b, view);
	wm_buf_adds(b, ", m");
	for (unsigned i = 0; i < view->nkeys; i++)
		wm_buf_addf(b, ", o%u", i);
	wm_buf_addf(b, ", n)), gone AS (DELETE FROM %s AS t USING u WHERE ", t->name);
	add_key_match(b, t, 'o');
	wm_buf_adds(b, " RETURNING u.n");
	for (unsigned i = 0; i < view->ncolumns; i++) {
		wm_buf_adds(b, ", ");
		add_known_or_kept(b, t, i);
		wm_buf_addf(b, " AS c%u", i);
	}
	wm_buf_addf(b, ") INSERT INTO %s (", t->name);
	add_column_list(b, view);
	wm_buf_adds(b, ") SELECT ");
	add_names(b, view);
	/* The sort needs every deleted row before it gives the first one to the insert. */
	wm_buf_adds(b, " FROM gone ORDER BY n");
	add_on_conflict(b, view);
}
