/* SPDX-License-Identifier: PostgreSQL */
/*
 * playback.c - a transaction that was put aside goes into the journal, as one that came whole would.
 *
 * In a streamed one a relation is described once for the whole transaction, possibly within a subtransaction that is
 * rolled back: descriptions are kept whatever becomes of the rest.  The journal gets the latest one before the first
 * change that needs it, so that one of a definition that was rolled back, and followed by another, is never seen.
 */
#include "playback.h"

#include <string.h>

#define SLICE (4U << 20)	/* between two turns of the session */

void
wm_playback_init(struct wm_playback *p)
{
	*p = (struct wm_playback){ .phase = WM_PLAYBACK_NONE };
	wm_buf_init(&p->held, WM_SPOOL_MESSAGE_MAX);
}

static void
end(struct wm_playback *p, struct wm_spools *all)
{
	wm_relations_free(&p->own);
	wm_spool_free(all, p->spool);
	p->spool = NULL;
	p->phase = WM_PLAYBACK_NONE;
}

void
wm_playback_free(struct wm_playback *p, struct wm_spools *all)
{
	end(p, all);
	wm_buf_free(&p->held);
}

enum wm_status
wm_playback_begin(struct wm_playback *p, struct wm_spools *all, struct wm_spool *spool, const struct wm_commit *commit,
    struct wm_error *err)
{
	p->spool = spool;
	p->commit = *commit;
	p->holds = false;
	p->phase = WM_PLAYBACK_BEGIN;
	return wm_spool_rewind(all, spool, err);
}

bool
wm_playback_busy(const struct wm_playback *p)
{
	return p->phase != WM_PLAYBACK_NONE;
}

static void
add_uint(struct wm_buf *b, uint64_t v, int bytes)
{
	while (bytes-- > 0)
		wm_buf_addc(b, (char)(v >> 8 * bytes & 0xff));
}

static void
hold_begin(struct wm_playback *p)
{
	wm_buf_reset(&p->held);
	wm_buf_addc(&p->held, 'B');
	add_uint(&p->held, p->commit.lsn, 8);
	add_uint(&p->held, p->commit.time, 8);
	add_uint(&p->held, p->commit.xid, 4);
	p->held_lsn = p->commit.lsn;
	p->holds = true;
}

static void
hold_commit(struct wm_playback *p)
{
	wm_buf_reset(&p->held);
	wm_buf_addc(&p->held, 'C');
	wm_buf_addc(&p->held, 0);
	add_uint(&p->held, p->commit.lsn, 8);
	add_uint(&p->held, p->commit.end, 8);
	add_uint(&p->held, p->commit.time, 8);
	p->held_lsn = p->commit.lsn;
	p->holds = true;
}

/* The description that is held waits for a change that needs it, unless it is in force already. */
static enum wm_status
describe(struct wm_playback *p, const struct wm_relations *sent, struct wm_error *err)
{
	struct wm_reader r = { .p = (const uint8_t *)p->held.data + 1,
		.end = (const uint8_t *)p->held.data + p->held.len };
	uint32_t oid = wm_reader_u32(&r);
	const struct wm_described *own = wm_relations_find(&p->own, oid), *d = wm_relations_find(sent, oid);

	p->holds = false;
	if (own == NULL && d != NULL && !d->pending && d->message.len == p->held.len &&
	    memcmp(d->message.data, p->held.data, p->held.len) == 0)
		return WM_OK;
	return wm_relations_note(&p->own, p->held.data, p->held.len, true, NULL, err);
}

/* The next message of the file, or of what follows it. */
static enum wm_status
hold_next(struct wm_playback *p, struct wm_spools *all, const struct wm_relations *sent, struct wm_error *err)
{
	enum wm_status st;

	if (p->phase == WM_PLAYBACK_BEGIN) {
		hold_begin(p);
		p->phase = WM_PLAYBACK_CHANGES;
		return WM_OK;
	}
	if (wm_spool_at_end(p->spool)) {
		hold_commit(p);
		p->phase = WM_PLAYBACK_COMMIT;
		return WM_OK;
	}
	st = wm_spool_read(all, p->spool, &p->held_lsn, &p->held, err);
	if (st != WM_OK)
		return st;
	p->holds = true;
	return p->held.data[0] == 'R' ? describe(p, sent, err) : WM_OK;
}

/* What is in force in the journal now is ours; what the server goes on with may be another. */
static enum wm_status
append_own(struct wm_playback *p, struct wm_described *own, struct wm_relations *sent, struct wm_journal *j,
    struct wm_error *err)
{
	struct wm_described *d = wm_relations_find(sent, own->oid);
	enum wm_status st = wm_relations_append(&p->own, own, j, p->held_lsn, err);

	if (st != WM_OK)
		return st;
	if (d != NULL)
		wm_relations_set_pending(sent, d, d->message.len != own->message.len ||
			memcmp(d->message.data, own->message.data, own->message.len) != 0);
	return WM_OK;
}

/* The descriptions that the held message needs. */
static enum wm_status
append_needed(struct wm_playback *p, struct wm_relations *sent, struct wm_journal *j, struct wm_error *err)
{
	struct wm_changed c = wm_changed_begin(p->held.data, p->held.len);
	struct wm_described *d;
	enum wm_status st = WM_OK;
	uint32_t oid;

	if (p->own.npending == 0)
		return WM_OK;
	while (st == WM_OK && wm_changed_next(&c, &oid)) {
		d = wm_relations_find(&p->own, oid);
		if (d != NULL && d->pending)
			st = append_own(p, d, sent, j, err);
	}
	return st;
}

enum wm_status
wm_playback_some(struct wm_playback *p, struct wm_spools *all, struct wm_relations *sent, struct wm_journal *journal,
    uint64_t *ret_changes, bool *ret_full, struct wm_error *err)
{
	size_t done = 0;

	*ret_changes = 0;
	while (wm_playback_busy(p) && done < SLICE) {
		enum wm_status st = p->holds ? WM_OK : hold_next(p, all, sent, err);

		if (st != WM_OK)
			return st;
		if (!p->holds)
			continue;
		if (p->held.failed)
			return wm_oom(err, "a message of a transaction");
		st = append_needed(p, sent, journal, err);
		if (st == WM_OK)
			st = wm_journal_append(journal, WM_RECORD_MESSAGE, p->held_lsn, p->held.data, p->held.len, err);
		*ret_full = st == WM_RETRY;
		if (st != WM_OK)
			return st;
		p->holds = false;
		done += p->held.len;
		*ret_changes += memchr("IUDT", p->held.data[0], 4) != NULL;
		if (p->phase == WM_PLAYBACK_COMMIT)
			end(p, all);
	}
	return WM_OK;
}
