/* SPDX-License-Identifier: PostgreSQL */
/*
 * takeover.c - tables and views that go from one lane of a source to another.
 *
 * A lane that takes a table notes with the first bookmark of its own, and in the same commit, that the lanes which may
 * have had it do not know it any more.  So of all lanes' bookmarks of a table at most one is good.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

/* ---- what the target remembers of other lanes ---- */

struct elsewhere {
	char		*name;
	unsigned	 lanes;		/* bits */
	bool		 bare;
	UT_hash_handle	 hh;
};

struct reading {
	struct worker	*w;
	unsigned	 lane;
	bool		 oom;
};

static struct elsewhere *
recall(const struct worker *w, const char *name)
{
	struct elsewhere *e;

	HASH_FIND_STR(w->elsewhere, name, e);
	return e;
}

static void
note(void *arg, const char *name, const char *value)
{
	struct reading *r = arg;
	struct elsewhere *e;

	if (!bookmark_outlives(name, value, r->lane))
		return;
	e = recall(r->w, name);
	if (e == NULL) {
		e = calloc(1, sizeof(*e));
		if (e == NULL || (e->name = strdup(name)) == NULL) {
			free(e);
			r->oom = true;
			return;
		}
		HASH_ADD_KEYPTR(hh, r->w->elsewhere, e->name, strlen(e->name), e);
	}
	e->lanes |= 1U << r->lane;
	e->bare |= bookmark_is_bare(value);
}

enum wm_status
elsewhere_load(struct worker *w, struct wm_error *err)
{
	const struct wm_source_config *own = w->source->config;
	enum wm_status st = WM_OK;

	if (w->elsewhere_read)
		return WM_OK;
	for (unsigned lane = 1; st == WM_OK && lane <= WM_LANES_MAX; lane++) {
		struct reading r = { .w = w, .lane = lane };
		WM_AUTO(wm_freep) char *name = wm_lane_name(own->base, lane);

		if (lane == (unsigned)own->lane)
			continue;
		st = name == NULL ? wm_oom(err, "a lane") : bookmarks_read(w, name, note, &r, err);
		if (st == WM_OK && r.oom)
			st = wm_oom(err, "bookmarks");
	}
	w->elsewhere_read = st == WM_OK;
	return st;
}

void
elsewhere_forget(struct worker *w)
{
	struct elsewhere *e, *tmp;

	HASH_ITER(hh, w->elsewhere, e, tmp) {
		HASH_DEL(w->elsewhere, e);
		free(e->name);
		free(e);
	}
	w->elsewhere_read = false;
}

bool
elsewhere_known(const struct worker *w, const char *name)
{
	return recall(w, name) != NULL;
}

bool
elsewhere_bare(const struct worker *w, const char *name)
{
	const struct elsewhere *e = recall(w, name);

	return e != NULL && e->bare;
}

unsigned
elsewhere_lanes(const struct worker *w, const struct unit *u, const char *name)
{
	const struct wm_source_config *own = w->source->config;
	unsigned lanes = 0, have = (1U << (own->lanes + 1)) - 2;	/* without the bit of lane 0 */
	const struct elsewhere *e = recall(w, name);

	/* Where it would be with fewer lanes.  The first does not look at others when it is the only one. */
	for (unsigned n = 1; n <= (unsigned)own->lanes; n++)
		lanes |= 1U << wm_lane_of(u->schema, u->name, n);
	if (e != NULL)
		lanes |= e->lanes;
	/* Those that are not there now begin anew when they come back. */
	return lanes & have & ~(1U << own->lane);
}

/* ---- views ---- */

struct view_claim {
	char		*key;
	struct worker	*holder;	/* NULL: nobody */
	uint64_t	 version;	/* of the tables with which it was claimed last */
	int		 lane;		/* that held it last */
	bool		 wanted;	/* another lane waits for it */
	UT_hash_handle	 hh;
};

/* The lock is held.  NULL: memory is out. */
static struct view_claim *
find(struct worker *w, const char *view)
{
	WM_AUTO(wm_freep) char *key = wm_asprintf("%s\n%s\n%s", w->source->config->base, w->model->name, view);
	struct view_claim *c = NULL;

	if (key == NULL)
		return NULL;
	HASH_FIND_STR(w->p->views, key, c);
	if (c != NULL || (c = calloc(1, sizeof(*c))) == NULL)
		return c;
	c->key = key;
	key = NULL;
	HASH_ADD_KEYPTR(hh, w->p->views, c->key, strlen(c->key), c);
	return c;
}

enum wm_status
views_claim(struct worker *w, const char *view, bool *ret_mine, bool *ret_taken, struct wm_error *err)
{
	const struct wm_source_config *own = w->source->config;
	struct view_claim *c;

	*ret_mine = true;
	*ret_taken = false;
	if (own->lanes == 1)
		return WM_OK;
	pthread_mutex_lock(&w->p->views_lock);
	c = find(w, view);
	if (c != NULL && c->holder != NULL && c->holder != w) {
		*ret_mine = false;
		c->wanted = true;
	} else if (c != NULL) {
		*ret_taken = c->lane != 0 && c->lane != own->lane;
		c->holder = w;
		c->lane = own->lane;
		c->version = w->tables_version;
	}
	pthread_mutex_unlock(&w->p->views_lock);
	return c == NULL ? wm_oom(err, "a view") : WM_OK;
}

void
views_keep(struct worker *w)
{
	const struct wm_source_config *own = w->source->config;
	struct view_claim *c;
	bool wanted = false;

	if (own->lanes == 1)
		return;
	pthread_mutex_lock(&w->p->views_lock);
	for (c = w->p->views; c != NULL; c = c->hh.next)
		if (c->holder == w && c->version != w->tables_version) {
			c->holder = NULL;
			wanted |= c->wanted;
			c->wanted = false;
		}
	pthread_mutex_unlock(&w->p->views_lock);
	for (size_t i = 0; wanted && i < w->p->nsources; i++)
		if (strcmp(w->p->sources[i]->config->base, own->base) == 0)
			source_look_again(w->p->sources[i]);
}

void
views_forget(struct wm_pipeline *p)
{
	struct view_claim *c, *tmp;

	HASH_ITER(hh, p->views, c, tmp) {
		HASH_DEL(p->views, c);
		free(c->key);
		free(c);
	}
}
