/* SPDX-License-Identifier: PostgreSQL */
/*
 * csv.c - rows as the CSV of an import.
 */
#include "csv.h"

#include <string.h>

void
wm_zoho_csv_init(struct wm_zoho_csv *csv, size_t max)
{
	memset(csv, 0, sizeof(*csv));
	wm_buf_init(&csv->text, max);
}

void
wm_zoho_csv_free(struct wm_zoho_csv *csv)
{
	wm_buf_free(&csv->text);
}

void
wm_zoho_csv_reset(struct wm_zoho_csv *csv)
{
	wm_buf_reset(&csv->text);
	memset(csv->starts, 0, sizeof(csv->starts));
	csv->breaks = false;
	csv->fields = 0;
	csv->lines = 0;
}

static void
note_start(struct wm_zoho_csv *csv, unsigned char c)
{
	if (c < sizeof(csv->starts))
		csv->starts[c] = true;
}

void
wm_zoho_csv_field(struct wm_zoho_csv *csv, const char *data, size_t len)
{
	const char *end = data + len;

	if (csv->fields++ > 0)
		wm_buf_addc(&csv->text, ',');
	if (data == NULL)
		return;
	wm_buf_addc(&csv->text, '"');
	while (data < end) {
		size_t run = 0;

		while (data + run < end && data[run] != '"' && data[run] != '\n' && data[run] != '\r')
			run++;
		wm_buf_add(&csv->text, data, run);
		data += run;
		if (data == end)
			break;
		wm_buf_addc(&csv->text, *data);
		if (*data == '"')
			wm_buf_addc(&csv->text, '"');
		else {
			csv->breaks = true;
			note_start(csv, data + 1 < end ? (unsigned char)data[1] : '"');
		}
		data++;
	}
	wm_buf_addc(&csv->text, '"');
}

void
wm_zoho_csv_end(struct wm_zoho_csv *csv)
{
	/* A line with one null would be an empty one, which an import passes over. */
	if (csv->fields == 1 && (csv->text.len == 0 || csv->text.data[csv->text.len - 1] == '\n'))
		wm_buf_adds(&csv->text, "\"\"");
	wm_buf_addc(&csv->text, '\n');
	csv->fields = 0;
	csv->lines++;
}

size_t
wm_zoho_csv_records(const char *text, size_t len)
{
	bool quoted = false;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		quoted ^= text[i] == '"';
		n += text[i] == '\n' && !quoted;
	}
	return n + (len > 0 && text[len - 1] != '\n');
}

char
wm_zoho_csv_comment(const struct wm_zoho_csv *csv)
{
	static const char choice[] = "~^|`@$%&*!?;:#<>=+_\\/(){}[]";

	for (const char *p = choice; *p != '\0'; p++)
		if (!csv->starts[(unsigned char)*p])
			return *p;
	/* Lines begin with every one of them: control characters are left. */
	for (int c = 1; c < ' '; c++)
		if (!csv->starts[c] && c != '\n' && c != '\r' && c != '\t')
			return (char)c;
	return '\x7f';
}
