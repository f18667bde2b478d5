/* SPDX-License-Identifier: PostgreSQL */
/*
 * rulefiles.h - the rules that a configuration points to, as maps.
 */
#ifndef WM_CONFIG_RULEFILES_H
#define WM_CONFIG_RULEFILES_H

#include <stdbool.h>

#include "walmill/config.h"

/*
 * Fills config->rules from "rules:" of root: a folder, a file, or the list in place.
 * written_folder is the configuration's folder as the user wrote it, for the files' names.
 */
void wm_rulefiles_load(struct wm_config *config, const struct wm_node *root, const char *written_folder,
    struct wm_diags *diags);
/* Makes doc live as long as config; false when memory is out (doc is still the caller's). */
bool wm_rulefiles_keep(struct wm_config *config, struct wm_document *doc);

#endif
