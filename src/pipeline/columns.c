/* SPDX-License-Identifier: PostgreSQL */
/*
 * columns.c - which columns a table had when it was last seen, and what a change of them means.
 *
 * A signature is "name:type OID:typmod," for each column that the rule reads, and "name:0:0," for each
 * that the table had once: the view still has it, with the values of then, and must not show
 * them should a column of that name come back.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

#define GONE ":0:0"

char *
columns_signature(const struct wm_relation *rel, const bool *needed)
{
	struct wm_buf b;

	wm_buf_init(&b, 1U << 20);
	for (unsigned i = 0; i < rel->ncolumns; i++)
		if (needed[i])
			wm_buf_addf(&b, "%s:%" PRIu32 ":%" PRId32 ",", rel->columns[i].name, rel->columns[i].type.oid,
			    rel->columns[i].type.typmod);
	return wm_buf_steal(&b);
}

/* The entry "name:oid:typmod" of a signature that belongs to name; NULL when there is none. */
static const char *
signature_find(const char *signature, const char *name, size_t len)
{
	for (const char *p = signature; *p != '\0'; p = strchr(p, ',') + 1)
		if (strncmp(p, name, len) == 0 && p[len] == ':')
			return p;
	return NULL;
}

/* The entry of a column that the table had once: the view still has it, with the values of then. */
static bool
is_gone(const char *entry)
{
	return strncmp(strchr(entry, ':'), GONE, strlen(GONE)) == 0;
}

/* Whether other has a column whose name signature does not know, not even as that of one that is gone. */
static bool
lacks(const char *signature, const char *other)
{
	for (const char *p = other; *p != '\0'; p = strchr(p, ',') + 1)
		if (!is_gone(p) && signature_find(signature, p, (size_t)(strchr(p, ':') - p)) == NULL)
			return true;
	return false;
}

char *
columns_merge(const char *old, const char *now)
{
	struct wm_buf b;

	wm_buf_init(&b, 1U << 20);
	wm_buf_adds(&b, now);
	for (const char *p = old == NULL ? "" : old; *p != '\0'; p = strchr(p, ',') + 1) {
		size_t len = (size_t)(strchr(p, ':') - p);

		if (signature_find(now, p, len) == NULL)
			wm_buf_addf(&b, "%.*s" GONE ",", (int)len, p);
	}
	return wm_buf_steal(&b);
}

/* A typmod alone changes how values look only for these (they are rounded or padded to it). */
static bool
typmod_matters(const struct wm_relation *rel, const char *name, size_t len)
{
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		const struct wm_column *c = &rel->columns[i];

		if (strlen(c->name) != len || strncmp(c->name, name, len) != 0)
			continue;
		return c->type.class != WM_TYPE_TEXT || wm_type_is_padded(&c->type);
	}
	return false;
}

/*
 * Whether rows that stand in the view may differ from the source in a column that the stream said
 * nothing about: a column that came with a default, was renamed, or changed its type.
 */
static enum wm_status
needs_backfill(struct worker *w, struct unit *u, const struct wm_relation *rel, const char *new, bool *ret,
    struct wm_error *err)
{
	const char *old = u->columns;
	bool vanished = u->column_list || lacks(new, old);
	bool joined = false, renamed = false;

	*ret = false;
	for (const char *p = new; *p != '\0'; p = strchr(p, ',') + 1) {
		size_t len = (size_t)(strchr(p, ':') - p), whole = (size_t)(strchr(p, ',') - p);
		const char *was = signature_find(old, p, len);
		const char *type_end;

		if (was == NULL && vanished)
			renamed = true;		/* perhaps: rows have values */
		else if (was == NULL && !*ret) {
			WM_AUTO(wm_freep) char *name = strndup(p, len);
			enum wm_status st = name == NULL ? wm_oom(err, "a column") : worker_sql_now(w, err);

			if (st == WM_OK)
				st = wm_catalog_has_default(w->sql, rel->oid, name, u->last_number, ret, err);
			if (st != WM_OK)
				return st;
		} else if (was != NULL && strncmp(p, was, whole + 1) != 0) {
			type_end = strchr(p + len + 1, ':');
			*ret |= strncmp(p, was, (size_t)(type_end - p) + 1) != 0 || typmod_matters(rel, p, len);
		}
		/* Columns join at the end: one that comes before a known name was renamed, or that name is a new one's. */
		renamed |= joined && was != NULL && !is_gone(was);
		joined |= was == NULL;
	}
	*ret |= renamed;
	u->renamed |= renamed;
	return WM_OK;
}

/* How many columns of the last look do not bear the name any more that they had. */
static unsigned
count_nameless(const char *was, const char *now)
{
	unsigned n = 0;

	for (const char *p = was; *p != '\0'; p = strchr(p, ',') + 1) {
		const char *is = signature_find(now, p, (size_t)(strchr(p, ':') - p));

		n += is == NULL || strncmp(p, is, (size_t)(strchr(p, ',') - p) + 1) != 0;
	}
	return n;
}

