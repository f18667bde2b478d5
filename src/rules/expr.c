/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr.c - SQL expressions over one source row, run by SQLite.
 *
 * An expression is compiled alone against an empty table that has the relation's columns, under
 * an authorizer that records which of them it reads and refuses whatever is not an expression.
 * What then runs per row is one statement for all of them over a row of parameters, one for
 * each column that is read.
 *
 * A user's text cannot break out of its place: it has to compile both in parentheses and
 * between CASE's THEN and END, and no text closes both.
 */
#include "expr.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expr_value.h"
#include "field.h"
#include "walmill/buf.h"
#include "walmill/strutil.h"

#define SQL_MAX (4u << 20)		/* bytes of a statement */
#define NAMES_MAX 2000			/* columns one expression may name */
#define ROW_TABLE "_walmill_row"
#define NO_COLUMN "no such column: "

struct reads {
	unsigned	 n;
	unsigned	*columns;		/* indexes into the relation */
};

struct wm_exprs {
	sqlite3			*db;
	sqlite3_stmt		*stmt;		/* all expressions */
	struct wm_relation	*rel;
	size_t			 n;
	struct wm_expr		*list;
	struct reads		*reads;		/* of each expression */
	struct reads		 bound;		/* of all: parameter i + 1 is column bound.columns[i] */
};

/* What the authorizer has seen while one expression was compiled. */
struct watch {
	const struct wm_relation	*rel;
	bool				*read;	/* rel->ncolumns flags */
	const char			*foreign;	/* a name of the row that is no column: rowid */
};

static void
finalizep(sqlite3_stmt **stmt)
{
	sqlite3_finalize(*stmt);
}

static void
closep(sqlite3 **db)
{
	sqlite3_close(*db);
}

static void
exprs_freep(struct wm_exprs **e)
{
	wm_exprs_free(*e);
}

