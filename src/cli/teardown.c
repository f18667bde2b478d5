/* SPDX-License-Identifier: PostgreSQL */
/*
 * teardown.c - walmill teardown: drops slot and publication that walmill made, and deletes the journal and
 * what is kept of prepared transactions.
 *
 * What targets remember stays: it tells the next start that their views belong to an older slot
 * and must be emptied.
 *
 * The state's lock keeps a daemon of the same state out meanwhile.  The record of a source
 * goes last, so that a teardown that was cut short can be called again.
 */
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "cli.h"
#include "link.h"
#include "walmill/fault.h"
#include "walmill/journal.h"
#include "walmill/pg.h"
#include "walmill/source.h"
#include "walmill/strutil.h"

/* ---- the source ---- */

static enum wm_status
drop_slot(struct wm_pg *c, const struct wm_source_record *record, const char *source, struct wm_error *err)
{
	struct wm_slot_info info;
	enum wm_status status = wm_slot_info(c, record->slot, &info, err);

	if (status != WM_OK || !info.exists)
		return status;
	if (info.active)
		return wm_fail(err, WM_FATAL,
		    "source \"%s\": slot \"%s\" is in use by server process %d; stop the walmill "
		    "that streams from it first",
		    source, record->slot, info.active_pid);
	if (!record->slot_made) {
		fprintf(stderr,
		    "walmill: source \"%s\": slot \"%s\" exists, but the state does not say that walmill made "
		    "it; it is left alone (SELECT pg_drop_replication_slot('%s') drops it)\n",
		    source, record->slot, record->slot);
		return WM_OK;
	}
	if ((status = wm_slot_drop(c, record->slot, err)) == WM_OK)
		fprintf(stderr, "walmill: source \"%s\": slot \"%s\" dropped\n", source, record->slot);
	return status;
}

static enum wm_status
drop_publication(struct wm_pg *c, const char *publication, const char *source, struct wm_error *err)
{
	bool exists;
	enum wm_status status = wm_publication_exists(c, publication, &exists, err);

	if (status != WM_OK || !exists)
		return status;
	if ((status = wm_publication_drop(c, publication, err)) == WM_OK)
		fprintf(stderr, "walmill: source \"%s\": publication \"%s\" dropped\n", source, publication);
	return status;
}

/* Both of them. */
static enum wm_status
drop_publications(struct wm_pg *c, const struct wm_source_record *record, const char *source, struct wm_error *err)
{
	char inserts[WM_PUBLICATION_NAMELEN];
	enum wm_status status = drop_publication(c, record->publication, source, err);

	wm_publication_inserts_name(record->publication, inserts);
	return status == WM_OK ? drop_publication(c, inserts, source, err) : status;
}

static enum wm_status
drop_at_source(const struct wm_source_config *source, const struct wm_source_record *record, struct wm_error *err)
{
	WM_AUTO(wm_pg_closep) struct wm_pg *c = NULL;
	enum wm_status status;

	if (!source->manage) {
		fprintf(stderr,
		    "walmill: source \"%s\" has \"manage: false\": slot \"%s\" and publication \"%s\" are left "
		    "alone\n",
		    source->name, record->slot, record->publication);
		return WM_OK;
	}
	if ((status = wm_pg_connect(source->uri, WM_PG_SQL, "walmill teardown", &c, err)) != WM_OK ||
	    (status = drop_slot(c, record, source->name, err)) != WM_OK)
		return status;
	return drop_publications(c, record, source->name, err);
}

static enum wm_status
delete_journal(const struct wm_config *config, const char *source, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *folder = wm_config_journal_folder(config, source);

	return folder == NULL ? wm_oom(err, "the journal's folder") : wm_journal_delete(folder, err);
}

/* Of no use without the slot. */
static enum wm_status
delete_prepared(const struct wm_config *config, const char *source, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *folder = wm_config_prepared_folder(config, source);

	return folder == NULL ? wm_oom(err, "a path") : wm_prepared_delete(folder, err);
}

static enum wm_status
teardown_source(const struct wm_setup *setup, struct wm_state *state, const struct wm_source_config *source,
    struct wm_error *err)
{
	struct wm_source_record record;
	enum wm_status status;
	bool found;

