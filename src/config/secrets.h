/* SPDX-License-Identifier: PostgreSQL */
/*
 * secrets.h - ${env:NAME}, ${file:PATH} and ${credential:NAME} in a configuration's texts.
 */
#ifndef WM_CONFIG_SECRETS_H
#define WM_CONFIG_SECRETS_H

#include <stdbool.h>

#include "walmill/buf.h"
#include "walmill/compiler.h"
#include "walmill/diag.h"

enum wm_secrets_outcome {
	WM_SECRETS_NONE,	/* out holds the text, with each $${ as ${ */
	WM_SECRETS_FILLED,	/* out holds a secret, which is registered */
	WM_SECRETS_BAD,		/* something could not be filled in; diags says what */
};

/* Relative ${file:} paths start at folder.  All references are tried, so that all mistakes show. */
enum wm_secrets_outcome wm_secrets_fill(const char *text, const char *folder, const struct wm_mark *mark,
    struct wm_diags *diags, struct wm_buf *out) WM_MUST_CHECK;

/* What examples and lazy operators write in place of a secret: "changeme", "password", ... */
bool wm_secrets_is_placeholder(const char *text);
/* wm_secret_register, but for placeholders: hiding such words would make messages unreadable. */
void wm_secrets_register(const char *secret);

/*
 * Registers the passwords in a URI of any scheme (user:password@, ?password=) or in a keyword
 * string of libpq (password=...), as written and decoded.  Any other text is left alone.
 */
void wm_secrets_note_passwords(const char *text);

#endif
