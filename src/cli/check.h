/* SPDX-License-Identifier: PostgreSQL */
/*
 * check.h - preflights: of a source's server, of the tables that rules match, of targets.
 *
 * All add to one list of findings; what is fine is a note.
 */
#ifndef WM_CLI_CHECK_H
#define WM_CLI_CHECK_H

#include "walmill/pg.h"
#include "walmill/pipeline.h"

struct wm_check {
	const struct wm_setup	*setup;
	struct wm_diags		 findings;
	size_t			 nplans;
	struct wm_plan		**plans;	/* one a table and rule that can be applied */
};

void wm_check_free(struct wm_check *check);

/*
 * Each is given a source's first lane, which the others follow.
 *
 * Server settings, privileges, slots of all lanes.  *ret a connection for the tables, NULL when there is none.
 */
void wm_check_server(struct wm_check *check, const struct wm_source_config *source, struct wm_pg **ret);
/* The tables that the source's rules match: identity, keys, privileges, publication.  Fills plans. */
void wm_check_tables(struct wm_check *check, const struct wm_source_config *source, struct wm_pg *c);
/* Two tables that would be written to one view. */
void wm_check_views(struct wm_check *check);
/* Reachable, and each view of the plans can be written. */
void wm_check_target(struct wm_check *check, const struct wm_target *model);

/* Each receiver's server can be reached; or, send, is sent a message that says that it is a test. */
void wm_check_alerts(struct wm_check *check, bool send);

#endif
