/* SPDX-License-Identifier: PostgreSQL */
/*
 * option.h - declarative options: one table gives parsing, checking, help and the man page.
 */
#ifndef WM_OPTION_H
#define WM_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wm_option_kind {
	WM_OPT_STRING,		/* char * (owned by the struct filled) */
	WM_OPT_SECRET,		/* char *; registered with wm_secret_register, never shown */
	WM_OPT_PATH,		/* char *; relative to the file's folder, made absolute */
	WM_OPT_BOOL,		/* bool */
	WM_OPT_INT,		/* int64_t, between min and max */
	WM_OPT_SIZE,		/* uint64_t, bytes */
	WM_OPT_DURATION,	/* int64_t, microseconds */
	WM_OPT_ENUM,		/* int: index into words */
};

struct wm_option {
	const char		*name;		/* NULL ends a table */
	enum wm_option_kind	 kind;
	size_t			 offset;	/* into the struct that is filled */
	bool			 required;
	const char		*fallback;	/* default, as the user would write it; NULL: zero */
	int64_t			 min, max;	/* INT, SIZE (bytes), DURATION (microseconds); both 0: any */
	const char *const	*words;		/* WM_OPT_ENUM: NULL-terminated */
	const char		*help;		/* one line, for --help and the man page */
};

#endif
