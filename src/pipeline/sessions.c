/* SPDX-License-Identifier: PostgreSQL */
/*
 * sessions.c - a source's receiver thread: one streaming session after another.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

static void
streaming(void *arg)
{
	struct source *s = arg;

	canary_forget(s);
	atomic_store(&s->state, SOURCE_STREAMING);
	source_set_error(s, NULL);
	wm_log(WM_LOG_INFO, "streaming", "source \"%s\" streams from slot \"%s\" at " WM_LSN_FMT, s->config->name,
	    s->config->slot, WM_LSN_ARGS(wm_journal_complete_lsn(s->journal)));
	pipeline_notice(s->p);
}

/* A timeline that changed and was found good is kept. */
static enum wm_status
keep_record(struct source *s, uint32_t timeline, struct wm_error *err)
{
	struct wm_source_record record;
	bool changed;

	pthread_mutex_lock(&s->lock);
	changed = s->record.timeline != timeline;
	s->record.timeline = timeline;
	record = s->record;
	pthread_mutex_unlock(&s->lock);
	return changed ? wm_state_source_put(s->p->state, s->config->name, &record, err) : WM_OK;
}

/* PostgreSQL 18 leaves out the changes of a publication that is missing, with a warning only. */
enum wm_status
source_check_publications(struct source *s, struct wm_pg *sql, struct wm_error *err)
{
	char inserts[WM_PUBLICATION_NAMELEN];
	const char *name = s->config->publication;
	bool exists = false;
	enum wm_status st = wm_publication_exists(sql, name, &exists, err);

	if (st == WM_OK && exists && s->config->manage) {
		wm_publication_inserts_name(name, inserts);
		name = inserts;
		st = wm_publication_exists(sql, name, &exists, err);
	}
	if (st != WM_OK || exists)
		return st;
	return wm_fail(err, WM_OPERATOR,
	    "publication \"%s\" of source \"%s\" does not exist any more, or was given another name; the changes since "
	    "it was dropped cannot be had: run `walmill teardown` and start again to seed anew",
	    name, s->config->name);
}

/* The slot of record sends; files of what is prepared say whose they are, because another slot may get its name. */
static enum wm_status
receive(struct source *s, struct wm_pg *c, const struct wm_source_record *record, struct wm_error *err)
{
	const struct wm_config *config = s->p->setup->config;
	WM_AUTO(wm_freep) char *prepared = wm_config_prepared_folder(config, s->config->name);
	char inserts[WM_PUBLICATION_NAMELEN], identity[160];
	struct wm_receiver r = { .slot = s->config->slot,
		.publication = s->config->publication,
		.inserts = s->config->manage ? inserts : NULL,
		.start = wm_journal_complete_lsn(s->journal),
		.silence = s->config->silence,
		.streams = s->config->streaming,
		.two_phase = slot_two_phase(s, c),
		.folder = config->state,
		.prepared = prepared,
		.identity = identity,
		.max_bytes = config->journal_max_bytes,
		.journal = s->journal,
		.shared = &s->shared,
		.store_progress = source_store_progress,
		.streaming = streaming,
		.watch = canary_watch,
		.arg = s };

	if (prepared == NULL)
		return wm_oom(err, "a path");
	wm_publication_inserts_name(s->config->publication, inserts);
	snprintf(identity, sizeof(identity), "%s %s " WM_LSN_FMT, record->system_id, record->slot,
	    WM_LSN_ARGS(record->consistent_lsn));
	return wm_receiver_run(c, &r, err);
}

static enum wm_status
one_session(struct source *s, struct wm_error *err)
{
	WM_AUTO(wm_pg_closep) struct wm_pg *sql = NULL;
	WM_AUTO(wm_pg_closep) struct wm_pg *c = NULL;
	struct wm_source_record record;
	bool lost = false;
	enum wm_status st = source_connect(s, WM_PG_SQL, "walmill", &sql, err);

	if (st == WM_OK)
		st = source_connect(s, WM_PG_REPLICATION, "walmill", &c, err);
	pthread_mutex_lock(&s->lock);
	record = s->record;
	pthread_mutex_unlock(&s->lock);
	if (st == WM_OK)
		st = guard_check(c, sql, &record, s->config->name, wm_journal_complete_lsn(s->journal), &lost, err);
	if (lost) {
		atomic_store(&s->slot_lost, true);
		atomic_store(&s->begin_again, lost_may_seed(s, &record, err));
	}
	if (st == WM_OK)
		st = keep_record(s, record.timeline, err);
	if (st == WM_OK)
		st = source_check_publications(s, sql, err);
	if (st == WM_OK)
		st = wm_journal_mend(s->journal, err);
	atomic_store(&s->shared.renew, false);
	if (st == WM_OK && atomic_exchange(&s->shared.resend, false)) {
		wm_lsn from = wm_journal_committed_lsn(s->journal);

		if (s->p->setup->config->journal && from != 0 && from < record.acked_lsn)
			return wm_fail(err, WM_OPERATOR,
			    "the journal of source \"%s\" no longer has what a target lacks from " WM_LSN_FMT
			    " on, nor has the "
			    "source; run `walmill teardown` and start again to seed anew",
			    s->config->name, WM_LSN_ARGS(from));
		/* A reader that has not opened its target yet has committed nothing in this life. */
		st = wm_journal_restart(s->journal, from > record.acked_lsn ? from : record.acked_lsn, err);
	}
	return st == WM_OK ? receive(s, c, &record, err) : st;
}

void *
source_receiver_main(void *arg)
{
	struct source *s = arg;
	struct wm_backoff backoff;

	wm_log_context("source", s->config->name);
	wm_backoff_init(&backoff, 100 * WM_MSEC, 30 * WM_SEC);
	while (!source_stopping(s)) {
		struct wm_error err = { 0 };
		wm_usec began = wm_clock_mono();
		wm_lsn from = wm_journal_complete_lsn(s->journal);
		enum wm_status st = one_session(s, &err);

		if (st == WM_OK)
			continue;	/* stop, or send again */
		atomic_fetch_add(&s->reconnects, 1);
		if (atomic_load(&s->begin_again)) {
			/* The start does all that is to be done, as it does after a crash. */
			source_set_error(s, &err);
			atomic_store(&s->state, SOURCE_RETRYING);
			pipeline_notice(s->p);
			return NULL;
		}
		if (st == WM_OPERATOR) {
			source_give_up(s, &err);
			break;
		}
		if (wm_journal_complete_lsn(s->journal) > from || wm_clock_mono() - began > 60 * WM_SEC)
			wm_backoff_reset(&backoff);
		source_retry_later(s, &backoff, &err);
	}
	if (atomic_load(&s->state) != SOURCE_FAILED)
		atomic_store(&s->state, SOURCE_STOPPED);
	return NULL;
}
