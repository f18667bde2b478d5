/* SPDX-License-Identifier: PostgreSQL */
/*
 * receipts.c - one receipt for each rule and commit, in parts where a transaction is large.
 */
#include "receipts.h"

#include <stdlib.h>
#include <string.h>

#include "walmill/receipts.h"
#include "walmill/strutil.h"

#define PART_KEYS 65536		/* bounds the memory of one receipt */

struct gathered {
	const char		*rule, *origin;
	struct wm_receipt	 receipt;
	uint64_t		*keys;
	size_t			 size;
};

struct receipts {
	struct wm_pipeline	*p;
	const char		*source, *target;
	int64_t			 writer;
	size_t			 n;
	struct gathered		*list;
	size_t			 passing;	/* in list: what is passed on goes there */
	bool			 stored;	/* something in the file waits for the target's answer */
	bool			 committed;	/* which has come */
	bool			 broken;	/* said in the log already */
};

enum wm_status
receipts_create(struct wm_pipeline *p, const char *source, const char *target, struct receipts **ret,
    struct wm_error *err)
{
	static atomic_int_fast64_t writers;
	struct receipts *r;

	*ret = NULL;
	if (p->receipts == NULL)
		return WM_OK;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return wm_oom(err, "receipts");
	*r = (struct receipts){ .p = p, .source = source, .target = target,
		.writer = wm_clock_wall() + atomic_fetch_add(&writers, 1) };
	*ret = r;
	return WM_OK;
}

static void
clear(struct gathered *g)
{
	g->receipt = (struct wm_receipt){ 0 };
}

void
receipts_destroy(struct receipts *r)
{
	if (r == NULL)
		return;
	receipts_forget(r);
	for (size_t i = 0; i < r->n; i++)
		free(r->list[i].keys);
	free(r->list);
	free(r);
}

/* ---- to the file ---- */

static void
note(struct receipts *r, enum wm_status st, const struct wm_error *err)
{
	if (st != WM_OK && !r->broken)
		wm_log(WM_LOG_WARNING, "receipts_failed",
		    "receipts of target \"%s\" are missing: %s", r->target, err->text);
	r->broken = st != WM_OK;
}

static void
send(struct receipts *r, const struct wm_receipt *list, size_t n)
{
	struct wm_error err;

	note(r, wm_receipts_add(r->p->receipts, r->writer, r->committed ? "committed" : NULL, list, n, &err), &err);
	r->committed = false;
	r->stored = n > 0;	/* one that had its answer is done with */
}

/* The gathered receipt, which is begun anew. */
static struct wm_receipt
take(struct receipts *r, struct gathered *g)
{
	struct wm_receipt receipt = g->receipt;

	receipt.source = r->source;
	receipt.target = r->target;
	receipt.rule = g->rule;
	receipt.origin = g->origin;
	receipt.keys = g->keys;
	clear(g);
	return receipt;
}

/* A part of a transaction that is still open. */
static void
store_part(struct receipts *r, struct gathered *g)
{
	struct wm_receipt receipt = take(r, g);

	send(r, &receipt, 1);
}

static void
recovery_bounds(const struct worker *w, wm_lsn *low, wm_lsn *high)
{
	*low = *high = atomic_load(&w->commit_lsn);
	for (const struct hold *h = w->holds; h != NULL; h = h->next)
		if (h->commit_lsn < *low)
			*low = h->commit_lsn;
}

enum wm_status
receipts_recover(struct receipts *r, struct worker *w, struct wm_error *err)
{
	wm_lsn low, high;

	if (r == NULL)
		return WM_OK;
	recovery_bounds(w, &low, &high);
	return wm_receipts_recover(r->p->receipts, r->source, r->target, low, high, err);
}

/* ---- rows ---- */

static struct gathered *
find(struct receipts *r, const char *rule, const char *origin)
{
	struct gathered *list;

	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->list[i].rule, rule) == 0 && strcmp(r->list[i].origin, origin) == 0)
			return &r->list[i];
	list = realloc(r->list, (r->n + 1) * sizeof(*list));
	if (list == NULL)
		return NULL;
	r->list = list;
	list[r->n] = (struct gathered){ .rule = rule, .origin = origin };
	return &list[r->n++];
}

/* The rule by its name, which lives as long as the setup. */
static struct gathered *
find_view(struct receipts *r, const struct wm_view *view, const char *origin)
{
	const struct wm_rule *rule = wm_ruleset_find(r->p->setup->rules, view->rule);

	return rule == NULL ? NULL : find(r, rule->name, origin);
}

/* The sum over the key's columns: who asks for a row need not know their order. */
static uint64_t
key_of(const struct wm_view *view, const struct wm_row *row, bool old)
{
	uint64_t key = 0;

	for (unsigned i = 0; i < view->nkeys; i++) {
		const struct wm_value *v = old ? &row->old_key[i] : &row->values[view->keys[i]];

		if (v->kind == WM_VALUE_TEXT)
			key += wm_receipt_key(view->columns[view->keys[i]].name, v->data, v->len);
	}
	return key;
}

