/* SPDX-License-Identifier: PostgreSQL */
/*
 * document.h - documents that are read in spite of mistakes in single values.
 */
#ifndef WM_CONFIG_DOCUMENT_H
#define WM_CONFIG_DOCUMENT_H

#include <stddef.h>

#include "walmill/config.h"

/*
 * As wm_document_parse, but returns the document also when duplicate keys, unknown tags or
 * secrets that are missing were reported: the caller looks at diags->errors when it has
 * checked the rest.  folder: where relative paths start; NULL: the folder of name.
 */
struct wm_document *wm_document_parse_partial(const char *name, const char *folder, const char *bytes, size_t n,
    struct wm_diags *diags);
/* The same from a file.  mark: the place that named it, or NULL. */
struct wm_document *wm_document_load_partial(const char *path, const struct wm_mark *mark, struct wm_diags *diags);
const char *wm_document_file(const struct wm_document *doc);
const char *wm_document_folder(const struct wm_document *doc);	/* absolute */

#endif
