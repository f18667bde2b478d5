/* SPDX-License-Identifier: PostgreSQL */
/*
 * targets.h - the back-ends that the program is built with.
 *
 * Only the lists of back-ends (src/cli/targets.c and the tests) include this.
 */
#ifndef WM_TARGETS_H
#define WM_TARGETS_H

#include "walmill/target.h"

extern const struct wm_target_ops wm_target_null_ops;
extern const struct wm_target_ops wm_target_postgres_ops;
extern const struct wm_target_ops wm_target_sqlite_ops;
extern const struct wm_target_ops wm_target_zoho_analytics_ops;

#endif
