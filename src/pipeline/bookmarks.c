/* SPDX-License-Identifier: PostgreSQL */
/*
 * bookmarks.c - what a worker keeps with its target, as small JSON texts.
 *
 *	checkpoint		which slot, and up to where the stream has been applied
 *	hold/RULE		a rule that does not go along, and up to where it has come
 *	table/RULE/SCHEMA.TABLE	how far the seed of one table has come, and which columns it had
 *	view/VIEW		whose rows the view holds, or that nobody goes on writing it
 *
 * Positions are written as text ("0/16B3748"): JSON's numbers do not hold 64 bits.
 */
#include <cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

#define CHECKPOINT "checkpoint"
#define HOLD "hold/"
#define TABLE "table/"
#define VIEW "view/"
#define UNIT_GONE "{\"oid\":0}"
#define UNIT_GONE_BARE "{\"oid\":0,\"bare\":true}"	/* and has left a view without its key */

static void
json_free(cJSON **json)
{
	cJSON_Delete(*json);
}

static void
add_lsn(cJSON *o, const char *name, wm_lsn lsn)
{
	char text[WM_LSN_STRLEN];

	cJSON_AddStringToObject(o, name, wm_lsn_format(lsn, text));
}

static const char *
get_text(const cJSON *o, const char *name)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

	return s == NULL ? "" : s;
}

static wm_lsn
get_lsn(const cJSON *o, const char *name)
{
	wm_lsn lsn;

	return wm_lsn_parse(get_text(o, name), &lsn) ? lsn : 0;
}

static double
get_number(const cJSON *o, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static char *
checkpoint_json(const struct wm_source_record *record, wm_lsn commit, wm_lsn end, bool streams)
{
	WM_AUTO(json_free) cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "system_id", record->system_id);
	cJSON_AddNumberToObject(o, "timeline", record->timeline);
	cJSON_AddStringToObject(o, "slot", record->slot);
	add_lsn(o, "slot_lsn", record->consistent_lsn);
	add_lsn(o, "commit_lsn", commit);
	add_lsn(o, "end_lsn", end);
	cJSON_AddBoolToObject(o, "streams", streams);
	return cJSON_PrintUnformatted(o);
}

static char *
hold_json(const struct hold *h)
{
	WM_AUTO(json_free) cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "why", h->why == HOLD_PAUSED ? "paused" : "failed");
	add_lsn(o, "commit_lsn", h->commit_lsn);
	add_lsn(o, "end_lsn", h->end_lsn);
	return cJSON_PrintUnformatted(o);
}

static const char *const unit_states[] = { [UNIT_SEEDING] = "seeding", [UNIT_CATCHING] = "catching up",
	[UNIT_STREAMING] = "done", [UNIT_FAILED] = "seeding" };

int
leaves_behind(const struct wm_rule *rule)
{
	const unsigned removing = WM_EVENT_UPDATE | WM_EVENT_DELETE | WM_EVENT_TRUNCATE;

	if (rule->on_delete == WM_DELETE_IGNORE || rule->on_truncate == WM_TRUNCATE_IGNORE ||
	    (rule->events & removing) != removing)
		return 2;
	return rule->on_delete == WM_DELETE_SOFT ? 1 : 0;
}

