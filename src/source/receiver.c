/* SPDX-License-Identifier: PostgreSQL */
/*
 * receiver.c - CopyBoth with a walsender: WAL data in, feedback out.
 *
 * Non-blocking throughout.  When the journal is full the socket is left alone, but feedback
 * goes on, so that a slow target never ends the session.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "start.h"
#include "waiting.h"
#include "walmill/buf.h"
#include "walmill/fault.h"
#include "walmill/log.h"
#include "walmill/reader.h"
#include "walmill/source.h"

#define PROGRESS_ASK (50 * WM_MSEC)	/* while somebody waits for a position */
#define FAREWELL (2 * WM_SEC)		/* for the server's answer to our end of copy */
#define NAP (WM_MSEC / 4)		/* messages that come more often than this, for long, are let gather */
#define PATIENCE (64 * NAP)		/* so long at most they may before */
#define SWELLS (32 << 20)		/* bytes of a message; libpq keeps what it took for as long as it is connected */
#define SWOLLEN (1 * WM_SEC)		/* so long after such a message */
#define LARGE (8U << 10)		/* bytes in one go: they gather by themselves */

struct session {
	const struct wm_receiver *r;
	struct wm_receiver_shared *shared;
	PGconn		*pq;
	struct wm_pg	*c;
	char		*pending;	/* a message the journal had no room for; PQfreemem */
	int		 pending_len;
	struct wm_waiting *waiting;	/* transactions that the journal has to wait for */
	bool		 streams;	/* or the server keeps open transactions itself */
	wm_lsn		 idle;		/* where the journal may move to, with the next feedback; 0 nowhere */
	bool		 in_transaction;
	bool		 reply_now;	/* the server asked for feedback */
	bool		 moved;		/* something of the WAL came */
	wm_lsn		 sent_flush;
	wm_usec		 fed_at;	/* last feedback */
	wm_usec		 heard_at;	/* last byte from the server */
	wm_usec		 asked_at;	/* last request for a sign of life */
	wm_usec		 busy_every, idle_every;	/* between two feedbacks, with and without something to acknowledge */
	wm_usec		 patience;	/* what is left of PATIENCE: it comes with the time and goes with wake-ups */
	wm_usec		 woken_at;	/* the last wake-up */
	size_t		 drained;	/* bytes since the last wake-up */
	wm_usec		 swollen;	/* when the last message came that libpq's buffer grew for; 0 none */
	char		 notice[256];	/* the server's word that it leaves out changes; "" none */
};

/*
 * Version 18 and later leave out the changes of a publication they cannot find, with a warning
 * and nothing else.
 */
static void
take_notice(void *arg, const PGresult *res)
{
	struct session *s = arg;
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	if (state != NULL && strcmp(state, "55000") == 0)
		snprintf(s->notice, sizeof(s->notice), "%s", PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
}

static void
ignore_notice(void *arg, const PGresult *res)
{
	(void)arg;
	(void)res;
}

static char *
put64(char *p, uint64_t v)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		*p++ = (char)(v >> shift & 0xff);
	return p;
}

/* Whether the session is to end. */
static bool
ends(struct wm_receiver_shared *shared)
{
	return atomic_load(&shared->stop) || atomic_load(&shared->resend) || atomic_load(&shared->renew);
}

/* Whether more can be done at once, without the server. */
static bool
busy(const struct session *s)
{
	return wm_waiting_committing(s->waiting);
}

/* Nothing is pending up to lsn. */
static enum wm_status
append_idle(struct session *s, wm_lsn lsn, struct wm_error *err)
{
	switch (wm_journal_append(s->r->journal, WM_RECORD_IDLE, lsn, NULL, 0, err)) {
	case WM_OK:
		atomic_store(&s->shared->received, lsn);
		s->moved = true;
		return WM_OK;
	case WM_RETRY:
		return WM_OK;		/* no room: the next keepalive says it again */
	default:
		return err->status;
	}
}

