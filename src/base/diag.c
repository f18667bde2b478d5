/* SPDX-License-Identifier: PostgreSQL */
/*
 * diag.c - a list of findings.
 *
 * An error for which there is no memory is still counted, so that nobody goes on as if
 * everything were well.
 */
#include "walmill/diag.h"

#include <stdarg.h>
#include <stdlib.h>

#include "text.h"
#include "walmill/strutil.h"

static void
free_diag(struct wm_diag *d)
{
	free(d->place);
	free(d->text);
	free(d->fix);
}

void
wm_diags_free(struct wm_diags *d)
{
	for (size_t i = 0; i < d->n; i++)
		free_diag(&d->list[i]);
	free(d->list);
	*d = (struct wm_diags){ 0 };
}

static char *WM_PRINTF(1, 2)
line(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = wm_text_vline(fmt, ap);
	va_end(ap);
	return s;
}

/* The list's room doubles whenever n is a power of two. */
static void
append(struct wm_diags *d, struct wm_diag diag)
{
	struct wm_diag *list = d->list;

	if (diag.severity == WM_ERROR)
		d->errors++;
	if ((d->n & (d->n - 1)) == 0)
		list = reallocarray(d->list, d->n == 0 ? 1 : d->n * 2, sizeof(*list));
	if (list != NULL)
		d->list = list;
	if (list == NULL || diag.text == NULL) {
		free_diag(&diag);
		return;
	}
	d->list[d->n++] = diag;
}

void
wm_diags_at(struct wm_diags *d, enum wm_severity severity, const struct wm_mark *mark,
    const char *fmt, ...)
{
	struct wm_diag diag = { .severity = severity };
	va_list ap;

	if (mark != NULL && mark->file != NULL)
		diag.place = line("%s:%u:%u", mark->file, mark->line, mark->column);
	va_start(ap, fmt);
	diag.text = wm_text_vline(fmt, ap);
	va_end(ap);
	append(d, diag);
}

void
wm_diags_add(struct wm_diags *d, enum wm_severity severity, const char *subject, const char *fix,
    const char *fmt, ...)
{
	struct wm_diag diag = { .severity = severity };
	va_list ap;

	if (subject != NULL)
		diag.place = line("%s", subject);
	if (fix != NULL)
		diag.fix = line("%s", fix);
	va_start(ap, fmt);
	diag.text = wm_text_vline(fmt, ap);
	va_end(ap);
	append(d, diag);
}
