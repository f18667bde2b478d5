/* SPDX-License-Identifier: PostgreSQL */
/*
 * csv.h - rows as the CSV of an import: comma, double quotes, a header line.
 *
 * Every value stands in quotes, null is an empty field without, so that no value can begin a line.
 */
#ifndef WM_ZOHO_CSV_H
#define WM_ZOHO_CSV_H

#include "walmill/buf.h"

struct wm_zoho_csv {
	struct wm_buf	 text;
	unsigned	 fields;	/* of the line at work */
	size_t		 lines;		/* ended, the header among them */
	bool		 breaks;	/* a value holds a line feed */
	bool		 starts[128];	/* characters that some physical line begins with: a value may hold line feeds */
};

/* text.failed once the CSV is longer than max. */
void wm_zoho_csv_init(struct wm_zoho_csv *csv, size_t max);
void wm_zoho_csv_free(struct wm_zoho_csv *csv);
void wm_zoho_csv_reset(struct wm_zoho_csv *csv);
void wm_zoho_csv_field(struct wm_zoho_csv *csv, const char *data, size_t len);	/* data NULL: null */
void wm_zoho_csv_end(struct wm_zoho_csv *csv);
/* Records of a CSV with double quotes, whoever wrote it: a line feed within quotes ends none. */
size_t wm_zoho_csv_records(const char *text, size_t len);
/* For CONFIG's commentChar: a character that no line begins with. */
char wm_zoho_csv_comment(const struct wm_zoho_csv *csv);

#endif
