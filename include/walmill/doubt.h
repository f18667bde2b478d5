/* SPDX-License-Identifier: PostgreSQL */
/*
 * doubt.h - a quicker way that does not always work, and for how many turns it is left alone after it has not.
 *
 * One turn after the first failure, then 2, 4, ... 1,024 until it works again.  Zeroed is sure; in one thread.
 */
#ifndef WM_DOUBT_H
#define WM_DOUBT_H

#include <stdbool.h>

struct wm_doubt {
	unsigned	next, left;	/* turns */
};

/* Whether this turn goes without the quicker way. */
bool wm_doubt_passes(struct wm_doubt *d);
/* What came of it. */
void wm_doubt_note(struct wm_doubt *d, bool worked);

#endif
