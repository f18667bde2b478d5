/* SPDX-License-Identifier: PostgreSQL */
/*
 * bookmarks.c - what a worker keeps with its target, as small JSON texts.
 *
 *	checkpoint		which slot, and up to where the stream has been applied
 *	hold/RULE		a rule that does not go along, and up to where it has come
 *	table/RULE/SCHEMA.TABLE	how far the seed of one table has come, and which columns it had
 *	view/VIEW		whose rows the view holds, or that nobody goes on writing it
 */
#include <stdlib.h>
#include <string.h>

#include "bookmark_text.h"
#include "internal.h"
#include "walmill/strutil.h"

#define CHECKPOINT "checkpoint"
#define HOLD "hold/"

static char *
checkpoint_json(const struct wm_source_record *record, wm_lsn commit, wm_lsn end, bool streams)
{
	WM_AUTO(bookmark_json_free) cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "system_id", record->system_id);
	cJSON_AddNumberToObject(o, "timeline", record->timeline);
	cJSON_AddStringToObject(o, "slot", record->slot);
	bookmark_add_lsn(o, "slot_lsn", record->consistent_lsn);
	bookmark_add_lsn(o, "commit_lsn", commit);
	bookmark_add_lsn(o, "end_lsn", end);
	cJSON_AddBoolToObject(o, "streams", streams);
	return cJSON_PrintUnformatted(o);
}

static char *
hold_json(const struct hold *h)
{
	WM_AUTO(bookmark_json_free) cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "why", h->why == HOLD_PAUSED ? "paused" : "failed");
	bookmark_add_lsn(o, "commit_lsn", h->commit_lsn);
	bookmark_add_lsn(o, "end_lsn", h->end_lsn);
	return cJSON_PrintUnformatted(o);
}

/* ---- reading ---- */

struct loading {
	struct worker	*w;
	cJSON		*checkpoint;
	bool		 oom;
};

static void
load_hold(struct worker *w, const char *rule_name, const cJSON *o)
{
	const struct wm_rule *rule = wm_ruleset_find(w->p->setup->rules, rule_name);
	struct hold *h;

	if (rule == NULL || (h = calloc(1, sizeof(*h))) == NULL)
		return;		/* the rule is gone: so is its hold */
	h->rule = rule;
	h->why = strcmp(bookmark_get_text(o, "why"), "paused") == 0 ? HOLD_PAUSED : HOLD_FAILED;
	h->commit_lsn = bookmark_get_lsn(o, "commit_lsn");
	h->end_lsn = bookmark_get_lsn(o, "end_lsn");
	h->next = w->holds;
	w->holds = h;
}

static void
load_one(void *arg, const char *name, const char *value)
{
	struct loading *l = arg;
	WM_AUTO(bookmark_json_free) cJSON *o = cJSON_Parse(value);
	struct saved *s;

	if (o == NULL)
		return;
	if (strcmp(name, CHECKPOINT) == 0) {
		l->checkpoint = o;
		o = NULL;
	} else if (strncmp(name, HOLD, strlen(HOLD)) == 0)
		load_hold(l->w, name + strlen(HOLD), o);
	else if (strncmp(name, BOOKMARK_TABLE, strlen(BOOKMARK_TABLE)) == 0 ||
	    strncmp(name, BOOKMARK_VIEW, strlen(BOOKMARK_VIEW)) == 0) {
		s = calloc(1, sizeof(*s));
		if (s == NULL || (s->name = strdup(name)) == NULL || (s->value = strdup(value)) == NULL) {
			l->oom = true;
			return;
		}
		HASH_ADD_KEYPTR(hh, l->w->saved, s->name, strlen(s->name), s);
		/* One that is marked as gone needs no mark. */
		s->claimed = strcmp(value, BOOKMARK_GONE) == 0 || strcmp(value, BOOKMARK_GONE_BARE) == 0;
	}
}

/* What stands in its place when nobody goes on with it. */
static const char *
gone(const struct saved *s)
{
	return bookmark_is_bare(s->value) ? BOOKMARK_GONE_BARE : BOOKMARK_GONE;
}

bool
bookmark_outlives(const char *name, const char *value, unsigned lane)
{
	WM_AUTO(bookmark_json_free) cJSON *o = NULL;

	if (strncmp(name, BOOKMARK_TABLE, strlen(BOOKMARK_TABLE)) == 0 ||
	    strncmp(name, BOOKMARK_VIEW, strlen(BOOKMARK_VIEW)) == 0)
		return true;
	if (lane != 1 || strncmp(name, HOLD, strlen(HOLD)) != 0)
		return false;
	o = cJSON_Parse(value);
	return strcmp(bookmark_get_text(o, "why"), "paused") == 0;
}

