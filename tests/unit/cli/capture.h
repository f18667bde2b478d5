/* SPDX-License-Identifier: PostgreSQL */
/*
 * capture.h - what a test's calls write to stdout or stderr.
 */
#ifndef WM_TEST_CAPTURE_H
#define WM_TEST_CAPTURE_H

#include <stdio.h>
#include <unistd.h>

struct capture {
	FILE	*stream, *file;
	int	 saved;
};

static inline struct capture
capture_begin(FILE *stream)
{
	struct capture c = { .stream = stream, .file = tmpfile() };

	fflush(stream);
	c.saved = dup(fileno(stream));
	dup2(fileno(c.file), fileno(stream));
	return c;
}

static inline void
capture_end(struct capture *c, char *text, size_t size)
{
	size_t n;

	fflush(c->stream);
	dup2(c->saved, fileno(c->stream));
	close(c->saved);
	rewind(c->file);
	n = fread(text, 1, size - 1, c->file);
	text[n] = '\0';
	fclose(c->file);
}

#endif
