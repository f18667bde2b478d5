/* SPDX-License-Identifier: PostgreSQL */
/*
 * pipeline.h - the daemon's inside: receivers, workers, seeding, and what can be asked of them.
 *
 * A setup is a configuration with its rules and target sections, all validated.  A pipeline
 * runs one setup at a time; reload swaps it.  All functions are thread-safe unless they say
 * otherwise.
 */
#ifndef WM_PIPELINE_H
#define WM_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/alert.h"
#include "walmill/config.h"
#include "walmill/diag.h"
#include "walmill/error.h"
#include "walmill/lsn.h"
#include "walmill/rules.h"
#include "walmill/state.h"
#include "walmill/target.h"

/* ---- setup ---- */

struct wm_setup {
	struct wm_config	 *config;
	struct wm_ruleset	 *rules;
	size_t			  ntargets;	/* as config->ntargets, same order */
	struct wm_target	**targets;	/* models: never opened, cloned */
	int			  refs;		/* atomic */
};

/* Takes over config, also on failure.  NULL when diags->errors is not 0. */
struct wm_setup *wm_setup_create(struct wm_config *config, struct wm_diags *diags);
struct wm_setup *wm_setup_ref(struct wm_setup *setup);
void wm_setup_unref(struct wm_setup *setup);		/* NULL is a no-op */
/* The source section of this name, or NULL. */
const struct wm_source_config *wm_setup_source(const struct wm_setup *setup, const char *name);
/*
 * The lane of a source (any of its lanes is given) that has a table.  What cannot be seeded again without a loss stays
 * in the first: events that were appended, and tables that are never seeded.
 */
unsigned wm_setup_lane_of(const struct wm_setup *setup, const struct wm_source_config *source, const char *schema,
    const char *table);

/* ---- life ---- */

struct wm_pipeline;

enum wm_phase {
	WM_PHASE_STARTING,	/* not every source has streamed yet */
	WM_PHASE_RUNNING,
	WM_PHASE_DONE,		/* once: caught up with the start */
	WM_PHASE_FAILED,	/* nothing runs any more; the reason is in the error */
};

/*
 * Takes references to setup, state and alerts (the last two must outlive it; alerts may be NULL).  once: stop when
 * caught up.
 */
enum wm_status wm_pipeline_create(struct wm_setup *setup, struct wm_state *state, struct wm_alerts *alerts, bool once,
    struct wm_pipeline **ret, struct wm_error *err) WM_MUST_CHECK;
/* Starts the threads and returns. */
enum wm_status wm_pipeline_start(struct wm_pipeline *p, struct wm_error *err) WM_MUST_CHECK;
/* An eventfd, readable when the phase changed; the caller reads it. */
int wm_pipeline_fd(const struct wm_pipeline *p);
/* err: the reason of WM_PHASE_FAILED (status FATAL or OPERATOR). */
enum wm_phase wm_pipeline_phase(struct wm_pipeline *p, struct wm_error *err);
/*
 * False when a receiver has not shown life for two minutes, a worker (which may wait for its target) for an hour, or a
 * source is stalled: feed no watchdog.
 */
bool wm_pipeline_alive(struct wm_pipeline *p);
/* Commits what is whole, sends the last feedback, ends all threads. */
void wm_pipeline_stop(struct wm_pipeline *p);
void wm_pipeline_destroy(struct wm_pipeline *p);	/* after stop; NULL is a no-op */
/*
 * Sources, targets and rules added, changed and removed take effect.  Another `state` is
 * refused: nothing changes then.
 */
enum wm_status wm_pipeline_reload(struct wm_pipeline *p, struct wm_setup *setup, struct wm_error *err) WM_MUST_CHECK;
/* When wm_pipeline_fd is readable: starts all threads again if a source asks for it. */
enum wm_status wm_pipeline_begin_again(struct wm_pipeline *p, struct wm_error *err) WM_MUST_CHECK;

/* ---- requests ---- */

