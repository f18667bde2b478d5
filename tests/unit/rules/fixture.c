/* SPDX-License-Identifier: PostgreSQL */
/*
 * fixture.c - rules, relations and changes written as short texts, and rows shown as such.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/buf.h"
#include "walmill/strutil.h"

const char TOAST[] = "(unchanged)";
const char MASK_KEY[] = "key of the masks";

void
fx_load_config(struct fixture *fx, const char *yaml)
{
	fx->config = wm_config_parse("walmill.yaml", yaml, "/tmp", &fx->diags);
	for (size_t i = 0; fx->config == NULL && i < fx->diags.n; i++)
		print_error("%s: %s\n", fx->diags.list[i].place, fx->diags.list[i].text);
	assert_non_null(fx->config);
	fx->set = wm_ruleset_load(fx->config, &fx->diags);
}

void
fx_load(struct fixture *fx, const char *rules)
{
	WM_AUTO(wm_freep) char *yaml = wm_asprintf("sources: {shop: {uri: \"postgresql://db/shop\"}}\n"
	    "targets: {warehouse: {type: sqlite, path: w.db}}\nrules:\n%s", rules);

	fx_load_config(fx, yaml);
}

void
fx_assert_diag(struct fixture *fx, const char *expected)
{
	for (size_t i = 0; i < fx->diags.n; i++) {
		WM_AUTO(wm_freep) char *line = wm_asprintf("%s: %s", fx->diags.list[i].place, fx->diags.list[i].text);

		if (strcmp(line, expected) == 0)
			return;
	}
	for (size_t i = 0; i < fx->diags.n; i++)
		print_error("there is: %s: %s\n", fx->diags.list[i].place, fx->diags.list[i].text);
	fail_msg("no diagnostic: %s", expected);
}

static void
add_column(struct wm_relation *rel, const char *word)
{
	struct wm_column *columns = reallocarray(rel->columns, rel->ncolumns + 1, sizeof(*columns));
	struct wm_column *c = &columns[rel->ncolumns];
	size_t n = strcspn(word, "!^:");

	assert_non_null(columns);
	*c = (struct wm_column){ .name = strndup(word, n) };
	for (word += n; *word != ':'; word++) {
		c->identity |= *word == '!';
		c->primary |= *word == '^';
	}
	wm_type_named(word + 1, &c->type);
	c->identity |= rel->identity == WM_IDENTITY_FULL;
	rel->columns = columns;
	rel->ncolumns++;
}

void
fx_relation(struct fixture *fx, const char *spec)
{
	WM_AUTO(wm_freep) char *copy = strdup(spec);
	char *rest = copy, *table = strsep(&rest, " "), *dot = strchr(table, '.'), *word;

	wm_relation_free(fx->rel);
	fx->rel = calloc(1, sizeof(*fx->rel));
	assert_non_null(fx->rel);
	fx->rel->oid = 16384;
	fx->rel->schema = strndup(table, (size_t)(dot - table));
	fx->rel->name = strdup(dot + 1);
	fx->rel->identity = (enum wm_identity)strsep(&rest, " ")[0];
	while ((word = strsep(&rest, " ")) != NULL)
		add_column(fx->rel, word);
}

static enum wm_status
compile(struct fixture *fx, const char *rule, const char *spec)
{
	const struct wm_plan_env env = { .source = "shop", .mask_key = MASK_KEY, .mask_key_len = strlen(MASK_KEY) };
	WM_AUTO(wm_freep) char *list = wm_asprintf("  - {%s}\n", rule);

	fx_load(fx, list);
	for (size_t i = 0; i < fx->diags.n; i++)
		print_error("%s: %s\n", fx->diags.list[i].place, fx->diags.list[i].text);
	assert_non_null(fx->set);
	fx_relation(fx, spec);
	fx->arena = wm_arena_create(4096);
	return wm_plan_compile(&fx->set->rules[0], fx->rel, &env, &fx->plan, &fx->err);
}

void
fx_open(struct fixture *fx, const char *rule, const char *spec)
{
	enum wm_status status = compile(fx, rule, spec);

	if (status != WM_OK)
		print_error("%s\n", fx->err.text);
	assert_int_equal(status, WM_OK);
}

void
fx_open_refused(struct fixture *fx, const char *rule, const char *spec)
{
	assert_int_equal(compile(fx, rule, spec), WM_REJECT);
	assert_null(fx->plan);
}

void
fx_close(struct fixture *fx)
{
	wm_plan_free(fx->plan);
	wm_relation_free(fx->rel);
	wm_arena_destroy(fx->arena);
	wm_ruleset_free(fx->set);
	wm_config_free(fx->config);
	wm_diags_free(&fx->diags);
	*fx = (struct fixture){ 0 };
}

static struct wm_tuple *
make_tuple(struct fixture *fx, const char *const *row)
{
	struct wm_tuple *t = wm_arena_alloc(fx->arena, sizeof(*t));

	if (row == NULL)
		return NULL;
	t->n = fx->rel->ncolumns;
	t->values = wm_arena_calloc(fx->arena, t->n, sizeof(*t->values));
	for (unsigned i = 0; i < t->n; i++) {
		struct wm_value *v = &t->values[i];

		if (row[i] == TOAST)
			v->kind = WM_VALUE_UNCHANGED;
		else if (row[i] != NULL)	/* a copy without NUL, so that reading too far shows */
			*v = (struct wm_value){ .data = memcpy(
						    wm_arena_alloc(fx->arena, strlen(row[i])),
						    row[i], strlen(row[i])),
				.len = (uint32_t)strlen(row[i]),
				.kind = WM_VALUE_TEXT };
	}
	return t;
}

