/* SPDX-License-Identifier: PostgreSQL */
/*
 * keeper.c - a source's life, and the first of its two threads; the other is the receiver's, in sessions.c.
 *
 * The keeper speaks SQL: it settles who the server is, makes publication and slot (in this order:
 * a slot must not be older than its publication), and looks for new tables now and then.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"
#include "walmill/strutil.h"

#define SNAPSHOT_FOR (120 * WM_SEC)	/* how long an exported snapshot is kept for targets that are down */

/* ---- shared by both threads ---- */

void
source_wake(struct source *s)
{
	uint64_t one = 1;

	pthread_mutex_lock(&s->lock);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	/* Fails only when it is as readable as it can be. */
	(void)!write(s->shared.wake_fd, &one, sizeof(one));
}

void
source_resend(struct source *s)
{
	atomic_store(&s->shared.resend, true);
	source_wake(s);
}

uint64_t
source_renew(struct source *s)
{
	uint64_t number = atomic_load(&s->shared.sessions) + 1;

	atomic_store(&s->shared.renew, true);
	source_wake(s);
	return number;
}

void
source_look_again(struct source *s)
{
	atomic_store(&s->look_again, true);
	source_wake(s);
}

void
source_set_error(struct source *s, const struct wm_error *err)
{
	pthread_mutex_lock(&s->lock);
	free(s->last_error);
	s->last_error = err == NULL ? NULL : strdup(err->text);
	pthread_mutex_unlock(&s->lock);
}

bool
source_stopping(struct source *s)
{
	bool stop;

	pthread_mutex_lock(&s->lock);
	stop = s->stop || s->failed != WM_OK;
	pthread_mutex_unlock(&s->lock);
	return stop;
}

/* Sleeps until time has passed, or somebody wants something. */
static void
rest(struct source *s, wm_usec time)
{
	wm_usec until = wm_clock_mono() + time;
	struct timespec ts = { .tv_sec = until / WM_SEC, .tv_nsec = until % WM_SEC * 1000 };

	pthread_mutex_lock(&s->lock);
	if (!s->stop)
		pthread_cond_timedwait(&s->changed, &s->lock, &ts);
	pthread_mutex_unlock(&s->lock);
}

enum wm_status
source_connect(const struct source *s, enum wm_pg_kind kind, const char *application, struct wm_pg **ret,
    struct wm_error *err)
{
	enum wm_status st = wm_pg_connect(s->config->uri, kind, application, ret, err);

	if (st == WM_OK)
		wm_pg_set_silence(*ret, s->config->silence);
	return st;
}

void
source_give_up(struct source *s, const struct wm_error *err)
{
	source_set_error(s, err);
	wm_log(WM_LOG_ERROR, "source_failed", "%s", err->text);
	pthread_mutex_lock(&s->lock);
	s->failed = err->status;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	atomic_store(&s->state, SOURCE_FAILED);
	source_wake(s);
	pipeline_notice(s->p);
}

void
source_retry_later(struct source *s, struct wm_backoff *backoff, const struct wm_error *err)
{
	wm_usec until = wm_clock_mono() + wm_backoff_next(backoff);

	source_set_error(s, err);
	atomic_store(&s->state, SOURCE_RETRYING);
	wm_log(WM_LOG_WARNING, "source_retry", "%s", err->text);
	pipeline_notice(s->p);
	while (!source_stopping(s) && wm_clock_mono() < until) {
		atomic_store(&s->shared.alive, wm_clock_mono());
		rest(s, until - wm_clock_mono());
	}
}

bool
source_wait_prepared(struct source *s)
{
	bool ok;

	pthread_mutex_lock(&s->lock);
	while (!s->prepared && !s->stop && s->failed == WM_OK)
		pthread_cond_wait(&s->changed, &s->lock);
	ok = s->prepared && !s->stop;
	pthread_mutex_unlock(&s->lock);
	return ok;
}

static void
drop_snapshot(struct source *s)
{
	struct wm_pg *exporter;

	pthread_mutex_lock(&s->lock);
	exporter = s->exporter;
	s->exporter = NULL;
	s->snapshot[0] = '\0';
	pthread_mutex_unlock(&s->lock);
	wm_pg_close(exporter);
}

void
source_release_snapshot(struct source *s)
{
	bool last;

	pthread_mutex_lock(&s->lock);
	last = s->importers > 0 && --s->importers == 0;
	pthread_mutex_unlock(&s->lock);
	if (last)
		drop_snapshot(s);
}

void
source_note_connection(struct source *s, struct wm_pg **which, struct wm_pg *c)
{
	pthread_mutex_lock(&s->lock);
	*which = c;
	pthread_mutex_unlock(&s->lock);
}

