/* SPDX-License-Identifier: PostgreSQL */
/*
 * log.h - one line a message on stderr, as text or JSON.
 *
 * Pipeline, alert, admin and cli log; libraries return errors, and log only what no error carries, because the
 * call goes on: a journal that is full, a server that is waited for, streams that are left to the server.
 * An event name is stable and documented in walmill(1).  No row value and no secret above debug level: every
 * registered secret is replaced by "***" in whatever is written.  Thread-safe.
 */
#ifndef WM_LOG_H
#define WM_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "walmill/compiler.h"

enum wm_log_level { WM_LOG_ERROR, WM_LOG_WARNING, WM_LOG_INFO, WM_LOG_DEBUG };
enum wm_log_format { WM_LOG_TEXT, WM_LOG_JSON };

void wm_log_setup(enum wm_log_format format, enum wm_log_level level);
enum wm_log_level wm_log_level(void);
void wm_log(enum wm_log_level level, const char *event, const char *fmt, ...) WM_PRINTF(3, 4);
/*
 * What this thread works for ("source", "shop"): added to each of its messages.  Both strings
 * are borrowed until the next call; NULL takes the context away.
 */
void wm_log_context(const char *kind, const char *name);
/*
 * A progress line on a terminal is redrawn after each message; fn draws it (at once, too), NULL
 * clears it.  fn may not log.  Where stderr is no terminal fn is never called.
 */
void wm_log_progress(void (*fn)(void *arg), void *arg);

/* Remembers a secret (copied) for the life of the process; shorter than four bytes is not kept. */
void wm_secret_register(const char *secret);
/* Replaces every registered secret in text, in place, with asterisks. */
void wm_secret_scrub(char *text);

#endif
