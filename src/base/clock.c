/* SPDX-License-Identifier: PostgreSQL */
/*
 * clock.c - time, back-off and randomness.
 */
#include "walmill/clock.h"

#include <assert.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

/* 2000-01-01 as seen from 1970-01-01. */
#define PG_EPOCH (946684800LL * WM_SEC)
#define ASKED_MAX (3600 * WM_SEC)

static wm_usec
read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (wm_usec)ts.tv_sec * WM_SEC + ts.tv_nsec / 1000;
}

wm_usec
wm_clock_mono(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

wm_usec
wm_clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

/* Both saturate: the other side may send any 64 bits. */
wm_usec
wm_clock_from_pg(int64_t pg)
{
	wm_usec t;

	return __builtin_add_overflow(pg, PG_EPOCH, &t) ? INT64_MAX : t;
}

int64_t
wm_clock_to_pg(wm_usec t)
{
	int64_t pg;

	return __builtin_sub_overflow(t, PG_EPOCH, &pg) ? INT64_MIN : pg;
}

char *
wm_clock_format(wm_usec t, char *buf, size_t size)
{
	time_t sec = (time_t)(t / WM_SEC);
	long usec = (long)(t % WM_SEC);
	struct tm tm;

	if (usec < 0) {
		usec += WM_SEC;
		sec--;
	}
	gmtime_r(&sec, &tm);
	snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, usec);
	return buf;
}

void
wm_backoff_init(struct wm_backoff *b, wm_usec min, wm_usec max)
{
	assert(min > 0 && min <= max);
	*b = (struct wm_backoff){ .min = min, .max = max };
}

void
wm_backoff_reset(struct wm_backoff *b)
{
	b->attempts = 0;
}

static uint64_t
draw(void)
{
	uint64_t v;

	/* The clock's low bits are jitter enough where the kernel has no randomness yet. */
	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != (ssize_t)sizeof(v))
		v = (uint64_t)wm_clock_mono() * 0x9e3779b97f4a7c15u >> 16;
	return v;
}

wm_usec
wm_backoff_next(struct wm_backoff *b)
{
	wm_usec bound = b->max;
	unsigned shift = b->attempts;

	if (shift < 63 && b->min <= b->max >> shift)
		bound = b->min << shift;
	if (b->attempts < 63)
		b->attempts++;
	return bound - (wm_usec)(draw() % (uint64_t)(bound / 2 + 1));
}

wm_usec
wm_backoff_asked(struct wm_backoff *b, wm_usec asked)
{
	wm_usec own = wm_backoff_next(b);

	if (asked > ASKED_MAX)
		asked = ASKED_MAX;
	/* Those who were told the same moment do not all come at it. */
	return asked > own ? asked + own / 8 : own;
}
