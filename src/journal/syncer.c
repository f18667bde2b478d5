/* SPDX-License-Identifier: PostgreSQL */
/*
 * syncer.c - the thread that makes a durable journal durable.
 *
 * Readers do not wait for it: what a target has and the journal has not is sent again by the
 * source, and known by its commit LSN.  Only what the source is told depends on it.
 *
 * No space is waited for: the same bytes are written to the same place again.  After any other
 * error the file's state is not known (a failed fsync may have dropped pages for good), so
 * nothing more is written to it; wm_journal_mend begins another.
 */
#include "internal.h"

#include <time.h>
#include <unistd.h>

#include "walmill/fault.h"
#include "walmill/log.h"

#define SYNC_EVERY (50 * WM_MSEC)	/* longer than a sync takes: the disk is the source's too, perhaps */
#define SPACE_EVERY WM_SEC

static enum wm_status
write_part(struct wm_journal *j, struct segment *s, size_t upto, struct wm_error *err)
{
	struct syncer *y = &j->sync;
	uint64_t end = y->file_end;
	enum wm_status st = WM_OK;

	if (y->fd < 0) {
		st = file_create(j, s, &y->fd, &y->file_end, err);
		if (st != WM_OK)
			return st;
		y->fd_number = s->number;
		y->fresh = true;
		end = y->file_end;
	}
	if (upto > s->synced)
		st = file_append(j, y->fd, s->bytes + s->synced, upto - s->synced, &end, err);
	if (st == WM_OK)
		st = file_sync(j, y->fd, s->number, err);
	if (st == WM_OK && y->fresh)
		st = folder_sync(j, err);
	if (st != WM_OK)
		return st;
	y->fresh = false;
	y->file_end = end;
	s->synced = upto;
	return WM_OK;
}

/* Everything that was published when it began. */
static enum wm_status
write_out(struct wm_journal *j, struct wm_error *err)
{
	struct syncer *y = &j->sync;

	for (;;) {
		struct segment *s = y->at;
		/* In this order: once there is a next one, what is published is all. */
		struct segment *next = atomic_load_explicit(&s->next, memory_order_acquire);
		size_t upto = atomic_load_explicit(&s->published, memory_order_acquire);
		enum wm_status st = WM_OK;

		if (upto > s->synced || (next != NULL && y->fd < 0))
			st = write_part(j, s, upto, err);
		if (st != WM_OK || next == NULL)
			return st;
		close(y->fd);
		y->fd = -1;
		WM_FAULT(journal_file_full);
		pthread_mutex_lock(&j->lock);
		s->on_disk = true;
		segment_unpin(j, s);
		next->pins++;
		next->previous = s->number;
		next->previous_len = s->synced;
		y->at = next;
		tell_writer(j);
		pthread_mutex_unlock(&j->lock);
	}
}

static bool
dirty(const struct wm_journal *j)
{
	const struct segment *s = j->sync.at;

	/* The position is published after the bytes: it may have to follow them. */
	return atomic_load(&s->next) != NULL || atomic_load(&s->published) > s->synced ||
	    j->sync.published > atomic_load(&j->sync.flushed);
}

static void
pause_until(struct wm_journal *j, wm_usec until)
{
	struct timespec ts = { .tv_sec = until / WM_SEC, .tv_nsec = until % WM_SEC * 1000 };

	/* A writer without room cannot wait. */
	while (!j->sync.stop && !j->writer_waits && wm_clock_mono() < until)
		if (pthread_cond_timedwait(&j->sync.work, &j->lock, &ts) != 0)
			break;
}

/* What may be told of what is durable up to lsn; the lock is held. */
static wm_lsn
tellable(struct wm_journal *j, wm_lsn lsn)
{
	bool passed = true;

	if (!j->hole)
		return lsn;
	for (const struct wm_journal_reader *r = j->readers; r != NULL; r = r->next)
		passed &= atomic_load(&r->committed) > j->hole_lsn;
	j->hole = !passed;
	return passed || lsn < j->hole_lsn ? lsn : j->hole_lsn;
}

/* What came of one round; the lock is held. */
static void
note(struct wm_journal *j, enum wm_status st, wm_lsn complete, const struct wm_error *err)
{
	struct syncer *y = &j->sync;

	if (st == WM_OK) {
		if (y->no_space)
			wm_log(WM_LOG_INFO, "journal_space", "journal \"%s\" can be written again", j->folder);
		y->no_space = false;
		atomic_store(&y->flushed, tellable(j, complete));
		return;
	}
	if (st == WM_RETRY && !y->no_space)
		wm_log(WM_LOG_ERROR, "journal_no_space", "%s", err->text);
	else if (st != WM_RETRY)
		wm_log(WM_LOG_ERROR, "journal_failed", "%s", err->text);
	y->error = *err;
	y->no_space = st == WM_RETRY;
	y->failed = st != WM_RETRY;
	tell_writer(j);
}

static void *
syncer_main(void *arg)
{
	struct wm_journal *j = arg;
	struct syncer *y = &j->sync;

	pthread_mutex_lock(&j->lock);
	for (;;) {
		struct wm_error err = { 0 };
		wm_usec began;
		wm_lsn complete;
		enum wm_status st;

		y->idle = true;
		while (!y->stop && (y->failed || !dirty(j)))
			pthread_cond_wait(&y->work, &j->lock);
		y->idle = false;
		if (y->failed || !dirty(j))
			break;
		began = wm_clock_mono();
		/* Read before what is published is looked at: it may be older, never newer. */
		complete = y->published;
		pthread_mutex_unlock(&j->lock);
		st = write_out(j, &err);
		pthread_mutex_lock(&j->lock);
		note(j, st, complete, &err);
		if (y->stop && st != WM_OK)
			break;
		pause_until(j, began + (st == WM_OK ? SYNC_EVERY : SPACE_EVERY));
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

enum wm_status
syncer_start(struct wm_journal *j, struct wm_error *err)
{
	pthread_mutex_lock(&j->lock);
	j->sync.at = j->last;
	j->sync.at->pins++;
	pthread_mutex_unlock(&j->lock);
	if (pthread_create(&j->sync.thread, NULL, syncer_main, j) != 0)
		return wm_fail(err, WM_FATAL, "could not start the journal's thread");
	j->sync.runs = true;
	return WM_OK;
}

void
syncer_stop(struct wm_journal *j)
{
	pthread_mutex_lock(&j->lock);
	j->sync.stop = true;
	pthread_cond_broadcast(&j->sync.work);
	pthread_mutex_unlock(&j->lock);
	if (j->sync.runs)
		pthread_join(j->sync.thread, NULL);
	j->sync.runs = false;
	if (j->sync.fd >= 0)
		close(j->sync.fd);
	j->sync.fd = -1;
}
