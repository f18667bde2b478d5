/* SPDX-License-Identifier: PostgreSQL */
/*
 * clock.h - time, back-off and randomness, in one place so that tests can drive them.
 */
#ifndef WM_CLOCK_H
#define WM_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define WM_MSEC 1000LL			/* microseconds */
#define WM_SEC 1000000LL

typedef int64_t wm_usec;

wm_usec wm_clock_mono(void);		/* microseconds, never jumps; for intervals */
wm_usec wm_clock_wall(void);		/* microseconds since 1970-01-01 UTC */
/* PostgreSQL's wire time (microseconds since 2000-01-01) to ours and back. */
wm_usec wm_clock_from_pg(int64_t pg);
int64_t wm_clock_to_pg(wm_usec t);
/* "2026-11-21T08:30:00.123456Z" into buf (at least 32 bytes); returns buf. */
char *wm_clock_format(wm_usec t, char *buf, size_t size);

/* Exponential back-off with jitter: each wait is drawn from the upper half of the current bound. */
struct wm_backoff {
	wm_usec	 min, max;		/* bounds; min > 0 */
	unsigned attempts;		/* since the last reset */
};

void wm_backoff_init(struct wm_backoff *b, wm_usec min, wm_usec max);
void wm_backoff_reset(struct wm_backoff *b);
/* As next, and not before `asked` has passed, which the other side said; it is taken up to an hour. */
wm_usec wm_backoff_asked(struct wm_backoff *b, wm_usec asked);
wm_usec wm_backoff_next(struct wm_backoff *b);	/* how long to wait now, in microseconds */

#endif
