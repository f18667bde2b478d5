/* SPDX-License-Identifier: PostgreSQL */
/*
 * bookmark_text.h - the texts of bookmarks: small JSON objects, in which positions stand as text ("0/16B3748"), because
 * JSON's numbers do not hold 64 bits.
 */
#ifndef WM_PIPELINE_BOOKMARK_TEXT_H
#define WM_PIPELINE_BOOKMARK_TEXT_H

#include <cJSON.h>
#include <stdbool.h>

#include "walmill/lsn.h"

#define BOOKMARK_TABLE "table/"
#define BOOKMARK_VIEW "view/"
#define BOOKMARK_GONE "{\"oid\":0}"
#define BOOKMARK_GONE_BARE "{\"oid\":0,\"bare\":true}"	/* and has left a view without its key */

static inline void
bookmark_json_free(cJSON **json)
{
	cJSON_Delete(*json);
}

static inline void
bookmark_add_lsn(cJSON *o, const char *name, wm_lsn lsn)
{
	char text[WM_LSN_STRLEN];

	cJSON_AddStringToObject(o, name, wm_lsn_format(lsn, text));
}

static inline const char *
bookmark_get_text(const cJSON *o, const char *name)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

	return s == NULL ? "" : s;
}

static inline wm_lsn
bookmark_get_lsn(const cJSON *o, const char *name)
{
	wm_lsn lsn;

	return wm_lsn_parse(bookmark_get_text(o, name), &lsn) ? lsn : 0;
}

static inline double
bookmark_get_number(const cJSON *o, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static inline bool
bookmark_get_bool(const cJSON *o, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, name));
}

#endif
