/* SPDX-License-Identifier: PostgreSQL */
/*
 * progress.h - how far `sync` is: a line on a terminal, a log line now and then elsewhere.
 */
#ifndef WM_CLI_PROGRESS_H
#define WM_CLI_PROGRESS_H

#include <stdbool.h>

#include "walmill/buf.h"
#include "walmill/pipeline.h"

struct wm_progress;

/* terminal: draw on stderr.  NULL: memory is out. */
struct wm_progress *wm_progress_create(bool terminal);
void wm_progress_destroy(struct wm_progress *p);		/* NULL is a no-op; takes the line away */
/* Shows s; to be called a few times a second. */
void wm_progress_update(struct wm_progress *p, const struct wm_snapshot *s, wm_usec now);
/* The line that update would show, at most width columns wide (0: any). */
void wm_progress_line(struct wm_progress *p, const struct wm_snapshot *s, wm_usec now, size_t width,
    struct wm_buf *out);

#endif
