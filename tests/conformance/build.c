/* SPDX-License-Identifier: PostgreSQL */
/*
 * build.c - views and batches made of literals, and calls that must succeed.
 */
#include "conformance.h"

#include <string.h>

const char UNCHANGED[] = "(unchanged)";
struct wm_error error;

static void *
alloc(struct fixture *f, size_t n, size_t size)
{
	void *p = wm_arena_calloc(f->arena, n, size);

	assert_non_null(p);
	return p;
}

static char *
dup_text(struct fixture *f, const char *text)
{
	char *p = wm_arena_strdup(f->arena, text);

	assert_non_null(p);
	return p;
}

const struct wm_view *
make_view(struct fixture *f, const char *name, const struct column *columns)
{
	struct wm_view *view = alloc(f, 1, sizeof(*view));
	static char rule[] = "the_rule";

	while (columns[view->ncolumns].name != NULL)
		view->ncolumns++;
	view->name = dup_text(f, name);
	view->rule = rule;
	view->columns = alloc(f, view->ncolumns, sizeof(*view->columns));
	view->keys = alloc(f, view->ncolumns, sizeof(*view->keys));
	for (unsigned i = 0; i < view->ncolumns; i++) {
		struct wm_view_column *c = &view->columns[i];

		c->name = dup_text(f, columns[i].name);
		c->key = columns[i].key;
		c->override = columns[i].override != NULL ? dup_text(f, columns[i].override) : NULL;
		if (columns[i].type[0] != '\0')
			wm_type_named(columns[i].type, &c->type);
		else
			c->type = (struct wm_type){ .typmod = -1, .class = WM_TYPE_DYNAMIC };
		if (c->key)
			view->keys[view->nkeys++] = i;
	}
	return view;
}

/* ---- batches ---- */

struct batch
make_batch(struct fixture *f)
{
	return (struct batch){ .f = f };
}

static struct wm_view_batch *
last_view(const struct batch *batch)
{
	assert_true(batch->b.nviews > 0);
	return &batch->b.views[batch->b.nviews - 1];
}

void
add_view(struct batch *batch, const struct wm_view *view)
{
	struct wm_view_batch *views = alloc(batch->f, batch->b.nviews + 1, sizeof(*views));

	if (batch->b.nviews > 0)
		memcpy(views, batch->b.views, batch->b.nviews * sizeof(*views));
	views[batch->b.nviews++].view = view;
	batch->b.views = views;
	batch->size = 0;
}

void
add_truncate(struct batch *batch)
{
	last_view(batch)->truncate = true;
}

static struct wm_value
make_value(struct batch *batch, const char *text)
{
	struct wm_value v = { .kind = WM_VALUE_NULL };

	if (text == UNCHANGED)
		v.kind = WM_VALUE_UNCHANGED;
	else if (text != NULL) {
		v.kind = WM_VALUE_TEXT;
		v.len = (uint32_t)strlen(text);
		/* Without a NUL behind it, as in the journal. */
		v.data = memcpy(alloc(batch->f, 1, v.len + 1u), text, v.len);
		((char *)(uintptr_t)v.data)[v.len] = '!';
		batch->b.bytes += v.len;
	}
	return v;
}

static struct wm_row *
add_row(struct batch *batch, enum wm_row_op op)
{
	struct wm_view_batch *vb = last_view(batch);
	struct wm_row *row;

	if (vb->nrows == batch->size) {
		size_t size = batch->size > 0 ? 2 * batch->size : 16;
		struct wm_row *rows = alloc(batch->f, size, sizeof(*rows));

		if (vb->nrows > 0)
			memcpy(rows, vb->rows, vb->nrows * sizeof(*rows));
		vb->rows = rows;
		batch->size = size;
	}
	row = &vb->rows[vb->nrows++];
	row->op = op;
	row->values = alloc(batch->f, vb->view->ncolumns, sizeof(*row->values));
	row->at.commit_lsn = 1000;
	row->at.index = (uint32_t)batch->b.nrows++;
	return row;
}

static void
set_values(struct batch *batch, struct wm_row *row, const char *const *values)
{
	const struct wm_view *view = last_view(batch)->view;

	for (unsigned i = 0; i < view->ncolumns; i++) {
		row->values[i] = make_value(batch, values[i]);
		row->values[i].number = view->columns[i].type.class == WM_TYPE_DYNAMIC && values[i] != NULL &&
		    strspn(values[i], "0123456789.-e") == strlen(values[i]);
	}
}

