/* SPDX-License-Identifier: PostgreSQL */
/*
 * target.h - the contract between the pipeline and a back-end.
 *
 * A back-end is a folder src/targets/<type>/ that exports one struct wm_target_ops, plus one
 * line in src/cli/targets.c.  It stores batches and says what became of them; retry, back-off,
 * splitting of refused batches, dead letters, batching and metrics are the pipeline's.
 *
 * Life of an instance, always in one thread at a time (it may move between calls):
 *
 *	create  open  load  { ensure | write }*  commit  ...  close  [open ...]  destroy
 *
 * ensure and write open a transaction when none is open; commit makes everything since then
 * durable together with the bookmarks (commit_soon visible, and durable with the next commit),
 * rollback forgets it.  A target without WM_TARGET_TRANSACTIONAL makes each write durable before it
 * returns, and stores no bookmarks (the pipeline keeps them in its own state): load, commit and
 * rollback are then NULL.
 *
 * After WM_RETRY or WM_FATAL from any call the transaction is gone; the pipeline calls close, then open
 * again.  After WM_REJECT from write the batch has had no effect and the transaction goes on; without
 * transactions, or where a target's options give them up, some of it may have been written, which the parts that are
 * delivered next write again.
 *
 * So there are three kinds of failure: later (WM_RETRY: the pipeline backs off, with jitter, for err->retry_after at
 * least), this batch cannot be (WM_FATAL: the target stops, or, with WM_BAD_VIEW, the rule alone), this row cannot
 * be (WM_REJECT: its rule's on_error).
 */
#ifndef WM_TARGET_H
#define WM_TARGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "walmill/bookmark.h"
#include "walmill/clock.h"
#include "walmill/diag.h"
#include "walmill/error.h"
#include "walmill/model.h"
#include "walmill/option.h"

enum wm_target_caps {
	WM_TARGET_TRANSACTIONAL = 1,	/* bookmarks commit with the data */
	WM_TARGET_PARTIAL = 2,		/* takes WM_ROW_UPDATE; else the pipeline reads the row again */
	WM_TARGET_PARALLEL = 4,		/* several instances may write at the same time */
};

/* No "unknown index" from write. */
#define WM_BAD_UNKNOWN ((size_t)-1)
/* Plus the index of a view in the batch: that view cannot be written at all. */
#define WM_BAD_VIEW (WM_BAD_UNKNOWN / 2)

struct wm_target;

enum wm_found {			/* of a view, before it was ensured */
	WM_FOUND_NONE,		/* it has no rows */
	WM_FOUND_SOME,		/* columns were missing: its rows have no value in those */
	WM_FOUND_ALL,
};

struct wm_fact {		/* a number that a target has to tell, for status and metrics */
	const char	*name;		/* "units_left"; stays */
	double		 value;
	const char	*help;		/* one line */
	bool		 counter;	/* only ever grows, from the start of the process */
};
#define WM_FACTS_MAX 24

/*
 * Rows of a source that is a PostgreSQL server, in the binary form of COPY and with the view's columns in order, for a
 * target that takes them without a look: the types of the view's columns are those of the source.
 */
struct wm_passage {
	int		 version;	/* of the source's server: 150003 */
	/* The next piece, cut anywhere, valid until the next call; *ret_len 0: the end. */
	enum wm_status	(*next)(void *arg, const char **ret, size_t *ret_len, struct wm_error *err);
	void		*arg;
};

enum wm_stage {			/* of a view that a seed fills anew, unseen until it is whole */
	WM_STAGE_BEGIN,
	WM_STAGE_READY,
	WM_STAGE_END,
	WM_STAGE_DROP,
};

struct wm_target_ops {
	const char		*type;		/* the word after "type:" */
	const char *const	*schemes;	/* URI schemes that `sync --target` takes; NULL-terminated */
	const char		*uri_option;	/* the option that the URI fills */
	bool			 uri_strip;	/* the URI loses "scheme:" before it fills the option */
	size_t			 size;		/* of the struct that embeds struct wm_target first */
	unsigned		 caps;		/* enum wm_target_caps */
	const struct wm_option	*options;	/* of the target's section, offsets into that struct */
	size_t			 batch_rows;	/* bounds of the stream's batches where a rule names none: */
	size_t			 batch_bytes;	/* where larger ones cost less a row; 0: as all others' */

