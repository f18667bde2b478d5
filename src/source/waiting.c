/* SPDX-License-Identifier: PostgreSQL */
/*
 * waiting.c - transactions that the journal has to wait for: which message means which of them.
 */
#include "waiting.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "playback.h"
#include "prepared.h"
#include "relations.h"
#include "spool.h"
#include "stream.h"
#include "walmill/log.h"
#include "walmill/reader.h"

struct wm_waiting {
	struct wm_journal	*journal;
	struct wm_spools	 spools;
	struct wm_streams	 streams;
	struct wm_prepareds	 prepared;
	struct wm_relations	 sent;		/* by the server's count */
	struct wm_playback	 playback;
};

static enum wm_status
malformed(const char *what, struct wm_error *err)
{
	return wm_fail(err, WM_FATAL, "the server sent a malformed %s", what);
}

/* What stands behind "stream commit" and "commit prepared". */
static void
read_commit(struct wm_reader *r, struct wm_commit *ret)
{
	ret->lsn = wm_reader_u64(r);
	ret->end = wm_reader_u64(r);
	ret->time = wm_reader_u64(r);
}

static enum wm_status
begin_playback(struct wm_waiting *w, struct wm_spool *spool, const struct wm_commit *commit,
    struct wm_error *err)
{
	enum wm_status st = wm_playback_begin(&w->playback, &w->spools, spool, commit, err);

	/* The commit moves the position. */
	return st == WM_OK ? wm_prepared_sync(&w->prepared, &w->spools, err) : st;
}

static enum wm_status
stream_commit(struct wm_waiting *w, struct wm_reader *r, struct wm_error *err)
{
	struct wm_commit commit = { .xid = wm_reader_u32(r) };
	struct wm_spool *spool = NULL;
	enum wm_status st;

	(void)wm_reader_u8(r);			/* flags, unused */
	read_commit(r, &commit);
	if (r->bad || wm_reader_left(r) != 0)
		return malformed("commit of a streamed transaction", err);
	st = wm_streams_end(&w->streams, &w->spools, "commit", commit.xid, &spool, err);
	return st == WM_OK ? begin_playback(w, spool, &commit, err) : st;
}

static enum wm_status
stream_prepare(struct wm_waiting *w, struct wm_reader *r, struct wm_error *err)
{
	struct wm_spool *spool = NULL;
	const char *gid;
	uint32_t xid;
	enum wm_status st;

	if (!wm_prepared_read_names(r, WM_PREPARE_SKIP, &xid, &gid) || strlen(gid) >= WM_GID_SIZE)
		return malformed("prepare of a streamed transaction", err);
	st = wm_streams_end(&w->streams, &w->spools, "prepare", xid, &spool, err);
	return st == WM_OK ? wm_prepared_adopt(&w->prepared, &w->spools, spool, gid, err) : st;
}

static enum wm_status
commit_prepared(struct wm_waiting *w, struct wm_reader *r, struct wm_error *err)
{
	struct wm_commit commit = { 0 };
	struct wm_spool *spool = NULL;
	const char *gid;
	enum wm_status st;

	(void)wm_reader_u8(r);			/* flags, unused */
	read_commit(r, &commit);
	if (!wm_prepared_read_names(r, 0, &commit.xid, &gid) || w->prepared.current != NULL ||
	    wm_streams_inside(&w->streams))
		return malformed("commit of a prepared transaction", err);
	/* Some servers stream what they have skipped, as it was sent before. */
	wm_streams_forget(&w->streams, &w->spools, commit.xid);
	st = wm_prepared_commit(&w->prepared, &w->spools, commit.xid, gid, commit.end, &spool, err);
	if (st != WM_OK)
		return st;
	if (spool != NULL)
		return begin_playback(w, spool, &commit, err);
	/* Of one that only took locks, say, some servers send nothing but its commit. */
	if (commit.end > wm_journal_complete_lsn(w->journal))
		wm_log(WM_LOG_WARNING, "prepared_unknown",
		    "the server commits, at " WM_LSN_FMT ", transaction %" PRIu32
		    " that was prepared as \"%s\", and nothing "
		    "of it is in \"%s\": it changed nothing; or it was sent before this state began, or its file was taken "
		    "away: then run `walmill teardown` and start again to seed anew",
		    WM_LSN_ARGS(commit.lsn), commit.xid, gid, w->prepared.folder);
	return WM_OK;
}

static enum wm_status
rollback_prepared(struct wm_waiting *w, struct wm_reader *r, struct wm_error *err)
{
	uint32_t xid = 0;
	enum wm_status st;

	if (wm_streams_inside(&w->streams))
		return malformed("rollback of a prepared transaction", err);
	st = wm_prepared_rollback(&w->prepared, &w->spools, r, &xid, err);
	if (st == WM_OK)
		wm_streams_forget(&w->streams, &w->spools, xid);
	return st;
}

/* A message that says what comes, or what becomes of it; *ret_taken false: any other. */
static enum wm_status
take_boundary(struct wm_waiting *w, wm_lsn lsn, uint8_t tag, struct wm_reader *r, bool *ret_taken, struct wm_error *err)
{
	*ret_taken = true;
	switch (tag) {
	case 'S': case 'E': case 'A':
		return w->prepared.current != NULL ? malformed("stream", err) :
						     wm_streams_take(&w->streams, &w->spools, lsn, tag, r, err);
	case 'c':
		return stream_commit(w, r, err);
	case 'p':
		return stream_prepare(w, r, err);
	case 'b':
		return wm_streams_inside(&w->streams) ? malformed("begin of a prepared transaction", err) :
							wm_prepared_begin(&w->prepared, &w->spools, r, err);
	case 'P':
		return wm_prepared_end(&w->prepared, &w->spools, r, err);
	case 'K':
		return commit_prepared(w, r, err);
	case 'r':
		return rollback_prepared(w, r, err);
	default:
		*ret_taken = false;
		return WM_OK;
	}
}

