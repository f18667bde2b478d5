/* SPDX-License-Identifier: PostgreSQL */
/*
 * seed_pass.c - ranges whose rows nobody looks into: from the source's COPY to the target's (docs/adr/0011).
 *
 * Where the rule takes rows as they are, the view should have none of them, and the target takes PostgreSQL's binary
 * form.  What is in the way of such a range sends it the other way, row by row, which says what is wrong.
 */
#include <stdlib.h>
#include <string.h>

#include "letters.h"
#include "receipts.h"
#include "seeder.h"
#include "walmill/strutil.h"

void
seeder_forget_passing(struct seeder *s)
{
	free(s->passing.columns);
	s->passing = (struct passing){ 0 };
}

enum wm_status
seeder_look_at_passing(struct seeder *s, struct wm_error *err)
{
	struct passing *p = &s->passing;

	seeder_forget_passing(s);
	if (s->delivery.target->ops->pass == NULL)
		return WM_OK;
	p->columns = calloc(wm_plan_relation(s->plan)->ncolumns + 1, sizeof(*p->columns));
	if (p->columns == NULL)
		return wm_oom(err, "a table's columns");
	p->may = wm_plan_passes(s->plan, p->columns, &p->marked);
	return WM_OK;
}

bool
seeder_may_pass(struct seeder *s)
{
	struct passing *p = &s->passing;

	/* A letter of a row that is there must become void when the row is written, so somebody has to see which it is. */
	if (!p->may || s->unit->reseed || s->unit->staged || letters_any(s->delivery.letters) ||
	    !receipts_can_pass(s->delivery.receipts, wm_plan_view(s->plan)))
		return false;
	return !wm_doubt_passes(&p->doubt);
}

void
seeder_note_pass(struct seeder *s, bool taken)
{
	wm_doubt_note(&s->passing.doubt, taken);
}

static void
see_row(void *arg, const char *row, size_t len)
{
	struct seeder *s = arg;

	s->read++;
	receipts_pass(s->delivery.receipts, wm_plan_view(s->plan), row, len);
}

static enum wm_status
next_rows(void *arg, const char **ret, size_t *ret_len, struct wm_error *err)
{
	struct seeder *s = arg;
	uint64_t before = s->read;
	enum wm_status st;

	if (worker_stopping(s->w) || (s->broken != NULL && atomic_load(s->broken)))
		st = wm_fail(err, WM_RETRY, "stopping");
	else
		st = wm_seed_pass_next(&s->passing.read, ret, ret_len, err);
	s->passing.broke_off = st != WM_OK;
	pthread_mutex_lock(&s->unit->lock);
	s->unit->read += s->read - before;
	pthread_mutex_unlock(&s->unit->lock);
	return st;
}

/* What arrived is what was sent, and the table is still the one that it was. */
static enum wm_status
check(struct seeder *s, const struct seed_range *range, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	if (s->passing.rows != s->read || s->passing.rows != s->passing.read.rows)
		st = wm_fail(err, WM_RETRY,
		    "the seed of %s.%s passed %" PRIu64 " rows on, but view \"%s\" took %" PRIu64, range->leaf->schema,
		    range->leaf->name, s->passing.read.rows, wm_plan_view(s->plan)->name, s->passing.rows);
	if (st == WM_OK)
		st = seeder_check_range(s, range, err);
	s->passing.broke_off = st != WM_OK;
	return st;
}

enum wm_status
seeder_pass_rows(struct seeder *s, const struct seed_range *range, struct wm_error *err)
{
	struct wm_target *t = s->delivery.target;
	struct wm_seed_range blocks = { .rel = wm_plan_relation(s->plan), .needed = s->passing.columns,
		.schema = range->leaf->schema, .name = range->leaf->name, .from = range->from, .to = range->to,
		.constant = s->passing.marked ? "false" : NULL };
	const struct wm_passage rows = { .version = wm_pg_version(s->sql), .next = next_rows, .arg = s };
	enum wm_status st;

	seeder_uncount(s);	/* of a try before */
	receipts_pass_begin(s->delivery.receipts, wm_plan_view(s->plan), "seed");
	st = wm_seed_pass_begin(s->sql, &blocks, see_row, s, &s->passing.read, err);
	/* A table that was altered is still there to be read the other way. */
	s->passing.broke_off = st != WM_OK && (st != WM_REJECT || err->code[0] != '\0');
	if (st == WM_OK)
		st = t->ops->pass(t, wm_plan_view(s->plan), &rows, &s->passing.rows, err);
	if (st == WM_OK)
		st = check(s, range, err);
	wm_seed_pass_end(&s->passing.read);
	return st;
}
