/* SPDX-License-Identifier: PostgreSQL */
/*
 * criteria.c - criteria on the key of rows.
 */
#include "criteria.h"

#include <string.h>

bool
wm_zoho_criteria_name(const char *column)
{
	return strchr(column, '"') == NULL;
}

bool
wm_zoho_criteria_value(struct wm_buf *b, enum wm_zoho_type type, const struct wm_zoho_cell *cell)
{
	if (cell->data == NULL)
		return false;
	if (wm_zoho_type_is_number(type)) {
		wm_buf_add(b, cell->data, cell->len);
		return true;
	}
	wm_buf_addc(b, '\'');
	for (size_t i = 0; i < cell->len; i++) {
		if (cell->data[i] == '\'')
			wm_buf_addc(b, '\'');
		wm_buf_addc(b, cell->data[i]);
	}
	wm_buf_addc(b, '\'');
	return true;
}

void
wm_zoho_criteria_init(struct wm_zoho_criteria *c, size_t max, unsigned nkeys, const char *const *names,
    const enum wm_zoho_type *types)
{
	*c = (struct wm_zoho_criteria){ .nkeys = nkeys, .names = names, .types = types };
	wm_buf_init(&c->text, max);
}

void
wm_zoho_criteria_free(struct wm_zoho_criteria *c)
{
	wm_buf_free(&c->text);
}

void
wm_zoho_criteria_reset(struct wm_zoho_criteria *c)
{
	wm_buf_reset(&c->text);
	c->n = 0;
}

bool
wm_zoho_criteria_add(struct wm_zoho_criteria *c, const struct wm_zoho_cell *key)
{
	if (c->nkeys == 1) {
		if (c->n == 0)
			wm_buf_addf(&c->text, "\"%s\" in (", c->names[0]);
		else
			wm_buf_addc(&c->text, ',');
		c->n++;
		return wm_zoho_criteria_value(&c->text, c->types[0], &key[0]);
	}
	wm_buf_adds(&c->text, c->n++ > 0 ? " or (" : "(");
	for (unsigned i = 0; i < c->nkeys; i++) {
		wm_buf_addf(&c->text, "%s\"%s\"=", i > 0 ? " and " : "", c->names[i]);
		if (!wm_zoho_criteria_value(&c->text, c->types[i], &key[i]))
			return false;
	}
	wm_buf_addc(&c->text, ')');
	return true;
}

const char *
wm_zoho_criteria_end(struct wm_zoho_criteria *c)
{
	if (c->nkeys == 1 && c->n > 0)
		wm_buf_addc(&c->text, ')');
	return c->text.data;
}
