/* SPDX-License-Identifier: PostgreSQL */
/*
 * letters.c - dead letters: rows that a target or a rule refused, kept until someone acts.
 *
 * Callbacks run with the state's mutex held: they must not call the state.
 */
#include "internal.h"

#include <stdlib.h>

#include "walmill/fault.h"
#include "walmill/strutil.h"

#define DEFAULT_LIMIT 100

static const char *
or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

enum wm_status
wm_state_dead_letter_add(struct wm_state *s, const struct wm_dead_letter *letter, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_LETTER_ADD);
	enum wm_status status;

	wm_state_bind_text(stmt, 1, letter->source);
	wm_state_bind_text(stmt, 2, letter->target);
	wm_state_bind_text(stmt, 3, letter->rule);
	wm_state_bind_text(stmt, 4, or_empty(letter->table));
	wm_state_bind_text(stmt, 5, or_empty(letter->view));
	sqlite3_bind_int64(stmt, 6, (int64_t)letter->commit_lsn);
	sqlite3_bind_int64(stmt, 7, letter->index);
	wm_state_bind_text(stmt, 8, or_empty(letter->op));
	wm_state_bind_text(stmt, 9, or_empty(letter->origin));
	/* Never NULL: in a unique key two NULLs are not the same. */
	wm_state_bind_text(stmt, 10, or_empty(letter->identity));
	wm_state_bind_text(stmt, 11, or_empty(letter->key));
	wm_state_bind_text(stmt, 12, letter->row);
	wm_state_bind_text(stmt, 13, letter->numbers == NULL ? "[]" : letter->numbers);
	sqlite3_bind_int64(stmt, 14, letter->replay);
	wm_state_bind_text(stmt, 15, or_empty(letter->class));
	wm_state_bind_text(stmt, 16, or_empty(letter->code));
	wm_state_bind_text(stmt, 17, or_empty(letter->message));
	sqlite3_bind_int64(stmt, 18, letter->first_time);
	sqlite3_bind_int64(stmt, 19, letter->last_time);
	sqlite3_bind_int64(stmt, 20, letter->attempts);
	WM_FAULT(letter_before);
	status = wm_state_run(s, stmt, "store a dead letter", err);
	WM_FAULT(letter_stored);
	wm_state_end(s);
	return status;
}

static void
give(sqlite3_stmt *stmt, wm_dead_letter_fn *fn, void *arg)
{
	struct wm_dead_letter letter = {
		.id = sqlite3_column_int64(stmt, 0),
		.source = wm_state_text(stmt, 1),
		.target = wm_state_text(stmt, 2),
		.rule = wm_state_text(stmt, 3),
		.table = wm_state_text(stmt, 4),
		.view = wm_state_text(stmt, 5),
		.commit_lsn = (wm_lsn)sqlite3_column_int64(stmt, 6),
		.index = (uint32_t)sqlite3_column_int64(stmt, 7),
		.op = wm_state_text(stmt, 8),
		.origin = wm_state_text(stmt, 9),
		.identity = wm_state_text(stmt, 10),
		.key = wm_state_text(stmt, 11),
		.row = sqlite3_column_type(stmt, 12) == SQLITE_NULL ? NULL : wm_state_text(stmt, 12),
		.numbers = wm_state_text(stmt, 13),
		.replay = sqlite3_column_int64(stmt, 14) != 0,
		.class = wm_state_text(stmt, 15),
		.code = wm_state_text(stmt, 16),
		.message = wm_state_text(stmt, 17),
		.first_time = sqlite3_column_int64(stmt, 18),
		.last_time = sqlite3_column_int64(stmt, 19),
		.attempts = sqlite3_column_int64(stmt, 20),
		.superseded = (wm_lsn)sqlite3_column_int64(stmt, 21),
	};

	fn(arg, &letter);
}

enum wm_status
wm_state_dead_letters(struct wm_state *s, const struct wm_dead_letter_filter *filter, wm_dead_letter_fn *fn, void *arg,
    bool *ret_end, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_LETTERS);
	int64_t limit = filter->limit > 0 ? filter->limit : DEFAULT_LIMIT, n = 0;
	enum wm_status status;
	bool row = false;

	sqlite3_bind_int64(stmt, 1, filter->after);
	wm_state_bind_text(stmt, 2, filter->rule);
	wm_state_bind_text(stmt, 3, filter->class);
	sqlite3_bind_int64(stmt, 4, filter->tried_before);
	sqlite3_bind_int64(stmt, 5, filter->attempts_max);
	/* One more than asked for shows whether there is more. */
	sqlite3_bind_int64(stmt, 6, limit < INT64_MAX ? limit + 1 : limit);
	while ((status = wm_state_step(s, stmt, "read dead letters", &row, err)) == WM_OK && row && n < limit) {
		give(stmt, fn, arg);
		n++;
	}
	if (status == WM_OK)
		*ret_end = !row;
	wm_state_end(s);
	return status;
}

/* A statement with its values that gives one letter at most; the mutex is held, and given back. */
static enum wm_status
give_one(struct wm_state *s, sqlite3_stmt *stmt, wm_dead_letter_fn *fn, void *arg, bool *ret_found,
    struct wm_error *err)
{
	bool row = false;
	enum wm_status status = wm_state_step(s, stmt, "read a dead letter", &row, err);

	if (status == WM_OK && row)
		give(stmt, fn, arg);
	if (status == WM_OK)
		*ret_found = row;
	wm_state_end(s);
	return status;
}

