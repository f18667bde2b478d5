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

/* Whether it hangs where it hung, all the time; a bookmark of before may not know where that was. */
static bool
is_tied(const struct leaf_progress *was, const struct leaf_progress *now)
{
	return now != NULL && (was->link == 0 || now->link == was->link);
}

/* Whether a partition of old is none any more, was one not all the time, or (but for files) is another file. */
static bool
has_lost(const struct leaf_progress *old, size_t nold, const struct leaf_progress *list, size_t n, bool files)
{
	for (size_t i = 0; i < nold; i++) {
		const struct leaf_progress *now = find_leaf(list, n, old[i].oid);

		if (!is_tied(&old[i], now) || (files && now->node != old[i].node))
			return true;
	}
	return false;
}

static bool
follows(const struct wm_rule *rule)
{
	return rule->on_truncate == WM_TRUNCATE_TRUNCATE && (rule->events & WM_EVENT_TRUNCATE) != 0;
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
		const struct leaf_progress *was = find_leaf(u->leaves, u->nleaves, list[i].oid);

		list[i].done = was != NULL && is_tied(was, &list[i]);
		fresh |= !list[i].done;
	}
	pthread_mutex_lock(&u->lock);
	free(u->leaves);
	u->leaves = list;
	u->nleaves = n;
	pthread_mutex_unlock(&u->lock);
	return fresh;
}

bool
partitions_lost(const struct unit *u, const struct leaf_progress *list, size_t n)
{
	bool lost = false;

	for (size_t i = 0; i < u->nleaves; i++) {
		const struct leaf_progress *was = &u->leaves[i];

		/* A table without partitions streams its own truncation. */
		if (was->oid != u->oid && (was->next != 0 || was->done))
			lost |= has_lost(was, 1, list, n, u->truncated == 0);
	}
	return lost && u->rule->mode == WM_MODE_UPSERT && follows(u->rule);
}

void
partitions_begin_again(struct unit *u)
{
	wm_log(WM_LOG_WARNING, "partition_gone",
	    "a partition of table %s.%s was detached, dropped, truncated or rewritten: its view under rule "
	    "\"%s\" begins again (`on_truncate: ignore` keeps such rows)", u->schema, u->name, u->rule->name);
	u->empty_view = true;
	unit_restart(u);
}

enum wm_status
partitions_follow(struct worker *w, struct unit *u, const struct matched *m, const struct tableset *tables,
    struct wm_error *err)
{
	struct leaf_progress *seen, *list;
	wm_lsn lsn = tables->lsn_after;
	bool lost, changed = false;

	/* A log keeps its events; a seed that is newer than the catalog was read waits for the next look. */
	if (u->rule->mode != WM_MODE_UPSERT || u->rule->seed_mode != WM_SEED_AUTO || u->catchup > lsn)
		return WM_OK;
	/* Files that a seed read after it are those of after it. */
	lost = has_lost(u->leaves, u->nleaves, m->leaves, m->nleaves, u->truncated <= u->catchup) ||
	    has_lost(u->seen, u->nseen, m->leaves, m->nleaves, u->truncated == 0);
	if (u->truncated <= lsn)
		u->truncated = 0;
	u->dirty |= has_lost(u->leaves, u->nleaves, m->leaves, m->nleaves, true);
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
	if (lost && follows(u->rule)) {
		free(list);
		partitions_begin_again(u);
		changed = true;
	} else if (take_leaves(u, list, m->nleaves)) {
		wm_log(WM_LOG_INFO, "partition_added",
		    "table %s.%s under rule \"%s\" has a new partition, whose rows are read",
		    u->schema, u->name, u->rule->name);
		u->state = UNIT_SEEDING;
		u->reseed = u->dirty = changed = true;
	}
	w->bookmarks |= u->dirty;
	/*
	 * Before version 15 a stream goes on as before for partitions below a partition that came or went: their changes
	 * are left out, or come under a wrong name.  A new session looks at the catalog as it is from here on.
	 */
	if (changed && tables->server_version < 150000)
		w->await_session = source_renew(w->source);
	worker_show_rules(w);
	return WM_OK;
}
