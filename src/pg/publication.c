/* SPDX-License-Identifier: PostgreSQL */
/*
 * publication.c - keeping a publication in step with what is wanted of it.
 *
 * Tables are compared by OID, so that a renamed one is not taken out and put in again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "publication.h"
#include "walmill/fault.h"
#include "walmill/strutil.h"

#define SQL_MAX (256 << 20)

/* A table that is wanted, with what the server says of it. */
struct wanted {
	const struct wm_published *table;
	bool		 with_list;	/* publish only the listed columns */
	bool		 owned;
	const char	*owner;		/* borrowed from facts */
};

struct sync {
	struct wm_pg	*c;
	const char	*name;
	enum wm_publish	 what;
	struct wm_publication_state now;
	struct wanted	*wanted;	/* sorted by OID */
	size_t		 n;
	PGresult	*facts, *members;
};

static void
sync_done(struct sync *s)
{
	free(s->wanted);
	PQclear(s->facts);
	PQclear(s->members);
}

enum wm_status
wm_publication_read(struct wm_pg *c, const char *publication, struct wm_publication_state *ret,
    struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	struct wm_publication_state state = { .exists = false };
	int version = wm_pg_version(c);
	enum wm_status status;

	wm_buf_init(&sql, 4096);
	wm_buf_addf(&sql,
	    "SELECT p.oid, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, "
	    "p.pubviaroot, %s, %s, pg_catalog.pg_has_role(p.pubowner, 'USAGE'), "
	    "pg_catalog.pg_get_userbyid(p.pubowner) "
	    "FROM pg_catalog.pg_publication p WHERE p.pubname = ",
	    version >= 180000 ? "p.pubgencols = 's'" : "true",
	    version >= 150000 ?
		"EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = p.oid)" :
		"false");
	wm_pg_quote_literal(&sql, publication);
	status = wm_pg_query_sql(c, &sql, "could not read the publication", &res, err);
	if (status != WM_OK)
		return status;
	if (PQntuples(res) == 1) {
		state.exists = true;
		state.oid = wm_pg_oid(res, 0, 0);
		state.all_tables = wm_pg_bool(res, 0, 1);
		state.insert = wm_pg_bool(res, 0, 2);
		state.update = wm_pg_bool(res, 0, 3);
		state.delete = wm_pg_bool(res, 0, 4);
		state.truncate = wm_pg_bool(res, 0, 5);
		state.via_root = wm_pg_bool(res, 0, 6);
		state.generated = wm_pg_bool(res, 0, 7);
		state.schemas = wm_pg_bool(res, 0, 8);
		state.owned = wm_pg_bool(res, 0, 9);
		snprintf(state.owner, sizeof(state.owner), "%s", PQgetvalue(res, 0, 10));
	}
	*ret = state;
	return WM_OK;
}

/* ---- what is there, what is wanted ---- */

static int
compare_wanted(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return x->table->oid < y->table->oid ? -1 : x->table->oid > y->table->oid;
}

static enum wm_status
read_facts(struct sync *s, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	WM_AUTO(wm_freep) uint32_t *oids = calloc(s->n + 1, sizeof(*oids));

	wm_buf_init(&sql, SQL_MAX);
	if (oids == NULL)
		return wm_oom(err, "a publication's tables");
	for (size_t i = 0; i < s->n; i++)
		oids[i] = s->wanted[i].table->oid;
	wm_buf_adds(&sql,
	    "SELECT c.oid, c.relreplident, pg_catalog.pg_has_role(c.relowner, 'USAGE'), "
	    "pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c WHERE c.oid = ANY (");
	wm_pg_add_oids(&sql, oids, s->n);
	wm_buf_adds(&sql, ") ORDER BY c.oid");
	return wm_pg_query_sql(s->c, &sql, "could not read the tables to publish", &s->facts, err);
}

/* A row for each table, or for each of its columns when it has a column list; sorted by OID. */
static enum wm_status
read_members(struct sync *s, struct wm_error *err)
{
	char sql[500];

	if (wm_pg_version(s->c) >= 150000)
		snprintf(sql, sizeof(sql), "SELECT r.prrelid, a.attname, r.prqual IS NOT NULL "
		    "FROM pg_catalog.pg_publication_rel r LEFT JOIN pg_catalog.pg_attribute a "
		    "ON a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[]) "
		    "WHERE r.prpubid = %u ORDER BY r.prrelid", (unsigned)s->now.oid);
	else
		snprintf(sql, sizeof(sql),
		    "SELECT r.prrelid, NULL, false FROM pg_catalog.pg_publication_rel r "
		    "WHERE r.prpubid = %u ORDER BY r.prrelid",
		    (unsigned)s->now.oid);
	return wm_pg_query(
	    s->c, sql, 0, NULL, "could not read the publication's tables", &s->members, err);
}