char *
bookmark_unit(const struct unit *u)
{
	WM_AUTO(json_free) cJSON *o = cJSON_CreateObject();
	char fingerprint[24];
	cJSON *leaves;

	snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, u->fingerprint);
	cJSON_AddNumberToObject(o, "oid", u->oid);
	cJSON_AddStringToObject(o, "fingerprint", fingerprint);
	cJSON_AddStringToObject(o, "columns", u->columns == NULL ? "" : u->columns);
	cJSON_AddStringToObject(o, "numbers", u->numbers == NULL ? "" : u->numbers);
	cJSON_AddNumberToObject(o, "last_number", u->last_number);
	cJSON_AddBoolToObject(o, "renamed", u->renamed);
	cJSON_AddBoolToObject(o, "column_list", u->column_list);
	cJSON_AddBoolToObject(o, "grew", u->grew && !u->widening);
	cJSON_AddStringToObject(o, "state", unit_states[u->state]);
	add_lsn(o, "catchup", u->catchup);
	add_lsn(o, "since", u->since);
	add_lsn(o, "strayed", u->strayed);
	cJSON_AddBoolToObject(o, "reseed", u->reseed);
	cJSON_AddBoolToObject(o, "empty_view", u->empty_view);
	cJSON_AddBoolToObject(o, "bare", u->bare);
	cJSON_AddBoolToObject(o, "older", u->older);
	cJSON_AddNumberToObject(o, "leaves_behind", leaves_behind(u->rule));
	if (u->visible != NULL)
		cJSON_AddStringToObject(o, "visible", u->visible);
	cJSON_AddNumberToObject(o, "read", u->staged ? 0 : (double)u->read);
	cJSON_AddNumberToObject(o, "written", u->staged ? 0 : (double)u->written);
	cJSON_AddNumberToObject(o, "filtered", u->staged ? 0 : (double)u->filtered);
	cJSON_AddNumberToObject(o, "dead", u->staged ? 0 : (double)u->dead);
	leaves = cJSON_AddArrayToObject(o, "leaves");
	/* Changes pass a failed one by: what it has seeded counts no more.  What is put aside does not count yet. */
	for (size_t i = 0; u->state != UNIT_FAILED && !u->staged && i < u->nleaves; i++)
		cJSON_AddItemToArray(leaves, leaf_json(&u->leaves[i]));
	return cJSON_PrintUnformatted(o);
}

char *
bookmark_unit_name(const struct unit *u)
{
	return wm_asprintf(TABLE "%s/%s.%s", u->rule->name, u->schema, u->name);
}

static bool
read_leaves(struct unit *u, const cJSON *leaves)
{
	const cJSON *leaf;

	free(u->leaves);
	u->nleaves = 0;
	u->leaves = calloc((size_t)cJSON_GetArraySize(leaves) + 1, sizeof(*u->leaves));
	if (u->leaves == NULL)
		return false;
	cJSON_ArrayForEach(leaf, leaves)
		u->leaves[u->nleaves++] = leaf_from_json(leaf);
	return true;
}

bool
bookmark_apply(struct worker *w, struct unit *u)
{
	WM_AUTO(wm_freep) char *name = bookmark_unit_name(u);
	WM_AUTO(json_free) cJSON *o = NULL;
	char fingerprint[24];
	struct saved *s;
	const char *state;

	HASH_FIND_STR(w->saved, name, s);
	if (s == NULL || (o = cJSON_Parse(s->value == NULL ? UNIT_GONE : s->value)) == NULL)
		return false;
	s->claimed = true;
	snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, u->fingerprint);
	free(u->columns);
	u->columns = *get_text(o, "columns") == '\0' ? NULL : strdup(get_text(o, "columns"));
	free(u->numbers);
	u->numbers = *get_text(o, "numbers") == '\0' ? NULL : strdup(get_text(o, "numbers"));
	u->last_number = (uint16_t)get_number(o, "last_number");
	u->renamed = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "renamed"));
	u->column_list = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "column_list"));
	u->grew = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "grew"));
	u->since = get_lsn(o, "since");
	u->bare = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "bare"));
	if ((uint32_t)get_number(o, "oid") != u->oid || strcmp(get_text(o, "fingerprint"), fingerprint) != 0) {
		/* Another table of this name, or another rule: what the view holds is of before.  The seed meets
		 * the rows that the source has; those that only the former rule kept have to go first. */
		u->empty_view = (uint32_t)get_number(o, "oid") != u->oid ||
		    cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "empty_view")) ||
		    get_number(o, "leaves_behind") > leaves_behind(u->rule);
		unit_restart(u);
		return true;
	}
	state = get_text(o, "state");
	u->state = strcmp(state, "done") == 0 ? UNIT_STREAMING : strcmp(state, "catching up") == 0 ? UNIT_CATCHING :
	    UNIT_SEEDING;
	u->catchup = get_lsn(o, "catchup");
	u->strayed = get_lsn(o, "strayed");
	u->reseed = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "reseed"));
	u->older = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "older"));
	u->empty_view = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "empty_view"));
	free(u->visible);
	u->visible = cJSON_HasObjectItem(o, "visible") ? strdup(get_text(o, "visible")) : NULL;
	u->read = (uint64_t)get_number(o, "read");
	u->written = (uint64_t)get_number(o, "written");
	u->filtered = (uint64_t)get_number(o, "filtered");
	u->dead = (uint64_t)get_number(o, "dead");
	u->resumed = u->state == UNIT_SEEDING;
	if (u->state == UNIT_SEEDING && u->rule->seed_mode == WM_SEED_NEVER)
		unit_restart(u);	/* it had failed */
	return read_leaves(u, cJSON_GetObjectItemCaseSensitive(o, "leaves"));
}

