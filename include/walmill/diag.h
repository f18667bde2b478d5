/* SPDX-License-Identifier: PostgreSQL */
/*
 * diag.h - a list of findings, each with the place it belongs to and the fix.
 *
 * Readers of configuration and preflights add to it and go on, so that a user sees all
 * mistakes at once.  Printed as "file:line:column: message" or "subject: message".
 */
#ifndef WM_DIAG_H
#define WM_DIAG_H

#include <stddef.h>

#include "walmill/compiler.h"

enum wm_severity { WM_NOTE, WM_WARNING, WM_ERROR };

struct wm_mark {
	const char	*file;		/* borrowed from the document, which outlives its marks */
	unsigned	 line, column;	/* from 1 */
};

struct wm_diag {
	enum wm_severity severity;
	char		*place;		/* "file:line:column", what is concerned ("table public.t"), or NULL */
	char		*text;		/* one line */
	char		*fix;		/* what to do, or NULL when the text says it */
};

struct wm_diags {
	struct wm_diag	*list;
	size_t		 n;
	size_t		 errors;	/* of those, how many are WM_ERROR */
};

void wm_diags_free(struct wm_diags *d);
/* Texts are copied, registered secrets scrubbed.  mark->file NULL: no place. */
void wm_diags_at(struct wm_diags *d, enum wm_severity severity, const struct wm_mark *mark, const char *fmt, ...)
    WM_PRINTF(4, 5);
/* For findings that belong to no file; fix may be NULL. */
void wm_diags_add(struct wm_diags *d, enum wm_severity severity, const char *subject, const char *fix,
    const char *fmt, ...) WM_PRINTF(5, 6);

#endif
