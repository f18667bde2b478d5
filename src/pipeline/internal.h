/* SPDX-License-Identifier: PostgreSQL */
/*
 * internal.h - the pipeline's own structures, and which thread owns what.
 *
 * A source has two threads: its keeper (SQL: identity, publication, slot, new tables) and its
 * receiver (the stream).  Each pair of source and target that a rule joins has one worker,
 * which owns a journal reader, a decoder, an instance of the target and all its positions, and which
 * lends the instance to a thread of its own while a full batch is written (ahead.c).
 * Threads share atomics, what a mutex named below guards, and immutable objects.
 */
#ifndef WM_PIPELINE_INTERNAL_H
#define WM_PIPELINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "walmill/alert.h"
#include "walmill/arena.h"
#include "walmill/clock.h"
#include "walmill/journal.h"
#include "walmill/pg.h"
#include "walmill/pgoutput.h"
#include "walmill/pipeline.h"
#include "walmill/seed.h"
#include "walmill/source.h"

/* ---- what rules have done: lives as long as the pipeline, over reloads ---- */

enum rule_state { RULE_SEEDING, RULE_STREAMING, RULE_PAUSED, RULE_FAILED };

/* What a rule's tables in one lane of its source add up to. */
struct rule_share {
	atomic_int		 state;		/* enum rule_state */
	atomic_uint_fast64_t	 seeded, read, total;
	atomic_uint_fast64_t	 seed_rate;	/* rows read a second, lately; 0 not known, or no seed */
	uint64_t		 rate_read;	/* the worker's: as of rate_at */
	wm_usec			 rate_at;	/* mono; 0: no seed */
	atomic_uint_fast64_t	 waiting;	/* changes that gather, where the target has a pace */
};

struct rule_stats {
	char			*name;
	UT_hash_handle		 hh;		/* of all, by name */
	unsigned		 lanes;		/* of its source; with the next, changed only while no other thread runs */
	struct rule_share	*shares;	/* of each lane */
	atomic_uint_fast64_t	 inserts, updates, deletes, truncates, rereads;
	atomic_bool		 refused;	/* it has dead letters: views may lack rows that the source has */
	atomic_uint_fast64_t	 buried;	/* rows that became dead letters in this life */
	bool			 quiet;		/* the watch's, as the next three: it has been told that no alert of it stands */
	uint64_t		 told_buried;	/* as of the last alert */
	bool			 letters_stand;
	wm_usec			 count_at;	/* mono: when to count the letters again */
	pthread_mutex_t		 lock;
	char			*last_error;	/* guarded */
};

/* ---- tables that rules take ---- */

#define LEAF_RUNS_MAX 64

struct leaf_run {		/* blocks, to excluded */
	uint32_t	from, to;
};

struct leaf_progress {		/* a table's file, or one of a partitioned table's */
	uint32_t	oid, node, link;
	uint32_t	next;		/* first block not seeded yet */
	uint32_t	claimed;	/* first block that no seeder of this session works at */
	unsigned	nahead;
	struct leaf_run	ahead[LEAF_RUNS_MAX];	/* seeded already, behind next */
	bool		done;
};

/* ---- ranges.c ---- */

/* The next range to be read, of a leaf with so many blocks; false: there is none left to claim. */
bool leaf_claim(struct leaf_progress *p, uint32_t blocks, uint32_t step, uint32_t *ret_from, uint32_t *ret_to);
/* These blocks have been seeded. */
void leaf_note(struct leaf_progress *p, uint32_t from, uint32_t to);
/* Nothing of it counts. */
void leaf_restart(struct leaf_progress *p);
/* In a bookmark. */
struct cJSON *leaf_json(const struct leaf_progress *p);
struct leaf_progress leaf_from_json(const struct cJSON *leaf);

struct matched {
	const struct wm_rule	*rule;
	struct wm_relation	*rel;		/* as the catalog has it */
	double			 rows;		/* estimate; -1 unknown */
	bool			 column_list;	/* published with some of its columns only */
	uint64_t		 gap;		/* tables_version that found it outside the publication: changes were not sent; 0 none */
	char			*refused;	/* why the rule cannot be applied to it, or NULL */
	bool			 partitioned;
	size_t			 nleaves;	/* of a partitioned table: what holds its rows */
	struct leaf_progress	*leaves;
};

struct gap {
	uint32_t	oid;
	uint64_t	version;	/* of the tables */
};

struct gaps {
	struct gap	*list;
	size_t		 n;
};

struct tableset {		/* immutable but for refs */
	atomic_int	 refs;
	uint64_t	 xid;		/* transactions from here on publish what they do to these tables */
	wm_lsn		 lsn, lsn_after;	/* where the source stood before and after the catalog was read */
	wm_lsn		 published;	/* and when the publication stood; such transactions have an xid before ours */
	int		 server_version;	/* 150003 */
	size_t		 n;
	struct matched	*list;
};

struct tableset *tableset_ref(struct tableset *t);
void tableset_unref(struct tableset *t);	/* NULL is a no-op */

/* ---- sources ---- */

enum source_state {
	SOURCE_CONNECTING,
	SOURCE_STREAMING,
	SOURCE_STALLED,		/* connected, but nothing comes (canary.c) */
	SOURCE_RETRYING,
	SOURCE_FAILED,
	SOURCE_STOPPED,
};

struct canary {
	wm_usec		sent;		/* mono: a message is on its way since; 0 none */
	wm_lsn		lsn;		/* where it ends; 0 not known yet */
	uint64_t	session;	/* of the stream, when it was sent */
	wm_usec		tended;		/* the keeper's: last sent, or asked about */
	bool		refused;	/* the keeper's: the server would not write one, and the log says so */
};

#define BUDGET_SAMPLES 32

