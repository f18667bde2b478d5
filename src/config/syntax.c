/* SPDX-License-Identifier: PostgreSQL */
/*
 * syntax.c - what is wrong with a YAML file before its values mean anything.
 *
 * The check walks libyaml's events.  It comes before libyaml composes a document, because the
 * time that takes grows with the square of the nesting and of the number of anchors.
 */
#include "syntax.h"

#include <string.h>

#define ANCHORS_MAX 1000

struct wm_mark
wm_syntax_mark(const char *file, const yaml_mark_t *m)
{
	return (struct wm_mark){ .file = file, .line = (unsigned)m->line + 1, .column = (unsigned)m->column + 1 };
}

void
wm_syntax_delete_parserp(yaml_parser_t **parser)
{
	yaml_parser_delete(*parser);
}

/* A value of a user who did not know that YAML has tags (!) and aliases (*). */
static bool
is_sigil(const yaml_parser_t *parser)
{
	return parser->context != NULL && (strcmp(parser->context, "while scanning a tag") == 0 ||
	    strcmp(parser->context, "while scanning an alias") == 0);
}

/* What to do where YAML gives up for a reason that its users often meet. */
static const char *
syntax_hint(const yaml_parser_t *parser, const char *bytes, size_t n)
{
	const char *line = bytes, *end = bytes + n, *next;

	if (is_sigil(parser) || parser->error == YAML_COMPOSER_ERROR)
		return ": quote a value that begins with \"!\" or \"*\"";
	for (size_t i = 0; i < parser->problem_mark.line; i++) {
		next = memchr(line, '\n', (size_t)(end - line));
		if (next == NULL)
			return "";
		line = next + 1;
	}
	while (line < end && *line == ' ')
		line++;
	return line < end && *line == '\t' ? ": indent with spaces, not tabs" : "";
}

/* Bytes that are no UTF-8 come with an offset instead of a mark. */
static struct wm_mark
offset_mark(const char *file, const char *bytes, size_t offset, size_t n)
{
	struct wm_mark mark = { .file = file, .line = 1, .column = 1 };

	for (size_t i = 0; i < offset && i < n; i++) {
		if (bytes[i] == '\n') {
			mark.line++;
			mark.column = 1;
		} else if (((unsigned char)bytes[i] & 0xc0) != 0x80) {
			mark.column++;
		}
	}
	return mark;
}

void
wm_syntax_report(const char *file, const yaml_parser_t *parser, const char *bytes, size_t n, struct wm_diags *diags)
{
	const char *problem = parser->problem != NULL ? parser->problem : "it cannot be read";
	struct wm_mark mark = wm_syntax_mark(file, is_sigil(parser) ? &parser->context_mark : &parser->problem_mark);

	if (parser->error == YAML_MEMORY_ERROR) {
		wm_diags_at(diags, WM_ERROR, &mark, "out of memory for this file");
	} else if (parser->error == YAML_READER_ERROR) {
		mark = offset_mark(file, bytes, parser->problem_offset, n);
		wm_diags_at(diags, WM_ERROR, &mark, "not valid YAML: %s (a file must be UTF-8 text)", problem);
	} else if (parser->context != NULL && parser->context_mark.line != parser->problem_mark.line) {
		wm_diags_at(diags, WM_ERROR, &mark, "not valid YAML: %s, %s that begins in line %zu%s", problem,
		    parser->context, parser->context_mark.line + 1, syntax_hint(parser, bytes, n));
	} else {
		wm_diags_at(diags, WM_ERROR, &mark, "not valid YAML: %s%s%s%s", problem,
		    parser->context != NULL ? ", " : "", parser->context != NULL ? parser->context : "",
		    syntax_hint(parser, bytes, n));
	}
}

struct totals {
	unsigned depth, anchors, documents;
};

/* False when the rest need not be read. */
static bool
check_event(const yaml_event_t *event, const char *file, struct totals *totals, struct wm_diags *diags)
{
	struct wm_mark mark = wm_syntax_mark(file, &event->start_mark);
	const unsigned char *anchor = NULL;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		/* It would be ignored silently. */
		if (++totals->documents == 2)
			wm_diags_at(diags, WM_ERROR, &mark,
			    "a second document begins here: put it into a file of its own");
		break;
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		totals->depth++;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = event->data.sequence_start.anchor;
		totals->depth++;
		break;
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		totals->depth--;
		break;
	default:
		break;
	}
	totals->anchors += anchor != NULL;
	if (totals->depth > WM_SYNTAX_DEPTH_MAX)
		wm_diags_at(diags, WM_ERROR, &mark, "maps and lists are nested deeper than %d levels here",
		    WM_SYNTAX_DEPTH_MAX);
	else if (totals->anchors > ANCHORS_MAX)
		wm_diags_at(diags, WM_ERROR, &mark, "there are more than %d anchors", ANCHORS_MAX);
	else
		return true;
	return false;
}

bool
wm_syntax_check(const char *file, const char *bytes, size_t n, struct wm_diags *diags)
{
	yaml_parser_t storage;
	WM_AUTO(wm_syntax_delete_parserp) yaml_parser_t *parser = &storage;
	struct totals totals = { 0 };
	bool go_on = true, end = false;

	if (!yaml_parser_initialize(parser)) {
		wm_diags_at(diags, WM_ERROR, &(struct wm_mark){ file, 1, 1 }, "out of memory for this file");
		return false;
	}
	yaml_parser_set_input_string(parser, (const unsigned char *)bytes, n);
	while (go_on && !end) {
		yaml_event_t event;

		if (!yaml_parser_parse(parser, &event)) {
			wm_syntax_report(file, parser, bytes, n, diags);
			return false;
		}
		end = event.type == YAML_STREAM_END_EVENT;
		go_on = check_event(&event, file, &totals, diags);
		yaml_event_delete(&event);
	}
	return go_on;
}
