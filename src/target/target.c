/* SPDX-License-Identifier: PostgreSQL */
/*
 * target.c - life cycle of a back-end's instance: found by type or URI, made, copied, destroyed.
 *
 * Knows no back-end: all it touches is the table of operations and the options in it.
 */
#include "walmill/target.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "walmill/buf.h"
#include "walmill/config.h"

#define SCHEMES_MAX 4096	/* bytes of the list of schemes in a message */

const struct wm_target_ops *
wm_target_find(const struct wm_target_ops *const *list, const char *type)
{
	for (; *list != NULL; list++)
		if (strcmp((*list)->type, type) == 0)
			return *list;
	return NULL;
}

/* An instance with no option set. */
static enum wm_status
make_bare(const struct wm_target_ops *ops, const char *name, struct wm_target **ret, struct wm_error *err)
{
	struct wm_target *t;

	assert(ops->size >= sizeof(*t));
	t = calloc(1, ops->size);
	if (t == NULL)
		return wm_oom(err, "a target");
	t->ops = ops;
	t->name = strdup(name);
	if (t->name == NULL) {
		free(t);
		return wm_oom(err, "a target's name");
	}
	*ret = t;
	return WM_OK;
}

static const struct wm_option *
find_option(const struct wm_option *options, const char *name)
{
	while (options->name != NULL && strcmp(options->name, name) != 0)
		options++;
	return options->name != NULL ? options : NULL;
}

enum wm_status
wm_target_create(const struct wm_target_ops *ops, const char *name, struct wm_target **ret,
    struct wm_error *err)
{
	const struct wm_option *option;
	struct wm_target *t = NULL;
	enum wm_status status = make_bare(ops, name, &t, err);

	if (status != WM_OK)
		return status;
	for (option = ops->options; status == WM_OK && option->name != NULL; option++)
		if (option->fallback != NULL)
			status = wm_option_set(option, option->fallback, t, err);
	if (status != WM_OK) {
		wm_target_destroy(t);
		return status;
	}
	*ret = t;
	return WM_OK;
}

enum wm_status
wm_target_clone(const struct wm_target *model, struct wm_target **ret, struct wm_error *err)
{
	struct wm_target *t = NULL;
	enum wm_status status = make_bare(model->ops, model->name, &t, err);

	if (status != WM_OK)
		return status;
	status = wm_options_copy(model->ops->options, model, t, err);
	if (status != WM_OK) {
		wm_target_destroy(t);
		return status;
	}
	*ret = t;
	return WM_OK;
}

bool
wm_target_rest(struct wm_target *t, wm_usec usec)
{
	struct timespec ts = { .tv_sec = usec / WM_SEC, .tv_nsec = usec % WM_SEC * 1000 };

	if (t->host != NULL)
		return t->host->rest(t->host->arg, usec);
	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
	return true;
}

void
wm_target_waits(struct wm_target *t, const char *text)
{
	if (t->host != NULL && t->host->waits != NULL)
		t->host->waits(t->host->arg, text);
}

void
wm_target_destroy(struct wm_target *t)
{
	if (t == NULL)
		return;
	t->ops->close(t);
	wm_options_free(t->ops->options, t);
	free(t->name);
	free(t);
}

static const struct wm_target_ops *
find_scheme(const struct wm_target_ops *const *list, const char *scheme, size_t len)
{
	for (; *list != NULL; list++)
		for (const char *const *s = (*list)->schemes; *s != NULL; s++)
			if (strlen(*s) == len && strncasecmp(*s, scheme, len) == 0)
				return *list;
	return NULL;
}

/* Of the URI only the scheme may be shown: the rest can hold a password. */
static enum wm_status
unknown_scheme(const struct wm_target_ops *const *list, const char *uri, size_t len, struct wm_error *err)
{
	struct wm_buf known;
	enum wm_status status;

	wm_buf_init(&known, SCHEMES_MAX);
	for (; *list != NULL; list++)
		for (const char *const *s = (*list)->schemes; *s != NULL; s++)
			wm_buf_addf(&known, "%s%s:", known.len > 0 ? ", " : "", *s);
	if (len == 0)
		status = wm_fail(err, WM_FATAL, "the target URI names no kind of target: begin it with one of %s",
		    known.data);
	else
		status = wm_fail(err, WM_FATAL, "no target takes a URI that begins with \"%.*s:\": use one of %s",
		    len < 64 ? (int)len : 64, uri, known.data);
	wm_buf_free(&known);
	return status;
}

/* Bytes of the scheme in front of the colon; 0 when uri does not begin with one (RFC 3986). */
static size_t
scheme_length(const char *uri)
{
	size_t len = strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	return uri[len] == ':' ? len : 0;
}

enum wm_status
wm_target_from_uri(const struct wm_target_ops *const *list, const char *uri, const char *name,
    struct wm_target **ret, struct wm_error *err)
{
	size_t len = scheme_length(uri);
	const struct wm_target_ops *ops = find_scheme(list, uri, len);
	const struct wm_option *option;
	struct wm_target *t;
	enum wm_status status;

	if (ops == NULL)
		return unknown_scheme(list, uri, len, err);
	if (uri[len + 1] == '\0')
		return wm_fail(err, WM_FATAL, "the target URI \"%s\" says nothing behind its scheme", uri);
	option = find_option(ops->options, ops->uri_option);
	assert(option != NULL);
	status = wm_target_create(ops, name, &t, err);
	if (status != WM_OK)
		return status;
	status = wm_option_set(option, ops->uri_strip ? uri + len + 1 : uri, t, err);
	if (status != WM_OK) {
		wm_target_destroy(t);
		return status;
	}
	*ret = t;
	return WM_OK;
}