struct budget {
	struct wm_slot_status	shown;		/* the source's lock guards it; the rest is the keeper's */
	int			level;		/* what the log was told: 0, 50, 80; the lock guards its changes */
	size_t			n;		/* samples, the oldest first */
	struct {
		wm_usec		at;
		int64_t		retained;
	} samples[BUDGET_SAMPLES];
};

struct source {
	struct wm_pipeline		*p;
	const struct wm_source_config	*config;	/* of p->setup */
	struct wm_journal		*journal;
	struct wm_receiver_shared	 shared;
	pthread_t			 keeper, receiver;
	bool				 keeper_runs, receiver_runs;
	atomic_int			 state;		/* enum source_state */
	atomic_uint_fast64_t		 reconnects;
	atomic_uint_fast64_t		 once_lsn;	/* what `--once` waits for; 0 not known yet */
	struct gaps			 gaps;		/* the keeper's: those that some target does not reflect yet */
	atomic_bool			 begin_again;	/* all threads are to end and begin again: the slot is lost */
	atomic_bool			 slot_lost;	/* it is gone or invalidated, for alerts */
	atomic_bool			 look_again;	/* the catalog is to be read, though it may look as before */
	bool				 lanes_told, lanes_cleared;	/* the keeper's, of the first lane: what lanes that went have left */

	pthread_mutex_t			 lock;		/* guards all below */
	pthread_cond_t			 changed;
	bool				 prepared;	/* slot and publication stand, tables are known */
	bool				 stop;
	struct wm_source_record		 record;
	char				 snapshot[64];	/* exported by the slot's creation; "" none */
	uint64_t			 snapshot_version;	/* of the tables that are published since before it */
	struct wm_pg			*exporter;	/* keeps the snapshot alive while idle */
	unsigned			 importers;	/* workers that may still want the snapshot */
	struct tableset			*tables;
	uint64_t			 tables_version;	/* written by the keeper only */
	struct wm_pg			*sql, *maker;	/* the keeper's, that a stop may break off; NULL none */
	bool				 keeper_ended;
	struct canary			 canary;
	struct budget			 budget;
	enum wm_status			 failed;	/* with SOURCE_FAILED */
	char				*last_error;
};

enum wm_status source_create(struct wm_pipeline *p, const struct wm_source_config *config, struct source **ret,
    struct wm_error *err);
enum wm_status source_start(struct source *s, struct wm_error *err);
/* Nobody needs to wait for it any more. */
void source_announce_stop(struct source *s);
/* Ends both threads after a last feedback. */
void source_stop(struct source *s);
void source_destroy(struct source *s);
/* Any thread: the receiver looks at its flags. */
void source_wake(struct source *s);
/* Remembers what went wrong, for status; NULL clears it. */
void source_set_error(struct source *s, const struct wm_error *err);
/* Waits until the source is prepared; false when it failed or stops. */
bool source_wait_prepared(struct source *s);
/* A worker does not need the exported snapshot (any more). */
void source_release_snapshot(struct source *s);
/* The receiver's session is to start again at the committed position. */
void source_resend(struct source *s);
/* A new session is to go on where this one ends, with the catalog as it is then; returns its number. */
uint64_t source_renew(struct source *s);
/* The keeper is to match rules and catalog now. */
void source_look_again(struct source *s);
/* *which is c from now on: what runs there may wait for others' transactions and locks, and a stop breaks it off. */
void source_note_connection(struct source *s, struct wm_pg **which, struct wm_pg *c);
/* Whether the source's threads are to end. */
bool source_stopping(struct source *s);
/* Whether its lane has the table. */
bool source_takes(const struct source *s, const char *schema, const char *table);
/* The same of "schema.table", in a setup: the lane. */
unsigned lane_of_name(const struct wm_setup *setup, const struct wm_source_config *source, const char *table);
/* As wm_pg_connect; a server that is silent for as long as the configuration allows is looked after. */
enum wm_status source_connect(const struct source *s, enum wm_pg_kind kind, const char *application, struct wm_pg **ret,
    struct wm_error *err);
/* An operator must act: the source goes no further. */
void source_give_up(struct source *s, const struct wm_error *err);
/* Shows the error and waits as long as the back-off says, or until the stop. */
void source_retry_later(struct source *s, struct wm_backoff *backoff, const struct wm_error *err);

/* ---- budget.c ---- */

/* The keeper's: how much of the WAL that the server may keep for the slot is used up; warns early. */
enum wm_status budget_look(struct source *s, struct wm_pg *sql, struct wm_error *err);

/* ---- canary.c ---- */

/* The keeper's: sends a message when the source has been quiet for long; *ret_next: when to call it again. */
enum wm_status canary_tend(struct source *s, struct wm_pg *sql, wm_usec *ret_next, struct wm_error *err);
/* The receiver's, arg is the source: judges whether it is back in time; returns when to call it again. */
wm_usec canary_watch(void *arg, wm_usec now);
/* The receiver's: a new session may not bring it. */
void canary_forget(struct source *s);

/* ---- sessions.c ---- */

/* WM_OPERATOR when what walmill streams from is missing. */
enum wm_status source_check_publications(struct source *s, struct wm_pg *sql, struct wm_error *err);
void *source_receiver_main(void *arg);

/* ---- slot.c ---- */

/* Makes the slot that rec names, and notes in rec, state and source what came of it. */
enum wm_status slot_make(struct source *s, struct wm_pg *c, struct wm_pg *sql, struct wm_source_record *rec,
    struct wm_error *err);

/* Whether the slot is to send transactions when they are prepared. */
bool slot_two_phase(const struct source *s, const struct wm_pg *c);
/* Says so when that is wanted and the server cannot. */
void slot_warn_two_phase(const struct source *s, const struct wm_pg *c);

