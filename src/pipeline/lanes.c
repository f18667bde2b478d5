/* SPDX-License-Identifier: PostgreSQL */
/*
 * lanes.c - a source's lanes: which has a table, and what is left of those that `slots` no longer has.
 *
 * Tables go from lane to lane when `slots` changes.  What a lane missed meanwhile it cannot know, so one that went is
 * forgotten before any other takes its tables, and begins anew should it come back.  Its slot goes as soon as the
 * server can be reached: it would keep WAL for ever.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

bool
source_takes(const struct source *s, const char *schema, const char *table)
{
	return wm_setup_lane_of(s->p->setup, s->config, schema, table) == (unsigned)s->config->lane;
}

unsigned
lane_of_name(const struct wm_setup *setup, const struct wm_source_config *source, const char *table)
{
	const char *dot = strchr(table, '.');
	WM_AUTO(wm_freep) char *schema = source->lanes == 1 || dot == NULL ? NULL :
	    strndup(table, (size_t)(dot - table));

	return schema == NULL ? 1 : wm_setup_lane_of(setup, source, schema, dot + 1);
}

/* ---- lanes that went ---- */

static enum wm_status
retire(struct wm_pipeline *p, const char *name, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *journal = wm_config_journal_folder(p->setup->config, name);
	WM_AUTO(wm_freep) char *prepared = wm_config_prepared_folder(p->setup->config, name);
	struct wm_source_record rec;
	bool found = false;
	enum wm_status st = journal == NULL || prepared == NULL ? wm_oom(err, "a lane's folders") :
	    wm_state_source_get(p->state, name, &rec, &found, err);

	if (st != WM_OK || !found)
		return st;
	st = wm_state_source_begin_again(p->state, name, &rec, err);
	if (st == WM_OK)
		st = wm_prepared_delete(prepared, err);
	return st == WM_OK ? wm_journal_delete(journal, err) : st;
}

enum wm_status
lanes_retire(struct wm_pipeline *p, const struct wm_source_config *first, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	for (unsigned lane = (unsigned)first->lanes + 1; st == WM_OK && lane <= WM_LANES_MAX; lane++) {
		WM_AUTO(wm_freep) char *name = wm_lane_name(first->base, lane);

		st = name == NULL ? wm_oom(err, "a lane") : retire(p, name, err);
	}
	return st;
}

static enum wm_status
drop_publications(struct wm_pg *sql, const struct wm_source_record *rec, struct wm_error *err)
{
	char inserts[WM_PUBLICATION_NAMELEN];
	enum wm_status st = wm_publication_drop(sql, rec->publication, err);

	wm_publication_inserts_name(rec->publication, inserts);
	return st == WM_OK ? wm_publication_drop(sql, inserts, err) : st;
}

/* From the first step on it is a lane that has no slot yet: one that comes back makes all of it. */
static enum wm_status
drop(struct source *s, struct wm_pg *sql, const char *name, struct wm_source_record *rec, struct wm_error *err)
{
	enum wm_status st;

	rec->slot_made = false;
	st = wm_state_source_put(s->p->state, name, rec, err);
	if (st == WM_OK)
		st = wm_slot_drop(sql, rec->slot, err);
	if (st == WM_OK)
		st = drop_publications(sql, rec, err);
	if (st == WM_OK)
		st = wm_state_source_delete(s->p->state, name, err);
	if (st == WM_OK)
		wm_log(WM_LOG_INFO, "lane_dropped",
		    "dropped replication slot \"%s\" and its publication: `slots` of source \"%s\" has no lane for it "
		    "any more", rec->slot, s->config->base);
	return st;
}

/* What is not ours to drop is forgotten when somebody has dropped it. */
static enum wm_status
look_after(struct source *s, struct wm_pg *sql, const char *name, const struct wm_source_record *rec, bool *ret_left,
    struct wm_error *err)
{
	struct wm_slot_info slot;
	enum wm_status st = wm_slot_info(sql, rec->slot, &slot, err);

	if (st != WM_OK)
		return st;
	if (!slot.exists)
		return wm_state_source_delete(s->p->state, name, err);
	*ret_left = true;
	if (!s->lanes_told)
		wm_log(WM_LOG_WARNING, "lane_left",
		    "replication slot \"%s\" is of a lane that `slots` of source \"%s\" no longer has, and keeps WAL at "
		    "the server; `manage: false` leaves it to you: SELECT pg_drop_replication_slot('%s'), and drop "
		    "publication \"%s\"",
		    rec->slot, s->config->base, rec->slot, rec->publication);
	return WM_OK;
}

static enum wm_status
clear_one(struct source *s, struct wm_pg *sql, unsigned lane, bool *ret_left, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *name = wm_lane_name(s->config->base, lane);
	struct wm_source_record rec;
	bool found = false;
	enum wm_status st = name == NULL ? wm_oom(err, "a lane") :
	    wm_state_source_get(s->p->state, name, &rec, &found, err);

	if (st != WM_OK || !found)
		return st;
	return s->config->manage ? drop(s, sql, name, &rec, err) : look_after(s, sql, name, &rec, ret_left, err);
}

void
lanes_clear(struct source *s, struct wm_pg *sql)
{
	bool left = false;

	if (s->config->lane != 1 || s->lanes_cleared)
		return;
	for (unsigned lane = (unsigned)s->config->lanes + 1; lane <= WM_LANES_MAX; lane++) {
		struct wm_error err = { 0 };

		if (clear_one(s, sql, lane, &left, &err) == WM_OK)
			continue;
		left = true;
		if (!s->lanes_told)
			wm_log(WM_LOG_WARNING, "lane_left",
			    "what lane %u of source \"%s\" had at the server could not be dropped, and is tried again; its "
			    "slot keeps WAL meanwhile: %s",
			    lane, s->config->base, err.text);
	}
	s->lanes_told = left;
	s->lanes_cleared = !left;
}
