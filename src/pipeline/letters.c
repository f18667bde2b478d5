/* SPDX-License-Identifier: PostgreSQL */
/*
 * letters.c - which rows have a dead letter, and when it becomes void.
 *
 * The letters are in the state; here is only a filter of bits, so that a row without one costs a hash at most, and
 * nothing as long as there is no letter at all.
 */
#include <cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "letters.h"
#include "walmill/strutil.h"

#define FILTER_BITS (1U << 17)
#define TEXT_MAX ((size_t)1 << 30)

struct settled {
	uint64_t		 row;		/* hash of rule, view and identity */
	struct wm_letter_mark	 mark;
	UT_hash_handle		 hh;
};

struct letters {
	struct wm_state		*state;
	const char		*source, *target;
	bool			 any;		/* some bit is set */
	uint64_t		 filter[FILTER_BITS / 64];
	struct wm_buf		 key;		/* of the row looked at */
	struct settled		*settled;	/* letters that what was written makes void */
};

struct letters *
letters_create(struct wm_pipeline *p, const struct wm_source_config *source, const char *target)
{
	struct letters *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->state = p->state;
	l->source = source->base;
	l->target = target;
	wm_buf_init(&l->key, TEXT_MAX);
	return l;
}

void
letters_destroy(struct letters *l)
{
	if (l == NULL)
		return;
	letters_forget(l);
	wm_buf_free(&l->key);
	free(l);
}

/* ---- the filter ---- */

static uint64_t
hash_row(const char *rule, const char *view, const char *identity)
{
	uint64_t h = wm_hash(rule, strlen(rule) + 1, 0);

	h = wm_hash(view, strlen(view) + 1, h);
	return wm_hash(identity, strlen(identity), h);
}

static void
filter_add(struct letters *l, uint64_t hash)
{
	l->filter[hash % FILTER_BITS / 64] |= UINT64_C(1) << (hash % 64);
	l->any = true;
}

static bool
filter_has(const struct letters *l, uint64_t hash)
{
	return (l->filter[hash % FILTER_BITS / 64] >> (hash % 64) & 1) != 0;
}

bool
letters_any(const struct letters *l)
{
	return l->any;
}

/* ---- rows as text ---- */

/* False when the value is not text that a reader gets back as it was. */
static bool
add_member(struct wm_buf *b, const struct wm_view_column *column, const struct wm_value *v)
{
	bool exact = true;

	if (v->kind != WM_VALUE_NULL && v->kind != WM_VALUE_TEXT)
		return v->kind == WM_VALUE_UNCHANGED;
	if (b->len > 1)
		wm_buf_addc(b, ',');
	(void)wm_buf_add_json(b, column->name, strlen(column->name));
	wm_buf_addc(b, ':');
	if (v->kind == WM_VALUE_NULL)
		wm_buf_adds(b, "null");
	else
		exact = wm_buf_add_json(b, v->data, v->len);
	return exact;
}

static const struct wm_value *
key_value(const struct wm_view *view, unsigned column, const struct wm_value *values, const struct wm_value *old_key)
{
	unsigned i = 0;

	if (old_key == NULL)
		return &values[column];
	while (view->keys[i] != column)
		i++;
	return &old_key[i];
}

/* {"id":"7"}: what names the row in its view, and in the state. */
static const char *
key_text(struct letters *l, const struct wm_view *view, const struct wm_value *values, const struct wm_value *old_key)
{
	wm_buf_reset(&l->key);
	wm_buf_addc(&l->key, '{');
	for (unsigned i = 0; i < view->ncolumns; i++)
		if (view->columns[i].key)
			(void)add_member(&l->key, &view->columns[i], key_value(view, i, values, old_key));
	wm_buf_addc(&l->key, '}');
	return l->key.data;
}

static bool
row_text(const struct wm_view *view, const struct wm_row *row, struct wm_buf *text, struct wm_buf *numbers)
{
	bool exact = true;

	wm_buf_addc(text, '{');
	wm_buf_addc(numbers, '[');
	for (unsigned i = 0; row != NULL && i < view->ncolumns; i++) {
		const struct wm_value *v = &row->values[i];

		if (row->op == WM_ROW_DELETE && !view->columns[i].key)
			continue;
		exact &= add_member(text, &view->columns[i], v);
		if (v->kind != WM_VALUE_TEXT || !v->number)
			continue;
		if (numbers->len > 1)
			wm_buf_addc(numbers, ',');
		(void)wm_buf_add_json(numbers, view->columns[i].name, strlen(view->columns[i].name));
	}
	wm_buf_addc(text, '}');
	wm_buf_addc(numbers, ']');
	return exact;
}

