/* SPDX-License-Identifier: PostgreSQL */
/*
 * daemon.h - the main thread's loop of `run` and `sync`: signals, phases, ticks.
 */
#ifndef WM_CLI_DAEMON_H
#define WM_CLI_DAEMON_H

#include "walmill/pipeline.h"

struct wm_daemon {
	struct wm_pipeline	*pipeline;
	int			 signals;	/* of wm_daemon_signals */
	wm_usec			 tick;		/* between two calls of on_tick */
	void			(*on_tick)(void *arg, enum wm_phase phase);
	void			(*on_phase)(void *arg, enum wm_phase phase);
	void			(*on_reload)(void *arg);	/* SIGHUP; NULL: it stops, as SIGTERM does */
	void			(*on_failed)(void *arg, const struct wm_error *why);	/* may be NULL */
	void			(*on_stop)(void *arg);
	void			*arg;
};

/* Blocks the signals in this and all later threads; a descriptor that reads them.  Before any thread. */
enum wm_status wm_daemon_signals(int *ret_fd, struct wm_error *err) WM_MUST_CHECK;
/*
 * Until a signal, the end of the work or a failure; the pipeline is stopped when it returns.
 * The exit code; a failure has been logged.
 */
int wm_daemon_loop(const struct wm_daemon *d);

#endif