/* Whether c, which the last look did not know by its name, may not be the one that the stream meant by it. */
static bool
may_be_another(const struct unit *u, const struct wm_relation *rel, const struct wm_column *c, unsigned nameless)
{
	bool young = c->number > u->last_number;

	/* One of those that were added since is gone already; or an old one had taken the name, and has lost it. */
	return u->last_number != 0 && (rel->last_dropped > u->last_number || (u->renamed && nameless > !young));
}

bool
columns_replaced(struct unit *u, const struct wm_relation *rel, const bool *needed)
{
	bool replaced = false;
	unsigned nameless;
	struct wm_buf b;
	char *now;

	wm_buf_init(&b, 1U << 20);
	for (unsigned i = 0; i < rel->ncolumns; i++)
		if (rel->columns[i].number != 0)
			wm_buf_addf(&b, "%s:%u:0,", rel->columns[i].name, (unsigned)rel->columns[i].number);
	now = wm_buf_steal(&b);
	if (now == NULL || *now == '\0') {
		free(now);		/* as the stream has it: nothing is known */
		return false;
	}
	nameless = u->numbers == NULL ? 0 : count_nameless(u->numbers, now);
	for (unsigned i = 0; u->numbers != NULL && i < rel->ncolumns; i++) {
		const struct wm_column *c = &rel->columns[i];
		const char *is = signature_find(now, c->name, strlen(c->name));
		const char *was = signature_find(u->numbers, c->name, strlen(c->name));

		if (!needed[i] || is == NULL)
			continue;
		replaced |= was == NULL ? may_be_another(u, rel, c, nameless) :
					  strncmp(is, was, (size_t)(strchr(is, ',') - is) + 1) != 0;
	}
	u->dirty |= u->numbers == NULL || strcmp(u->numbers, now) != 0 || u->last_number != rel->last_number ||
	    u->renamed;
	free(u->numbers);
	u->numbers = now;
	u->last_number = rel->last_number;
	u->renamed = false;
	return replaced;
}

/* The signature of the columns that the plan reads, and it with what the unit's table had before. */
static enum wm_status
signatures(const struct unit *u, const struct wm_plan *plan, char **ret_listed, char **ret_now, struct wm_error *err)
{
	char *listed = columns_signature(wm_plan_relation(plan), wm_plan_needed(plan));
	char *now = listed == NULL ? NULL : columns_merge(u->columns, listed);

	if (now == NULL) {
		free(listed);
		return wm_oom(err, "a table");
	}
	*ret_listed = listed;
	*ret_now = now;
	return WM_OK;
}

enum wm_status
columns_differ(const struct unit *u, const struct wm_plan *plan, bool *ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *listed = NULL;
	WM_AUTO(wm_freep) char *now = NULL;
	enum wm_status st = signatures(u, plan, &listed, &now, err);

	if (st == WM_OK)
		*ret = u->columns != NULL && strcmp(u->columns, now) != 0;
	return st;
}

enum wm_status
columns_follow(struct worker *w, struct unit *u, const struct wm_plan *plan, struct wm_error *err)
{
	const struct wm_relation *rel = wm_plan_relation(plan);
	WM_AUTO(wm_freep) char *listed = NULL;
	WM_AUTO(wm_freep) char *now = NULL;
	bool backfill = false;
	enum wm_status st = signatures(u, plan, &listed, &now, err);

	if (st != WM_OK)
		return st;
	if (u->columns != NULL && strcmp(u->columns, now) == 0)
		return WM_OK;
	/*
	 * A new column reaches the publication's column list after the table: what was written to it in between
	 * is known to a seed only, and the catalog's tables say when that may begin.
	 */
	if (u->columns != NULL && u->column_list && w->in_transaction)
		return WM_OK;
	if (u->columns != NULL) {
		st = needs_backfill(w, u, rel, listed, &backfill, err);
		if (st != WM_OK)
			return st;
		wm_log(WM_LOG_INFO, "columns_changed", "the columns of table %s.%s changed%s", u->schema, u->name,
		    backfill ? "; its rows are read again" : "");
	}
	/* A seed reads the columns as they are from here on. */
	st = unit_take_relation(u, rel, w->in_transaction ? w->at.commit_lsn : u->rel_lsn, err);
	if (st != WM_OK)
		return st;
	u->grew |= u->columns == NULL || lacks(u->columns, listed);
	free(u->columns);
	u->columns = now;
	now = NULL;
	if (backfill && u->rule->mode == WM_MODE_UPSERT)
		unit_restart(u);
	u->dirty = w->bookmarks = true;
	worker_show_rules(w);
	return WM_OK;
}
