/* SPDX-License-Identifier: PostgreSQL */
/*
 * token.h - access tokens: one for all who use a refresh token, made again before it expires.
 *
 * Zoho makes ten in ten minutes for a refresh token and keeps fifteen alive.  So there is one a process, and one for
 * several processes where they share a file.
 */
#ifndef WM_ZOHO_TOKEN_H
#define WM_ZOHO_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "walmill/clock.h"
#include "walmill/error.h"
#include "walmill/http.h"

#define WM_ZOHO_TOKEN_MAX 512
#define WM_ZOHO_REFRESHES 10		/* in WM_ZOHO_REFRESH_WINDOW */
#define WM_ZOHO_REFRESH_WINDOW (600 * WM_SEC)

/* What tokens are made with; borrowed. */
struct wm_zoho_login {
	const char	*accounts_url, *client_id, *client_secret, *refresh_token;
	const char	*cache;		/* file that processes share; NULL: none */
	wm_usec		 timeout;
};

struct wm_zoho_token {
	char	text[WM_ZOHO_TOKEN_MAX];	/* "" none */
	wm_usec	expires;			/* wall */
	wm_usec	made[WM_ZOHO_REFRESHES];	/* wall, the oldest first; 0 none: when tokens were asked for */
	wm_usec	closed;				/* wall: Zoho wants none to be asked for before */
};

/*
 * A token that is good for another minute and is not `refused` (NULL: any), in *token: the one that is there, that of
 * the file, or a new one.  WM_FATAL: the refresh token, or the client, is not taken.  The caller sees to it that only
 * one thread is here; a lock on the file keeps other processes out.
 */
enum wm_status wm_zoho_token_get(const struct wm_zoho_login *login, struct wm_http *http, const char *refused,
    struct wm_zoho_token *token, struct wm_error *err) WM_MUST_CHECK;
/* Exchanges a grant code for a refresh token, malloc'd. */
enum wm_status wm_zoho_token_grant(const struct wm_zoho_login *login, struct wm_http *http, const char *code,
    char **ret, struct wm_error *err) WM_MUST_CHECK;

/* ---- for tests ---- */

/* Of an answer of the token endpoint: WM_OK with *token, or why not. */
enum wm_status wm_zoho_token_answer(const struct wm_zoho_login *login, int http, const char *body, size_t len,
    wm_usec wall, struct wm_zoho_token *token, struct wm_error *err);
/* Notes that a token is asked for; false, and how long to wait, when ten were in ten minutes. */
bool wm_zoho_token_may_ask(struct wm_zoho_token *token, wm_usec wall, wm_usec *ret_wait);

#endif
