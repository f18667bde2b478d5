/* SPDX-License-Identifier: PostgreSQL */
/*
 * stream.c - transactions that the server streams before they have committed.
 */
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "walmill/compiler.h"

struct part {			/* a subtransaction */
	UT_hash_handle	 hh;
	struct part	*prev, *next;
	uint32_t	 xid;
	long		 at;	/* where its first message stands */
};

struct wm_open {
	UT_hash_handle	 hh;
	uint32_t	 xid;
	struct wm_spool	*spool;
	struct wm_relations described;
	struct part	*parts;	/* hash, by xid */
	struct part	*list;	/* the same in the order of their places */
};

static void
part_free(struct wm_open *o, struct part *p)
{
	HASH_DEL(o->parts, p);
	DL_DELETE(o->list, p);
	free(p);
}

static void
open_free(struct wm_streams *s, struct wm_spools *all, struct wm_open *o)
{
	HASH_DEL(s->open, o);
	wm_spool_free(all, o->spool);
	wm_relations_free(&o->described);
	while (o->list != NULL)
		part_free(o, o->list);
	free(o);
}

static enum wm_status
malformed(const char *what, struct wm_error *err)
{
	return wm_fail(err, WM_FATAL, "the server sent a malformed %s of a streamed transaction", what);
}

static struct wm_open *
find(const struct wm_streams *s, uint32_t xid)
{
	struct wm_open *o;

	HASH_FIND(hh, s->open, &xid, sizeof(xid), o);
	return o;
}

static enum wm_status
open_new(struct wm_streams *s, struct wm_spools *all, uint32_t xid, struct wm_open **ret, struct wm_error *err)
{
	struct wm_open *o = calloc(1, sizeof(*o));
	enum wm_status st;

	if (o == NULL)
		return wm_oom(err, "an open transaction");
	st = wm_spool_new(all, xid, &o->spool, err);
	if (st != WM_OK) {
		free(o);
		return st;
	}
	o->xid = xid;
	HASH_ADD(hh, s->open, xid, sizeof(o->xid), o);
	*ret = o;
	return WM_OK;
}

static enum wm_status
stream_start(struct wm_streams *s, struct wm_spools *all, struct wm_reader *r, struct wm_error *err)
{
	uint32_t xid = wm_reader_u32(r);
	uint8_t first = wm_reader_u8(r);
	struct wm_open *o = find(s, xid);

	if (r->bad || wm_reader_left(r) != 0 || s->current != NULL || first > 1 || (first == 1) != (o == NULL))
		return malformed("start", err);
	if (o == NULL) {
		enum wm_status st = open_new(s, all, xid, &o, err);

		if (st != WM_OK)
			return st;
	}
	s->current = o;
	return WM_OK;
}

static enum wm_status
note_part(struct wm_open *o, uint32_t xid, struct wm_error *err)
{
	struct part *p;

	HASH_FIND(hh, o->parts, &xid, sizeof(xid), p);
	if (p != NULL || xid == o->xid)
		return WM_OK;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return wm_oom(err, "a subtransaction");
	p->xid = xid;
	p->at = o->spool->end;
	HASH_ADD(hh, o->parts, xid, sizeof(p->xid), p);
	DL_APPEND(o->list, p);
	return WM_OK;
}

/* As it would have come outside of a stream. */
static enum wm_status
describe(struct wm_streams *s, const struct wm_reader *r, struct wm_error *err)
{
	struct wm_relations *own = &s->current->described;
	WM_AUTO(wm_buf_free) struct wm_buf message;
	enum wm_status st;

	wm_buf_init(&message, WM_SPOOL_MESSAGE_MAX);
	wm_buf_addc(&message, 'R');
	wm_buf_add(&message, r->p, wm_reader_left(r));
	if (message.failed)
		return wm_oom(err, "a relation's description");
	own->order = s->sent->order;
	st = wm_relations_note(own, message.data, message.len, false, NULL, err);
	s->sent->order = own->order;
	return st;
}

static enum wm_status
stream_message(struct wm_streams *s, struct wm_spools *all, wm_lsn lsn, uint8_t tag, struct wm_reader *r,
    struct wm_error *err)
{
	uint32_t xid;
	enum wm_status st;

	/* Where the transaction came from, which is of no concern, is the only message without a transaction's number. */
	if (tag == 'O')
		return WM_OK;
	xid = wm_reader_u32(r);
	if (r->bad || memchr("RYIUDTM", tag, 7) == NULL)
		return malformed("message", err);
	st = note_part(s->current, xid, err);
	if (st == WM_OK && tag == 'R')
		st = describe(s, r, err);
	return st == WM_OK ? wm_spool_add(all, s->current->spool, lsn, tag, r->p, wm_reader_left(r), err) : st;
}

static enum wm_status
stream_abort(struct wm_streams *s, struct wm_spools *all, struct wm_reader *r, struct wm_error *err)
{
	uint32_t xid = wm_reader_u32(r), part = wm_reader_u32(r);
	struct wm_open *o = find(s, xid);
	struct part *p = NULL;
	long place;

	/* Where streams are applied in parallel the position and the time follow. */
	if (!r->bad && wm_reader_left(r) == 16)
		(void)wm_reader_bytes(r, 16);
	if (r->bad || wm_reader_left(r) != 0 || s->current != NULL || o == NULL)
		return malformed("abort", err);
	if (part == xid) {
		open_free(s, all, o);
		return WM_OK;
	}
	HASH_FIND(hh, o->parts, &part, sizeof(part), p);
	if (p == NULL)
		return WM_OK;		/* nothing of it was streamed */
	/* What began later was within it. */
	place = p->at;
	while (o->list != NULL && o->list->prev->at >= place)
		part_free(o, o->list->prev);
	return wm_spool_cut(all, o->spool, place, err);
}

bool
wm_streams_inside(const struct wm_streams *s)
{
	return s->current != NULL;
}

enum wm_status
wm_streams_take(struct wm_streams *s, struct wm_spools *all, wm_lsn lsn, uint8_t tag, struct wm_reader *r,
    struct wm_error *err)
{
	switch (tag) {
	case 'S':
		return stream_start(s, all, r, err);
	case 'E':
		if (s->current == NULL || wm_reader_left(r) != 0)
			return malformed("stop", err);
		s->current = NULL;
		return WM_OK;
	case 'A':
		return stream_abort(s, all, r, err);
	default:
		return stream_message(s, all, lsn, tag, r, err);
	}
}

enum wm_status
wm_streams_end(struct wm_streams *s, struct wm_spools *all, const char *what, uint32_t xid, struct wm_spool **ret,
    struct wm_error *err)
{
	struct wm_open *o = find(s, xid);
	enum wm_status st;

	if (s->current != NULL || o == NULL)
		return malformed(what, err);
	st = wm_relations_merge(s->sent, &o->described, err);
	if (st != WM_OK)
		return st;
	*ret = o->spool;
	o->spool = NULL;
	open_free(s, all, o);
	return WM_OK;
}

void
wm_streams_forget(struct wm_streams *s, struct wm_spools *all, uint32_t xid)
{
	struct wm_open *o = find(s, xid);

	if (o != NULL && s->current != o)
		open_free(s, all, o);
}

void
wm_streams_free(struct wm_streams *s, struct wm_spools *all)
{
	struct wm_open *o, *tmp;

	HASH_ITER(hh, s->open, o, tmp)
		open_free(s, all, o);
	s->current = NULL;
}
