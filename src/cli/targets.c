/* SPDX-License-Identifier: PostgreSQL */
/*
 * targets.c - the back-ends of the program; nothing else names them.
 */
#include "walmill/targets.h"

const struct wm_target_ops *const wm_targets[] = {
	&wm_target_sqlite_ops,
	&wm_target_postgres_ops,
	&wm_target_zoho_analytics_ops,
	&wm_target_null_ops,
	NULL,
};