/* Eight bytes at a time: a receipt must cost little beside what it is about. */
static uint64_t
mix(uint64_t sum, const char *data, size_t n)
{
	uint64_t word;

	for (; n >= sizeof(word); data += sizeof(word), n -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 32;
	}
	word = n;
	for (size_t i = 0; i < n; i++)
		word = word << 8 | (uint8_t)data[i];
	sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return sum ^ sum >> 32;
}

static uint64_t
checksum(const struct wm_view *view, const struct wm_row *row, uint64_t sum)
{
	sum += row->op;
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const struct wm_value *v = &row->values[i];
		bool bytes = v->kind != WM_VALUE_NULL && v->kind != WM_VALUE_UNCHANGED;

		sum = mix(sum + v->kind + 1, bytes ? v->data : "", bytes ? v->len : 0);
	}
	return sum;
}

static bool
add_key(struct gathered *g, uint64_t key)
{
	if (g->receipt.nkeys == g->size) {
		size_t size = g->size == 0 ? 64 : g->size * 2;
		uint64_t *keys = realloc(g->keys, size * sizeof(*keys));

		if (keys == NULL)
			return false;
		g->keys = keys;
		g->size = size;
	}
	g->keys[g->receipt.nkeys++] = key;
	return true;
}

static void
span(struct wm_receipt *receipt, wm_lsn lsn)
{
	if (receipt->last_lsn == 0 || lsn < receipt->first_lsn)
		receipt->first_lsn = lsn;
	if (lsn > receipt->last_lsn)
		receipt->last_lsn = lsn;
}

static void
take_row(struct receipts *r, struct gathered *g, const struct wm_view *view, const struct wm_row *row)
{
	struct wm_receipt *receipt = &g->receipt;

	if (receipt->nkeys >= PART_KEYS)
		store_part(r, g);
	if (view->nkeys > 0 && !add_key(g, key_of(view, row, false)))
		return;
	if (row->old_key != NULL && !add_key(g, key_of(view, row, true)))
		return;
	receipt->rows++;
	span(receipt, row->at.commit_lsn);
	receipt->checksum = checksum(view, row, receipt->checksum);
}

void
receipts_take(struct receipts *r, const struct wm_batch *batch, const char *origin)
{
	for (size_t i = 0; r != NULL && i < batch->nviews; i++) {
		const struct wm_view_batch *v = &batch->views[i];
		struct gathered *g = v->nrows == 0 ? NULL : find_view(r, v->view, origin);

		for (size_t k = 0; g != NULL && k < v->nrows; k++)
			take_row(r, g, v->view, &v->rows[k]);
	}
}

bool
receipts_can_pass(const struct receipts *r, const struct wm_view *view)
{
	return r == NULL || receipts_binary_can(view);
}

void
receipts_pass_begin(struct receipts *r, const struct wm_view *view, const char *origin)
{
	struct gathered *g = r == NULL ? NULL : find_view(r, view, origin);

	if (r != NULL)
		r->passing = g == NULL ? SIZE_MAX : (size_t)(g - r->list);
}

void
receipts_pass(struct receipts *r, const struct wm_view *view, const char *row, size_t len)
{
	struct gathered *g = r == NULL || r->passing == SIZE_MAX ? NULL : &r->list[r->passing];

	if (g == NULL)
		return;
	if (g->receipt.nkeys >= PART_KEYS)
		store_part(r, g);
	if (!add_key(g, receipts_binary_key(view, row, len)))
		return;
	g->receipt.rows++;
	g->receipt.checksum = mix(g->receipt.checksum, row, len);
}

void
receipts_refused(struct receipts *r, const struct wm_rule *rule, wm_lsn lsn, const char *origin)
{
	struct gathered *g = r == NULL ? NULL : find(r, rule->name, origin);

	if (g == NULL)
		return;
	g->receipt.refused++;
	span(&g->receipt, lsn);
}

/* ---- commits ---- */

void
receipts_before_commit(struct receipts *r)
{
	WM_AUTO(wm_freep) struct wm_receipt *list = r == NULL || r->n == 0 ? NULL : calloc(r->n, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; list != NULL && i < r->n; i++)
		if (r->list[i].receipt.rows > 0 || r->list[i].receipt.refused > 0)
			list[n++] = take(r, &r->list[i]);
	if (n > 0)
		send(r, list, n);
}

void
receipts_after_commit(struct receipts *r)
{
	if (r != NULL)
		r->committed |= r->stored;
}

void
receipts_idle(struct receipts *r)
{
	if (r != NULL && r->committed)
		send(r, NULL, 0);
}

void
receipts_forget(struct receipts *r)
{
	struct wm_error err;

	for (size_t i = 0; r != NULL && i < r->n; i++)
		clear(&r->list[i]);
	receipts_idle(r);
	if (r != NULL && r->stored)
		note(r, wm_receipts_forget(r->p->receipts, r->writer, &err), &err);
	if (r != NULL)
		r->stored = false;
}