enum wm_status
wm_waiting_take(struct wm_waiting *w, wm_lsn lsn, const uint8_t *msg, size_t len, bool *ret_taken, struct wm_error *err)
{
	struct wm_reader r = { .p = msg, .end = msg + len };
	uint8_t tag = wm_reader_u8(&r);
	enum wm_status st = take_boundary(w, lsn, tag, &r, ret_taken, err);

	if (*ret_taken)
		return st;
	*ret_taken = true;
	if (wm_streams_inside(&w->streams))
		return wm_streams_take(&w->streams, &w->spools, lsn, tag, &r, err);
	if (w->prepared.current != NULL)
		return wm_prepared_message(&w->prepared, &w->spools, &w->sent, lsn, msg, len, err);
	*ret_taken = false;
	return WM_OK;
}

/* Descriptions that came within a transaction that waits, and that this message needs. */
static enum wm_status
append_needed(struct wm_waiting *w, wm_lsn lsn, const uint8_t *msg, size_t len, struct wm_error *err)
{
	struct wm_changed c = wm_changed_begin(msg, len);
	enum wm_status st = WM_OK;
	uint32_t oid;

	while (st == WM_OK && wm_changed_next(&c, &oid)) {
		struct wm_described *d = wm_relations_find(&w->sent, oid);

		if (d != NULL && d->pending)
			st = wm_relations_append(&w->sent, d, w->journal, lsn, err);
	}
	return st;
}

enum wm_status
wm_waiting_append(struct wm_waiting *w, wm_lsn lsn, void *msg, size_t len, bool *ret_full, struct wm_error *err)
{
	uint8_t tag = *(const uint8_t *)msg;
	enum wm_status st = WM_OK;

	/* A commit moves the position. */
	if (tag == 'C')
		st = wm_prepared_sync(&w->prepared, &w->spools, err);
	if (st != WM_OK)
		return st;
	if (w->sent.npending > 0)
		st = append_needed(w, lsn, msg, len, err);
	if (st == WM_OK)
		st = wm_journal_move(w->journal, WM_RECORD_MESSAGE, lsn, msg, len, err);
	*ret_full = st == WM_RETRY;
	return st == WM_OK && tag == 'R' ? wm_relations_note(&w->sent, msg, len, false, NULL, err) : st;
}

bool
wm_waiting_committing(const struct wm_waiting *w)
{
	return wm_playback_busy(&w->playback);
}

enum wm_status
wm_waiting_commit_some(struct wm_waiting *w, uint64_t *ret_changes, bool *ret_full, struct wm_error *err)
{
	return wm_playback_some(&w->playback, &w->spools, &w->sent, w->journal, ret_changes, ret_full, err);
}

bool
wm_waiting_any(const struct wm_waiting *w)
{
	return w->streams.open != NULL || wm_waiting_inside(w) || wm_waiting_committing(w);
}

bool
wm_waiting_inside(const struct wm_waiting *w)
{
	return w->prepared.current != NULL;
}

bool
wm_waiting_unsynced(const struct wm_waiting *w)
{
	return w->prepared.unsynced > 0;
}

enum wm_status
wm_waiting_sync(struct wm_waiting *w, struct wm_error *err)
{
	return wm_prepared_sync(&w->prepared, &w->spools, err);
}

enum wm_status
wm_waiting_settle(struct wm_waiting *w, struct wm_error *err)
{
	return wm_prepared_settle(&w->prepared, err);
}

enum wm_status
wm_waiting_passed(struct wm_waiting *w, wm_lsn lsn, struct wm_error *err)
{
	return wm_prepared_passed(&w->prepared, &w->spools, lsn, err);
}

size_t
wm_waiting_prepared(const struct wm_waiting *w)
{
	return wm_prepared_count(&w->prepared);
}

uint64_t
wm_waiting_bytes(const struct wm_waiting *w)
{
	return w->spools.bytes;
}

bool
wm_waiting_failed(const struct wm_waiting *w)
{
	return w->spools.failed;
}

enum wm_status
wm_waiting_create(const struct wm_waiting_options *options, struct wm_waiting **ret, struct wm_error *err)
{
	struct wm_waiting *w = calloc(1, sizeof(*w));
	enum wm_status st;

	if (w == NULL)
		return wm_oom(err, "transactions that wait");
	w->journal = options->journal;
	w->spools = (struct wm_spools){ .folder = options->folder, .max_bytes = options->max_bytes };
	w->prepared = (struct wm_prepareds){ .folder = options->prepared, .identity = options->identity };
	w->streams = (struct wm_streams){ .sent = &w->sent };
	wm_playback_init(&w->playback);
	st = wm_prepared_load(&w->prepared, &w->spools, options->start, err);
	if (st != WM_OK) {
		wm_waiting_destroy(w);
		return st;
	}
	*ret = w;
	return WM_OK;
}

void
wm_waiting_destroy(struct wm_waiting *w)
{
	if (w == NULL)
		return;
	wm_playback_free(&w->playback, &w->spools);
	wm_streams_free(&w->streams, &w->spools);
	wm_prepared_free(&w->prepared, &w->spools);
	wm_relations_free(&w->sent);
	free(w);
}