void
letters_add_row(struct wm_buf *b, const struct wm_view *view, const struct wm_row *row)
{
	WM_AUTO(wm_buf_free) struct wm_buf text;
	WM_AUTO(wm_buf_free) struct wm_buf numbers;

	wm_buf_init(&text, TEXT_MAX);
	wm_buf_init(&numbers, TEXT_MAX);
	(void)row_text(view, row, &text, &numbers);
	b->failed |= text.failed;
	wm_buf_add(b, text.data, text.len);
}

/* ---- refused rows ---- */

/* A row that comes again after it was settled in the same transaction: its new letter stands. */
static void
unsettle(struct letters *l, uint64_t row)
{
	struct settled *s;

	HASH_FIND(hh, l->settled, &row, sizeof(row), s);
	if (s != NULL)
		HASH_DEL(l->settled, s);
	free(s);
}

static bool
keyed(const struct wm_view *view, const struct wm_row *row)
{
	for (unsigned i = 0; row != NULL && i < view->nkeys; i++)
		if (row->values[view->keys[i]].kind != WM_VALUE_TEXT)
			return false;
	return row != NULL;
}

enum wm_status
letters_bury(struct letters *l, const struct wm_rule *rule, const struct wm_view *view, const struct wm_row *row,
    bool seed, const char *class, const struct wm_error *why, struct wm_error *err)
{
	static const char *const ops[] = { [WM_ROW_UPSERT] = "upsert", [WM_ROW_UPDATE] = "update",
		[WM_ROW_DELETE] = "delete" };
	WM_AUTO(wm_buf_free) struct wm_buf text;
	WM_AUTO(wm_buf_free) struct wm_buf numbers;
	WM_AUTO(wm_freep) char *place = NULL;
	struct wm_dead_letter letter = { .source = l->source, .target = l->target, .rule = rule->name,
		.table = view->table, .view = view->name, .op = row == NULL ? "" : ops[row->op],
		.origin = seed ? "seed" : "stream", .class = class, .code = why->code, .message = why->text,
		.first_time = wm_clock_wall(), .last_time = wm_clock_wall(), .attempts = 1 };
	enum wm_status st;
	bool exact;

	wm_buf_init(&text, TEXT_MAX);
	wm_buf_init(&numbers, TEXT_MAX);
	exact = row_text(view, row, &text, &numbers);
	letter.row = text.data;
	letter.numbers = numbers.data;
	letter.key = letter.identity = row == NULL ? "{}" : key_text(l, view, row->values, NULL);
	if (row != NULL) {
		letter.commit_lsn = row->at.commit_lsn;
		letter.index = row->at.index;
		/* A change of key that leaves values out needs the row of before, which is deleted. */
		letter.replay = exact && strcmp(class, "row") == 0 && row->old_key == NULL;
	}
	if (!keyed(view, row)) {
		place = wm_asprintf("@" WM_LSN_FMT "/%" PRIu32, WM_LSN_ARGS(letter.commit_lsn), letter.index);
		letter.identity = place;
	}
	if (text.failed || numbers.failed || l->key.failed || letter.identity == NULL)
		return wm_oom(err, "a dead letter");
	st = wm_state_dead_letter_add(l->state, &letter, err);
	if (st != WM_OK)
		return st;
	filter_add(l, hash_row(rule->name, view->name, letter.identity));
	unsettle(l, hash_row(rule->name, view->name, letter.identity));
	return WM_OK;
}

/* ---- rows that were written ---- */

static enum wm_status
add_settled(struct letters *l, int64_t id, wm_lsn lsn, uint64_t row, struct wm_error *err)
{
	struct settled *s;

	HASH_FIND(hh, l->settled, &row, sizeof(row), s);
	if (s != NULL)
		return WM_OK;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return wm_oom(err, "dead letters");
	*s = (struct settled){ .row = row, .mark = { .id = id, .superseded = lsn } };
	HASH_ADD(hh, l->settled, row, sizeof(s->row), s);
	return WM_OK;
}

struct found {
	int64_t			 id;
	struct wm_position	 at;
	bool			 seed;
};

static void
take_found(void *arg, const struct wm_dead_letter *letter)
{
	struct found *f = arg;

	f->id = letter->id;
	f->seed = strcmp(letter->origin, "seed") == 0;
	f->at = (struct wm_position){ .commit_lsn = letter->commit_lsn, .index = letter->index };
}

static bool
not_newer(struct wm_position a, struct wm_position b)
{
	return a.commit_lsn < b.commit_lsn || (a.commit_lsn == b.commit_lsn && a.index <= b.index);
}

/*
 * Positions order the changes of the stream.  What a seed reads is newer than what was applied before, and what the
 * stream brings afterwards is newer than that, whatever their positions are.
 */
