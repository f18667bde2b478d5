/* SPDX-License-Identifier: PostgreSQL */
/*
 * grid.h - tables for people: aligned columns, sizes and durations in readable units.
 */
#ifndef WM_CLI_GRID_H
#define WM_CLI_GRID_H

#include <stdint.h>
#include <stdio.h>

#include "walmill/buf.h"
#include "walmill/compiler.h"

#define WM_GRID_COLUMNS 12

struct wm_grid {
	const char	*heads;		/* "NAME,STATE,>LAG": > aligns to the right */
	struct wm_buf	 cells;		/* each ended by a NUL, heads first */
	size_t		 n;		/* cells */
	size_t		 columns;
};

void wm_grid_init(struct wm_grid *g, const char *heads);
void wm_grid_free(struct wm_grid *g);
/* The next cell, in reading order; control characters are shown as "?". */
void wm_grid_cell(struct wm_grid *g, const char *fmt, ...) WM_PRINTF(2, 3);
void wm_grid_print(const struct wm_grid *g, FILE *out);

/* "12.3 MiB" into buf (at least 32 bytes); returns buf. */
char *wm_grid_size(uint64_t bytes, char *buf);
/* "1,234,567" into buf (at least 32 bytes); returns buf. */
char *wm_grid_count(uint64_t n, char *buf);
/* "350 ms", "12 s", "3 min 20 s", "5 h 3 min", "2 d 4 h" into buf (at least 32 bytes); returns buf. */
char *wm_grid_seconds(double seconds, char *buf);

#endif
