/* SPDX-License-Identifier: PostgreSQL */
/*
 * order.c - sorts a batch's rows by key, nearly.
 *
 * Sixteen bytes stand for a key.  Where the server sorts otherwise (a collation, a third column) rows are only not as
 * close to each other as they could be.
 */
#include "walmill/order.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_MIN = 100 }; /* fewer do not come across the same pages */

struct place {
	uint64_t first, second;
	size_t index;
};

/* Digits as their number, so that 9 stands before 10; false: it is no number, or a long one. */
static bool
number(const char *s, size_t len, uint64_t *ret)
{
	bool negative = len > 0 && *s == '-';
	uint64_t n = 0;

	if (len == negative || len > 18)
		return false;
	for (size_t i = negative; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(s[i] - '0');
	}
	*ret = ((uint64_t)1 << 63) + (negative ? -n : n);
	return true;
}

static uint64_t
bytes(const char *s, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < sizeof(n); i++)
		n = n << 8 | (i < len ? (uint8_t)s[i] : 0);
	return n;
}

static void
stand(const struct wm_view *view, const struct wm_row *row, struct place *p)
{
	const struct wm_value *v = &row->values[view->keys[0]];
	bool whole;

	if (v->kind != WM_VALUE_TEXT)
		return;
	whole = number(v->data, v->len, &p->first);
	if (!whole)
		p->first = bytes(v->data, v->len);
	if (!whole && v->len > sizeof(p->first)) {
		p->second = bytes(v->data + sizeof(p->first), v->len - sizeof(p->first));
		return;
	}
	if (view->nkeys == 1)
		return;
	v = &row->values[view->keys[1]];
	if (v->kind == WM_VALUE_TEXT && !number(v->data, v->len, &p->second))
		p->second = bytes(v->data, v->len);
}

static int
compare(const void *va, const void *vb)
{
	const struct place *a = va, *b = vb;

	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->second != b->second)
		return a->second < b->second ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

size_t *
wm_key_order(const struct wm_view_batch *batch)
{
	struct place *places;
	bool sorted = true;
	size_t *order;

	if (batch->nrows < ROWS_MIN || batch->view->nkeys == 0)
		return NULL;
	places = calloc(batch->nrows, sizeof(*places));
	order = malloc(batch->nrows * sizeof(*order));
	for (size_t i = 0; places != NULL && i < batch->nrows; i++) {
		places[i].index = i;
		stand(batch->view, &batch->rows[i], &places[i]);
		sorted &= i == 0 || compare(&places[i - 1], &places[i]) < 0;
	}
	if (order == NULL || sorted) {
		free(order);
		free(places);
		return NULL;
	}
	qsort(places, batch->nrows, sizeof(*places), compare);
	for (size_t i = 0; i < batch->nrows; i++)
		order[i] = places[i].index;
	free(places);
	return order;
}