/* What has waited for the next feedback is made durable: many prepared transactions at a time, of those still there. */
static enum wm_status
settle(struct session *s, struct wm_error *err)
{
	enum wm_status st = wm_waiting_sync(s->waiting, err);

	if (st == WM_OK && s->idle > wm_journal_complete_lsn(s->r->journal) && !s->in_transaction && !busy(s) &&
	    !wm_waiting_inside(s->waiting)) {
		st = append_idle(s, s->idle, err);
		wm_journal_publish(s->r->journal);
	}
	s->idle = 0;
	return st == WM_OK ? wm_waiting_settle(s->waiting, err) : st;
}

static enum wm_status
send_feedback(struct session *s, bool ask_reply, struct wm_error *err)
{
	enum wm_status st = settle(s, err);
	wm_lsn flush = wm_journal_flush_lsn(s->r->journal);
	wm_lsn received = atomic_load(&s->shared->received);
	char msg[34], *p = msg;

	if (st != WM_OK)
		return st;
	if (flush < s->sent_flush)
		flush = s->sent_flush;
	if (flush > received)		/* nothing new came in this session yet */
		received = flush;
	st = s->r->store_progress(s->r->arg, flush, err);
	if (st != WM_OK)
		return st;
	s->sent_flush = flush;
	*p++ = 'r';
	p = put64(p, received);
	p = put64(p, flush);
	p = put64(p, flush);
	p = put64(p, (uint64_t)wm_clock_to_pg(wm_clock_wall()));
	*p = ask_reply;
	WM_FAULT(feedback_before);
	if (PQputCopyData(s->pq, msg, sizeof(msg)) < 0 || PQflush(s->pq) < 0)
		return wm_pg_fail(s->c, NULL, err, "could not send feedback");
	WM_FAULT(feedback_sent);
	atomic_store(&s->shared->acknowledged, flush);
	s->fed_at = wm_clock_mono();
	if (ask_reply)
		s->asked_at = s->fed_at;
	s->reply_now = false;
	return wm_waiting_passed(s->waiting, flush, err);
}

static enum wm_status
take_keepalive(struct session *s, struct wm_reader *r, struct wm_error *err)
{
	wm_lsn end = wm_reader_u64(r);
	uint8_t reply;

	(void)wm_reader_u64(r);			/* server's clock */
	reply = wm_reader_u8(r);
	if (r->bad || wm_reader_left(r) != 0)
		return wm_fail(err, WM_FATAL, "the server sent a malformed keepalive");
	s->reply_now |= reply != 0;
	atomic_store(&s->shared->server, end);
	/* Inside a transaction the server's position says nothing about what we have. */
	if (s->in_transaction || wm_waiting_inside(s->waiting) || end <= wm_journal_complete_lsn(s->r->journal))
		return WM_OK;
	if (!wm_waiting_unsynced(s->waiting))
		return append_idle(s, end, err);
	s->idle = end;
	return WM_OK;
}

/* Counts a message that the journal has. */
static void
count(struct session *s, uint8_t tag)
{
	switch (tag) {
	case 'B':
		s->in_transaction = true;
		break;
	case 'C':
		s->in_transaction = false;
		atomic_fetch_add(&s->shared->transactions, 1);
		break;
	case 'I': case 'U': case 'D': case 'T':
		atomic_fetch_add_explicit(&s->shared->changes, 1, memory_order_relaxed);
		break;
	}
}

static void
note_received(struct session *s, wm_lsn lsn)
{
	if (lsn > atomic_load_explicit(&s->shared->received, memory_order_relaxed))
		atomic_store_explicit(&s->shared->received, lsn, memory_order_relaxed);
}

