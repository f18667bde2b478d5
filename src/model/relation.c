/* SPDX-License-Identifier: PostgreSQL */
/*
 * relation.c - life and comparison of relations.
 */
#include <stdlib.h>
#include <string.h>

#include "walmill/model.h"

void
wm_relation_free(struct wm_relation *rel)
{
	if (rel == NULL)
		return;
	/* A relation that is still being built may have no columns yet. */
	for (unsigned i = 0; rel->columns != NULL && i < rel->ncolumns; i++)
		free(rel->columns[i].name);
	free(rel->columns);
	free(rel->schema);
	free(rel->name);
	free(rel);
}

void
wm_relation_freep(struct wm_relation **rel)
{
	wm_relation_free(*rel);
}

static bool
dup_columns(struct wm_relation *copy, const struct wm_column *columns)
{
	/* One more, because calloc may answer NULL to zero. */
	copy->columns = calloc((size_t)copy->ncolumns + 1, sizeof(*copy->columns));
	if (copy->columns == NULL)
		return false;
	for (unsigned i = 0; i < copy->ncolumns; i++) {
		copy->columns[i] = columns[i];
		copy->columns[i].name = strdup(columns[i].name);
		if (copy->columns[i].name == NULL)
			return false;
	}
	return true;
}

struct wm_relation *
wm_relation_dup(const struct wm_relation *rel)
{
	WM_AUTO(wm_relation_freep) struct wm_relation *copy = calloc(1, sizeof(*copy));
	struct wm_relation *done;

	if (copy == NULL)
		return NULL;
	copy->oid = rel->oid;
	copy->identity = rel->identity;
	copy->ncolumns = rel->ncolumns;
	copy->last_number = rel->last_number;
	copy->last_dropped = rel->last_dropped;
	copy->schema = strdup(rel->schema);
	copy->name = strdup(rel->name);
	if (copy->schema == NULL || copy->name == NULL || !dup_columns(copy, rel->columns))
		return NULL;
	done = copy;
	copy = NULL;
	return done;
}

int
wm_relation_column(const struct wm_relation *rel, const char *name)
{
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		if (strcmp(rel->columns[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

static bool
same_column(const struct wm_column *a, const struct wm_column *b)
{
	return strcmp(a->name, b->name) == 0 && a->identity == b->identity &&
	    a->type.oid == b->type.oid && a->type.typmod == b->type.typmod;
}

bool
wm_relation_same(const struct wm_relation *a, const struct wm_relation *b)
{
	if (strcmp(a->schema, b->schema) != 0 || strcmp(a->name, b->name) != 0 ||
	    a->identity != b->identity || a->ncolumns != b->ncolumns)
		return false;
	for (unsigned i = 0; i < a->ncolumns; i++) {
		if (!same_column(&a->columns[i], &b->columns[i]))
			return false;
	}
	return true;
}
