/* SPDX-License-Identifier: PostgreSQL */
/*
 * progress.c - how far `sync` is: a line on a terminal, a log line now and then elsewhere.
 *
 * The line is drawn by the log, under its lock, so that messages and line do not mix; it is
 * made here, by the main thread, and handed over under a lock of its own.
 */
#include "progress.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "grid.h"
#include "walmill/log.h"

/* A short seed is done before ten seconds are over. */
#define LOG_FIRST WM_SEC
#define LOG_EVERY (10 * WM_SEC)
#define RATE_WINDOW (3 * WM_SEC)
#define SAMPLES 32
#define BAR 20
#define LINE_MAX 1000

struct sample {
	wm_usec		at;
	uint64_t	read, changes;
};

struct totals {
	uint64_t	read, expected, accepted, changes, lag_bytes;
	size_t		seeding;
	double		lag_s;
};

struct wm_progress {
	bool			 terminal;
	struct sample		 samples[SAMPLES];	/* a ring: the last seconds, for rates */
	size_t			 nsamples;		/* ever taken */
	wm_usec			 log_next;		/* no log line before; 0: not begun */
	struct sample		 logged;		/* what the last one said */
	pthread_mutex_t		 lock;			/* guards line */
	char			 line[LINE_MAX];
};

struct wm_progress *
wm_progress_create(bool terminal)
{
	struct wm_progress *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->terminal = terminal;
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

void
wm_progress_destroy(struct wm_progress *p)
{
	if (p == NULL)
		return;
	if (p->terminal)
		wm_log_progress(NULL, NULL);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- numbers ---- */

static struct totals
sum(const struct wm_snapshot *s)
{
	struct totals t = { 0 };

	for (size_t i = 0; i < s->nrules; i++) {
		const struct wm_rule_status *r = &s->rules[i];

		t.read += r->rows_read;
		t.accepted += r->rows_seeded;
		/* The estimate of a table that grew is too small. */
		t.expected += r->seed_total > r->rows_read ? r->seed_total : r->rows_read;
		t.seeding += strcmp(r->state, "seeding") == 0;
	}
	for (size_t i = 0; i < s->nsources; i++)
		t.changes += s->sources[i].changes;
	for (size_t i = 0; i < s->ntargets; i++) {
		t.lag_bytes = s->targets[i].lag_bytes > t.lag_bytes ? s->targets[i].lag_bytes : t.lag_bytes;
		t.lag_s = s->targets[i].lag_s > t.lag_s ? s->targets[i].lag_s : t.lag_s;
	}
	return t;
}

static void
remember(struct wm_progress *p, const struct totals *t, wm_usec now)
{
	p->samples[p->nsamples++ % SAMPLES] = (struct sample){ now, t->read, t->changes };
}

/* The oldest sample of the window, the newest one that there is otherwise. */
static struct sample
reference(const struct wm_progress *p, wm_usec now)
{
	size_t first = p->nsamples > SAMPLES ? p->nsamples - SAMPLES : 0;

	for (size_t i = first; i < p->nsamples; i++)
		if (p->samples[i % SAMPLES].at >= now - RATE_WINDOW)
			return p->samples[i % SAMPLES];
	return (struct sample){ .at = now };
}

static double
per_second(uint64_t from, uint64_t to, wm_usec time)
{
	return time <= 0 || to <= from ? 0 : (double)(to - from) * (double)WM_SEC / (double)time;
}

/* ---- lines ---- */

static void
seed_line(const struct totals *t, double rate, struct wm_buf *out)
{
	double share = t->expected == 0 ? 0 : (double)t->read / (double)t->expected;
	char read[32], expected[32], speed[32], left[32];

	wm_buf_adds(out, "seeding [");
	for (int i = 0; i < BAR; i++)
		wm_buf_addc(out, i < (int)(share * BAR) ? '#' : '.');
	wm_buf_addc(out, ']');
	wm_buf_addf(out, " %.0f%%, %s of %s rows", share * 100, wm_grid_count(t->read, read),
	    wm_grid_count(t->expected, expected));
	if (rate > 0)
		wm_buf_addf(out, ", %s rows/s, %s left", wm_grid_count((uint64_t)rate, speed),
		    wm_grid_seconds((double)(t->expected - t->read) / rate, left));
}

static void
stream_line(const struct wm_snapshot *s, const struct totals *t, double rate, struct wm_buf *out)
{
	char changes[32], speed[32], size[32], age[32], latency[32];
	const char *state = "streaming";

	for (size_t i = 0; i < s->nsources; i++)
		if (strcmp(s->sources[i].state, "streaming") != 0)
			state = s->sources[i].state;
	wm_buf_addf(out, "%s, %s changes, %s rows/s, lag %s, %s", state, wm_grid_count(t->changes, changes),
	    wm_grid_count((uint64_t)rate, speed), wm_grid_size(t->lag_bytes, size), wm_grid_seconds(t->lag_s, age));
	if (s->latency_p50 > 0)
		wm_buf_addf(out, ", commit to visible %s", wm_grid_seconds(s->latency_p50, latency));
	if (s->latency_p99 > 0)
		wm_buf_addf(out, " (p99 %s)", wm_grid_seconds(s->latency_p99, latency));
}

/* Rates are those since before. */
static void
make_line(const struct wm_snapshot *s, const struct totals *t, struct sample before, wm_usec now, struct wm_buf *out)
{
	wm_usec time = now - before.at;

	if (t->seeding > 0)
		seed_line(t, per_second(before.read, t->read, time), out);
	else
		stream_line(s, t, per_second(before.changes, t->changes, time), out);
}

void
wm_progress_line(struct wm_progress *p, const struct wm_snapshot *s, wm_usec now, size_t width, struct wm_buf *out)
{
	struct totals t = sum(s);

	make_line(s, &t, reference(p, now), now, out);
	remember(p, &t, now);
	if (width > 0 && out->len > width)
		wm_buf_truncate(out, width);
}

/* ---- output ---- */

/* The log calls this with its lock held, the cursor at the start of an empty line. */
static void
draw(void *arg)
{
	struct wm_progress *p = arg;

	pthread_mutex_lock(&p->lock);
	(void)!write(STDERR_FILENO, "\r", 1);
	(void)!write(STDERR_FILENO, p->line, strlen(p->line));
	(void)!write(STDERR_FILENO, "\033[K", 3);
	pthread_mutex_unlock(&p->lock);
}

static size_t
terminal_width(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79;
}

static void
show(struct wm_progress *p, const struct wm_snapshot *s, wm_usec now)
{
	WM_AUTO(wm_buf_free) struct wm_buf line;

	wm_buf_init(&line, LINE_MAX - 1);
	wm_progress_line(p, s, now, terminal_width(), &line);
	pthread_mutex_lock(&p->lock);
	memcpy(p->line, line.data, line.len + 1);
	pthread_mutex_unlock(&p->lock);
	wm_log_progress(draw, p);
}

static void
log_now_and_then(struct wm_progress *p, const struct wm_snapshot *s, wm_usec now)
{
	WM_AUTO(wm_buf_free) struct wm_buf line;
	struct totals t = sum(s);

	wm_buf_init(&line, LINE_MAX - 1);
	if (p->log_next == 0) {
		p->log_next = now + LOG_FIRST;
		p->logged = (struct sample){ now, t.read, t.changes };
	}
	if (now < p->log_next || (p->logged.read == t.read && p->logged.changes == t.changes))
		return;
	make_line(s, &t, p->logged, now, &line);
	wm_log(WM_LOG_INFO, "progress", "%s", line.data);
	p->log_next = now + LOG_EVERY;
	p->logged = (struct sample){ now, t.read, t.changes };
}

void
wm_progress_update(struct wm_progress *p, const struct wm_snapshot *s, wm_usec now)
{
	if (p->terminal)
		show(p, s, now);
	else
		log_now_and_then(p, s, now);
}
