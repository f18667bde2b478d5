/* SPDX-License-Identifier: PostgreSQL */
/*
 * stream.c - files of open transactions, and what of them reaches the journal.
 *
 * A relation's description is sent once for the whole transaction, possibly within a subtransaction that is rolled
 * back: descriptions are kept whatever becomes of the rest.  The journal gets the latest one before the first change
 * that needs it, so that one of a definition that was rolled back, and followed by another, is never seen.
 */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#include "walmill/buf.h"
#include "walmill/compiler.h"
#include "walmill/reader.h"
#include "walmill/strutil.h"

#define SLICE (4U << 20)	/* between two turns of the session */
#define FILE_BUFFER (256U << 10)
#define MESSAGE_MAX ((size_t)1 << 30)

/* In front of each message in a file. */
struct head {
	wm_lsn		lsn;
	uint32_t	len;
};

struct part {			/* a subtransaction */
	UT_hash_handle	 hh;
	struct part	*prev, *next;
	uint32_t	 xid;
	long		 at;	/* where its first message stands */
};

struct open {			/* a transaction */
	UT_hash_handle	 hh;
	uint32_t	 xid;
	FILE		*file;
	long		 end;
	struct part	*parts;	/* hash, by xid */
	struct part	*list;	/* the same in the order of their places */
};

struct described {		/* a relation whose description the journal has still to get */
	UT_hash_handle	 hh;
	uint32_t	 oid;
	struct wm_buf	 message;
};

enum phase { PHASE_NONE, PHASE_BEGIN, PHASE_CHANGES, PHASE_COMMIT };

struct wm_streams {
	const char	*folder;
	uint64_t	 bytes, max_bytes;	/* in all files */
	bool		 failed;
	struct open	*open;		/* hash, by xid */
	struct open	*current;	/* between stream start and stream stop */
	/* The one that has committed. */
	enum phase	 phase;
	struct open	*committed;
	struct described *described;	/* hash, by OID */
	wm_lsn		 commit_lsn, end_lsn;
	uint64_t	 time;		/* as the server sent it */
	struct wm_buf	 held;		/* a message that the journal has still to get */
	wm_lsn		 held_lsn;
	bool		 holds;
};

/* ---- files ---- */

static enum wm_status
file_failed(struct wm_streams *s, const char *what, struct wm_error *err)
{
	s->failed = true;
	return wm_fail(err, WM_RETRY, "could not %s a file for an open transaction in \"%s\": %s", what, s->folder,
	    strerror(errno));
}

static void
part_free(struct open *o, struct part *p)
{
	HASH_DEL(o->parts, p);
	DL_DELETE(o->list, p);
	free(p);
}

static void
open_free(struct wm_streams *s, struct open *o)
{
	HASH_DEL(s->open, o);
	if (o->file != NULL)
		fclose(o->file);
	while (o->list != NULL)
		part_free(o, o->list);
	s->bytes -= (uint64_t)o->end;
	free(o);
}

static enum wm_status
open_new(struct wm_streams *s, uint32_t xid, struct open **ret, struct wm_error *err)
{
	struct open *o = calloc(1, sizeof(*o));
	int fd;

	if (o == NULL)
		return wm_oom(err, "an open transaction");
	fd = open(s->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		free(o);
		return file_failed(s, "make", err);
	}
	o->xid = xid;
	o->file = fdopen(fd, "w+");
	HASH_ADD(hh, s->open, xid, sizeof(o->xid), o);
	if (o->file == NULL || setvbuf(o->file, NULL, _IOFBF, FILE_BUFFER) != 0) {
		if (o->file == NULL)
			close(fd);
		open_free(s, o);
		return wm_oom(err, "an open transaction");
	}
	*ret = o;
	return WM_OK;
}

static enum wm_status
file_add(struct wm_streams *s, struct open *o, wm_lsn lsn, uint8_t tag, const uint8_t *rest, size_t len,
    struct wm_error *err)
{
	struct head head = { .lsn = lsn, .len = (uint32_t)len + 1 };

	s->failed = s->bytes + sizeof(head) + head.len > s->max_bytes;
	if (s->failed)
		return wm_fail(err, WM_RETRY,
		    "open transactions take more than the %" PRIu64 " bytes that the journal may",
		    s->max_bytes);
	if (fwrite(&head, sizeof(head), 1, o->file) != 1 || fputc(tag, o->file) == EOF ||
	    (len > 0 && fwrite(rest, len, 1, o->file) != 1))
		return file_failed(s, "write", err);
	o->end += (long)(sizeof(head) + head.len);
	s->bytes += sizeof(head) + head.len;
	return WM_OK;
}

