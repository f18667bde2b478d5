/* SPDX-License-Identifier: PostgreSQL */
/*
 * sections.h - what the readers of walmill.yaml's sections share.
 */
#ifndef WM_CONFIG_SECTIONS_H
#define WM_CONFIG_SECTIONS_H

#include "walmill/config.h"

/* YAML's ways to write a switch in place of a map or a path; quoted they are texts.  node may be NULL. */
bool wm_section_off(const struct wm_node *node);
bool wm_section_on(const struct wm_node *node);
/* Whether s has bytes, and only allowed ones. */
bool wm_section_consists_of(const char *s, bool (*allowed)(char c));
/* Says what is wrong with the name that the user gave a source or target. */
void wm_section_check_name(const struct wm_pair *pair, const char *what, struct wm_diags *diags);
/* A section that must have entries; NULL after an error. */
const struct wm_node *wm_section_named(const struct wm_node *root, const char *key, const char *example,
    struct wm_diags *diags);
void wm_section_out_of_memory(const struct wm_mark *mark, struct wm_diags *diags);

/* ---- sources.c ---- */

void wm_sources_read(struct wm_config *config, const struct wm_node *root, struct wm_diags *diags);
void wm_sources_free(struct wm_config *config);

/* ---- alerts.c ---- */

void wm_alerts_read(struct wm_config *config, const struct wm_node *root, struct wm_diags *diags);

#endif
