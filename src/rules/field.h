/* SPDX-License-Identifier: PostgreSQL */
/*
 * field.h - lists of names and settings as rules hold them: read from YAML, looked up, freed.
 *
 * Readers report what is wrong to diags and go on; what they leave behind can always be freed.
 */
#ifndef WM_RULES_FIELD_H
#define WM_RULES_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "walmill/config.h"
#include "walmill/diag.h"
#include "walmill/rules.h"

#define WM_HINT_SIZE 128

/* " (did you mean "word"?)" in hint (WM_HINT_SIZE bytes), or ""; returns hint. */
const char *wm_hint_word(const char *word, const char *const *candidates, size_t n, char *hint);
const char *wm_hint_column(const char *word, const struct wm_relation *rel, char *hint);

void wm_field_oom(const struct wm_node *node, struct wm_diags *diags);
/* What the node is, for "must be ..., not a map". */
const char *wm_field_kind(const struct wm_node *node);
/* Whether the node is a text that is not empty; reports otherwise. */
bool wm_field_is_text(const struct wm_node *node, const char *what, struct wm_diags *diags);
/* A list of texts, or a single one; doubles are errors. */
void wm_field_names(const struct wm_node *node, const char *what, struct wm_names *ret, struct wm_diags *diags);
/* A map of texts. */
void wm_field_settings(const struct wm_node *node, const char *what, struct wm_settings *ret, struct wm_diags *diags);

/* Copies; false when memory is out. */
bool wm_names_add(struct wm_names *names, const char *name);
bool wm_names_has(const struct wm_names *names, const char *name);
void wm_names_free(struct wm_names *names);

/* Copies; value may be NULL.  False when memory is out. */
bool wm_settings_add(struct wm_settings *settings, const char *column, const char *value, const struct wm_mark *mark);
const struct wm_setting *wm_settings_find(const struct wm_settings *settings, const char *column);
void wm_settings_free(struct wm_settings *settings);

#endif