	/* Connects.  Cheap when nothing is there: must not hang longer than its own connect time-out. */
	enum wm_status (*open)(struct wm_target *t, struct wm_error *err);
	/* Calls fn for every bookmark of source; makes the place where bookmarks are kept. */
	enum wm_status (*load)(struct wm_target *t, const char *source, wm_bookmark_fn *fn, void *arg,
	    struct wm_error *err);
	/*
	 * Makes the view exist with at least these columns and a unique key, in the open
	 * transaction: creates what is missing, adds columns, changes a column's type when the
	 * source's type changed and the values can follow.  Never drops a column.  Idempotent.
	 * WM_REJECT: the view cannot take these rows (an operator's table of another shape): the
	 * rule fails, others go on.
	 */
	enum wm_status (*ensure)(struct wm_target *t, const struct wm_view *view, enum wm_found *ret_found,
	    struct wm_error *err);
	/*
	 * Stores the whole batch or nothing.  Every view in it has been ensured.  WM_REJECT sets
	 * *ret_bad to the index of the row at fault, counted over the batch's views in order, or to
	 * WM_BAD_UNKNOWN: the pipeline then splits the batch.  WM_FATAL sets *ret_bad to WM_BAD_VIEW + i when
	 * only the view i is concerned (its table is gone, a privilege was taken away) and the connection is
	 * good: the pipeline rolls back, stops the view's rule and goes on with the others.
	 */
	enum wm_status (*write)(struct wm_target *t, const struct wm_batch *batch, size_t *ret_bad,
	    struct wm_error *err);
	/* Commits; n may be 0.  After WM_OK data and bookmarks survive a power loss. */
	enum wm_status (*commit)(struct wm_target *t, const struct wm_bookmark *bookmarks, size_t n,
	    struct wm_error *err);
	/*
	 * The same without a wait for the disk: readers see it, and a power loss may take it back, and every commit behind
	 * it, until commit has stored a bookmark, in whatever session.  NULL: each commit is to wait.
	 */
	enum wm_status (*commit_soon)(struct wm_target *t, const struct wm_bookmark *bookmarks, size_t n,
	    struct wm_error *err);
	/*
	 * write and commit_soon in one step, where that spares a way to the other side.  WM_REJECT: not for this batch, or
	 * something was refused; no transaction is open then, nothing has happened, and write says what is wrong.
	 * NULL: never.
	 */
	enum wm_status (*write_commit)(struct wm_target *t, const struct wm_batch *batch,
	    const struct wm_bookmark *bookmarks, size_t n, struct wm_error *err);
	void (*rollback)(struct wm_target *t);
	void (*close)(struct wm_target *t);	/* copes with a half-open instance and with being called twice */
	/*
	 * For `walmill check`, on an open instance, changing nothing: reports what would keep this
	 * view from being written (shape, privileges).  NULL: nothing to say.
	 */
	enum wm_status (*preflight)(struct wm_target *t, const struct wm_view *view, struct wm_diags *findings,
	    struct wm_error *err);
	/*
	 * BEGIN: upserts of the view, which has been ensured, are put aside from now on, unseen by readers; other rows
	 * are passed over.  READY: asked before the first of them, where several views are staged at a time; WM_RETRY
	 * with code "later": other views have to end first, ask again, without a lock that those need.  DROP: they are
	 * given up, for the rule stops.  END: they take the place of all rows of the view, in one step.  close gives them
	 * up, and so does WM_RETRY from write or END: the seed begins again.  WM_REJECT from BEGIN: not for this view,
	 * it is emptied first and then filled, as where this is NULL.
	 */
	enum wm_status (*stage)(struct wm_target *t, const struct wm_view *view, enum wm_stage what,
	    struct wm_error *err);
	/*
	 * Stores rows that the view, which has been ensured, does not have, all or nothing; *ret_rows: how many.  WM_REJECT:
	 * not for this view (next has not been called then), or one was refused: all is undone, and write judges each of
	 * them.  What next fails with is returned, and all is undone.  NULL: never.
	 */
	enum wm_status (*pass)(struct wm_target *t, const struct wm_view *view, const struct wm_passage *rows,
	    uint64_t *ret_rows, struct wm_error *err);
	/*
	 * Gives a view that was made `bare` its unique key, in the open transaction, unless it has it already; until then
	 * rows come by pass alone.  WM_REJECT: rows have the same key.  NULL: every view is made with its key.
	 */
	enum wm_status (*make_key)(struct wm_target *t, const struct wm_view *view, struct wm_error *err);
	/*
	 * Rows that the view has now, as the other side counts them.  Asked when a seed has ended and nothing else of
	 * ours has written to the view since; it ought to be `expected`.  WM_REJECT: counting costs too much.  No
	 * failure ends the session.  NULL: not asked.
	 */
	enum wm_status (*count)(struct wm_target *t, const struct wm_view *view, uint64_t expected, uint64_t *ret,
	    struct wm_error *err);
	/*
	 * For how long changes of rules of that priority are to gather before they are written, where each call has its
	 * price; asked before each write, and of every priority that has rules.  NULL: an idle stream writes at once.
	 */
	wm_usec (*pace)(struct wm_target *t, enum wm_priority priority);
	/*
	 * Fills at most max facts and returns how many.  Called on the model of an instance that runs, which is never
	 * opened, from any thread.  NULL: none.
	 */
	size_t (*facts)(const struct wm_target *t, struct wm_fact *ret, size_t max);
	/*
	 * The other side, or somebody who says so, calls POST /v1/callback/TOKEN of the HTTP API: true when an instance
	 * of this type has given that token out and waits.  It is no more than a hint to look now.  From any thread.
	 * NULL: none is given out.
	 */
	bool (*callback)(const char *token);
};