static struct wm_change
make_change(struct fixture *fx, enum wm_event_kind kind, const char *const *before, bool full, const char *const *after)
{
	wm_arena_reset(fx->arena);
	fx->rows = (struct wm_plan_rows){ 0 };
	fx->err = (struct wm_error){ 0 };
	return (struct wm_change){ .kind = kind, .at = { .commit_lsn = 0x100000005, .index = 7 },
	    .commit_time = 1795163400123456, .before = make_tuple(fx, before), .before_full = full,
	    .after = make_tuple(fx, after) };
}

enum wm_outcome
fx_apply(struct fixture *fx, enum wm_event_kind kind, const char *const *before, bool full, const char *const *after,
    unsigned flags)
{
	struct wm_change change = make_change(fx, kind, before, full, after);

	return wm_plan_apply(fx->plan, &change, flags, fx->arena, &fx->rows, &fx->err);
}

enum wm_outcome
fx_vanished(struct fixture *fx, enum wm_event_kind kind, const char *const *before, bool full, const char *const *after)
{
	struct wm_change change = make_change(fx, kind, before, full, after);

	return wm_plan_vanished(fx->plan, &change, fx->arena, &fx->rows, &fx->err);
}

static void
add_values(struct wm_buf *b, const struct wm_value *values, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			wm_buf_addc(b, '|');
		if (values[i].kind == WM_VALUE_NULL)
			wm_buf_addc(b, '-');
		else if (values[i].kind == WM_VALUE_UNCHANGED)
			wm_buf_addc(b, '~');
		else
			wm_buf_add(b, values[i].data, values[i].len);
	}
}

const char *
fx_rows(struct fixture *fx)
{
	static const char *const ops[] = { "upsert ", "update ", "delete " };
	const struct wm_view *view = wm_plan_view(fx->plan);
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, sizeof(fx->text) - 1);
	for (unsigned i = 0; i < fx->rows.n; i++) {
		const struct wm_row *row = &fx->rows.row[i];

		assert_int_equal(row->at.commit_lsn, 0x100000005);
		assert_int_equal(row->at.index, 7);
		assert_int_equal(row->commit_time, 1795163400123456);
		wm_buf_addf(&b, "%s%s", i > 0 ? "; " : "", ops[row->op]);
		add_values(&b, row->values, view->ncolumns);
		if (row->old_key != NULL) {
			wm_buf_adds(&b, " was ");
			add_values(&b, row->old_key, view->nkeys);
		}
	}
	assert_false(b.failed);
	memcpy(fx->text, b.data, b.len + 1);
	return fx->text;
}

const char *
fx_view(struct fixture *fx)
{
	const struct wm_view *view = wm_plan_view(fx->plan);
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, sizeof(fx->text) - 1);
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const struct wm_view_column *c = &view->columns[i];

		wm_buf_addf(&b, "%s%s%s:%s", i > 0 ? " " : "", c->name, c->key ? "*" : "",
		    c->type.class == WM_TYPE_DYNAMIC ? "dynamic" : c->type.name);
		if (c->override != NULL)
			wm_buf_addf(&b, "=%s", c->override);
	}
	assert_false(b.failed);
	memcpy(fx->text, b.data, b.len + 1);
	return fx->text;
}