/* Fills wanted from the server's answer; both are sorted by OID. */
static enum wm_status
join_facts(struct sync *s, struct wm_error *err)
{
	bool lists = wm_pg_version(s->c) >= 150000;
	int row = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct wanted *w = &s->wanted[i];

		while (row < PQntuples(s->facts) && wm_pg_oid(s->facts, row, 0) < w->table->oid)
			row++;
		if (row == PQntuples(s->facts) || wm_pg_oid(s->facts, row, 0) != w->table->oid)
			return wm_fail(err, WM_RETRY,
			    "could not publish table \"%s.%s\": it was dropped meanwhile",
			    w->table->schema, w->table->name);
		/* The server refuses a list with replica identity FULL: every column is key. */
		w->with_list = lists && w->table->ncolumns > 0 &&
		    PQgetvalue(s->facts, row, 1)[0] != WM_IDENTITY_FULL;
		w->owned = wm_pg_bool(s->facts, row, 2);
		w->owner = PQgetvalue(s->facts, row, 3);
	}
	return WM_OK;
}

static enum wm_status
sync_load(struct sync *s, const struct wm_published *tables, size_t n, struct wm_error *err)
{
	enum wm_status status;

	s->wanted = calloc(n + 1, sizeof(*s->wanted));
	if (s->wanted == NULL)
		return wm_oom(err, "a publication's tables");
	for (size_t i = 0; i < n; i++)
		s->wanted[i].table = &tables[i];
	s->n = n;
	qsort(s->wanted, n, sizeof(*s->wanted), compare_wanted);
	status = wm_publication_read(s->c, s->name, &s->now, err);
	if (status == WM_OK)
		status = read_facts(s, err);
	if (status == WM_OK)
		status = join_facts(s, err);
	if (status == WM_OK && s->now.exists)
		status = read_members(s, err);
	return status;
}

static bool
has_column(const struct wm_published *t, const char *name)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (strcmp(t->columns[i], name) == 0)
			return true;
	}
	return false;
}

/* Whether the member in rows first to last publishes w's columns and all of its rows. */
static bool
same_member(const struct sync *s, const struct wanted *w, int first, int last)
{
	if (wm_pg_oid(s->members, first, 0) != w->table->oid || wm_pg_bool(s->members, first, 2))
		return false;
	if (!w->with_list)
		return PQgetisnull(s->members, first, 1) != 0;
	if ((size_t)(last - first) != w->table->ncolumns)
		return false;
	for (int i = first; i < last; i++) {
		if (PQgetisnull(s->members, i, 1) ||
		    !has_column(w->table, PQgetvalue(s->members, i, 1)))
			return false;
	}
	return true;
}

static bool
same_members(const struct sync *s)
{
	int row = 0, nrows = PQntuples(s->members);

	for (size_t i = 0; i < s->n; i++) {
		int first = row;

		if (row == nrows)
			return false;
		while (
		    row < nrows && wm_pg_oid(s->members, row, 0) == wm_pg_oid(s->members, first, 0))
			row++;
		if (!same_member(s, &s->wanted[i], first, row))
			return false;
	}
	return row == nrows && !s->now.schemas;
}

static bool
same_options(const struct sync *s)
{
	const struct wm_publication_state *now = &s->now;
	bool all = s->what == WM_PUBLISH_ALL;

	return now->insert && now->update == all && now->delete == all && now->truncate && now->via_root &&
	    now->generated;
}

/* ---- may we ---- */

static enum wm_status
may_create(const struct sync *s, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	enum wm_status status;

	status = wm_pg_query(s->c,
	    "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')", 0,
	    NULL, "could not read the role's privileges", &res, err);
	if (status != WM_OK || wm_pg_bool(res, 0, 0))
		return status;
	return wm_fail_code(err, WM_OPERATOR, "42501",
	    "could not create publication \"%s\": role \"%s\" lacks CREATE on "
	    "database \"%s\"; run: GRANT CREATE ON DATABASE \"%s\" TO \"%s\"",
	    s->name, PQuser(s->c->pq), PQdb(s->c->pq), PQdb(s->c->pq), PQuser(s->c->pq));
}

