/* SPDX-License-Identifier: PostgreSQL */
/*
 * publication.h - a publication as it stands.
 */
#ifndef WM_PG_PUBLICATION_H
#define WM_PG_PUBLICATION_H

#include "walmill/pg.h"

struct wm_publication_state {
	bool		exists, all_tables, schemas, via_root, owned;
	bool		generated;	/* stored generated columns; true before 18, which cannot */
	bool		insert, update, delete, truncate;
	uint32_t	oid;
	char		owner[64];
};

enum wm_status wm_publication_read(struct wm_pg *c, const char *publication,
    struct wm_publication_state *ret, struct wm_error *err) WM_MUST_CHECK;

#endif
