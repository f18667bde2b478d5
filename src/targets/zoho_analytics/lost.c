/* SPDX-License-Identifier: PostgreSQL */
/*
 * lost.c - tables that stay locked because nobody knows the key of a batch import into them.
 *
 * Its first answer tells the key.  When that answer was lost, the import can neither be gone on with, nor ended, nor
 * found: Zoho lists no jobs, and refuses another import into the table until it ends this one by itself.  So all that
 * can be done is to note, before the first batch is sent, that there may be one; to tell; and to look now and then.
 */
#include <stdlib.h>
#include <string.h>

#include "criteria.h"
#include "walmill/strutil.h"
#include "zoho.h"

#define BEGUN "begun "			/* in front of a view's name: what is kept */
#define LOCKED 7092
#define LOOK_EVERY (10 * WM_SEC)

static enum wm_status
keep(const struct wm_zoho *z, const char *view, const char *text, struct wm_error *err)
{
	const struct wm_target_host *host = z->base.host;
	WM_AUTO(wm_freep) char *name = wm_asprintf(BEGUN "%s", view);

	return name == NULL ? wm_oom(err, "a note") : host->keep(host->arg, name, text, err);
}

enum wm_status
wm_zoho_lost_note(const struct wm_zoho *z, struct wm_zoho_view *v, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *text = NULL;

	if (atomic_load(&v->lost) != 0)
		return WM_OK;
	v->begun = wm_clock_wall();
	text = wm_asprintf("%lld", (long long)v->begun);
	return text == NULL ? wm_oom(err, "a note") : keep(z, v->name, text, err);
}

enum wm_status
wm_zoho_lost_over(struct wm_zoho *z, struct wm_zoho_view *v, struct wm_error *err)
{
	if (atomic_load(&v->lost) == 0 && v->begun == 0)
		return WM_OK;
	if (atomic_exchange(&v->lost, 0) != 0)
		wm_target_waits(&z->base, NULL);
	v->begun = 0;
	return keep(z, v->name, NULL, err);
}

void
wm_zoho_lost_answer(struct wm_zoho_view *v)
{
	if (atomic_load(&v->lost) == 0)
		atomic_store(&v->lost, v->begun);
}

/* Of an earlier process, or session.  Called under a lock of the host's, which others take with v->writing held. */
static void
take(void *arg, const char *name, const char *text)
{
	const struct wm_zoho *z = arg;
	long long none = 0;
	struct wm_zoho_view *v;
	int64_t since;

	if (strncmp(name, BEGUN, strlen(BEGUN)) != 0 || !wm_parse_i64(text, &since) ||
	    (v = wm_zoho_view_of(z->account, name + strlen(BEGUN))) == NULL)
		return;
	(void)atomic_compare_exchange_strong(&v->lost, &none, since);
}

enum wm_status
wm_zoho_lost_load(struct wm_zoho *z, struct wm_error *err)
{
	const struct wm_target_host *host = z->base.host;

	return host == NULL || host->kept == NULL ? WM_OK : host->kept(host->arg, take, z, err);
}

enum wm_status
wm_zoho_lost_fail(const struct wm_zoho *z, const struct wm_zoho_view *v, const char *code, struct wm_error *err)
{
	char since[32];

	return wm_fail_code(err, WM_RETRY, code,
	    "target \"%s\": Zoho keeps the table of view \"%s\" locked since %s: the answer to the first batch of an import "
	    "was lost, and only Zoho can end that import, after a time that it does not tell (zoho:%d); it is tried again "
	    "until then; to have it sooner, ask Zoho's support to end the import, or give the rule another \"view\"",
	    z->base.name, v->name, wm_clock_format(atomic_load(&v->lost), since, sizeof(since)),
	    LOCKED);
}

/* A criterion that no row meets, as CONFIG of a deletion. */
static char *
make_config(const struct wm_zoho_view *v)
{
	cJSON *o = cJSON_CreateObject();
	WM_AUTO(wm_freep) char *criteria = NULL;
	char *text;

	for (size_t i = 0; criteria == NULL && i < v->ncolumns; i++) {
		const char *name = v->columns[i].name;

		if (wm_zoho_criteria_name(name))
			criteria = wm_asprintf("\"%s\" is null and \"%s\" is not null", name, name);
	}
	cJSON_AddStringToObject(o, "criteria", criteria != NULL ? criteria : "1=2");
	text = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	return text;
}

/* By a deletion of nothing; what else is refused for the lock would do something where there is none. */
static enum wm_status
is_locked(struct wm_zoho *z, const struct wm_zoho_view *v, bool *ret, struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	WM_AUTO(wm_freep) char *path = wm_asprintf("/workspaces/%s/views/%s/rows", z->account->workspace, v->id);
	WM_AUTO(wm_freep) char *config = make_config(v);
	const struct wm_zoho_call call = { .what = "could not see whether a table is locked", .method = "DELETE",
		.class = WM_ZOHO_DML, .path = path, .config = config, .free = true, .no_wait = true };
	enum wm_status st = path == NULL || config == NULL ? wm_oom(err, "a request") : wm_zoho_call(z, &call, &a, err);

	*ret = a.code == LOCKED;
	return st;
}

static enum wm_status
look(struct wm_zoho *z, struct wm_zoho_view *v, struct wm_error *err)
{
	bool locked = true;
	enum wm_status st = WM_OK;

	if (wm_clock_mono() >= v->look) {
		st = v->id == NULL ? WM_OK : is_locked(z, v, &locked, err);
		v->look = wm_clock_mono() + LOOK_EVERY;
	}
	if (st != WM_OK)
		return st;
	if (!locked)
		return wm_zoho_lost_over(z, v, err);
	(void)wm_zoho_lost_fail(z, v, "later", err);
	wm_target_waits(&z->base, err->text);
	return WM_RETRY;
}

enum wm_status
wm_zoho_lost_look(struct wm_zoho *z, const char *view, struct wm_error *err)
{
	struct wm_zoho_view *v = wm_zoho_view_of(z->account, view);
	enum wm_status st;

	if (v == NULL)
		return wm_oom(err, "a view");
	if (atomic_load(&v->lost) == 0)
		return WM_OK;
	pthread_mutex_lock(&v->writing);
	st = atomic_load(&v->lost) == 0 ? WM_OK : look(z, v, err);
	pthread_mutex_unlock(&v->writing);
	return st;
}

size_t
wm_zoho_lost_count(const struct wm_zoho_account *a)
{
	size_t n = 0;

	for (struct wm_zoho_view *v = a->views; v != NULL; v = v->next)
		n += atomic_load(&v->lost) != 0;
	return n;
}