/* ---- lanes.c: lanes that `slots` no longer has ---- */

/*
 * Before any thread runs: forgets how far targets had come with them, so that one that comes back seeds all of its
 * tables; what they took meanwhile went to other lanes.
 */
enum wm_status lanes_retire(struct wm_pipeline *p, const struct wm_source_config *first, struct wm_error *err);
/* The keeper's of the first lane: drops their slots and publications at the source, if it has any; tells what it cannot. */
void lanes_clear(struct source *s, struct wm_pg *sql);

/* ---- positions.c ---- */

enum wm_status source_open_journal(struct source *s, struct wm_error *err);
/* arg is the source.  Stores what the source is about to be told, and lets the journal go that nobody needs. */
enum wm_status source_store_progress(void *arg, wm_lsn lsn, struct wm_error *err);
/*
 * Places the workers where their targets stand; the journal goes on where it ended, or begins at what the source was
 * last told.  known: the slot was made before this start.  WM_OPERATOR: a target lacks what nobody has any more.
 */
enum wm_status source_settle_journal(struct source *s, const struct wm_source_record *rec, bool known,
    struct wm_error *err);

/* ---- lost.c: `on_slot_lost: seed` ---- */

/* Whether all may be seeded again by itself; false: err (why the slot is lost) says what an operator must do. */
bool lost_may_seed(const struct source *s, const struct wm_source_record *rec, struct wm_error *err);
/* From here on the source begins with a new slot, whatever happens.  No worker runs. */
enum wm_status lost_begin_again(struct source *s, struct wm_source_record *rec, const struct wm_error *why,
    struct wm_error *err);
/* The keeper's: notes when the seed after a loss has ended. */
enum wm_status lost_look(struct source *s, struct wm_error *err);

/* ---- guard.c ---- */

/*
 * Is this server the one that record is about, does it have all that was received (complete: what the journal has), and
 * does its slot still hold what we need?  *ret_lost: all is well but for the slot, which is gone or invalidated.
 */
enum wm_status guard_check(struct wm_pg *replication, struct wm_pg *sql, struct wm_source_record *record,
    const char *source, wm_lsn complete, bool *ret_lost, struct wm_error *err);
/* The same for what a target has, up to reached, from timeline then, while the source is on timeline now. */
enum wm_status guard_checkpoint(const struct source *s, uint32_t now, uint32_t then, wm_lsn reached,
    struct wm_error *err);

/* ---- discover.c ---- */

/*
 * Matches rules and catalog, and puts the publication in step.  Tables that were outside it are gaps of the next
 * tables_version, and are remembered in the state first, unless the source has not been followed before.
 */
enum wm_status discover(struct source *s, struct wm_pg *sql, bool followed, struct tableset **ret,
    struct wm_error *err);

/* ---- units: one table under one rule, at one target ---- */

enum unit_state {
	UNIT_SEEDING,
	UNIT_CATCHING,		/* seeded; the stream has not yet passed the seed's last snapshot */
	UNIT_STREAMING,
	UNIT_FAILED,
};

struct unit {
	const struct wm_rule	*rule;
	struct rule_stats	*stats;
	uint32_t		 oid;
	struct unit		*alike;		/* another of this oid */
	UT_hash_handle		 hh;		/* of the first of each oid */
	char			*schema, *name;
	struct wm_relation	*rel;		/* for the seed: as catalog or stream showed it last */
	wm_lsn			 rel_lsn;	/* when that was */
	double			 rows;		/* estimate */
	_Atomic(enum unit_state) state;		/* seeders set it while the worker shows it */
	bool			 listed;	/* in the current tableset */
	bool			 column_list;	/* published with some of its columns only, or was when the stream's rows were written */
	bool			 resumed;	/* its seed broke off: the counters hold what was read twice */
	bool			 reseed;	/* the view may hold rows of before */
	bool			 empty_view;	/* truncate the view before the first batch */
	atomic_bool		 bare;		/* its view may be without its key: ranges are passed, nothing else is written */
	bool			 keying;	/* a seeder makes it */
	bool			 staged;	/* its rows are put aside, and take the place of the view's at the end */
	bool			 dirty;		/* its bookmark goes with the next commit */
	bool			 taken;		/* begins in this lane: with the bookmark it is noted that others have it no more */
	wm_lsn			 catchup;	/* UNIT_CATCHING: until the position is here */
	bool			 older;		/* took changes of before the catalog's look that its seed is newer than */
	wm_lsn			 await;		/* its seed begins when the position is here: what came before was left to it */
	wm_lsn			 since;		/* what was committed before is in its seed, and the stream may lack some of it */
	wm_lsn			 strayed;	/* last commit that changed the table under another name; 0 none */
	uint64_t		 settle_xid;	/* a seed's snapshot must see every transaction before this one ended */
	char			*visible;	/* append: snapshot of the seed; transactions it sees are skipped */
	char			*columns;	/* signature of the columns last seen: "name:oid:typmod,..." */
	char			*numbers;	/* signature of their numbers in the catalog: "name:attnum:0,..." */
	uint16_t		 last_number;	/* the table's highest number at that time; 0 unknown */
	bool			 grew;		/* has columns that its view is yet to get */
	bool			 widening;	/* it has got them in the open transaction of the target */
	bool			 renamed;	/* the stream has since shown a name that an older column may have taken */
	uint64_t		 fingerprint;	/* of the rule that seeded it */
	size_t			 nleaves;
	struct leaf_progress	*leaves;
	wm_lsn			 truncated;	/* by this commit of the stream: its partitions have new files; 0 not lately */
	size_t			 nseen;		/* partitions as the catalog had them when it was last looked at */
	struct leaf_progress	*seen;
	uint64_t		 read, written, filtered, dead;	/* rows of the seed; written: the target took them */
	pthread_mutex_t		 lock;		/* state, leaves and counters while seeders run */
	pthread_mutex_t		 bookmarking;	/* held, before the other, until a seeder's bookmark is committed */
};

