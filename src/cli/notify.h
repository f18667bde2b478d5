/* SPDX-License-Identifier: PostgreSQL */
/*
 * notify.h - what systemd is told; nothing when it did not start us.
 */
#ifndef WM_CLI_NOTIFY_H
#define WM_CLI_NOTIFY_H

#include "walmill/clock.h"
#include "walmill/compiler.h"

void wm_notify(const char *fmt, ...) WM_PRINTF(1, 2);
/* How often the watchdog wants to be fed, 0: never. */
wm_usec wm_notify_watchdog(void);

#endif