/* A source that this state has not met. */
static enum wm_status
first_meeting(struct source *s, struct wm_pg *c, struct wm_pg *sql, struct wm_source_record *rec, bool *ret_export,
    struct wm_error *err)
{
	struct wm_pg_identity id;
	struct wm_slot_info slot;
	enum wm_status st = wm_pg_identify(c, &id, err);

	if (st == WM_OK)
		st = wm_slot_info(sql, s->config->slot, &slot, err);
	if (st != WM_OK)
		return st;
	if (slot.exists && !s->config->manage) {
		rec->consistent_lsn = rec->acked_lsn = slot.confirmed_lsn;
	} else if (slot.exists && strcmp(rec->slot, s->config->slot) == 0) {
		/* We died between making it and writing that down, or it is the one that was lost. */
		st = wm_slot_drop(sql, s->config->slot, err);
		if (st != WM_OK)
			return st;
	} else if (slot.exists)
		return wm_fail(err, WM_OPERATOR,
		    "replication slot \"%s\" exists already at source \"%s\", and this state folder knows "
		    "nothing of it: use another `slot`, or drop it with SELECT pg_drop_replication_slot('%s')",
		    s->config->slot, s->config->name, s->config->slot);
	else if (!s->config->manage)
		return wm_fail(err, WM_OPERATOR,
		    "replication slot \"%s\" does not exist at source \"%s\" and `manage: false` forbids "
		    "making it; SELECT pg_create_logical_replication_slot('%s', 'pgoutput')",
		    s->config->slot, s->config->name, s->config->slot);
	memcpy(rec->system_id, id.system_id, sizeof(rec->system_id));
	rec->timeline = id.timeline;
	snprintf(rec->slot, sizeof(rec->slot), "%s", s->config->slot);
	snprintf(rec->publication, sizeof(rec->publication), "%s", s->config->publication);
	if (!s->config->manage) {
		rec->slot_made = true;
		return wm_state_source_put(s->p->state, s->config->name, rec, err);
	}
	*ret_export = true;
	return slot_make(s, c, sql, rec, err);
}

static enum wm_status
known_source(struct source *s, struct wm_pg *c, struct wm_pg *sql, struct wm_source_record *rec, struct wm_error *err)
{
	enum wm_status st;
	struct wm_error why;
	bool lost;

	if (strcmp(rec->slot, s->config->slot) != 0)
		return wm_fail(err, WM_OPERATOR,
		    "source \"%s\" is configured with slot \"%s\", but has been followed through slot \"%s\"; "
		    "put the old name back, or run `walmill teardown` first",
		    s->config->name, s->config->slot, rec->slot);
	st = guard_check(c, sql, rec, s->config->name, wm_journal_complete_lsn(s->journal), &lost, err);
	if (st != WM_OK && lost)
		atomic_store(&s->slot_lost, true);
	if (st != WM_OK && lost && lost_may_seed(s, rec, err)) {
		why = *err;
		return lost_begin_again(s, rec, &why, err);
	}
	return st == WM_OK ? wm_state_source_put(s->p->state, s->config->name, rec, err) : st;
}

static void
take_tables(struct source *s, struct tableset *tables)
{
	struct tableset *old;

	pthread_mutex_lock(&s->lock);
	old = s->tables;
	s->tables = tables;
	s->tables_version++;
	pthread_mutex_unlock(&s->lock);
	tableset_unref(old);
	for (size_t i = 0; i < s->p->nworkers; i++)
		if (s->p->workers[i]->source == s)
			wm_journal_wake(s->p->workers[i]->reader);
}

/* Gaps that the last process knew of, and that not every target reflects. */
static enum wm_status
load_gaps(struct source *s, struct wm_error *err)
{
	WM_AUTO(wm_freep) uint32_t *oids = NULL;
	size_t n = 0;
	enum wm_status st = wm_state_gaps_get(s->p->state, s->config->name, &oids, &n, err);

	if (st != WM_OK)
		return st;
	free(s->gaps.list);
	s->gaps = (struct gaps){ .list = calloc(n + 1, sizeof(*s->gaps.list)) };
	if (s->gaps.list == NULL)
		return wm_oom(err, "tables");
	for (; s->gaps.n < n; s->gaps.n++)
		s->gaps.list[s->gaps.n] = (struct gap){ .oid = oids[s->gaps.n], .version = s->tables_version + 1 };
	return WM_OK;
}