static enum wm_status
may_alter(const struct sync *s, struct wm_error *err)
{
	if (!s->now.owned)
		return wm_fail_code(err, WM_OPERATOR, "42501",
		    "could not alter publication \"%s\": it belongs to role "
		    "\"%s\"; run: ALTER PUBLICATION \"%s\" OWNER TO \"%s\", or set manage: false",
		    s->name, s->now.owner, s->name, PQuser(s->c->pq));
	if (s->now.all_tables)
		return wm_fail(err, WM_OPERATOR,
		    "could not set the tables of publication \"%s\": it was created FOR ALL "
		    "TABLES; drop it, choose another name for walmill's, or set manage: false",
		    s->name);
	return WM_OK;
}

static enum wm_status
may_publish(const struct sync *s, struct wm_error *err)
{
	const struct wanted *first = NULL;
	size_t n = 0;
	char more[60] = "";

	for (size_t i = 0; i < s->n; i++) {
		if (s->wanted[i].owned)
			continue;
		if (first == NULL)
			first = &s->wanted[i];
		n++;
	}
	if (first == NULL)
		return WM_OK;
	if (n > 1)
		snprintf(more, sizeof(more), " (and %zu more tables alike)", n - 1);
	return wm_fail_code(err, WM_OPERATOR, "42501",
	    "could not put table \"%s.%s\"%s into publication \"%s\": it belongs "
	    "to role \"%s\"; run: GRANT \"%s\" TO \"%s\", or let its owner make the publication and set "
	    "manage: false",
	    first->table->schema, first->table->name, more, s->name, first->owner, first->owner,
	    PQuser(s->c->pq));
}

/* ---- the change ---- */

static void
add_table_name(struct wm_buf *sql, const char *schema, const char *name)
{
	wm_pg_quote_ident(sql, schema);
	wm_buf_addc(sql, '.');
	wm_pg_quote_ident(sql, name);
}

/* ONLY, because tables that inherit are wanted by their own names or not at all. */
static void
add_tables(struct wm_buf *sql, const struct sync *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct wm_published *t = s->wanted[i].table;

		wm_buf_adds(sql, i > 0 ? ", ONLY " : "TABLE ONLY ");
		add_table_name(sql, t->schema, t->name);
		for (size_t k = 0; s->wanted[i].with_list && k < t->ncolumns; k++) {
			wm_buf_adds(sql, k > 0 ? ", " : " (");
			wm_pg_quote_ident(sql, t->columns[k]);
		}
		if (s->wanted[i].with_list)
			wm_buf_addc(sql, ')');
	}
}

static void
add_options(struct wm_buf *sql, const struct sync *s)
{
	wm_buf_addf(sql, "(publish = '%s', publish_via_partition_root = true",
	    s->what == WM_PUBLISH_ALL ? "insert, update, delete, truncate" : "insert, truncate");
	if (wm_pg_version(s->c) >= 180000)
		wm_buf_adds(sql, ", publish_generated_columns = stored");
	wm_buf_addc(sql, ')');
}

/* SET TABLE cannot empty a publication: the names of what is in it are asked of the server. */
static enum wm_status
add_clearing(struct wm_buf *sql, const struct sync *s, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	char query[500];
	enum wm_status status;

	snprintf(query, sizeof(query),
	    "SELECT pg_catalog.format('ALTER PUBLICATION %%I DROP TABLE ONLY %%I.%%I', "
	    "p.pubname, n.nspname, c.relname) FROM pg_catalog.pg_publication p "
	    "JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid JOIN pg_catalog.pg_class c ON c.oid = r.prrelid "
	    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE p.oid = %u",
	    (unsigned)s->now.oid);
	status =
	    wm_pg_query(s->c, query, 0, NULL, "could not read the publication's tables", &res, err);
	if (status != WM_OK)
		return status;
	for (int i = 0; i < PQntuples(res); i++)
		wm_buf_addf(sql, "%s; ", PQgetvalue(res, i, 0));
	if (!s->now.schemas)
		return WM_OK;
	return wm_fail(err, WM_OPERATOR,
	    "could not empty publication \"%s\": it holds TABLES IN SCHEMA; drop them from "
	    "it, or set manage: false",
	    s->name);
}

static enum wm_status
add_change(struct wm_buf *sql, const struct sync *s, bool members, struct wm_error *err)
{
	const char *verb = s->now.exists ? "ALTER" : "CREATE";

	/* The options first: column lists of partitioned tables need publish_via_partition_root. */
	if (s->now.exists && !same_options(s)) {
		wm_buf_adds(sql, "ALTER PUBLICATION ");
		wm_pg_quote_ident(sql, s->name);
		wm_buf_adds(sql, " SET ");
		add_options(sql, s);
		wm_buf_adds(sql, "; ");
	}
	if (!members)
		return WM_OK;
	if (s->now.exists && s->n == 0)
		return add_clearing(sql, s, err);
	wm_buf_addf(sql, "%s PUBLICATION ", verb);
	wm_pg_quote_ident(sql, s->name);
	wm_buf_adds(sql, s->n == 0 ? "" : s->now.exists ? " SET " : " FOR ");
	add_tables(sql, s);
	if (!s->now.exists) {
		wm_buf_adds(sql, " WITH ");
		add_options(sql, s);
	}
	wm_buf_adds(sql, "; ");
	return WM_OK;
}

