/* SPDX-License-Identifier: PostgreSQL */
/*
 * relations.c - descriptions of relations: those that the server takes for sent, and what of them the journal lacks.
 */
#include "relations.h"

#include <stdlib.h>
#include <string.h>

#include "spool.h"

void
wm_relations_free(struct wm_relations *r)
{
	struct wm_described *d, *tmp;

	HASH_ITER(hh, r->list, d, tmp) {
		HASH_DEL(r->list, d);
		wm_buf_free(&d->message);
		free(d);
	}
	r->npending = 0;
}

struct wm_described *
wm_relations_find(const struct wm_relations *r, uint32_t oid)
{
	struct wm_described *d;

	HASH_FIND(hh, r->list, &oid, sizeof(oid), d);
	return d;
}

void
wm_relations_set_pending(struct wm_relations *r, struct wm_described *d, bool pending)
{
	r->npending += pending;
	r->npending -= d->pending;
	d->pending = pending;
}

enum wm_status
wm_relations_note(struct wm_relations *r, const void *msg, size_t len, bool pending, struct wm_described **ret,
    struct wm_error *err)
{
	struct wm_reader rd = { .p = (const uint8_t *)msg + 1, .end = (const uint8_t *)msg + len };
	uint32_t oid = wm_reader_u32(&rd);
	struct wm_described *d = wm_relations_find(r, oid);

	if (d == NULL) {
		d = calloc(1, sizeof(*d));
		if (d == NULL)
			return wm_oom(err, "a relation's description");
		d->oid = oid;
		wm_buf_init(&d->message, WM_SPOOL_MESSAGE_MAX);
		HASH_ADD(hh, r->list, oid, sizeof(d->oid), d);
	}
	wm_buf_reset(&d->message);
	wm_buf_add(&d->message, msg, len);
	d->file = 0;
	d->order = ++r->order;
	wm_relations_set_pending(r, d, pending);
	if (ret != NULL)
		*ret = d;
	return d->message.failed ? wm_oom(err, "a relation's description") : WM_OK;
}

enum wm_status
wm_relations_merge(struct wm_relations *r, const struct wm_relations *of_stream, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	for (const struct wm_described *d = of_stream->list; st == WM_OK && d != NULL; d = d->hh.next) {
		const struct wm_described *known = wm_relations_find(r, d->oid);

		if (known == NULL || known->order < d->order)
			st = wm_relations_note(r, d->message.data, d->message.len, true, NULL, err);
	}
	return st;
}

enum wm_status
wm_relations_append(struct wm_relations *r, struct wm_described *d, struct wm_journal *j, wm_lsn lsn,
    struct wm_error *err)
{
	enum wm_status st = wm_journal_append(j, WM_RECORD_MESSAGE, lsn, d->message.data, d->message.len, err);

	if (st == WM_OK)
		wm_relations_set_pending(r, d, false);
	return st;
}

struct wm_changed
wm_changed_begin(const void *msg, size_t len)
{
	struct wm_changed c = { .r = { .p = msg, .end = (const uint8_t *)msg + len }, .left = 1 };
	uint8_t tag = wm_reader_u8(&c.r);

	if (tag == 'T') {
		c.left = wm_reader_u32(&c.r);
		(void)wm_reader_u8(&c.r);	/* its options */
	} else if (tag != 'I' && tag != 'U' && tag != 'D')
		c.left = 0;
	return c;
}

bool
wm_changed_next(struct wm_changed *c, uint32_t *ret_oid)
{
	if (c->left == 0)
		return false;
	c->left--;
	*ret_oid = wm_reader_u32(&c->r);
	return !c->r.bad;
}