static enum wm_status
settle_key(struct letters *l, const struct wm_view *view, const struct wm_row *row, const struct wm_value *old_key,
    bool seed, struct wm_error *err)
{
	struct wm_dead_letter name = { .source = l->source, .target = l->target, .rule = view->rule, .view = view->name,
		.identity = key_text(l, view, row->values, old_key) };
	uint64_t hash = hash_row(view->rule, view->name, name.identity);
	struct found f = { 0 };
	bool found;
	enum wm_status st;

	if (l->key.failed)
		return wm_oom(err, "a key");
	if (!filter_has(l, hash))
		return WM_OK;
	st = wm_state_dead_letter_find(l->state, &name, take_found, &f, &found, err);
	if (st != WM_OK || !found || !(seed || f.seed || not_newer(f.at, row->at)))
		return st;
	return add_settled(l, f.id, row->at.commit_lsn, hash, err);
}

struct emptied {
	struct letters		*l;
	const struct wm_view	*view;
	enum wm_status		 st;
	struct wm_error		*err;
};

static void
take_emptied(void *arg, const struct wm_dead_letter *letter)
{
	struct emptied *e = arg;

	/* Marked with its own position: the truncate is later, and its transaction commits with what is there now. */
	if (e->st == WM_OK && strcmp(letter->rule, e->view->rule) == 0 && strcmp(letter->view, e->view->name) == 0)
		e->st = add_settled(e->l, letter->id, letter->commit_lsn,
		    hash_row(letter->rule, letter->view, letter->identity), e->err);
}

enum wm_status
letters_settle(struct letters *l, const struct wm_batch *batch, bool seed, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	for (size_t i = 0; l->any && i < batch->nviews && st == WM_OK; i++) {
		const struct wm_view_batch *v = &batch->views[i];
		struct emptied e = { .l = l, .view = v->view, .err = err };

		if (v->truncate)
			st = wm_state_dead_letters_between(l->state, l->source, l->target, take_emptied, &e, err);
		st = st == WM_OK ? e.st : st;
		for (size_t k = 0; k < v->nrows && st == WM_OK; k++) {
			st = settle_key(l, v->view, &v->rows[k], NULL, seed, err);
			if (st == WM_OK && v->rows[k].old_key != NULL)
				st = settle_key(l, v->view, &v->rows[k], v->rows[k].old_key, seed, err);
		}
	}
	return st;
}

enum wm_status
letters_drop_view(struct letters *l, const struct wm_view *view, struct wm_error *err)
{
	return wm_state_dead_letters_drop_view(l->state, l->source, l->target, view->rule, view->name, err);
}

/* ---- what a letter holds ---- */

static void
json_free(cJSON **json)
{
	cJSON_Delete(*json);
}

static bool
is_number(const cJSON *numbers, const char *name)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, numbers)
		if (cJSON_IsString(item) && strcmp(item->valuestring, name) == 0)
			return true;
	return false;
}

static bool
parse_value(const cJSON *item, bool number, struct wm_arena *arena, struct wm_value *ret)
{
	size_t n;
	char *copy;

	*ret = (struct wm_value){ .kind = cJSON_IsNull(item) ? WM_VALUE_NULL : WM_VALUE_UNCHANGED };
	if (!cJSON_IsString(item))
		return true;
	n = strlen(item->valuestring);
	copy = wm_arena_dup(arena, item->valuestring, n);
	*ret = (struct wm_value){ .data = copy, .len = (uint32_t)n, .kind = WM_VALUE_TEXT, .number = number };
	return copy != NULL;
}

static enum wm_row_op
parse_op(const char *op)
{
	return strcmp(op, "delete") == 0 ? WM_ROW_DELETE : strcmp(op, "update") == 0 ? WM_ROW_UPDATE : WM_ROW_UPSERT;
}

enum wm_status
letters_parse(const struct wm_dead_letter *letter, const struct wm_view *view, struct wm_arena *arena,
    struct letter_row *ret, struct wm_error *err)
{
	WM_AUTO(json_free) cJSON *object = letter->row == NULL ? NULL : cJSON_Parse(letter->row);
	WM_AUTO(json_free) cJSON *numbers = cJSON_Parse(letter->numbers);
	struct wm_value *values = wm_arena_alloc(arena, (view->ncolumns + 1) * sizeof(*values));
	bool holes = false;

	if (values == NULL)
		return wm_oom(err, "a dead letter");
	*ret = (struct letter_row){ .id = letter->id, .replay = letter->replay, .row = { .op = parse_op(letter->op),
		.values = values, .at = { .commit_lsn = letter->commit_lsn, .index = letter->index } } };
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const char *name = view->columns[i].name;