/* *ret_full: the journal has no room, nothing was taken. */
static enum wm_status
take_data(struct session *s, struct wm_reader *r, bool *ret_full, struct wm_error *err)
{
	wm_lsn start = wm_reader_u64(r);
	wm_lsn end = wm_reader_u64(r);
	const uint8_t *msg;
	bool taken = false;
	size_t len;
	enum wm_status st;

	(void)wm_reader_u64(r);			/* send time */
	len = wm_reader_left(r);
	msg = wm_reader_bytes(r, len);
	if (r->bad || len == 0)
		return wm_fail(err, WM_FATAL, "the server sent a malformed WAL data message");
	st = wm_waiting_take(s->waiting, start, msg, len, &taken, err);
	if (st == WM_OK && !taken)
		/* msg is the end of pending, of which nobody wants more than the head. */
		st = wm_waiting_append(s->waiting, start, s->pending + s->pending_len - len, len, ret_full, err);
	if (st != WM_OK)
		return *ret_full ? WM_OK : st;
	s->moved = true;
	if (!taken)
		count(s, *msg);
	note_received(s, !taken && *msg == 'C' ? wm_journal_complete_lsn(s->r->journal) : start);
	if (end > atomic_load_explicit(&s->shared->server, memory_order_relaxed))
		atomic_store_explicit(&s->shared->server, end, memory_order_relaxed);
	return WM_OK;
}

static enum wm_status
take_message(struct session *s, const char *msg, int len, bool *ret_full, struct wm_error *err)
{
	struct wm_reader r = { .p = (const uint8_t *)msg, .end = (const uint8_t *)msg + len };

	switch (wm_reader_u8(&r)) {
	case 'w':
		return take_data(s, &r, ret_full, err);
	case 'k':
		return take_keepalive(s, &r, err);
	default:
		return wm_fail(err, WM_FATAL, "the server sent an unknown replication message 0x%02x",
		    len > 0 ? (unsigned char)*msg : 0);
	}
}

/*
 * The server reads the catalog as it was where the slot stands: a publication that was dropped, or made again after,
 * does not exist there, and never will.
 */
static enum wm_status
judge_end(const struct session *s, struct wm_error *err)
{
	char text[sizeof(err->text)];

	if (strcmp(err->code, "42704") != 0 || strstr(err->text, s->r->publication) == NULL)
		return err->status;
	memcpy(text, err->text, sizeof(text));
	return wm_fail_code(err, WM_OPERATOR, "42704",
	    "%.600s where slot \"%s\" stands: it was dropped, or made again later, and the changes in between cannot be "
	    "had; run `walmill teardown` and start again to seed anew",
	    text, s->r->slot);
}

/* The copy has ended: the reason is in the results; the first one says most. */
static enum wm_status
copy_ended(struct session *s, struct wm_error *err)
{
	enum wm_status st = wm_fail(err, WM_RETRY, "the server ended the stream");
	bool failed = false;
	PGresult *res;

	while ((res = wm_pg_result(s->c)) != NULL) {
		ExecStatusType status = PQresultStatus(res);

		if (!failed && status == PGRES_FATAL_ERROR) {
			(void)wm_pg_fail(s->c, res, err, "the server ended the stream");
			st = judge_end(s, err);
			failed = true;
		}
		PQclear(res);
		if (status == PGRES_COPY_IN || status == PGRES_COPY_BOTH)
			break;
	}
	return st;
}

/* A transaction that had to wait and has committed goes into the journal slice by slice. */
static enum wm_status
commit_some(struct session *s, bool *ret_full, struct wm_error *err)
{
	uint64_t changes;
	enum wm_status st = wm_waiting_commit_some(s->waiting, &changes, ret_full, err);

	atomic_fetch_add_explicit(&s->shared->changes, changes, memory_order_relaxed);
	if (st != WM_OK)
		return *ret_full ? WM_OK : st;
	s->moved = true;
	if (!busy(s)) {
		atomic_fetch_add(&s->shared->transactions, 1);
		note_received(s, wm_journal_complete_lsn(s->r->journal));
	}
	return WM_OK;
}