struct saved {			/* a unit's bookmark, or a view's, by name */
	char		*name, *value;
	bool		 claimed;	/* a unit stands for it */
	bool		 dirty;		/* a view's: it goes with the next commit */
	UT_hash_handle	 hh;
};

/* ---- holds: rules that do not go along ---- */

enum hold_why { HOLD_PAUSED, HOLD_FAILED, HOLD_SEEDING };

struct hold {
	const struct wm_rule	*rule;
	enum hold_why		 why;
	bool			 resuming;	/* its changes come again from `at` */
	wm_lsn			 commit_lsn, end_lsn;	/* what the rule has applied */
	struct hold		*next;
};

/* ---- batches ---- */

struct batcher;
struct letters;
struct receipts;

struct batcher *batcher_create(void);
void batcher_destroy(struct batcher *b);
struct wm_arena *batcher_arena(struct batcher *b);	/* for values of rows to be added */
/* WM_RETRY: what is there must be written first, then the same call again. */
enum wm_status batcher_add(struct batcher *b, const struct wm_view *view, const struct wm_row *row,
    struct wm_error *err);
enum wm_status batcher_truncate(struct batcher *b, const struct wm_view *view, struct wm_error *err);
const struct wm_batch *batcher_batch(struct batcher *b);
/* Of views of that priority and above only. */
const struct wm_batch *batcher_part(struct batcher *b, enum wm_priority least);
/* Takes their rows out, and frees all memory that was theirs: what remains is copied. */
enum wm_status batcher_drop_part(struct batcher **b, enum wm_priority least, struct wm_error *err);
bool batcher_has(const struct batcher *b, const char *view);
size_t batcher_view_rows(const struct batcher *b, const struct wm_view *view);
void batcher_clear_rows(struct batcher *b);		/* empties the batch, keeps the arena's values */
void batcher_reset(struct batcher *b);			/* empties batch and arena */

/* ---- delivery ---- */

struct delivery {
	struct wm_pipeline	*p;
	const struct wm_source_config *source;
	struct wm_target	*target;
	const char		*failed_rule;	/* WM_REJECT: the rule that stops, borrowed from the setup */
	struct letters		*letters;	/* of rows that were refused before */
	struct receipts		*receipts;	/* NULL: off */
	bool			 seed;		/* rows come from a seed */
	uint64_t		 buried;	/* rows that became dead letters, ever */
};

/*
 * Writes the batch; refused rows are found and treated as their rule says.  WM_RETRY and
 * WM_FATAL as the target; WM_REJECT when a rule stops (failed_rule), the transaction must be rolled back.
 */
enum wm_status deliver(struct delivery *d, const struct wm_batch *batch, struct wm_error *err);
/* All of it or nothing, as it is.  WM_REJECT: a row was refused, or, with failed_rule set, a view cannot be written. */
enum wm_status deliver_write(struct delivery *d, const struct wm_batch *part, size_t *bad, struct wm_error *err);
/* The same for a change that the rule itself refused, for the reason in err. */
enum wm_status deliver_refused(struct delivery *d, struct wm_plan *plan, const struct wm_change *change,
    struct wm_arena *arena, struct wm_error *err);

/* ---- workers ---- */

enum request_kind { REQUEST_PAUSE, REQUEST_RESUME, REQUEST_RETRY, REQUEST_ROW };

/* What a worker is asked to do between two transactions.  It owns the contents until it is done. */
struct request {
	enum request_kind	 kind;
	char			*rule;
	size_t			 n;		/* REQUEST_RETRY: letters of the rule */
	struct wm_retry_result	*letters;
	struct wm_row_call	 row;		/* REQUEST_ROW */
	bool			 done;
	enum wm_status		 st;
	struct wm_error		 err;
};

enum worker_state { WORKER_OK, WORKER_RETRYING, WORKER_FAILED };

#define LATENCY_SAMPLES 1024
#define APPLIED_XIDS 65536

struct worker {
	struct wm_pipeline	*p;
	struct source		*source;
	const struct wm_target	*model;
	pthread_t		 thread;
	bool			 runs;
	atomic_bool		 stop;
	atomic_bool		 commands;	/* something in `wanted` */
	atomic_bool		 inexact;	/* the slot's snapshot had gone before all was read under it */

	struct wm_target_host	 host;		/* of every instance that works for it */
	atomic_uint_fast64_t	 waits;		/* a hash of what its target waits for; 0: nothing */