void
bookmarks_forget(struct worker *w)
{
	struct saved *s, *tmp;

	elsewhere_forget(w);
	HASH_ITER(hh, w->saved, s, tmp) {
		HASH_DEL(w->saved, s);
		free(s->name);
		free(s->value);
		free(s);
	}
	while (w->holds != NULL) {
		struct hold *h = w->holds;

		w->holds = h->next;
		free(h);
	}
}

/* What happened since is not known: everything is seeded again, over what is there. */
static enum wm_status
forget_older_slot(struct worker *w, const char *why, struct wm_error *err)
{
	struct saved *s;

	wm_log(WM_LOG_WARNING, "target_of_older_slot",
	    "what target \"%s\" holds %s: its views are emptied and seeded again",
	    w->model->name, why);
	for (s = w->saved; s != NULL; s = s->hh.next) {
		cJSON *o = cJSON_Parse(s->value);

		/* An impossible table: the unit starts again with an emptied view. */
		cJSON_ReplaceItemInObjectCaseSensitive(o, "oid", cJSON_CreateNumber(0));
		free(s->value);
		s->value = cJSON_PrintUnformatted(o);
		cJSON_Delete(o);
		if (s->value == NULL)
			return wm_oom(err, "a bookmark");
	}
	while (w->holds != NULL) {
		struct hold *h = w->holds;

		w->holds = h->next;
		free(h);
	}
	return WM_OK;
}

/* A rule that is paused in the first lane is so in one that is new: it takes tables which were paused there. */
static enum wm_status
inherit_pauses(struct worker *w, struct wm_error *err)
{
	const struct wm_ruleset *rules = w->p->setup->rules;
	enum wm_status st = WM_OK;

	for (size_t i = 0; st == WM_OK && w->source->config->lane > 1 && i < rules->n; i++) {
		WM_AUTO(wm_freep) char *name = wm_asprintf(HOLD "%s", rules->rules[i].name);

		if (name == NULL)
			st = wm_oom(err, "a rule");
		else if (elsewhere_known(w, name))
			st = worker_add_hold(w, &rules->rules[i], HOLD_PAUSED, err);
	}
	return st;
}

/* A target that begins with this slot, or begins again. */
static enum wm_status
begin_anew(struct worker *w, const cJSON *o, const char *why, wm_lsn start, struct wm_error *err)
{
	enum wm_status st;

	w->has_checkpoint = false;
	/* Transactions that the journal still has from before end up to here: a commit lies before its end. */
	atomic_store(&w->commit_lsn, start > 0 ? start - 1 : 0);
	atomic_store(&w->end_lsn, start);
	atomic_store(&w->stored_lsn, 0);
	st = o == NULL ? WM_OK : forget_older_slot(w, why, err);
	return st == WM_OK ? inherit_pauses(w, err) : st;
}

