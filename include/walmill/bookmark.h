/* SPDX-License-Identifier: PostgreSQL */
/*
 * bookmark.h - a small named text that the pipeline keeps with a target: positions, seed progress.
 *
 * A transactional target keeps bookmarks itself and commits them with the data; for the others
 * the state does.
 */
#ifndef WM_BOOKMARK_H
#define WM_BOOKMARK_H

struct wm_bookmark {
	const char	*source;	/* name of the source it belongs to */
	const char	*name;
	const char	*value;		/* JSON; NULL removes the bookmark */
};

typedef void wm_bookmark_fn(void *arg, const char *name, const char *value);

#endif