	/* the thread's own */
	struct wm_target	*target;
	struct wm_journal_reader *reader;
	struct wm_pgoutput	*decoder;
	struct batcher		*batcher;
	struct ahead		*ahead;
	struct delivery		 delivery;
	struct wm_pg		*sql;		/* catalog, read-backs, late seeds; NULL: connect when needed */
	struct route		*routes;
	struct unit		**units;
	size_t			 nunits;
	struct unit		*by_oid;
	struct hold		*holds;
	struct staging		*staging;	/* the late seed that is put aside; or NULL */
	unsigned		 broken_off;	/* such seeds, one after another */
	struct saved		*saved;		/* unit bookmarks as the target has them */
	struct elsewhere	*elsewhere;	/* those that other lanes have, or had */
	bool			 elsewhere_read;	/* in this session */
	uint64_t		 tables_version;
	wm_lsn			 check_columns;	/* once past it: what did the catalog change that the stream did not tell? 0 done */
	wm_usec			 interval;	/* the shortest batch.interval of its rules */
	bool			 has_checkpoint;	/* the target holds one: it has streamed before */
	bool			 in_transaction;	/* of the source, at the reader's place */
	bool			 skip;		/* the transaction is known already */
	bool			 widening;	/* some unit's view is */
	bool			 mixed;		/* rows of whole transactions wait before it */
	uint64_t		 await_session;	/* seeds begin when this session of the source has begun */
	wm_lsn			 commit_upto;	/* at every boundary up to here */
	bool			 await_restart;	/* what comes is void until the source sends again */
	uint32_t		 xid;
	bool			 xid_visible;	/* w->sql is known to see it */
	uint32_t		 applied[APPLIED_XIDS];	/* ring of the last transactions read */
	size_t			 napplied;	/* ever */
	struct wm_position	 at;
	wm_usec			 commit_time;
	wm_usec			 stream_until;	/* a late seed reads its next batch then */
	bool			 seeds;		/* it read one at the last opportunity, and may have more */
	bool			 pending;	/* the batcher holds something */
	bool			 uncommitted;	/* something was written in the target's open transaction */
	bool			 bookmarks;	/* a bookmark is to be written with the next commit */
	bool			 ripe;		/* it is nearly full, and better written before the next transaction begins */
	bool			 flies;		/* the batch before it is being written: the target is lent (apply_land) */
	bool			 whole;		/* that one ends at a boundary: */
	wm_lsn			 whole_commit, whole_end;
	size_t			 nwhole;	/* those of `waiting` that it makes visible */
	wm_lsn			 alone_until;	/* no batch is written ahead before this, for one was refused */
	wm_lsn			 boundary_commit, boundary_end;	/* last transaction read whole */
	wm_lsn			 retry_from;	/* letters are tried again once the target is here; 0 not known yet */
	wm_usec			 retry_at;	/* mono: when to look for letters that are to be tried again */
	wm_usec			 gather_since[WM_PRIORITIES];	/* mono, of the oldest change that waits; 0 none */
	unsigned		 priorities;	/* bits: those that its rules have */
	bool			 crowded;	/* what waits has come near a bound */
	size_t			 kept;		/* bytes of what waited on when a higher priority was written */
	wm_usec			 committed_at;	/* mono: of the last commit */
	wm_lsn			 written_end;	/* of the last checkpoint that the target committed, soon or not */
	wm_usec			 soft_since;	/* mono: of the oldest commit that a power loss of the target may take back; 0 none */
	unsigned		 steady;	/* commits in a row, each soon after the one before */
	size_t			 unreleased;	/* journal bytes read since the last release */

	/* shared */
	atomic_int		 state;		/* enum worker_state */
	atomic_uint_fast64_t	 commit_lsn, end_lsn;	/* applied */
	atomic_uint_fast64_t	 lasting_lsn;	/* up to here the target cannot lose it any more */
	atomic_uint_fast64_t	 awaited;	/* somebody waits until the target has come here */
	atomic_uint_fast64_t	 stored_lsn;	/* end of what the target's own checkpoint covers for sure */
	atomic_uint_fast64_t	 gaps_done;	/* tables_version whose gaps the target's bookmarks reflect */
	atomic_uint_fast64_t	 rows_written, batches, retries;
	atomic_int_fast64_t	 behind_since;	/* commit time of the transaction at work, wall; 0 in step */
	atomic_int_fast64_t	 alive;
	atomic_bool		 recorded;	/* the state knows that the source feeds this target */
	atomic_bool		 first_session;	/* has not come as far as the stream yet */
	atomic_bool		 settled;	/* nothing seeds, nothing resumes */
	atomic_uint_fast64_t	 looked;	/* tables_version whose catalog has been held against the stream */
	atomic_bool		 caught_up;	/* `once`: done */
	pthread_mutex_t		 lock;		/* guards all below */
	char			*last_error;
	enum wm_status		 failed;
	struct request		 wanted;
	unsigned		 askers;	/* those who wait for an answer: the worker is not destroyed under them */
	pthread_cond_t		 changed;	/* a request was answered, an asker left, or the worker is to stop */
	wm_usec			 latency[LATENCY_SAMPLES];
	size_t			 nlatency;	/* ever */

	struct wm_reached	 reached;	/* the receiver's: what the state knows */

	/* the thread's own: commit times of the transactions that the next commit makes visible */
	wm_usec			 waiting[LATENCY_SAMPLES];
	size_t			 nwaiting;
};

struct wm_pipeline {
	struct wm_setup		*setup;
	struct wm_state		*state;
	struct wm_receipts	*receipts;	/* NULL: off; as long as the workers */
	bool			 once;
	int			 fd;
	wm_usec			 started;
	uint8_t			 mask_key[64];
	size_t			 mask_key_len;
	size_t			 nsources, nworkers;
	struct source		**sources;
	struct worker		**workers;
	pthread_mutex_t		 lock;		/* setup and the arrays above, which a reload swaps */
	pthread_mutex_t		 stats_lock;
	struct rule_stats	*stats;		/* guarded by stats_lock; entries stay */
	pthread_mutex_t		 views_lock;
	struct view_claim	*views;		/* guarded by views_lock; of sources with several lanes */
	atomic_bool		 stopping;
	pthread_mutex_t		 progress_lock;
	pthread_cond_t		 progress;	/* a worker has come further */
	unsigned		 waiters;	/* guarded by progress_lock, as watch_stop is */
	struct wm_alerts	*alerts;	/* NULL: nobody wants to know */
	pthread_t		 watch;
	bool			 watch_runs, watch_stop;
	pthread_cond_t		 watch_changed;
};

/* ---- watch.c: what needs an operator ---- */

enum wm_status watch_start(struct wm_pipeline *p, struct wm_error *err);
/* Looks a last time; before the other threads are stopped. */
void watch_stop(struct wm_pipeline *p);

