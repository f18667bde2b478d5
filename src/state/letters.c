/* SPDX-License-Identifier: PostgreSQL */
/*
 * letters.c - dead letters: rows that a target or a rule refused, kept until someone acts.
 *
 * Callbacks run with the state's mutex held: they must not call the state.
 */
#include "internal.h"

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
	/* Never NULL: in a unique key two NULLs are not the same. */
	wm_state_bind_text(stmt, 9, or_empty(letter->key));
	wm_state_bind_text(stmt, 10, letter->row);
	wm_state_bind_text(stmt, 11, or_empty(letter->class));
	wm_state_bind_text(stmt, 12, or_empty(letter->code));
	wm_state_bind_text(stmt, 13, or_empty(letter->message));
	sqlite3_bind_int64(stmt, 14, letter->first_time);
	sqlite3_bind_int64(stmt, 15, letter->last_time);
	sqlite3_bind_int64(stmt, 16, letter->attempts);
	status = wm_state_run(s, stmt, "store a dead letter", err);
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
		.key = wm_state_text(stmt, 9),
		.row = sqlite3_column_type(stmt, 10) == SQLITE_NULL ? NULL : wm_state_text(stmt, 10),
		.class = wm_state_text(stmt, 11),
		.code = wm_state_text(stmt, 12),
		.message = wm_state_text(stmt, 13),
		.first_time = sqlite3_column_int64(stmt, 14),
		.last_time = sqlite3_column_int64(stmt, 15),
		.attempts = sqlite3_column_int64(stmt, 16),
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
	/* One more than asked for shows whether there is more. */
	sqlite3_bind_int64(stmt, 4, limit < INT64_MAX ? limit + 1 : limit);
	while ((status = wm_state_step(s, stmt, "read dead letters", &row, err)) == WM_OK && row && n < limit) {
		give(stmt, fn, arg);
		n++;
	}
	if (status == WM_OK)
		*ret_end = !row;
	wm_state_end(s);
	return status;
}

enum wm_status
wm_state_dead_letter_get(struct wm_state *s, int64_t id, wm_dead_letter_fn *fn, void *arg, bool *ret_found,
    struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_LETTER_GET);
	enum wm_status status;
	bool row = false;

	sqlite3_bind_int64(stmt, 1, id);
	status = wm_state_step(s, stmt, "read a dead letter", &row, err);
	if (status == WM_OK && row)
		give(stmt, fn, arg);
	if (status == WM_OK)
		*ret_found = row;
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
