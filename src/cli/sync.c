/* SPDX-License-Identifier: PostgreSQL */
/*
 * sync.c - walmill sync: one database into one target, without a configuration file.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "cli.h"
#include "daemon.h"
#include "grid.h"
#include "link.h"
#include "progress.h"
#include "walmill/log.h"

#define TICK (200 * WM_MSEC)
#define JSON_MAX ((size_t)64 * 1024 * 1024)

struct sync {
	struct wm_pipeline	*pipeline;
	struct wm_progress	*progress;
};

static void
snapshot_freep(struct wm_snapshot *s)
{
	wm_snapshot_free(s);
}

static void
free_progressp(struct wm_progress **p)
{
	wm_progress_destroy(*p);
}

static void
free_pipelinep(struct wm_pipeline **p)
{
	wm_pipeline_destroy(*p);
}

static void
on_tick(void *arg, enum wm_phase phase)
{
	struct sync *sync = arg;
	WM_AUTO(snapshot_freep) struct wm_snapshot s = { 0 };

	(void)phase;
	if (wm_pipeline_snapshot(sync->pipeline, &s, NULL) == WM_OK)
		wm_progress_update(sync->progress, &s, wm_clock_mono());
}

/* ---- the end of --once ---- */

static void
print_summary(const struct wm_snapshot *s)
{
	WM_AUTO(wm_grid_free) struct wm_grid grid;

	wm_grid_init(&grid, "RULE,TABLE,VIEW,STATE,>READ,>ACCEPTED,>INSERTS,>UPDATES,>DELETES,>DEAD");
	for (size_t i = 0; i < s->nrules; i++) {
		const struct wm_rule_status *r = &s->rules[i];

		wm_grid_cell(&grid, "%s", r->name);
		wm_grid_cell(&grid, "%s", r->table);
		wm_grid_cell(&grid, "%s", r->view);
		wm_grid_cell(&grid, "%s", r->state);
		wm_grid_cell(&grid, "%" PRIu64, r->rows_read);
		wm_grid_cell(&grid, "%" PRIu64, r->rows_seeded);
		wm_grid_cell(&grid, "%" PRIu64, r->inserts);
		wm_grid_cell(&grid, "%" PRIu64, r->updates);
		wm_grid_cell(&grid, "%" PRIu64, r->deletes);
		wm_grid_cell(&grid, "%" PRIu64, r->dead_letters);
	}
	wm_grid_print(&grid, stderr);
}

/* A rule that failed makes the whole fail: its rows are not at the target. */
static int
judge(const struct wm_snapshot *s)
{
	int code = WM_EXIT_OK;

	for (size_t i = 0; i < s->nrules; i++) {
		const struct wm_rule_status *r = &s->rules[i];

		if (strcmp(r->state, "failed") != 0)
			continue;
		fprintf(stderr, "walmill: rule \"%s\" failed: %s\n", r->name, r->last_error == NULL ? "see above" :
		    r->last_error);
		code = WM_EXIT_FAILED;
	}
	return code;
}

static int
finish_once(const struct sync *sync, bool json)
{
	WM_AUTO(snapshot_freep) struct wm_snapshot s = { 0 };
	WM_AUTO(wm_buf_free) struct wm_buf text;
	struct wm_error err;

	wm_buf_init(&text, JSON_MAX);
	if (wm_pipeline_snapshot(sync->pipeline, &s, &err) != WM_OK)
		return wm_cli_fail(&err);
	if (json) {
		wm_admin_render_status(&s, &text);
		if (text.failed) {
			wm_oom(&err, "the summary");
			return wm_cli_fail(&err);
		}
		puts(text.data);
	} else {
		print_summary(&s);
	}
	return judge(&s);
}

/* ---- start ---- */

static int
follow(struct wm_setup *setup, struct wm_state *state, int signals, bool once, bool json)
{
	WM_AUTO(free_pipelinep) struct wm_pipeline *pipeline = NULL;
	WM_AUTO(free_progressp) struct wm_progress *progress = NULL;
	struct wm_admin_options options = { .socket = setup->config->admin_socket, .state = state };
	struct sync sync = { 0 };
	struct wm_daemon daemon = { .signals = signals, .tick = TICK, .on_tick = on_tick,
		.on_phase = on_tick, .arg = &sync };
	struct wm_admin *admin = NULL;
	struct wm_error err;
	int code;

	if (wm_pipeline_create(setup, state, NULL, once, &pipeline, &err) != WM_OK)
		return wm_cli_fail(&err);
	options.pipeline = sync.pipeline = daemon.pipeline = pipeline;
	if ((progress = wm_progress_create(isatty(STDERR_FILENO) == 1)) == NULL) {
		wm_oom(&err, "the progress");
		return wm_cli_fail(&err);
	}
	sync.progress = progress;
	if (wm_admin_start(&options, &admin, &err) != WM_OK)
		return wm_cli_fail(&err);
	if (wm_pipeline_start(pipeline, &err) != WM_OK) {
		wm_admin_stop(admin);
		return wm_cli_fail(&err);
	}
	code = wm_daemon_loop(&daemon);
	wm_admin_stop(admin);
	wm_progress_destroy(progress);
	progress = NULL;
	if (once && code == WM_EXIT_OK && wm_pipeline_phase(pipeline, NULL) == WM_PHASE_DONE)
		code = finish_once(&sync, json);
	return code;
}