/* Something changed that may change the phase. */
void pipeline_notice(struct wm_pipeline *p);
/* A position advanced: those who wait for one look again. */
void pipeline_progress(struct wm_pipeline *p);
struct rule_stats *pipeline_stats(struct wm_pipeline *p, const char *rule);	/* NULL: memory out */
/* The worst of its lanes. */
enum rule_state stats_state(const struct rule_stats *stats);
void stats_set_error(struct rule_stats *stats, const char *text);		/* NULL clears it */
struct wm_plan_env pipeline_plan_env(const struct wm_pipeline *p, const struct source *s);

/* Frees what it holds. */
void request_clear(struct request *r);
enum wm_status worker_create(struct wm_pipeline *p, struct source *s, const struct wm_target *model,
    struct worker **ret, struct wm_error *err);
enum wm_status worker_start(struct worker *w, struct wm_error *err);
void worker_announce_stop(struct worker *w);
/* Joins the thread, which ends at a transaction's boundary with everything committed. */
void worker_stop(struct worker *w);
void worker_destroy(struct worker *w);
/* The worker's SQL connection to the source, connected when needed. */
enum wm_status worker_sql(struct worker *w, struct wm_error *err);
/*
 * The same, in a state that sees the transaction at work.  The stream may bring a transaction before other
 * sessions see it: PostgreSQL writes the commit first and ends the transaction later (much later when it
 * waits for a synchronous standby).
 */
enum wm_status worker_sql_now(struct worker *w, struct wm_error *err);
/* The same, once it sees every transaction that has been read; WM_RETRY (code "later"): it does not yet. */
enum wm_status worker_sql_all(struct worker *w, struct wm_error *err);
/* Whether a snapshot ("xmin:xmax:xip") sees every transaction that has been read. */
bool worker_sees_all(const struct worker *w, const char *visible);
bool worker_stopping(const struct worker *w);
/* Whether the lane has the table, "schema.table". */
bool worker_takes(const struct worker *w, const char *table);
/* What it adds to a rule. */
struct rule_share *worker_share(const struct worker *w, struct rule_stats *stats);
/* What status shows of the target; err NULL with WORKER_OK. */
void worker_set_error(struct worker *w, enum worker_state state, const struct wm_error *err);
/* WM_RETRY with the text and, behind it, the target's last error, if it has one. */
enum wm_status worker_fail(struct worker *w, struct wm_error *err, const char *fmt, ...) WM_PRINTF(3, 4);
/* What instances of its target may ask of it. */
struct wm_target_host worker_host(struct worker *w);
/* Sleeps until a moment (wm_clock_mono), w->changed, or stop. */
void worker_rest(struct worker *w, wm_usec until);
/* Recomputes the states that status shows for the rules of this worker. */
void worker_show_rules(struct worker *w);
/* The hold of a rule, or NULL. */
/* What ended after from comes again: from the journal, or from the source when it is not kept there. */
void worker_replay(struct worker *w, wm_lsn from);
/* Does what w->wanted asks for.  Between two transactions; a failure is the session's, and the asker's. */
enum wm_status worker_serve(struct worker *w, struct wm_error *err);
struct hold *worker_hold(struct worker *w, const struct wm_rule *rule);
/* The rule stops here, at the last committed position. */
enum wm_status worker_add_hold(struct worker *w, const struct wm_rule *rule, enum hold_why why, struct wm_error *err);

/* The rule's seed has ended, or was given up: its changes come again, unless it is paused by now. */
enum wm_status worker_end_seeding(struct worker *w, const struct wm_rule *rule, struct wm_error *err);

/* ---- routes: what becomes of a relation's changes (route.c) ---- */

struct route_plan {
	struct wm_plan	*plan;
	struct unit	*unit;
	bool		 ensured;
};

struct route {
	uint32_t		 oid;
	const struct wm_relation *announced;	/* the decoder's, until it announces the relation again */
	struct wm_relation	*rel;		/* as the stream announced it, completed */
	wm_lsn			 only;		/* good for this transaction: a rule that skips it has no plan; 0 for all */
	size_t			 nplans;
	struct route_plan	*plans;
	UT_hash_handle		 hh;
};

/* The route of a relation as announced; made or made again when the relation differs. */
enum wm_status route_get(struct worker *w, const struct wm_relation *announced, struct route **ret,
    struct wm_error *err);
void routes_forget(struct worker *w);
/* The decoder's relation oid (0: every one) is another object from now on. */
void routes_announced(struct worker *w, uint32_t oid);
/* The plan that the stream's changes of the unit go through; compiled into own, which is freed, when none came yet. */
enum wm_status route_plan_of(struct worker *w, struct unit *u, struct route_plan *own, struct route_plan **ret,
    struct wm_error *err);
/* Before every write: views that the batch needs exist. */
enum wm_status route_ensure(struct worker *w, struct route_plan *rp, struct wm_error *err);

/* ---- one row on demand (row.c) ---- */

/* Between two transactions.  WM_REJECT: the caller's mistake, or the row's; WM_RETRY and WM_FATAL: the session's. */
enum wm_status row_write(struct worker *w, const char *rule, struct wm_row_call *call, struct wm_error *err);

/* WM_REJECT: the rule takes several tables. */
enum wm_status row_needs_table(const char *rule, struct wm_error *err);

/* ---- columns (columns.c) ---- */

/* The signature of the columns that a rule reads; malloc'd, NULL when memory is out. */
char *columns_signature(const struct wm_relation *rel, const bool *needed);
/* Notes the catalog's numbers of the columns; true when a name may stand for another column than before. */
bool columns_replaced(struct unit *u, const struct wm_relation *rel, const bool *needed);
/* The signature now, and what of old (or NULL) is gone; malloc'd, NULL when memory is out. */
char *columns_merge(const char *old, const char *now);
/* Whether the plan's relation has other columns than were seen last; false when none were. */
enum wm_status columns_differ(const struct unit *u, const struct wm_plan *plan, bool *ret, struct wm_error *err);
/*
 * The columns of a unit's table are the plan's relation's now: notes them, and has the rows read again
 * when the view may lack values that the stream does not bring.
 */