	if ((status = wm_state_source_get(state, source->name, &record, &found, err)) != WM_OK)
		return status;
	if (!found) {
		fprintf(stderr,
		    "walmill: source \"%s\": the state in %s knows of nothing that walmill made\n",
		    source->name, setup->config->state);
		return WM_OK;
	}
	status = drop_at_source(source, &record, err);
	WM_FAULT(teardown_at_source);
	if (status == WM_OK)
		status = delete_prepared(setup->config, source->name, err);
	if (status == WM_OK)
		status = delete_journal(setup->config, source->name, err);
	WM_FAULT(teardown_journal);
	if (status != WM_OK)
		return wm_error_prefix(err, "teardown of source \"%s\"", source->name);
	return wm_state_source_delete(state, source->name, err);
}

/* Lanes that `slots` no longer has, and that the daemon could not clear yet. */
static enum wm_status
teardown_former_lanes(const struct wm_setup *setup, struct wm_state *state, const struct wm_source_config *first,
    struct wm_error *err)
{
	enum wm_status status = WM_OK;

	for (unsigned lane = (unsigned)first->lanes + 1; status == WM_OK && lane <= WM_LANES_MAX; lane++) {
		WM_AUTO(wm_freep) char *name = wm_lane_name(first->base, lane);
		struct wm_source_config former = *first;
		struct wm_source_record record;
		bool found = false;

		former.name = name;
		if ((status = name == NULL ? wm_oom(err, "a lane") :
			wm_state_source_get(state, name, &record, &found, err)) == WM_OK && found)
			status = teardown_source(setup, state, &former, err);
	}
	return status;
}

/* Goes on with the other sources after an error; the first one's code counts. */
static int
teardown(const struct wm_setup *setup)
{
	WM_AUTO(wm_cli_free_statep) struct wm_state *state = NULL;
	struct wm_error err;
	int code = WM_EXIT_OK;

	if (wm_state_open(setup->config->state, &state, &err) != WM_OK)
		return wm_cli_fail(&err);
	for (size_t i = 0; i < setup->config->nsources; i++)
		if (teardown_source(setup, state, &setup->config->sources[i], &err) != WM_OK ||
		    (setup->config->sources[i].lane == 1 &&
			teardown_former_lanes(setup, state, &setup->config->sources[i], &err) != WM_OK)) {
			int failed = wm_cli_fail(&err);

			code = code == WM_EXIT_OK ? failed : code;
		}
	return code;
}

/* ---- the command ---- */

static struct wm_setup *
setup_of_link(const struct wm_link_flags *given, struct wm_diags *diags, int *ret_code)
{
	WM_AUTO(wm_link_free) struct wm_link link = { 0 };
	struct wm_error err;

	if (wm_link_make(given, &link, &err) != WM_OK) {
		*ret_code = wm_args_mistake("teardown", "%s", err.text);
		return NULL;
	}
	return wm_link_setup(&link, &given->tables, diags);
}

int
wm_cli_teardown(int argc, char **argv)
{
	struct wm_link_flags given = { 0 };
	const char *config = NULL;
	const struct wm_flag flags[] = {
		WM_FLAG_CONFIG(config),
		{ "source", 0, WM_FLAG_TEXT, &given.source, "URI", "instead of a configuration: as given to \"walmill sync\"" },
		{ "target", 0, WM_FLAG_TEXT, &given.target, "URI", "with --source: as given to \"walmill sync\"" },
		{ "state", 0, WM_FLAG_TEXT, &given.state, "DIR", "with --source: as given to \"walmill sync\"" },
		WM_FLAG_END,
	};
	const struct wm_usage usage = { "teardown", "",
		"Drops the replication slot and the publication that walmill made "
		"at each source, deletes\nthe journal and forgets the positions.  Tables at the targets stay.",
		0, 0 };
	WM_AUTO(wm_cli_free_setupp) struct wm_setup *setup = NULL;
	struct wm_diags diags = { 0 };
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);

	if (code != -1)
		return code;
	if ((given.source == NULL) != (given.target == NULL) || (given.state != NULL && given.source == NULL))
		return wm_args_mistake("teardown",
		    "give --source and --target as to \"walmill sync\", or a configuration");
	if (given.source != NULL && config != NULL)
		return wm_args_mistake("teardown", "give a configuration or --source and --target, not both");
	code = WM_EXIT_USAGE;
	setup = given.source != NULL ? setup_of_link(&given, &diags, &code) :
	    wm_cli_load_setup(wm_cli_config_path(config), &diags);
	wm_cli_print_diags(&diags);
	wm_diags_free(&diags);
	return setup == NULL ? code : teardown(setup);
}