/*
 * What was read may be out of date by now: then the next try reads anew.  (23505: two make the publication at
 * once; the other may be a session of ours that a kill left at the server.)
 */
static enum wm_status
judge(enum wm_status status, struct wm_error *err)
{
	static const char *const stale[] = { "42P01", "42703", "42704", "42710", "23505", "3F000", "XX000" };

	for (size_t i = 0; i < WM_ARRAY_SIZE(stale); i++) {
		if (strcmp(err->code, stale[i]) == 0)
			status = WM_RETRY;
	}
	if (strcmp(err->code, "42501") == 0)
		status = WM_OPERATOR;
	else if (status == WM_REJECT)
		status = WM_FATAL;
	err->status = status;
	return status;
}

static enum wm_status
apply(struct sync *s, bool members, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	struct wm_error why = { .status = WM_OK };
	char what[120];
	enum wm_status status;

	wm_buf_init(&sql, SQL_MAX);
	/* Altering waits for whoever alters or vacuums a table, and others wait behind us. */
	wm_buf_adds(&sql, "BEGIN; SET LOCAL lock_timeout = '30s'; ");
	status = add_change(&sql, s, members, err);
	if (status != WM_OK)
		return status;
	wm_buf_adds(&sql, "COMMIT");
	snprintf(what, sizeof(what), "could not %s publication \"%.63s\"",
	    s->now.exists ? "alter" : "create", s->name);
	WM_FAULT(publication_before);
	status = wm_pg_exec_sql(s->c, &sql, what, &why);
	WM_FAULT(publication_changed);
	if (status == WM_OK)
		return WM_OK;
	status = judge(status, &why);
	/* When the connection is lost the server has rolled back already. */
	if (PQstatus(s->c->pq) == CONNECTION_OK &&
	    wm_pg_exec(s->c, "ROLLBACK", what, NULL) != WM_OK)
		status = WM_RETRY;
	if (err != NULL)
		*err = why;
	return status;
}

enum wm_status
wm_publication_sync(struct wm_pg *c, const char *publication, enum wm_publish what,
    const struct wm_published *tables, size_t n, bool *ret_changed, struct wm_error *err)
{
	WM_AUTO(sync_done) struct sync s = { .c = c, .name = publication, .what = what };
	bool members, change;
	enum wm_status status;

	status = sync_load(&s, tables, n, err);
	if (status != WM_OK)
		return status;
	members = !s.now.exists || s.now.all_tables || !same_members(&s);
	change = members || !same_options(&s);
	if (change) {
		status = s.now.exists ? may_alter(&s, err) : may_create(&s, err);
		if (status == WM_OK && members)
			status = may_publish(&s, err);
		if (status == WM_OK)
			status = apply(&s, members, err);
	}
	if (status == WM_OK)
		*ret_changed = change;
	return status;
}

void
wm_publication_inserts_name(const char *publication, char ret[WM_PUBLICATION_NAMELEN])
{
	snprintf(ret, WM_PUBLICATION_NAMELEN, "%.55s_inserts", publication);
}

enum wm_status
wm_publication_members(struct wm_pg *c, const char *publication, uint32_t **ret, size_t *ret_n, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	char inserts[WM_PUBLICATION_NAMELEN];
	const char *names[] = { publication, inserts };
	uint32_t *oids;
	enum wm_status status;

	wm_publication_inserts_name(publication, inserts);
	status = wm_pg_query(c,
	    "SELECT r.prrelid FROM pg_catalog.pg_publication_rel r "
	    "JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid WHERE p.pubname IN ($1, $2) ORDER BY 1",
	    2, names, "could not read the publication's tables", &res, err);

	if (status != WM_OK)
		return status;
	oids = calloc((size_t)PQntuples(res) + 1, sizeof(*oids));
	if (oids == NULL)
		return wm_oom(err, "a publication");
	for (int i = 0; i < PQntuples(res); i++)
		oids[i] = wm_pg_oid(res, i, 0);
	*ret = oids;
	*ret_n = (size_t)PQntuples(res);
	return WM_OK;
}
