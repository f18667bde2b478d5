/* SPDX-License-Identifier: PostgreSQL */
/*
 * copy.h - what the two ways to read a range have in common.
 */
#ifndef WM_SEED_COPY_H
#define WM_SEED_COPY_H

#include "walmill/buf.h"
#include "walmill/seed.h"

#define WM_SEED_SQL_MAX ((size_t)1 << 20)

/* SELECT with the columns that are needed. */
void wm_seed_add_select(struct wm_buf *sql, const struct wm_seed_range *range);

#endif
