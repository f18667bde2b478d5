/* SPDX-License-Identifier: PostgreSQL */
/*
 * partitions.c - partitions that come and go.
 *
 * PostgreSQL streams no row when a partition is attached, detached or dropped, and no TRUNCATE of a
 * partition alone when changes come under the root's name.  The catalog shows it: the rows of a
 * partition that came are seeded; where one went, the view begins again, for nothing says which rows
 * were its own.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static const struct leaf_progress *
find_leaf(const struct leaf_progress *list, size_t n, uint32_t oid)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].oid == oid)
			return &list[i];
	return NULL;
}

/* Whether a partition of old is none any more, or (but for files) has been truncated or rewritten. */
static bool
has_lost(const struct leaf_progress *old, size_t n, const struct matched *m, bool files)
{
	for (size_t i = 0; i < n; i++) {
		const struct leaf_progress *now = find_leaf(m->leaves, m->nleaves, old[i].oid);

		if (now == NULL || (files && now->node != old[i].node))
			return true;
	}
	return false;
}

static struct leaf_progress *
copy_leaves(const struct matched *m)
{
	struct leaf_progress *list = calloc(m->nleaves + 1, sizeof(*list));

	if (list != NULL && m->nleaves > 0)
		memcpy(list, m->leaves, m->nleaves * sizeof(*list));
	return list;
}

/* The unit's partitions are those of the catalog; true when one of them is to be seeded. */
static bool
take_leaves(struct unit *u, struct leaf_progress *list, size_t n)
{
	bool fresh = false;

	for (size_t i = 0; i < n; i++) {
		list[i].done = find_leaf(u->leaves, u->nleaves, list[i].oid) != NULL;
		fresh |= !list[i].done;
	}
	pthread_mutex_lock(&u->lock);
	free(u->leaves);
	u->leaves = list;
	u->nleaves = n;
	pthread_mutex_unlock(&u->lock);
	return fresh;
}

enum wm_status
partitions_follow(struct worker *w, struct unit *u, const struct matched *m, wm_lsn lsn, struct wm_error *err)
{
	struct leaf_progress *seen, *list;
	bool lost, files = !u->truncated;

	/* A log keeps its events; a seed that is newer than the catalog was read waits for the next look. */
	if (u->rule->mode != WM_MODE_UPSERT || u->rule->seed_mode != WM_SEED_AUTO || u->catchup > lsn)
		return WM_OK;
	lost = has_lost(u->leaves, u->nleaves, m, files) || has_lost(u->seen, u->nseen, m, files);
	if (has_lost(u->leaves, u->nleaves, m, true)) {
		u->truncated = false;
		u->dirty = true;
	}
	seen = copy_leaves(m);
	list = copy_leaves(m);
	if (seen == NULL || list == NULL) {
		free(seen);
		free(list);
		return wm_oom(err, "a table's partitions");
	}
	free(u->seen);
	u->seen = seen;
	u->nseen = m->nleaves;
	if (lost && u->rule->on_truncate == WM_TRUNCATE_TRUNCATE && (u->rule->events & WM_EVENT_TRUNCATE) != 0) {
		free(list);
		wm_log(WM_LOG_WARNING, "partition_gone",
		    "a partition of table %s.%s was detached, dropped, truncated or rewritten: its view under rule "
		    "\"%s\" begins again (`on_truncate: ignore` keeps such rows)", u->schema, u->name, u->rule->name);
		u->empty_view = true;
		unit_restart(u);
	} else if (take_leaves(u, list, m->nleaves)) {
		wm_log(WM_LOG_INFO, "partition_added",
		    "table %s.%s under rule \"%s\" has a new partition, whose rows are read",
		    u->schema, u->name, u->rule->name);
		u->state = UNIT_SEEDING;
		u->reseed = u->dirty = true;
	}
	w->bookmarks |= u->dirty;
	worker_show_rules(w);
	return WM_OK;
}
