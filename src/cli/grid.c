/* SPDX-License-Identifier: PostgreSQL */
/*
 * grid.c - tables for people: aligned columns, sizes and durations in readable units.
 */
#include "grid.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define GRID_MAX ((size_t)64 * 1024 * 1024)

/* Columns on a screen: characters, not bytes. */
static size_t
width_of(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static void
end_cell(struct wm_grid *g, size_t start)
{
	for (size_t i = start; i < g->cells.len; i++)
		if ((unsigned char)g->cells.data[i] < 0x20 || g->cells.data[i] == 0x7f)
			g->cells.data[i] = '?';
	wm_buf_addc(&g->cells, '\0');
	g->n++;
}

void
wm_grid_init(struct wm_grid *g, const char *heads)
{
	*g = (struct wm_grid){ .heads = heads };
	wm_buf_init(&g->cells, GRID_MAX);
	for (const char *p = heads; p != NULL; p = strchr(p, ',') == NULL ? NULL : strchr(p, ',') + 1) {
		size_t start = g->cells.len, skip = *p == '>';

		wm_buf_add(&g->cells, p + skip, strcspn(p, ",") - skip);
		end_cell(g, start);
		g->columns++;
	}
	assert(g->columns <= WM_GRID_COLUMNS);
}

void
wm_grid_free(struct wm_grid *g)
{
	wm_buf_free(&g->cells);
}

void
wm_grid_cell(struct wm_grid *g, const char *fmt, ...)
{
	size_t start = g->cells.len;
	va_list ap;

	va_start(ap, fmt);
	wm_buf_vaddf(&g->cells, fmt, ap);
	va_end(ap);
	end_cell(g, start);
}

static void
find_shape(const struct wm_grid *g, size_t *widths, bool *right)
{
	const char *cell = g->cells.data, *head = g->heads;

	for (size_t i = 0; i < g->columns; i++) {
		right[i] = *head == '>';
		head = strchr(head, ',') == NULL ? head : strchr(head, ',') + 1;
	}
	for (size_t i = 0; i < g->n; i++, cell += strlen(cell) + 1)
		if (width_of(cell) > widths[i % g->columns])
			widths[i % g->columns] = width_of(cell);
}

void
wm_grid_print(const struct wm_grid *g, FILE *out)
{
	size_t widths[WM_GRID_COLUMNS] = { 0 };
	bool right[WM_GRID_COLUMNS];
	const char *cell = g->cells.data;

	if (g->cells.failed)
		return;
	find_shape(g, widths, right);
	for (size_t i = 0; i < g->n; i++, cell += strlen(cell) + 1) {
		size_t column = i % g->columns;
		int pad = (int)(widths[column] - width_of(cell));
		bool last = column == g->columns - 1;

		if (right[column])
			fprintf(out, "%*s%s%s", pad, "", cell, last ? "\n" : "  ");
		else if (last)
			fprintf(out, "%s\n", cell);
		else
			fprintf(out, "%s%*s  ", cell, pad, "");
	}
}

char *
wm_grid_size(uint64_t bytes, char *buf)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1023.95 && unit + 1 < WM_ARRAY_SIZE(units); unit++)
		value /= 1024;
	snprintf(buf, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return buf;
}

char *
wm_grid_count(uint64_t n, char *buf)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = '\0';
	return buf;
}

char *
wm_grid_seconds(double seconds, char *buf)
{
	uint64_t s = seconds < 1e9 ? (uint64_t)seconds : 1000000000;

	if (seconds < 0.9995)
		snprintf(buf, 32, "%.0f ms", seconds * 1000);
	else if (seconds < 9.95)
		snprintf(buf, 32, "%.1f s", seconds);
	else if (s < 60)
		snprintf(buf, 32, "%d s", (int)s);
	else if (s < 3600)
		snprintf(buf, 32, "%d min %d s", (int)(s / 60), (int)(s % 60));
	else if (s < 86400)
		snprintf(buf, 32, "%d h %d min", (int)(s / 3600), (int)(s % 3600 / 60));
	else
		snprintf(buf, 32, "%d d %d h", (int)(s / 86400), (int)(s % 86400 / 3600));
	return buf;
}