/* The next message that libpq has; *ret_found false: none now. */
static enum wm_status
next_message(struct session *s, bool *ret_found, struct wm_error *err)
{
	*ret_found = true;
	if (s->pending != NULL)
		return WM_OK;
	s->pending_len = PQgetCopyData(s->pq, &s->pending, 1);
	if (s->pending_len == -1)
		return copy_ended(s, err);
	if (s->pending_len == -2)
		return wm_pg_fail(s->c, NULL, err, "could not read from the stream");
	*ret_found = s->pending_len > 0;
	return WM_OK;
}

/* Takes what libpq has; *ret_full when the journal cannot take more now. */
static enum wm_status
drain(struct session *s, bool *ret_full, struct wm_error *err)
{
	enum wm_status st = WM_OK;
	bool found = true;

	*ret_full = false;
	while (st == WM_OK && !*ret_full) {
		if (busy(s)) {
			st = commit_some(s, ret_full, err);
			if (busy(s))
				break;
			continue;
		}
		st = next_message(s, &found, err);
		if (st != WM_OK || !found)
			break;
		s->drained += (size_t)s->pending_len;
		if (s->pending_len > SWELLS)
			s->swollen = wm_clock_mono();
		st = take_message(s, s->pending, s->pending_len, ret_full, err);
		if (*ret_full)
			break;
		PQfreemem(s->pending);
		s->pending = NULL;
	}
	wm_journal_publish(s->r->journal);
	return st == WM_OK ? wm_journal_check(s->r->journal, err) : st;
}

