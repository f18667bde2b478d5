/* SPDX-License-Identifier: PostgreSQL */
/*
 * link.h - a source and a target given by URIs: their names, slot, state folder and configuration.
 *
 * Everything follows from the two URIs (without passwords), so that a second call with the
 * same ones goes on where the first stopped.
 */
#ifndef WM_CLI_LINK_H
#define WM_CLI_LINK_H

#include "args.h"
#include "uri.h"
#include "walmill/buf.h"
#include "walmill/pipeline.h"

struct wm_link_flags {			/* as given; NULL: not */
	const char		*source, *target, *state, *slot, *publication;
	struct wm_flag_list	 tables;
};

struct wm_link {
	char				*source_uri, *target_uri;	/* target_uri's path made absolute */
	char				*source;	/* name, from the database's */
	const struct wm_target_ops	*ops;
	char				*slot, *publication;
	char				*state;		/* folder, absolute */
	bool				 source_password, target_password;
};

/* WM_FATAL: a URI is wrong, or source and target are the same database. */
enum wm_status wm_link_make(const struct wm_link_flags *flags, struct wm_link *ret, struct wm_error *err) WM_MUST_CHECK;
void wm_link_free(struct wm_link *p);
/* A configuration for it, as YAML; tables empty: all. */
void wm_link_config(const struct wm_link *p, const struct wm_flag_list *tables, struct wm_buf *out);
/* The configuration, loaded; NULL after errors. */
struct wm_setup *wm_link_setup(const struct wm_link *p, const struct wm_flag_list *tables, struct wm_diags *diags);

/* text as a YAML scalar in double quotes; "${" is not a reference. */
void wm_link_quote(struct wm_buf *out, const char *text);
/* A target's option and value that a URI stands for: "path: ...". */
void wm_link_target_option(const struct wm_target_ops *ops, const char *uri, struct wm_buf *out);

#endif
