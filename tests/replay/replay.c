/* SPDX-License-Identifier: PostgreSQL */
/*
 * replay.c - decodes a recording of pgoutput and prints a line of JSON for each message.
 *
 * usage: replay FILE
 * What differs from one recording to the next (positions, times, OIDs, transaction ids) is not
 * printed, so that the same scenario looks the same on every server that behaves the same.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/buf.h"
#include "walmill/pgoutput.h"

#define TEXT_MAX 100			/* longer values are cut: "012345...(2500)" */
#define TYPES_MAX 100

/* The types that were announced, so that columns can be shown with their names. */
struct types {
	size_t	 n;
	struct {
		uint32_t oid;
		char	 name[140];
	} list[TYPES_MAX];
};

static void
add_string(struct wm_buf *b, const char *s, size_t n)
{
	size_t shown = n > TEXT_MAX ? 10 : n;

	wm_buf_addc(b, '"');
	for (size_t i = 0; i < shown; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < ' ')
			wm_buf_addf(b, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			wm_buf_addf(b, "\\%c", c);
		else
			wm_buf_addc(b, (char)c);
	}
	if (shown < n)
		wm_buf_addf(b, "...(%zu)", n);
	wm_buf_addc(b, '"');
}

static void
add_value(struct wm_buf *b, const struct wm_value *v)
{
	switch (v->kind) {
	case WM_VALUE_NULL:
		wm_buf_adds(b, "null");
		break;
	case WM_VALUE_UNCHANGED:
		wm_buf_adds(b, "{\"unchanged\": true}");
		break;
	case WM_VALUE_TEXT:
		add_string(b, v->data, v->len);
		break;
	default:
		wm_buf_adds(b, "{\"binary\": \"");
		for (uint32_t i = 0; i < v->len; i++)
			wm_buf_addf(b, "%02x", (unsigned char)v->data[i]);
		wm_buf_adds(b, "\"}");
	}
}

static void
add_tuple(struct wm_buf *b, const char *name, const struct wm_tuple *t)
{
	if (t == NULL)
		return;
	wm_buf_addf(b, ", \"%s\": [", name);
	for (unsigned i = 0; i < t->n; i++) {
		wm_buf_adds(b, i > 0 ? ", " : "");
		add_value(b, &t->values[i]);
	}
	wm_buf_addc(b, ']');
}

static const char *
type_name(const struct types *types, const struct wm_type *type)
{
	if (type->class != WM_TYPE_UNKNOWN)
		return type->name;
	for (size_t i = 0; i < types->n; i++) {
		if (types->list[i].oid == type->oid)
			return types->list[i].name;
	}
	return "not announced";
}

static void
add_relation(struct wm_buf *b, const struct types *types, const struct wm_relation *rel)
{
	static const char *const identities[] = {
		['d'] = "default", ['n'] = "nothing", ['f'] = "full", ['i'] = "index"
	};

	wm_buf_addf(b, ", \"name\": \"%s.%s\", \"identity\": \"%s\", \"columns\": [", rel->schema,
	    rel->name, identities[rel->identity]);
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		const struct wm_column *c = &rel->columns[i];

		wm_buf_addf(b, "%s\"%s %s%s\"", i > 0 ? ", " : "", c->name,
		    type_name(types, &c->type), c->identity ? " key" : "");
	}
	wm_buf_addc(b, ']');
}

static void
add_change(struct wm_buf *b, const struct wm_message *m)
{
	wm_buf_addf(b, ", \"relation\": \"%s.%s\"", m->relation->schema, m->relation->name);
	add_tuple(b, m->before_full ? "old" : "key", m->before);
	add_tuple(b, "new", m->after);
}

static void
add_truncate(struct wm_buf *b, const struct wm_message *m)
{
	wm_buf_adds(b, ", \"relations\": [");
	for (unsigned i = 0; i < m->nrelations; i++)
		wm_buf_addf(b, "%s\"%s.%s\"", i > 0 ? ", " : "", m->relations[i]->schema,
		    m->relations[i]->name);
	wm_buf_addf(b, "], \"cascade\": %s, \"restart_identity\": %s",
	    m->cascade ? "true" : "false", m->restart_identity ? "true" : "false");
}

