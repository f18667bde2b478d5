/* SPDX-License-Identifier: PostgreSQL */
/*
 * batcher.c - gathers rows into a batch with at most one row per view and key.
 *
 * A later change of a key takes the earlier one's place; a partial update fills the gaps of the
 * row that waits.  A change of key without all values (old_key) cannot be merged with anything
 * that concerns either key: the batch is written first.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define ARENA_BLOCK (256U << 10)
#define ROW_COST 64			/* bytes a row counts beyond its values */

struct slot {				/* a key, and the row that waits for it */
	const char	*key;
	size_t		 row;
	bool		 old;		/* it is the old key of a row whose key changes */
	UT_hash_handle	 hh;
};

struct gather {				/* one view's part */
	const struct wm_view	*view;
	size_t			 size;	/* rows allocated */
	struct wm_row		*rows;
	size_t			 nrows;
	bool			 truncate;
	struct slot		*slots;
};

struct batcher {
	struct wm_arena		*arena;
	size_t			 n, size;
	struct gather		*views;
	struct wm_batch		 batch, part;
	struct wm_view_batch	*out;
	size_t			 bytes;
};

struct batcher *
batcher_create(void)
{
	struct batcher *b = calloc(1, sizeof(*b));

	if (b != NULL && (b->arena = wm_arena_create(ARENA_BLOCK)) == NULL) {
		free(b);
		return NULL;
	}
	return b;
}

void
batcher_destroy(struct batcher *b)
{
	if (b == NULL)
		return;
	batcher_reset(b);
	for (size_t i = 0; i < b->size; i++)
		free(b->views[i].rows);
	free(b->views);
	free(b->out);
	wm_arena_destroy(b->arena);
	free(b);
}

struct wm_arena *
batcher_arena(struct batcher *b)
{
	return b->arena;
}

static struct gather *
find_view(const struct batcher *b, const struct wm_view *view)
{
	for (size_t i = b->n; i-- > 0;)
		if (b->views[i].view == view)
			return &b->views[i];
	return NULL;
}

static struct gather *
get_view(struct batcher *b, const struct wm_view *view)
{
	struct gather *g = find_view(b, view);

	if (g != NULL)
		return g;
	if (b->n == b->size) {
		size_t size = b->size == 0 ? 16 : b->size * 2;
		struct gather *views = realloc(b->views, size * sizeof(*views));

		if (views == NULL)
			return NULL;
		memset(views + b->size, 0, (size - b->size) * sizeof(*views));
		b->views = views;
		b->size = size;
	}
	g = &b->views[b->n++];
	g->view = view;
	g->nrows = 0;
	g->truncate = false;
	return g;
}

/* The key's values as one run of bytes: a single text key as it is, others with their lengths. */
static bool
key_bytes(struct batcher *b, const struct wm_view *view, const struct wm_value *values, bool by_key_order,
    const char **ret, size_t *ret_len)
{
	size_t len = 0;
	char *p;

	if (view->nkeys == 1) {
		const struct wm_value *v = &values[by_key_order ? 0 : view->keys[0]];

		*ret = v->data != NULL ? v->data : "";
		*ret_len = v->len;
		return true;
	}
	for (unsigned i = 0; i < view->nkeys; i++)
		len += sizeof(uint32_t) + values[by_key_order ? i : view->keys[i]].len;
	p = wm_arena_alloc(b->arena, len + 1);
	if (p == NULL)
		return false;
	*ret = p;
	*ret_len = len;
	for (unsigned i = 0; i < view->nkeys; i++) {
		const struct wm_value *v = &values[by_key_order ? i : view->keys[i]];

		memcpy(p, &v->len, sizeof(v->len));
		p += sizeof(v->len);
		if (v->len > 0)
			memcpy(p, v->data, v->len);
		p += v->len;
	}
	return true;
}

static size_t
row_bytes(const struct wm_view *view, const struct wm_row *row)
{
	size_t n = ROW_COST;

	for (unsigned i = 0; i < view->ncolumns; i++)
		if (row->values[i].kind >= WM_VALUE_TEXT)
			n += row->values[i].len;
	return n;
}

/* row comes after old for the same key: old turns into what both do together. */
static void
merge(const struct wm_view *view, struct wm_row *old, const struct wm_row *row)
{
	/* What took the place of a row that was deleted may find it at the target. */
	bool fresh = old->fresh && row->op != WM_ROW_DELETE;

	if (row->op != WM_ROW_UPDATE || old->op == WM_ROW_DELETE) {
		*old = *row;
		old->fresh = fresh;
		return;
	}
	for (unsigned i = 0; i < view->ncolumns; i++)
		if (row->values[i].kind != WM_VALUE_UNCHANGED)
			old->values[i] = row->values[i];
	old->at = row->at;
	old->commit_time = row->commit_time;
}

static bool
add_slot(struct batcher *b, struct gather *g, const char *key, size_t len, size_t row, bool old)
{
	struct slot *s = wm_arena_calloc(b->arena, 1, sizeof(*s));

	if (s == NULL)
		return false;
	s->key = key;
	s->row = row;
	s->old = old;
	HASH_ADD_KEYPTR(hh, g->slots, s->key, len, s);
	return true;
}

static bool
make_room(struct gather *g)
{
	size_t size = g->size == 0 ? 64 : g->size * 2;
	struct wm_row *rows;

	if (g->nrows < g->size)
		return true;
	rows = realloc(g->rows, size * sizeof(*rows));
	if (rows == NULL)
		return false;
	g->rows = rows;
	g->size = size;
	return true;
}

