/* SPDX-License-Identifier: PostgreSQL */
/*
 * zoho.h - what the parts of the zoho_analytics back-end share.
 *
 * An instance is one thread's way to Zoho.  What must be one for all instances of an organisation (the token, calls a
 * minute, units a day, what is known of views) is an account: it belongs to the process, so that neither the seeders
 * of a rule nor a second source make tokens of their own.
 */
#ifndef WM_ZOHO_H
#define WM_ZOHO_H

#include <pthread.h>

#include "answer.h"
#include "cell.h"
#include "csv.h"
#include "quota.h"
#include "token.h"
#include "walmill/diag.h"
#include "walmill/http.h"
#include "walmill/target.h"

#define WM_ZOHO_CONFIG_MAX 90000	/* bytes of CONFIG: Zoho takes 100,000 characters */

/* ---- views as Zoho has them ---- */

struct wm_zoho_column {
	char			*name;		/* as Zoho spells it */
	enum wm_zoho_type	 type;		/* WM_ZOHO_UNKNOWN: some other */
};

struct wm_zoho_view {
	char			*name;		/* as the rule has it: a name, or an id */
	char			*id;		/* NULL: not looked up (any more) */
	size_t			 ncolumns;
	struct wm_zoho_column	*columns;
	bool			 no_stage;	/* a batch import was refused: it is filled in the other way */
	pthread_mutex_t		 writing;	/* an import locks the table: one writer at a time */
	wm_usec			 begun;		/* wall: the first batch of an import is on its way; 0 none */
	atomic_llong		 lost;		/* of that time: its answer was lost, the table may be locked; 0 no */
	wm_usec			 look;		/* mono: whether it is, not before */
	struct wm_zoho_view	*next;
};

/* ---- accounts ---- */

struct wm_zoho_account {
	char				*name;	/* what tells accounts apart; holds a hash of the refresh token */
	struct wm_zoho_account		*next;
	pthread_mutex_t			 token_lock;	/* one flight at a time */
	struct wm_zoho_token		 token;
	wm_usec				 keep_token;	/* mono: a new one was refused as well; none is made for that before */
	pthread_mutex_t			 lock;	/* guards all below */
	wm_usec				 made;	/* wall */
	struct wm_zoho_quota		 quota;
	wm_usec				 plan_read;	/* mono: when the plan was last asked for; 0 never */
	char				*org, *workspace;	/* ids; NULL: not looked up yet */
	struct wm_zoho_jobs		*jobs;	/* of the organisation; set with its id */
	wm_usec				 no_callback;	/* mono: Zoho did not take "callback_url"; it is not given before */
	struct wm_zoho_view		*views;	/* entries stay; id and columns change under `writing`, too */
	struct wm_zoho_converted	 converted;
};

struct wm_zoho {
	struct wm_target	 base;
	/* options */
	char	*org, *workspace;
	int	 data_center;
	char	*api_url, *accounts_url;	/* NULL: those of the data centre */
	char	*client_id, *client_secret, *refresh_token, *token_cache;
	char	*ca_file, *callback_url;
	int64_t	 timeout, import_timeout, flush_interval, flush_interval_max, poll_interval;
	uint64_t sync_max, job_max;
	int64_t	 rate_dml, rate_bulk, rate_metadata, rate_overall;
	int64_t	 units_per_day, units_retry, day_begins;
	int64_t	 count_max;
	char *price_row, *price_delete, *price_upsert, *price_replace, *price_export,
	    *price_metadata, *price_modeling;
	bool	 config_in_url;
	char	*true_word, *false_word, *empty_text, *time_zone;
	int	 unfit;
	int64_t	 decimal_digits;
	/* of the open instance */
	struct wm_http		*http;
	char			*own_cache;	/* file of the access token where "token_cache" names none; or NULL */
	struct wm_zoho_stage	*stages;
	struct wm_zoho_account	*account;	/* borrowed of the process */
	struct wm_zoho_policy	 policy;
	unsigned		 probed;	/* bits: what check has looked at */
	bool			 told_units;
	double			 units_kept;	/* as of the last time that they were */
	wm_usec			 units_kept_at;	/* mono; 0 never */
	struct {
		double row, delete, upsert, replace, export, metadata, modeling;
	} price;
};

/* ---- account.c ---- */

