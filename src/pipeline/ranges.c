/* SPDX-License-Identifier: PostgreSQL */
/*
 * ranges.c - which blocks of a table have been seeded, while several seeders work at it.
 *
 * Everything before `next` is done, and so are the runs ahead of it, which lie apart and in order.  `claimed` is where
 * the next seeder begins: of what lies between, a range is somebody's, or its seeder has left it to a later seed.
 */
#include <cJSON.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

#define LEAF_NUMBERS 5

bool
leaf_claim(struct leaf_progress *p, uint32_t blocks, uint32_t step, uint32_t *ret_from, uint32_t *ret_to)
{
	uint32_t from = p->claimed > p->next ? p->claimed : p->next, limit = WM_SEED_TO_END;

	for (unsigned i = 0; i < p->nahead && limit == WM_SEED_TO_END; i++) {
		if (p->ahead[i].from > from)
			limit = p->ahead[i].from;
		else if (p->ahead[i].to > from)
			from = p->ahead[i].to;
	}
	if (p->done || from == WM_SEED_TO_END)
		return false;
	*ret_from = from;
	*ret_to = blocks > step && from < blocks - step ? from + step : WM_SEED_TO_END;
	if (*ret_to > limit)
		*ret_to = limit;
	p->claimed = *ret_to;
	return true;
}

static void
remove_run(struct leaf_progress *p, unsigned i)
{
	memmove(&p->ahead[i], &p->ahead[i + 1], (--p->nahead - i) * sizeof(*p->ahead));
}

/* A run more; those that it touches become one with it. */
static void
add_run(struct leaf_progress *p, uint32_t from, uint32_t to)
{
	unsigned i = 0;

	while (i < p->nahead && p->ahead[i].to < from)
		i++;
	if (i < p->nahead && p->ahead[i].from <= to) {
		if (from < p->ahead[i].from)
			p->ahead[i].from = from;
		if (to > p->ahead[i].to)
			p->ahead[i].to = to;
	} else if (p->nahead < LEAF_RUNS_MAX) {
		memmove(&p->ahead[i + 1], &p->ahead[i], (p->nahead++ - i) * sizeof(*p->ahead));
		p->ahead[i] = (struct leaf_run){ .from = from, .to = to };
	} else
		return;		/* it will be read again */
	while (i + 1 < p->nahead && p->ahead[i + 1].from <= p->ahead[i].to) {
		if (p->ahead[i + 1].to > p->ahead[i].to)
			p->ahead[i].to = p->ahead[i + 1].to;
		remove_run(p, i + 1);
	}
}

void
leaf_note(struct leaf_progress *p, uint32_t from, uint32_t to)
{
	if (from <= p->next && to > p->next)
		p->next = to;
	else if (from > p->next)
		add_run(p, from, to);
	while (p->nahead > 0 && p->ahead[0].from <= p->next) {
		if (p->ahead[0].to > p->next)
			p->next = p->ahead[0].to;
		remove_run(p, 0);
	}
	p->done = p->next == WM_SEED_TO_END;
}

void
leaf_restart(struct leaf_progress *p)
{
	p->next = p->claimed = 0;
	p->nahead = 0;
	p->done = false;
}

/* ---- as a bookmark has it ---- */

/*
 * [oid, file, first block not seeded, done, link, and pairs of first and last block + 1 that are seeded behind it].
 * Who does not know the pairs seeds those blocks again.
 */
cJSON *
leaf_json(const struct leaf_progress *p)
{
	double v[LEAF_NUMBERS + 2 * LEAF_RUNS_MAX] = { p->oid, p->node, p->next, p->done, p->link };
	int n = LEAF_NUMBERS;

	for (unsigned i = 0; i < p->nahead; i++) {
		v[n++] = p->ahead[i].from;
		v[n++] = p->ahead[i].to;
	}
	return cJSON_CreateDoubleArray(v, n);
}

struct leaf_progress
leaf_from_json(const cJSON *leaf)
{
	double v[LEAF_NUMBERS + 2 * LEAF_RUNS_MAX] = { 0 };
	struct leaf_progress p;
	const cJSON *item;
	int n = 0;

	cJSON_ArrayForEach(item, leaf)
		if (n < (int)WM_ARRAY_SIZE(v))
			v[n++] = item->valuedouble;
	p = (struct leaf_progress){ .oid = (uint32_t)v[0],
		.node = (uint32_t)v[1],
		.next = (uint32_t)v[2],
		.done = v[3] != 0,
		.link = (uint32_t)v[4] };
	for (int i = LEAF_NUMBERS; i + 1 < n; i += 2)
		p.ahead[p.nahead++] = (struct leaf_run){ .from = (uint32_t)v[i], .to = (uint32_t)v[i + 1] };
	return p;
}