static void
swallow(int fd)
{
	uint64_t n;

	/* Only to make it unreadable; EAGAIN means that it already is. */
	while (read(fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

/*
 * The server sends what it decodes message by message.  While they come without end, a poll, a read and a reader's
 * wake-up for each would take more of the machine than all else that is done for them, and more than the server has
 * left to decode with; so they gather for a moment.  A lone transaction never waits.
 */
static void
let_gather(struct session *s)
{
	const struct timespec nap = { .tv_nsec = NAP * 1000 };
	wm_usec now = wm_clock_mono();

	s->patience += now - s->woken_at - NAP;
	if (s->patience > PATIENCE)
		s->patience = PATIENCE;
	s->woken_at = now;
	if (s->patience < 0) {
		s->patience = 0;
		if (s->drained < LARGE)
			(void)nanosleep(&nap, NULL);
	}
	s->drained = 0;
}

/* Sleeps until there is something to do. */
static enum wm_status
wait_for_work(struct session *s, bool full, wm_usec until, struct wm_error *err)
{
	struct pollfd fds[3] = {
		{ .fd = PQsocket(s->pq), .events = full ? 0 : POLLIN },
		{ .fd = s->shared->wake_fd, .events = POLLIN },
		{ .fd = wm_journal_space_fd(s->r->journal), .events = full ? POLLIN : 0 },
	};
	wm_usec now = wm_clock_mono();
	int unsent = PQflush(s->pq);

	if (unsent < 0)
		return wm_pg_fail(s->c, NULL, err, "could not send to the server");
	if (unsent > 0)
		fds[0].events |= POLLOUT;
	if (poll(fds, 3, until <= now ? 0 : (int)((until - now + WM_MSEC - 1) / WM_MSEC)) < 0 && errno != EINTR)
		return wm_fail(err, WM_RETRY, "poll failed: %s", strerror(errno));
	if (fds[1].revents != 0)
		swallow(fds[1].fd);
	if (fds[2].revents != 0)
		swallow(fds[2].fd);
	/* A reset shows as POLLERR even while we do not ask for input. */
	if ((fds[0].revents & (POLLIN | POLLERR | POLLHUP)) != 0 && (!full || (fds[0].revents & (POLLERR | POLLHUP)))) {
		let_gather(s);
		if (!wm_pg_consume(s->c))
			return wm_pg_fail(s->c, NULL, err, "lost the connection");
		s->heard_at = wm_clock_mono();
	}
	return WM_OK;
}

/* Feedback, signs of life, progress: whatever is due now.  Returns when the next thing is due. */
static enum wm_status
keep_in_touch(struct session *s, bool full, wm_usec *ret_next, struct wm_error *err)
{
	wm_usec now = wm_clock_mono();
	/* A full journal finds room when what the targets have taken is stored. */
	bool owing = full || s->idle != 0 || wm_journal_flush_lsn(s->r->journal) > s->sent_flush;
	bool asked_for = atomic_load(&s->shared->wanted) > wm_journal_complete_lsn(s->r->journal) && !full;
	wm_usec feed_at = s->fed_at + (owing ? s->busy_every : s->idle_every);
	wm_usec life_at = s->heard_at + s->r->silence / 2, watch_at;
	enum wm_status st = WM_OK;

	atomic_store(&s->shared->alive, now);
	atomic_store(&s->shared->prepared, wm_waiting_prepared(s->waiting));
	atomic_store(&s->shared->waiting_bytes, wm_waiting_bytes(s->waiting));
	if (s->moved || full)
		atomic_store(&s->shared->moved, now);
	s->moved = false;
	if (full)
		s->heard_at = now;	/* we do not listen: silence says nothing */
	else if (now - s->heard_at > s->r->silence)
		return wm_fail(err, WM_RETRY, "no sign of life from the server for %" PRId64 " s",
		    (int64_t)(s->r->silence / WM_SEC));
	if ((asked_for && now >= s->asked_at + PROGRESS_ASK) || atomic_exchange(&s->shared->ask, false))
		st = send_feedback(s, true, err);
	else if (!full && now >= life_at && s->asked_at < s->heard_at)
		st = send_feedback(s, true, err);
	else if (s->reply_now || now >= feed_at)
		st = send_feedback(s, false, err);
	if (st != WM_OK)
		return st;
	feed_at = s->fed_at + (owing ? s->busy_every : s->idle_every);
	*ret_next = feed_at;
	if (asked_for && s->asked_at + PROGRESS_ASK < *ret_next)
		*ret_next = s->asked_at + PROGRESS_ASK;
	life_at = s->asked_at < s->heard_at ? s->heard_at + s->r->silence / 2 : s->heard_at + s->r->silence;
	if (!full && life_at < *ret_next)
		*ret_next = life_at;
	watch_at = s->r->watch(s->r->arg, now);
	if (watch_at < *ret_next)
		*ret_next = watch_at;
	return WM_OK;
}

/* Ends the copy in good order, so that the slot is free at once; best effort within FAREWELL. */
static enum wm_status
say_goodbye(struct session *s, struct wm_error *err)
{
	wm_usec until = wm_clock_mono() + FAREWELL;
	enum wm_status st = send_feedback(s, false, err);
	char *msg;
	int n = 0;

	if (st != WM_OK)
		return st;
	if (PQputCopyEnd(s->pq, NULL) < 0)
		return WM_OK;
	while (wm_clock_mono() < until) {
		struct pollfd fd = { .fd = PQsocket(s->pq), .events = POLLIN };

		if (PQflush(s->pq) > 0)
			fd.events |= POLLOUT;
		while ((n = PQgetCopyData(s->pq, &msg, 1)) > 0)
			PQfreemem(msg);
		if (n < 0)
			break;
		if (poll(&fd, 1, 100) < 0 || (fd.revents != 0 && PQconsumeInput(s->pq) == 0))
			break;
	}
	return WM_OK;
}

/* Whether a new connection is to take the place of one that holds too much memory; *ret_next: when to ask again. */
static bool
outgrown(const struct session *s, wm_usec *ret_next)
{
	wm_usec now = wm_clock_mono(), due = s->swollen + SWOLLEN;

	if (s->swollen == 0)
		return false;
	if (now < due) {
		if (due < *ret_next)
			*ret_next = due;
		return false;
	}
	/* What is not complete would come again, and the large message with it. */
	return !s->in_transaction && s->pending == NULL && !wm_waiting_any(s->waiting);
}

static enum wm_status
stream(struct session *s, struct wm_error *err)
{
	for (;;) {
		wm_usec next = 0;
		bool full;
		enum wm_status st = drain(s, &full, err);

		if (st == WM_OK && s->notice[0] != '\0')
			st = wm_fail(err, WM_OPERATOR,
			    "the server leaves out changes of slot \"%s\": %s; make the publication again, run "
			    "`walmill teardown` and start again to seed anew",
			    s->r->slot, s->notice);
		if (st == WM_OK)
			st = keep_in_touch(s, full || busy(s), &next, err);
		if (st != WM_OK)
			return st;
		if (ends(s->shared) || outgrown(s, &next))
			return say_goodbye(s, err);
		st = wait_for_work(s, full || busy(s), busy(s) && !full ? 0 : next, err);
		if (st != WM_OK)
			return st;
	}
}

/* The log may be full of what slow targets have not taken yet: room comes as they go on. */
static enum wm_status
announce_session(const struct wm_receiver *r, struct wm_error *err)
{
	for (;;) {
		enum wm_status st = wm_journal_append(r->journal, WM_RECORD_RESET, 0, NULL, 0, err);
		struct pollfd fds[2] = { { .fd = wm_journal_space_fd(r->journal), .events = POLLIN },
			{ .fd = r->shared->wake_fd, .events = POLLIN } };

		if (st == WM_OK)
			wm_journal_publish(r->journal);
		if (st != WM_RETRY || ends(r->shared))
			return st;
		st = r->store_progress(r->arg, atomic_load(&r->shared->acknowledged), err);
		if (st != WM_OK)
			return st;
		atomic_store(&r->shared->alive, wm_clock_mono());
		if (poll(fds, 2, 1000) > 0) {
			swallow(fds[0].fd);
			swallow(fds[1].fd);
		}
	}
}

static enum wm_status
open_waiting(struct session *s, struct wm_error *err)
{
	const struct wm_receiver *r = s->r;
	struct wm_waiting_options options = { .folder = r->folder,
		.prepared = r->prepared,
		.identity = r->identity,
		.max_bytes = r->max_bytes,
		.start = r->start,
		.journal = r->journal };

	s->streams = r->streams && !atomic_load(&r->shared->no_streams);
	return wm_waiting_create(&options, &s->waiting, err);
}

enum wm_status
wm_receiver_run(struct wm_pg *c, const struct wm_receiver *r, struct wm_error *err)
{
	struct session s = { .r = r, .shared = r->shared, .c = c, .pq = wm_pg_conn(c),
		.sent_flush = atomic_load(&r->shared->acknowledged) };
	enum wm_status st = wm_start_intervals(c, &s.busy_every, &s.idle_every, err);

	PQsetNoticeReceiver(s.pq, take_notice, &s);
	atomic_fetch_add(&r->shared->sessions, 1);
	if (st == WM_OK)
		st = announce_session(r, err);
	if (st == WM_OK)
		st = open_waiting(&s, err);
	if (st == WM_OK)
		st = wm_start_replication(c, r, s.streams, err);
	if (st != WM_OK) {
		wm_waiting_destroy(s.waiting);
		return st;
	}
	/* What the journal has was received, if by an earlier process. */
	if (atomic_load(&r->shared->received) < r->start)
		atomic_store(&r->shared->received, r->start);
	s.heard_at = s.fed_at = wm_clock_mono();
	atomic_store(&r->shared->moved, s.heard_at);
	r->streaming(r->arg);
	st = stream(&s, err);
	if (st != WM_OK && s.streams && (wm_waiting_failed(s.waiting) || strncmp(err->code, "XX", 2) == 0)) {
		/* The server can keep them as well, and some cannot decode all that is open. */
		atomic_store(&r->shared->no_streams, true);
		wm_log(WM_LOG_WARNING, "streaming_off", "open transactions are left to the server from now on");
	}
	PQfreemem(s.pending);
	wm_waiting_destroy(s.waiting);
	/* The connection outlives the session. */
	PQsetNoticeReceiver(s.pq, ignore_notice, NULL);
	return st;
}