/* The account of the instance's options; made at the first call.  NULL: memory out. */
struct wm_zoho_account *wm_zoho_account_of(const struct wm_zoho *z);
/* The view by the rule's name for it; made, without an id, when it is new.  NULL: memory out. */
struct wm_zoho_view *wm_zoho_view_of(struct wm_zoho_account *a, const char *name);
/* What is known of it is out of date. */
void wm_zoho_view_forget(struct wm_zoho_view *v);
/* By name, in whatever case: Zoho does not tell upper from lower.  NULL: none. */
const struct wm_zoho_column *wm_zoho_view_column(const struct wm_zoho_view *v, const char *name);
const char *wm_zoho_api_url(const struct wm_zoho *z);
const char *wm_zoho_accounts_url(const struct wm_zoho *z);
struct wm_zoho_login wm_zoho_login_of(const struct wm_zoho *z);

/* ---- callback.c: Zoho tells that a job has ended ---- */

struct wm_zoho_callback;

/* An address for one job, as long as it is open.  NULL: there is no "callback_url", or none that Zoho takes. */
struct wm_zoho_callback *wm_zoho_callback_open(const struct wm_zoho *z);
void wm_zoho_callback_close(struct wm_zoho_callback *c);	/* NULL is a no-op */
/* CONFIG with the address; malloc'd, NULL: memory out. */
char *wm_zoho_callback_config(const struct wm_zoho *z, const struct wm_zoho_callback *c, const char *config);
/* From any thread: the last word of an address was called.  False: nobody waits for that. */
bool wm_zoho_callback_take(const char *token);
/* Sleeps until somebody has called, at most for usec; c may be NULL. */
enum wm_status wm_zoho_callback_rest(struct wm_zoho *z, struct wm_zoho_callback *c, wm_usec usec, bool *ret_said,
    struct wm_error *err);
/* Whether Zoho has taken the address, as far as is known. */
bool wm_zoho_callback_works(const struct wm_zoho *z);
/* Whether the answer says that it does not; that is noted, then. */
bool wm_zoho_callback_refused(struct wm_zoho *z, const struct wm_zoho_answer *a);

/* ---- call.c ---- */

struct wm_zoho_call {
	const char		*what;		/* for messages: "import into view \"orders\"" */
	const char		*method;
	enum wm_zoho_class	 class;
	const char		*path;		/* behind /restapi/v2 */
	const char		*config;	/* JSON; NULL none */
	struct wm_zoho_callback	*callback;	/* whose address CONFIG gets, unless Zoho does not take it; NULL none */
	const char		*csv;		/* the file of a multipart request; NULL none */
	size_t			 csv_len;
	double			 units;		/* what it costs, as far as is known */
	wm_usec			 timeout;
	bool			 no_org;	/* without the organisation's header */
	bool			 file;		/* the answer is a CSV file, unless it is a failure */
	bool			 free;		/* may be called when the day's units are used up */
	bool			 once;		/* never sent twice unseen */
	bool			 no_wait;	/* a table that is taken is an answer */
};

/*
 * Makes the call: waits for its turn, gets a token, repeats it when the token is refused (once), the table is busy or
 * the minute is full.  WM_OK: there is an answer, maybe of a failure, which the caller frees.  WM_RETRY: there is none.
 */
enum wm_status wm_zoho_call(struct wm_zoho *z, const struct wm_zoho_call *call, struct wm_zoho_answer *ret,
    struct wm_error *err) WM_MUST_CHECK;
/* The same; any failure is an error. */
enum wm_status wm_zoho_ask(struct wm_zoho *z, const struct wm_zoho_call *call, struct wm_zoho_answer *ret,
    struct wm_error *err) WM_MUST_CHECK;
/* Sleeps; WM_RETRY when the instance is to stop. */
enum wm_status wm_zoho_rest(struct wm_zoho *z, wm_usec usec, struct wm_error *err);

/* ---- units.c ---- */

/* The day's units that an earlier process has used count on. */
enum wm_status wm_zoho_units_restore(struct wm_zoho *z, struct wm_error *err);
/* Keeps the number, if it has changed and was not kept just now; now: in any case. */
void wm_zoho_units_keep(struct wm_zoho *z, bool now);

/* ---- metadata.c ---- */

/* Ids of organisation and workspace are known afterwards. */
enum wm_status wm_zoho_find_place(struct wm_zoho *z, struct wm_error *err);
/* Reads the plan's units, unless the configuration says them or the account may not know; at most once an hour. */
void wm_zoho_read_plan(struct wm_zoho *z);
/* Looks the view up, with its columns; v->id is NULL afterwards when there is none. */
enum wm_status wm_zoho_view_read(struct wm_zoho *z, struct wm_zoho_view *v, struct wm_error *err);
enum wm_status wm_zoho_view_create(struct wm_zoho *z, struct wm_zoho_view *v, const struct wm_view *view,
    struct wm_error *err);