/* ---- views ---- */

/* Who writes the view: an object, as the other bookmarks are. */
static char *
owner_json(const struct unit *u)
{
	WM_AUTO(json_free) cJSON *o = cJSON_CreateObject();
	WM_AUTO(wm_freep) char *name = bookmark_unit_name(u);

	if (name == NULL)
		return NULL;
	cJSON_AddNumberToObject(o, "oid", u->oid);
	cJSON_AddStringToObject(o, "unit", name);
	return cJSON_PrintUnformatted(o);
}

/* NULL: memory out, or (unless make) there is none. */
static struct saved *
find_view(struct worker *w, const struct unit *u, bool make)
{
	WM_AUTO(wm_freep) char *view = wm_rule_view_name(u->rule, u->schema, u->name);
	WM_AUTO(wm_freep) char *name = view == NULL ? NULL : wm_asprintf(VIEW "%s", view);
	struct saved *s = NULL;

	if (name == NULL)
		return NULL;
	HASH_FIND_STR(w->saved, name, s);
	if (s != NULL || !make || (s = calloc(1, sizeof(*s))) == NULL)
		return s;
	s->name = name;
	name = NULL;
	HASH_ADD_KEYPTR(hh, w->saved, s->name, strlen(s->name), s);
	return s;
}

enum wm_status
bookmark_claim_view(struct worker *w, const struct unit *u, bool *ret_foreign, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *owner = owner_json(u);
	struct saved *s = owner == NULL ? NULL : find_view(w, u, true);

	if (s == NULL)
		return wm_oom(err, "a bookmark");
	s->claimed = true;
	*ret_foreign = s->value != NULL ? strcmp(s->value, owner) != 0 : elsewhere_known(w, s->name);
	if (s->value != NULL && strcmp(s->value, owner) == 0)
		return WM_OK;
	free(s->value);
	s->value = owner;
	owner = NULL;
	s->dirty = w->bookmarks = true;
	return WM_OK;
}

void
bookmark_leave_view(struct worker *w, const struct unit *u)
{
	WM_AUTO(wm_freep) char *owner = owner_json(u);
	struct saved *s = find_view(w, u, false);

	/* Another one may have it by now. */
	if (s != NULL && owner != NULL && s->value != NULL && strcmp(s->value, owner) == 0)
		s->claimed = false;
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
	h->why = strcmp(get_text(o, "why"), "paused") == 0 ? HOLD_PAUSED : HOLD_FAILED;
	h->commit_lsn = get_lsn(o, "commit_lsn");
	h->end_lsn = get_lsn(o, "end_lsn");
	h->next = w->holds;
	w->holds = h;
}