/* The message at the file's position. */
static enum wm_status
file_read(struct wm_streams *s, struct open *o, struct head *ret_head, struct wm_buf *ret, struct wm_error *err)
{
	char *room;

	if (fread(ret_head, sizeof(*ret_head), 1, o->file) != 1)
		return file_failed(s, "read", err);
	wm_buf_reset(ret);
	room = wm_buf_reserve(ret, ret_head->len);
	if (room == NULL)
		return wm_oom(err, "a message of an open transaction");
	if (fread(room, ret_head->len, 1, o->file) != 1)
		return file_failed(s, "read", err);
	ret->len = ret_head->len;
	return WM_OK;
}

/* ---- streams ---- */

static enum wm_status
malformed(const char *what, struct wm_error *err)
{
	return wm_fail(err, WM_FATAL, "the server sent a malformed %s of a streamed transaction", what);
}

static struct open *
find(const struct wm_streams *s, uint32_t xid)
{
	struct open *o;

	HASH_FIND(hh, s->open, &xid, sizeof(xid), o);
	return o;
}

static enum wm_status
stream_start(struct wm_streams *s, struct wm_reader *r, struct wm_error *err)
{
	uint32_t xid = wm_reader_u32(r);
	uint8_t first = wm_reader_u8(r);
	struct open *o = find(s, xid);

	if (r->bad || wm_reader_left(r) != 0 || s->current != NULL || first > 1 || (first == 1) != (o == NULL))
		return malformed("start", err);
	if (o == NULL) {
		enum wm_status st = open_new(s, xid, &o, err);

		if (st != WM_OK)
			return st;
	}
	s->current = o;
	return WM_OK;
}

static enum wm_status
note_part(struct open *o, uint32_t xid, struct wm_error *err)
{
	struct part *p;

	HASH_FIND(hh, o->parts, &xid, sizeof(xid), p);
	if (p != NULL || xid == o->xid)
		return WM_OK;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return wm_oom(err, "a subtransaction");
	p->xid = xid;
	p->at = o->end;
	HASH_ADD(hh, o->parts, xid, sizeof(p->xid), p);
	DL_APPEND(o->list, p);
	return WM_OK;
}

static enum wm_status
stream_message(struct wm_streams *s, wm_lsn lsn, uint8_t tag, struct wm_reader *r, struct wm_error *err)
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
	return st == WM_OK ? file_add(s, s->current, lsn, tag, r->p, wm_reader_left(r), err) : st;
}

/* What stands behind place goes, but for descriptions of relations. */
static enum wm_status
cut(struct wm_streams *s, struct open *o, long place, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf kept, message;
	long left = o->end - place;

	wm_buf_init(&kept, MESSAGE_MAX);
	wm_buf_init(&message, MESSAGE_MAX);
	if (fseek(o->file, place, SEEK_SET) != 0)
		return file_failed(s, "read", err);
	while (left > 0) {
		struct head head;
		enum wm_status st = file_read(s, o, &head, &message, err);

		if (st != WM_OK)
			return st;
		left -= (long)(sizeof(head) + head.len);
		if (message.data[0] != 'R' && message.data[0] != 'Y')
			continue;
		wm_buf_add(&kept, &head, sizeof(head));
		wm_buf_add(&kept, message.data, message.len);
	}
	if (kept.failed)
		return wm_oom(err, "descriptions of relations");
	if (fseek(o->file, place, SEEK_SET) != 0 || (kept.len > 0 && fwrite(kept.data, kept.len, 1, o->file) != 1) ||
	    fflush(o->file) != 0 || ftruncate(fileno(o->file), place + (long)kept.len) != 0)
		return file_failed(s, "write", err);
	s->bytes -= (uint64_t)(o->end - place) - kept.len;
	o->end = place + (long)kept.len;
	return WM_OK;
}

static enum wm_status
stream_abort(struct wm_streams *s, struct wm_reader *r, struct wm_error *err)
{
	uint32_t xid = wm_reader_u32(r), part = wm_reader_u32(r);
	struct open *o = find(s, xid);
	struct part *p = NULL;
	long place;

	/* Where streams are applied in parallel the position and the time follow. */
	if (!r->bad && wm_reader_left(r) == 16)
		(void)wm_reader_bytes(r, 16);
	if (r->bad || wm_reader_left(r) != 0 || s->current != NULL || o == NULL)
		return malformed("abort", err);
	if (part == xid) {
		open_free(s, o);
		return WM_OK;
	}
	HASH_FIND(hh, o->parts, &part, sizeof(part), p);
	if (p == NULL)
		return WM_OK;		/* nothing of it was streamed */
	/* What began later was within it. */
	place = p->at;
	while (o->list != NULL && o->list->prev->at >= place)
		part_free(o, o->list->prev);
	return cut(s, o, place, err);
}

