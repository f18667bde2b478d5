/* SPDX-License-Identifier: PostgreSQL */
/*
 * order.h - the order in which a batch's rows are written.
 *
 * Rows come in the order of the changes.  Written in the order of their keys they share the pages of the table and of
 * its key that are already in the caches, which spares a target a fifth of its work where the changes are spread over
 * a large table (docs/adr/0005).  It is a matter of speed alone: no two rows have one key.
 */
#ifndef WM_ORDER_H
#define WM_ORDER_H

#include <stddef.h>

#include "walmill/model.h"

/* For free(): the indexes of all rows of the batch.  NULL: their own order does, or there was no memory. */
size_t *wm_key_order(const struct wm_view_batch *batch);

#endif
