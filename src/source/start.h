/* SPDX-License-Identifier: PostgreSQL */
/*
 * start.h - the beginning of a session: what it asks the server for, and how often it will tell where it is.
 */
#ifndef WM_START_H
#define WM_START_H

#include <stdbool.h>

#include "walmill/clock.h"
#include "walmill/error.h"
#include "walmill/pg.h"
#include "walmill/source.h"

/* How often to send feedback, while there is something to acknowledge and while there is not. */
enum wm_status wm_start_intervals(struct wm_pg *c, wm_usec *ret_busy, wm_usec *ret_idle, struct wm_error *err);
/* streams: with transactions that have not committed yet. */
enum wm_status wm_start_replication(struct wm_pg *c, const struct wm_receiver *r, bool streams, struct wm_error *err);

#endif
