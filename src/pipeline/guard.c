/* SPDX-License-Identifier: PostgreSQL */
/*
 * guard.c - is this the server and the slot that the state is about?
 *
 * PostgreSQL starts a stream silently at confirmed_flush_lsn when it is asked for an older
 * position, so a slot that was made again or moved by somebody else would lose changes without
 * a word.  Every position is stored before the server is told it; a slot that stands further
 * than that is not ours any more.
 */
#include <string.h>

#include "internal.h"

/* The server's history has been left, at parted, before what walmill has from it. */
static enum wm_status
left_behind(const char *source, uint32_t timeline, wm_lsn parted, wm_lsn reached, struct wm_error *err)
{
	return wm_fail(err, WM_OPERATOR,
	    "source \"%s\" went over to timeline %" PRIu32 " at " WM_LSN_FMT ", before the position " WM_LSN_FMT
	    " that walmill has received: the targets hold changes that the source has lost; run `walmill teardown` and "
	    "start again to seed anew (`synchronized_standby_slots` keeps standbys ahead)",
	    source, timeline, WM_LSN_ARGS(parted), WM_LSN_ARGS(reached));
}

enum wm_status
guard_checkpoint(const struct source *s, uint32_t now, uint32_t then, wm_lsn reached, struct wm_error *err)
{
	WM_AUTO(wm_pg_closep) struct wm_pg *c = NULL;
	wm_lsn parted = 0;
	enum wm_status st = WM_OK;

	if (then >= now)
		return WM_OK;
	st = source_connect(s, WM_PG_REPLICATION, "walmill", &c, err);
	if (st == WM_OK)
		st = wm_pg_timeline_switch(c, now, then, &parted, err);
	/* Whatever is wrong with the source, its own threads judge it: here it is only out of reach. */
	if (st != WM_OK)
		return err->status = WM_RETRY;
	return parted == 0 || parted < reached ? left_behind(s->config->name, now, parted, reached, err) : WM_OK;
}

static enum wm_status
check_timeline(struct wm_pg *replication, const struct wm_pg_identity *id, struct wm_source_record *record,
    const char *source, wm_lsn reached, struct wm_error *err)
{
	wm_lsn parted;
	enum wm_status st;

	if (id->timeline == record->timeline)
		return WM_OK;
	if (id->timeline < record->timeline)
		return wm_fail(err, WM_OPERATOR,
		    "source \"%s\" is on timeline %" PRIu32
		    ", but walmill has followed it on timeline %" PRIu32
		    ": an old primary or an older copy answers; point the URI at the current primary",
		    source, id->timeline, record->timeline);
	st = wm_pg_timeline_switch(replication, id->timeline, record->timeline, &parted, err);
	if (st != WM_OK)
		return st;
	if (parted == 0 || parted < reached)
		return left_behind(source, id->timeline, parted, reached, err);
	record->timeline = id->timeline;
	return WM_OK;
}

static enum wm_status
check_slot(struct wm_pg *sql, const struct wm_source_record *record, const char *source, bool *ret_lost,
    struct wm_error *err)
{
	struct wm_slot_info slot;
	enum wm_status st = wm_slot_info(sql, record->slot, &slot, err);

	if (st != WM_OK)
		return st;
	*ret_lost = !slot.exists;
	if (!slot.exists)
		return wm_fail(err, WM_OPERATOR,
		    "replication slot \"%s\" of source \"%s\" does not exist any more: changes after " WM_LSN_FMT
		    " cannot be had; run `walmill teardown` and start again to seed anew, which `on_slot_lost: seed` does "
		    "by itself",
		    record->slot, source, WM_LSN_ARGS(record->acked_lsn));
	if (strcmp(slot.plugin, "pgoutput") != 0 || !slot.same_database)
		return wm_fail(err, WM_OPERATOR,
		    "replication slot \"%s\" is not a pgoutput slot of this database (plugin \"%s\", "
		    "database \"%s\"): somebody made it anew; use another slot name",
		    record->slot, slot.plugin, slot.database);
	*ret_lost = slot.lost;
	if (slot.lost)
		return wm_fail(err, WM_OPERATOR,
		    "the server has invalidated replication slot \"%s\" of source \"%s\" (%s): changes "
		    "after " WM_LSN_FMT
		    " are gone; raise max_slot_wal_keep_size, run `walmill teardown` and start again to "
		    "seed anew, which `on_slot_lost: seed` does by itself",
		    record->slot, source, slot.invalidation, WM_LSN_ARGS(record->acked_lsn));
	if (slot.confirmed_lsn > record->acked_lsn)
		return wm_fail(err, WM_OPERATOR,
		    "replication slot \"%s\" of source \"%s\" stands at " WM_LSN_FMT
		    ", but walmill has acknowledged only " WM_LSN_FMT
		    ": it was made again or moved by somebody else, and the changes "
		    "between are lost; run `walmill teardown` and start again to seed anew",
		    record->slot, source, WM_LSN_ARGS(slot.confirmed_lsn),
		    WM_LSN_ARGS(record->acked_lsn));
	return WM_OK;
}

enum wm_status
guard_check(struct wm_pg *replication, struct wm_pg *sql, struct wm_source_record *record, const char *source,
    wm_lsn complete, bool *ret_lost, struct wm_error *err)
{
	wm_lsn reached = complete > record->acked_lsn ? complete : record->acked_lsn;
	struct wm_pg_identity id;
	enum wm_status st = wm_pg_identify(replication, &id, err);

	*ret_lost = false;
	if (st != WM_OK)
		return st;
	if (strcmp(id.system_id, record->system_id) != 0)
		return wm_fail(err, WM_OPERATOR,
		    "source \"%s\" (%s) is another PostgreSQL cluster: its system identifier is %s, "
		    "walmill has followed %s; point the URI at the right server, or run `walmill teardown` to begin with this one",
		    source, wm_pg_where(sql), id.system_id, record->system_id);
	st = check_timeline(replication, &id, record, source, reached, err);
	if (st == WM_OK && id.wal_lsn < reached)
		return wm_fail(err, WM_OPERATOR,
		    "source \"%s\" stands at " WM_LSN_FMT ", behind the position " WM_LSN_FMT
		    " that walmill has received: it was put back to an older state; run `walmill teardown` and start again "
		    "to seed anew",
		    source, WM_LSN_ARGS(id.wal_lsn), WM_LSN_ARGS(reached));
	return st == WM_OK ? check_slot(sql, record, source, ret_lost, err) : st;
}
