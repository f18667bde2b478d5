/* SPDX-License-Identifier: PostgreSQL */
/*
 * rule.h - the parts of a rule that files of their own read.
 */
#ifndef WM_RULES_RULE_H
#define WM_RULES_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "walmill/config.h"
#include "walmill/diag.h"
#include "walmill/rules.h"

/* `table:`, a pattern or several. */
void wm_rule_read_tables(struct wm_rule *rule, const struct wm_node *node, struct wm_diags *diags);
/* Whether more than one table may match: a column need not exist in all of them. */
bool wm_rule_is_wide(const struct wm_rule *rule);
/* The table's name, or the patterns when there is more than one table.  malloc'd. */
char *wm_rule_default_name(const struct wm_rule *rule);
/* Reports placeholders of `view:` that do not exist. */
void wm_rule_check_view(const struct wm_node *node, struct wm_diags *diags);
/* `columns:`. */
void wm_rule_read_columns(struct wm_rule *rule, const struct wm_node *node, struct wm_diags *diags);
/* Contradictions between `columns:` and the rest of the rule. */
void wm_rule_check_columns(const struct wm_rule *rule, struct wm_diags *diags);
/* Whether the rule's include and exclude let a source column through. */
bool wm_rule_takes_column(const struct wm_rule *rule, const char *column);
uint64_t wm_rule_fingerprint(const struct wm_rule *rule);

#endif
