/* SPDX-License-Identifier: PostgreSQL */
/*
 * alert.h - what needs an operator, and who is told of it.
 *
 * A condition is a kind and an object ("journal_full", source "shop").  Whoever knows says again and again whether it
 * stands; each receiver is told once when it begins, now and then while it lasts, and once when it ends.  A receiver
 * has a thread of its own and remembers what it was told last, so that there is no queue that could grow: what could
 * not be delivered is made from the state of that later moment.  All functions are thread-safe and none waits for a
 * receiver, but for wm_alerts_stop and wm_alerts_configure, which say how long.
 */
#ifndef WM_ALERT_H
#define WM_ALERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/clock.h"
#include "walmill/config.h"
#include "walmill/error.h"

enum wm_alert_kind {
	WM_ALERT_JOURNAL_FULL,		/* of a source */
	WM_ALERT_JOURNAL_FAILED,
	WM_ALERT_WAL_BUDGET,		/* half of the WAL that the server may keep is used up */
	WM_ALERT_WAL_BUDGET_CRITICAL,	/* four fifths */
	WM_ALERT_SLOT_LOST,
	WM_ALERT_SOURCE_STALLED,
	WM_ALERT_SOURCE_RETRYING,	/* for longer than the receiver has patience */
	WM_ALERT_SOURCE_FAILED,
	WM_ALERT_TARGET_RETRYING,
	WM_ALERT_TARGET_FAILED,
	WM_ALERT_RULE_STOPPED,
	WM_ALERT_DEAD_LETTERS,
	WM_ALERT_DAEMON_FAILED,		/* the last word of a daemon that ends */
	WM_ALERT_KINDS
};

struct wm_alerts;

/* Starts a thread for each receiver of the configuration, which need not outlive the call. */
enum wm_status wm_alerts_create(const struct wm_config *config, struct wm_alerts **ret, struct wm_error *err)
    WM_MUST_CHECK;
/*
 * The receivers are those of config from now on; conditions stay, and so does what receivers that stay were told.
 * A message under way is broken off, and sent again.
 */
enum wm_status wm_alerts_configure(struct wm_alerts *a, const struct wm_config *config, struct wm_error *err)
    WM_MUST_CHECK;
/* What is due is still sent, for at most this long.  Nothing is sent afterwards. */
void wm_alerts_stop(struct wm_alerts *a, wm_usec patience);
void wm_alerts_destroy(struct wm_alerts *a);	/* after stop; NULL is a no-op */

/* ---- conditions ---- */

/* One thread looks at everything: begin, then set or keep for each condition, then end. */
void wm_alerts_begin(struct wm_alerts *a);
/* text: why the condition stands; NULL: it does not.  The text is free of secrets and row values. */
void wm_alerts_set(struct wm_alerts *a, enum wm_alert_kind kind, const char *object, const char *text);
/* It cannot be known now: stays as it is. */
void wm_alerts_keep(struct wm_alerts *a, enum wm_alert_kind kind, const char *object);
/* Conditions of which nothing was said since wm_alerts_begin are over, their object is gone; not WM_ALERT_DAEMON_FAILED. */
void wm_alerts_end(struct wm_alerts *a);

/* ---- status ---- */

struct wm_alert_status {
	const char	*kind, *type;	/* "journal_full", "source" */
	char		*object, *text;
	bool		 active;
	wm_usec		 since;		/* wall; of an active one */
};

struct wm_receiver_status {
	char		*to;		/* mail address, or scheme and host */
	uint64_t	 sent, failed;
	char		*last_error;	/* of the last delivery; NULL when it went well */
};

struct wm_alerts_status {
	size_t				 nalerts, nreceivers;
	struct wm_alert_status		*alerts;	/* every condition that is known, in no order */
	struct wm_receiver_status	*receivers;
};

enum wm_status wm_alerts_look(struct wm_alerts *a, struct wm_alerts_status *ret, struct wm_error *err) WM_MUST_CHECK;
void wm_alerts_status_free(struct wm_alerts_status *s);

/* ---- checks, without a daemon ---- */

/* What of a receiver may be shown: the mail address, or scheme and host; malloc'd, NULL when memory is out. */
char *wm_alert_receiver_name(const struct wm_alert_config *receiver);
/* Whether its server can be reached; nothing is sent. */
enum wm_status wm_alert_reach(const struct wm_alert_config *receiver, struct wm_error *err) WM_MUST_CHECK;
/* Sends a message that says that it is a test. */
enum wm_status wm_alert_test(const struct wm_alert_config *receiver, struct wm_error *err) WM_MUST_CHECK;

#endif
