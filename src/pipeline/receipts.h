/* SPDX-License-Identifier: PostgreSQL */
/*
 * receipts.h - what the commits of one delivery held, gathered for the receipts file (docs/adr/0008).
 *
 * Nothing here ever stops a delivery: a receipt that cannot be written is said in the log, and is missing.
 * NULL for struct receipts, receipts are off: a no-op.  One instance a delivery, used by that delivery's thread.
 */
#ifndef WM_PIPELINE_RECEIPTS_H
#define WM_PIPELINE_RECEIPTS_H

#include "internal.h"

struct receipts;

/* ---- receipts_binary.c: the key of a row as COPY's binary form has it ---- */

bool receipts_binary_can(const struct wm_view *view);
/* As the sum of wm_receipt_key over the key's columns. */
uint64_t receipts_binary_key(const struct wm_view *view, const char *row, size_t len);

/* ---- receipts.c ---- */

enum wm_status receipts_create(struct wm_pipeline *p, const char *source, const char *target, struct receipts **ret,
    struct wm_error *err);
void receipts_destroy(struct receipts *r);
/* Settles what a crash left open; before anything is written. */
enum wm_status receipts_recover(struct receipts *r, struct worker *w, struct wm_error *err);
/* These rows are written, in the open transaction. */
void receipts_take(struct receipts *r, const struct wm_batch *batch, const char *origin);
/*
 * The same for rows that are passed on in the binary form of COPY, one at a time; begin says where they go.  Not every
 * type's keys can be told from that form.
 */
bool receipts_can_pass(const struct receipts *r, const struct wm_view *view);
void receipts_pass_begin(struct receipts *r, const struct wm_view *view, const char *origin);
void receipts_pass(struct receipts *r, const struct wm_view *view, const char *row, size_t len);
/* A row of the rule became a dead letter. */
void receipts_refused(struct receipts *r, const struct wm_rule *rule, wm_lsn lsn, const char *origin);
/* Around a commit: what is to be committed is stored first, so that none is missing that was committed. */
void receipts_before_commit(struct receipts *r);
void receipts_after_commit(struct receipts *r);
/* Nothing is under way: what the target answered is stored now, else with the next receipts. */
void receipts_idle(struct receipts *r);
/* The transaction is gone. */
void receipts_forget(struct receipts *r);

#endif