enum wm_status
batcher_add(struct batcher *b, const struct wm_view *view, const struct wm_row *row, struct wm_error *err)
{
	struct gather *g = get_view(b, view);
	const char *key, *old_key = NULL;
	size_t len, old_len = 0;
	struct slot *slot, *old_slot = NULL;

	if (g == NULL || !key_bytes(b, view, row->values, false, &key, &len) ||
	    (row->old_key != NULL && !key_bytes(b, view, row->old_key, true, &old_key, &old_len)))
		return wm_oom(err, "a batch");
	HASH_FIND(hh, g->slots, key, len, slot);
	if (old_key != NULL)
		HASH_FIND(hh, g->slots, old_key, old_len, old_slot);
	if (old_slot != NULL || (slot != NULL &&
	    (row->old_key != NULL || slot->old || g->rows[slot->row].old_key != NULL)))
		return wm_fail(err, WM_RETRY, "the batch holds a row that cannot be merged with this change of key");
	b->bytes += row_bytes(view, row);
	if (slot != NULL) {
		merge(view, &g->rows[slot->row], row);
		return WM_OK;
	}
	if (!make_room(g) || !add_slot(b, g, key, len, g->nrows, false) ||
	    (old_key != NULL && !add_slot(b, g, old_key, old_len, g->nrows, true)))
		return wm_oom(err, "a batch");
	g->rows[g->nrows++] = *row;
	b->batch.nrows++;
	return WM_OK;
}

enum wm_status
batcher_truncate(struct batcher *b, const struct wm_view *view, struct wm_error *err)
{
	struct gather *g = get_view(b, view);

	if (g == NULL)
		return wm_oom(err, "a batch");
	HASH_CLEAR(hh, g->slots);
	b->batch.nrows -= g->nrows;
	g->nrows = 0;
	g->truncate = true;
	return WM_OK;
}

const struct wm_batch *
batcher_batch(struct batcher *b)
{
	struct wm_view_batch *out = realloc(b->out, (b->n + 1) * sizeof(*out));

	if (out == NULL)
		return NULL;
	b->out = out;
	for (size_t i = 0; i < b->n; i++)
		out[i] = (struct wm_view_batch){ .view = b->views[i].view, .truncate = b->views[i].truncate,
			.nrows = b->views[i].nrows, .rows = b->views[i].rows };
	b->batch.nviews = b->n;
	b->batch.views = out;
	b->batch.bytes = b->bytes;
	return &b->batch;
}

const struct wm_batch *
batcher_part(struct batcher *b, enum wm_priority least)
{
	struct wm_view_batch *out = realloc(b->out, (b->n + 1) * sizeof(*out));

	if (out == NULL)
		return NULL;
	b->out = out;
	b->part = (struct wm_batch){ .views = out, .bytes = b->bytes };
	for (size_t i = 0; i < b->n; i++) {
		const struct gather *g = &b->views[i];

		if (g->view->priority < least)
			continue;
		out[b->part.nviews++] = (struct wm_view_batch){
			.view = g->view, .truncate = g->truncate, .nrows = g->nrows, .rows = g->rows
		};
		b->part.nrows += g->nrows;
	}
	return &b->part;
}

/* The values, which may be the journal's; NULL: memory out. */
static struct wm_value *
copy_values(struct wm_arena *arena, const struct wm_value *values, unsigned n)
{
	struct wm_value *copy = wm_arena_alloc(arena, (n + 1) * sizeof(*copy));

	for (unsigned i = 0; copy != NULL && i < n; i++) {
		copy[i] = values[i];
		if (values[i].data != NULL &&
		    (copy[i].data = wm_arena_dup(arena, values[i].data, values[i].len)) == NULL)
			return NULL;
	}
	return copy;
}

static enum wm_status
add_copies(struct batcher *b, const struct gather *g, struct wm_error *err)
{
	enum wm_status st = g->truncate ? batcher_truncate(b, g->view, err) : WM_OK;

	for (size_t i = 0; st == WM_OK && i < g->nrows; i++) {
		struct wm_row row = g->rows[i];

		row.values = copy_values(b->arena, row.values, g->view->ncolumns);
		if (row.old_key != NULL)
			row.old_key = copy_values(b->arena, row.old_key, g->view->nkeys);
		st = row.values == NULL || (row.old_key == NULL && g->rows[i].old_key != NULL) ?
		    wm_oom(err, "a batch") :
		    batcher_add(b, g->view, &row, err);
	}
	return st;
}

enum wm_status
batcher_drop_part(struct batcher **b, enum wm_priority least, struct wm_error *err)
{
	struct batcher *rest = batcher_create();
	enum wm_status st = rest == NULL ? wm_oom(err, "a batch") : WM_OK;

	for (size_t i = 0; st == WM_OK && i < (*b)->n; i++)
		if ((*b)->views[i].view->priority < least)
			st = add_copies(rest, &(*b)->views[i], err);
	if (st != WM_OK) {
		batcher_destroy(rest);
		return st;
	}
	batcher_destroy(*b);
	*b = rest;
	return WM_OK;
}

bool
batcher_has(const struct batcher *b, const char *view)
{
	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->views[i].view->name, view) == 0)
			return true;
	return false;
}

size_t
batcher_view_rows(const struct batcher *b, const struct wm_view *view)
{
	const struct gather *g = find_view(b, view);

	return g == NULL ? 0 : g->nrows;
}

void
batcher_clear_rows(struct batcher *b)
{
	for (size_t i = 0; i < b->n; i++)
		HASH_CLEAR(hh, b->views[i].slots);
	b->n = 0;
	b->bytes = 0;
	b->batch = (struct wm_batch){ 0 };
}

void
batcher_reset(struct batcher *b)
{
	batcher_clear_rows(b);
	wm_arena_reset(b->arena);
}
