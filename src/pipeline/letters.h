/* SPDX-License-Identifier: PostgreSQL */
/*
 * letters.h - dead letters on the data path: which rows have one, and what a later change of such a row means.
 *
 * What always holds, and why a retry never puts an older value over a newer one (docs/adr/0007): a row of a view has
 * at most one letter, of its last change that was refused; a letter is open only while no later change of its row
 * has been applied.  One instance a delivery, used by that delivery's thread.
 */
#ifndef WM_PIPELINE_LETTERS_H
#define WM_PIPELINE_LETTERS_H

#include "internal.h"
#include "walmill/buf.h"

struct letters;

/* Of all lanes of the source: a letter stays when its table goes to another one. */
struct letters *letters_create(struct wm_pipeline *p, const struct wm_source_config *source, const char *target);
void letters_destroy(struct letters *l);		/* NULL is a no-op */
/*
 * Finds out which rows have a letter.  With a worker: letters that a change made void are removed when that change
 * is in the target (the checkpoint, or the rule's hold, decides), and stand again when it will come again.
 */
enum wm_status letters_load(struct letters *l, struct worker *w, struct wm_error *err);

/* Whether any row may have one. */
bool letters_any(const struct letters *l);
/* Refused: the row, whatever is known of it (row may be NULL), becomes a letter or takes the place of one. */
enum wm_status letters_bury(struct letters *l, const struct wm_rule *rule, const struct wm_view *view,
    const struct wm_row *row, bool seed, const char *class, const struct wm_error *why, struct wm_error *err);
/* Written: letters of these rows that are not newer are void once the transaction is committed. */
enum wm_status letters_settle(struct letters *l, const struct wm_batch *batch, bool seed, struct wm_error *err);
/* Every letter of the view was made by an older life of it. */
enum wm_status letters_drop_view(struct letters *l, const struct wm_view *view, struct wm_error *err);

/* The row as a JSON object, as the view has it; of a delete the key alone. */
void letters_add_row(struct wm_buf *b, const struct wm_view *view, const struct wm_row *row);

/* A letter's row, read back into an arena. */
struct letter_row {
	int64_t			 id;
	bool			 replay;
	struct wm_row		 row;		/* values that the letter does not hold are unchanged */
};
/* What the letter of one row holds, in the columns that the view has now. */
enum wm_status letters_parse(const struct wm_dead_letter *letter, const struct wm_view *view, struct wm_arena *arena,
    struct letter_row *ret, struct wm_error *err);
/* Before the stream's commit: marks what was settled, so that a crash after it is told from one before. */
enum wm_status letters_before_commit(struct letters *l, struct wm_error *err);
/*
 * Removes what was settled: after a commit of the stream, but before a commit of a seed; should that
 * fail, the same rows are read and judged again.
 */
enum wm_status letters_remove(struct letters *l, struct wm_error *err);
/* Whether there are any for letters_remove. */
bool letters_any_settled(const struct letters *l);
/* The transaction is gone. */
void letters_forget(struct letters *l);

#endif
