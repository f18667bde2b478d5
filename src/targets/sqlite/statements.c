/* SPDX-License-Identifier: PostgreSQL */
/*
 * statements.c - the SQL of each view, prepared once.
 *
 * A view's statements are found by its name and layout (names, types, key), most recently used
 * first.  Partial updates have one statement for each set of known columns, of which the least
 * used go when there are too many.
 */
#include "sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "walmill/strutil.h"

#define UPDATES_MAX 64		/* of one view; a table has few ways to be updated */

struct update {
	struct update	*next;
	sqlite3_stmt	*stmt;
	bool		 moving;
	char		 known[];	/* ncolumns bytes */
};

struct wm_sqlite_cache {
	struct wm_sqlite_cache	*next;
	char			*name;		/* of the view */
	char			*layout;
	size_t			 layout_len;
	enum wm_sqlite_storage	*storage;	/* of each column */
	sqlite3_stmt		*stmts[WM_SQLITE_NSTATEMENTS];
	struct update		*updates;
};

/* ---- the cache ---- */

static void
free_cache(struct wm_sqlite_cache *c)
{
	while (c->updates != NULL) {
		struct update *u = c->updates;

		c->updates = u->next;
		(void)sqlite3_finalize(u->stmt);
		free(u);
	}
	for (size_t i = 0; i < WM_SQLITE_NSTATEMENTS; i++)
		(void)sqlite3_finalize(c->stmts[i]);
	free(c->storage);
	free(c->layout);
	free(c->name);
	free(c);
}

/* Everything that the statements and the binding of values depend on. */
static void
describe(const struct wm_view *view, struct wm_buf *b)
{
	wm_buf_add(b, view->name, strlen(view->name) + 1);
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const struct wm_view_column *column = &view->columns[i];
		char storage = (char)wm_sqlite_storage(column);

		wm_buf_add(b, column->name, strlen(column->name) + 1);
		wm_buf_addc(b, storage);
		wm_buf_addc(b, (char)wm_sqlite_affinity(wm_sqlite_declared(column)));
	}
	for (unsigned i = 0; i < view->nkeys; i++)
		wm_buf_add(b, &view->keys[i], sizeof(view->keys[i]));
}

static struct wm_sqlite_cache *
make_cache(const struct wm_view *view, const struct wm_buf *layout)
{
	struct wm_sqlite_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->name = strdup(view->name);
	c->layout = malloc(layout->len);
	c->layout_len = layout->len;
	c->storage = calloc(view->ncolumns, sizeof(*c->storage));
	if (c->name == NULL || c->layout == NULL || c->storage == NULL) {
		free_cache(c);
		return NULL;
	}
	memcpy(c->layout, layout->data, layout->len);
	for (unsigned i = 0; i < view->ncolumns; i++)
		c->storage[i] = wm_sqlite_storage(&view->columns[i]);
	return c;
}

struct wm_sqlite_cache *
wm_sqlite_cache_get(struct wm_sqlite *s, const struct wm_view *view, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf layout;
	struct wm_sqlite_cache **link, *c;

	wm_buf_init(&layout, WM_SQLITE_SQL_MAX);
	describe(view, &layout);
	if (layout.failed) {
		(void)wm_oom(err, "a view's statements");
		return NULL;
	}
	for (link = &s->caches; *link != NULL; link = &(*link)->next)
		if ((*link)->layout_len == layout.len && memcmp((*link)->layout, layout.data, layout.len) == 0)
			break;
	c = *link;
	if (c != NULL)
		*link = c->next;
	else
		c = make_cache(view, &layout);
	if (c == NULL) {
		(void)wm_oom(err, "a view's statements");
		return NULL;
	}
	c->next = s->caches;
	s->caches = c;
	return c;
}

void
wm_sqlite_cache_forget(struct wm_sqlite *s, const char *view)
{
	struct wm_sqlite_cache **link = &s->caches, *c;

	while ((c = *link) != NULL) {
		if (strcmp(c->name, view) != 0) {
			link = &c->next;
			continue;
		}
		*link = c->next;
		free_cache(c);
	}
}

void
wm_sqlite_cache_clear(struct wm_sqlite *s)
{
	while (s->caches != NULL) {
		struct wm_sqlite_cache *c = s->caches;

		s->caches = c->next;
		free_cache(c);
	}
}

enum wm_sqlite_storage
wm_sqlite_cache_storage(const struct wm_sqlite_cache *c, unsigned column)
{
	return c->storage[column];
}

/* ---- SQL ---- */

void
wm_sqlite_key_list(struct wm_buf *b, const struct wm_view *view)
{
	for (unsigned i = 0; i < view->nkeys; i++) {
		wm_buf_adds(b, i > 0 ? ", " : "");
		wm_sqlite_quote(b, view->columns[view->keys[i]].name);
	}
}

static void
add_where(struct wm_buf *b, const struct wm_view *view, bool old)
{
	for (unsigned i = 0; i < view->nkeys; i++) {
		wm_buf_adds(b, i > 0 ? " AND " : " WHERE ");
		wm_sqlite_quote(b, view->columns[view->keys[i]].name);
		wm_buf_addf(b, " = ?%u", old ? view->ncolumns + i + 1 : view->keys[i] + 1);
	}
}