/* Adds what view has and v has not. */
enum wm_status wm_zoho_view_extend(struct wm_zoho *z, struct wm_zoho_view *v, const struct wm_view *view,
    struct wm_error *err);

/* ---- ensure.c ---- */

enum wm_status wm_zoho_ensure(struct wm_zoho *z, const struct wm_view *view, enum wm_found *ret_found,
    struct wm_error *err);
enum wm_status wm_zoho_preflight(struct wm_zoho *z, const struct wm_view *view, struct wm_diags *findings,
    struct wm_error *err);

/* ---- probe.c ---- */

/* Scopes that lack, and units, each once for an instance; v is the view at hand. */
enum wm_status wm_zoho_probe(struct wm_zoho *z, const struct wm_zoho_view *v, const char *subject,
    struct wm_diags *findings, struct wm_error *err);

/* ---- write.c: what is written to one view ---- */

/* A view at work: its columns in the order of the pipeline's view. */
struct wm_zoho_sink {
	struct wm_zoho			*z;
	const struct wm_view		*view;
	struct wm_zoho_view		*to;
	const struct wm_zoho_column	**columns;
	const char			**key_names;
	enum wm_zoho_type		*key_types;
	bool				 bad_view;	/* set with WM_FATAL: only this view is concerned */
	size_t				 bad;		/* row at fault, or WM_BAD_UNKNOWN */
	double				 units;		/* spent */
	size_t				 rows;		/* written */
};

/* A sink for the view, locked, until wm_zoho_sink_close. */
enum wm_status wm_zoho_sink_open(struct wm_zoho_sink *s, struct wm_zoho *z, const struct wm_view *view,
    struct wm_error *err);
void wm_zoho_sink_close(struct wm_zoho_sink *s);
enum wm_status wm_zoho_write(struct wm_zoho *z, const struct wm_batch *batch, size_t *ret_bad, struct wm_error *err);
/* The cell of a column of the view. */
enum wm_status wm_zoho_sink_cell(const struct wm_zoho_sink *s, unsigned column, const struct wm_value *value,
    struct wm_zoho_cell *ret, struct wm_error *err);
/* A column that was there has gone: WM_RETRY, and the view is looked up again. */
enum wm_status wm_zoho_sink_stale(struct wm_zoho_sink *s, struct wm_error *err);
/* An answer that is a failure: status, text, and whose fault it is. */
enum wm_status wm_zoho_sink_fail(struct wm_zoho_sink *s, const struct wm_zoho_answer *a, const char *what,
    struct wm_error *err);

/* ---- jobs.c: places for import jobs, so many for an organisation ---- */

/* By the organisation's id, for all accounts in it.  NULL: memory out. */
struct wm_zoho_jobs *wm_zoho_jobs_of(const char *api_url, const char *org);
void wm_zoho_jobs_count(struct wm_zoho_jobs *j, unsigned *ret_open, unsigned *ret_waiting);
/* Takes a place, if there is one: for a job, or for a batch import, which keeps it until it ends. */
bool wm_zoho_job_try(struct wm_zoho *z, bool batch);
/* Waits for one. */
enum wm_status wm_zoho_job_begin(struct wm_zoho *z, bool batch, struct wm_error *err);
void wm_zoho_job_end(struct wm_zoho *z, bool batch);
/* Nobody waits for the job any more: its place is free when Zoho says that it has ended. */
void wm_zoho_job_leave(struct wm_zoho *z, bool batch, const char *id);
/* What status shows of those that wait. */
void wm_zoho_job_waits(struct wm_zoho *z, bool waits);

/* ---- import.c ---- */

/* Rows on their way, as one file. */
struct wm_zoho_load {
	struct wm_zoho_sink	*s;
	struct wm_zoho_csv	 csv;
	size_t			*rows;		/* index of the row of each line behind the header; NULL: nobody asks */
	size_t			 n;
	bool			 replace;	/* in place of everything that is there */
	bool			 ended;		/* its job has; of none: nothing goes on at Zoho */
	struct wm_zoho_callback	*callback;	/* tells of that end; or NULL */
};

void wm_zoho_load_free(struct wm_zoho_load *l);
void wm_zoho_import_header(struct wm_zoho_load *l);
enum wm_status wm_zoho_import_row(struct wm_zoho_load *l, const struct wm_row *row, struct wm_error *err);
/* Whatever is in the CSV; empties it. */
enum wm_status wm_zoho_import_send(struct wm_zoho_load *l, struct wm_error *err);
/* Until the job has ended, and has stored l->n rows. */
enum wm_status wm_zoho_import_wait(struct wm_zoho_load *l, const char *job, double units, struct wm_error *err);
/* What Zoho says of a job; which is what wm_zoho_job_runs is asked about. */
enum wm_status wm_zoho_job_look(struct wm_zoho *z, const char *workspace, const char *job, struct wm_zoho_answer *ret,
    struct wm_error *err);
