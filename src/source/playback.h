/* SPDX-License-Identifier: PostgreSQL */
/*
 * playback.h - a transaction that was put aside goes into the journal, as one that came whole would.
 */
#ifndef WM_PLAYBACK_H
#define WM_PLAYBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relations.h"
#include "spool.h"
#include "walmill/buf.h"
#include "walmill/error.h"
#include "walmill/journal.h"
#include "walmill/lsn.h"

enum wm_playback_phase { WM_PLAYBACK_NONE, WM_PLAYBACK_BEGIN, WM_PLAYBACK_CHANGES, WM_PLAYBACK_COMMIT };

struct wm_commit {			/* as the server sent it */
	uint32_t	xid;
	wm_lsn		lsn, end;
	uint64_t	time;
};

struct wm_playback {
	enum wm_playback_phase	 phase;
	struct wm_spool		*spool;
	struct wm_commit	 commit;
	struct wm_relations	 own;		/* its descriptions that the journal has still to get */
	struct wm_buf		 held;		/* a message that the journal has still to get */
	wm_lsn			 held_lsn;
	bool			 holds;
};

void wm_playback_init(struct wm_playback *p);
void wm_playback_free(struct wm_playback *p, struct wm_spools *all);
/* Takes the spool over. */
enum wm_status wm_playback_begin(struct wm_playback *p, struct wm_spools *all, struct wm_spool *spool,
    const struct wm_commit *commit, struct wm_error *err);
bool wm_playback_busy(const struct wm_playback *p);
/* The next slice; *ret_changes: how many changes that were.  WM_RETRY with *ret_full: the journal has no room. */
enum wm_status wm_playback_some(struct wm_playback *p, struct wm_spools *all, struct wm_relations *sent,
    struct wm_journal *journal, uint64_t *ret_changes, bool *ret_full, struct wm_error *err);

#endif