static void
add_upsert(struct wm_buf *b, const struct wm_view *view)
{
	const char *sep = "";

	wm_buf_adds(b, "INSERT INTO ");
	wm_sqlite_quote(b, view->name);
	wm_buf_adds(b, " (");
	for (unsigned i = 0; i < view->ncolumns; i++) {
		wm_buf_adds(b, i > 0 ? ", " : "");
		wm_sqlite_quote(b, view->columns[i].name);
	}
	wm_buf_adds(b, ") VALUES (");
	for (unsigned i = 0; i < view->ncolumns; i++)
		wm_buf_addf(b, "%s?%u", i > 0 ? ", " : "", i + 1);
	wm_buf_addc(b, ')');
	if (view->nkeys == 0)
		return;
	wm_buf_adds(b, " ON CONFLICT (");
	wm_sqlite_key_list(b, view);
	wm_buf_adds(b, ") DO ");
	for (unsigned i = 0; i < view->ncolumns; i++) {
		if (view->columns[i].key)
			continue;
		wm_buf_adds(b, *sep == '\0' ? "UPDATE SET " : sep);
		sep = ", ";
		wm_sqlite_quote(b, view->columns[i].name);
		wm_buf_adds(b, " = excluded.");
		wm_sqlite_quote(b, view->columns[i].name);
	}
	if (*sep == '\0')
		wm_buf_adds(b, "NOTHING");
}

static void
add_statement(struct wm_buf *b, const struct wm_view *view, enum wm_sqlite_statement which)
{
	switch (which) {
	case WM_SQLITE_UPSERT:
		add_upsert(b, view);
		break;
	case WM_SQLITE_TRUNCATE:
	case WM_SQLITE_DELETE:
		wm_buf_adds(b, "DELETE FROM ");
		wm_sqlite_quote(b, view->name);
		if (which == WM_SQLITE_DELETE)
			add_where(b, view, false);
		break;
	case WM_SQLITE_PARK:
		wm_buf_adds(b, "UPDATE ");
		wm_sqlite_quote(b, view->name);
		wm_buf_adds(b, " SET ");
		wm_sqlite_quote(b, view->columns[view->keys[0]].name);
		wm_buf_adds(b, " = ?1");
		add_where(b, view, true);
		break;
	case WM_SQLITE_NSTATEMENTS:
		break;
	}
}

enum wm_status
wm_sqlite_altered(struct wm_sqlite *s, const struct wm_view *view, struct wm_error *err)
{
	return wm_fail_code(err, WM_RETRY, "sqlite:1", "sqlite \"%s\": view \"%s\": the table was altered: %s",
	    s->path, view->name, sqlite3_errmsg(s->db));
}

static enum wm_status
prepare(struct wm_sqlite *s, const struct wm_view *view, const struct wm_buf *sql, sqlite3_stmt **ret,
    struct wm_error *err)
{
	enum wm_status status = wm_sqlite_prepare(s, sql, view->name, ret, err);

	return status == WM_REJECT ? wm_sqlite_altered(s, view, err) : status;
}

enum wm_status
wm_sqlite_cache_statement(struct wm_sqlite *s, struct wm_sqlite_cache *c, const struct wm_view *view,
    enum wm_sqlite_statement which, sqlite3_stmt **ret, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	enum wm_status status = WM_OK;

	wm_buf_init(&sql, WM_SQLITE_SQL_MAX);
	if (c->stmts[which] == NULL) {
		add_statement(&sql, view, which);
		status = prepare(s, view, &sql, &c->stmts[which], err);
	}
	if (status == WM_OK)
		*ret = c->stmts[which];
	return status;
}

/* ---- partial updates ---- */

static void
add_update(struct wm_buf *b, const struct wm_view *view, const char *known, bool moving)
{
	const char *sep = " SET ";

	wm_buf_adds(b, "UPDATE ");
	wm_sqlite_quote(b, view->name);
	for (unsigned i = 0; i < view->ncolumns; i++) {
		if (!known[i])
			continue;
		wm_buf_adds(b, sep);
		sep = ", ";
		wm_sqlite_quote(b, view->columns[i].name);
		wm_buf_addf(b, " = ?%u", i + 1);
	}
	add_where(b, view, moving);
}

/* Drops the statements behind the first UPDATES_MAX - 1. */
static void
trim_updates(struct wm_sqlite_cache *c)
{
	struct update **link = &c->updates, *u;

	for (unsigned n = 1; n < UPDATES_MAX && *link != NULL; n++)
		link = &(*link)->next;
	while ((u = *link) != NULL) {
		*link = u->next;
		(void)sqlite3_finalize(u->stmt);
		free(u);
	}
}

static enum wm_status
make_update(struct wm_sqlite *s, struct wm_sqlite_cache *c, const struct wm_view *view, const char *known,
    bool moving, struct update **ret, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	struct update *u = calloc(1, sizeof(*u) + view->ncolumns);
	enum wm_status status;

	wm_buf_init(&sql, WM_SQLITE_SQL_MAX);
	if (u == NULL)
		return wm_oom(err, "an SQL statement");
	u->moving = moving;
	memcpy(u->known, known, view->ncolumns);
	add_update(&sql, view, known, moving);
	status = prepare(s, view, &sql, &u->stmt, err);
	if (status != WM_OK) {
		free(u);
		return status;
	}
	trim_updates(c);
	*ret = u;
	return WM_OK;
}

enum wm_status
wm_sqlite_cache_update(struct wm_sqlite *s, struct wm_sqlite_cache *c, const struct wm_view *view,
    const char *known, bool moving, sqlite3_stmt **ret, struct wm_error *err)
{
	struct update **link, *u;
	enum wm_status status;

	for (link = &c->updates; *link != NULL; link = &(*link)->next)
		if ((*link)->moving == moving && memcmp((*link)->known, known, view->ncolumns) == 0)
			break;
	u = *link;
	if (u != NULL)
		*link = u->next;
	else {
		status = make_update(s, c, view, known, moving, &u, err);
		if (status != WM_OK)
			return status;
	}
	u->next = c->updates;
	c->updates = u;
	*ret = u->stmt;
	return WM_OK;
}