enum wm_status
wm_state_dead_letter_get(struct wm_state *s, int64_t id, wm_dead_letter_fn *fn, void *arg, bool *ret_found,
    struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_LETTER_GET);

	sqlite3_bind_int64(stmt, 1, id);
	return give_one(s, stmt, fn, arg, ret_found, err);
}

enum wm_status
wm_state_dead_letter_find(struct wm_state *s, const struct wm_dead_letter *row, wm_dead_letter_fn *fn, void *arg,
    bool *ret_found, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_LETTER_FIND);

	wm_state_bind_text(stmt, 1, row->source);
	wm_state_bind_text(stmt, 2, row->target);
	wm_state_bind_text(stmt, 3, row->rule);
	wm_state_bind_text(stmt, 4, row->view);
	wm_state_bind_text(stmt, 5, row->identity);
	return give_one(s, stmt, fn, arg, ret_found, err);
}

enum wm_status
wm_state_dead_letters_between(struct wm_state *s, const char *source, const char *target, wm_dead_letter_fn *fn,
    void *arg, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_LETTER_KEYS);
	enum wm_status status;
	bool row = false;

	wm_state_bind_text(stmt, 1, source);
	wm_state_bind_text(stmt, 2, target);
	while ((status = wm_state_step(s, stmt, "read dead letters", &row, err)) == WM_OK && row)
		give(stmt, fn, arg);
	wm_state_end(s);
	return status;
}

/* ---- what becomes of them ---- */

/* Runs a statement for each mark, in one transaction; ?1 is the id and, for those that have it, ?2 the position. */
static enum wm_status
for_each(struct wm_state *s, enum wm_state_stmt which, const struct wm_letter_mark *list, size_t n, int64_t *changed,
    struct wm_error *err)
{
	static const char what[] = "settle dead letters";
	sqlite3_stmt *stmt = wm_state_begin(s, which);
	enum wm_status status = wm_state_run(s, wm_state_stmt(s, WM_STMT_BEGIN), what, err);

	if (status != WM_OK) {
		wm_state_end(s);
		return status;
	}
	for (size_t i = 0; i < n && status == WM_OK; i++) {
		sqlite3_reset(stmt);
		sqlite3_bind_int64(stmt, 1, list[i].id);
		if (which == WM_STMT_LETTER_SUPERSEDE)
			sqlite3_bind_int64(stmt, 2, (int64_t)list[i].superseded);
		status = wm_state_run(s, stmt, what, err);
		*changed += status == WM_OK ? sqlite3_changes(s->db) : 0;
	}
	WM_FAULT(letters_change_before);
	status = wm_state_finish(s, status, what, err);
	WM_FAULT(letters_changed);
	wm_state_end(s);
	return status;
}

enum wm_status
wm_state_dead_letters_supersede(struct wm_state *s, const struct wm_letter_mark *list, size_t n, struct wm_error *err)
{
	int64_t changed = 0;

	return for_each(s, WM_STMT_LETTER_SUPERSEDE, list, n, &changed, err);
}

enum wm_status
wm_state_dead_letters_drop(struct wm_state *s, const struct wm_letter_mark *list, size_t n, int64_t *ret_dropped,
    struct wm_error *err)
{
	int64_t changed = 0;
	enum wm_status status = for_each(s, WM_STMT_LETTER_DROP, list, n, &changed, err);

	if (status == WM_OK && ret_dropped != NULL)
		*ret_dropped = changed;
	return status;
}

enum wm_status
wm_state_dead_letters_forget(
    struct wm_state *s, const int64_t *ids, size_t n, int64_t *ret_dropped, struct wm_error *err)
{
	WM_AUTO(wm_freep) struct wm_letter_mark *list = calloc(n + 1, sizeof(*list));

	if (list == NULL)
		return wm_oom(err, "dead letters");
	for (size_t i = 0; i < n; i++)
		list[i].id = ids[i];
	return wm_state_dead_letters_drop(s, list, n, ret_dropped, err);
}

enum wm_status
wm_state_dead_letters_drop_view(struct wm_state *s, const char *source, const char *target, const char *rule,
    const char *view, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_LETTER_DROP_VIEW);
	enum wm_status status;

	wm_state_bind_text(stmt, 1, source);
	wm_state_bind_text(stmt, 2, target);
	wm_state_bind_text(stmt, 3, rule);
	wm_state_bind_text(stmt, 4, view);
	status = wm_state_run(s, stmt, "drop the dead letters of a view", err);
	WM_FAULT(letters_of_view_dropped);
	wm_state_end(s);
	return status;
}

enum wm_status
wm_state_dead_letter_tried(struct wm_state *s, int64_t id, const struct wm_error *why, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_LETTER_TRIED);
	enum wm_status status;

	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, wm_clock_wall());
	wm_state_bind_text(stmt, 3, why->code);
	wm_state_bind_text(stmt, 4, why->text);
	status = wm_state_run(s, stmt, "count an attempt of a dead letter", err);
	WM_FAULT(letter_tried);
	wm_state_end(s);
	return status;
}

enum wm_status
wm_state_dead_letter_count(struct wm_state *s, const char *rule, int64_t *ret, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_LETTER_COUNT);
	enum wm_status status;
	bool row = false;

	wm_state_bind_text(stmt, 1, rule);
	status = wm_state_step(s, stmt, "count dead letters", &row, err);
	if (status == WM_OK)
		*ret = row ? sqlite3_column_int64(stmt, 0) : 0;
	wm_state_end(s);
	return status;
}