static void
add_message(struct wm_buf *b, const struct wm_message *m)
{
	const struct wm_value content = { .data = (const char *)m->content,
		.len = (uint32_t)m->content_len,
		.kind = WM_VALUE_BINARY };

	wm_buf_addf(
	    b, ", \"transactional\": %s, \"prefix\": ", m->transactional ? "true" : "false");
	add_string(b, m->prefix, strlen(m->prefix));
	wm_buf_adds(b, ", \"content\": ");
	add_value(b, &content);
}

static void
remember_type(struct types *types, const struct wm_message *m)
{
	if (types->n == TYPES_MAX)
		return;
	types->list[types->n].oid = m->type_oid;
	snprintf(
	    types->list[types->n].name, sizeof(types->list[0].name), "%s.%s", m->schema, m->name);
	types->n++;
}

static void
print_message(struct types *types, const struct wm_message *m)
{
	static const char *const kinds[] = { [WM_MSG_BEGIN] = "begin",
		[WM_MSG_COMMIT] = "commit",
		[WM_MSG_ORIGIN] = "origin",
		[WM_MSG_RELATION] = "relation",
		[WM_MSG_TYPE] = "type",
		[WM_MSG_INSERT] = "insert",
		[WM_MSG_UPDATE] = "update",
		[WM_MSG_DELETE] = "delete",
		[WM_MSG_TRUNCATE] = "truncate",
		[WM_MSG_MESSAGE] = "message" };
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, 1 << 20);
	wm_buf_addf(&b, "{\"kind\": \"%s\"", kinds[m->kind]);
	if (m->kind == WM_MSG_RELATION) {
		add_relation(&b, types, m->relation);
	} else if (m->kind == WM_MSG_TYPE) {
		remember_type(types, m);
		wm_buf_addf(&b, ", \"name\": \"%s.%s\"", m->schema, m->name);
	} else if (m->kind == WM_MSG_ORIGIN) {
		wm_buf_addf(&b, ", \"name\": \"%s\", \"lsn\": \"" WM_LSN_FMT "\"", m->name,
		    WM_LSN_ARGS(m->lsn));
	} else if (m->kind == WM_MSG_TRUNCATE) {
		add_truncate(&b, m);
	} else if (m->kind == WM_MSG_MESSAGE) {
		add_message(&b, m);
	} else if (m->relation != NULL) {
		add_change(&b, m);
	}
	wm_buf_addc(&b, '}');
	puts(b.failed ? "too long for this program" : b.data);
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes one line; the decoded bytes take the place of the line's. */
static bool
replay_line(struct wm_pgoutput *po, struct types *types, char *line, size_t len)
{
	struct wm_message m;
	struct wm_error err;

	for (size_t i = 0; i < len / 2; i++) {
		int high = nibble(line[2 * i]), low = nibble(line[2 * i + 1]);

		if (high < 0 || low < 0) {
			fputs("not a hexadecimal number\n", stderr);
			return false;
		}
		line[i] = (char)(high << 4 | low);
	}
	if (wm_pgoutput_decode(po, line, len / 2, &m, &err) != WM_OK) {
		fprintf(stderr, "%s\n", err.text);
		return false;
	}
	print_message(types, &m);
	return true;
}

int
main(int argc, char **argv)
{
	static struct types types;
	struct wm_pgoutput *po = wm_pgoutput_create();
	FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	bool good = true;

	if (po == NULL || f == NULL) {
		fprintf(stderr, "usage: %s FILE\n", argv[0]);
		return 2;
	}
	while (good && (len = getline(&line, &size, f)) > 0) {
		len -= line[len - 1] == '\n';
		if (line[0] != '#')
			good = replay_line(po, &types, line, (size_t)len);
	}
	free(line);
	fclose(f);
	wm_pgoutput_destroy(po);
	return good ? 0 : 1;
}