enum wm_status columns_follow(struct worker *w, struct unit *u, const struct wm_plan *plan, struct wm_error *err);
/* ---- a thread that writes while its worker gathers (ahead.c) ---- */

struct ahead;

struct ahead *ahead_create(struct worker *w);	/* NULL: memory is out */
void ahead_destroy(struct ahead *a);		/* waits for what is under way; NULL is a no-op */
/*
 * The batch is being written when it returns, and *batcher another, empty one.  False: it cannot be now, nothing has
 * changed.  The target is not to be used until ahead_wait has returned.
 */
bool ahead_start(struct ahead *a, struct batcher **batcher);
bool ahead_done(const struct ahead *a);
/* Waits for it, and returns what the target's write did; the batch is there until it is cleared. */
enum wm_status ahead_wait(struct ahead *a, const struct wm_batch **ret, size_t *ret_bad, struct wm_error *err);
void ahead_clear(struct ahead *a);

/* ---- following the journal (follow.c) ---- */

/* Until the worker is to stop, or the target fails. */
enum wm_status worker_follow(struct worker *w, struct wm_error *err);
/* Everything since the last commit comes again: from memory, or from the source. */
void worker_go_back(struct worker *w);

/* ---- applying (apply.c) ---- */

/* Whether the unit has the transaction at work still to come. */
bool apply_wants(struct worker *w, const struct unit *u);
/* One decoded message.  WM_REJECT: the rule w->delivery.failed_rule stops. */
enum wm_status apply_message(struct worker *w, const struct wm_message *m, struct wm_error *err);

/* ---- writing and committing (commit.c) ---- */

/* Writes what is pending, within the open transaction; its values stay. */
enum wm_status apply_write(struct worker *w, struct wm_error *err);
/* The same, and they go. */
enum wm_status apply_flush(struct worker *w, struct wm_error *err);
/* Whether full batches may be written ahead: whatever a commit says besides the position goes the ordinary way. */
bool apply_may_run_ahead(const struct worker *w);
/*
 * The batch is full: it is written while the next one gathers, if that may be; else, within a transaction of the source,
 * now.  whole: it ends with the last boundary, and is committed when it has been written.
 */
enum wm_status apply_hand_over(struct worker *w, bool whole, struct wm_error *err);
/*
 * What is written ahead has been when it returns, and is committed if it was whole.  To be called before the target is
 * used.  WM_REJECT: something of it was refused; all since the last commit is to come again, the ordinary way.
 */
enum wm_status apply_land(struct worker *w, struct wm_error *err);
/* What is written ahead has ended when it returns, whatever became of it: a rollback is to follow. */
void apply_abandon(struct worker *w);
#define APPLY_SOFT_MAX WM_SEC	/* until what was committed soon is made to last */

/* Commits at the last boundary, with bookmarks; only outside a source transaction.  All is durable then. */
enum wm_status apply_commit(struct worker *w, struct wm_error *err);
/* The same without a wait for the target's disk, where that may be: the journal keeps what is committed so for a while. */
enum wm_status apply_commit_soon(struct worker *w, struct wm_error *err);
/* How far the source may be told: the slowest of the stream and the rules that hold. */
void report_position(struct worker *w);
/* Forgets everything since the last commit. */
void apply_rollback(struct worker *w);

/* ---- what waits for its time (gather.c) ---- */

/* A change of the rule waits from now on. */
void gather_note(struct worker *w, const struct wm_view *view, struct rule_stats *stats);
/* So much of the rule's view waits, and so many bytes of all. */
void gather_crowd(struct worker *w, const struct wm_rule *rule, size_t rows, size_t bytes);
/* Nothing does any more of that priority and above. */
void gather_forget(struct worker *w, enum wm_priority least);
/* When something is to be written next (wm_clock_mono). */
wm_usec gather_due(struct worker *w);
/* Between two transactions, nothing uncommitted: writes what is due, and commits if that is all. */
enum wm_status gather_write(struct worker *w, struct wm_error *err);

/* ---- seeding (units.c, seeder.c) ---- */

struct unit *unit_create(const struct wm_rule *rule, struct rule_stats *stats, const struct wm_relation *rel);
void unit_destroy(struct unit *u);
/* Takes over the source's current tableset: new units, gone units. */
enum wm_status units_refresh(struct worker *w, struct wm_error *err);
/* Columns that were altered without a change of a row: the stream is silent about them. */
enum wm_status units_check_columns(struct worker *w, struct wm_error *err);
/* Partitions that came or went, as the tableset has them; the stream has passed that look. */
enum wm_status partitions_follow(struct worker *w, struct unit *u, const struct matched *m,
    const struct tableset *tables, struct wm_error *err);
/* Whether rows that a seed has read are not among the leaves' any more, as those are now; the stream does not say so. */
bool partitions_lost(const struct unit *u, const struct leaf_progress *list, size_t n);
void partitions_begin_again(struct unit *u);
struct unit *units_find(struct worker *w, const struct wm_rule *rule, uint32_t oid,
    const char *schema, const char *name);