static enum wm_status
stream_commit(struct wm_streams *s, struct wm_reader *r, struct wm_error *err)
{
	uint32_t xid = wm_reader_u32(r);
	struct open *o = find(s, xid);

	(void)wm_reader_u8(r);			/* flags, unused */
	s->commit_lsn = wm_reader_u64(r);
	s->end_lsn = wm_reader_u64(r);
	s->time = wm_reader_u64(r);
	if (r->bad || wm_reader_left(r) != 0 || s->current != NULL || o == NULL)
		return malformed("commit", err);
	if (fseek(o->file, 0, SEEK_SET) != 0)
		return file_failed(s, "read", err);
	s->committed = o;
	s->phase = PHASE_BEGIN;
	return WM_OK;
}

enum wm_status
wm_streams_take(struct wm_streams *s, wm_lsn lsn, const uint8_t *msg, size_t len, bool *ret_taken,
    struct wm_error *err)
{
	struct wm_reader r = { .p = msg, .end = msg + len };
	uint8_t tag = wm_reader_u8(&r);

	*ret_taken = true;
	switch (tag) {
	case 'S':
		return stream_start(s, &r, err);
	case 'E':
		if (s->current == NULL || wm_reader_left(&r) != 0)
			return malformed("stop", err);
		s->current = NULL;
		return WM_OK;
	case 'A':
		return stream_abort(s, &r, err);
	case 'c':
		return stream_commit(s, &r, err);
	default:
		*ret_taken = s->current != NULL;
		return s->current != NULL ? stream_message(s, lsn, tag, &r, err) : WM_OK;
	}
}

/* ---- into the journal ---- */

static void
add_uint(struct wm_buf *b, uint64_t v, int bytes)
{
	while (bytes-- > 0)
		wm_buf_addc(b, (char)(v >> 8 * bytes & 0xff));
}

static void
hold_begin(struct wm_streams *s)
{
	wm_buf_reset(&s->held);
	wm_buf_addc(&s->held, 'B');
	add_uint(&s->held, s->commit_lsn, 8);
	add_uint(&s->held, s->time, 8);
	add_uint(&s->held, s->committed->xid, 4);
	s->held_lsn = s->commit_lsn;
	s->holds = true;
}

static void
hold_commit(struct wm_streams *s)
{
	wm_buf_reset(&s->held);
	wm_buf_addc(&s->held, 'C');
	wm_buf_addc(&s->held, 0);
	add_uint(&s->held, s->commit_lsn, 8);
	add_uint(&s->held, s->end_lsn, 8);
	add_uint(&s->held, s->time, 8);
	s->held_lsn = s->commit_lsn;
	s->holds = true;
}

static void
described_free(struct wm_streams *s, struct described *d)
{
	HASH_DEL(s->described, d);
	wm_buf_free(&d->message);
	free(d);
}

/* Keeps the description that is held; a newer one takes an older one's place. */
static enum wm_status
describe(struct wm_streams *s, struct wm_error *err)
{
	struct wm_reader r = { .p = (const uint8_t *)s->held.data + 1,
		.end = (const uint8_t *)s->held.data + s->held.len };
	uint32_t oid = wm_reader_u32(&r);
	struct described *d;

	HASH_FIND(hh, s->described, &oid, sizeof(oid), d);
	if (d == NULL) {
		d = calloc(1, sizeof(*d));
		if (d == NULL)
			return wm_oom(err, "a relation's description");
		d->oid = oid;
		wm_buf_init(&d->message, MESSAGE_MAX);
		HASH_ADD(hh, s->described, oid, sizeof(d->oid), d);
	}
	wm_buf_reset(&d->message);
	wm_buf_add(&d->message, s->held.data, s->held.len);
	s->holds = false;
	return d->message.failed ? wm_oom(err, "a relation's description") : WM_OK;
}