bool wm_zoho_job_runs(const struct wm_zoho_answer *a);
/* CONFIG of an import, or of the first batch of one; malloc'd, NULL: memory out. */
char *wm_zoho_import_config(const struct wm_zoho_load *l, char comment_char, bool first_batch);

/* The upserts among the rows, by imports; replace: in place of everything that is there. */
enum wm_status wm_zoho_import(struct wm_zoho_sink *s, const struct wm_row *rows, size_t n, bool replace,
    struct wm_error *err);

/* ---- stage.c: a view that a seed fills anew, unseen until it is whole ---- */

struct wm_zoho_stage;

/* Whether this instance has batch imports open. */
bool wm_zoho_stages_open(const struct wm_zoho *z);
enum wm_status wm_zoho_stage_begin(struct wm_zoho *z, const struct wm_view *view, struct wm_error *err);
/* WM_RETRY, code "later": it has no place among the organisation's jobs yet. */
enum wm_status wm_zoho_stage_ready(struct wm_zoho *z, struct wm_zoho_stage *stage, struct wm_error *err);
/* NULL: rows of the view are written as usual. */
struct wm_zoho_stage *wm_zoho_stage_of(const struct wm_zoho *z, const struct wm_view *view);
enum wm_status wm_zoho_stage_add(struct wm_zoho_stage *stage, struct wm_zoho_sink *s, const struct wm_row *rows,
    size_t n, struct wm_error *err);
enum wm_status wm_zoho_stage_end(struct wm_zoho_stage *stage, struct wm_zoho_sink *s, struct wm_error *err);
/* Gives it up, and ends its batch import. */
enum wm_status wm_zoho_stage_drop(struct wm_zoho_stage *stage, struct wm_zoho *z, struct wm_error *err);
/* What was put aside is given up; batch imports stay open until they are abandoned. */
void wm_zoho_stages_free(struct wm_zoho *z);
/* Ends the batch imports that an earlier session, or process, has left open: they keep their tables locked. */
enum wm_status wm_zoho_stages_abandon(struct wm_zoho *z, struct wm_error *err);

/* ---- lost.c: tables that an import whose first answer was lost keeps locked ---- */

/* Durable before the first batch of one is sent; v is locked, here and below. */
enum wm_status wm_zoho_lost_note(const struct wm_zoho *z, struct wm_zoho_view *v, struct wm_error *err);
/* There was no answer that says what became of it. */
void wm_zoho_lost_answer(struct wm_zoho_view *v);
/* The key is known, or there is none. */
enum wm_status wm_zoho_lost_over(struct wm_zoho *z, struct wm_zoho_view *v, struct wm_error *err);
/* What an earlier process has noted. */
enum wm_status wm_zoho_lost_load(struct wm_zoho *z, struct wm_error *err);
/* WM_RETRY with the text for a view that is locked like this. */
enum wm_status wm_zoho_lost_fail(const struct wm_zoho *z, const struct wm_zoho_view *v, const char *code,
    struct wm_error *err);
/* WM_RETRY, code "later": the view, which is not locked by us, still is by Zoho; the host has been told. */
enum wm_status wm_zoho_lost_look(struct wm_zoho *z, const char *view, struct wm_error *err);
size_t wm_zoho_lost_count(const struct wm_zoho_account *a);	/* the account is locked */
/* ---- count.c ---- */

/* Rows of the view now; WM_REJECT: there ought to be more than is worth counting. */
enum wm_status wm_zoho_count(struct wm_zoho_sink *s, uint64_t expected, uint64_t *ret, struct wm_error *err);

/* ---- rows.c ---- */

enum wm_status wm_zoho_rows_empty(struct wm_zoho_sink *s, struct wm_error *err);
/* The deletes among the rows, many keys a call. */
enum wm_status wm_zoho_rows_delete(struct wm_zoho_sink *s, const struct wm_row *rows, size_t n, struct wm_error *err);
/* The partial updates among them: rows with the same new values in one call. */
enum wm_status wm_zoho_rows_update(struct wm_zoho_sink *s, const struct wm_row *rows, size_t n, struct wm_error *err);
/* The upserts among them, a call each. */
enum wm_status wm_zoho_rows_upsert(struct wm_zoho_sink *s, const struct wm_row *rows, size_t n, struct wm_error *err);

#endif