		if (!parse_value(cJSON_GetObjectItemCaseSensitive(object, name), is_number(numbers, name), arena,
		    &values[i]))
			return wm_oom(err, "a dead letter");
		holes |= values[i].kind == WM_VALUE_UNCHANGED;
		ret->replay &= !view->columns[i].key || values[i].kind == WM_VALUE_TEXT;
	}
	/* Columns have come to the view since: what they hold is to be asked at the source. */
	if (ret->row.op == WM_ROW_UPSERT && holes)
		ret->replay = false;
	return WM_OK;
}

/* ---- commits ---- */

/* The settled ones as the state wants them; malloc'd. */
static struct wm_letter_mark *
marks(const struct letters *l, struct wm_error *err)
{
	struct wm_letter_mark *list = calloc(HASH_COUNT(l->settled) + 1, sizeof(*list));
	size_t n = 0;

	if (list == NULL)
		(void)wm_oom(err, "dead letters");
	for (struct settled *s = l->settled; list != NULL && s != NULL; s = s->hh.next)
		list[n++] = s->mark;
	return list;
}

enum wm_status
letters_before_commit(struct letters *l, struct wm_error *err)
{
	WM_AUTO(wm_freep) struct wm_letter_mark *list = NULL;

	if (l->settled == NULL)
		return WM_OK;
	list = marks(l, err);
	if (list == NULL)
		return WM_FATAL;
	return wm_state_dead_letters_supersede(l->state, list, HASH_COUNT(l->settled), err);
}

bool
letters_any_settled(const struct letters *l)
{
	return l->settled != NULL;
}

enum wm_status
letters_remove(struct letters *l, struct wm_error *err)
{
	WM_AUTO(wm_freep) struct wm_letter_mark *list = NULL;
	enum wm_status st;

	if (l->settled == NULL)
		return WM_OK;
	list = marks(l, err);
	if (list == NULL)
		return WM_FATAL;
	st = wm_state_dead_letters_drop(l->state, list, HASH_COUNT(l->settled), NULL, err);
	if (st != WM_OK)
		return st;
	wm_log(WM_LOG_INFO, "dead_letters_void",
	    "%u dead letters of target \"%s\" are void: later changes of their rows were taken",
	    HASH_COUNT(l->settled), l->target);
	letters_forget(l);
	return WM_OK;
}

void
letters_forget(struct letters *l)
{
	struct settled *s, *tmp;

	HASH_ITER(hh, l->settled, s, tmp) {
		HASH_DEL(l->settled, s);
		free(s);
	}
}

/* ---- at the start ---- */

struct loading {
	struct letters		*l;
	struct worker		*w;
	size_t			 n, size;
	struct wm_letter_mark	*list;		/* whose mark is to be judged; superseded: 0 it stands again */
	bool			 oom;
};

/* Up to which commit the rule's changes are in the target. */
static wm_lsn
applied(struct worker *w, const char *rule)
{
	for (const struct hold *h = w->holds; h != NULL; h = h->next)
		if (strcmp(h->rule->name, rule) == 0)
			return h->commit_lsn;
	return atomic_load(&w->commit_lsn);
}

static void
take_loaded(void *arg, const struct wm_dead_letter *letter)
{
	struct loading *g = arg;

	filter_add(g->l, hash_row(letter->rule, letter->view, letter->identity));
	if (letter->superseded == 0 || !worker_takes(g->w, letter->table))
		return;
	if (g->n == g->size) {
		size_t size = g->size == 0 ? 64 : g->size * 2;
		struct wm_letter_mark *list = realloc(g->list, size * sizeof(*list));

		g->oom |= list == NULL;
		if (list == NULL)
			return;
		g->list = list;
		g->size = size;
	}
	g->list[g->n++] = (struct wm_letter_mark){ .id = letter->id,
		.superseded = letter->superseded <= applied(g->w, letter->rule) ? letter->superseded : 0 };
}

enum wm_status
letters_load(struct letters *l, struct worker *w, struct wm_error *err)
{
	struct loading g = { .l = l, .w = w };
	enum wm_status st;

	letters_forget(l);
	memset(l->filter, 0, sizeof(l->filter));
	l->any = false;
	st = wm_state_dead_letters_between(l->state, l->source, l->target, take_loaded, &g, err);
	if (st == WM_OK && g.oom)
		st = wm_oom(err, "dead letters");
	if (st == WM_OK && g.n > 0)
		st = wm_state_dead_letters_supersede(l->state, g.list, g.n, err);
	for (size_t i = 0; st == WM_OK && i < g.n; i++)
		if (g.list[i].superseded != 0)
			st = wm_state_dead_letters_drop(l->state, &g.list[i], 1, NULL, err);
	free(g.list);
	return st;
}