static void
load_one(void *arg, const char *name, const char *value)
{
	struct loading *l = arg;
	WM_AUTO(json_free) cJSON *o = cJSON_Parse(value);
	struct saved *s;

	if (o == NULL)
		return;
	if (strcmp(name, CHECKPOINT) == 0) {
		l->checkpoint = o;
		o = NULL;
	} else if (strncmp(name, HOLD, strlen(HOLD)) == 0)
		load_hold(l->w, name + strlen(HOLD), o);
	else if (strncmp(name, TABLE, strlen(TABLE)) == 0 || strncmp(name, VIEW, strlen(VIEW)) == 0) {
		s = calloc(1, sizeof(*s));
		if (s == NULL || (s->name = strdup(name)) == NULL || (s->value = strdup(value)) == NULL) {
			l->oom = true;
			return;
		}
		HASH_ADD_KEYPTR(hh, l->w->saved, s->name, strlen(s->name), s);
		/* One that is marked as gone needs no mark. */
		s->claimed = strcmp(value, UNIT_GONE) == 0 || strcmp(value, UNIT_GONE_BARE) == 0;
	}
}

bool
bookmark_is_bare(const char *value)
{
	WM_AUTO(json_free) cJSON *o = value == NULL ? NULL : cJSON_Parse(value);

	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "bare"));
}

/* What stands in its place when nobody goes on with it. */
static const char *
gone(const struct saved *s)
{
	return bookmark_is_bare(s->value) ? UNIT_GONE_BARE : UNIT_GONE;
}

enum wm_status
bookmark_drop_unit(struct worker *w, const struct unit *u, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *name = bookmark_unit_name(u);
	struct saved *s;

	if (name == NULL)
		return wm_oom(err, "a bookmark");
	HASH_FIND_STR(w->saved, name, s);
	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		if (s == NULL)
			return wm_oom(err, "a bookmark");
		s->name = name;		/* no value: it counts only when it is read again */
		name = NULL;
		HASH_ADD_KEYPTR(hh, w->saved, s->name, strlen(s->name), s);
	}
	s->claimed = false;
	if (!u->bare)
		return WM_OK;
	free(s->value);
	s->value = strdup(UNIT_GONE_BARE);
	return s->value == NULL ? wm_oom(err, "a bookmark") : WM_OK;
}

bool
bookmark_outlives(const char *name, const char *value, unsigned lane)
{
	WM_AUTO(json_free) cJSON *o = NULL;

	if (strncmp(name, TABLE, strlen(TABLE)) == 0 || strncmp(name, VIEW, strlen(VIEW)) == 0)
		return true;
	if (lane != 1 || strncmp(name, HOLD, strlen(HOLD)) != 0)
		return false;
	o = cJSON_Parse(value);
	return strcmp(get_text(o, "why"), "paused") == 0;
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
	if (o != NULL && strcmp(get_text(o, "system_id"), rec->system_id) != 0)
		return wm_fail(err, WM_OPERATOR,
		    "target \"%s\" was filled from another PostgreSQL cluster (%s, source \"%s\" is %s);"
		    " give the source another name, or another target",
		    w->model->name, get_text(o, "system_id"), w->source->config->name,
		    rec->system_id);
	if (o == NULL || get_lsn(o, "slot_lsn") != rec->consistent_lsn) {
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
	end = get_lsn(o, "end_lsn");
	if (end < reached.stored)
		return wm_fail(err, WM_OPERATOR,
		    "target \"%s\" stands at " WM_LSN_FMT
		    ", but it had got changes up to " WM_LSN_FMT
		    ", which are not kept any more: it was put back to an older state; run `walmill teardown`, then start "
		    "again to seed it anew",
		    w->model->name, WM_LSN_ARGS(end), WM_LSN_ARGS(reached.stored));
	st = guard_checkpoint(w->source, rec->timeline,
	    (uint32_t)get_number(o, "timeline"), end, err);
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
	w->has_checkpoint = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "streams"));
	atomic_store(&w->commit_lsn, get_lsn(o, "commit_lsn"));
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
			    strdup(u->bare ? UNIT_GONE_BARE : UNIT_GONE), false);
			list_add(l, first[lane - 1].name, wm_asprintf(VIEW "%s", view), strdup(UNIT_GONE), false);
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