/* Gaps that every target reflects need not be remembered. */
static enum wm_status
forget_gaps(struct source *s, struct wm_error *err)
{
	enum wm_status st;

	for (size_t i = 0; s->gaps.n > 0 && i < s->p->nworkers; i++)
		if (s->p->workers[i]->source == s && atomic_load(&s->p->workers[i]->gaps_done) < s->tables_version)
			return WM_OK;
	if (s->gaps.n == 0)
		return WM_OK;
	st = wm_state_gaps_clear(s->p->state, s->config->name, err);
	if (st == WM_OK)
		s->gaps.n = 0;
	return st;
}

/* Everything up to the point where workers and receiver can start. */
static enum wm_status
prepare(struct source *s, struct wm_pg *sql, struct wm_error *err)
{
	WM_AUTO(wm_pg_closep) struct wm_pg *c = NULL;
	struct wm_source_record rec = { 0 };
	struct tableset *tables = NULL;
	bool found = false, known, exported = false;
	wm_lsn now;
	enum wm_status st = source_connect(s, WM_PG_REPLICATION, "walmill", &c, err);

	if (st == WM_OK)
		st = wm_state_source_get(s->p->state, s->config->name, &rec, &found, err);
	known = found && rec.slot_made;
	/* Refused before anything is made or altered. */
	if (st == WM_OK && known)
		st = known_source(s, c, sql, &rec, err);
	known = found && rec.slot_made;
	if (st == WM_OK && known)
		st = source_check_publications(s, sql, err);
	/* Begun again: the journal goes before the state says that there is a slot. */
	if (st == WM_OK && found && !known)
		st = wm_journal_restart(s->journal, 0, err);
	if (st == WM_OK)
		st = load_gaps(s, err);
	if (st == WM_OK)
		st = discover(s, sql, known, &tables, err);
	if (st == WM_OK && !known)
		st = first_meeting(s, c, sql, &rec, &exported, err);
	if (st == WM_OK)
		st = wm_pg_current_lsn_to_wait_for(sql, &now, err);
	if (st == WM_OK)
		st = source_settle_journal(s, &rec, known, err);
	if (st != WM_OK) {
		tableset_unref(tables);
		return st;
	}
	slot_warn_two_phase(s, c);
	take_tables(s, tables);
	atomic_store(&s->shared.acknowledged, rec.acked_lsn);
	atomic_store(&s->once_lsn, now);
	if (s->p->once)
		atomic_store(&s->shared.wanted, now);
	pthread_mutex_lock(&s->lock);
	s->record = rec;
	if (exported) {
		s->snapshot_version = s->tables_version;
		s->exporter = c;
		c = NULL;
	}
	s->prepared = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return WM_OK;
}

/* Looks whether rules take other tables now. */
static enum wm_status
look(struct source *s, struct wm_pg *sql, uint64_t *version, struct wm_error *err)
{
	struct tableset *tables = NULL;
	bool again = atomic_exchange(&s->look_again, false);
	uint64_t now;
	enum wm_status st = wm_catalog_version(sql, &now, err);

	if (st == WM_OK)
		st = forget_gaps(s, err);
	if (st == WM_OK && now == *version && !again)
		return st;
	if (st == WM_OK)
		st = discover(s, sql, true, &tables, err);
	if (st != WM_OK) {
		if (again)
			atomic_store(&s->look_again, true);
		return st;
	}
	take_tables(s, tables);
	*version = now;
	return WM_OK;
}

static enum wm_status
start_receiver(struct source *s, struct wm_error *err)
{
	if (pthread_create(&s->receiver, NULL, source_receiver_main, s) != 0)
		return wm_fail(err, WM_FATAL, "could not start a thread for source \"%s\"", s->config->name);
	s->receiver_runs = true;
	return WM_OK;
}

/* Prepares if that is still to be done, then looks for new tables. */
static enum wm_status
keep_with(struct source *s, struct wm_pg *sql, uint64_t *version, struct wm_error *err)
{
	wm_usec prepared_at = wm_clock_mono(), next = 0, now;
	enum wm_status st = WM_OK;

	if (!s->receiver_runs) {
		st = wm_catalog_version(sql, version, err);
		if (st == WM_OK)
			st = prepare(s, sql, err);
		if (st == WM_OK)
			st = start_receiver(s, err);
	}
	while (st == WM_OK && !source_stopping(s)) {
		st = look(s, sql, version, err);
		if (wm_clock_mono() - prepared_at > SNAPSHOT_FOR)
			drop_snapshot(s);
		if (st == WM_OK)
			lanes_clear(s, sql);
		if (st == WM_OK)
			st = lost_look(s, err);
		if (st == WM_OK)
			st = budget_look(s, sql, err);
		if (st == WM_OK)
			st = canary_tend(s, sql, &next, err);
		now = wm_clock_mono();
		if (next > now + s->config->discover)
			next = now + s->config->discover;
		if (st == WM_OK && !atomic_load(&s->look_again) && next > now)
			rest(s, next - now);
	}
	return st;
}