/* WM_REJECT: no such rule. Durable: a paused rule stays paused over a restart. */
enum wm_status wm_pipeline_pause(struct wm_pipeline *p, const char *rule, struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_pipeline_resume(struct wm_pipeline *p, const char *rule, struct wm_error *err) WM_MUST_CHECK;
/* One dead letter that was tried again. */
struct wm_retry_result {
	int64_t		 id;
	char		*why;		/* why it failed, or NULL: its row is in the target */
};
struct wm_retry {
	const int64_t		*ids;	/* these, or, when NULL, those that the filter takes */
	size_t			 nids;
	struct wm_dead_letter_filter filter;
	/* the answer */
	int64_t			 last, processed, failed;
	bool			 end;	/* no more behind the last */
	size_t			 nfailures;
	struct wm_retry_result	*failures;
};
/* Tries dead letters again, oldest first.  What failed is in the answer; other trouble in err. */
enum wm_status wm_pipeline_retry(struct wm_pipeline *p, struct wm_retry *retry, struct wm_error *err) WM_MUST_CHECK;
void wm_retry_free(struct wm_retry *retry);		/* the answer's memory */
/* One row on demand.  All of it is owned by the call; wm_row_call_free. */
struct wm_row_call {
	char		*table;		/* "schema.table"; NULL: the rule's only one */
	size_t		 n;
	char		**names, **values;	/* of the source's key */
	bool		 remove;	/* takes the row out of the view, whatever the source has */
	char		*written;	/* the answer: a JSON object */
};
/*
 * Reads a row at the source again and writes it as its rule says.  WM_REJECT: code "no_rule", "no_row" (neither the
 * source nor, now, the view has it), "bad_key", "not_running", else the target's, which refused the row.
 */
enum wm_status wm_pipeline_row(struct wm_pipeline *p, const char *rule, struct wm_row_call *call, struct wm_error *err)
    WM_MUST_CHECK;
void wm_row_call_free(struct wm_row_call *call);
/*
 * Until all that the sources had committed by now (or, lsn not 0, up to lsn) is visible in all targets and
 * no rule seeds.  WM_RETRY: time-out (microseconds), the text says what is behind; WM_FATAL: it
 * cannot happen (a source or target failed).
 */
enum wm_status wm_pipeline_wait(struct wm_pipeline *p, wm_lsn lsn, wm_usec timeout, struct wm_error *err) WM_MUST_CHECK;

/* A target's other side has called (struct wm_target_ops); false: no target waits for that. */
bool wm_pipeline_callback(struct wm_pipeline *p, const char *token);

/* ---- status ---- */

struct wm_slot_status {			/* bytes and seconds; -1: none */
	const char	*wal_status;	/* as pg_replication_slots has it; NULL: not known (yet) */
	int64_t		 retained;	/* WAL that the server keeps for it */
	int64_t		 budget, left;	/* max_slot_wal_keep_size, and what may still be written; -1: no limit */
	int64_t		 exhausted_s;	/* at the rate of the last minutes; -1: not in sight */
};

struct wm_source_status {
	char		*name;		/* "shop/2": its second lane */
	char		*slot_name;
	const char	*state;		/* connecting, streaming, stalled, retrying, failed, stopped */
	wm_lsn		 received_lsn, acknowledged_lsn, server_lsn;
	uint64_t	 lag_bytes, transactions, changes;
	uint64_t	 reconnects;
	double		 quiet_s;	/* since the stream last came further */
	uint64_t	 journal_bytes, journal_max_bytes;	/* on disk; in memory where the journal is off */
	uint64_t	 prepared;	/* transactions that are prepared at the source, and kept */
	uint64_t	 waiting_bytes;	/* of files of transactions that have not ended */
	struct wm_slot_status slot;
	const char	*journal_state;		/* "ok", "off", "full", "no_space", "failed" */
	char		*last_error;	/* or NULL */
};

struct wm_target_status {
	char		*name;
	const char	*type;
	const char	*state;		/* ok, retrying, failed */
	wm_lsn		 applied_lsn;	/* the furthest behind of its sources */
	uint64_t	 lag_bytes;
	double		 lag_s;		/* age of the oldest commit not yet applied; 0: in step */
	uint64_t	 rows_written, batches, retries;
	size_t		 nfacts;
	struct wm_fact	 facts[WM_FACTS_MAX];	/* what only such a target has; value < 0: not known */
	char		*last_error;
};

struct wm_rule_status {
	char		*name, *source, *target, *table, *view;
	const char	*state;		/* seeding, streaming, paused, failed */
	uint64_t	 rows_seeded;	/* accepted by the target */
	uint64_t	 rows_read;	/* read at the source by the seed */
	uint64_t	 seed_total;	/* estimate until the seed ends */
	double		 seed_rows_per_s;	/* read by a seed that goes on; 0 not known, or none */
	double		 seed_left_s;	/* until it has read all; -1 not known, or none */
	uint64_t	 inserts, updates, deletes, truncates, dead_letters, rereads;
	const char	*priority;	/* high, normal, low */
	uint64_t	 waiting;	/* changes that gather, where each write has its price */
	char		*last_error;
};

struct wm_snapshot {
	double			 uptime_s;
	size_t			 nsources, ntargets, nrules;
	struct wm_source_status	*sources;
	struct wm_target_status	*targets;
	struct wm_rule_status	*rules;
	/* Commit-to-visible latency of the last transactions, seconds; 0: none measured. */
	double			 latency_p50, latency_p99;
	struct wm_alerts_status	 alerts;
};

enum wm_status wm_pipeline_snapshot(struct wm_pipeline *p, struct wm_snapshot *ret, struct wm_error *err) WM_MUST_CHECK;
void wm_snapshot_free(struct wm_snapshot *s);

#endif