/* The next message of the file, or of what follows it. */
static enum wm_status
hold_next(struct wm_streams *s, struct wm_error *err)
{
	struct open *o = s->committed;
	struct head head;
	enum wm_status st;

	if (s->phase == PHASE_BEGIN) {
		hold_begin(s);
		s->phase = PHASE_CHANGES;
		return WM_OK;
	}
	if (ftell(o->file) >= o->end) {
		hold_commit(s);
		s->phase = PHASE_COMMIT;
		return WM_OK;
	}
	st = file_read(s, o, &head, &s->held, err);
	if (st != WM_OK)
		return st;
	s->held_lsn = head.lsn;
	s->holds = true;
	return s->held.data[0] == 'R' ? describe(s, err) : WM_OK;
}

static enum wm_status
append_described(struct wm_streams *s, struct described *d, struct wm_journal *j, struct wm_error *err)
{
	enum wm_status st = wm_journal_append(j, WM_RECORD_MESSAGE, s->held_lsn, d->message.data, d->message.len, err);

	if (st == WM_OK)
		described_free(s, d);
	return st;
}

/* The descriptions that the held message needs; before the commit all that are left, which the server takes for sent. */
static enum wm_status
append_needed(struct wm_streams *s, struct wm_journal *j, struct wm_error *err)
{
	struct wm_reader r = { .p = (const uint8_t *)s->held.data + 1,
		.end = (const uint8_t *)s->held.data + s->held.len };
	uint32_t n = s->held.data[0] == 'T' ? wm_reader_u32(&r) : 1;
	struct described *d, *tmp;
	enum wm_status st = WM_OK;

	if (s->phase == PHASE_COMMIT) {
		HASH_ITER(hh, s->described, d, tmp)
			if (st == WM_OK)
				st = append_described(s, d, j, err);
		return st;
	}
	if (s->described == NULL || memchr("IUDT", s->held.data[0], 4) == NULL)
		return WM_OK;
	if (s->held.data[0] == 'T')
		(void)wm_reader_u8(&r);		/* its options */
	for (uint32_t i = 0; st == WM_OK && i < n && !r.bad; i++) {
		uint32_t oid = wm_reader_u32(&r);

		HASH_FIND(hh, s->described, &oid, sizeof(oid), d);
		if (d != NULL)
			st = append_described(s, d, j, err);
	}
	return st;
}

static void
committed(struct wm_streams *s)
{
	open_free(s, s->committed);
	s->committed = NULL;
	s->phase = PHASE_NONE;
}

bool
wm_streams_failed(const struct wm_streams *s)
{
	return s->failed;
}

bool
wm_streams_open(const struct wm_streams *s)
{
	return s->open != NULL || s->phase != PHASE_NONE;
}

bool
wm_streams_committing(const struct wm_streams *s)
{
	return s->phase != PHASE_NONE;
}

enum wm_status
wm_streams_commit_some(struct wm_streams *s, struct wm_journal *journal, uint64_t *ret_changes, bool *ret_full,
    struct wm_error *err)
{
	size_t done = 0;

	*ret_changes = 0;
	while (wm_streams_committing(s) && done < SLICE) {
		enum wm_status st = s->holds ? WM_OK : hold_next(s, err);

		if (st != WM_OK)
			return st;
		if (!s->holds)
			continue;
		if (s->held.failed)
			return wm_oom(err, "a message of a streamed transaction");
		st = append_needed(s, journal, err);
		if (st == WM_OK)
			st = wm_journal_append(journal, WM_RECORD_MESSAGE, s->held_lsn, s->held.data, s->held.len, err);
		*ret_full = st == WM_RETRY;
		if (st != WM_OK)
			return st;
		s->holds = false;
		done += s->held.len;
		*ret_changes += memchr("IUDT", s->held.data[0], 4) != NULL;
		if (s->phase == PHASE_COMMIT)
			committed(s);
	}
	return WM_OK;
}

/* ---- life ---- */

enum wm_status
wm_streams_create(const char *folder, uint64_t max_bytes, struct wm_streams **ret, struct wm_error *err)
{
	struct wm_streams *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return wm_oom(err, "open transactions");
	s->folder = folder;
	s->max_bytes = max_bytes;
	wm_buf_init(&s->held, MESSAGE_MAX);
	*ret = s;
	return WM_OK;
}

void
wm_streams_destroy(struct wm_streams *s)
{
	struct open *o, *otmp;
	struct described *d, *dtmp;

	if (s == NULL)
		return;
	HASH_ITER(hh, s->open, o, otmp)
		open_free(s, o);
	HASH_ITER(hh, s->described, d, dtmp)
		described_free(s, d);
	wm_buf_free(&s->held);
	free(s);
}
