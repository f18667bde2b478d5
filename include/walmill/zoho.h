/* SPDX-License-Identifier: PostgreSQL */
/*
 * zoho.h - what a command needs of the zoho_analytics back-end beyond the contract of targets.
 */
#ifndef WM_ZOHO_PUBLIC_H
#define WM_ZOHO_PUBLIC_H

#include "walmill/target.h"

/*
 * Exchanges a grant code for a refresh token, malloc'd, as the client that a target of this type has in its options;
 * its refresh token need not be set.
 */
enum wm_status wm_zoho_grant(const struct wm_target *t, const char *code, char **ret, struct wm_error *err)
    WM_MUST_CHECK;

#endif