/* One SQL connection's life. */
static enum wm_status
keep(struct source *s, uint64_t *version, struct wm_error *err)
{
	WM_AUTO(wm_pg_closep) struct wm_pg *sql = NULL;
	enum wm_status st = source_connect(s, WM_PG_SQL, "walmill", &sql, err);

	/*
	 * A server that shuts down waits until all it sent is acknowledged.  Without a journal that may be never: a
	 * target may be away, or need the server itself.  What was not acknowledged comes again.
	 */
	if (st != WM_OK && strcmp(err->code, WM_PG_CANNOT_CONNECT_NOW) == 0 && s->receiver_runs &&
	    !s->p->setup->config->journal)
		(void)source_renew(s);
	if (st != WM_OK)
		return st;
	source_note_connection(s, &s->sql, sql);
	st = keep_with(s, sql, version, err);
	source_note_connection(s, &s->sql, NULL);
	return st;
}

static void *
keeper_main(void *arg)
{
	struct source *s = arg;
	struct wm_backoff backoff;
	uint64_t version = 0;

	wm_log_context("source", s->config->name);
	wm_backoff_init(&backoff, 100 * WM_MSEC, 30 * WM_SEC);
	while (!source_stopping(s)) {
		struct wm_error err = { 0 };
		enum wm_status st = keep(s, &version, &err);

		if (st == WM_OK || source_stopping(s))
			break;
		if (!s->receiver_runs && (st == WM_FATAL || st == WM_OPERATOR)) {
			source_give_up(s, &err);
			break;
		}
		if (s->receiver_runs) {
			/* The stream goes on; only new tables have to wait. */
			wm_log(WM_LOG_WARNING, "discover_retry", "could not look for new tables: %s", err.text);
			rest(s, wm_backoff_next(&backoff));
		} else
			source_retry_later(s, &backoff, &err);
	}
	pthread_mutex_lock(&s->lock);
	s->keeper_ended = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- life ---- */

enum wm_status
source_create(struct wm_pipeline *p, const struct wm_source_config *config, struct source **ret, struct wm_error *err)
{
	struct source *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	enum wm_status st;

	if (s == NULL)
		return wm_oom(err, "a source");
	s->p = p;
	s->config = config;
	s->budget.shown = (struct wm_slot_status){ .retained = -1, .budget = -1, .left = -1, .exhausted_s = -1 };
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	s->shared.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	st = s->shared.wake_fd < 0 ? wm_fail(err, WM_FATAL, "could not make an eventfd") : source_open_journal(s, err);
	if (st != WM_OK) {
		source_destroy(s);
		return st;
	}
	*ret = s;
	return WM_OK;
}

enum wm_status
source_start(struct source *s, struct wm_error *err)
{
	atomic_store(&s->shared.alive, wm_clock_mono());
	s->keeper_ended = false;
	if (pthread_create(&s->keeper, NULL, keeper_main, s) != 0)
		return wm_fail(err, WM_FATAL, "could not start a thread for source \"%s\"", s->config->name);
	s->keeper_runs = true;
	return WM_OK;
}

void
source_announce_stop(struct source *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* Again and again: a command may have begun just after it was asked to end. */
static void
end_keeper(struct source *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->keeper_ended) {
		wm_usec until = wm_clock_mono() + 200 * WM_MSEC;
		struct timespec ts = { .tv_sec = until / WM_SEC, .tv_nsec = until % WM_SEC * 1000 };

		if (s->sql != NULL)
			wm_pg_cancel(s->sql);
		if (s->maker != NULL)
			wm_pg_cancel(s->maker);
		(void)pthread_cond_timedwait(&s->changed, &s->lock, &ts);
	}
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->keeper, NULL);
}

void
source_stop(struct source *s)
{
	source_announce_stop(s);
	atomic_store(&s->shared.stop, true);
	source_wake(s);
	if (s->keeper_runs)
		end_keeper(s);
	if (s->receiver_runs)
		pthread_join(s->receiver, NULL);
	s->keeper_runs = s->receiver_runs = false;
	drop_snapshot(s);
}

void
source_destroy(struct source *s)
{
	if (s == NULL)
		return;
	wm_journal_close(s->journal);
	tableset_unref(s->tables);
	free(s->gaps.list);
	if (s->shared.wake_fd >= 0)
		close(s->shared.wake_fd);
	free(s->last_error);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
