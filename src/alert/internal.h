/* SPDX-License-Identifier: PostgreSQL */
/*
 * internal.h - conditions, receivers, and the messages between them.
 */
#ifndef WM_ALERT_INTERNAL_H
#define WM_ALERT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

#include "walmill/alert.h"
#include "walmill/buf.h"
#include "walmill/http.h"

struct kind {
	const char	*name, *type;
	bool		 patient;	/* counts only after the receiver's `retrying` */
};

extern const struct kind alert_kinds[WM_ALERT_KINDS];

struct condition {
	char		*key;		/* "journal_full/shop" */
	const struct kind *kind;
	char		*object;
	char		*text;		/* why it stands, or stood last */
	size_t		 index;		/* of what receivers were told */
	bool		 active;
	bool		 seen;		/* in the round under way */
	uint64_t	 begun;		/* how often, ever */
	wm_usec		 began;		/* mono */
	wm_usec		 since, until;	/* wall */
	UT_hash_handle	 hh;
};

struct told {			/* to a receiver, of a condition */
	bool		 raised;
	wm_usec		 at;		/* mono; 0: never */
	uint64_t	 begun;		/* beginnings that it knows of */
};

struct receiver {
	struct wm_alerts	*alerts;
	struct wm_alert_config	 config;	/* its own copy */
	char			*name;		/* to be shown */
	pthread_t		 thread;
	bool			 runs;
	bool			 ended;		/* the thread has nothing more to do */
	bool			 followed;	/* by one of a new configuration */
	atomic_bool		 cancel;
	size_t			 ntold;		/* conditions from here on were not told */
	struct told		*told;
	uint64_t		 sent, failed;
	char			*last_error;
	wm_usec			 retry_at;	/* mono; 0: the last delivery went well */
	struct wm_backoff	 backoff;
};

struct wm_alerts {
	pthread_mutex_t		 lock;		/* guards all here, but for what only a receiver's thread uses */
	pthread_cond_t		 changed;
	struct condition	*conditions;	/* hash; entries stay */
	size_t			 nconditions;
	size_t			 nreceivers;
	struct receiver		**receivers;
	bool			 stopping;
};

/* ---- messages (message.c) ---- */

enum message_state { MESSAGE_RAISED, MESSAGE_REMINDER, MESSAGE_CLEARED, MESSAGE_TEST };

struct message {			/* a condition, as a receiver is told */
	enum message_state	 state;
	const struct kind	*kind;
	char			*object, *text;
	wm_usec			 since, until;	/* wall; until: MESSAGE_CLEARED */
	uint64_t		 times;		/* it began since the receiver was told last */
};

void message_free(struct message *m);
/* The JSON that is posted, and the mail that is sent; out fails when memory is out. */
void message_json(const struct message *m, struct wm_buf *out);
void message_mail(const struct message *m, const char *from, const char *to, struct wm_buf *out);
/* "walmill@host", where no `from` is given. */
void message_sender(struct wm_buf *out);

/* ---- delivery (deliver.c) ---- */

enum wm_status alert_client(const struct wm_alert_config *config, const atomic_bool *cancel, struct wm_http **ret,
    struct wm_error *err);
enum wm_status alert_deliver(struct wm_http *client, const struct wm_alert_config *config, const struct message *m,
    struct wm_error *err);

/* ---- receivers (receiver.c) ---- */

enum wm_status receiver_create(struct wm_alerts *a, const struct wm_alert_config *config, struct receiver **ret,
    struct wm_error *err);
enum wm_status receiver_start(struct receiver *r, struct wm_error *err);
/* The thread has ended, or does so at once.  The lock is not held. */
void receiver_stop(struct receiver *r);
/* What from was told, r was told. */
void receiver_inherit(struct receiver *r, struct receiver *from);
void receiver_destroy(struct receiver *r);
/* Whether a condition counts for somebody who waits this long for a retry to get through. */
bool condition_stands(const struct condition *c, wm_usec retrying, wm_usec now);

#endif
