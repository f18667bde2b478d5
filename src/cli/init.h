/* SPDX-License-Identifier: PostgreSQL */
/*
 * init.h - what `walmill init` writes: files in memory first, then all of them or none.
 */
#ifndef WM_CLI_INIT_H
#define WM_CLI_INIT_H

#include <sys/types.h>

#include "link.h"
#include "walmill/buf.h"
#include "walmill/pg.h"

struct wm_init_file {
	char		*name;		/* below the folder */
	mode_t		 mode;
	struct wm_buf	 text;
};

struct wm_init_files {
	size_t			 n;
	struct wm_init_file	*list;
	bool			 failed;	/* memory is out */
};

/* The text of a new file; NULL when memory is out.  Valid until the next call. */
struct wm_buf *wm_init_file(struct wm_init_files *files, const char *name, mode_t mode);
void wm_init_files_free(struct wm_init_files *files);

/* One rules file a table, or one a schema when there are many; tables that cannot be synced as comments. */
void wm_init_rules(const struct wm_link *link, const struct wm_tables *tables, struct wm_init_files *files,
    struct wm_diags *diags);

#endif
