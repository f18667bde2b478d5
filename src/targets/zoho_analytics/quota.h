/* SPDX-License-Identifier: PostgreSQL */
/*
 * quota.h - calls a minute and API units a day, kept within what Zoho allows.
 *
 * Knows no clock: whoever calls says what time it is.  Not thread-safe: the account's lock guards it.
 */
#ifndef WM_ZOHO_QUOTA_H
#define WM_ZOHO_QUOTA_H

#include <stdbool.h>
#include <stddef.h>

#include "walmill/clock.h"
#include "walmill/model.h"

enum wm_zoho_class { WM_ZOHO_DML, WM_ZOHO_BULK, WM_ZOHO_METADATA, WM_ZOHO_OVERALL, WM_ZOHO_NCLASSES };

#define WM_ZOHO_RATE_MAX 1000		/* calls a minute that a limit may be set to */

struct wm_zoho_rate {
	unsigned	 limit;		/* calls in any minute; 0: none */
	wm_usec		 calls[WM_ZOHO_RATE_MAX];	/* when the last ones were made: a ring */
	size_t		 n;		/* ever */
	wm_usec		 closed;	/* not before (mono): Zoho said so */
};

struct wm_zoho_quota {
	struct wm_zoho_rate	 rates[WM_ZOHO_NCLASSES];
	double			 allocated;	/* units a day; < 0: not known */
	double			 used;		/* of the day that ends at day_ends */
	double			 before;	/* of these, what an earlier process is known to have used */
	wm_usec			 day_begins;	/* after 00:00 UTC */
	wm_usec			 day_ends;	/* wall */
	wm_usec			 closed;	/* the day's units are used up; not before (wall) */
	double			 spent;		/* ever, by this process */
	double			 per_flush[WM_PRIORITIES];	/* units of a flush, of late; 0: none yet */
	bool			 reserve;	/* there are changes of high priority these days */
	double			 rows, row_units;	/* of flushes, ever */
};

void wm_zoho_quota_init(struct wm_zoho_quota *q, const unsigned limits[WM_ZOHO_NCLASSES], double allocated,
    wm_usec day_begins);
/* Takes a call of the class: 0 when it may be made now, else how long to wait before asking again. */
wm_usec wm_zoho_quota_take(struct wm_zoho_quota *q, enum wm_zoho_class class, wm_usec mono);
/* Zoho had counted more calls than we did: nothing more of the class in this minute. */
void wm_zoho_quota_rate_exceeded(struct wm_zoho_quota *q, enum wm_zoho_class class, wm_usec mono, wm_usec wall);
void wm_zoho_quota_spend(struct wm_zoho_quota *q, double units, wm_usec wall);
/* What Zoho says itself. */
void wm_zoho_quota_set(struct wm_zoho_quota *q, double allocated, double used, wm_usec wall);
/* What an earlier process had used of the day that ends then: on top comes what this one has. */
void wm_zoho_quota_restore(struct wm_zoho_quota *q, wm_usec day_ends, double used, wm_usec wall);
/* Zoho says that nothing is left.  Looked at again after a while: nobody knows when its day begins. */
void wm_zoho_quota_exhausted(struct wm_zoho_quota *q, wm_usec again, wm_usec wall);
/* 0, or how long nothing that costs may be called. */
wm_usec wm_zoho_quota_closed(struct wm_zoho_quota *q, wm_usec wall);
void wm_zoho_quota_flushed(struct wm_zoho_quota *q, enum wm_priority priority, double units, size_t rows);
/*
 * How long changes of that priority should gather for the day's units to last: at least `least`, at most `most`.  What
 * the higher ones need comes first, so that the intervals of the low widen first.  Of the last units, where there is
 * high, the others get none: they wait for longer than a day has.
 */
wm_usec wm_zoho_quota_interval(struct wm_zoho_quota *q, enum wm_priority priority, wm_usec least, wm_usec most,
    wm_usec wall);
/* Units left; < 0: not known. */
double wm_zoho_quota_left(struct wm_zoho_quota *q, wm_usec wall);
/* Seconds until they are used up at the rate of the day so far; < 0: not before the day ends. */
double wm_zoho_quota_lasts(struct wm_zoho_quota *q, wm_usec wall);

#endif
