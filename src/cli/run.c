/* SPDX-License-Identifier: PostgreSQL */
/*
 * run.c - walmill run: the daemon.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "cli.h"
#include "daemon.h"
#include "grid.h"
#include "notify.h"
#include "walmill/alert.h"
#include "walmill/log.h"
#include "walmill/strutil.h"

#define STATUS_EVERY (5 * WM_SEC)
/* How long the last alerts may take: of a stop, and of a failure, which should not stay unheard. */
#define LAST_WORDS WM_SEC
#define LAST_WORDS_FAILED (8 * WM_SEC)

struct run {
	const char		*path;		/* of the configuration */
	const struct wm_config	*first;		/* the one it started with */
	struct wm_pipeline	*pipeline;
	struct wm_alerts	*alerts;
	bool			 ready;		/* systemd knows */
};

static void
free_pipelinep(struct wm_pipeline **p)
{
	wm_pipeline_destroy(*p);
}

static void
free_alertsp(struct wm_alerts **alerts)
{
	wm_alerts_destroy(*alerts);
}

static void
log_diags(const struct wm_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++) {
		const struct wm_diag *d = &diags->list[i];

		if (d->severity != WM_NOTE)
			wm_log(d->severity == WM_ERROR ? WM_LOG_ERROR : WM_LOG_WARNING, "configuration", "%s%s%s",
			    d->place == NULL ? "" : d->place, d->place == NULL ? "" : ": ", d->text);
	}
}

static void
notify_status(const struct run *run)
{
	struct wm_snapshot s;
	uint64_t lag = 0;
	size_t streaming = 0;
	char size[32];

	if (wm_pipeline_snapshot(run->pipeline, &s, NULL) != WM_OK)
		return;
	for (size_t i = 0; i < s.nsources; i++)
		streaming += strcmp(s.sources[i].state, "streaming") == 0;
	for (size_t i = 0; i < s.ntargets; i++)
		lag = s.targets[i].lag_bytes > lag ? s.targets[i].lag_bytes : lag;
	wm_notify("STATUS=%zu of %zu sources stream, %zu rules, lag %s", streaming, s.nsources, s.nrules,
	    wm_grid_size(lag, size));
	wm_snapshot_free(&s);
}

static void
on_tick(void *arg, enum wm_phase phase)
{
	struct run *run = arg;

	if (wm_pipeline_alive(run->pipeline))
		/* While a source cannot be reached the start takes as long as it takes. */
		wm_notify(phase == WM_PHASE_STARTING ? "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000" : "WATCHDOG=1");
	notify_status(run);
}

static void
on_phase(void *arg, enum wm_phase phase)
{
	struct run *run = arg;

	if (phase != WM_PHASE_RUNNING || run->ready)
		return;
	run->ready = true;
	wm_notify("READY=1");
	wm_log(WM_LOG_INFO, "ready", "every source streams");
}

static void
on_stop(void *arg)
{
	(void)arg;
	wm_notify("STOPPING=1\nSTATUS=finishing what is under way");
}

static bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The server keeps its listeners and its key. */
static void
warn_of_admin(const struct wm_config *first, const struct wm_config *now)
{
	if (!same(first->admin_socket, now->admin_socket) || !same(first->admin_listen, now->admin_listen) ||
	    !same(first->admin_secret_key, now->admin_secret_key))
		wm_log(WM_LOG_WARNING, "restart_needed", "changes under \"admin:\" take effect at the next start");
}

static void
reload(struct run *run)
{
	WM_AUTO(wm_cli_free_setupp) struct wm_setup *setup = NULL;
	struct wm_diags diags = { 0 };
	struct wm_error err;

	setup = wm_cli_load_setup(run->path, &diags);
	log_diags(&diags);
	wm_diags_free(&diags);
	if (setup == NULL) {
		wm_log(WM_LOG_ERROR, "reload_refused", "the configuration has errors; nothing changes");
		return;
	}
	if (wm_pipeline_reload(run->pipeline, setup, &err) != WM_OK) {
		wm_log(WM_LOG_ERROR, "reload_refused", "%s; nothing changes", err.text);
		return;
	}
	if (wm_alerts_configure(run->alerts, setup->config, &err) != WM_OK)
		wm_log(WM_LOG_ERROR, "alert_failed", "%s", err.text);
	wm_log_setup(setup->config->log_format, setup->config->log_level);
	warn_of_admin(run->first, setup->config);
	wm_log(WM_LOG_INFO, "reloaded", "%zu rules are in force", setup->rules->n);
}

