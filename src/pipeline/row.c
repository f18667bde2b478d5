/* SPDX-License-Identifier: PostgreSQL */
/*
 * row.c - one row on demand: read at the source as it is now, written as its rule says.
 *
 * In the worker's thread between two transactions.  As with every row that is read back, the changes between the
 * worker's position and that moment come again and end in the same row.
 */
#include <stdlib.h>
#include <string.h>

#include "letters.h"
#include "receipts.h"
#include "walmill/strutil.h"

#define ARENA_BLOCK (64U << 10)
#define WRITTEN_MAX (64U << 20)

struct job {
	struct worker		*w;
	struct wm_row_call	*call;
	struct wm_plan		*plan;
	struct wm_arena		*arena;
};

/* ---- which table ---- */

static bool
is_named(const struct unit *u, const char *table)
{
	size_t n = strlen(u->schema);

	return table == NULL ||
	    (strncmp(table, u->schema, n) == 0 && table[n] == '.' && strcmp(table + n + 1, u->name) == 0);
}

enum wm_status
row_needs_table(const char *rule, struct wm_error *err)
{
	return wm_fail_code(err, WM_REJECT, "bad_key",
	    "rule \"%s\" takes several tables: say which, as \"schema.table\"", rule);
}

static enum wm_status
find_unit(struct worker *w, const struct wm_rule *rule, const char *table, struct unit **ret, struct wm_error *err)
{
	struct unit *found = NULL;

	for (size_t i = 0; i < w->nunits; i++) {
		struct unit *u = w->units[i];

		if (u->rule != rule || !u->listed || !is_named(u, table))
			continue;
		if (found != NULL)
			return row_needs_table(rule->name, err);
		found = u;
	}
	*ret = found;
	return found != NULL ? WM_OK : wm_fail_code(err, WM_REJECT, "not_running", "rule \"%s\" takes no table%s%s",
	    rule->name, table != NULL ? " " : "", table != NULL ? table : "");
}

static enum wm_status
find_running(struct worker *w, const char *name, const char *table, struct unit **ret, struct wm_error *err)
{
	const struct wm_rule *rule = wm_ruleset_find(w->p->setup->rules, name);
	enum wm_status st;

	if (rule == NULL)
		return wm_fail_code(err, WM_REJECT, "no_rule", "there is no rule \"%s\"", name);
	if (rule->mode != WM_MODE_UPSERT)
		return wm_fail_code(err, WM_REJECT, "not_running",
		    "rule \"%s\" appends events: there is no row to write again", name);
	st = find_unit(w, rule, table, ret, err);
	if (st != WM_OK)
		return st;
	if (worker_hold(w, rule) != NULL || ((*ret)->state != UNIT_STREAMING && (*ret)->state != UNIT_CATCHING))
		return wm_fail_code(err, WM_REJECT, "not_running",
		    "rule \"%s\" is paused, seeds, or has stopped", name);
	return WM_OK;
}

/* ---- the key ---- */

static const char *
given(const struct wm_row_call *call, const char *name)
{
	for (size_t i = 0; i < call->n; i++)
		if (strcmp(call->names[i], name) == 0)
			return call->values[i];
	return NULL;
}

static enum wm_status
bad_key(const struct job *j, const unsigned *keys, unsigned nkeys, struct wm_error *err)
{
	const struct wm_relation *rel = wm_plan_relation(j->plan);
	WM_AUTO(wm_buf_free) struct wm_buf list;

	wm_buf_init(&list, 4096);
	for (unsigned i = 0; i < nkeys; i++)
		wm_buf_addf(&list, "%s%s", i > 0 ? ", " : "", rel->columns[keys[i]].name);
	return wm_fail_code(err, WM_REJECT, "bad_key",
	    "a row of %s.%s is named by a value for each column of its key: %s", rel->schema,
	    rel->name, list.data);
}

/* The key as a tuple of the source's table; other columns are null. */
static enum wm_status
make_key(const struct job *j, struct wm_tuple *ret, struct wm_error *err)
{
	const struct wm_relation *rel = wm_plan_relation(j->plan);
	unsigned nkeys;
	const unsigned *keys = wm_plan_source_key(j->plan, &nkeys);
	struct wm_value *values = wm_arena_calloc(j->arena, rel->ncolumns, sizeof(*values));

	if (values == NULL)
		return wm_oom(err, "a key");
	for (unsigned i = 0; i < nkeys; i++) {
		const char *text = given(j->call, rel->columns[keys[i]].name);

		if (text == NULL)
			return bad_key(j, keys, nkeys, err);
		values[keys[i]] = (struct wm_value){
			.kind = WM_VALUE_TEXT, .data = text, .len = (uint32_t)strlen(text)
		};
	}
	if (j->call->n != nkeys)
		return bad_key(j, keys, nkeys, err);
	*ret = (struct wm_tuple){ .n = rel->ncolumns, .values = values };
	return WM_OK;
}

/* ---- the row ---- */

