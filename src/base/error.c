/* SPDX-License-Identifier: PostgreSQL */
/*
 * error.c - filling struct wm_error.  errno is left as it was.
 */
#include "walmill/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "walmill/strutil.h"

static void
set_text(struct wm_error *err, const char *text)
{
	size_t n = wm_text_cut(text, sizeof(err->text) - 1);

	memmove(err->text, text, n);
	err->text[n] = '\0';
}

static void WM_PRINTF(4, 0)
set(struct wm_error *err, enum wm_status status, const char *code, const char *fmt, va_list ap)
{
	WM_AUTO(wm_freep) char *line = wm_text_vline(fmt, ap);
	char kept[sizeof(err->code)];

	/* The code may be the one that err holds already. */
	snprintf(kept, sizeof(kept), "%s", code);
	memcpy(err->code, kept, sizeof(kept));
	err->status = status;
	err->retry_after = 0;
	set_text(err, line != NULL ? line : "out of memory for the text of an error");
}

enum wm_status
wm_vfail(struct wm_error *err, enum wm_status status, const char *fmt, va_list ap)
{
	int saved = errno;

	if (err != NULL)
		set(err, status, "", fmt, ap);
	errno = saved;
	return status;
}

enum wm_status
wm_fail(struct wm_error *err, enum wm_status status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	wm_vfail(err, status, fmt, ap);
	va_end(ap);
	return status;
}

enum wm_status
wm_fail_code(struct wm_error *err, enum wm_status status, const char *code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (err != NULL) {
		va_start(ap, fmt);
		set(err, status, code != NULL ? code : "", fmt, ap);
		va_end(ap);
	}
	errno = saved;
	return status;
}

static bool
begins_with(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 && text[n] == ':';
}

enum wm_status
wm_error_prefix(struct wm_error *err, const char *fmt, ...)
{
	WM_AUTO(wm_freep) char *prefix = NULL;
	WM_AUTO(wm_freep) char *text = NULL;
	int saved = errno;
	va_list ap;

	/* A caller without a struct wm_error has to return the status it got itself. */
	if (err == NULL)
		return WM_FATAL;
	va_start(ap, fmt);
	prefix = wm_text_vline(fmt, ap);
	va_end(ap);
	if (prefix != NULL && !begins_with(err->text, prefix))
		text = wm_asprintf("%s: %s", prefix, err->text);
	if (text != NULL)
		set_text(err, text);
	errno = saved;
	return err->status;
}

enum wm_status
wm_oom(struct wm_error *err, const char *what)
{
	/* Formatted without wm_text_vline, which needs memory. */
	if (err != NULL) {
		err->status = WM_FATAL;
		err->code[0] = '\0';
		snprintf(err->text, sizeof(err->text), "out of memory for %s", what);
	}
	return WM_FATAL;
}