static void
on_reload(void *arg)
{
	struct run *run = arg;

	if (run->ready)
		wm_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)wm_clock_mono());
	reload(run);
	if (run->ready)
		wm_notify("READY=1");
}

static void
on_failed(void *arg, const struct wm_error *why)
{
	struct run *run = arg;

	wm_alerts_set(run->alerts, WM_ALERT_DAEMON_FAILED, "walmill", why->text);
}

static int
fail(struct wm_alerts *alerts, const struct wm_error *err)
{
	wm_alerts_set(alerts, WM_ALERT_DAEMON_FAILED, "walmill", err->text);
	return wm_cli_fail(err);
}

static int
serve(const char *path, struct wm_setup *setup, struct wm_state *state, struct wm_alerts *alerts, int signals)
{
	const struct wm_config *config = setup->config;
	WM_AUTO(free_pipelinep) struct wm_pipeline *pipeline = NULL;
	struct wm_admin_options options = { .socket = config->admin_socket, .listen = config->admin_listen,
	    .secret_key = config->admin_secret_key, .state = state };
	wm_usec watchdog = wm_notify_watchdog();
	struct run run = { .path = path, .first = config, .alerts = alerts };
	struct wm_daemon daemon = {
		.signals = signals,
		.tick = watchdog > 0 && watchdog < STATUS_EVERY ? watchdog : STATUS_EVERY,
		.on_tick = on_tick,
		.on_phase = on_phase,
		.on_reload = on_reload,
		.on_failed = on_failed,
		.on_stop = on_stop,
		.arg = &run,
	};
	struct wm_admin *admin;
	struct wm_error err;
	int code;

	if (wm_pipeline_create(setup, state, alerts, false, &pipeline, &err) != WM_OK)
		return fail(alerts, &err);
	options.pipeline = run.pipeline = daemon.pipeline = pipeline;
	if (wm_admin_start(&options, &admin, &err) != WM_OK)
		return fail(alerts, &err);
	if (wm_pipeline_start(pipeline, &err) != WM_OK) {
		wm_admin_stop(admin);
		return fail(alerts, &err);
	}
	code = wm_daemon_loop(&daemon);
	wm_admin_stop(admin);
	if (code == WM_EXIT_OK)
		wm_log(WM_LOG_INFO, "stopped", "everything that was under way is written down");
	return code;
}

static int
open_and_serve(const char *path, struct wm_setup *setup, struct wm_alerts *alerts, int signals)
{
	WM_AUTO(wm_cli_free_statep) struct wm_state *state = NULL;
	struct wm_error err;

	if (wm_state_open(setup->config->state, &state, &err) != WM_OK)
		return fail(alerts, &err);
	wm_log(WM_LOG_INFO, "starting", "walmill " PACKAGE_VERSION ": %zu sources, %zu targets, %zu rules from %s",
	    setup->config->nsources, setup->config->ntargets, setup->rules->n, path);
	return serve(path, setup, state, alerts, signals);
}

static int
start(const char *path)
{
	WM_AUTO(wm_cli_free_setupp) struct wm_setup *setup = NULL;
	WM_AUTO(free_alertsp) struct wm_alerts *alerts = NULL;
	struct wm_diags diags = { 0 };
	struct wm_error err;
	int signals, code;

	setup = wm_cli_load_setup(path, &diags);
	wm_cli_print_diags(&diags);
	wm_diags_free(&diags);
	if (setup == NULL)
		return WM_EXIT_USAGE;
	wm_log_setup(setup->config->log_format, setup->config->log_level);
	if (wm_daemon_signals(&signals, &err) != WM_OK || wm_alerts_create(setup->config, &alerts, &err) != WM_OK)
		return wm_cli_fail(&err);
	code = open_and_serve(path, setup, alerts, signals);
	wm_alerts_stop(alerts, code == WM_EXIT_OK ? LAST_WORDS : LAST_WORDS_FAILED);
	return code;
}

int
wm_cli_run(int argc, char **argv)
{
	const char *config = NULL;
	const struct wm_flag flags[] = { WM_FLAG_CONFIG(config), WM_FLAG_END };
	const struct wm_usage usage = { "run", "",
		"Runs the daemon in the foreground.  SIGTERM and SIGINT finish what is "
		"under way and stop it,\nSIGHUP reads configuration and rules again.",
		0, 0 };
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);

	if (code != -1)
		return code;
	wm_cli_no_core();
	return start(wm_cli_config_path(config));
}
