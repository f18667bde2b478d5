/* SPDX-License-Identifier: PostgreSQL */
/*
 * daemon.c - the main thread's loop of `run` and `sync`: signals, phases, ticks.
 *
 * The first SIGTERM or SIGINT drains; from then on the signals have their default effect, so
 * that a second one ends the process at once.  That is as safe as a crash.
 */
#include "daemon.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"
#include "walmill/log.h"

static void
signal_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

enum wm_status
wm_daemon_signals(int *ret_fd, struct wm_error *err)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	signal_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return wm_fail(err, WM_FATAL, "could not make a signalfd: %s", strerror(errno));
	*ret_fd = fd;
	return WM_OK;
}

static void
stop(const struct wm_daemon *d)
{
	sigset_t set;

	signal_set(&set);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	if (d->on_stop != NULL)
		d->on_stop(d->arg);
	wm_pipeline_stop(d->pipeline);
}

/* True when the loop is to end. */
static bool
take_signals(const struct wm_daemon *d)
{
	struct signalfd_siginfo info;

	while (read(d->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGHUP || d->on_reload == NULL) {
			wm_log(WM_LOG_INFO, "stopping", "%s: finishing what is under way; a second signal ends at once",
			    strsignal((int)info.ssi_signo));
			return true;
		}
		d->on_reload(d->arg);
	}
	return false;
}

/* -1: go on; else the exit code. */
static int
take_phase(const struct wm_daemon *d, enum wm_phase *phase)
{
	uint64_t drop;
	struct wm_error err = { .status = WM_FATAL };
	enum wm_phase now;

	(void)!read(wm_pipeline_fd(d->pipeline), &drop, sizeof(drop));
	now = wm_pipeline_begin_again(d->pipeline, &err) == WM_OK ?
	    wm_pipeline_phase(d->pipeline, &err) :
	    WM_PHASE_FAILED;
	if (now != *phase && d->on_phase != NULL)
		d->on_phase(d->arg, now);
	*phase = now;
	if (now == WM_PHASE_FAILED) {
		wm_log(WM_LOG_ERROR, "failed", "%s", err.text);
		if (d->on_failed != NULL)
			d->on_failed(d->arg, &err);
		return wm_cli_exit_code(err.status);
	}
	return now == WM_PHASE_DONE ? WM_EXIT_OK : -1;
}

static int
milliseconds_until(wm_usec when)
{
	wm_usec left = when - wm_clock_mono();

	return left <= 0 ? 0 : (int)((left + WM_MSEC - 1) / WM_MSEC);
}

int
wm_daemon_loop(const struct wm_daemon *d)
{
	struct pollfd fds[] = {
		{ .fd = d->signals, .events = POLLIN },
		{ .fd = wm_pipeline_fd(d->pipeline), .events = POLLIN },
	};
	enum wm_phase phase = WM_PHASE_STARTING;
	wm_usec next = wm_clock_mono() + d->tick;
	int code = -1;

	while (code == -1) {
		if (poll(fds, 2, milliseconds_until(next)) < 0 && errno != EINTR) {
			wm_log(WM_LOG_ERROR, "failed", "could not poll: %s", strerror(errno));
			code = WM_EXIT_FAILED;
			break;
		}
		if (fds[1].revents != 0)
			code = take_phase(d, &phase);
		if (code == -1 && fds[0].revents != 0 && take_signals(d))
			code = WM_EXIT_OK;
		if (code == -1 && wm_clock_mono() >= next) {
			d->on_tick(d->arg, phase);
			next = wm_clock_mono() + d->tick;
		}
	}
	stop(d);
	return code;
}
