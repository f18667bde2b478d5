/* SPDX-License-Identifier: PostgreSQL */
/*
 * bookmark_unit.c - the bookmarks of a table under a rule, and of its view.
 */
#include <stdlib.h>
#include <string.h>

#include "bookmark_text.h"
#include "internal.h"
#include "walmill/strutil.h"

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
	WM_AUTO(bookmark_json_free) cJSON *o = cJSON_CreateObject();
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
	bookmark_add_lsn(o, "catchup", u->catchup);
	bookmark_add_lsn(o, "since", u->since);
	bookmark_add_lsn(o, "strayed", u->strayed);
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
	return wm_asprintf(BOOKMARK_TABLE "%s/%s.%s", u->rule->name, u->schema, u->name);
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
	WM_AUTO(bookmark_json_free) cJSON *o = NULL;
	char fingerprint[24];
	struct saved *s;
	const char *state;

	HASH_FIND_STR(w->saved, name, s);
	if (s == NULL || (o = cJSON_Parse(s->value == NULL ? BOOKMARK_GONE : s->value)) == NULL)
		return false;
	s->claimed = true;
	snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, u->fingerprint);
	free(u->columns);
	u->columns = *bookmark_get_text(o, "columns") == '\0' ? NULL : strdup(bookmark_get_text(o, "columns"));
	free(u->numbers);
	u->numbers = *bookmark_get_text(o, "numbers") == '\0' ? NULL : strdup(bookmark_get_text(o, "numbers"));
	u->last_number = (uint16_t)bookmark_get_number(o, "last_number");
	u->renamed = bookmark_get_bool(o, "renamed");
	u->column_list = bookmark_get_bool(o, "column_list");
	u->grew = bookmark_get_bool(o, "grew");
	u->since = bookmark_get_lsn(o, "since");
	u->bare = bookmark_get_bool(o, "bare");
	if ((uint32_t)bookmark_get_number(o, "oid") != u->oid ||
	    strcmp(bookmark_get_text(o, "fingerprint"), fingerprint) != 0) {
		/* Another table of this name, or another rule: what the view holds is of before.  The seed meets
		 * the rows that the source has; those that only the former rule kept have to go first. */
		u->empty_view = (uint32_t)bookmark_get_number(o, "oid") != u->oid ||
		    bookmark_get_bool(o, "empty_view") ||
		    bookmark_get_number(o, "leaves_behind") > leaves_behind(u->rule);
		unit_restart(u);
		return true;
	}
	state = bookmark_get_text(o, "state");
	u->state = strcmp(state, "done") == 0 ? UNIT_STREAMING : strcmp(state, "catching up") == 0 ? UNIT_CATCHING :
	    UNIT_SEEDING;
	u->catchup = bookmark_get_lsn(o, "catchup");
	u->strayed = bookmark_get_lsn(o, "strayed");
	u->reseed = bookmark_get_bool(o, "reseed");
	u->older = bookmark_get_bool(o, "older");
	u->empty_view = bookmark_get_bool(o, "empty_view");
	free(u->visible);
	u->visible = cJSON_HasObjectItem(o, "visible") ? strdup(bookmark_get_text(o, "visible")) : NULL;
	u->read = (uint64_t)bookmark_get_number(o, "read");
	u->written = (uint64_t)bookmark_get_number(o, "written");
	u->filtered = (uint64_t)bookmark_get_number(o, "filtered");
	u->dead = (uint64_t)bookmark_get_number(o, "dead");
	u->resumed = u->state == UNIT_SEEDING;
	if (u->state == UNIT_SEEDING && u->rule->seed_mode == WM_SEED_NEVER)
		unit_restart(u);	/* it had failed */
	return read_leaves(u, cJSON_GetObjectItemCaseSensitive(o, "leaves"));
}

bool
bookmark_is_bare(const char *value)
{
	WM_AUTO(bookmark_json_free) cJSON *o = value == NULL ? NULL : cJSON_Parse(value);

	return bookmark_get_bool(o, "bare");
}

/* The name is taken over when one is made.  NULL: memory out, or (unless make) there is none. */
static struct saved *
find_saved(struct worker *w, char **name, bool make)
{
	struct saved *s;

	HASH_FIND_STR(w->saved, *name, s);
	if (s != NULL || !make || (s = calloc(1, sizeof(*s))) == NULL)
		return s;
	s->name = *name;
	*name = NULL;
	HASH_ADD_KEYPTR(hh, w->saved, s->name, strlen(s->name), s);
	return s;
}

enum wm_status
bookmark_drop_unit(struct worker *w, const struct unit *u, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *name = bookmark_unit_name(u);
	/* Without a value it counts only when it is read again. */
	struct saved *s = name == NULL ? NULL : find_saved(w, &name, true);

	if (s == NULL)
		return wm_oom(err, "a bookmark");
	s->claimed = false;
	if (!u->bare)
		return WM_OK;
	free(s->value);
	s->value = strdup(BOOKMARK_GONE_BARE);
	return s->value == NULL ? wm_oom(err, "a bookmark") : WM_OK;
}

/* ---- views ---- */

/* Who writes the view: an object, as the other bookmarks are. */
static char *
owner_json(const struct unit *u)
{
	WM_AUTO(bookmark_json_free) cJSON *o = cJSON_CreateObject();
	WM_AUTO(wm_freep) char *name = bookmark_unit_name(u);

	if (name == NULL)
		return NULL;
	cJSON_AddNumberToObject(o, "oid", u->oid);
	cJSON_AddStringToObject(o, "unit", name);
	return cJSON_PrintUnformatted(o);
}

static struct saved *
find_view(struct worker *w, const struct unit *u, bool make)
{
	WM_AUTO(wm_freep) char *view = wm_rule_view_name(u->rule, u->schema, u->name);
	WM_AUTO(wm_freep) char *name = view == NULL ? NULL : wm_asprintf(BOOKMARK_VIEW "%s", view);

	return name == NULL ? NULL : find_saved(w, &name, make);
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