/* The first of an oid, of which `alike` are the others; NULL: none. */
struct unit *units_with(const struct worker *w, uint32_t oid);
void units_free(struct worker *w);
bool units_settled(const struct worker *w);
/* The relation that a seed reads by, as it was at lsn; an older one than is known is not taken. */
enum wm_status unit_take_relation(struct unit *u, const struct wm_relation *rel, wm_lsn lsn, struct wm_error *err);
/* From the start again, over a view that holds rows. */
void unit_restart(struct unit *u);
/* A part of the rows has been seeded. */
bool unit_has_progress(const struct unit *u);
/* All of them have been. */
bool unit_complete(const struct unit *u);
/* Changes pass it by from now on: a view that holds rows (left_rows: of this batch) is emptied before it comes back. */
void unit_fail(struct unit *u, bool left_rows);
/* Seeds all units side by side; only before the worker streams. */
enum wm_status seed_bulk(struct worker *w, struct wm_error *err);
/* One batch of one late unit, between two source transactions; *ret_did false: none is due, or it has to wait. */
enum wm_status seed_step(struct worker *w, bool *ret_did, struct wm_error *err);

/* ---- late seeds that are put aside (seed_stage.c) ---- */

/* The rule that has one; or NULL. */
const struct wm_rule *staging_rule(const struct worker *w);
/* Whether the unit's seed is to be one. */
bool staging_wanted(const struct worker *w, const struct unit *u);
/* Between two transactions.  w->staging is set afterwards, unless *ret_later, or the target cannot do it. */
enum wm_status staging_begin(struct worker *w, struct unit *u, bool *ret_later, struct wm_error *err);
/* The next range, or the end. */
enum wm_status staging_step(struct worker *w, struct wm_error *err);
/* Given up, to begin again; NULL is a no-op.  Between two transactions. */
enum wm_status staging_drop(struct worker *w, struct wm_error *err);
/* It takes more of the journal than there is: the session ends, and the view is emptied and filled instead. */
enum wm_status staging_give_up(struct worker *w, struct wm_error *err);
/* The same when the session has ended: the target has given it up. */
void staging_free(struct worker *w);

/* ---- dead letters again (retry.c) ---- */

/*
 * Tries letters of a rule again, between two transactions, and commits what was taken.  The results say what
 * became of each; another status than WM_OK is the session's, and the letters are as they were.
 */
enum wm_status retry_letters(struct worker *w, const char *rule, struct wm_retry_result *letters, size_t n,
    struct wm_error *err);
/* Those that rules have tried again by themselves, as far as they are due. */
enum wm_status retry_due(struct worker *w, struct wm_error *err);

/* ---- tables and views that go from lane to lane (takeover.c) ---- */

/* Once a session: reads which bookmarks the target has of other lanes.  Not in an open transaction of the target's. */
enum wm_status elsewhere_load(struct worker *w, struct wm_error *err);
void elsewhere_forget(struct worker *w);
/* Whether another lane has, or had, a bookmark of this name; of a hold: whether the rule is paused in the first lane. */
bool elsewhere_known(const struct worker *w, const char *name);
/* Whether a lane has left the unit's view without its key, or had at some time. */
bool elsewhere_bare(const struct worker *w, const char *name);
/* Other lanes that may take their bookmark of a unit for good when the table comes back to them: which, as bits. */
unsigned elsewhere_lanes(const struct worker *w, const struct unit *u, const char *name);
/*
 * The view is the worker's from now on, until views_keep is called without it having been claimed.  *ret_mine false:
 * another lane still writes it, and has the catalog read again when it does no more.  *ret_taken: another wrote it last.
 */
enum wm_status views_claim(struct worker *w, const char *view, bool *ret_mine, bool *ret_taken, struct wm_error *err);
/* Lets go what was not claimed since the last call. */
void views_keep(struct worker *w);
void views_forget(struct wm_pipeline *p);

/* ---- bookmarks (bookmarks.c; those of a unit: bookmark_unit.c) ---- */

/* malloc'd JSON; NULL when memory is out. */
char *bookmark_unit(const struct unit *u);	/* the unit's lock is held, or nobody seeds */
char *bookmark_unit_name(const struct unit *u);
/*
 * Reads everything a target remembers of this source into the worker, and checks that it fits
 * the source and what we know.  WM_OPERATOR: the target is not the one we wrote to.
 */
enum wm_status bookmarks_load(struct worker *w, struct wm_error *err);
void bookmarks_forget(struct worker *w);
/* What the target has of a lane of the source. */
enum wm_status bookmarks_read(struct worker *w, const char *source, wm_bookmark_fn *fn, void *arg,
    struct wm_error *err);
/* The unit is gone: should it come back, it is a new one. */
enum wm_status bookmark_drop_unit(struct worker *w, const struct unit *u, struct wm_error *err);
bool bookmark_is_bare(const char *value);
/* Whether a bookmark of a lane concerns others. */
bool bookmark_outlives(const char *name, const char *value, unsigned lane);
/* The unit writes its view from now on; *ret_foreign: over rows of another unit, or of its own from another time. */
enum wm_status bookmark_claim_view(struct worker *w, const struct unit *u, bool *ret_foreign, struct wm_error *err);
void bookmark_leave_view(struct worker *w, const struct unit *u);
/* How many rows that the source no longer has a rule leaves in its view: none, marked ones, any. */
int leaves_behind(const struct wm_rule *rule);
/* Gives a unit what its bookmark says; false when there is none that fits. */
bool bookmark_apply(struct worker *w, struct unit *u);
/* Commits the target's transaction with these bookmarks (or stores them for a target that keeps none). */
enum wm_status bookmarks_commit(struct worker *w, struct wm_target *t, const struct wm_bookmark *list, size_t n,
    struct wm_error *err);
/*
 * Commits with the checkpoint at commit, end and every other bookmark that is due; soon: with the checkpoint alone.
 * with: soon, and in one step with this batch (write_commit of struct wm_target_ops); or NULL.
 */
enum wm_status bookmarks_commit_all(struct worker *w, wm_lsn commit, wm_lsn end, bool soon, const struct wm_batch *with,
    struct wm_error *err);

#endif