void
add_upsert(struct batch *batch, const char *const *values)
{
	set_values(batch, add_row(batch, WM_ROW_UPSERT), values);
}

void
add_update(struct batch *batch, const char *const *values, const char *const *old_key)
{
	const struct wm_view *view = last_view(batch)->view;
	struct wm_row *row = add_row(batch, WM_ROW_UPDATE);

	set_values(batch, row, values);
	if (old_key == NULL)
		return;
	row->old_key = alloc(batch->f, view->nkeys, sizeof(*row->old_key));
	for (unsigned i = 0; i < view->nkeys; i++)
		row->old_key[i] = make_value(batch, old_key[i]);
}

void
add_delete(struct batch *batch, const char *const *key)
{
	const struct wm_view *view = last_view(batch)->view;
	struct wm_row *row = add_row(batch, WM_ROW_DELETE);

	for (unsigned i = 0; i < view->nkeys; i++)
		row->values[view->keys[i]] = make_value(batch, key[i]);
}

struct wm_batch
part_of(struct fixture *f, const struct wm_batch *batch, size_t from, size_t to)
{
	struct wm_batch part = { 0 };
	size_t before = 0;

	part.views = alloc(f, batch->nviews, sizeof(*part.views));
	for (size_t i = 0; i < batch->nviews; i++) {
		const struct wm_view_batch *vb = &batch->views[i];
		size_t lo = from > before ? from - before : 0, hi = to > before ? to - before : 0;

		before += vb->nrows;
		if (hi > vb->nrows)
			hi = vb->nrows;
		if (lo >= hi)
			continue;
		part.views[part.nviews] = *vb;
		part.views[part.nviews].rows += lo;
		part.views[part.nviews++].nrows = hi - lo;
		part.nrows += hi - lo;
	}
	return part;
}

void
set_fresh(struct batch *batch)
{
	for (size_t i = 0; i < batch->b.nviews; i++)
		for (size_t j = 0; j < batch->b.views[i].nrows; j++)
			batch->b.views[i].rows[j].fresh = batch->b.views[i].rows[j].op == WM_ROW_UPSERT;
}

/* ---- calls ---- */

void
must_be_ok(enum wm_status status, const struct wm_error *err, const char *file, int line)
{
	if (status != WM_OK)
		print_error("%s:%d: status %d: %s\n", file, line, (int)status, err->text);
	_assert_int_equal((unsigned long)status, (unsigned long)WM_OK, file, line);
}

static void
ignore_bookmark(void *arg, const char *name, const char *value)
{
	(void)arg;
	(void)name;
	(void)value;
}

void
start(struct fixture *f)
{
	OK(f->target->ops->open(f->target, &error));
	if (f->target->ops->load != NULL)
		OK(f->target->ops->load(f->target, "shop", ignore_bookmark, NULL, &error));
}

void
ensure(struct fixture *f, const struct wm_view *view)
{
	OK(f->target->ops->ensure(f->target, view, &(enum wm_found){ 0 }, &error));
}

void
write_batch(struct fixture *f, const struct batch *batch)
{
	size_t bad = 12345;

	OK(f->target->ops->write(f->target, &batch->b, &bad, &error));
	assert_int_equal(bad, 12345);
}

void
commit(struct fixture *f)
{
	if (f->target->ops->commit != NULL)
		OK(f->target->ops->commit(f->target, NULL, 0, &error));
}

void
write_and_commit(struct fixture *f, const struct batch *batch)
{
	write_batch(f, batch);
	commit(f);
}

unsigned
write_splitting(struct fixture *f, const struct wm_batch *batch)
{
	size_t bad = 0, n = batch->nrows;
	enum wm_status status = f->target->ops->write(f->target, batch, &bad, &error);
	struct wm_batch part;
	unsigned refused;

	if (status == WM_OK)
		return 0;
	assert_int_equal(status, WM_REJECT);
	if (n == 1)
		return 1;
	if (bad == WM_BAD_UNKNOWN) {
		part = part_of(f, batch, 0, n / 2);
		refused = write_splitting(f, &part);
		part = part_of(f, batch, n / 2, n);
		return refused + write_splitting(f, &part);
	}
	assert_in_range(bad, 0, n - 1);
	part = part_of(f, batch, 0, bad);
	refused = part.nrows > 0 ? write_splitting(f, &part) : 0;
	part = part_of(f, batch, bad + 1, n);
	return refused + 1 + (part.nrows > 0 ? write_splitting(f, &part) : 0);
}