/* What the target says against what the source and the state say. */
static enum wm_status
check_checkpoint(struct worker *w, const cJSON *o, const struct wm_source_record *rec, struct wm_error *err)
{
	wm_lsn passed = wm_journal_reader_committed(w->reader), base = wm_journal_base_lsn(w->source->journal), end;
	struct wm_reached reached;
	bool found = false;
	enum wm_status st = wm_state_reached_get(w->p->state, w->source->config->name, w->model->name, &reached,
	    &found, err);

	if (st != WM_OK)
		return st;
	if (o != NULL && strcmp(bookmark_get_text(o, "system_id"), rec->system_id) != 0)
		return wm_fail(err, WM_OPERATOR,
		    "target \"%s\" was filled from another PostgreSQL cluster (%s, source \"%s\" is %s);"
		    " give the source another name, or another target",
		    w->model->name, bookmark_get_text(o, "system_id"), w->source->config->name,
		    rec->system_id);
	if (o == NULL || bookmark_get_lsn(o, "slot_lsn") != rec->consistent_lsn) {
		if (reached.stored != 0)
			return wm_fail(err, WM_OPERATOR,
			    "target \"%s\" has no record of what it received, but it had got changes up to " WM_LSN_FMT
			    ": it was emptied or replaced; run `walmill teardown`, then start again to seed it anew",
			    w->model->name, WM_LSN_ARGS(reached.stored));
		return begin_anew(w, o, "came through an earlier slot", passed, err);
	}
	if (!atomic_load(&w->recorded))
		return begin_anew(w, o,
		    "stopped when the configuration no longer had it as a target of the source",
		    passed, err);
	end = bookmark_get_lsn(o, "end_lsn");
	if (end < reached.stored)
		return wm_fail(err, WM_OPERATOR,
		    "target \"%s\" stands at " WM_LSN_FMT
		    ", but it had got changes up to " WM_LSN_FMT
		    ", which are not kept any more: it was put back to an older state; run `walmill teardown`, then start "
		    "again to seed it anew",
		    w->model->name, WM_LSN_ARGS(end), WM_LSN_ARGS(reached.stored));
	st = guard_checkpoint(w->source, rec->timeline,
	    (uint32_t)bookmark_get_number(o, "timeline"), end, err);
	if (st != WM_OK)
		return st;
	/* What the source was not told to be safe it still has; and a reader may stand where no segment begins. */
	if (passed < base && passed < rec->acked_lsn)
		return wm_fail(err, WM_OPERATOR,
		    "target \"%s\" stands at " WM_LSN_FMT
		    ", but the journal of source \"%s\" begins at " WM_LSN_FMT
		    ": its files were taken away, or `journal: off` was set while this target was behind; put the journal "
		    "back, or run `walmill teardown` and start again to seed anew",
		    w->model->name, WM_LSN_ARGS(passed), w->source->config->name,
		    WM_LSN_ARGS(base));
	w->has_checkpoint = bookmark_get_bool(o, "streams");
	atomic_store(&w->commit_lsn, bookmark_get_lsn(o, "commit_lsn"));
	atomic_store(&w->end_lsn, end > passed ? end : passed);
	/* What an earlier session committed soon may still be lost. */
	atomic_store(&w->stored_lsn, w->target->ops->commit_soon == NULL ? end : reached.stored);
	return WM_OK;
}

enum wm_status
bookmarks_read(struct worker *w, const char *source, wm_bookmark_fn *fn, void *arg, struct wm_error *err)
{
	if ((w->target->ops->caps & WM_TARGET_TRANSACTIONAL) != 0)
		return w->target->ops->load(w->target, source, fn, arg, err);
	return wm_state_bookmarks_load(w->p->state, w->model->name, source, fn, arg, err);
}

enum wm_status
bookmarks_load(struct worker *w, struct wm_error *err)
{
	struct loading l = { .w = w };
	struct wm_source_record rec;
	enum wm_status st;

	bookmarks_forget(w);
	pthread_mutex_lock(&w->source->lock);
	rec = w->source->record;
	pthread_mutex_unlock(&w->source->lock);
	st = bookmarks_read(w, w->source->config->name, load_one, &l, err);
	if (st == WM_OK && l.oom)
		st = wm_oom(err, "bookmarks");
	if (st == WM_OK && w->source->config->lanes > 1)
		st = elsewhere_load(w, err);
	if (st == WM_OK)
		st = check_checkpoint(w, l.checkpoint, &rec, err);
	cJSON_Delete(l.checkpoint);
	return st;
}

/* ---- writing ---- */

enum wm_status
bookmarks_commit(struct worker *w, struct wm_target *t, const struct wm_bookmark *list, size_t n, struct wm_error *err)
{
	if ((t->ops->caps & WM_TARGET_TRANSACTIONAL) != 0)
		return t->ops->commit(t, list, n, err);
	return wm_state_bookmarks_store(w->p->state, w->model->name, list, n, err);
}

/* Names and values of the list are owned by it. */
struct list {
	struct wm_bookmark	*items;
	size_t			 n;
	bool			 oom;
};

static void
list_free(struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free((void *)(uintptr_t)l->items[i].name);
		free((void *)(uintptr_t)l->items[i].value);
	}
	free(l->items);
}

static void
list_add(struct list *l, const char *source, char *name, char *value, bool remove)
{
	if (name == NULL || (value == NULL && !remove))
		l->oom = true;
	l->items[l->n++] = (struct wm_bookmark){ .source = source, .name = name, .value = value };
}

/* What other lanes hold of the unit, and of its view, counts no more. */
static void
list_taken(struct worker *w, const struct unit *u, struct list *l)
{
	const struct wm_source_config *first = w->source->config - (w->source->config->lane - 1);
	WM_AUTO(wm_freep) char *name = bookmark_unit_name(u);
	WM_AUTO(wm_freep) char *view = wm_rule_view_name(u->rule, u->schema, u->name);
	unsigned lanes = name == NULL ? 0 : elsewhere_lanes(w, u, name);

	l->oom |= name == NULL || view == NULL;
	for (unsigned lane = 1; !l->oom && lane <= (unsigned)first->lanes; lane++)
		if ((lanes & 1U << lane) != 0) {
			list_add(l, first[lane - 1].name, strdup(name),
			    strdup(u->bare ? BOOKMARK_GONE_BARE : BOOKMARK_GONE), false);
			list_add(l, first[lane - 1].name, wm_asprintf(BOOKMARK_VIEW "%s", view),
			    strdup(BOOKMARK_GONE), false);
		}
}