static enum wm_status
read_row(const struct job *j, const struct wm_tuple *key, struct wm_tuple *ret, struct wm_error *err)
{
	const struct wm_relation *rel = wm_plan_relation(j->plan);
	unsigned nkeys;
	const unsigned *keys = wm_plan_source_key(j->plan, &nkeys);
	bool found = false;
	enum wm_status st = worker_sql_all(j->w, err);

	if (st == WM_OK)
		st = wm_seed_read_row(j->w->sql, rel, wm_plan_needed(j->plan), keys, nkeys, key,
		    j->arena, ret, &found, err);
	if (st == WM_OK && !found)
		return wm_fail_code(err, WM_REJECT, "no_row", "%s.%s has no such row", rel->schema, rel->name);
	if (st == WM_OK)
		return WM_OK;
	/* Nothing of the target's: a key that is no value of its type, a table that was altered. */
	err->status = WM_REJECT;
	return wm_error_prefix(err, "the row could not be read at the source");
}

static enum wm_status
make_rows(const struct job *j, struct wm_plan_rows *ret, struct wm_error *err)
{
	struct wm_tuple key, row;
	struct wm_change change = { .at = { .commit_lsn = atomic_load(&j->w->commit_lsn) },
		.commit_time = wm_clock_wall() };
	enum wm_status st = make_key(j, &key, err);

	if (st == WM_OK && !j->call->remove)
		st = read_row(j, &key, &row, err);
	if (st != WM_OK)
		return st;
	change.kind = j->call->remove ? WM_EVENT_DELETE : WM_EVENT_SEED;
	if (j->call->remove)
		change.before = &key;
	else
		change.after = &row;
	switch (wm_plan_apply(j->plan, &change, WM_PLAN_WHOLE | WM_PLAN_RESEED, j->arena, ret, err)) {
	case WM_PLAN_BAD:
		return err->status;
	case WM_PLAN_ROWS:
		return WM_OK;
	default:
		ret->n = 0;
		return WM_OK;
	}
}

/* ---- writing ---- */

static enum wm_status
write_rows(const struct job *j, struct wm_plan_rows *rows, struct wm_error *err)
{
	struct worker *w = j->w;
	struct wm_view_batch of_view = { .view = wm_plan_view(j->plan), .nrows = rows->n, .rows = rows->row };
	struct wm_batch batch = { .nviews = 1, .views = &of_view, .nrows = rows->n };
	size_t bad;
	enum wm_status st = deliver_write(&w->delivery, &batch, &bad, err);

	/* A refused row has opened the target's transaction too: it must not stay open. */
	w->uncommitted |= st == WM_OK || st == WM_REJECT;
	if (st != WM_OK)
		return st;
	receipts_take(w->delivery.receipts, &batch, "row");
	st = letters_settle(w->delivery.letters, &batch, true, err);
	return st == WM_OK ? letters_remove(w->delivery.letters, err) : st;
}

static enum wm_status
tell(const struct job *j, const struct wm_plan_rows *rows, struct wm_error *err)
{
	static const char *const words[] = { [WM_ROW_UPSERT] = "upsert", [WM_ROW_UPDATE] = "update",
		[WM_ROW_DELETE] = "delete" };
	const struct wm_view *view = wm_plan_view(j->plan);
	struct wm_buf b;

	wm_buf_init(&b, WRITTEN_MAX);
	wm_buf_adds(&b, "{\"rule\":");
	(void)wm_buf_add_json(&b, view->rule, strlen(view->rule));
	wm_buf_adds(&b, ",\"view\":");
	(void)wm_buf_add_json(&b, view->name, strlen(view->name));
	wm_buf_adds(&b, ",\"written\":[");
	for (unsigned i = 0; i < rows->n; i++) {
		wm_buf_addf(&b, "%s{\"action\":\"%s\",\"row\":", i > 0 ? "," : "", words[rows->row[i].op]);
		letters_add_row(&b, view, &rows->row[i]);
		wm_buf_addc(&b, '}');
	}
	wm_buf_adds(&b, "]}");
	j->call->written = wm_buf_steal(&b);
	return j->call->written == NULL ? wm_oom(err, "an answer") : WM_OK;
}

static enum wm_status
write_with_plan(struct job *j, struct route_plan *rp, struct wm_error *err)
{
	struct wm_plan_rows rows = { 0 };
	enum wm_status st = make_rows(j, &rows, err);

	if (st == WM_OK && rows.n > 0)
		st = route_ensure(j->w, rp, err);
	if (st == WM_OK && rows.n > 0)
		st = write_rows(j, &rows, err);
	return st == WM_OK ? tell(j, &rows, err) : st;
}

enum wm_status
row_write(struct worker *w, const char *rule, struct wm_row_call *call, struct wm_error *err)
{
	WM_AUTO(wm_arena_destroyp) struct wm_arena *arena = wm_arena_create(ARENA_BLOCK);
	struct job j = { .w = w, .call = call, .arena = arena };
	struct route_plan own = { 0 }, *rp;
	struct wm_error ignored;
	struct unit *u = NULL;
	enum wm_status st;

	if (arena == NULL)
		return wm_oom(err, "a row");
	w->delivery.failed_rule = NULL;
	st = find_running(w, rule, call->table, &u, err);
	if (st == WM_OK)
		st = route_plan_of(w, u, &own, &rp, err);
	if (st == WM_OK) {
		j.plan = rp->plan;
		st = write_with_plan(&j, rp, err);
	}
	wm_plan_free(own.plan);
	if (st == WM_OK)
		return apply_commit(w, err);
	/* A refused row leaves an open transaction behind, in which nothing is. */
	return st == WM_REJECT && apply_commit(w, &ignored) != WM_OK ? (*err = ignored).status : st;
}
