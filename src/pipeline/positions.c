/* SPDX-License-Identifier: PostgreSQL */
/*
 * positions.c - where targets stand, what the source was told, and the journal between the two.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

enum wm_status
source_open_journal(struct source *s, struct wm_error *err)
{
	const struct wm_config *config = s->p->setup->config;
	WM_AUTO(wm_freep) char *folder = config->journal ? wm_config_journal_folder(config, s->config->name) : NULL;
	struct wm_journal_options options = { .memory = config->memory, .folder = folder,
		.max_bytes = config->journal_max_bytes };

	if (config->journal && folder == NULL)
		return wm_oom(err, "the journal's folder");
	return wm_journal_open(&options, &s->journal, err) == WM_OK ? WM_OK :
	    wm_error_prefix(err, "source \"%s\"", s->config->name);
}

/* The state may not have taken what it was told. */
static void
forget_progress(struct source *s)
{
	for (size_t i = 0; i < s->p->nworkers; i++)
		if (s->p->workers[i]->source == s)
			s->p->workers[i]->reached = (struct wm_reached){ 0 };
}

/* What the state does not know yet of the source's workers; list has room for all. */
static size_t
collect_progress(struct source *s, struct wm_reached *list)
{
	size_t n = 0;

	for (size_t i = 0; i < s->p->nworkers; i++) {
		struct worker *w = s->p->workers[i];
		struct wm_reached now = { .target = w->model->name, .stored = atomic_load(&w->stored_lsn),
			.passed = wm_journal_reader_committed(w->reader) };

		if (w->source != s || !atomic_load(&w->recorded) ||
		    (now.stored == w->reached.stored && now.passed == w->reached.passed))
			continue;
		w->reached = list[n++] = now;
	}
	return n;
}

enum wm_status
source_store_progress(void *arg, wm_lsn lsn, struct wm_error *err)
{
	struct source *s = arg;
	WM_AUTO(wm_freep) struct wm_reached *list = calloc(s->p->nworkers + 1, sizeof(*list));
	/* Read first: what is trimmed must be known to the state. */
	wm_lsn passed = wm_journal_committed_lsn(s->journal);
	enum wm_status st;
	size_t n;

	if (list == NULL)
		return wm_oom(err, "positions");
	n = collect_progress(s, list);
	if (n > 0 || s->record.acked_lsn != lsn) {
		st = wm_state_progress(s->p->state, s->config->name, lsn, list, n, err);
		if (st != WM_OK) {
			forget_progress(s);
			return st;
		}
		pthread_mutex_lock(&s->lock);
		s->record.acked_lsn = lsn;
		pthread_mutex_unlock(&s->lock);
	}
	wm_journal_trim(s->journal, passed);
	return WM_OK;
}

/* Where each worker stands; *ret_last: the one that is furthest behind, NULL when all are new. */
static enum wm_status
place_workers(struct source *s, const struct worker **ret_last, struct wm_error *err)
{
	WM_AUTO(wm_freep) const char **targets = calloc(s->p->nworkers + 1, sizeof(*targets));
	enum wm_status st = targets == NULL ? wm_oom(err, "targets") : WM_OK;
	size_t n = 0;

	for (size_t i = 0; st == WM_OK && i < s->p->nworkers; i++) {
		struct worker *w = s->p->workers[i];
		struct wm_reached reached;
		bool found = false;

		if (w->source != s)
			continue;
		targets[n++] = w->model->name;
		st = wm_state_reached_get(s->p->state, s->config->name, w->model->name, &reached, &found, err);
		if (st != WM_OK)
			break;
		atomic_store(&w->recorded, found);
		if (!found)
			continue;
		wm_journal_commit(w->reader, reached.passed);
		if (*ret_last == NULL || reached.passed < wm_journal_reader_committed((*ret_last)->reader))
			*ret_last = w;
	}
	return st == WM_OK ? wm_state_reached_keep(s->p->state, s->config->name, targets, n, err) : st;
}

/* With `journal: off`: files of before that no target needs. */
static enum wm_status
delete_unused_journal(const struct source *s, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *folder = wm_config_journal_folder(s->p->setup->config, s->config->name);

	return folder == NULL ? wm_oom(err, "the journal's folder") : wm_journal_delete(folder, err);
}

/* The journal goes on where it ended, or begins at what the source was last told. */
enum wm_status
source_settle_journal(struct source *s, const struct wm_source_record *rec, bool known, struct wm_error *err)
{
	wm_lsn complete = wm_journal_complete_lsn(s->journal), passed = UINT64_MAX;
	const struct worker *last = NULL;
	enum wm_status st = place_workers(s, &last, err);

	if (st != WM_OK)
		return st;
	if (last != NULL)
		passed = wm_journal_reader_committed(last->reader);
	if (known && complete != 0 && complete < rec->acked_lsn && passed < rec->acked_lsn)
		return wm_fail(err, WM_OPERATOR,
		    "the journal of source \"%s\" ends at " WM_LSN_FMT
		    ", but the source was told that everything up to " WM_LSN_FMT
		    " is safe, and target \"%s\" has not got that far: files were damaged or taken away; put "
		    "them back, or run `walmill teardown` and start again to seed anew",
		    s->config->name, WM_LSN_ARGS(complete), WM_LSN_ARGS(rec->acked_lsn),
		    last->model->name);
	/* Of a transaction that is larger than the journal the beginning may be gone: the source still has it. */
	if (!known || complete < rec->acked_lsn ||
	    (passed < wm_journal_base_lsn(s->journal) && passed >= rec->acked_lsn))
		st = wm_journal_restart(s->journal, rec->acked_lsn, err);
	if (st == WM_OK && !s->p->setup->config->journal && passed >= rec->acked_lsn)
		st = delete_unused_journal(s, err);
	/* A target that is new begins here. */
	for (size_t i = 0; st == WM_OK && i < s->p->nworkers; i++)
		if (s->p->workers[i]->source == s && !atomic_load(&s->p->workers[i]->recorded))
			wm_journal_commit(s->p->workers[i]->reader, wm_journal_complete_lsn(s->journal));
	return st;
}