static void
list_units(struct worker *w, struct list *l)
{
	const char *source = w->source->config->name;
	struct saved *s;

	for (size_t i = 0; i < w->nunits; i++)
		if (w->units[i]->dirty) {
			list_add(l, source, bookmark_unit_name(w->units[i]), bookmark_unit(w->units[i]), false);
			if (w->units[i]->taken)
				list_taken(w, w->units[i], l);
		}
	/* A table that comes back under its rule finds here that the view's rows are of before. */
	for (s = w->saved; s != NULL; s = s->hh.next)
		if (!s->claimed || s->dirty)
			list_add(l, source, strdup(s->name), strdup(s->claimed ? s->value : gone(s)), false);
}

/* What is written has been written: later commits need not repeat it. */
static void
settle_units(struct worker *w)
{
	struct saved *s, *tmp;

	for (size_t i = 0; i < w->nunits; i++)
		w->units[i]->dirty = w->units[i]->taken = false;
	HASH_ITER(hh, w->saved, s, tmp) {
		WM_AUTO(wm_freep) char *value = s->claimed ? NULL : strdup(gone(s));

		s->dirty = false;
		if (value == NULL)
			continue;
		free(s->value);
		s->value = value;
		value = NULL;
		s->claimed = true;
	}
}

enum wm_status
bookmarks_commit_all(struct worker *w, wm_lsn commit, wm_lsn end, bool soon, const struct wm_batch *with,
    struct wm_error *err)
{
	const struct wm_target_ops *ops = w->target->ops;
	const char *source = w->source->config->name;
	WM_AUTO(list_free) struct list l = { 0 };
	struct wm_source_record rec;
	size_t nholds = 0, nrules = w->p->setup->rules->n;
	/* With several lanes a unit may be noted in each of them, and its view. */
	size_t of_unit = 1 + 2 * ((size_t)w->source->config->lanes - 1);
	enum wm_status st;

	for (struct hold *h = w->holds; h != NULL; h = h->next)
		nholds++;
	/* Most commits write the checkpoint alone. */
	l.items = calloc(1 + nholds + (w->bookmarks ? nrules + w->nunits * of_unit + HASH_COUNT(w->saved) : 0),
	    sizeof(*l.items));
	if (l.items == NULL)
		return wm_oom(err, "bookmarks");
	pthread_mutex_lock(&w->source->lock);
	rec = w->source->record;
	pthread_mutex_unlock(&w->source->lock);
	list_add(&l, source, strdup(CHECKPOINT), checkpoint_json(&rec, commit, end, w->has_checkpoint), false);
	for (struct hold *h = w->holds; h != NULL; h = h->next)
		list_add(&l, source, wm_asprintf(HOLD "%s", h->rule->name), hold_json(h), false);
	for (size_t i = 0; w->bookmarks && i < nrules; i++)
		if (worker_hold(w, &w->p->setup->rules->rules[i]) == NULL)
			list_add(&l, source, wm_asprintf(HOLD "%s", w->p->setup->rules->rules[i].name), NULL, true);
	if (w->bookmarks)
		list_units(w, &l);
	if (l.oom)
		return wm_oom(err, "bookmarks");
	st = with != NULL ? ops->write_commit(w->target, with, l.items, l.n, err) :
	    soon ? ops->commit_soon(w->target, l.items, l.n, err) :
		   bookmarks_commit(w, w->target, l.items, l.n, err);
	if (st != WM_OK)
		return st;
	w->written_end = end;
	if (soon)
		return WM_OK;
	w->soft_since = 0;
	if (w->bookmarks) {
		settle_units(w);
		atomic_store(&w->gaps_done, w->tables_version);
	}
	w->bookmarks = false;
	atomic_store(&w->stored_lsn, end);
	if (atomic_load(&w->recorded))
		return WM_OK;
	/* From now on a checkpoint that the state does not know of is one of a target that had left. */
	st = wm_state_reached_put(w->p->state, source, &(struct wm_reached){ .target = w->model->name, .stored = end,
	    .passed = wm_journal_reader_committed(w->reader) }, err);
	if (st == WM_OK)
		atomic_store(&w->recorded, true);
	return st;
}