static int
column_of(const struct wm_relation *rel, const char *name)
{
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		if (sqlite3_stricmp(rel->columns[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

/* Text that is a number turns into one; NaN, Infinity and the like stay text. */
static void
number_function(sqlite3_context *context, int n, sqlite3_value **args)
{
	(void)n;
	sqlite3_value_numeric_type(args[0]);
	sqlite3_result_value(context, args[0]);
}

static enum wm_status
open_engine(sqlite3 **ret, struct wm_error *err)
{
	WM_AUTO(closep) sqlite3 *db = NULL;
	int rc = sqlite3_open_v2(":memory:", &db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	/* A name in double quotes that is no column must not turn into a text. */
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function_v2(db, "_walmill_number", 1,
		    SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, number_function, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return wm_fail(err, WM_FATAL, "cannot start the expression engine: %s", sqlite3_errstr(rc));
	/* These two declare themselves at first use, which the authorizer would refuse. */
	sqlite3_exec(db, "SELECT 1 FROM json_each('[]'), json_tree('[]')", NULL, NULL, NULL);
	*ret = db;
	db = NULL;
	return WM_OK;
}

static int
authorize_read(struct watch *watch, const char *table, const char *column)
{
	int i;

	if (strcmp(table, ROW_TABLE) != 0)	/* the two make sense of JSON within one row */
		return strcmp(table, "json_each") == 0 || strcmp(table, "json_tree") == 0 ? SQLITE_OK : SQLITE_DENY;
	if (column[0] == '\0')			/* the row as such: count(*) */
		return SQLITE_OK;
	i = column_of(watch->rel, column);
	if (i >= 0)
		watch->read[i] = true;
	else
		watch->foreign = "rowid";
	return SQLITE_OK;
}

/* arg: struct watch, or NULL while there is no row to read from. */
static int
authorize(void *arg, int action, const char *a, const char *b, const char *database, const char *trigger)
{
	(void)database;
	(void)trigger;
	switch (action) {
	case SQLITE_SELECT:
		return SQLITE_OK;
	case SQLITE_FUNCTION:
		return sqlite3_stricmp(b, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
	case SQLITE_READ:
		if (arg != NULL)
			return authorize_read(arg, a, b);
		return strcmp(a, "json_each") == 0 || strcmp(a, "json_tree") == 0 ? SQLITE_OK : SQLITE_DENY;
	default:
		return SQLITE_DENY;
	}
}

static void
add_quoted(struct wm_buf *b, const char *name)
{
	wm_buf_addc(b, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			wm_buf_addc(b, '"');
		wm_buf_addc(b, *name);
	}
	wm_buf_addc(b, '"');
}

/* One statement, nothing behind it and no parameters of the user's. */
static enum wm_status
prepare(sqlite3 *db, const struct wm_buf *sql, sqlite3_stmt **ret, struct wm_error *err)
{
	const char *tail = NULL;

	if (sql->failed)
		return wm_fail(err, WM_REJECT, "the expression is too long");
	if (sqlite3_prepare_v3(db, sql->data, (int)sql->len + 1, SQLITE_PREPARE_PERSISTENT, ret, &tail) != SQLITE_OK)
		return wm_fail(err, WM_REJECT, "%s", sqlite3_errmsg(db));
	if (*ret == NULL || *tail != '\0')
		return wm_fail(err, WM_REJECT, "it is not one expression");
	return WM_OK;
}

/* ---- checking, before columns are known ---- */

/* Compiles open sql close FROM a row that has names. */
static enum wm_status
try_expression(sqlite3 *db, const char *open, const char *sql, const char *close, char *const *names, size_t n,
    struct wm_error *err)
{
	WM_AUTO(finalizep) sqlite3_stmt *stmt = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf b;
	enum wm_status status;

	wm_buf_init(&b, SQL_MAX);
	wm_buf_addf(&b, "SELECT %s%s\n%s FROM (SELECT 1", open, sql, close);
	for (size_t i = 0; i < n; i++) {
		wm_buf_adds(&b, ", 1 AS ");
		add_quoted(&b, names[i]);
	}
	wm_buf_addc(&b, ')');
	status = prepare(db, &b, &stmt, err);
	if (status != WM_OK)
		return status;
	if (sqlite3_bind_parameter_count(stmt) > 0)
		return wm_fail(err, WM_REJECT, "it must not hold a parameter (?, :name, @name, $name)");
	if (sqlite3_column_count(stmt) != 1)
		return wm_fail(err, WM_REJECT, "it is not one expression");
	return WM_OK;
}

/* The name in "no such column: name", which may be quoted and followed by advice; NULL: memory is out. */
static char *
missing_name(const char *text)
{
	const char *name = text + strlen(NO_COLUMN);

	return name[0] == '"' ? strndup(name + 1, strcspn(name + 1, "\"")) : strdup(name);
}

static bool
is_missing(const struct wm_error *err)
{
	return strncmp(err->text, NO_COLUMN, strlen(NO_COLUMN)) == 0;
}

static bool
is_known(char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (sqlite3_stricmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* Any column is taken as known, so that what else is wrong shows. */
static enum wm_status
check_in(sqlite3 *db, const char *open, const char *sql, const char *close, struct wm_error *err)
{
	char *names[NAMES_MAX];
	struct wm_error local;
	enum wm_status status;
	size_t n = 0;

	while ((status = try_expression(db, open, sql, close, names, n, &local)) == WM_REJECT && n < NAMES_MAX &&
	    is_missing(&local)) {
		char *name = missing_name(local.text);

		if (name == NULL) {
			status = wm_oom(&local, "an expression's columns");
			break;
		}
		/* Qualified by the table's name, which is not known either. */
		if (strchr(name, '.') != NULL || is_known(names, n, name)) {
			free(name);
			status = WM_OK;
			break;
		}
		names[n++] = name;
	}
	while (n > 0)
		free(names[--n]);
	if (status != WM_OK && err != NULL)
		*err = local;
	return status;
}

enum wm_status
wm_expr_check(const char *sql, struct wm_error *err)
{
	WM_AUTO(closep) sqlite3 *db = NULL;
	enum wm_status status = open_engine(&db, err);

	if (status != WM_OK)
		return status;
	if (sql[strspn(sql, " \t\r\n")] == '\0')
		return wm_fail(err, WM_REJECT, "it is empty");
	sqlite3_set_authorizer(db, authorize, NULL);
	status = check_in(db, "(", sql, ")", err);
	if (status == WM_OK)
		status = check_in(db, "CASE WHEN 1 THEN ", sql, "END", err);
	return status;
}

/* ---- compiling for a relation ---- */

/* SQLite's names ignore case (of ASCII letters), PostgreSQL's do not. */
static enum wm_status
make_row_table(struct wm_exprs *e, struct wm_error *err)
{
	const struct wm_relation *rel = e->rel;
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, SQL_MAX);
	wm_buf_adds(&b, "CREATE TABLE " ROW_TABLE " (_walmill_none");
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		unsigned other = (unsigned)column_of(rel, rel->columns[i].name);

		if (other != i)
			return wm_fail(err, WM_REJECT,
			    "columns \"%s\" and \"%s\" of table %s.%s differ only in case, so that "
			    "expressions cannot tell them apart: use a rule without expressions for this table",
			    rel->columns[other].name, rel->columns[i].name, rel->schema, rel->name);
		wm_buf_adds(&b, ", ");
		add_quoted(&b, rel->columns[i].name);
	}
	wm_buf_addc(&b, ')');
	if (b.failed)
		return wm_oom(err, "the expressions' columns");
	if (sqlite3_exec(e->db, b.data, NULL, NULL, NULL) != SQLITE_OK)
		return wm_fail(err, WM_FATAL, "cannot set up the expression engine: %s", sqlite3_errmsg(e->db));
	return WM_OK;
}

static enum wm_status
unknown_column(const struct wm_relation *rel, const char *what, const char *name, struct wm_error *err)
{
	char hint[WM_HINT_SIZE];

	if (name == NULL)
		return wm_oom(err, "a column's name");
	return wm_fail(err, WM_REJECT, "%s: table %s.%s has no column \"%s\"%s", what, rel->schema, rel->name, name,
	    wm_hint_column(name, rel, hint));
}

static enum wm_status
collect(const bool *flags, unsigned n, struct reads *ret, struct wm_error *err)
{
	ret->columns = reallocarray(NULL, n + 1, sizeof(unsigned));
	if (ret->columns == NULL)
		return wm_oom(err, "an expression's columns");
	for (unsigned i = 0; i < n; i++) {
		if (flags[i])
			ret->columns[ret->n++] = i;
	}
	return WM_OK;
}

/* What expression i reads, into e->reads[i] and all. */
static enum wm_status
analyse(struct wm_exprs *e, size_t i, bool *all, struct wm_error *err)
{
	const struct wm_expr *x = &e->list[i];
	WM_AUTO(wm_freep) bool *flags = calloc(e->rel->ncolumns + 1, sizeof(*flags));
	WM_AUTO(finalizep) sqlite3_stmt *stmt = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf b;
	struct watch watch = { .rel = e->rel, .read = flags };
	struct wm_error local;
	enum wm_status status;

	wm_buf_init(&b, SQL_MAX);
	if (flags == NULL)
		return wm_oom(err, "an expression's columns");
	wm_buf_addf(&b, "SELECT (%s\n) FROM " ROW_TABLE " AS ", x->sql);
	add_quoted(&b, e->rel->name);
	sqlite3_set_authorizer(e->db, authorize, &watch);
	status = prepare(e->db, &b, &stmt, &local);
	sqlite3_set_authorizer(e->db, NULL, NULL);
	if (status != WM_OK && is_missing(&local)) {
		WM_AUTO(wm_freep) char *name = missing_name(local.text);

		return unknown_column(e->rel, x->what, name, err);
	}
	if (status != WM_OK)
		return wm_fail(err, status, "%s: %s", x->what, local.text);
	if (watch.foreign != NULL)
		return unknown_column(e->rel, x->what, watch.foreign, err);
	for (unsigned c = 0; c < e->rel->ncolumns; c++)
		all[c] |= flags[c];
	return collect(flags, e->rel->ncolumns, &e->reads[i], err);
}

static bool
is_number(const struct wm_type *type)
{
	return type->class == WM_TYPE_FLOAT || type->class == WM_TYPE_NUMERIC;
}

/* The statement of expressions first to first + n - 1, over the parameters of all. */
static enum wm_status
prepare_run(struct wm_exprs *e, size_t first, size_t n, sqlite3_stmt **ret, struct wm_error *err)
{
	static const char *const close[] = {
		[WM_EXPR_VALUE] = "",
		[WM_EXPR_TRUE] = " IS TRUE OR NULL",
		[WM_EXPR_FALSE] = " IS FALSE OR NULL",
	};
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, SQL_MAX);
	for (size_t i = first; i < first + n; i++)
		wm_buf_addf(&b, "%s((%s\n)%s)", i == first ? "SELECT " : ", ", e->list[i].sql, close[e->list[i].use]);
	wm_buf_adds(&b, " FROM (SELECT 1");
	for (unsigned i = 0; i < e->bound.n; i++) {
		const struct wm_column *c = &e->rel->columns[e->bound.columns[i]];

		wm_buf_addf(&b, is_number(&c->type) ? ", _walmill_number(?%u) AS " : ", ?%u AS ", i + 1);
		add_quoted(&b, c->name);
	}
	wm_buf_adds(&b, ") AS ");
	add_quoted(&b, e->rel->name);
	return prepare(e->db, &b, ret, err);
}

static enum wm_status
copy_list(struct wm_exprs *e, const struct wm_relation *rel, const struct wm_expr *list, size_t n, struct wm_error *err)
{
	e->rel = wm_relation_dup(rel);
	e->list = calloc(n, sizeof(*e->list));
	e->reads = calloc(n, sizeof(*e->reads));
	if (e->rel == NULL || e->list == NULL || e->reads == NULL)
		return wm_oom(err, "a rule's expressions");
	for (; e->n < n; e->n++) {
		struct wm_expr *x = &e->list[e->n];

		*x = (struct wm_expr){ .sql = strdup(list[e->n].sql),
			.what = strdup(list[e->n].what),
			.use = list[e->n].use };
		if (x->sql == NULL || x->what == NULL) {
			free(x->sql);
			free(x->what);
			return wm_oom(err, "a rule's expressions");
		}
	}
	return WM_OK;
}

enum wm_status
wm_exprs_compile(const struct wm_relation *rel, const struct wm_expr *list, size_t n, struct wm_exprs **ret,
    struct wm_error *err)
{
	WM_AUTO(exprs_freep) struct wm_exprs *e = calloc(1, sizeof(*e));
	WM_AUTO(wm_freep) bool *all = calloc(rel->ncolumns + 1, sizeof(*all));
	enum wm_status status;

	if (e == NULL || all == NULL)
		return wm_oom(err, "a rule's expressions");
	status = copy_list(e, rel, list, n, err);
	if (status == WM_OK)
		status = open_engine(&e->db, err);
	if (status == WM_OK)
		status = make_row_table(e, err);
	for (size_t i = 0; i < n && status == WM_OK; i++)
		status = analyse(e, i, all, err);
	if (status == WM_OK)
		status = collect(all, rel->ncolumns, &e->bound, err);
	if (status == WM_OK)
		status = prepare_run(e, 0, n, &e->stmt, err);
	if (status != WM_OK)
		return status;
	*ret = e;
	e = NULL;
	return WM_OK;
}

void
wm_exprs_free(struct wm_exprs *e)
{
	if (e == NULL)
		return;
	sqlite3_finalize(e->stmt);
	sqlite3_close(e->db);
	wm_relation_free(e->rel);
	for (size_t i = 0; i < e->n; i++) {
		free(e->list[i].sql);
		free(e->list[i].what);
		free(e->reads[i].columns);
	}
	free(e->list);
	free(e->reads);
	free(e->bound.columns);
	free(e);
}

const unsigned *
wm_exprs_reads(const struct wm_exprs *e, size_t i, unsigned *ret_n)
{
	*ret_n = e->reads[i].n;
	return e->reads[i].columns;
}

const char *
wm_exprs_what(const struct wm_exprs *e, size_t i)
{
	return e->list[i].what;
}

/* ---- running ---- */

static int
bind_row(struct wm_exprs *e, sqlite3_stmt *stmt, const struct wm_value *row, struct wm_arena *arena)
{
	for (unsigned i = 0; i < e->bound.n; i++) {
		unsigned c = e->bound.columns[i];
		int rc = wm_expr_bind(stmt, (int)i + 1, &row[c], &e->rel->columns[c].type, arena);

		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

/* Binds and steps; what SQLite answered. */
static int
step(struct wm_exprs *e, sqlite3_stmt *stmt, const struct wm_value *row, struct wm_arena *arena)
{
	int rc = bind_row(e, stmt, row, arena);

	return rc == SQLITE_OK ? sqlite3_step(stmt) : rc;
}

static void
cut_blanks(char *text)
{
	size_t n = strlen(text);

	while (n > 0 && text[n - 1] == ' ')
		text[--n] = '\0';
}

/*
 * Finds the expression at fault by running each alone.  SQLite's text may quote a value: it is
 * cut off in front of it.
 */
static enum wm_status
run_failed(struct wm_exprs *e, const struct wm_value *row, struct wm_arena *arena, struct wm_error *err)
{
	for (size_t i = 0; i < e->n; i++) {
		WM_AUTO(finalizep) sqlite3_stmt *stmt = NULL;
		char text[128];
		int rc;

		if (prepare_run(e, i, 1, &stmt, NULL) != WM_OK)
			continue;
		rc = step(e, stmt, row, arena);
		if (rc == SQLITE_ROW)
			continue;
		snprintf(text, sizeof(text), "%s", rc == SQLITE_ERROR ? sqlite3_errmsg(e->db) : sqlite3_errstr(rc));
		text[strcspn(text, "'\"`[:")] = '\0';
		cut_blanks(text);
		return wm_fail_code(err, WM_REJECT, "expression",
		    "%s fails on a row of table %s.%s: %s", e->list[i].what, e->rel->schema,
		    e->rel->name, text);
	}
	return wm_fail_code(err, WM_REJECT, "expression", "the expressions fail together on a row of table %s.%s",
	    e->rel->schema, e->rel->name);
}

enum wm_status
wm_exprs_run(struct wm_exprs *e, const struct wm_value *row, struct wm_arena *arena, struct wm_value *ret,
    struct wm_error *err)
{
	int rc = step(e, e->stmt, row, arena);
	bool fits = true;

	for (size_t i = 0; rc == SQLITE_ROW && fits && i < e->n; i++)
		fits = wm_expr_result(e->stmt, (int)i, arena, &ret[i]);
	sqlite3_reset(e->stmt);
	if (!fits || rc == SQLITE_NOMEM)
		return wm_oom(err, "an expression's result");
	if (rc != SQLITE_ROW)
		return run_failed(e, row, arena, err);
	return WM_OK;
}
