/* SPDX-License-Identifier: PostgreSQL */
/*
 * cell.h - Zoho's column types, and what a value of PostgreSQL's becomes in a column of one.
 */
#ifndef WM_ZOHO_CELL_H
#define WM_ZOHO_CELL_H

#include <stdatomic.h>

#include "walmill/buf.h"
#include "walmill/model.h"

enum wm_zoho_type {
	WM_ZOHO_UNKNOWN,		/* one that walmill does not know: takes text */
	WM_ZOHO_PLAIN,
	WM_ZOHO_MULTI_LINE,
	WM_ZOHO_EMAIL,
	WM_ZOHO_URL,
	WM_ZOHO_GEO,
	WM_ZOHO_DURATION,
	WM_ZOHO_NUMBER,
	WM_ZOHO_POSITIVE_NUMBER,
	WM_ZOHO_AUTO_NUMBER,
	WM_ZOHO_DECIMAL_NUMBER,
	WM_ZOHO_CURRENCY,
	WM_ZOHO_PERCENT,
	WM_ZOHO_BOOLEAN,
	WM_ZOHO_DATE,			/* with a time of day */
	WM_ZOHO_DATE_AS_DATE,
	WM_ZOHO_TIME,
};

/* By either of its names: that of the API ("MULTI_LINE") or the one shown ("Multi Line Text"). */
enum wm_zoho_type wm_zoho_type_named(const char *name);
const char *wm_zoho_type_name(enum wm_zoho_type type);
/* Whether the rule's `type:`, if there is one, is a name of Zoho's or of PostgreSQL's. */
bool wm_zoho_type_known(const struct wm_view_column *column);
/* The type that a column of the view gets where it has to be made; an override of the rule comes first. */
enum wm_zoho_type wm_zoho_type_for(const struct wm_view_column *column);
bool wm_zoho_type_is_number(enum wm_zoho_type type);
bool wm_zoho_type_is_text(enum wm_zoho_type type);
/* Whether the values that a column of type wanted would get can be stored in one of type have. */
bool wm_zoho_type_takes(enum wm_zoho_type have, enum wm_zoho_type wanted);

/* What becomes of a value that Zoho has nothing for (NaN, infinity, a year over 9999, too many digits). */
enum wm_zoho_unfit { WM_ZOHO_UNFIT_REJECT, WM_ZOHO_UNFIT_NULL };

struct wm_zoho_policy {
	const char	*true_word, *false_word;	/* of BOOLEAN */
	const char	*empty_text;			/* in place of an empty text; "": it becomes null */
	enum wm_zoho_unfit unfit;
	int64_t		 digits;			/* of a decimal number, at most */
	int64_t		 zone;				/* of DATE: seconds east of UTC */
};

/* Values that the view does not show as the source has them. */
struct wm_zoho_converted {
	atomic_uint_fast64_t	empty;		/* an empty text became null, or another text */
	atomic_uint_fast64_t	unfit;		/* Zoho has nothing for it: null */
	atomic_uint_fast64_t	cut;		/* parts of a second are left out */
};

struct wm_zoho_cell {
	const char	*data;		/* NULL: null */
	size_t		 len;
	char		 space[160];	/* data may point here */
};

/*
 * The value as a column of that type gets it, as CSV and as CONFIG.  WM_REJECT: Zoho has nothing for it; the text
 * names neither column nor value.
 */
enum wm_status wm_zoho_cell(const struct wm_zoho_policy *policy, enum wm_zoho_type type, enum wm_type_class class,
    const struct wm_value *value, struct wm_zoho_cell *ret, struct wm_zoho_converted *counts, struct wm_error *err);
/* "+05:30", "Z": seconds east of UTC.  Zones with a history of their own are not known here. */
bool wm_zoho_zone_parse(const char *text, int64_t *ret);

#endif
