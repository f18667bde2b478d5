/* SPDX-License-Identifier: PostgreSQL */
/*
 * syntax.h - the check of a YAML file's form, and libyaml's errors in our words.
 */
#ifndef WM_CONFIG_SYNTAX_H
#define WM_CONFIG_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

#include <yaml.h>

#include "walmill/diag.h"

#define WM_SYNTAX_DEPTH_MAX 64		/* nested maps and lists */

/* Form, nesting, number of anchors, one document only.  False when the file cannot be composed. */
bool wm_syntax_check(const char *file, const char *bytes, size_t n, struct wm_diags *diags);
/* Adds what parser, which has just failed, found wrong. */
void wm_syntax_report(const char *file, const yaml_parser_t *parser, const char *bytes, size_t n,
    struct wm_diags *diags);
struct wm_mark wm_syntax_mark(const char *file, const yaml_mark_t *m);
void wm_syntax_delete_parserp(yaml_parser_t **parser);	/* for WM_AUTO */

#endif