/*
 * Who runs an instance.  A call that waits (for its turn, for a job at the other side) does so through rest, which
 * shows that the thread lives and ends early, with false, when the instance is to stop; the call returns WM_RETRY then.
 */
struct wm_target_host {
	bool			(*rest)(void *arg, wm_usec usec);
	void			*arg;
	/*
	 * What a call waits for that is not its own to end (somebody else's jobs, say): log, status and alerts tell, as of
	 * a target that is tried again.  NULL: it goes on.
	 */
	void			(*waits)(void *arg, const char *text);
	const atomic_bool	*stop;
	const char		*folder;	/* for files of the target's own, which others may not read */
	/* A small text of the target's own (the key of a job, say), durable when it returns; NULL removes it. */
	enum wm_status		(*keep)(void *arg, const char *name, const char *text, struct wm_error *err);
	/* Those that are kept, also by an earlier process.  fn may not call back, nor wait for a lock. */
	enum wm_status		(*kept)(void *arg, wm_bookmark_fn *fn, void *fn_arg, struct wm_error *err);
};

/* Embedded first in each back-end's struct; filled by wm_target_create. */
struct wm_target {
	const struct wm_target_ops	*ops;
	char				*name;	/* of the targets: section */
	const struct wm_target_host	*host;	/* set before open; NULL: nobody to ask (check, tests) */
	bool				 lone;	/* no other instance writes meanwhile: it may use sessions of its own */
};

/* The registered back-ends, NULL-terminated; defined in src/cli/targets.c (and by tests). */
extern const struct wm_target_ops *const wm_targets[];

const struct wm_target_ops *wm_target_find(const struct wm_target_ops *const *list, const char *type);
/*
 * A new, closed instance with the options of model (an instance already filled by the
 * configuration reader), so that several connections can be made from one section.
 */
enum wm_status wm_target_clone(const struct wm_target *model, struct wm_target **ret, struct wm_error *err);
/* An instance with defaults only; the caller fills options by ops->options. */
enum wm_status wm_target_create(const struct wm_target_ops *ops, const char *name, struct wm_target **ret,
    struct wm_error *err);
/* Sleeps as the host says; false: the instance is to stop. */
bool wm_target_rest(struct wm_target *t, wm_usec usec);
/* Tells the host what is waited for, or NULL. */
void wm_target_waits(struct wm_target *t, const char *text);
void wm_target_destroy(struct wm_target *t);		/* closes; NULL is a no-op */
/*
 * What a target URI of `sync --target` or `init --target` names: fills the option of a new
 * instance.  WM_FATAL when no registered back-end has the scheme (the text lists them).
 */
enum wm_status wm_target_from_uri(const struct wm_target_ops *const *list, const char *uri, const char *name,
    struct wm_target **ret, struct wm_error *err);

#endif
