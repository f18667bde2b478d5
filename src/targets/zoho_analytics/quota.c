/* SPDX-License-Identifier: PostgreSQL */
/*
 * quota.c - calls a minute and API units a day.
 *
 * A window that slides, not a bucket that fills: a bucket would let twice the limit through in the minute after a
 * pause, and where Zoho's minutes begin is not known.
 */
#include "quota.h"

#include <math.h>
#include <string.h>

#define MINUTE (60 * WM_SEC)
#define WINDOW (MINUTE + WM_SEC)	/* the way to Zoho takes time, which may be shorter for the second call */
#define DAY (24 * 60 * MINUTE)
#define USABLE 0.9			/* of what is left: seeds and metadata need some, too */
#define RESERVE 0.1			/* of the day's units: for high priority alone */

void
wm_zoho_quota_init(struct wm_zoho_quota *q, const unsigned limits[WM_ZOHO_NCLASSES], double allocated,
    wm_usec day_begins)
{
	memset(q, 0, sizeof(*q));
	for (size_t i = 0; i < WM_ZOHO_NCLASSES; i++)
		q->rates[i].limit = limits[i] < WM_ZOHO_RATE_MAX ? limits[i] : WM_ZOHO_RATE_MAX;
	q->allocated = allocated;
	q->day_begins = day_begins;
}

/* A new day, if one has begun. */
static void
roll(struct wm_zoho_quota *q, wm_usec wall)
{
	if (wall < q->day_ends && q->day_ends - wall <= DAY)
		return;
	q->day_ends = wall - (wall - q->day_begins) % DAY + DAY;
	q->used = q->before = 0;
	q->closed = 0;
	q->reserve = false;
}

/* ---- calls a minute ---- */

static wm_usec
wait_for(const struct wm_zoho_rate *r, wm_usec mono)
{
	wm_usec oldest;

	if (r->closed > mono)
		return r->closed - mono;
	if (r->limit == 0 || r->n < r->limit)
		return 0;
	oldest = r->calls[(r->n - r->limit) % WM_ZOHO_RATE_MAX];
	return oldest + WINDOW > mono ? oldest + WINDOW - mono : 0;
}

wm_usec
wm_zoho_quota_take(struct wm_zoho_quota *q, enum wm_zoho_class class, wm_usec mono)
{
	const enum wm_zoho_class both[] = { class, WM_ZOHO_OVERALL };
	wm_usec wait = 0;

	for (size_t i = 0; i < 2; i++) {
		wm_usec own = wait_for(&q->rates[both[i]], mono);

		wait = own > wait ? own : wait;
	}
	for (size_t i = 0; wait == 0 && i < 2; i++) {
		struct wm_zoho_rate *r = &q->rates[both[i]];

		r->calls[r->n++ % WM_ZOHO_RATE_MAX] = mono;
	}
	return wait;
}

void
wm_zoho_quota_rate_exceeded(struct wm_zoho_quota *q, enum wm_zoho_class class, wm_usec mono, wm_usec wall)
{
	q->rates[class].closed = mono + MINUTE - wall % MINUTE + WM_SEC;
}

/* ---- units a day ---- */

void
wm_zoho_quota_spend(struct wm_zoho_quota *q, double units, wm_usec wall)
{
	roll(q, wall);
	q->used += units;
	q->spent += units;
}

void
wm_zoho_quota_set(struct wm_zoho_quota *q, double allocated, double used, wm_usec wall)
{
	roll(q, wall);
	q->allocated = allocated;
	q->used = used;
	q->before = HUGE_VAL;		/* nobody knows better */
}

void
wm_zoho_quota_restore(struct wm_zoho_quota *q, wm_usec day_ends, double used, wm_usec wall)
{
	roll(q, wall);
	if (day_ends != q->day_ends || used <= q->before)
		return;
	q->used += used - q->before;
	q->before = used;
}

void
wm_zoho_quota_exhausted(struct wm_zoho_quota *q, wm_usec again, wm_usec wall)
{
	roll(q, wall);
	if (q->allocated >= 0 && q->used < q->allocated)
		q->used = q->allocated;
	q->closed = wall + again < q->day_ends ? wall + again : q->day_ends;
}

wm_usec
wm_zoho_quota_closed(struct wm_zoho_quota *q, wm_usec wall)
{
	roll(q, wall);
	return q->closed > wall ? q->closed - wall : 0;
}

void
wm_zoho_quota_flushed(struct wm_zoho_quota *q, enum wm_priority priority, double units, size_t rows)
{
	double *per = &q->per_flush[priority];

	*per = *per == 0 ? units : 0.8 * *per + 0.2 * units;
	q->rows += (double)rows;
	q->row_units += units;
}

double
wm_zoho_quota_left(struct wm_zoho_quota *q, wm_usec wall)
{
	roll(q, wall);
	if (q->allocated < 0)
		return -1;
	return q->used < q->allocated ? q->allocated - q->used : 0;
}

wm_usec
wm_zoho_quota_interval(struct wm_zoho_quota *q, enum wm_priority priority, wm_usec least, wm_usec most, wm_usec wall)
{
	double left = wm_zoho_quota_left(q, wall), usable = left * USABLE, need = (double)least;

	if (left < 0)
		return least;
	if (priority < WM_PRIORITY_HIGH && q->reserve && left <= q->allocated * RESERVE)
		return DAY;
	for (enum wm_priority p = WM_PRIORITIES; p-- > priority;) {
		if (p < WM_PRIORITY_HIGH && q->reserve && usable > left - q->allocated * RESERVE)
			usable = left - q->allocated * RESERVE;
		need = (double)least;
		if (q->per_flush[p] > 0)
			need = usable > 0 ? (double)(q->day_ends - wall) * q->per_flush[p] / usable : (double)most;
		need = need < (double)least ? (double)least : need < (double)most ? need : (double)most;
		usable -= (double)(q->day_ends - wall) / need * q->per_flush[p];
	}
	return (wm_usec)need;
}

double
wm_zoho_quota_lasts(struct wm_zoho_quota *q, wm_usec wall)
{
	double left = wm_zoho_quota_left(q, wall), passed = (double)(DAY - (q->day_ends - wall)), seconds;

	if (left < 0 || q->used <= 0)
		return -1;
	seconds = left * passed / q->used / WM_SEC;
	return seconds < (double)(q->day_ends - wall) / WM_SEC ? seconds : -1;
}
