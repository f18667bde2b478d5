/* SPDX-License-Identifier: PostgreSQL */
/*
 * types.c - what the types that are not built in amount to.
 *
 * A domain turns into its base type, an array into an array of what its elements turn into,
 * everything else into its text form.  oid stays as the stream names it; a domain over numeric(10,2) has that typmod.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

#define DEPTH_MAX 32			/* domains over domains, arrays of arrays */

static int
compare_oid(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Lists the types to look up, each once; *ret is for free(). */
static enum wm_status
list_unknown(
    struct wm_relation *const *rels, size_t n, uint32_t **ret, size_t *ret_n, struct wm_error *err)
{
	uint32_t *oids;
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < n; i++)
		count += rels[i]->ncolumns;
	oids = calloc(count + 1, sizeof(*oids));
	if (oids == NULL)
		return wm_oom(err, "types");
	count = 0;
	for (size_t i = 0; i < n; i++) {
		for (unsigned k = 0; k < rels[i]->ncolumns; k++) {
			if (rels[i]->columns[k].type.class == WM_TYPE_UNKNOWN)
				oids[count++] = rels[i]->columns[k].type.oid;
		}
	}
	qsort(oids, count, sizeof(*oids), compare_oid);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || oids[kept - 1] != oids[i])
			oids[kept++] = oids[i];
	}
	*ret = oids;
	*ret_n = kept;
	return WM_OK;
}

/* The types with all that they are made of: a domain's base type, an array's element type. */
static enum wm_status
read_types(struct wm_pg *c, const uint32_t *oids, size_t n, PGresult **ret, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;

	wm_buf_init(&sql, 64 << 20);
	wm_buf_adds(&sql,
	    "WITH RECURSIVE t AS ("
	    "SELECT oid, typtype, typcategory, typbasetype, typelem, typtypmod FROM pg_catalog.pg_type "
	    "WHERE oid = ANY (");
	wm_pg_add_oids(&sql, oids, n);
	wm_buf_adds(&sql,
	    ") UNION "
	    "SELECT m.oid, m.typtype, m.typcategory, m.typbasetype, m.typelem, m.typtypmod FROM t "
	    "JOIN pg_catalog.pg_type m ON m.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END) "
	    "SELECT oid, typtype, typcategory, CASE WHEN typtype = 'd' THEN typbasetype ELSE typelem END, typtypmod "
	    "FROM t ORDER BY oid");
	return wm_pg_query_sql(c, &sql, "could not read the catalog's types", ret, err);
}

/* The row of a type in the result, which is sorted; -1 when it is not there. */
static int
find_type(const PGresult *res, uint32_t oid)
{
	int low = 0, high = PQntuples(res);

	while (low < high) {
		int middle = low + (high - low) / 2;
		uint32_t there = wm_pg_oid(res, middle, 0);

		if (there == oid)
			return middle;
		if (there < oid)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

static void
set_text(struct wm_type *type, enum wm_type_class class)
{
	type->class = class;
	type->builtin = true;
	snprintf(type->name, sizeof(type->name), "text");
}

static void
resolve(const PGresult *res, uint32_t oid, int32_t typmod, int depth, struct wm_type *ret)
{
	int row = wm_type_builtin(oid, typmod, ret) ? -1 : find_type(res, oid);
	struct wm_type inner;
	char kind, category;

	if (ret->class != WM_TYPE_UNKNOWN)
		return;
	if (row < 0 || depth == DEPTH_MAX) {
		set_text(ret, WM_TYPE_OTHER);
		return;
	}
	kind = PQgetvalue(res, row, 1)[0];
	category = PQgetvalue(res, row, 2)[0];
	memset(&inner, 0, sizeof(inner));
	if (kind == 'd') {
		int32_t own = (int32_t)wm_pg_int(res, row, 4);

		resolve(res, wm_pg_oid(res, row, 3), own >= 0 ? own : typmod, depth + 1, ret);
	} else if (kind == 'e') {
		set_text(ret, WM_TYPE_ENUM);
	} else if (kind == 'c') {
		set_text(ret, WM_TYPE_COMPOSITE);
	} else if (kind == 'r' || kind == 'm') {
		set_text(ret, WM_TYPE_RANGE);
	} else if (category == 'A' && wm_pg_oid(res, row, 3) != 0) {
		resolve(res, wm_pg_oid(res, row, 3), typmod, depth + 1, &inner);
		set_text(ret, WM_TYPE_ARRAY);
		/* An array whose elements are a domain over arrays is not a two-dimensional one. */
		snprintf(ret->name, sizeof(ret->name), "%.*s[]", WM_TYPE_NAMELEN - 3,
		    inner.class == WM_TYPE_ARRAY ? "text" : inner.name);
	} else {
		set_text(ret, category == 'S' ? WM_TYPE_TEXT : WM_TYPE_OTHER);
	}
}

enum wm_status
wm_pg_resolve_types(
    struct wm_pg *c, struct wm_relation *const *rels, size_t n, struct wm_error *err)
{
	WM_AUTO(wm_freep) uint32_t *oids = NULL;
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	size_t count = 0;
	enum wm_status status;

	status = list_unknown(rels, n, &oids, &count, err);
	if (status != WM_OK || count == 0)
		return status;
	status = read_types(c, oids, count, &res, err);
	if (status != WM_OK)
		return status;
	for (size_t i = 0; i < n; i++) {
		for (unsigned k = 0; k < rels[i]->ncolumns; k++) {
			struct wm_type *type = &rels[i]->columns[k].type;
			struct wm_type resolved = { .class = WM_TYPE_UNKNOWN, .typmod = type->typmod };

			if (type->class != WM_TYPE_UNKNOWN)
				continue;
			resolve(res, type->oid, type->typmod, 0, &resolved);
			resolved.oid = type->oid;
			*type = resolved;
		}
	}
	return WM_OK;
}