static void
destroyp(struct wm_target **target)
{
	wm_target_destroy(*target);
}

/* A target that can never be opened is told before anything is made at the source; one out of reach may come back. */
static int
try_target(const struct wm_target *model)
{
	WM_AUTO(destroyp) struct wm_target *target = NULL;
	struct wm_error err;
	enum wm_status st = wm_target_clone(model, &target, &err);

	if (st == WM_OK)
		st = target->ops->open(target, &err);
	if (st == WM_OK || st == WM_RETRY)
		return -1;
	wm_cli_fail(&err);
	return WM_EXIT_OPERATOR;
}

static int
start(const struct wm_link_flags *flags, bool once, bool json)
{
	WM_AUTO(wm_link_free) struct wm_link link = { 0 };
	WM_AUTO(wm_cli_free_setupp) struct wm_setup *setup = NULL;
	WM_AUTO(wm_cli_free_statep) struct wm_state *state = NULL;
	struct wm_diags diags = { 0 };
	struct wm_error err;
	int signals, code;

	if (wm_link_make(flags, &link, &err) != WM_OK)
		return wm_args_mistake("sync", "%s", err.text);
	setup = wm_link_setup(&link, &flags->tables, &diags);
	wm_cli_print_diags(&diags);
	wm_diags_free(&diags);
	if (setup == NULL)
		return WM_EXIT_USAGE;
	if ((code = try_target(setup->targets[0])) != -1)
		return code;
	if (wm_daemon_signals(&signals, &err) != WM_OK || wm_state_open(link.state, &state, &err) != WM_OK)
		return wm_cli_fail(&err);
	wm_log(WM_LOG_INFO, "starting", "walmill " PACKAGE_VERSION ": source \"%s\" (slot \"%s\") to %s, state in %s",
	    link.source, link.slot, link.ops->type, link.state);
	return follow(setup, state, signals, once, json);
}

int
wm_cli_sync(int argc, char **argv)
{
	struct wm_link_flags given = { 0 };
	bool once = false, json = false;
	const struct wm_flag flags[] = {
		{ "source", 0, WM_FLAG_TEXT, &given.source, "URI", "the database: postgresql://USER@HOST/DATABASE" },
		{ "target", 0, WM_FLAG_TEXT, &given.target, "URI", "sqlite:PATH or postgresql://USER@HOST/DATABASE" },
		{ "table", 0, WM_FLAG_LIST, &given.tables, "GLOB", "these tables only (schema.table, * and ?; ! excludes); "
		    "may be repeated" },
		{ "once", 0, WM_FLAG_SWITCH, &once, NULL, "stop when caught up with the source's position at the start" },
		{ "state", 0, WM_FLAG_TEXT, &given.state, "DIR", "state folder (default: one made from both URIs, in "
		    "~/.local/state/walmill)" },
		{ "slot", 0, WM_FLAG_TEXT, &given.slot, "NAME", "replication slot (default: made from both URIs)" },
		{ "publication", 0, WM_FLAG_TEXT, &given.publication, "NAME", "publication (default: made from both URIs)" },
		{ "json", 0, WM_FLAG_SWITCH, &json, NULL, "with --once: print the result as JSON" },
		WM_FLAG_END,
	};
	const struct wm_usage usage = { "sync", "",
		"Makes slot and publication at the source and tables at the target, "
		"copies the rows, and\nfollows the changes until it is stopped.  Called again it goes on where it stopped.",
		0, 0 };
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);

	wm_cli_no_core();
	if (code == -1 && given.source == NULL)
		code = wm_args_mistake("sync", "--source is missing");
	if (code == -1 && given.target == NULL)
		code = wm_args_mistake("sync", "--target is missing");
	if (code == -1)
		code = start(&given, once, json);
	free(given.tables.list);
	return code;
}
