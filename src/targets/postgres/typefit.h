/* SPDX-License-Identifier: PostgreSQL */
/*
 * typefit.h - which column types hold the values of which others, by their SQL names.
 *
 * Names are spelt as format_type() does: "numeric(10,2)", "character varying(20)", "integer[]".
 */
#ifndef WM_TYPEFIT_H
#define WM_TYPEFIT_H

#include <stdbool.h>

#include "walmill/buf.h"
#include "walmill/model.h"

/*
 * Whether a column of type existing takes every value of type wanted and gives it back equal:
 * the same type; text or varchar without limit (takes any text form); a longer limit or higher
 * precision; a wider number; json for jsonb; arrays element by element.
 */
bool wm_typefit_holds(const char *existing, const char *wanted);
/*
 * Adds type as an explicit cast must name it: without length or precision, because a cast to
 * varchar(3) cuts silently what an assignment to such a column refuses.
 */
void wm_typefit_add_cast(struct wm_buf *b, const char *type);
/*
 * Whether type exists at every server with the same values: built in, known beforehand (not a
 * computed value's), and not a name of something in the source's database (regclass, aclitem).
 */
bool wm_typefit_portable(const struct wm_type *type);
/* What CREATE TABLE and ADD COLUMN say for this column. */
const char *wm_typefit_declared(const struct wm_view_column *column);
/* Whether a rule's `type:` can stand in a statement: one type name and nothing behind it. */
bool wm_typefit_valid(const char *name);

#endif
